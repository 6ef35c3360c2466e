//! Charms, unpacked: ours, and ones on the reference library with the same actions.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::witness::charms_python;

const REFERENCE: &str = include_str!("charm.py");

/// Who made a charm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharmBy<'a> {
    /// We; this is the program.
    Us(&'a Path),
    /// Whoever uses the reference library.
    Library,
}

/// Where ours are in the sources, each side in a folder.
#[must_use]
pub fn charm_sources() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../integrations/juju"))
}

/// The charm of `side`, which is `provider` or `requirer`, in a folder of its own.
///
/// # Panics
/// When its files cannot be copied.
#[must_use]
pub fn charm(side: &str, by: CharmBy<'_>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(charm_sources().join(side)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let dispatch = folder.path().join("dispatch");
    match by {
        CharmBy::Us(program) => symlink(program, dispatch).unwrap(),
        CharmBy::Library => {
            std::fs::write(folder.path().join("charm.py"), REFERENCE).unwrap();
            let text = format!("#!/bin/sh\nexec {} charm.py\n", charms_python().display());
            std::fs::write(&dispatch, text).unwrap();
            std::fs::set_permissions(&dispatch, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    folder
}
