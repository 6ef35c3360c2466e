//! Files with a secret that others made: keys, and passwords as text.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use store::private_file::{self, ReadError};

/// A file with a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is not there.
    #[error("could not read {}", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be read, or others can read it.
    #[error(transparent)]
    Private(#[from] ReadError),
    /// The secret is no text.
    #[error("{} does not hold a password: it is no UTF-8", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
}

impl Explain for SecretFileError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::Unavailable,
            Self::Private(source) => source.kind(),
            Self::NoText { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { .. } | Self::NoText { .. } => None,
            Self::Private(source) => source.help(),
        }
    }
}

/// The bytes of the file at `path`, which is for its owner only.
pub fn read(path: &Path) -> Result<Secret<Vec<u8>>, SecretFileError> {
    let missing =
        || SecretFileError::Missing { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
    private_file::read(path)?.ok_or_else(missing)
}

/// The text in the file at `path`, without the line break at its end.
pub fn read_text(path: &Path) -> Result<Secret<String>, SecretFileError> {
    let bytes = read(path)?;
    let Ok(text) = std::str::from_utf8(bytes.expose()) else {
        return Err(SecretFileError::NoText { path: path.to_owned() });
    };
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_ends_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        for (text, expected) in [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a")] {
            private_file::replace(&path, text.as_bytes()).unwrap();
            assert_eq!(read_text(&path).unwrap().expose(), expected);
        }
        private_file::replace(&path, &[0xff]).unwrap();
        assert!(matches!(read_text(&path), Err(SecretFileError::NoText { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_text(&path), Err(SecretFileError::Missing { .. })));
    }
}
