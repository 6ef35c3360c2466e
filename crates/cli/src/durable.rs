//! Names that last.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the names in the folder of `path` last: after a power cut, too, they are what they are now.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    match File::open(folder)?.sync_all() {
        // Some file systems cannot (FUSE); there is nothing else to be done there.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}
