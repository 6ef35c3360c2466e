//! `provost links DIR`: the names of the replaced programs, as links to this one.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind};

use crate::names::OLD_NAMES;
use crate::output;

/// A link was not made.
#[derive(Debug, thiserror::Error)]
pub enum LinksError {
    /// There is nowhere to make them.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Something else is where links are to be made. All others were made.
    #[error("{} left as found: {}", if paths.len() == 1 { "one file was" } else { "some files were" }, list(paths))]
    Occupied {
        /// Where.
        paths: Vec<PathBuf>,
    },
    /// The file system refuses.
    #[error("could not make {}", path.display())]
    Io {
        /// The link.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The system does not say where this program is.
    #[error("could not find this program's own file")]
    OwnFile(#[source] io::Error),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Explain for LinksError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotADirectory { .. } => Kind::NotFound,
            Self::Occupied { .. } => Kind::Conflict,
            Self::Io { .. } => Kind::Unavailable,
            Self::OwnFile(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotADirectory { path } if path.exists() => Some("name a directory".to_owned()),
            Self::NotADirectory { path } => Some(format!("run `mkdir -p {}` first", path.display())),
            Self::Occupied { .. } => {
                Some("`--force` replaces files and links, though never directories".to_owned())
            }
            Self::Io { .. } | Self::OwnFile(_) => None,
        }
    }
}

/// What became of one name.
enum Made {
    Linked,
    Replaced,
    AlreadyThere,
    Occupied,
}

/// Makes a link to this program in `directory` for every old name that it serves, and says so. Names that
/// are there already are left; other files are replaced only with `force`.
pub fn make(directory: &Path, force: bool) -> Result<(), LinksError> {
    if !directory.is_dir() {
        return Err(LinksError::NotADirectory { path: directory.to_owned() });
    }
    let program = std::env::current_exe().map_err(LinksError::OwnFile)?;
    let mut occupied = Vec::new();
    for name in OLD_NAMES.iter().filter(|name| name.is_served()) {
        let path = directory.join(name.name);
        let made =
            link(&program, &path, force).map_err(|source| LinksError::Io { path: path.clone(), source })?;
        let (shown, target) = (path.display(), program.display());
        match made {
            Made::Linked => output::note(format_args!("made {shown} -> {target}")),
            Made::Replaced => output::note(format_args!("replaced {shown} -> {target}")),
            Made::AlreadyThere => output::note(format_args!("{shown} -> {target} is already there")),
            Made::Occupied => occupied.push(path),
        }
    }
    if occupied.is_empty() { Ok(()) } else { Err(LinksError::Occupied { paths: occupied }) }
}

fn link(program: &Path, path: &Path, force: bool) -> io::Result<Made> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::os::unix::fs::symlink(program, path)?;
            return Ok(Made::Linked);
        }
        Err(error) => return Err(error),
    };
    if found.is_symlink() && std::fs::read_link(path)? == program {
        return Ok(Made::AlreadyThere);
    }
    // The program itself may bear one of the names; a link in its place would point to itself.
    if found.is_dir()
        || !force
        || path.canonicalize().is_ok_and(|path| path == program && !found.is_symlink())
    {
        return Ok(Made::Occupied);
    }
    // Never a moment without the name: somebody may be starting it.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    std::os::unix::fs::symlink(program, &temporary)?;
    std::fs::rename(&temporary, path)?;
    Ok(Made::Replaced)
}
