//! What Commissaire's configuration is in our settings, for `commissaire-server` and for `provost config import` alike.
//!
//! ```text
//! listen-interface  listen-port              bind  base_port, and the name in `netloc`
//! tls-pemfile                                server.tls_file; server.doors is https with it, and http without
//! tls-clientverifyfile                       server.client_ca_file, server.client_certificates = required
//! debug  logging                             log.level
//! roles                                      fleet.investigate, fleet.operations and fleet.watch, which are whether
//!                                            `investigator`, `clusterexec` and `watcher` are among them
//! storage_handlers, ETCD_*                   store.engine, store.etcd
//! authentication-plugins  self-auths         see `sign_in`
//! ```
//! Source: the contract of `/api/v0`, sections 7.1, 7.2 and 9.2.

use std::net::IpAddr;
use std::path::Path;

use super::conf::{Conf, setting};
use super::storage::{self, Storage};
use super::variables::EtcdVariables;
use crate::settings::{Config, Netloc, Origin, Problem, Said, Value};

/// What `commissaire.conf` may have.
pub const MEMBERS: [&str; 11] = [
    "listen-interface",
    "listen-port",
    "tls-pemfile",
    "tls-clientverifyfile",
    "authentication-plugins",
    "self-auths",
    "bus-exchange",
    "bus-uri",
    "debug",
    "logging",
    "roles",
];

/// Members that are a setting each.
const SETTINGS: [(&str, &str); 4] = [
    ("listen-interface", "bind"),
    ("listen-port", "base_port"),
    ("tls-pemfile", "server.tls_file"),
    ("tls-clientverifyfile", "server.client_ca_file"),
];

/// The original's port.
const PORT: u16 = 8000;

/// Says what `conf` says about the server. Relative paths start from `from`, or from the working directory. Gives what
/// is wrong with it that the settings cannot tell.
#[must_use]
pub fn server(conf: &Conf, config: &mut Config, from: Option<&Path>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let from = || from.map(Path::to_owned);
    for (member, key) in SETTINGS {
        if let Some(value) = conf.member(member) {
            let value = setting(value);
            config.say(key, Said { value, origin: conf.origin(member), from: from() });
        }
    }
    let roles = conf.member("roles");
    if roles.is_some_and(|roles| !roles.is_array()) {
        problems.push(conf.problem("roles", r#"is a list, such as ["rest", "storage", "investigator"]"#));
    }
    if let Some(roles) = roles.and_then(serde_json::Value::as_array) {
        let roles_of = [
            ("investigator", "fleet.investigate"),
            ("clusterexec", "fleet.operations"),
            ("watcher", "fleet.watch"),
        ];
        for (role, key) in roles_of {
            let value = Value::Switch(roles.iter().any(|is| is == role));
            config.say(key, Said { value, origin: conf.origin("roles"), from: None });
        }
    }
    if let Some((level, origin)) = conf.log_level() {
        let value = Value::Text(level.to_owned());
        config.say("log.level", Said { value, origin, from: None });
    }
    problems
}

/// Says where everything is kept: as `storage.conf` has it, else where the variables say. Relative paths start from
/// `from`, or from the working directory.
pub fn store(
    conf: Option<&Conf>,
    variables: Option<&EtcdVariables>,
    config: &mut Config,
    from: Option<&Path>,
) -> Storage {
    let by_variables = |config: &mut Config| {
        if let Some(variables) = variables {
            variables.say(config, from);
        }
        variables.is_some()
    };
    let found = conf.map(storage::storage).unwrap_or_default();
    if let Some(conf) = conf {
        found.say(conf, config, from, by_variables);
    }
    if !found.names_etcd() {
        by_variables(config);
    }
    if config.said("store.engine").is_some_and(|said| said.value == Value::Text("etcd".to_owned())) {
        // Apart from what the original has there.
        say(config, "store.etcd.namespace", "/provost", Origin::Default);
    }
    found
}

/// What the original does where nobody says anything, and what follows from what was said.
pub fn defaults(config: &mut Config) {
    say(config, "bind", "0.0.0.0", Origin::Flag("--listen-interface".to_owned()));
    // The name in certificates: what is listened on, when that is one address or one name.
    if let Some(Said { value: Value::Text(host), origin, .. }) = config.said("bind")
        && !host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    {
        let is_bare = host.contains(':') && !host.starts_with('[');
        let host = if is_bare { format!("[{host}]") } else { host.clone() };
        let netloc = match port(config) {
            // It leaves none for HTTPS, so no name has it.
            Some(u16::MAX) => host,
            port => format!("{host}:{}", port.unwrap_or(PORT)),
        };
        let origin = origin.clone();
        // What is wrong with it is told of what is listened on, and not twice.
        if netloc.parse::<Netloc>().is_ok() {
            say(config, "netloc", &netloc, origin);
        }
    }
    let tls = config.said("server.tls_file").map(|said| said.origin.clone());
    let has_tls = tls.is_some();
    let doors = if has_tls { "https" } else { "http" };
    say(config, "server.doors", doors, tls.unwrap_or(Origin::Default));
    let client_ca_file = config.said("server.client_ca_file").map(|said| said.origin.clone());
    if let Some(origin) = client_ca_file.filter(|_| has_tls) {
        say(config, "server.client_certificates", "required", origin);
    }
    // Whoever reaches the original's port is served there, with TLS or without.
    say(config, "fleet.plain_http", "everyone", Origin::Default);
    // Its users expect containers on their hosts.
    say(config, "fleet.profile", "containers", Origin::Default);
    // Its clients know of no certificate authority, and nobody asked for one.
    config.say("ca.api", Said { value: Value::Switch(false), origin: Origin::Default, from: None });
    config.say("cache.api", Said { value: Value::Switch(false), origin: Origin::Default, from: None });
}

fn port(config: &Config) -> Option<u16> {
    match &config.said("base_port")?.value {
        Value::Whole(port) => u16::try_from(*port).ok(),
        Value::Text(port) => port.parse().ok(),
        _ => None,
    }
}

fn say(config: &mut Config, key: &'static str, value: &str, origin: Origin) {
    config.say(key, Said { value: Value::Text(value.to_owned()), origin, from: None });
}

#[cfg(test)]
mod tests {
    use fleet::bootstrap::Profile;
    use serde_json::json;

    use super::*;
    use crate::settings::{Settings, Surroundings};

    fn of(object: &serde_json::Value) -> Result<Settings, Vec<String>> {
        let conf = Conf { path: "commissaire.conf".into(), object: object.as_object().unwrap().clone() };
        let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
        let mut problems = server(&conf, &mut config, None);
        defaults(&mut config);
        let settings = Settings::from(&config).map_err(|told| problems.extend(told));
        let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        settings.ok().filter(|_| problems.is_empty()).ok_or_else(|| told(problems))
    }

    /// The contract of `/api/v0`, section 16.
    #[test]
    fn roles_say_whether_hosts_are_looked_at() {
        for (conf, investigate, operations, watch) in [
            (json!({}), true, true, true),
            (json!({"roles": ["rest", "investigator"]}), true, false, false),
            (json!({"roles": ["rest", "watcher"]}), false, false, true),
            (json!({"roles": ["rest", "storage", "containermgr", "clusterexec"]}), false, true, false),
            (json!({"roles": []}), false, false, false),
        ] {
            let hands = of(&conf).unwrap().fleet.hands;
            assert_eq!((hands.investigate, hands.operations), (investigate, operations), "{conf}");
            assert_eq!((hands.watch_period.is_some(), hands.profile), (watch, Profile::Containers), "{conf}");
        }
        let told = of(&json!({"roles": "rest"})).unwrap_err();
        assert_eq!(
            told,
            [r#"commissaire.conf: roles: is a list, such as ["rest", "storage", "investigator"]"#]
        );
    }
}
