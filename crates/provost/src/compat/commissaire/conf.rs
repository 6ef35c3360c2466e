//! The configuration files of Commissaire's server and services: JSON objects, in whose member names `-` and `_` are
//! the same.
//!
//! Where `ETCD_MACHINES` is set, a key of etcd's comes before the file (see [`super::variables`]).
//!
//! Source: the contract of `/api/v0`, sections 7.2 and 9.1.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use store::regular_file;

use super::variables::EtcdVariables;
use crate::settings::{self, Origin, Problem, meant};

/// Where the original's files are.
pub const DIRECTORY: &str = "/etc/commissaire";

/// What the original's processes did, as far as each can be left out (the contract, section 16).
const ROLES: [&str; 6] = ["rest", "storage", "containermgr", "clusterexec", "investigator", "watcher"];

/// One configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Conf {
    /// Where it is from, for people: a path, or what stands for one.
    pub path: PathBuf,
    /// What it says, under the names that it has there.
    pub object: Map<String, Value>,
}

impl Conf {
    /// The member `name`, which is written with `-`; `null` is no member.
    pub fn member(&self, name: &str) -> Option<&Value> {
        member(&self.object, name)
    }

    /// Where a member was said.
    pub fn origin(&self, name: &str) -> Origin {
        Origin::Member(self.path.clone(), name.to_owned())
    }

    /// Something about a member.
    pub fn problem(&self, name: &str, what: impl Into<String>) -> Problem {
        Problem { origin: self.origin(name), key: None, what: what.into(), hint: None }
    }

    /// The members that are none of `known`, each with a word about it.
    fn unknown(&self, known: &[&str]) -> Vec<Problem> {
        let names = self.object.keys().map(|name| (name, name.replace('_', "-")));
        let unknown = names.filter(|(_, name)| !known.contains(&name.as_str()));
        let told = unknown.map(|(said, name)| {
            let problem = self.problem(said, "nothing known has this name, and it is passed over");
            Problem { hint: meant(&name, known.iter().copied()), ..problem }
        });
        told.collect()
    }

    /// What is passed over: members that are none of `known`, and those of another type than they have, where the
    /// settings do not tell that themselves.
    pub fn passed_over(&self, known: &[&str]) -> Vec<Problem> {
        let mut told = self.unknown(known);
        let mut tell = |name: &str, what: String| {
            told.push(self.problem(name, format!("{what}, and is passed over")));
        };
        for (name, is_right, what) in [
            ("debug", Value::is_boolean as fn(&Value) -> bool, "is neither true nor false"),
            ("logging", Value::is_object, "is no object"),
            ("bus-uri", Value::is_string, "is no text"),
            ("bus-exchange", Value::is_string, "is no text"),
        ] {
            if self.member(name).is_some_and(|value| !is_right(value)) {
                tell(name, what.to_owned());
            }
        }
        for logger in self.loggers() {
            match logger {
                Ok(_) => {}
                Err(place) => {
                    tell("logging", format!("{place} does not say one of the levels of Python's logging"))
                }
            }
        }
        for role in self.member("roles").and_then(Value::as_array).into_iter().flatten() {
            match role.as_str() {
                Some(role) if ROLES.contains(&role) => {}
                Some(role) => tell("roles", format!("`{role}` is none of {}", ROLES.join(", "))),
                None => tell("roles", "something in it is no text".to_owned()),
            }
        }
        told
    }

    /// The loggers that `logging` speaks of and the levels that they say, or which of them says none that there is. What
    /// is not theirs to say is no concern of ours.
    fn loggers(&self) -> Vec<Result<(&str, &'static str), String>> {
        let Some(logging) = self.member("logging").and_then(Value::as_object) else { return Vec::new() };
        let named = match member(logging, "loggers") {
            None => None,
            Some(Value::Object(named)) => Some(named),
            Some(_) => return vec![Err("`loggers` is no object; it".to_owned())],
        };
        let root = member(logging, "root").map(|root| ("root", root));
        let named = named.into_iter().flatten().map(|(name, logger)| (name.as_str(), logger));
        root.into_iter()
            .chain(named)
            .filter_map(|(name, logger)| match logger.as_object() {
                None => Some(Err(format!("`{name}` is no object; it"))),
                Some(logger) => member(logger, "level")
                    .map(|said| level(said).map(|level| (name, level)).ok_or(format!("`{name}`"))),
            })
            .collect()
    }

    /// The level of the log that `debug` and `logging` ask for: debug, when `debug` is true; else the most talkative
    /// of the loggers that are the program's own, else that of the root.
    pub fn log_level(&self) -> Option<(&'static str, Origin)> {
        if self.member("debug") == Some(&Value::Bool(true)) {
            return Some(("debug", self.origin("debug")));
        }
        let loggers: Vec<_> = self.loggers().into_iter().flatten().collect();
        let own = loggers.iter().filter(|(name, _)| name.starts_with("commissaire"));
        let level = own.map(|(_, level)| *level).max_by_key(|level| talk(level));
        let of_root = || loggers.iter().find(|(name, _)| *name == "root").map(|(_, level)| *level);
        let level = level.or_else(of_root)?;
        Some((level, self.origin("logging")))
    }
}

/// The member `name`, written with `-`, of an object; `null` is no member.
pub fn member<'o>(object: &'o Map<String, Value>, name: &str) -> Option<&'o Value> {
    let found = object.iter().find(|(member, _)| member.replace('_', "-") == name);
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

/// Python's levels, by name or by number, as ours.
fn level(value: &Value) -> Option<&'static str> {
    let number = match value {
        Value::String(name) => match name.as_str() {
            "NOTSET" => 0,
            "DEBUG" => 10,
            "INFO" => 20,
            "WARNING" | "WARN" => 30,
            "ERROR" | "CRITICAL" | "FATAL" => 40,
            _ => return None,
        },
        value => value.as_u64()?,
    };
    Some(match number {
        0..=10 => "debug",
        11..=20 => "info",
        21..=30 => "warn",
        _ => "error",
    })
}

fn talk(level: &str) -> usize {
    ["error", "warn", "info", "debug"].iter().position(|known| *known == level).unwrap_or(0)
}

/// Where a configuration is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file that may be missing.
    Perhaps(PathBuf),
    /// In a file that has to be there.
    File(PathBuf),
    /// On standard input.
    Input,
}

impl Place {
    /// What `--config-file` says.
    pub fn named(file: &Path) -> Self {
        if file == Path::new("-") { Self::Input } else { Self::File(file.to_owned()) }
    }
}

/// The configuration called `name`, such as `commissaire`: etcd's, if the variables name one and it has one, else what
/// is at `place`. Why etcd's was not taken, or that it was, is added to `notes`.
///
/// # Errors
/// When that is not there though it must be, or is no JSON object.
pub fn find(
    name: &str,
    place: &Place,
    etcd: Option<&EtcdVariables>,
    notes: &mut Vec<String>,
) -> Result<Option<Conf>, Problem> {
    match etcd.map(|etcd| in_etcd(name, etcd, notes)).transpose() {
        Ok(Some(Some(conf))) => return Ok(Some(conf)),
        Ok(_) => {}
        Err(reason) => notes.push(reason),
    }
    in_file(place)
}

/// The configuration called `name` that etcd has, if it has one. Whether it has is added to `notes`.
///
/// # Errors
/// Why it cannot be used, for people: etcd cannot be asked, or what it has is no JSON object.
pub fn in_etcd(name: &str, etcd: &EtcdVariables, notes: &mut Vec<String>) -> Result<Option<Conf>, String> {
    let key = format!("/commissaire/config/{name}");
    let found = etcd.ask(&key).and_then(|text| text.map(|text| object(text.as_bytes())).transpose());
    let found = found.map_err(|reason| format!("{key} in etcd cannot be used: {reason}"))?;
    notes.push(match &found {
        Some(_) => format!("the configuration is that under {key} in etcd; no file is read for it"),
        None => format!("there is no {key} in etcd"),
    });
    Ok(found.map(|object| Conf { path: PathBuf::from(format!("etcd: {key}")), object }))
}

/// The configuration at `place`, if there is one.
///
/// # Errors
/// When it is not there though it must be, or is no JSON object.
pub fn in_file(place: &Place) -> Result<Option<Conf>, Problem> {
    let (path, read) = match place {
        Place::Perhaps(path) | Place::File(path) => (path.clone(), regular_file::read(path)),
        Place::Input => {
            let mut text = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut text);
            (PathBuf::from("standard input"), read.map(|_| text))
        }
    };
    let wrong = |what: String| Problem { origin: Origin::File(path.clone()), key: None, what, hint: None };
    match read {
        Ok(text) => {
            let object = object(&text).map_err(wrong)?;
            Ok(Some(Conf { path, object }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && matches!(place, Place::Perhaps(_)) => {
            Ok(None)
        }
        Err(error) => Err(wrong(format!("could not be read: {error}"))),
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("is no JSON object".to_owned()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// A member's value as our settings take it.
pub fn setting(value: &Value) -> settings::Value {
    match value {
        Value::Null => settings::Value::Other("null"),
        Value::Bool(switch) => settings::Value::Switch(*switch),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => settings::Value::Whole(whole),
            (None, Some(fraction)) => settings::Value::Fraction(fraction),
            (None, None) => settings::Value::Other("a number"),
        },
        Value::String(text) => settings::Value::Text(text.clone()),
        Value::Array(items) => settings::Value::List(items.iter().map(setting).collect()),
        Value::Object(_) => settings::Value::Other("an object"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conf(object: &Value) -> Conf {
        Conf { path: "commissaire.conf".into(), object: object.as_object().unwrap().clone() }
    }

    /// What would be ignored without a word is said.
    #[test]
    fn values_of_wrong_types_are_told() {
        for (object, expected) in [
            (json!({"debug": true, "bus-uri": "redis://", "bus_exchange": "c", "roles": ["rest"]}), ""),
            (json!({"debug": null, "logging": null}), ""),
            (json!({"logging": {"version": 1, "root": {"level": 20}, "loggers": {"kombu": {}}}}), ""),
            (json!({"debug": "yes"}), "debug: is neither true nor false"),
            (json!({"debug": 1}), "debug: is neither true nor false"),
            (json!({"bus_uri": 7}), "bus-uri: is no text"),
            (json!({"bus-exchange": []}), "bus-exchange: is no text"),
            (json!({"logging": "x"}), "logging: is no object"),
            (json!({"logging": {"loggers": []}}), "logging: `loggers` is no object; it does not say one"),
            (json!({"logging": {"root": "x"}}), "logging: `root` is no object; it does not say one"),
            (
                json!({"logging": {"root": {"level": "LOUD"}}}),
                "logging: `root` does not say one of the levels",
            ),
            (json!({"logging": {"loggers": {"a": {"level": true}}}}), "logging: `a` does not say one"),
            (json!({"roles": ["rest", "restt"]}), "roles: `restt` is none of rest, storage,"),
            (json!({"roles": [3]}), "roles: something in it is no text"),
        ] {
            let told = conf(&object).passed_over(&["debug", "logging", "bus-uri", "bus-exchange", "roles"]);
            let told: Vec<_> = told.iter().map(ToString::to_string).collect();
            let is_told = told.len() == 1
                && told[0].starts_with(&format!("commissaire.conf: {expected}"))
                && told[0].ends_with(", and is passed over");
            assert!(is_told || (told.is_empty() && expected.is_empty()), "{object}: {told:?}");
        }
    }

    #[test]
    fn members_are_found_however_they_are_spelt() {
        let conf = conf(&json!({"listen_port": 1, "listen-interface": null, "tls-pemfil": "a", "b": 2}));
        assert_eq!(conf.member("listen-port"), Some(&json!(1)));
        assert_eq!(conf.member("listen-interface"), None);
        let told: Vec<_> = conf
            .unknown(&["listen-port", "listen-interface", "tls-pemfile"])
            .into_iter()
            .map(|problem| (problem.to_string(), problem.hint))
            .collect();
        let what = "nothing known has this name, and it is passed over";
        assert_eq!(
            told,
            [
                (format!("commissaire.conf: b: {what}"), None),
                (format!("commissaire.conf: tls-pemfil: {what}"), Some("is `tls-pemfile` meant?".to_owned())),
            ]
        );
    }

    #[test]
    fn pythons_levels_are_understood() {
        let check = |object: Value, expected: Option<&str>| {
            assert_eq!(conf(&object).log_level().map(|(level, _)| level), expected, "{object}");
        };
        let logging = |root: Value, loggers: Value| json!({"logging": {"root": root, "loggers": loggers}});
        check(json!({}), None);
        check(json!({"debug": false}), None);
        check(json!({"debug": true, "logging": {"root": {"level": "ERROR"}}}), Some("debug"));
        check(logging(json!({"level": "WARNING"}), json!({})), Some("warn"));
        check(logging(json!({"level": 20}), json!({})), Some("info"));
        check(logging(json!({"level": "LOUD"}), json!({})), None);
        check(
            logging(
                json!({"level": "ERROR"}),
                json!({"commissaire": {"level": "INFO"}, "commissaire_http": {"level": "WARN"}, "cherrypy": {"level": 0}}),
            ),
            Some("info"),
        );
        check(json!({"logging": []}), None);
    }

    #[test]
    fn a_file_may_have_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("commissaire.conf");
        let look = |place: Place| find("commissaire", &place, None, &mut Vec::new());
        assert!(look(Place::Perhaps(path.clone())).unwrap().is_none());
        let told = |place: Place| look(place).unwrap_err().what;
        assert!(told(Place::named(&path)).starts_with("could not be read: No such file"));
        for (text, expected) in [("[]", "is no JSON object"), ("{", "is not JSON: EOF")] {
            std::fs::write(&path, text).unwrap();
            assert!(told(Place::Perhaps(path.clone())).starts_with(expected), "{text}");
        }
        std::fs::write(&path, "{\"debug\": true}").unwrap();
        let found = look(Place::File(path.clone())).unwrap();
        assert_eq!(found.unwrap().object, *json!({"debug": true}).as_object().unwrap());
    }
}
