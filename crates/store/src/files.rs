//! What both kinds of file here need.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the name of the file at `path` durable: its bytes being on the disk does not mean that its name is.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}
