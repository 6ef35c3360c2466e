//! The file with which entries are signed: two private keys, PEM, for its owner alone (mode 0600).
//!
//! ```text
//! -----BEGIN PRIVATE KEY-----    RSA: makes the outer signature, which old readers know
//! -----BEGIN CERTIFICATE-----    over it, for old readers' lists of whom to trust
//! -----BEGIN PRIVATE KEY-----    Ed25519: attests, inside the text
//! ```
//! Their order does not matter. `provost cache sign-key` makes such a file.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use entry::{SigningKey, SigningKeyError};
use x509::pem::{self, PemError};
use x509::{KeyKind, PrivateKey};

use crate::connection::own_file;
use crate::private_file;

/// Its name in the folder of the user's own settings.
const NAME: &str = "cache-sign-key.pem";

/// The longest file that is read: two keys of any size.
const FILE_BYTES_MAX: u16 = u16::MAX;

/// Nobody signs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningFileError {
    /// Nobody says where it is.
    #[error("nothing says which key to sign with")]
    Nowhere,
    /// It is unreadable.
    #[error("could not read {}, which signs", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others could sign with it as well.
    #[error("{} may be read by others (mode {mode:04o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no PEM.
    #[error("{} cannot be signed with", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// The RSA key in it.
    #[error("{} cannot be signed with", path.display())]
    Rsa {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SigningKeyError,
    },
    /// There must be one of each.
    #[error("{} must have one {what} in it", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Which key.
        what: &'static str,
    },
}

impl Explain for SigningFileError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreadable { .. } => Kind::NotFound,
            Self::Rsa { source, .. } => source.kind(),
            Self::Nowhere | Self::Exposed { .. } | Self::Pem { .. } | Self::Missing { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Nowhere | Self::Missing { .. } => {
                Some("`provost cache sign-key NAME` makes one; --sign-key FILE names it".to_owned())
            }
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("`provost cache sign-key NAME` makes one; --sign-key FILE names another one".to_owned())
            }
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::Unreadable { .. } | Self::Pem { .. } | Self::Rsa { .. } => None,
        }
    }
}

/// What signs entries.
#[derive(Debug)]
pub(crate) struct SigningFile {
    /// Makes the outer signature.
    pub(crate) outer: SigningKey,
    /// Attests.
    pub(crate) attester: PrivateKey,
}

/// Where the file is when nobody says so.
pub(crate) fn default_path() -> Option<PathBuf> {
    own_file(NAME)
}

impl SigningFile {
    /// The file that was named, or the user's own.
    pub(crate) fn read(named: Option<&Path>) -> Result<Self, SigningFileError> {
        let path = named.map(Path::to_owned).or_else(default_path).ok_or(SigningFileError::Nowhere)?;
        let text = private_file::read(&path, FILE_BYTES_MAX.into()).map_err(|error| match error {
            private_file::ReadError::Exposed(mode) => SigningFileError::Exposed { path: path.clone(), mode },
            private_file::ReadError::System(source) => {
                SigningFileError::Unreadable { path: path.clone(), source }
            }
        })?;
        Self::parse(text, &path)
    }

    fn parse(text: Secret<Vec<u8>>, path: &Path) -> Result<Self, SigningFileError> {
        let path = || path.to_owned();
        let blocks = pem::read(text.expose(), FILE_BYTES_MAX.into())
            .map_err(|source| SigningFileError::Pem { path: path(), source })?;
        let (mut outer, mut attester) = (Vec::new(), Vec::new());
        for block in blocks {
            if !block.label.ends_with("PRIVATE KEY") {
                continue;
            }
            let der = Secret::new(block.der);
            match PrivateKey::from_pkcs8_der(der.expose()) {
                Ok(key) if *key.public().kind() == KeyKind::Ed25519 => attester.push(key),
                // Also one that is too short for anything else.
                _ => {
                    let block = Secret::new(pem::write(&block.label, der.expose()));
                    let key = SigningKey::from_pem(block.expose())
                        .map_err(|source| SigningFileError::Rsa { path: path(), source })?;
                    outer.push(key);
                }
            }
        }
        let one = |what| SigningFileError::Missing { path: path(), what };
        let (Some(attester), []) = (attester.pop(), &attester[..]) else { return Err(one("Ed25519 key")) };
        let (Some(outer), []) = (outer.pop(), &outer[..]) else { return Err(one("RSA key")) };
        Ok(Self { outer, attester })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509::KeySpec;

    #[test]
    fn there_is_one_key_of_each_kind() {
        let pem = |spec| PrivateKey::generate(spec).unwrap().to_pem().expose().clone();
        let (rsa, ed25519, p256) =
            (pem(KeySpec::Rsa { bits: 2048 }), pem(KeySpec::Ed25519), pem(KeySpec::P256));
        let read = |text: &str| {
            let read = SigningFile::parse(Secret::new(text.into()), Path::new("/file"));
            read.map(drop).map_err(|error| base::report(&error))
        };
        let certificate = pem::write("CERTIFICATE", b"anything");
        for (text, expected) in [
            (format!("words\n{rsa}{certificate}{ed25519}"), None),
            (format!("{ed25519}{rsa}"), None),
            (String::new(), Some("/file must have one Ed25519 key in it")),
            (rsa.clone(), Some("/file must have one Ed25519 key in it")),
            (ed25519.clone(), Some("/file must have one RSA key in it")),
            (format!("{ed25519}{rsa}{rsa}"), Some("/file must have one RSA key in it")),
            (format!("{ed25519}{ed25519}{rsa}"), Some("/file must have one Ed25519 key in it")),
            (format!("{ed25519}{p256}"), Some("/file cannot be signed with: Not an RSA key")),
        ] {
            assert_eq!(read(&text).err().as_deref(), expected);
        }
        assert!(read("-----BEGIN X-----").unwrap_err().starts_with("/file cannot be signed with: "));
    }
}
