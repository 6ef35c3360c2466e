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
use crate::host::Credentials;
use crate::record::{CredentialsDocument, SealedRecord};
use crate::service::{Fleet, ReadCredentials};

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
