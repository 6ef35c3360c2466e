//! What stands in the bodies of requests (commissaire contract, sections 2.4 and 3).

use std::borrow::Cow;
use std::collections::BTreeSet;

use base::{Explain, Kind, Secret};
use fleet::{
    ContainerManager, ContainerManagerName, Credentials, DeployVersion, Facts, HostAddress, HostStatus,
    Labels, Network, NetworkName, NewCluster, NewHost, OperationKind, Options, Plan,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::numbers::Numbers;

/// Why a body is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadBody {
    #[error("the body is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("`{member}` is missing")]
    Missing { member: &'static str },
    #[error("`{member}` is not {expected}")]
    Type { member: &'static str, expected: &'static str },
    #[error("`{member}` is another than in the path, `{path}`")]
    Another { member: &'static str, path: String },
    /// No cluster can have this name, so there is none.
    #[error("the cluster `{name}` does not exist")]
    NoSuchCluster { name: String },
    #[error("{0}")]
    Value(String),
}

impl Explain for BadBody {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCluster { .. } => Kind::Conflict,
            Self::NotJson(_)
            | Self::NotAnObject
            | Self::Missing { .. }
            | Self::Type { .. }
            | Self::Another { .. }
            | Self::Value(_) => Kind::Invalid,
        }
    }
}

/// The members of a body. Those that nobody asks for are ignored.
#[derive(Debug, Default)]
pub(super) struct Members(Map<String, Value>, Numbers);

impl Members {
    /// Reads a body; one without a byte has no members, and neither has `[]`.
    pub(super) fn read(body: &[u8]) -> Result<Self, BadBody> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body).map_err(BadBody::NotJson)? {
            Value::Object(members) => Ok(Self(members, Numbers::of(body))),
            Value::Array(list) if list.is_empty() => Ok(Self::default()),
            _ => Err(BadBody::NotAnObject),
        }
    }

    /// A member that may repeat what the path says, and nothing else.
    pub(super) fn same(&self, member: &'static str, path: &str) -> Result<(), BadBody> {
        match self.0.get(member) {
            None => Ok(()),
            Some(Value::String(text)) if text == path => Ok(()),
            Some(Value::String(_)) => Err(BadBody::Another { member, path: path.to_owned() }),
            Some(_) => Err(BadBody::Type { member, expected: "a text" }),
        }
    }

    /// The same of an address, in whatever way it is written.
    pub(super) fn same_address(&self, member: &'static str, path: &HostAddress) -> Result<(), BadBody> {
        match self.0.get(member) {
            Some(Value::String(text)) if text.parse() == Ok(path.clone()) => Ok(()),
            _ => self.same(member, path.as_str()),
        }
    }

    /// The address that a host is to have, if one is said.
    pub(super) fn address(&self) -> Result<Option<HostAddress>, BadBody> {
        if !self.0.contains_key("address") {
            return Ok(None);
        }
        self.text("address", "")?
            .parse()
            .map(Some)
            .map_err(|error: fleet::BadAddress| BadBody::Value(error.to_string()))
    }

    /// A host that is to be added.
    pub(super) fn host(self) -> Result<NewHost, BadBody> {
        // Clients that have none say so in one way or another.
        let cluster = match self.0.get("cluster") {
            None | Some(Value::Null) => String::new(),
            Some(_) => self.text("cluster", "")?,
        };
        let cluster = match cluster.as_str() {
            "" => None,
            name => Some(name.parse().map_err(|_| BadBody::NoSuchCluster { name: name.to_owned() })?),
        };
        Ok(NewHost {
            status: HostStatus::from(self.text("status", "")?.as_str()),
            facts: Facts {
                os: self.text("os", "")?,
                cpus: self.number("cpus")?,
                memory: self.number("memory")?,
                space: self.number("space")?,
            },
            last_check: self.text("last_check", "")?,
            source: self.text("source", "")?,
            cluster,
            labels: Labels::default(),
            credentials: Credentials {
                ssh_priv_key: Secret::new(self.text("ssh_priv_key", "")?),
                remote_user: self.text("remote_user", "root")?,
            },
        })
    }

    /// A cluster that is to be made or changed. What else was said about it is not for the body to say.
    pub(super) fn cluster(self) -> Result<NewCluster, BadBody> {
        let default = NewCluster::default();
        Ok(NewCluster {
            network: self.text("network", &default.network)?,
            container_manager: self.text("container_manager", &default.container_manager)?,
        })
    }

    /// What an operation of this kind is to do.
    pub(super) fn plan(self, kind: OperationKind) -> Result<Plan, BadBody> {
        Ok(match kind {
            OperationKind::Deploy => {
                if !self.0.contains_key("version") {
                    return Err(BadBody::Missing { member: "version" });
                }
                let version = self.text("version", "")?.parse::<DeployVersion>();
                Plan::Deploy { version: version.map_err(|error| BadBody::Value(error.to_string()))? }
            }
            OperationKind::Upgrade => Plan::Upgrade,
            OperationKind::Restart => Plan::Restart,
        })
    }

    /// A network that is to be made.
    pub(super) fn network(self, name: NetworkName) -> Result<Network, BadBody> {
        let kind = self.kind(|error: fleet::BadNetwork| error.to_string())?;
        Ok(Network { name, kind, options: self.options()? })
    }

    /// A container manager that is to be made.
    pub(super) fn container_manager(self, name: ContainerManagerName) -> Result<ContainerManager, BadBody> {
        let kind = self.kind(|error: fleet::BadContainerManager| error.to_string())?;
        Ok(ContainerManager { name, kind, options: self.options()? })
    }

    fn kind<K: Default + std::str::FromStr>(&self, why: impl Fn(K::Err) -> String) -> Result<K, BadBody> {
        if !self.0.contains_key("type") {
            return Ok(K::default());
        }
        self.text("type", "")?.parse().map_err(|error| BadBody::Value(why(error)))
    }

    fn options(mut self) -> Result<Options, BadBody> {
        match self.0.remove("options") {
            None => Ok(Options::default()),
            // Nobody would get back what they gave.
            Some(Value::Object(_)) if self.1 == Numbers::Rounded => {
                Err(BadBody::Value("whole numbers have at most 64 bits".into()))
            }
            Some(Value::Object(options)) => Ok(Options::new(options)),
            Some(_) => Err(BadBody::Type { member: "options", expected: "an object" }),
        }
    }

    fn text(&self, member: &'static str, default: &str) -> Result<String, BadBody> {
        match self.0.get(member) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(BadBody::Type { member, expected: "a text" }),
        }
    }

    /// The original asks Python whether it is an `int` (contract, section 4), which `2.0` is not.
    fn number(&self, member: &'static str) -> Result<i64, BadBody> {
        match self.0.get(member) {
            None => Ok(0),
            Some(value) => {
                value.as_i64().ok_or(BadBody::Type { member, expected: "a whole number of 64 bits" })
            }
        }
    }
}

/// Whether a body says that something is to be deleted whatever stands in the way. Otherwise it means nothing, as all
/// bodies of such requests (contract, section 2.4).
pub(super) fn is_forced(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        force: bool,
    }
    body.trim_ascii_start().first() == Some(&b'{')
        && serde_json::from_slice(body).is_ok_and(|Said { force }| force)
}

/// The hosts that a cluster has and those it is to have, where the body has them. A body may be long here, so
/// nothing else is made of it.
#[derive(Default, Deserialize)]
pub(super) struct Replacement<'b> {
    #[serde(borrow, default)]
    name: Option<&'b RawValue>,
    #[serde(borrow, default)]
    old: Option<&'b RawValue>,
    #[serde(borrow, default)]
    new: Option<&'b RawValue>,
}

impl<'b> Replacement<'b> {
    /// Reads a body as [`Members::read`] does.
    pub(super) fn read(body: &'b [u8]) -> Result<Self, BadBody> {
        let text =
            std::str::from_utf8(body).map_err(|error| BadBody::NotJson(serde::de::Error::custom(error)))?;
        match text.trim_ascii_start().as_bytes() {
            [b'{', ..] => serde_json::from_str(text).map_err(BadBody::NotJson),
            [b'[', rest @ ..] if rest.trim_ascii() == b"]" => Ok(Self::default()),
            [] if text.is_empty() => Ok(Self::default()),
            _ => {
                serde_json::from_str::<IgnoredAny>(text).map_err(BadBody::NotJson)?;
                Err(BadBody::NotAnObject)
            }
        }
    }

    /// As [`Members::same`], of the name.
    pub(super) fn same_name(&self, path: &str) -> Result<(), BadBody> {
        let Some(name) = self.name else { return Ok(()) };
        match serde_json::from_str::<Cow<'_, str>>(name.get()) {
            Ok(name) if name == path => Ok(()),
            Ok(_) => Err(BadBody::Another { member: "name", path: path.to_owned() }),
            Err(_) => Err(BadBody::Type { member: "name", expected: "a text" }),
        }
    }

    /// The hosts that the cluster has.
    pub(super) fn hosts_before(&self) -> Result<BTreeSet<String>, BadBody> {
        texts("old", self.old)
    }

    /// The hosts that it is to have.
    pub(super) fn hosts_after(&self) -> Result<BTreeSet<String>, BadBody> {
        texts("new", self.new)
    }
}

fn texts(member: &'static str, value: Option<&RawValue>) -> Result<BTreeSet<String>, BadBody> {
    let value = value.ok_or(BadBody::Missing { member })?;
    serde_json::from_str(value.get()).map_err(|_| BadBody::Type { member, expected: "a list of texts" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn read(body: &str) -> Members {
        Members::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn bodies_are_objects() {
        for (body, expected) in [
            (&b""[..], Ok(())),
            (b"{}", Ok(())),
            (b"[]", Ok(())),
            (b" {\"a\": 1}\n", Ok(())),
            (b" ", Err("not JSON")),
            (b"{", Err("not JSON")),
            (b"{}{}", Err("not JSON")),
            (b"{'a': 1}", Err("not JSON")),
            (b"{\"a\": NaN}", Err("not JSON")),
            (b"{\"a\": \"\xff\"}", Err("not JSON")),
            (b"name=a", Err("not JSON")),
            (b"null", Err("object")),
            (b"7", Err("object")),
            (b"true", Err("object")),
            (b"\"text\"", Err("object")),
            (b"[1]", Err("object")),
            (b"[[\"cluster\", \"c\"]]", Err("object")),
        ] {
            let found = Members::read(body).map(drop).map_err(|error| error.to_string());
            let fits = match (&found, expected) {
                (Ok(()), Ok(())) => true,
                (Err(found), Err(part)) => found.contains(part),
                _ => false,
            };
            assert!(fits, "{}: {found:?}", String::from_utf8_lossy(body));
        }
        let deep = "[".repeat(100_000);
        assert!(Members::read(deep.as_bytes()).is_err());
    }

    #[test]
    fn whole_numbers_stay_what_they_are() {
        let name = || "n".parse::<NetworkName>().unwrap();
        for (options, kept) in [
            ("18446744073709551615", true),
            ("-9223372036854775808", true),
            ("-0", true),
            ("1e400000", true),
            ("18446744073709551616.0", true),
            (r#""18446744073709551616""#, true),
            (r#""\\\"18446744073709551616""#, true),
            ("18446744073709551616", false),
            ("-9223372036854775809", false),
            (r#"{"\"": [1, {"b": 123456789012345678901234567890}]}"#, false),
        ] {
            let Ok(members) = Members::read(format!(r#"{{"options": {{"a": {options}}}}}"#).as_bytes())
            else {
                assert!(options.contains('e'), "{options}");
                continue;
            };
            assert_eq!(members.network(name()).is_ok(), kept, "{options}");
        }
        assert!(read(r#"{"ignored": 18446744073709551616}"#).network(name()).is_ok());
    }

    #[test]
    fn the_path_comes_first() {
        let path = "db1.example".parse().unwrap();
        for (body, fits) in [
            ("{}", true),
            (r#"{"address": "DB1.Example."}"#, true),
            (r#"{"address": "db2.example"}"#, false),
            (r#"{"address": 7}"#, false),
        ] {
            assert_eq!(read(body).same_address("address", &path).is_ok(), fits, "{body}");
        }
        assert!(read("{}").same("name", "a").is_ok());
        assert!(read(r#"{"name": "a"}"#).same("name", "a").is_ok());
        for body in [r#"{"name": "b"}"#, r#"{"name": null}"#, r#"{"name": ["a"]}"#] {
            assert_eq!(read(body).same("name", "a").unwrap_err().kind(), Kind::Invalid, "{body}");
        }
    }

    #[test]
    fn hosts_are_read() {
        let none = read("{}").host().unwrap();
        assert_eq!((none.credentials.remote_user.as_str(), none.cluster), ("root", None));
        let body = r#"{"ssh_priv_key": "a2V5", "remote_user": "core", "cluster": "web", "status": "active",
            "os": "fedora", "cpus": 2, "memory": -1, "space": 9223372036854775807, "last_check": "then",
            "source": "", "host": "ignored"}"#;
        let host = read(body).host().unwrap();
        assert_eq!(host.status, HostStatus::Active);
        let facts = Facts { os: "fedora".into(), cpus: 2, memory: -1, space: i64::MAX };
        assert_eq!((host.facts, host.last_check.as_str()), (facts, "then"));
        assert_eq!(host.cluster.unwrap().as_str(), "web");
        assert_eq!(host.credentials.ssh_priv_key.expose(), "a2V5");
        for (body, kind) in [
            (r#"{"cluster": null}"#, None),
            (r#"{"cluster": ""}"#, None),
            (r#"{"cluster": "a/b"}"#, Some(Kind::Conflict)),
            (r#"{"cluster": 7}"#, Some(Kind::Invalid)),
            (r#"{"ssh_priv_key": null}"#, Some(Kind::Invalid)),
            (r#"{"remote_user": ["root"]}"#, Some(Kind::Invalid)),
            (r#"{"cpus": "2"}"#, Some(Kind::Invalid)),
            (r#"{"cpus": 1.5}"#, Some(Kind::Invalid)),
            (r#"{"cpus": 2.0}"#, Some(Kind::Invalid)),
            (r#"{"cpus": true}"#, Some(Kind::Invalid)),
            (r#"{"space": 9223372036854775808}"#, Some(Kind::Invalid)),
            (r#"{"status": {}}"#, Some(Kind::Invalid)),
        ] {
            assert_eq!(read(body).host().err().map(|error| error.kind()), kind, "{body}");
        }
        for (body, address) in [
            ("{}", Ok(None)),
            (r#"{"address": "10.0.0.1"}"#, Ok(Some("10.0.0.1"))),
            (r#"{"address": ""}"#, Err(())),
            (r#"{"address": null}"#, Err(())),
            (r#"{"address": "a b"}"#, Err(())),
            (r#"{"address": "http://a"}"#, Err(())),
        ] {
            let found = read(body).address().map_err(drop);
            assert_eq!(found, address.map(|text| text.map(|text| text.parse().unwrap())), "{body}");
        }
    }

    #[test]
    fn clusters_and_their_hosts_are_read() {
        let ours = |network: &str, manager: &str| {
            Some(NewCluster { network: network.into(), container_manager: manager.into() })
        };
        for (body, expected) in [
            ("{}", ours("default", "")),
            (r#"{"type": "kubernetes", "network": "n", "container_manager": "k8s"}"#, ours("n", "k8s")),
            (r#"{"hostset": ["a"], "status": "failed"}"#, ours("default", "")),
            (r#"{"network": null}"#, None),
            (r#"{"container_manager": 7}"#, None),
        ] {
            assert_eq!(read(body).cluster().ok(), expected, "{body}");
        }
        let set = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<BTreeSet<_>>();
        for (body, expected) in [
            (r#"{"old": [], "new": ["b", "a", "b"]}"#, Some((set(&[]), set(&["a", "b"])))),
            ("{}", None),
            (r#"{"old": []}"#, None),
            (r#"{"new": []}"#, None),
            (r#"{"old": [], "new": null}"#, None),
            (r#"{"old": [], "new": "a"}"#, None),
            (r#"{"old": [], "new": [1]}"#, None),
            (r#"{"old": {}, "new": []}"#, None),
        ] {
            let body = Replacement::read(body.as_bytes()).unwrap();
            let lists = body.hosts_before().and_then(|old| Ok((old, body.hosts_after()?)));
            assert_eq!(lists.ok(), expected);
        }
        let same = |body: &[u8]| {
            Replacement::read(body).and_then(|body| body.same_name("a")).map_err(|error| error.to_string())
        };
        for (body, expected) in [
            (&b""[..], Ok(())),
            (b"{}", Ok(())),
            (b" [ ] ", Ok(())),
            (br#"{"name": "a", "x": [[{}]]}"#, Ok(())),
            (br#"{"name": "\u0061"}"#, Ok(())),
            (br#"{"name": "b"}"#, Err("another")),
            (br#"{"name": 7}"#, Err("not a text")),
            (b" ", Err("not JSON")),
            (b"{", Err("not JSON")),
            (b"[", Err("not JSON")),
            (b"{\"x\": \"\xff\"}", Err("not JSON")),
            (b"[[], []]", Err("object")),
            (b"null", Err("object")),
        ] {
            let found = same(body);
            let fits = match (&found, expected) {
                (Ok(()), Ok(())) => true,
                (Err(found), Err(part)) => found.contains(part),
                _ => false,
            };
            assert!(fits, "{}: {found:?}", String::from_utf8_lossy(body));
        }
        let deep = "[".repeat(100_000);
        assert!(Replacement::read(deep.as_bytes()).is_err());
    }

    #[test]
    fn force_is_read_and_nothing_else() {
        for (body, expected) in [
            (&b""[..], false),
            (b"{}", false),
            (br#"{"force": true}"#, true),
            (br#"{"force": true, "x": [1]}"#, true),
            (b"\r\n\t {\"force\": true}\n", true),
            (b" [true]", false),
            (br#"{"force": false}"#, false),
            (br#"{"force": "true"}"#, false),
            (br#"{"force": 1}"#, false),
            (b"[true]", false),
            (b"{", false),
            (b"\xff", false),
        ] {
            assert_eq!(is_forced(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn operations_are_read() {
        for (body, fits) in [
            (r#"{"version": "7.2.6"}"#, true),
            ("{}", false),
            (r#"{"version": ""}"#, false),
            (r#"{"version": 7}"#, false),
            (r#"{"version": null}"#, false),
        ] {
            assert_eq!(read(body).plan(OperationKind::Deploy).is_ok(), fits, "{body}");
            assert_eq!(read(body).plan(OperationKind::Restart).unwrap(), Plan::Restart);
        }
    }

    #[test]
    fn networks_and_container_managers_are_read() {
        for (body, kind) in [
            ("{}", Some("flannel_etcd")),
            (r#"{"type": "flannel_server", "options": {"address": "a:1"}}"#, Some("flannel_server")),
            (r#"{"type": "flanneld_service"}"#, Some("flannel_server")),
            (r#"{"type": "openshift"}"#, None),
            (r#"{"type": null}"#, None),
            (r#"{"options": null}"#, None),
            (r#"{"options": []}"#, None),
            (r#"{"options": "{}"}"#, None),
        ] {
            let network = read(body).network("n".parse().unwrap()).ok();
            assert_eq!(network.map(|network| network.kind.as_str()), kind, "{body}");
        }
        for (body, kind) in [
            ("{}", Some("openshift")),
            (r#"{"type": "trivial"}"#, Some("trivial")),
            (r#"{"type": "kubernetes", "options": {"token": "t"}}"#, Some("kubernetes")),
            (r#"{"type": "swarm"}"#, None),
            (r#"{"options": 7}"#, None),
        ] {
            let manager = read(body).container_manager("k".parse().unwrap()).ok();
            assert_eq!(manager.map(|manager| manager.kind.as_str()), kind, "{body}");
        }
    }
}
