//! What is presented to a server, and which servers are believed.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use x509::pem::{self, PemError};

use crate::client::Trust;
use crate::nearby::Nearby;

/// Which authorities a server's certificate may come from, and the client certificate.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whose servers are believed.
    pub trust: Trust,
    /// A client certificate with those above it, and its key, all PEM.
    pub certificate: Option<Secret<Vec<u8>>>,
    /// Which servers are on this machine.
    pub nearby: Option<Nearby>,
}

impl Default for Access {
    /// The system's authorities, and no certificate.
    fn default() -> Self {
        Self { trust: Trust::System, certificate: None, nearby: None }
    }
}

/// Why the files of a service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is not PEM.
    #[error("{} cannot be used", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: PemError,
    },
    /// What was looked for is not in the file.
    #[error("there is no {what} in {}", path.display())]
    Missing {
        /// A certificate or a private key.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The authorities are for everybody to see, and a key is not.
    #[error("there is a private key among the authorities in {}", path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("a client certificate and its key are given together")]
    Half,
}

impl Explain for AccessError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Unreadable { .. } => Kind::Unavailable,
            Self::Pem { .. } | Self::Missing { .. } | Self::PrivateKey { .. } | Self::Half => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some("see that the file is there, and that you may read it".into()),
            Self::Pem { .. } => Some("it is to be PEM, as `openssl` writes it".into()),
            Self::Missing { what, .. } => Some(format!("put a {what} into it, as PEM")),
            Self::PrivateKey { .. } => Some("name a file with certificates alone".into()),
            Self::Half => Some("name both, or one file that has both in it".into()),
        }
    }
}

impl Access {
    /// As three files say: the authorities (all of the system's where there is none), the client certificate and its key.
    /// The certificate and the key may be in one file.
    ///
    /// # Errors
    /// When a file cannot be read, or has not in it what it should, or only one of the certificate and the key is given.
    pub fn from_files(
        ca: Option<&Path>,
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Self, AccessError> {
        let trust = match ca {
            None => Trust::System,
            Some(path) => Trust::Only(authorities(path)?),
        };
        let certificate = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(identity(certificate, key)?),
            (Some(_), None) | (None, Some(_)) => return Err(AccessError::Half),
        };
        Ok(Self { trust, certificate, nearby: None })
    }
}

fn authorities(path: &Path) -> Result<Vec<u8>, AccessError> {
    let blocks = blocks(path)?;
    if blocks.iter().any(|(label, _)| is_private(label)) {
        return Err(AccessError::PrivateKey { path: path.to_owned() });
    }
    let pem: String = blocks.iter().filter(|(label, _)| label == CERTIFICATE).map(written).collect();
    if pem.is_empty() {
        return Err(AccessError::Missing { what: "certificate", path: path.to_owned() });
    }
    Ok(pem.into_bytes())
}

/// The certificates of one file and the key of the other: what else stands in them would not belong together.
fn identity(certificate: &Path, key: &Path) -> Result<Secret<Vec<u8>>, AccessError> {
    let missing = |what, path: &Path| AccessError::Missing { what, path: path.to_owned() };
    let mut pem: String =
        blocks(certificate)?.iter().filter(|(label, _)| label == CERTIFICATE).map(written).collect();
    if pem.is_empty() {
        return Err(missing("certificate", certificate));
    }
    let keys = blocks(key)?;
    let key = keys.iter().find(|(label, _)| is_private(label)).ok_or_else(|| missing("private key", key))?;
    let key = Secret::new(written(key));
    // Room at once: growing would leave a copy of the key behind.
    pem.reserve_exact(key.expose().len());
    pem.push_str(key.expose());
    Ok(Secret::new(pem.into_bytes()))
}

/// A label, and what is in the block.
type Block = (String, Secret<Vec<u8>>);

const CERTIFICATE: &str = "CERTIFICATE";

fn is_private(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}

fn written((label, der): &Block) -> String {
    pem::write(label, der.expose())
}

fn blocks(path: &Path) -> Result<Vec<Block>, AccessError> {
    let text =
        std::fs::read(path).map_err(|source| AccessError::Unreadable { path: path.to_owned(), source })?;
    let text = Secret::new(text);
    let blocks = pem::read(text.expose(), pem::SEVERAL_BYTES_MAX)
        .map_err(|source| AccessError::Pem { path: path.to_owned(), source })?;
    Ok(blocks.into_iter().map(|block| (block.label, Secret::new(block.der))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_for_what_they_are_named_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (one, key) = (pem::write("CERTIFICATE", b"x"), pem::write("RSA PRIVATE KEY", b"k"));
        let ca = file("ca", &format!("text\n{one}\n{one}"));
        let both = file("both", &format!("{key}{one}"));
        let key_file = file("key", &format!("{}{key}", pem::write("EC PARAMETERS", b"p")));
        let access = Access::from_files(Some(&ca), Some(&both), Some(&key_file)).unwrap();
        assert_eq!(access.trust, Trust::Only(one.repeat(2).into_bytes()));
        let in_one = Access::from_files(None, Some(&both), Some(&both)).unwrap();
        for access in [access, in_one] {
            assert_eq!(access.certificate.unwrap().expose(), format!("{one}{key}").as_bytes());
        }
        let absent = directory.path().join("absent");
        for (files, expected) in [
            ([Some(&both), None, None], "there is a private key among the authorities in "),
            ([Some(&key_file), None, None], "there is a private key among"),
            ([Some(&absent), None, None], "could not read "),
            ([None, Some(&ca), Some(&ca)], "there is no private key in "),
            ([None, Some(&key_file), Some(&key_file)], "there is no certificate in "),
            ([None, Some(&both), None], "a client certificate and its key are given together"),
        ] {
            let [ca, certificate, key] = files.map(|file| file.map(PathBuf::as_path));
            let error = Access::from_files(ca, certificate, key).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
