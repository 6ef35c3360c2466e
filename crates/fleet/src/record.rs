//! What the fleet stores. The golden bytes of each are held by the tests at the foot.
//!
//! What the original stored has its keys and its JSON (commissaire contract, sections 4, 9.2 and 10.3), so that
//! an operator who looks into the store finds what they know:
//! ```text
//! /commissaire/hosts/<address>                     a host
//! /commissaire/custodia/keys/hosts/<address>       its credentials, sealed
//! /commissaire/clusters/<name>                     a cluster
//! /commissaire/cluster/<name>/deploy               its latest deployment; likewise upgrade, restart
//! /commissaire/networks/<name>                     a network
//! /commissaire/container_managers/<name>           a container manager
//! ```
//! These documents have the original's members, and a few more that it ignores. They have no version: members are
//! only ever added, with a default, and what is not known is ignored.
//!
//! What is derived from hosts, and always written together with them, is ours:
//! ```text
//! /fleet/host/status/<status>/<address>            which hosts have a status; likewise `os`
//! /fleet/host/label/<key>=<value>/<address>        which hosts have a label
//! /fleet/host/cluster/<name>/<address>             which hosts a cluster has
//! /fleet/tally/<cluster>/<2 digits>                how many of them have which status, in 32 parts
//! /fleet/regrouping/<cluster>                      that more of its hosts change than one commit takes
//! /fleet/regrouping-hosts/<cluster>/<id>/<place>   which
//! /fleet/founded                                   that the first network was made, so that it can be deleted
//! ```
//! Of operations, ours is (the ids of later operations are larger, and so are the places of later hosts):
//! ```text
//! /fleet/operation/<cluster>/<id, 16 digits>       an operation: what was asked for, and how far it is
//! /fleet/operation-host/<cluster>/<id>/<place, 10 digits>   one of its hosts
//! /fleet/operation-running/<cluster>               the one that runs
//! /fleet/host-under-way/<address>                  that an operation is at a host, so that nobody else judges it
//! ```
//! And of looking after hosts:
//! ```text
//! /fleet/care/<address>                            what has gone wrong with a host, and when to try again
//! /fleet/host-key/<address>                        the key it has to prove, and the one it offered instead
//! /fleet/bootstrap/<address>                       which steps are done on a host that is being made ready
//! /fleet/node-leaving/<container manager>/<address>   that it is to forget a host
//! /fleet/looked-at/<number>                        until when a slice of the hosts was watched
//! ```

use std::collections::BTreeMap;

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Record, Stored};

mod care;
mod host_key;
mod operation;
mod regrouping;

pub use care::{CareRecord, LookedRecord, ManagerChangeRecord};
pub use host_key::{BootstrapRecord, HostKeyRecord};
pub(crate) use operation::kind;
pub use operation::{
    CordonLeftRecord, HostRunRecord, PolicyRecord, RolloutRecord, RunningRecord, UnderWayRecord,
};
pub use regrouping::{MovesRecord, RegroupingRecord, RegroupingStage};

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostRecord {
    /// The same as in its key.
    pub address: String,
    /// `active` and others; empty when it was never investigated.
    #[serde(default)]
    pub status: String,
    /// Lower-case name of the distribution.
    #[serde(default)]
    pub os: String,
    /// How many processors.
    #[serde(default)]
    pub cpus: i64,
    /// MB of memory.
    #[serde(default)]
    pub memory: i64,
    /// Bytes of disk space.
    #[serde(default)]
    pub space: i64,
    /// When it last answered, as the original writes moments.
    #[serde(default)]
    pub last_check: String,
    /// Which inventory knows it; empty for our own.
    #[serde(default)]
    pub source: String,
    /// Ours: the one cluster it belongs to. This is the truth; the cluster's `hostset` repeats it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Ours: the cluster that it is to join in a change of many hosts, until that is done or given up. It belongs to
    /// none meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joining: Option<String>,
    /// Ours: labels, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Ours: why its status is `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Ours: whether OSTree manages its operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub atomic: Option<bool>,
    /// Ours: which version of the operating system it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Ours: which kernel runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Ours: what its processors are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Ours: of the boot it was in when it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

/// How to get into a host, before it is sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct CredentialsDocument {
    /// The host.
    pub address: String,
    /// The private key file in base64, as given.
    #[serde(default = "no_secret", with = "secret_text")]
    pub ssh_priv_key: Secret<String>,
    /// Who to be there.
    #[serde(default)]
    pub remote_user: String,
}

/// What Custodia wraps a secret in, before it is sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct CustodiaSecret {
    /// `simple`.
    pub r#type: String,
    /// Base64.
    #[serde(with = "secret_text")]
    pub value: Secret<String>,
}

impl CredentialsDocument {
    /// What is sealed of it.
    #[must_use]
    pub fn wrapped(&self) -> Secret<Vec<u8>> {
        const JSON: &str = "texts have a JSON form";
        let document = Secret::new(serde_json::to_vec(self).expect(JSON));
        let value = Secret::new(BASE64.encode(document.expose()));
        let wrapped = CustodiaSecret { r#type: "simple".into(), value };
        Secret::new(serde_json::to_vec(&wrapped).expect(JSON))
    }

    /// What was sealed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn unwrapped(wrapped: &Secret<Vec<u8>>) -> Result<Self, String> {
        let wrapped: CustodiaSecret =
            serde_json::from_slice(wrapped.expose()).map_err(|error| error.to_string())?;
        let document = BASE64.decode(wrapped.value.expose()).map_err(|error| error.to_string())?;
        serde_json::from_slice(Secret::new(document).expose()).map_err(|error| error.to_string())
    }
}

fn no_secret() -> Secret<String> {
    Secret::new(String::new())
}

/// Secrets as plain text, for what is sealed as a whole.
mod secret_text {
    use base::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

/// A sealed secret: a JWE in compact serialisation, and nothing around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRecord(pub String);

impl Stored for SealedRecord {
    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.clone().into_bytes())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        String::from_utf8(bytes.to_vec()).map(Self).map_err(|_| "it is no text".into())
    }
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// The same as in its key.
    pub name: String,
    /// Empty; a cluster's status is derived.
    #[serde(default)]
    pub status: String,
    /// The network its hosts are in.
    #[serde(default)]
    pub network: String,
    /// Its hosts, while they are few.
    #[serde(default)]
    pub hostset: Vec<String>,
    /// Who manages containers there; empty for nobody.
    #[serde(default)]
    pub container_manager: String,
    /// Ours: where its hosts are listed, once they were too many for `hostset`, which is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostset_under: Option<String>,
    /// Ours: the last operation that an earlier cluster of this name has left; what is up to there is not this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations_after: Option<u64>,
}

/// A network or a container manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefinitionRecord {
    /// The same as in its key.
    pub name: String,
    /// `flannel_etcd`, `openshift` and others.
    pub r#type: String,
    /// As given; values of secret options as `{"sealed": JWE}`.
    #[serde(default)]
    pub options: Map<String, Value>,
}

/// The latest operation of one kind on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// The cluster.
    pub name: String,
    /// `in_process`, `finished` or `failed`.
    pub status: String,
    /// Of a deployment: what is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of a deployment: the hosts that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Vec<String>>,
    /// Of an upgrade: the hosts that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgraded: Option<Vec<String>>,
    /// Of a restart: the hosts that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted: Option<Vec<String>>,
    /// The hosts that it is at.
    #[serde(default)]
    pub in_process: Vec<String>,
    /// When it began, as the original writes moments.
    #[serde(default)]
    pub started_at: String,
    /// When it ended; empty while it runs.
    #[serde(default)]
    pub finished_at: String,
    /// Ours: its id; absent where the original has written this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Ours: where its hosts are, where they are too many for the lists, which are empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts_under: Option<String>,
}

macro_rules! documents {
    ($($document:ty),*) => {
        $(impl Stored for $document {
            fn to_bytes(&self) -> Result<Vec<u8>, String> {
                serde_json::to_vec(self).map_err(|error| error.to_string())
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
                serde_json::from_slice(bytes).map_err(|error| error.to_string())
            }
        })*
    };
}
documents!(HostRecord, ClusterRecord, DefinitionRecord, OperationRecord);

/// That something is so; all there is to know stands in its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkRecord;

impl Stored for MarkRecord {
    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    fn from_bytes(_: &[u8]) -> Result<Self, String> {
        Ok(Self)
    }
}

/// How many of a cluster's hosts have which status; of those in one of 32 parts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TallyRecord {
    /// By status; never 0.
    pub hosts: BTreeMap<String, u64>,
}

impl Record for TallyRecord {
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written once must be readable for ever, and is written the same way.
    fn golden<S: Stored>(bytes: &str, field: impl Fn(&S) -> bool) {
        let record = S::from_bytes(bytes.as_bytes()).unwrap();
        assert!(field(&record), "{bytes}");
        assert_eq!(String::from_utf8(record.to_bytes().unwrap()).unwrap(), bytes);
    }

    #[test]
    fn golden_bytes() {
        golden::<HostRecord>(
            concat!(
                r#"{"address":"10.0.0.1","status":"active","os":"fedora","cpus":2,"memory":11989,"#,
                r#""space":487652,"last_check":"2016-12-06T04:53:20.042000","source":""}"#
            ),
            |r| r.cluster.is_none() && r.labels.is_empty() && r.memory == 11_989,
        );
        golden::<HostRecord>(
            concat!(
                r#"{"address":"a","status":"","os":"","cpus":0,"memory":0,"space":0,"last_check":"","source":"","#,
                r#""cluster":"web","labels":{"rack":"b7"}}"#
            ),
            |r| r.cluster.as_deref() == Some("web") && r.labels["rack"] == "b7",
        );
        golden::<HostRecord>(
            concat!(
                r#"{"address":"a","status":"","os":"","cpus":0,"memory":0,"space":0,"last_check":"","source":"","#,
                r#""joining":"web"}"#
            ),
            |r| r.cluster.is_none() && r.joining.as_deref() == Some("web"),
        );
        golden::<HostRecord>(
            concat!(
                r#"{"address":"a","status":"failed","os":"fedora","cpus":1,"memory":1,"space":1,"last_check":"x","#,
                r#""source":"","reason":"sudo asks for a password","atomic":false,"kernel":"6.1","#,
                r#""architecture":"x86_64","boot_id":"2f1c"}"#
            ),
            |r| r.atomic == Some(false) && r.reason.is_some() && r.boot_id.as_deref() == Some("2f1c"),
        );
        golden::<HostRecord>(
            concat!(
                r#"{"address":"a","status":"active","os":"fedora","cpus":1,"memory":1,"space":1,"last_check":"x","#,
                r#""source":"","os_version":"41","kernel":"6.1"}"#
            ),
            |r| r.os_version.as_deref() == Some("41"),
        );
        golden::<SealedRecord>("a..b.c.d", |r| r.0 == "a..b.c.d");
        golden::<ClusterRecord>(
            r#"{"name":"web","status":"","network":"default","hostset":["a","b"],"container_manager":""}"#,
            |r| r.hostset == ["a", "b"],
        );
        golden::<ClusterRecord>(
            concat!(
                r#"{"name":"web","status":"","network":"default","hostset":[],"container_manager":"k8s","#,
                r#""hostset_under":"/fleet/host/cluster/web/"}"#
            ),
            |r| r.hostset_under.is_some(),
        );
        golden::<ClusterRecord>(
            concat!(
                r#"{"name":"web","status":"","network":"default","hostset":[],"container_manager":"","#,
                r#""operations_after":1481000000000}"#
            ),
            |r| r.operations_after == Some(1_481_000_000_000),
        );
        golden::<DefinitionRecord>(
            r#"{"name":"default","type":"flannel_etcd","options":{"address":"a:1"}}"#,
            |r| r.options["address"] == "a:1",
        );
        golden::<OperationRecord>(
            concat!(
                r#"{"name":"web","status":"in_process","version":"7.2.6","deployed":["a"],"in_process":["b"],"#,
                r#""started_at":"2016-12-06T04:53:20.042000","finished_at":""}"#
            ),
            |r| r.deployed.as_ref().unwrap() == &["a"] && r.upgraded.is_none(),
        );
        golden::<OperationRecord>(
            concat!(
                r#"{"name":"web","status":"in_process","restarted":[],"in_process":[],"started_at":"x","#,
                r#""finished_at":"","id":1481000000000,"#,
                r#""hosts_under":"/fleet/operation-host/web/0001481000000000/"}"#
            ),
            |r| r.id == Some(1_481_000_000_000) && r.hosts_under.is_some(),
        );
        for done in ["upgraded", "restarted"] {
            golden::<OperationRecord>(
                &format!(
                    concat!(
                        r#"{{"name":"web","status":"finished","{}":[],"in_process":[],"#,
                        r#""started_at":"x","finished_at":"y"}}"#
                    ),
                    done
                ),
                |r| r.version.is_none() && r.upgraded.is_some() != r.restarted.is_some(),
            );
        }
        golden::<MarkRecord>("", |_| true);
        golden::<TallyRecord>(r#"{"v":1,"is":{"hosts":{"":1,"active":2}}}"#, |r| r.hosts["active"] == 2);

        let document = CredentialsDocument {
            address: "a".into(),
            ssh_priv_key: Secret::new("ZHVtbXk=".into()),
            remote_user: "root".into(),
        };
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            r#"{"address":"a","ssh_priv_key":"ZHVtbXk=","remote_user":"root"}"#
        );
        let wrapped = document.wrapped();
        assert_eq!(
            std::str::from_utf8(wrapped.expose()).unwrap(),
            concat!(
                r#"{"type":"simple","value":"eyJhZGRyZXNzIjoiYSIsInNzaF9wcml2X2tleSI6IlpIVnRiWGs9Iiwic"#,
                r#"mVtb3RlX3VzZXIiOiJyb290In0="}"#
            )
        );
        let back = CredentialsDocument::unwrapped(&wrapped).unwrap();
        assert_eq!((back.ssh_priv_key, back.remote_user), (document.ssh_priv_key, document.remote_user));
    }

    /// The original's documents may lack what came later, and have what went.
    #[test]
    fn the_originals_documents_are_read() {
        let old =
            r#"{"address":"a","status":"active","os":"atomic","ssh_priv_key":"x","remote_user":"root"}"#;
        let host = HostRecord::from_bytes(old.as_bytes()).unwrap();
        assert_eq!((host.os.as_str(), host.cpus, host.source.as_str()), ("atomic", 0, ""));
        let cluster =
            ClusterRecord::from_bytes(br#"{"name":"web","hostset":["a"],"type":"host_only"}"#).unwrap();
        assert_eq!((cluster.hostset.len(), cluster.network.as_str()), (1, ""));
        for (bytes, reason) in
            [("[]", "invalid"), ("", "EOF"), (r#"{"status":""}"#, "missing field `address`")]
        {
            let error = HostRecord::from_bytes(bytes.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
