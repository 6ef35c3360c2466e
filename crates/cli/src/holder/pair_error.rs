//! Why a certificate and its key are not read, or not replaced.

use std::path::PathBuf;

use base::{Explain, Kind};

use super::folder_lock::WriteError;
use super::pem_file_error::PemFileError;

/// Nothing was changed, unless a [`WriteError`] says so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PairError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] PemFileError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What is in the files is not one certificate and its key.
    #[error(transparent)]
    NotOnePair(#[from] NotOnePair),
    /// The new certificate is for another key than it is to be kept with.
    #[error("the new certificate for {} does not belong to its key, and was not kept", .0.display())]
    Foreign(PathBuf),
}

impl Explain for PairError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Write(error) => error.kind(),
            Self::NotOnePair(error) => error.kind(),
            Self::Foreign(_) => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::Write(error) => error.help(),
            Self::NotOnePair(error) => error.help(),
            Self::Foreign(_) => None,
        }
    }
}

/// There is not exactly one certificate and exactly one key that belong together: `Could not find (exactly) one matching
/// key pair in …` to the programs of old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotOnePair {
    /// The file of the certificate.
    pub(crate) certificate: PathBuf,
    /// How many certificates are in it.
    pub(crate) certificates: usize,
    /// The file of the key; the other one where that has a key.
    pub(crate) key: PathBuf,
    /// How many keys are in it. Where there is one of both, they do not belong together.
    pub(crate) keys: usize,
    /// Whether both have to be in one file.
    pub(crate) is_one_file: bool,
}

impl std::error::Error for NotOnePair {}

impl std::fmt::Display for NotOnePair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match (self.certificates, self.keys) {
            (1, 1) if self.key == self.certificate => {
                write!(f, "the certificate and the private key in {key} do not belong together")
            }
            (1, 1) => {
                write!(
                    f,
                    "the certificate in {certificate} and the private key in {key} do not belong together"
                )
            }
            (1, 0) => write!(f, "there is no private key in {key}"),
            (1, keys) => write!(f, "there are {keys} private keys in {key}, and one is to be there"),
            (0, _) => write!(f, "there is no certificate in {certificate}"),
            (count, _) => {
                write!(f, "there are {count} certificates in {certificate}, and one is to be there")
            }
        }
    }
}

impl Explain for NotOnePair {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        let text = match (self.certificates, self.keys) {
            (1, 0) | (0, 1) if self.is_one_file => "the certificate and its private key go into one file",
            (1, 1) => {
                "`openssl x509 -pubkey -noout -in FILE` and `openssl pkey -pubout -in FILE` print what has to be the same"
            }
            (1, 0) if self.key == self.certificate => {
                "where its key is in a file of its own, name that one as well"
            }
            (1, 0) => "name the file in which the certificate's private key is",
            (0, _) | (1, _) => return None,
            _ => "certificates of authorities belong into a file of their own",
        };
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_too_many_is_told() {
        for (key, certificates, keys, expected) in [
            ("k", 1, 1, "the certificate in c and the private key in k do not belong together"),
            ("c", 1, 1, "the certificate and the private key in c do not belong together"),
            ("k", 1, 0, "there is no private key in k"),
            ("c", 1, 2, "there are 2 private keys in c, and one is to be there"),
            ("k", 0, 1, "there is no certificate in c"),
            ("k", 3, 0, "there are 3 certificates in c, and one is to be there"),
        ] {
            let (certificate, key) = ("c".into(), key.into());
            let error = NotOnePair { certificate, certificates, key, keys, is_one_file: false };
            assert_eq!(error.to_string(), expected);
        }
    }

    /// Nobody is led to an option that the command has not, or to name again what was named.
    #[test]
    fn what_helps_depends_on_where_the_key_may_be() {
        let one = "the certificate and its private key go into one file";
        for (key, certificates, keys, is_one_file, expected) in [
            ("c", 1, 0, false, Some("where its key is in a file of its own, name that one as well")),
            ("k", 1, 0, false, Some("name the file in which the certificate's private key is")),
            ("c", 1, 0, true, Some(one)),
            ("c", 0, 1, true, Some(one)),
            ("c", 0, 1, false, None),
        ] {
            let (certificate, key) = ("c".into(), key.into());
            let error = NotOnePair { certificate, certificates, key, keys, is_one_file };
            assert_eq!(error.help().as_deref(), expected, "{error}");
        }
    }
}
