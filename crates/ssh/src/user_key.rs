//! The key that signs in.

use std::fmt;
use std::sync::Arc;

use base::{Explain, Kind, Secret};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey, decode_secret_key};
use zeroize::Zeroizing;

/// A user's private key: RSA, ECDSA or Ed25519. Cloning shares it; it is overwritten when the last clone is dropped.
#[derive(Clone)]
pub struct UserKey {
    key: Arc<PrivateKey>,
    /// SHA-256 of the whole private key. A public key would not do to tell two apart: a file may claim any.
    digest: [u8; 32],
}

/// Why a text is not a key that can sign in.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A passphrase protects it.
    #[error("the private key is protected by a passphrase")]
    Encrypted,
    /// It is the public half.
    #[error("this is a public key, not the private key")]
    Public,
    /// Not one of the three types.
    #[error("keys of type {0} cannot sign in; RSA, ECDSA and Ed25519 keys can")]
    Unsupported(String),
    /// The two halves do not belong together.
    #[error("the private key and the public key in the file do not belong together")]
    Mismatched,
    /// Nothing that is known.
    #[error("this is not a private key in OpenSSH or PEM format")]
    Unreadable,
}

impl Explain for KeyError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Encrypted => {
                "take the passphrase off a copy of it with `ssh-keygen -p -N '' -f COPY`".to_owned()
            }
            Self::Public => "give the file without `.pub`".to_owned(),
            Self::Unsupported(_) => "make one with `ssh-keygen -t ed25519`".to_owned(),
            Self::Mismatched | Self::Unreadable => {
                "check it with `ssh-keygen -y -P '' -f FILE`, which prints its public key".to_owned()
            }
        })
    }
}

impl UserKey {
    /// Reads a private key: OpenSSH's own format, PKCS#1 (`RSA PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`) or PKCS#8
    /// (`PRIVATE KEY`); with any line ends, and with blanks around lines.
    ///
    /// # Errors
    /// See [`KeyError`]. No error repeats anything of the text.
    pub fn parse(text: &Secret<String>) -> Result<Self, KeyError> {
        let text = tidied(text.expose());
        let first = text.lines().next().unwrap_or_default();
        if ["ssh-", "ecdsa-", "sk-"].iter().any(|start| first.starts_with(start))
            || first.starts_with("-----BEGIN PUBLIC KEY")
            || first.starts_with("---- BEGIN SSH2 PUBLIC KEY")
        {
            return Err(KeyError::Public);
        }
        if first.starts_with("-----BEGIN DSA PRIVATE KEY") {
            return Err(KeyError::Unsupported("ssh-dss".to_owned()));
        }
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let key = decode_secret_key(&text, None).map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => KeyError::Encrypted,
            russh::keys::Error::UnknownAlgorithm(oid) => KeyError::Unsupported(oid.to_string()),
            _ => KeyError::Unreadable,
        })?;
        match key.algorithm() {
            Algorithm::Rsa { .. } | Algorithm::Ecdsa { .. } | Algorithm::Ed25519 => {}
            other => return Err(KeyError::Unsupported(other.as_str().to_owned())),
        }
        let bytes = key.to_bytes().map_err(|_| KeyError::Unreadable)?;
        Ok(Self { digest: base::sha256(&bytes), key: Arc::new(key) })
    }

    /// Its public half, as a line of `authorized_keys` without a comment.
    #[must_use]
    pub fn authorized_key(&self) -> String {
        crate::HostKey::new(self.key.public_key().clone()).to_string()
    }

    /// Of its public half, as OpenSSH prints it: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The private key in OpenSSH's format. For transports other than SSH.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`] for a key that cannot be written down, which none is that was read.
    pub fn to_openssh(&self) -> Result<Secret<String>, KeyError> {
        let text = self.key.to_openssh(LineEnding::LF).map_err(|_| KeyError::Unreadable)?;
        Ok(Secret::new(text.to_string()))
    }

    pub(crate) fn private(&self) -> Arc<PrivateKey> {
        self.key.clone()
    }

    pub(crate) fn is_rsa(&self) -> bool {
        matches!(self.key.algorithm(), Algorithm::Rsa { .. })
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// The lines without what stands around them, and without empty ones at the beginning.
fn tidied(text: &str) -> Zeroizing<String> {
    let mut tidied = Zeroizing::new(String::with_capacity(text.len() + 1));
    for line in text.trim().lines() {
        tidied.push_str(line.trim());
        tidied.push('\n');
    }
    tidied
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserKey({})", self.fingerprint())
    }
}
