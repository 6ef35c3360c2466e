//! Container managers: what has the hosts of a cluster, to run containers on them.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};
use identity::Permit;

use crate::definition::{Definition, Secrets, WhileUsed};
use crate::error::DefinitionError;
use crate::name::ContainerManagerName;
use crate::options::Options;
use crate::service::{
    DeleteContainerManager, Expected, Fleet, Put, PutContainerManager, ReadContainerManagers,
    ReadSecretOptions, Seen, unreadable,
};

/// What one is called in the history and in errors.
pub(crate) const NOUN: &str = "container manager";

/// What kind of container manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ContainerManagerKind {
    /// OpenShift, which is spoken to like Kubernetes.
    #[default]
    OpenShift,
    /// Kubernetes.
    Kubernetes,
    /// One that takes every host and does nothing with it.
    Trivial,
}

impl ContainerManagerKind {
    /// As it is stored and answered.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenShift => "openshift",
            Self::Kubernetes => "kubernetes",
            Self::Trivial => "trivial",
        }
    }
}

impl FromStr for ContainerManagerKind {
    type Err = BadContainerManager;

    fn from_str(text: &str) -> Result<Self, BadContainerManager> {
        match text {
            "openshift" => Ok(Self::OpenShift),
            "kubernetes" => Ok(Self::Kubernetes),
            "trivial" => Ok(Self::Trivial),
            _ => Err(BadContainerManager::Type),
        }
    }
}

impl fmt::Display for ContainerManagerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a kubeconfig says itself.
const IN_KUBECONFIG: [&str; 7] =
    ["server_url", "apiserver", "token", "certificate_path", "certificate_key_path", "ca_path", "verify"];

/// Why something is no container manager.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadContainerManager {
    /// There is no such type.
    #[error("a container manager's type is `openshift`, `kubernetes` or `trivial`")]
    Type,
    /// It cannot be found.
    #[error("a container manager needs the option `server_url`: `https://host:port`")]
    ServerUrl,
    /// A kubeconfig, and something that it says itself.
    #[error("the option `kubeconfig` says all about the way there, so `{also}` cannot be given besides")]
    KubeconfigAndMore {
        /// What else.
        also: &'static str,
    },
    /// A certificate without its key, or the other way round.
    #[error("the options `certificate_path` and `certificate_key_path` need each other")]
    HalfACertificate,
    /// A certificate is shown over TLS only.
    #[error("the option `certificate_path` needs a `server_url` that begins with `https://`")]
    CertificateWithoutTls,
}

impl Explain for BadContainerManager {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// A container manager.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerManager {
    /// Its name.
    pub name: ContainerManagerName,
    /// What kind it is.
    pub kind: ContainerManagerKind,
    /// How to reach it, and whatever else was said.
    pub options: Options,
}

impl ContainerManager {
    /// Where it is: the option `server_url`, or `apiserver`, as the original's manual calls it, where that may end
    /// with `/api/`.
    #[must_use]
    pub fn server_url(&self) -> Option<&str> {
        self.options.text("server_url").or_else(|| {
            let url = self.options.text("apiserver")?;
            let url = url.strip_suffix('/').unwrap_or(url);
            Some(url.strip_suffix("/api").unwrap_or(url))
        })
    }

    /// Whether it could be spoken to. The original's interface takes what cannot, and hosts fail to join later.
    ///
    /// # Errors
    /// The first rule that its options break (commissaire contract, section 9.6).
    pub fn check(&self) -> Result<(), BadContainerManager> {
        if self.kind == ContainerManagerKind::Trivial {
            return Ok(());
        }
        if self.options.text("kubeconfig").is_some_and(|path| !path.is_empty()) {
            let given = |name: &&str| self.options.as_map().get(*name).is_some_and(|value| !value.is_null());
            let also = IN_KUBECONFIG.iter().find(|name| given(name));
            return also.map_or(Ok(()), |also| Err(BadContainerManager::KubeconfigAndMore { also }));
        }
        let url = self.server_url().ok_or(BadContainerManager::ServerUrl)?;
        let is_tls = url.starts_with("https://");
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if host.is_none_or(|host| {
            host.is_empty() || host.starts_with(['/', ':']) || host.contains(char::is_whitespace)
        }) {
            return Err(BadContainerManager::ServerUrl);
        }
        match (self.options.text("certificate_path"), self.options.text("certificate_key_path")) {
            (None, None) => Ok(()),
            (Some(_), Some(_)) if is_tls => Ok(()),
            (Some(_), Some(_)) => Err(BadContainerManager::CertificateWithoutTls),
            _ => Err(BadContainerManager::HalfACertificate),
        }
    }

    /// As it is shown: with [`HIDDEN`](crate::HIDDEN) for each secret option.
    #[must_use]
    pub fn shown(self) -> Self {
        Self { options: Options::hidden(self.options.into_map()), ..self }
    }

    fn definition(self) -> Definition {
        Definition { name: self.name.to_string(), kind: self.kind.to_string(), options: self.options }
    }
}

impl Fleet {
    /// All container managers by name, numbers by their value; secret options are hidden.
    ///
    /// # Errors
    /// The store's.
    pub async fn container_managers(
        &self,
        _permit: Permit<ReadContainerManagers>,
    ) -> Result<Vec<Seen<ContainerManager>>, DefinitionError> {
        let mut managers = Vec::new();
        for seen in self.all_defined(&self.container_managers, Secrets::Hidden).await? {
            managers.push(self.container_manager_from(seen)?);
        }
        managers.sort_unstable_by(|a, b| a.is.name.cmp(&b.is.name));
        Ok(managers)
    }

    /// One container manager; secret options are hidden.
    ///
    /// # Errors
    /// [`DefinitionError::NotFound`] only when there is none.
    pub async fn container_manager(
        &self,
        _permit: Permit<ReadContainerManagers>,
        name: &ContainerManagerName,
    ) -> Result<Seen<ContainerManager>, DefinitionError> {
        let found = self.defined(&self.container_managers, name.as_str(), Secrets::Hidden).await?;
        self.container_manager_from(found)
    }

    /// One container manager, with its secret options.
    ///
    /// # Errors
    /// As for [`Self::container_manager`].
    pub async fn container_manager_in_clear(
        &self,
        _permit: Permit<ReadSecretOptions>,
        name: &ContainerManagerName,
    ) -> Result<Seen<ContainerManager>, DefinitionError> {
        let found = self.defined(&self.container_managers, name.as_str(), Secrets::InClear).await?;
        self.container_manager_from(found)
    }

    /// Makes a container manager; the very same again changes nothing. Does not
    /// [`check`](ContainerManager::check) it.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub async fn put_container_manager(
        &self,
        permit: Permit<PutContainerManager>,
        manager: ContainerManager,
        expected: Expected,
    ) -> Result<Put<ContainerManager>, DefinitionError> {
        let put = self.define(&self.container_managers, manager.definition(), expected, permit.by()).await?;
        let seen = self.container_manager_from(Seen { is: put.is, version: put.version })?;
        Ok(Put { is: seen.is, version: seen.version, is_new: put.is_new })
    }

    /// Deletes a container manager that no cluster names.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub async fn delete_container_manager(
        &self,
        permit: Permit<DeleteContainerManager>,
        name: &ContainerManagerName,
        expected: Expected,
    ) -> Result<(), DefinitionError> {
        self.undefine(&self.container_managers, name.as_str(), expected, WhileUsed::Refuse, permit.by()).await
    }

    /// Deletes a container manager, also one that clusters name: their hosts have none then (commissaire contract,
    /// section 3.5).
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub async fn delete_container_manager_in_use(
        &self,
        permit: Permit<DeleteContainerManager>,
        name: &ContainerManagerName,
    ) -> Result<(), DefinitionError> {
        let expected = Expected::Anything;
        self.undefine(&self.container_managers, name.as_str(), expected, WhileUsed::Delete, permit.by()).await
    }

    fn container_manager_from(
        &self,
        seen: Seen<Definition>,
    ) -> Result<Seen<ContainerManager>, DefinitionError> {
        let Definition { name, kind, options } = seen.is;
        let bad = |error: &dyn fmt::Display| DefinitionError::Store {
            noun: NOUN,
            source: unreadable(&self.container_managers.table, &name, error).into(),
        };
        let kind = kind.parse().map_err(|error: BadContainerManager| bad(&error))?;
        let parsed = name.parse().map_err(|error: crate::BadName| bad(&error))?;
        Ok(Seen { is: ContainerManager { name: parsed, kind, options }, version: seen.version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_have_names() {
        for text in ["openshift", "kubernetes", "trivial"] {
            assert_eq!(text.parse::<ContainerManagerKind>().unwrap().as_str(), text);
        }
        assert_eq!("nomad".parse::<ContainerManagerKind>(), Err(BadContainerManager::Type));
    }

    #[test]
    fn a_container_manager_can_be_reached() {
        use BadContainerManager::{CertificateWithoutTls, HalfACertificate, KubeconfigAndMore, ServerUrl};
        for (options, expected) in [
            (json!({"server_url": "https://k8s:6443"}), Ok(())),
            (json!({"server_url": "http://k8s"}), Ok(())),
            (json!({"apiserver": "https://k8s:6443/api/"}), Ok(())),
            (json!({}), Err(ServerUrl)),
            (json!({"server_url": 7}), Err(ServerUrl)),
            (json!({"server_url": "k8s:6443"}), Err(ServerUrl)),
            (json!({"server_url": "https://"}), Err(ServerUrl)),
            (json!({"server_url": "https:///x"}), Err(ServerUrl)),
            (json!({"kubeconfig": "/k", "team": "web", "token": null}), Ok(())),
            (json!({"kubeconfig": "/k", "token": "t"}), Err(KubeconfigAndMore { also: "token" })),
            (json!({"kubeconfig": "", "server_url": "https://a"}), Ok(())),
            (json!({"server_url": "https://a", "certificate_path": "/c"}), Err(HalfACertificate)),
            (
                json!({"server_url": "https://a", "certificate_path": "/c", "certificate_key_path": "/k"}),
                Ok(()),
            ),
            (
                json!({"server_url": "http://a", "certificate_path": "/c", "certificate_key_path": "/k"}),
                Err(CertificateWithoutTls),
            ),
        ] {
            let text = options.to_string();
            let options = Options::new(options.as_object().unwrap().clone());
            let name = "k8s".parse().unwrap();
            let mut manager = ContainerManager { name, kind: ContainerManagerKind::Kubernetes, options };
            assert_eq!(manager.check(), expected, "{text}");
            manager.kind = ContainerManagerKind::Trivial;
            assert_eq!(manager.check(), Ok(()));
        }
    }

    #[test]
    fn the_manuals_name_of_the_address_is_understood() {
        for (options, url) in [
            (json!({"apiserver": "https://k8s:6443/api/"}), Some("https://k8s:6443")),
            (json!({"apiserver": "https://k8s:6443/api"}), Some("https://k8s:6443")),
            (json!({"apiserver": "https://k8s:6443/"}), Some("https://k8s:6443")),
            (json!({"apiserver": "https://a", "server_url": "https://b"}), Some("https://b")),
            (json!({}), None),
        ] {
            let options = Options::new(options.as_object().unwrap().clone());
            let name = "k8s".parse().unwrap();
            let manager = ContainerManager { name, kind: ContainerManagerKind::OpenShift, options };
            assert_eq!(manager.server_url(), url);
        }
    }
}
