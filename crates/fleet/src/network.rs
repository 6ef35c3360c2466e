//! Networks: how the hosts of a cluster reach each other's containers.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};
use identity::Permit;

use crate::definition::{Definition, Secrets, WhileUsed};
use crate::error::DefinitionError;
use crate::name::NetworkName;
use crate::options::Options;
use crate::record::DefinitionRecord;
use crate::service::{
    DeleteNetwork, Expected, Fleet, Put, PutNetwork, ReadNetworks, ReadSecretOptions, Seen, unreadable,
};

/// What one is called in the history and in errors.
pub(crate) const NOUN: &str = "network";
/// The network of those who name none.
pub(crate) const DEFAULT: &str = "default";

/// How a network works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NetworkKind {
    /// flannel, which keeps its state in etcd.
    #[default]
    FlannelEtcd,
    /// flannel, which asks a flannel server; its address is the option `address`.
    FlannelServer,
}

impl NetworkKind {
    /// As it is stored and answered.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FlannelEtcd => "flannel_etcd",
            Self::FlannelServer => "flannel_server",
        }
    }
}

/// Why something is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// There is no such type.
    #[error("a network's type is `flannel_etcd` or `flannel_server`")]
    Type,
    /// A flannel server needs an address.
    #[error("a network of type `flannel_server` needs the option `address`: `host:port`")]
    Address,
}

impl Explain for BadNetwork {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl FromStr for NetworkKind {
    type Err = BadNetwork;

    /// `flanneld_service` is what the original's manual calls a flannel server.
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        match text {
            "flannel_etcd" => Ok(Self::FlannelEtcd),
            "flannel_server" | "flanneld_service" => Ok(Self::FlannelServer),
            _ => Err(BadNetwork::Type),
        }
    }
}

impl fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// How it works.
    pub kind: NetworkKind,
    /// What it needs for that, and whatever else was said.
    pub options: Options,
}

impl Network {
    /// Whether hosts can be put into it. The original's interface takes what cannot, and hosts fail later.
    ///
    /// # Errors
    /// [`BadNetwork::Address`].
    pub fn check(&self) -> Result<(), BadNetwork> {
        match self.kind {
            NetworkKind::FlannelEtcd => Ok(()),
            NetworkKind::FlannelServer => self
                .options
                .text("address")
                .filter(|text| is_host_and_port(text))
                .map(drop)
                .ok_or(BadNetwork::Address),
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

/// Whether `text` is `host:port`; an IPv6 address stands in brackets.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_port =
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').is_some_and(|host| {
            host.contains(':') && host.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.%".contains(&byte))
        }),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
    };
    is_host && is_port
}

/// The name of the network that is there from the beginning.
///
/// # Panics
/// Never: it is a fair name.
pub(crate) fn default_name() -> NetworkName {
    DEFAULT.parse().expect("letters make a name")
}

/// The network that is there from the beginning.
pub(crate) fn default_record() -> DefinitionRecord {
    DefinitionRecord {
        name: DEFAULT.into(),
        r#type: NetworkKind::default().to_string(),
        options: serde_json::Map::new(),
    }
}

impl Fleet {
    /// All networks by name, numbers by their value; secret options are hidden.
    ///
    /// # Errors
    /// The store's.
    pub async fn networks(
        &self,
        _permit: Permit<ReadNetworks>,
    ) -> Result<Vec<Seen<Network>>, DefinitionError> {
        let mut networks = Vec::new();
        for seen in self.all_defined(&self.networks, Secrets::Hidden).await? {
            networks.push(self.network_from(seen)?);
        }
        networks.sort_unstable_by(|a, b| a.is.name.cmp(&b.is.name));
        Ok(networks)
    }

    /// One network; secret options are hidden.
    ///
    /// # Errors
    /// [`DefinitionError::NotFound`] only when there is none.
    pub async fn network(
        &self,
        _permit: Permit<ReadNetworks>,
        name: &NetworkName,
    ) -> Result<Seen<Network>, DefinitionError> {
        self.network_from(self.defined(&self.networks, name.as_str(), Secrets::Hidden).await?)
    }

    /// One network, with its secret options.
    ///
    /// # Errors
    /// As for [`Self::network`].
    pub async fn network_in_clear(
        &self,
        _permit: Permit<ReadSecretOptions>,
        name: &NetworkName,
    ) -> Result<Seen<Network>, DefinitionError> {
        self.network_from(self.defined(&self.networks, name.as_str(), Secrets::InClear).await?)
    }

    /// Makes a network; the very same again changes nothing. Does not [`check`](Network::check) it.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub async fn put_network(
        &self,
        permit: Permit<PutNetwork>,
        network: Network,
        expected: Expected,
    ) -> Result<Put<Network>, DefinitionError> {
        let put = self.define(&self.networks, network.definition(), expected, permit.by()).await?;
        let seen = self.network_from(Seen { is: put.is, version: put.version })?;
        Ok(Put { is: seen.is, version: seen.version, is_new: put.is_new })
    }

    /// Deletes a network that no cluster names.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub async fn delete_network(
        &self,
        permit: Permit<DeleteNetwork>,
        name: &NetworkName,
        expected: Expected,
    ) -> Result<(), DefinitionError> {
        self.undefine(&self.networks, name.as_str(), expected, WhileUsed::Refuse, permit.by()).await
    }

    /// Deletes a network, also one that clusters name: their new hosts cannot be made ready then (commissaire contract,
    /// section 3.5).
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub async fn delete_network_in_use(
        &self,
        permit: Permit<DeleteNetwork>,
        name: &NetworkName,
    ) -> Result<(), DefinitionError> {
        let expected = Expected::Anything;
        self.undefine(&self.networks, name.as_str(), expected, WhileUsed::Delete, permit.by()).await
    }

    fn network_from(&self, seen: Seen<Definition>) -> Result<Seen<Network>, DefinitionError> {
        let Definition { name, kind, options } = seen.is;
        let bad = |error: &dyn fmt::Display| DefinitionError::Store {
            noun: NOUN,
            source: unreadable(&self.networks.table, &name, error).into(),
        };
        let kind = kind.parse().map_err(|error: BadNetwork| bad(&error))?;
        let parsed = name.parse().map_err(|error: crate::BadName| bad(&error))?;
        Ok(Seen { is: Network { name: parsed, kind, options }, version: seen.version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names() {
        for (text, kind) in [
            ("flannel_etcd", Some(NetworkKind::FlannelEtcd)),
            ("flannel_server", Some(NetworkKind::FlannelServer)),
            ("flanneld_service", Some(NetworkKind::FlannelServer)),
            ("", None),
            ("Flannel_etcd", None),
        ] {
            assert_eq!(text.parse().ok(), kind, "{text}");
        }
    }

    #[test]
    fn a_flannel_server_has_an_address() {
        for (address, fits) in [
            (serde_json::json!("10.0.0.1:8080"), true),
            (serde_json::json!("flannel.example.org:1"), true),
            (serde_json::json!("[fe80::1%eth0]:8080"), false),
            (serde_json::json!("[fe80::1]:8080"), true),
            (serde_json::json!("10.0.0.1"), false),
            (serde_json::json!("10.0.0.1:"), false),
            (serde_json::json!("10.0.0.1:0"), false),
            (serde_json::json!("10.0.0.1:+1"), false),
            (serde_json::json!("10.0.0.1:65536"), false),
            (serde_json::json!("fe80::1:8080"), false),
            (serde_json::json!(":8080"), false),
            (serde_json::json!("http://a:8080"), false),
            (serde_json::json!("a b:8080"), false),
            (serde_json::json!(8080), false),
        ] {
            let options = Options::new([("address".to_owned(), address.clone())].into_iter().collect());
            let mut network = Network { name: default_name(), kind: NetworkKind::FlannelServer, options };
            assert_eq!(network.check().is_ok(), fits, "{address}");
            network.kind = NetworkKind::FlannelEtcd;
            assert!(network.check().is_ok());
        }
    }
}
