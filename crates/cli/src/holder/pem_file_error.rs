//! Why a file of PEM blocks is not read.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use x509::pem::{self, PemError};
use x509::{Certificate, Crl, KeyError, ParseError, PrivateKey, SigningRequest};

/// Nothing of the file was taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemFileError {
    /// There is none.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// The system refuses it.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a pipe or something else of which nobody knows where it ends.
    #[error("{} is no regular file", .0.display())]
    Irregular(PathBuf),
    /// It is longer than is read.
    #[error("{} is longer than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: usize,
    },
    /// There is something in it, but no PEM.
    #[error("{} is no PEM{}", path.display(), if der.is_some() { ", but DER" } else { "" })]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it is, where it is DER.
        der: Option<Der>,
    },
    /// A block in it does not end, or is no base64: the file was cut off, or is being written.
    #[error("{} is no whole PEM", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: PemError,
    },
    /// A private key in it is under a passphrase.
    #[error("the private key in {} is encrypted", .0.display())]
    Encrypted(PathBuf),
    /// A private key in it is none, or of a kind that we do not know.
    #[error("the private key in {} cannot be used", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// A certificate in it is none.
    #[error("certificate {number} in {} cannot be read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The how manieth it is, from 1.
        number: usize,
        /// Why not.
        #[source]
        source: ParseError,
    },
    /// A signing request in it is none, or is not signed by the key it is for.
    #[error("the signing request in {} cannot be read", path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ParseError,
    },
    /// A revocation list in it is none.
    #[error("revocation list {number} in {} cannot be read", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// The how manieth it is, from 1.
        number: usize,
        /// Why not.
        #[source]
        source: ParseError,
    },
}

impl PemFileError {
    /// Whether what is in the file is at fault, and not the way to it.
    pub(super) fn is_about_content(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Unreadable { .. } | Self::Irregular(_) => false,
            Self::TooLarge { .. }
            | Self::NotPem { .. }
            | Self::Broken { .. }
            | Self::Encrypted(_)
            | Self::Key { .. }
            | Self::Certificate { .. }
            | Self::Request { .. }
            | Self::List { .. } => true,
        }
    }
}

impl Explain for PemFileError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::NotFound,
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Kind::Forbidden
            }
            Self::Unreadable { .. } => Kind::NotFound,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Irregular(_)
            | Self::NotPem { .. }
            | Self::Broken { .. }
            | Self::Encrypted(_)
            | Self::Key { .. }
            | Self::Certificate { .. }
            | Self::Request { .. }
            | Self::List { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotPem { path, der: Some(der) } => Some(der.conversion(path)),
            Self::Encrypted(path) => {
                let path = path.display();
                // Into another file: OpenSSL empties the one it writes to before it reads.
                Some(format!(
                    "`openssl pkey -in {path} -out {path}.clear && mv {path}.clear {path}` removes the passphrase"
                ))
            }
            Self::Key { source: KeyError::Unsupported { .. } | KeyError::Size { .. }, .. } => {
                Some("RSA from 2048 to 8192 bits, ECDSA with P-256 or P-384, and Ed25519 are".into())
            }
            Self::Certificate { source, .. } | Self::Request { source, .. } | Self::List { source, .. } => {
                source.help()
            }
            Self::Missing(_)
            | Self::Unreadable { .. }
            | Self::Irregular(_)
            | Self::TooLarge { .. }
            | Self::NotPem { der: None, .. }
            | Self::Broken { .. }
            | Self::Key { .. } => None,
        }
    }
}

/// What a file is that is DER and not PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Der {
    /// A certificate.
    Certificate,
    /// A private key.
    Key,
    /// A signing request.
    Request,
    /// A revocation list.
    List,
}

impl Der {
    /// What `bytes` are.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if Certificate::from_holder_der(bytes).is_ok() {
            Some(Self::Certificate)
        } else if SigningRequest::from_der(bytes).is_ok() {
            Some(Self::Request)
        } else if Crl::from_der(bytes).is_ok() {
            Some(Self::List)
        } else {
            let is_key = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"].into_iter().any(|label| {
                let text = Secret::new(pem::write(label, bytes));
                PrivateKey::from_pem(text.expose()).is_ok()
            });
            is_key.then_some(Self::Key)
        }
    }

    /// How to make PEM of it.
    fn conversion(self, path: &Path) -> String {
        let command = match self {
            Self::Certificate => "x509",
            Self::Key => "pkey",
            Self::Request => "req",
            Self::List => "crl",
        };
        let path = path.display();
        format!("`openssl {command} -inform DER -in {path} -out {path}.pem` converts it")
    }
}
