//! The options of one authentication plugin: from a JSON object, or from `NAME:KEY=VALUE,KEY=VALUE`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use identity::Role;
use identity::sign_in::{BasicConfig, ParseRoleError, Roles, Service, Url};
use serde_json::Value;

use crate::settings::{Origin, Problem, meant};

/// The role that `value` names. Whatever is no text is no role either.
pub fn role_of(value: &Value) -> Result<Role, ParseRoleError> {
    value.as_str().map_or_else(|| value.to_string().parse(), str::parse)
}

/// The options of one plugin, taken one after the other; what is wrong with them is collected.
pub struct Options {
    /// Where they were said.
    pub origin: Origin,
    /// The plugin's name: `httpbasicauth`.
    pub plugin: &'static str,
    values: BTreeMap<String, Value>,
    known: Vec<&'static str>,
    /// What makes the configuration unusable.
    pub problems: Vec<Problem>,
    /// What prevents nothing, but is worth saying.
    pub notes: Vec<Problem>,
}

impl Options {
    /// Those in `values`; `-` and `_` in their names are the same.
    pub fn new(
        origin: Origin,
        plugin: &'static str,
        values: impl IntoIterator<Item = (String, Value)>,
    ) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.replace('-', "_"), value)).collect();
        Self { origin, plugin, values, known: Vec::new(), problems: Vec::new(), notes: Vec::new() }
    }

    /// A problem with one option.
    pub fn problem(&self, option: &str, what: impl Display) -> Problem {
        match self.origin {
            // A flag names itself, and not the plugin.
            Origin::Flag(_) => {
                Problem::new(self.origin.clone(), self.plugin, format!("{}: {option}: {what}", self.plugin))
            }
            _ => Problem::new(
                self.origin.clone(),
                format!("authentication-plugins: {}: {option}", self.plugin),
                what.to_string(),
            ),
        }
    }

    /// The value of an option, if it is there; `null` is not.
    pub fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.values.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.refuse(name, "is a text"),
        }
    }

    /// A text, read as something.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => self.refuse(name, error),
        }
    }

    /// A file.
    pub fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// A file that has to be named.
    pub fn needed_path(&mut self, name: &'static str) -> Option<PathBuf> {
        if self.values.get(name).is_none_or(Value::is_null) {
            self.known.push(name);
            return self.refuse(name, "is missing");
        }
        self.path(name)
    }

    /// Some texts, or one.
    pub fn texts(&mut self, name: &'static str) -> Vec<String> {
        let items = match self.take(name) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(one) => vec![one],
        };
        let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        texts.or_else(|| self.refuse(name, "is a list of texts")).unwrap_or_default()
    }

    /// True or false, which on the command line are texts.
    fn switch(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(switch) => Some(switch),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => self.refuse(name, "is true or false"),
        }
    }

    /// How long somebody who was right is remembered.
    pub fn cache_seconds(&mut self, default: u32) -> u32 {
        let Some(value) = self.take("cache_seconds") else { return default };
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        match number.and_then(|number| u32::try_from(number).ok()) {
            Some(seconds) if seconds <= BasicConfig::CACHE_SECONDS => seconds,
            _ => self.refuse("cache_seconds", "is a whole number of seconds from 0 to 60").unwrap_or(default),
        }
    }

    /// The role of those about whom nothing else is said. The original knows no roles: whoever is in may do
    /// everything.
    pub fn role(&mut self) -> Role {
        self.parsed("role").unwrap_or(Role::Administrator)
    }

    /// The roles of those whom a plugin knows by name: `roles` by user, `group_roles` by group, and `role` for the
    /// others, who do not get in when it is `none`.
    pub fn roles(&mut self) -> Roles {
        let others = match self.values.get("role") {
            Some(Value::String(text)) if text == "none" => {
                self.take("role");
                None
            }
            _ => Some(self.role()),
        };
        Roles { users: self.role_map("roles"), groups: self.role_map("group_roles"), others }
    }

    /// The same where nobody gets in about whom nothing is said.
    pub fn roles_or_none(&mut self) -> Roles {
        let is_said = self.values.get("role").is_some_and(|role| !role.is_null());
        let roles = self.roles();
        if is_said { roles } else { Roles { others: None, ..roles } }
    }

    fn role_map(&mut self, name: &'static str) -> BTreeMap<String, Role> {
        let mut roles = BTreeMap::new();
        match self.take(name) {
            None => {}
            Some(Value::Object(map)) => {
                for (user, role) in map {
                    match role_of(&role) {
                        Ok(role) => drop(roles.insert(user, role)),
                        Err(error) => self.problems.push(self.problem(name, format!("{user}: {error}"))),
                    }
                }
            }
            Some(_) => drop(self.refuse::<()>(name, r#"is an object such as {"alice": "operator"}"#)),
        }
        roles
    }

    /// The service whose URL is the option `name`, which has to be there.
    pub fn service(&mut self, name: &'static str) -> Option<Service> {
        let is_there = self.values.get(name).is_some_and(|value| !value.is_null());
        let url: Option<Url> = self.parsed(name);
        if !is_there {
            self.refuse::<()>(name, "is missing");
        }
        let verify = self.switch("verify").unwrap_or(true);
        let ca_file = self.path("ca_file");
        let cache_seconds = self.cache_seconds(Service::CACHE_SECONDS);
        let url = url?;
        if !url.is_https() {
            self.notes
                .push(self.problem(name, "without https, passwords and tokens can be read on their way"));
        } else if !verify {
            self.notes.push(self.problem("verify", "whoever is in between can read passwords and tokens"));
        }
        Some(Service { url, verify, ca_file, cache_seconds })
    }

    /// Ends the reading: what was not asked for is nothing that the plugin has.
    pub fn finish(mut self) -> (Vec<Problem>, Vec<Problem>) {
        for name in std::mem::take(&mut self.values).into_keys() {
            let problem = self.problem(&name, "the plugin has no such option");
            self.problems.push(Problem { hint: meant(&name, self.known.iter().copied()), ..problem });
        }
        (self.problems, self.notes)
    }

    /// Notes a problem with an option. Nothing, so that it can stand for a value.
    fn refuse<T>(&mut self, name: &str, what: impl Display) -> Option<T> {
        self.problems.push(self.problem(name, what));
        None
    }
}
