//! `provost config playbooks DIR`: the playbooks that come with the program, as files to change.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base::{Explain, Kind};
use fleet::Playbook;

use crate::output;

/// A playbook was not written.
#[derive(Debug, thiserror::Error)]
pub enum PlaybooksError {
    /// There are files of these names already. All others were written.
    #[error("left as found: {}", list(paths))]
    Occupied {
        /// Which.
        paths: Vec<PathBuf>,
    },
    /// The file system refuses.
    #[error("could not write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Explain for PlaybooksError {
    fn kind(&self) -> Kind {
        match self {
            Self::Occupied { .. } => Kind::Conflict,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Io { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Occupied { .. } => Some("`--force` replaces them".to_owned()),
            Self::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                path.parent().map(|directory| format!("run `mkdir -p {}` first", directory.display()))
            }
            Self::Io { .. } => None,
        }
    }
}

/// Writes each playbook into `directory`, and says so. What is there already is replaced only with `force`.
pub fn write(directory: &Path, force: bool) -> Result<(), PlaybooksError> {
    let mut occupied = Vec::new();
    for playbook in Playbook::ALL {
        let path = directory.join(playbook.file());
        let mut options = OpenOptions::new();
        options.write(true);
        let opened =
            if force { options.create(true).truncate(true) } else { options.create_new(true) }.open(&path);
        match opened.and_then(|mut file| file.write_all(playbook.standard().as_bytes())) {
            Ok(()) => output::note(format_args!("wrote {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => occupied.push(path),
            Err(source) => return Err(PlaybooksError::Io { path, source }),
        }
    }
    if occupied.is_empty() { Ok(()) } else { Err(PlaybooksError::Occupied { paths: occupied }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_left_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join("restart.yml"), "mine").unwrap();
        assert!(
            matches!(write(folder.path(), false), Err(PlaybooksError::Occupied { paths }) if paths.len() == 1)
        );
        assert_eq!(at("restart.yml"), "mine");
        assert_eq!(at("bootstrap.yml"), Playbook::Bootstrap.standard());
        write(folder.path(), true).unwrap();
        assert_eq!(at("restart.yml"), Playbook::Restart.standard());
        let missing = write(&folder.path().join("none"), true).unwrap_err();
        assert_eq!(missing.kind(), Kind::NotFound);
    }
}
