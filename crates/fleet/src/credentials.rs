//! Credentials at rest: in the original's place and form (commissaire contract, section 10.3), sealed.
//!
//! Under `/commissaire/custodia/keys/hosts/<address>` lies a JWE, as Custodia's encrypted overlay makes it. What is
//! sealed is `{"type":"simple","value":BASE64}`, and its value the document `{"address", "ssh_priv_key",
//! "remote_user"}`. Other than the original's, the seal says which key it belongs to, so that no two can be swapped.

use base::{Explain, Kind, Secret};
use identity::Permit;
use store::CommitError;

use crate::add::AddHostError;
use crate::address::HostAddress;
use crate::draft::Draft;
use crate::error::{OpenSecretError, from_store, of_store};
use crate::host::TEXT_BYTES_MAX;
use crate::record::{CredentialsDocument, SealedRecord};
use crate::service::{Fleet, ReadCredentials};
use crate::ssh_key;

/// How to get into a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The private key file in base64, as it was given: neither decoded nor checked. Perhaps empty.
    pub ssh_priv_key: Secret<String>,
    /// Who to be there.
    pub remote_user: String,
}

impl Default for Credentials {
    /// No key, for `root`.
    fn default() -> Self {
        Self { ssh_priv_key: Secret::new(String::new()), remote_user: "root".into() }
    }
}

impl Credentials {
    /// Takes what somebody says who means to get into the host: the text of a private key file, and who to be there.
    /// Both may be left out.
    ///
    /// # Errors
    /// [`BadCredentials`], the first rule that is broken. Nothing of the key is in it.
    pub fn usable(user: Option<String>, key: Option<&Secret<String>>) -> Result<Self, BadCredentials> {
        let mut credentials = Self::default();
        if let Some(user) = user {
            if !is_user(&user) {
                return Err(BadCredentials::User);
            }
            credentials.remote_user = user;
        }
        if let Some(key) = key.map(Secret::expose) {
            if key.len() > ssh_key::TEXT_BYTES_MAX {
                return Err(BadCredentials::KeyTooLong);
            }
            if let Some(reason) = ssh_key::fault(key) {
                return Err(BadCredentials::Key { reason });
            }
            credentials.ssh_priv_key = Secret::new(ssh_key::kept(key));
        }
        Ok(credentials)
    }

    /// The text of the private key file. What is none, because others put it there, comes as it is.
    #[must_use]
    pub fn key_text(&self) -> Secret<String> {
        let kept = self.ssh_priv_key.expose();
        Secret::new(ssh_key::text(kept).unwrap_or_else(|| kept.clone()))
    }
}

/// Whether it can be somebody's name on a host: 1 to 200 letters, digits, `_`, `.`, `@` and `-`, beginning with none of
/// the last three, so that no command takes it for an option.
fn is_user(name: &str) -> bool {
    let bytes = name.as_bytes();
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (1..=TEXT_BYTES_MAX).contains(&bytes.len())
        && bytes.first().is_some_and(first)
        && bytes.iter().all(|byte| first(byte) || b".@-".contains(byte))
}

/// Why nobody can get into a host with what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// Nobody on a host is called so.
    #[error(
        "`remote_user` has other characters than letters, digits, `_`, `.`, `@` and `-`, or too many, or begins with \
         one of the last three"
    )]
    User,
    /// The key file is too long.
    #[error("`ssh_private_key` is longer than {} bytes", ssh_key::TEXT_BYTES_MAX)]
    KeyTooLong,
    /// The key file is none, or cannot be used without somebody who types.
    #[error("`ssh_private_key` is no private key that can be used: {reason}")]
    Key {
        /// What is wrong with it.
        reason: String,
    },
}

impl Explain for BadCredentials {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Key { .. } => Some("give the whole file, as `ssh-keygen -N ''` makes it".into()),
            Self::User | Self::KeyTooLong => None,
        }
    }
}

/// Why a host's credentials could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no such host.
    #[error("the host {address} does not exist")]
    NoSuchHost {
        /// Which.
        address: HostAddress,
    },
    /// The host has none.
    #[error("the host {address} has no credentials")]
    None {
        /// Which.
        address: HostAddress,
    },
    /// They cannot be opened.
    #[error("the stored credentials of {address} cannot be opened")]
    Sealed {
        /// Whose.
        address: HostAddress,
        /// Why.
        #[source]
        source: OpenSecretError,
    },
    /// The store failed.
    #[error("could not read the credentials")]
    Store(#[source] CommitError),
}

impl Explain for CredentialsError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchHost { .. } | Self::None { .. } => Kind::NotFound,
            Self::Sealed { .. } => Kind::Internal,
            Self::Store(source) => of_store(source),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::None { .. } => Some("delete the host, and add it again with its key".into()),
            Self::NoSuchHost { .. } | Self::Sealed { .. } | Self::Store(_) => None,
        }
    }
}

from_store!(CredentialsError);

impl Fleet {
    /// How to get into a host. The only answer that has its key.
    ///
    /// # Errors
    /// [`CredentialsError::NoSuchHost`] and [`CredentialsError::None`] when there is nothing to show; a store that
    /// fails, or a seal that does not open, is never taken for that.
    pub async fn credentials(
        &self,
        _permit: Permit<ReadCredentials>,
        address: &HostAddress,
    ) -> Result<Credentials, CredentialsError> {
        let address = &self.known(address).await?;
        if self.tables.host.get(address.as_str()).await?.is_none() {
            return Err(CredentialsError::NoSuchHost { address: address.clone() });
        }
        let sealed = self.tables.credentials.get(address.as_str()).await?;
        let sealed = sealed.ok_or_else(|| CredentialsError::None { address: address.clone() })?;
        self.open_credentials(address, &sealed.record)
            .map_err(|source| CredentialsError::Sealed { address: address.clone(), source })
    }

    /// A host's key as it is stored, to compare another one with; empty when it has none.
    pub(crate) async fn stored_key(&self, address: &HostAddress) -> Result<Secret<String>, AddHostError> {
        match self.tables.credentials.get(address.as_str()).await? {
            None => Ok(Secret::new(String::new())),
            Some(sealed) => self
                .open_credentials(address, &sealed.record)
                .map(|credentials| credentials.ssh_priv_key)
                .map_err(|source| AddHostError::Sealed { address: address.clone(), source }),
        }
    }

    /// Writes credentials over whatever was left in their place.
    pub(crate) fn stage_credentials(
        &self,
        draft: &mut Draft,
        address: &HostAddress,
        credentials: &Credentials,
    ) -> Result<(), store::Error> {
        let document = CredentialsDocument {
            address: address.to_string(),
            ssh_priv_key: credentials.ssh_priv_key.clone(),
            remote_user: credentials.remote_user.clone(),
        };
        let table = &self.tables.credentials;
        let key = table.key(address.as_str())?;
        let sealed =
            self.ground.sealing.seal(key.as_str(), document.wrapped().expose(), &self.ground.entropy);
        table.put(&mut draft.batch, address.as_str(), &SealedRecord(sealed))
    }

    fn open_credentials(
        &self,
        address: &HostAddress,
        sealed: &SealedRecord,
    ) -> Result<Credentials, OpenSecretError> {
        let content = |reason: String| OpenSecretError::Content { reason };
        let about =
            self.tables.credentials.key(address.as_str()).map_err(|error| content(error.to_string()))?;
        let wrapped = self.ground.sealing.open(about.as_str(), &sealed.0)?;
        let document = CredentialsDocument::unwrapped(&wrapped).map_err(content)?;
        Ok(Credentials { ssh_priv_key: document.ssh_priv_key, remote_user: document.remote_user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names() {
        let long = "a".repeat(TEXT_BYTES_MAX);
        for (name, is_fine) in [
            ("root", true),
            ("ec2-user", true),
            ("_a.b@c", true),
            (&long, true),
            (&format!("{long}a"), false),
            ("", false),
            ("-oProxyCommand", false),
            ("a b", false),
            ("é", false),
            ("a\n", false),
        ] {
            let expected = if is_fine { Ok(name.to_owned()) } else { Err(BadCredentials::User) };
            let found = Credentials::usable(Some(name.to_owned()), None);
            assert_eq!(found.map(|found| found.remote_user), expected, "{name:?}");
        }
    }

    #[test]
    fn keys_come_back_as_they_were_given() {
        let pem = x509::PrivateKey::generate(x509::KeySpec::Ed25519).unwrap().to_pem();
        let credentials = Credentials::usable(None, Some(&pem)).unwrap();
        assert_eq!((credentials.key_text(), credentials.remote_user.as_str()), (pem, "root"));
        assert_eq!(Credentials::usable(None, None), Ok(Credentials::default()));
        for (kept, shown) in
            [("YSBrZXkK", "a key\n"), ("", ""), ("no base64!", "no base64!"), ("/w==", "/w==")]
        {
            let kept = Credentials { ssh_priv_key: Secret::new(kept.into()), ..Credentials::default() };
            assert_eq!(kept.key_text().expose(), shown);
        }
        for (key, part) in [
            ("hunter2".to_owned(), "no private key that can be used: "),
            ("x".repeat(ssh_key::TEXT_BYTES_MAX + 1), "longer than 49152 bytes"),
        ] {
            let error = Credentials::usable(None, Some(&Secret::new(key))).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }
}
