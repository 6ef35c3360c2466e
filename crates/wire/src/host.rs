//! Hosts.

use std::collections::BTreeMap;

use base::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::rules::{FINGERPRINT, LABEL_KEY, LABEL_VALUE, LABELS_MAX, NAME, REMOTE_USER};

/// What operators say about a host, by key. At most 32 keys of 1 to 128 letters, digits, `.`, `_`, `-` and `/`; values
/// have at most 63 of the same, but no `/`.
pub type Labels = BTreeMap<String, String>;

/// A host, as everybody may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Where it is reached: an IP address or a name. It also names the host.
    pub address: String,
    /// How far it has come: `new`, `investigating`, `bootstrapping`, `disassociated` (ready, and no container manager
    /// has it), `active` or `failed`; or whatever somebody else wrote.
    pub status: String,
    /// The cluster it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// What is known of it.
    pub facts: Facts,
    /// When it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub checked_at: Option<String>,
    /// Which inventory it comes from; absent for our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why it has failed, and what can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a look at a host found out. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The distribution, in lower case: `fedora`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Which version of it: `41`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Whether OSTree deploys its operating system as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub atomic: Option<bool>,
    /// Which boot it is in (`random(4)`): another one after each restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Which kernel runs: `6.1.0-25-amd64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// What its processors are: `x86_64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u64>,
    /// Memory, in MB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// Disk space, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

/// A host that is to be added. All of it may be left out.
///
/// Of a host that is there already, key and cluster have to be the same; labels are left as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHost {
    /// How to get into it: the text of a private key file without passphrase, in the form of OpenSSH, PKCS #8,
    /// PKCS #1 or SEC 1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_secret")]
    #[schemars(with = "Option<String>", extend("maxLength" = 49_152))]
    pub ssh_private_key: Option<Secret<String>>,
    /// Who to be there; `root` when it is not said. Of a host that is there already it stays as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = REMOTE_USER))]
    pub remote_user: Option<String>,
    /// The cluster that it joins at once, whatever its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = NAME))]
    pub cluster: Option<String>,
    /// Its labels. Of a host that is there already they stay as they were.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: Labels,
}

/// What is to change about a host (RFC 7396): what is not spoken of stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostPatch {
    /// Labels to have from now on, by key; `null` for each that is to go.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_changes")]
    pub labels: BTreeMap<String, Option<String>>,
}

/// How to get into a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Credentials {
    /// The host.
    pub address: String,
    /// The private key file; empty when there is none.
    #[serde(with = "secret")]
    #[schemars(with = "String")]
    pub ssh_private_key: Secret<String>,
    /// Who to be there.
    pub remote_user: String,
}

/// What is known of the key by which a host is recognized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostKeys {
    /// The host.
    pub address: String,
    /// The key that it has to prove: the one it proved when it was met first, unless another was accepted since.
    pub pinned: HostKey,
    /// The key that it proved instead when it was last asked; nothing is done on it as long as nobody accepts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<HostKey>,
}

/// A host's public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostKey {
    /// As `ssh-keygen -l` prints it: `SHA256:…`.
    pub fingerprint: String,
    /// The key, as in the files `ssh_host_*_key.pub`.
    pub public_key: String,
    /// Since when it is pinned, or when it was first offered.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

/// Which key a host is to be recognized by from now on: the one that it offered, and that whoever says so has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptedKey {
    /// Its fingerprint.
    #[schemars(extend("pattern" = FINGERPRINT))]
    pub fingerprint: String,
}

/// How a host is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostReport {
    /// As [`Host::status`].
    pub status: String,
    /// When it last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub checked_at: Option<String>,
    /// As [`Host::reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its container manager says.
    pub container_manager: NodeReport,
}

/// What a host's container manager says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeReport {
    /// Whether it has the host.
    pub state: NodeState,
    /// Why it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a container manager has a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// There is none: the host is in no cluster, or in one without container manager.
    Unmanaged,
    /// It has it.
    Registered,
    /// It does not have it.
    Unregistered,
    /// It was not asked.
    NotAsked,
}

fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": LABEL_KEY },
        "additionalProperties": { "type": "string", "pattern": LABEL_VALUE },
        "maxProperties": LABELS_MAX,
    })
}

fn label_changes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": LABEL_KEY },
        "additionalProperties": { "type": ["string", "null"], "pattern": LABEL_VALUE },
        "maxProperties": 2 * LABELS_MAX,
    })
}

/// A secret as plain text, for the one who may have it.
mod secret {
    use base::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

/// The same, if there is one.
mod optional_secret {
    use base::Secret;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        secret: &Option<Secret<String>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Secret<String>>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_not_written() {
        let host = Host {
            address: "10.0.0.1".into(),
            status: "new".into(),
            cluster: None,
            labels: Labels::new(),
            facts: Facts::default(),
            checked_at: None,
            source: None,
            reason: None,
        };
        let written = serde_json::to_string(&host).unwrap();
        assert_eq!(written, r#"{"address":"10.0.0.1","status":"new","labels":{},"facts":{}}"#);
        assert_eq!(serde_json::from_str::<Host>(&written).unwrap(), host);
        assert_eq!(serde_json::to_string(&NewHost::default()).unwrap(), "{}");
    }

    #[test]
    fn answers_may_grow_and_requests_may_not() {
        let grown = r#"{"address":"a","status":"new","labels":{},"facts":{"gpus":1},"mood":"good"}"#;
        assert!(serde_json::from_str::<Host>(grown).is_ok());
        assert!(serde_json::from_str::<NewHost>(r#"{"mood":"good"}"#).is_err());
        assert!(serde_json::from_str::<HostPatch>(r#"{"address":"b"}"#).is_err());
    }

    #[test]
    fn secrets_are_written_for_the_line_and_not_for_the_log() {
        let host: NewHost = serde_json::from_str(r#"{"ssh_private_key":"a key"}"#).unwrap();
        assert_eq!(serde_json::to_string(&host).unwrap(), r#"{"ssh_private_key":"a key"}"#);
        assert!(!format!("{host:?}").contains("a key"));
        let without: NewHost = serde_json::from_str(r#"{"ssh_private_key":null}"#).unwrap();
        assert!(without.ssh_private_key.is_none());
    }
}
