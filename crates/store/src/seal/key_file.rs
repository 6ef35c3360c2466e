//! The file that holds the sealing key: one line, a JSON Web Key (RFC 7517), as Custodia keeps its own.

use std::io;
use std::path::{Path, PathBuf};

use base::{Entropy, Explain, Kind, Secret};
use base64::Engine as _;
use serde::Deserialize;

use super::{BASE64URL, KEY_BYTES, SealingKey};
use crate::files::sync_directory_of;
use crate::private_file::{self, ReadError};

/// Why something could not be opened, or the key for it not be had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It was sealed about something else, or is no sealed value.
    #[error("what is sealed does not belong to `{about}`")]
    Foreign {
        /// What it should be about.
        about: String,
    },
    /// It was changed, or sealed under another key.
    #[error("what is sealed for `{about}` was changed, or sealed under another key")]
    Broken {
        /// What it is about.
        about: String,
    },
    /// The key file cannot be read, or others may read it too.
    #[error("could not use the sealing key")]
    Read(#[from] ReadError),
    /// There is something else in the key file.
    #[error("{} does not hold a sealing key: a JSON Web Key of {KEY_BYTES} bytes", path.display())]
    NotAKey {
        /// The key file.
        path: PathBuf,
    },
    /// The key file cannot be made.
    #[error("could not use the sealing key {} ({doing})", path.display())]
    Files {
        /// The key file.
        path: PathBuf,
        /// What was being done, as a gerund.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Explain for SealError {
    fn kind(&self) -> Kind {
        match self {
            Self::Foreign { .. } | Self::Broken { .. } => Kind::Internal,
            Self::Read(source) => source.kind(),
            Self::NotAKey { .. } => Kind::Invalid,
            Self::Files { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Broken { .. } => Some("see that the key file is the one this store was made with".into()),
            Self::Read(source) => source.help(),
            Self::NotAKey { .. } => {
                Some("restore the key file from a backup; a new key opens nothing old".into())
            }
            Self::Foreign { .. } | Self::Files { .. } => None,
        }
    }
}

/// What the file holds. Members that a key may have besides are let be.
#[derive(Deserialize)]
struct Jwk<'t> {
    kty: &'t str,
    k: &'t str,
}

impl SealingKey {
    /// The key in the file at `path`; when there is no such file, a new key, which is there before this returns.
    ///
    /// The file appears whole or not at all, for its owner only. When several processes make it at once, all
    /// get the key of the one that was first.
    ///
    /// # Errors
    /// [`SealError::Read`] when it cannot be read or others may read it, [`SealError::NotAKey`] when it holds
    /// something else, [`SealError::Files`] otherwise.
    pub fn load_or_create(path: &Path, entropy: &Entropy) -> Result<Self, SealError> {
        let files = |doing| move |source| SealError::Files { path: path.into(), doing, source };
        if let Some(key) = load(path)? {
            return Ok(key);
        }
        create(path, &Self::generate(entropy), entropy).map_err(files("creating it"))?;
        load(path)?.ok_or_else(|| files("reading it back")(io::ErrorKind::NotFound.into()))
    }
}

fn load(path: &Path) -> Result<Option<SealingKey>, SealError> {
    let Some(text) = private_file::read(path)? else { return Ok(None) };
    match parse(text.expose()) {
        Some(key) => Ok(Some(key)),
        None => Err(SealError::NotAKey { path: path.into() }),
    }
}

fn parse(text: &[u8]) -> Option<SealingKey> {
    let jwk: Jwk<'_> = serde_json::from_slice(text).ok()?;
    let bytes = Secret::new(BASE64URL.decode(jwk.k).ok()?);
    let key = <[u8; KEY_BYTES]>::try_from(bytes.expose().as_slice()).ok()?;
    (jwk.kty == "oct").then(|| SealingKey(Secret::new(key)))
}

/// Makes the file whole, then gives it its name, unless the name was given meanwhile.
fn create(path: &Path, key: &SealingKey, entropy: &Entropy) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}", entropy.number()));
    let unnamed = PathBuf::from(name);
    let k = Secret::new(BASE64URL.encode(key.0.expose()));
    let line = Secret::new(format!("{{\"kty\":\"oct\",\"k\":\"{}\"}}\n", k.expose()));
    private_file::write_new(&unnamed, line.expose().as_bytes())?;
    let linked = match std::fs::hard_link(&unnamed, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    // The first error is the one to tell.
    let removed = std::fs::remove_file(&unnamed);
    linked.and(removed)?;
    sync_directory_of(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn is_made_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let made = SealingKey::load_or_create(&path, &Entropy::seeded(1)).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left there");
        let found = SealingKey::load_or_create(&path, &Entropy::seeded(2)).unwrap();
        assert_eq!(made.0, found.0);
    }

    #[test]
    fn golden_bytes() {
        let key = SealingKey(Secret::new(std::array::from_fn(|i| u8::try_from(i).unwrap())));
        let line = "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v\
                    MDEyMzQ1Njc4OTo7PD0-Pw\"}\n";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        create(&path, &key, &Entropy::seeded(1)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), line);
        assert_eq!(load(&path).unwrap().unwrap().0, key.0);
    }

    #[test]
    fn who_comes_second_gets_the_key_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let keys = std::thread::scope(|threads| {
            let rivals: Vec<_> = (0..8)
                .map(|seed| {
                    let path = &path;
                    threads.spawn(move || SealingKey::load_or_create(path, &Entropy::seeded(seed)).unwrap())
                })
                .collect();
            rivals.into_iter().map(|rival| rival.join().unwrap().0).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_may_read_is_refused_with_the_cure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        SealingKey::load_or_create(&path, &Entropy::seeded(1)).unwrap();
        for bits in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(bits)).unwrap();
            let error = SealingKey::load_or_create(&path, &Entropy::seeded(1)).unwrap_err();
            assert!(
                matches!(error, SealError::Read(ReadError::Exposed { mode, .. }) if mode == bits),
                "{error}"
            );
            assert_eq!(error.help(), Some(format!("chmod 600 {}", path.display())));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let [short, right, long] = [63, 64, 65].map(|length| BASE64URL.encode(vec![1; length]));
        for text in [
            String::new(),
            "hunter2".into(),
            format!(r#"{{"kty":"oct","k":"{short}"}}"#),
            format!(r#"{{"kty":"oct","k":"{long}"}}"#),
            format!(r#"{{"kty":"RSA","k":"{right}"}}"#),
            format!(r#"{{"kty":"oct","k":"{right}=="}}"#),
            format!(r#"{{"kty":"oct","k":"{right}"}} more"#),
        ] {
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            let error = SealingKey::load_or_create(&path, &Entropy::seeded(1)).unwrap_err();
            assert!(matches!(error, SealError::NotAKey { .. }), "{error} for {text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let named = format!(r#"{{"kid":"1","kty":"oct","k":"{right}","use":"enc"}}"#);
        std::fs::write(&path, named).unwrap();
        assert!(SealingKey::load_or_create(&path, &Entropy::seeded(1)).is_ok());
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nowhere").join("sealing.key");
        let error = SealingKey::load_or_create(&path, &Entropy::seeded(1)).unwrap_err();
        assert!(matches!(error, SealError::Files { doing: "creating it", .. }), "{error:?}");
    }
}
