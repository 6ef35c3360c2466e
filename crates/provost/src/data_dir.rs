//! The data directory, and files in it that nobody else may read.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base::{Explain, Kind};

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It is something else.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Others could replace the keys in it.
    #[error("other users may write to {} (its mode is {mode:04o})", path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It could not be looked at or made.
    #[error("could not open or make the data directory {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Explain for DataDirError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotADirectory { .. } | Self::Writable { .. } => Kind::Conflict,
            Self::Io { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotADirectory { .. } => Some("name another one with --data DIR".to_owned()),
            Self::Writable { path, .. } => {
                Some(format!("run `chmod go-w {}` if they should not", path.display()))
            }
            Self::Io { .. } => Some("name one that this user may write to with --data DIR".to_owned()),
        }
    }
}

/// What [`prepare`] would refuse of what is there already; nothing is made.
pub fn check(path: &Path) -> Result<(), DataDirError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => prepare(path).map(drop),
    }
}

/// Makes sure that `path` is a directory into which only its owner writes. Where it is missing it is made
/// with mode 0700; its parents with what the umask leaves. Whether it was made.
pub fn prepare(path: &Path) -> Result<bool, DataDirError> {
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(DataDirError::NotADirectory { path: path.to_owned() }),
        Ok(found) => {
            let mode = found.permissions().mode() & 0o7777;
            if mode & 0o022 != 0 {
                return Err(DataDirError::Writable { path: path.to_owned(), mode });
            }
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(io)?;
            }
            match DirBuilder::new().mode(0o700).create(path) {
                Ok(()) => Ok(true),
                // Another start was faster; who of them may have it shows later.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => prepare(path),
                Err(error) => Err(io(error)),
            }
        }
        Err(error) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_made_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        assert!(prepare(&data).unwrap());
        assert_eq!(mode(&data), 0o700);
        assert!(!prepare(&data).unwrap());
    }

    #[test]
    fn it_is_refused_where_others_may_write() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, usable) in [(0o700, true), (0o755, true), (0o775, false), (0o777, false), (0o702, false)] {
            std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(prepare(dir.path()).is_ok(), usable, "{mode:o}");
        }
        let error = prepare(dir.path()).unwrap_err();
        assert_eq!(
            error.help().unwrap(),
            format!("run `chmod go-w {}` if they should not", dir.path().display())
        );
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(prepare(file.path()), Err(DataDirError::NotADirectory { .. })));
    }
}
