//! A temporary access key in a file, in the form of Amazon's shared credentials. Whoever renews it writes the file anew,
//! and it is read again whenever it has changed.
//!
//! ```text
//! [default]
//! aws_access_key_id = ASIA...
//! aws_secret_access_key = ...
//! aws_session_token = ...
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use base::{Explain, Kind, Secret};
use store::blobs::{S3Key, S3KeySource};

use crate::secret_file::{self, SecretFileError};

/// The profile that is read.
const PROFILE: &str = "default";

/// A key could not be had from its file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// Something is not in it.
    #[error("there is no `{name}` under `[{PROFILE}]` in {}", path.display())]
    Missing {
        /// What.
        name: &'static str,
        /// Where.
        path: PathBuf,
    },
}

impl Explain for KeyFileError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(source) => source.kind(),
            Self::Missing { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(source) => source.help(),
            Self::Missing { .. } => None,
        }
    }
}

/// The key in a file.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    key: S3Key,
    /// What the file looked like when that was read.
    seen: Option<Seen>,
}

/// When it was written, and how long it is.
type Seen = (SystemTime, u64);

impl KeyFile {
    /// Reads the file at `path`.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        // Before it is read: what is written meanwhile is read again.
        let seen = seen(path);
        Ok(Self { path: path.to_owned(), read: Mutex::new(Read { key: key(path)?, seen }) })
    }
}

impl S3KeySource for KeyFile {
    fn key(&self) -> S3Key {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen(&self.path);
        if seen.is_some() && seen != read.seen {
            read.seen = seen;
            match key(&self.path) {
                Ok(key) => read.key = key,
                // It may be being written: the one from before may still be good.
                Err(error) => {
                    tracing::warn!(error = %base::report(&error), "the access key of the bucket could not be read again");
                }
            }
        }
        read.key.clone()
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn key(path: &Path) -> Result<S3Key, KeyFileError> {
    let text = secret_file::read_text(path)?;
    let find = |name| value(text.expose(), name);
    let missing = |name| KeyFileError::Missing { name, path: path.to_owned() };
    const ID: &str = "aws_access_key_id";
    const SECRET: &str = "aws_secret_access_key";
    Ok(S3Key {
        id: find(ID).ok_or_else(|| missing(ID))?.to_owned(),
        secret: Secret::new(find(SECRET).ok_or_else(|| missing(SECRET))?.to_owned()),
        session: find("aws_session_token").map(|session| Secret::new(session.to_owned())),
    })
}

/// What stands under a name in the profile.
fn value<'t>(text: &'t str, wanted: &str) -> Option<&'t str> {
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(profile) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_inside = profile.trim() == PROFILE;
        } else if is_inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == wanted
            && !value.trim().is_empty()
        {
            return Some(value.trim());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use store::private_file;

    use super::*;

    #[test]
    fn a_key_is_read_again_when_its_file_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        let write = |text: &str| private_file::replace(&path, text.as_bytes()).unwrap();
        assert!(KeyFile::open(&path).is_err());
        write(
            "[other]\naws_access_key_id = x\naws_secret_access_key = y\n[default]\naws_access_key_id = a\n",
        );
        let error = KeyFile::open(&path).unwrap_err();
        assert!(error.to_string().contains("no `aws_secret_access_key` under `[default]`"), "{error}");
        write("[default]\naws_access_key_id=a\naws_secret_access_key = s=\n");
        let file = KeyFile::open(&path).unwrap();
        let told = |key: S3Key| {
            (key.id, key.secret.expose().clone(), key.session.map(|session| session.expose().clone()))
        };
        assert_eq!(told(file.key()), ("a".into(), "s=".into(), None));
        write("[default]\naws_access_key_id=bb\naws_secret_access_key=t\naws_session_token = u\n");
        assert_eq!(told(file.key()), ("bb".into(), "t".into(), Some("u".into())));
        write("half");
        assert_eq!(file.key().id, "bb", "the one from before");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.key().id, "bb");
        assert!(!format!("{file:?}").contains("\"t\""));
    }
}
