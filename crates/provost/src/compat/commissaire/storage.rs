//! `storage.conf`: where Commissaire's storage service keeps things.
//!
//! ```text
//! storage_handlers    an object, or a list of them:
//!   type                   a module; without a dot, of commissaire.storage
//!   name                   its name [default: the module's, then -1, -2 …]
//!   models                 which models it keeps, by shell patterns [default: all]
//!   server_url  certificate_path certificate_key_path certificate_ca_path      of an etcd
//! custodia_X          option X of Custodia
//! ```
//! Everything is kept in one store here: the etcd of the first handler that is one, or the embedded store without. Where
//! its URL is said, and other machines can make something of it, flannel on hosts is told the same etcd, with its files.
//!
//! Source: the contract of `/api/v0`, sections 9.2 and 9.3.

use std::path::Path;

use serde_json::{Map, Value};

use super::conf::{Conf, member, setting};
use crate::settings::{self, Config, Origin, Problem, Said};

/// The models that a pattern can mean; those with secrets are never claimed.
const MODELS: [&str; 13] = [
    "Cluster",
    "ClusterDeploy",
    "ClusterRestart",
    "ClusterUpgrade",
    "Clusters",
    "ContainerManagerConfig",
    "ContainerManagerConfigs",
    "Host",
    "HostStatus",
    "Hosts",
    "Network",
    "Networks",
    "WatcherRecord",
];

/// What the original's services all have.
pub const COMMON: [&str; 4] = ["bus-uri", "bus-exchange", "debug", "logging"];

/// The prefix of modules that have no dot.
const PREFIX: &str = "commissaire.storage.";

/// What was found in a `storage.conf`.
#[derive(Debug, Default)]
pub struct Storage {
    /// The options of the etcd in which everything is kept, by member; empty values are not there.
    etcd: Option<Vec<(&'static str, Value)>>,
    /// What makes it unusable.
    pub problems: Vec<Problem>,
    /// What has no counterpart here.
    pub lost: Vec<Problem>,
}

/// An etcd's options, and the settings that they are.
const OPTIONS: [(&str, &str); 4] = [
    ("server-url", "store.etcd.endpoints"),
    ("certificate-path", "store.etcd.certificate_file"),
    ("certificate-key-path", "store.etcd.key_file"),
    ("certificate-ca-path", "store.etcd.ca_file"),
];

/// The same etcd's settings, as they are of flannel on hosts.
const FLANNEL: [(&str, &str); 4] = [
    ("store.etcd.endpoints", "fleet.flannel.etcd.url"),
    ("store.etcd.certificate_file", "fleet.flannel.etcd.certificate_file"),
    ("store.etcd.key_file", "fleet.flannel.etcd.key_file"),
    ("store.etcd.ca_file", "fleet.flannel.etcd.ca_file"),
];

/// Whether it is about a member of Custodia's, which [`storage`] speaks of by itself.
pub fn is_of_custodia(problem: &Problem) -> bool {
    matches!(&problem.origin, Origin::Member(_, name) if is_custodia(name))
}

fn is_custodia(name: &str) -> bool {
    name.replace('_', "-").starts_with("custodia-")
}

/// What `conf` says.
pub fn storage(conf: &Conf) -> Storage {
    const KEY: &str = "storage-handlers";
    let mut found = Storage::default();
    let handlers = match conf.member(KEY) {
        None => Vec::new(),
        Some(Value::Object(handler)) => vec![handler],
        Some(Value::Array(items)) => {
            let objects: Vec<_> = items.iter().filter_map(Value::as_object).collect();
            if objects.len() < items.len() {
                found.problems.push(conf.problem(KEY, "something in it is no object"));
            }
            objects
        }
        Some(_) => {
            found.problems.push(conf.problem(KEY, "is an object, or a list of objects"));
            Vec::new()
        }
    };
    let mut reader = Reader { conf, names: Vec::new(), claimed: Vec::new(), found };
    for handler in handlers {
        reader.handler(handler);
    }
    let mut found = reader.found;
    for name in conf.object.keys() {
        if is_custodia(name) {
            let what = "has no counterpart: secrets are sealed in the store itself, and no Custodia is asked";
            found.lost.push(conf.problem(name, what));
        }
    }
    found
}

impl Storage {
    /// Says where everything is kept, if it is in an etcd; `variables` is asked when it does not say where that is.
    /// Relative paths start from `from`, or from the working directory.
    pub fn say(
        &self,
        conf: &Conf,
        config: &mut Config,
        from: Option<&Path>,
        variables: impl FnOnce(&mut Config) -> bool,
    ) {
        let Some(options) = &self.etcd else { return };
        let origin = conf.origin("storage-handlers");
        let mut say = |setting, value| {
            config.say(setting, Said { value, origin: origin.clone(), from: from.map(Path::to_owned) });
        };
        say("store.engine", settings::Value::Text("etcd".to_owned()));
        for (setting, value) in options {
            say(setting, setting_of(value));
        }
        if options.iter().any(|(setting, value)| *setting == "store.etcd.endpoints" && is_for_others(value)) {
            for (setting, value) in options {
                let of_flannel = FLANNEL.iter().find(|(of_store, _)| of_store == setting);
                of_flannel.into_iter().for_each(|(_, of_flannel)| say(of_flannel, setting_of(value)));
            }
        }
        let has_url = options.iter().any(|(setting, _)| *setting == "store.etcd.endpoints");
        if !has_url && !variables(config) {
            let url = settings::Value::Text("http://127.0.0.1:2379".to_owned());
            config.say("store.etcd.endpoints", Said { value: url, origin, from: None });
        }
    }

    /// Whether it names an etcd by its URL: then the environment's is not asked.
    pub fn names_etcd(&self) -> bool {
        let options = self.etcd.iter().flatten();
        options.into_iter().any(|(setting, _)| *setting == "store.etcd.endpoints")
    }
}

/// Whether it is an URL of a machine that others can ask, too.
fn is_for_others(url: &Value) -> bool {
    let host = |url: &str| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
        let place = rest.split('/').next()?;
        let host = match place.strip_prefix('[') {
            Some(inside) => inside.split(']').next()?,
            None => place.split(':').next()?,
        };
        Some(host.to_owned()).filter(|host| !host.is_empty())
    };
    let is_own = |host: &str| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    url.as_str().and_then(host).is_some_and(|host| !is_own(&host))
}

/// An URL may have a slash behind its port; ours has none.
fn setting_of(value: &Value) -> settings::Value {
    match value {
        Value::String(text) => settings::Value::Text(text.trim_end_matches('/').to_owned()),
        other => setting(other),
    }
}

struct Reader<'c> {
    conf: &'c Conf,
    names: Vec<String>,
    claimed: Vec<&'static str>,
    found: Storage,
}

impl Reader<'_> {
    fn handler(&mut self, handler: &Map<String, Value>) {
        let text = |name: &str| member(handler, name).and_then(Value::as_str);
        // Old examples have the module under `name`.
        let named = text("name").filter(|name| name.starts_with(PREFIX));
        let Some(module) = text("type").or(named) else {
            return self.wrong("a handler in it has no `type`");
        };
        let short = module.strip_prefix(PREFIX).unwrap_or(module);
        let name = match text("name").filter(|_| text("type").is_some()) {
            Some(name) => name.to_owned(),
            None => self.free_name(module),
        };
        if self.names.contains(&name) {
            self.wrong(format!("two handlers are called `{name}`"));
        }
        self.models(handler, &name);
        match short {
            "etcd" if self.found.etcd.is_none() => self.etcd(handler),
            "etcd" => self.lost(&name, "everything is kept in one store, that of the first handler"),
            "custodia" => {
                self.lost(&name, "secrets are sealed in the store itself, and no Custodia is asked");
            }
            _ => self.lost(&name, "there are the embedded store and etcd"),
        }
        self.names.push(name);
    }

    fn free_name(&self, module: &str) -> String {
        let module = module.rsplit('.').next().unwrap_or(module);
        let numbered = (1..).map(|number| format!("{module}-{number}"));
        let mut names = std::iter::once(module.to_owned()).chain(numbered);
        names.find(|name| !self.names.contains(name)).unwrap_or_default()
    }

    fn models(&mut self, handler: &Map<String, Value>, name: &str) {
        let patterns = match member(handler, "models") {
            None => vec!["*"],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(_) => return self.wrong(format!("`models` of `{name}` is a list of names and patterns")),
        };
        let mut own = Vec::new();
        for pattern in patterns {
            let matching = MODELS.iter().filter(|model| matches(pattern.as_bytes(), model.as_bytes()));
            let count = own.len();
            own.extend(matching);
            if own.len() == count {
                self.wrong(format!("`{name}` is to keep `{pattern}`, which is no model"));
            }
        }
        own.sort_unstable();
        own.dedup();
        for model in &own {
            if self.claimed.contains(model) {
                self.wrong(format!("`{model}` is claimed twice, at last by `{name}`"));
            }
        }
        if own.len() < MODELS.len() && !own.is_empty() {
            self.lost(name, "everything is kept in one store, whatever `models` it is to have");
        }
        self.claimed.extend(own);
    }

    fn etcd(&mut self, handler: &Map<String, Value>) {
        let is_there = |name: &str| member(handler, name).is_some();
        if is_there("certificate-path") != is_there("certificate-key-path") {
            self.wrong("`certificate_path` and `certificate_key_path` are of use together only");
        }
        if is_there("certificate-path") {
            let url = member(handler, "server-url").and_then(Value::as_str);
            if url.is_some_and(|url| !url.starts_with("https:")) {
                self.wrong("a client certificate is of use with an https `server_url` only");
            }
        }
        let said = OPTIONS.iter().filter_map(|(option, key)| Some((*key, member(handler, option)?.clone())));
        self.found.etcd = Some(said.collect());
        let known = |name: &str| {
            ["type", "name", "models"].contains(&name) || OPTIONS.iter().any(|(option, _)| *option == name)
        };
        for option in handler.keys().filter(|option| !known(&option.replace('_', "-"))) {
            self.lost("etcd", &format!("`{option}` is no option that is known of it"));
        }
    }

    fn wrong(&mut self, what: impl Into<String>) {
        self.found.problems.push(self.conf.problem("storage-handlers", what));
    }

    fn lost(&mut self, name: &str, why: &str) {
        let what = format!("`{name}` has no counterpart, or not all of it: {why}");
        self.found.lost.push(self.conf.problem("storage-handlers", what));
    }
}

/// Whether `text` is like a shell's `pattern`: `*`, `?` and `[a-z]`, `[!a-z]`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        ([b'?', rest @ ..], [_, left @ ..]) => matches(rest, left),
        ([b'[', rest @ ..], [first, left @ ..]) => {
            let Some(end) = rest.iter().skip(1).position(|byte| *byte == b']').map(|end| end + 1) else {
                return *first == b'[' && matches(rest, left);
            };
            let (set, behind) = (&rest[..end], &rest[end + 1..]);
            let (is_not, set) = match set {
                [b'!', set @ ..] if !set.is_empty() => (true, set),
                set => (false, set),
            };
            is_in(set, *first) != is_not && matches(behind, left)
        }
        ([byte, rest @ ..], [first, left @ ..]) => byte == first && matches(rest, left),
        ([..], _) => false,
    }
}

fn is_in(set: &[u8], byte: u8) -> bool {
    match set {
        [from, b'-', to, rest @ ..] => (*from..=*to).contains(&byte) || is_in(rest, byte),
        [one, rest @ ..] => *one == byte || is_in(rest, byte),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::Surroundings;

    fn read(handlers: Value) -> Storage {
        let object = json!({"storage_handlers": handlers}).as_object().unwrap().clone();
        storage(&Conf { path: "storage.conf".into(), object })
    }

    fn told(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(|problem| problem.what.clone()).collect()
    }

    #[test]
    fn an_etcd_is_where_everything_is_kept() {
        let check = |handlers: Value, expected: Option<&str>| {
            let found = read(handlers.clone());
            assert_eq!(told(&found.problems), [""; 0], "{handlers}");
            let conf = Conf { path: "storage.conf".into(), object: Map::new() };
            let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
            found.say(&conf, &mut config, None, |_| false);
            let said = config.said("store.etcd.endpoints").map(|said| said.value.clone());
            assert_eq!(said, expected.map(|url| settings::Value::Text(url.to_owned())), "{handlers}");
        };
        check(json!([]), None);
        check(json!({"type": "etcd"}), Some("http://127.0.0.1:2379"));
        check(json!([{"type": "commissaire.storage.etcd", "server-url": "http://e:1/"}]), Some("http://e:1"));
        check(json!({"name": "commissaire.storage.etcd", "server_url": "http://e:1"}), Some("http://e:1"));
        check(json!({"type": "elsewhere.module"}), None);
    }

    /// Hosts cannot ask an etcd of which they are told that it is on themselves.
    #[test]
    fn flannel_is_told_of_an_etcd_that_hosts_can_ask() {
        let check = |handler: Value, expected: [Option<&str>; 2]| {
            let conf = Conf { path: "storage.conf".into(), object: Map::new() };
            let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
            read(handler.clone()).say(&conf, &mut config, None, |_| false);
            let said = ["fleet.flannel.etcd.url", "fleet.flannel.etcd.ca_file"]
                .map(|setting| config.said(setting).map(|said| said.value.clone()));
            let expected = expected.map(|text| text.map(|text| settings::Value::Text(text.to_owned())));
            assert_eq!(said, expected, "{handler}");
        };
        check(
            json!({"type": "etcd", "server_url": "https://10.0.0.1:2379/", "certificate_ca_path": "/ca.pem"}),
            [Some("https://10.0.0.1:2379"), Some("/ca.pem")],
        );
        check(
            json!({"type": "etcd", "server_url": "http://etcd.example:2379"}),
            [Some("http://etcd.example:2379"), None],
        );
        for url in ["http://127.0.0.1:2379", "http://localhost:2379", "http://[::1]:2379", "nonsense"] {
            check(json!({"type": "etcd", "server_url": url, "certificate_ca_path": "/ca.pem"}), [None, None]);
        }
        check(json!({"type": "etcd"}), [None, None]);
    }

    #[test]
    fn what_the_original_refuses_is_refused() {
        let check = |handlers: Value, expected: &[&str]| {
            assert_eq!(told(&read(handlers.clone()).problems), expected, "{handlers}");
        };
        check(json!("etcd"), &["is an object, or a list of objects"]);
        check(json!([{"name": "a"}, 1]), &["something in it is no object", "a handler in it has no `type`"]);
        check(
            json!({"type": "etcd", "models": ["Hos?", "Nothing"]}),
            &["`etcd` is to keep `Nothing`, which is no model"],
        );
        check(
            json!([{"type": "etcd", "name": "a", "models": ["Host"]}, {"type": "etcd", "name": "a", "models": ["Host*"]}]),
            &["two handlers are called `a`", "`Host` is claimed twice, at last by `a`"],
        );
        check(
            json!({"type": "etcd", "models": ["HostCreds"]}),
            &["`etcd` is to keep `HostCreds`, which is no model"],
        );
        check(
            json!({"type": "etcd", "server_url": "http://e:1", "certificate_path": "/a"}),
            &[
                "`certificate_path` and `certificate_key_path` are of use together only",
                "a client certificate is of use with an https `server_url` only",
            ],
        );
    }

    #[test]
    fn what_has_no_counterpart_is_told() {
        let found = read(json!([
            {"type": "etcd", "models": ["Host"]}, {"type": "etcd", "models": ["Cluster*"]},
            {"type": "custodia", "models": ["Network"]},
        ]));
        assert_eq!((found.problems.len(), found.lost.len()), (0, 5), "{:?}", found.lost);
    }

    #[test]
    fn patterns_are_a_shells() {
        let check = |pattern: &str, expected: &[&str]| {
            let found = MODELS.iter().filter(|model| matches(pattern.as_bytes(), model.as_bytes()));
            assert_eq!(found.copied().collect::<Vec<_>>(), expected, "{pattern}");
        };
        check("Host", &["Host"]);
        check("Host?", &["Hosts"]);
        check("Cluster[DR]*", &["ClusterDeploy", "ClusterRestart"]);
        check("Cluster[!DR]*", &["ClusterUpgrade", "Clusters"]);
        check("[M-N]etwork", &["Network"]);
        check("", &[]);
        check("[", &[]);
        assert!(matches(b"a[", b"a["));
    }
}
