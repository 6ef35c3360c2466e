//! What was said, where, and which of it counts: flags before environment before file.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use store::regular_file;

use super::file;
use super::key::{self, KEYS, Key, Kind};
use super::problem::{Origin, Problem};

/// The environment variable that names the configuration file.
const CONFIG_VARIABLE: &str = "PROVOST_CONFIG";

/// The environment variable for the setting `data`.
const DATA_VARIABLE: &str = "PROVOST_DATA";

/// The name of the configuration file in the data directory.
const CONFIG_FILE: &str = "provost.toml";

/// A value as it was said: flags and variables say text, the file says what TOML knows.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, from which a number or a switch may still have to be read.
    Text(String),
    /// A TOML integer.
    Whole(i64),
    /// A TOML float.
    Fraction(f64),
    /// A TOML boolean.
    Switch(bool),
    /// Several values.
    List(Vec<Value>),
    /// Something that no setting holds, by the name TOML has for it.
    Other(&'static str),
}

/// What was said about one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The value.
    pub value: Value,
    /// Where it was said.
    pub origin: Origin,
    /// The directory that relative paths start from; the working directory when there is none.
    pub from: Option<PathBuf>,
}

/// What was said about the settings, before anything is known to be right.
#[derive(Debug)]
pub struct Config {
    said: BTreeMap<&'static str, Said>,
    /// What was said after somebody with precedence.
    overridden: Vec<(&'static str, Said)>,
    /// What could not even be read: unknown names, broken files.
    problems: Vec<Problem>,
    /// The file that was read.
    file: Option<PathBuf>,
    surroundings: Surroundings,
}

/// What the program finds around it when it starts.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Whether root runs it.
    pub root: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect(), root: rustix::process::geteuid().is_root() }
    }

    /// The value of a variable; one that is empty counts as not set.
    pub fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value)
    }

    /// Where data is kept when no flag says: see the setting `data`.
    pub fn data(&self) -> Option<PathBuf> {
        self.variable(DATA_VARIABLE).map(PathBuf::from).or_else(|| self.data_directory())
    }

    /// Where data is kept when nobody says: see the setting `data`.
    pub fn data_directory(&self) -> Option<PathBuf> {
        if self.root {
            return Some(PathBuf::from("/var/lib/provost"));
        }
        let absolute = |name| self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // A relative XDG_DATA_HOME is to be ignored (XDG Base Directory Specification, "Basics").
        absolute("XDG_DATA_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
            .map(|share| share.join("provost"))
    }
}

impl Config {
    /// What the command line, the environment and the configuration file say. `flags` comes from a
    /// command with the arguments of [`super::flags`].
    pub fn gather(flags: &ArgMatches, surroundings: Surroundings) -> Self {
        let mut config = Self::empty(surroundings);
        config.read_flags(flags);
        config.read_variables();
        config.read_file(flags);
        config
    }

    /// Nothing said yet.
    pub fn empty(surroundings: Surroundings) -> Self {
        Self { said: BTreeMap::new(), overridden: Vec::new(), problems: Vec::new(), file: None, surroundings }
    }

    /// Takes note of what is said about the setting `name`. It counts unless somebody with precedence spoke
    /// before. `name` is one of [`KEYS`].
    pub fn say(&mut self, name: &'static str, said: Said) {
        match self.said.entry(name) {
            Entry::Vacant(place) => drop(place.insert(said)),
            Entry::Occupied(_) => self.overridden.push((name, said)),
        }
    }

    /// The same as if nobody had said anything about the settings `named`, without what could not be read and what does
    /// not count.
    pub fn without(&self, named: &BTreeSet<&'static str>) -> Self {
        let said = self.said.iter().filter(|(name, _)| !named.contains(*name));
        Self {
            said: said.map(|(name, said)| (*name, said.clone())).collect(),
            overridden: Vec::new(),
            problems: Vec::new(),
            file: self.file.clone(),
            surroundings: self.surroundings.clone(),
        }
    }

    /// What was said about the setting `name`.
    pub fn said(&self, name: &str) -> Option<&Said> {
        self.said.get(name)
    }

    /// What was said, and does not count because somebody with precedence spoke before.
    pub fn overridden(&self) -> &[(&'static str, Said)] {
        &self.overridden
    }

    /// Where the setting `name` was said.
    pub fn origin(&self, name: &str) -> Origin {
        self.said(name).map_or(Origin::Default, |said| said.origin.clone())
    }

    /// What could not even be read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The file that was read, if there was one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What the program found around it.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    fn read_flags(&mut self, flags: &ArgMatches) {
        for key in KEYS {
            let Some(texts) = flags.get_many::<OsString>(key.name) else { continue };
            let origin = Origin::Flag(key.flag());
            let texts: Option<Vec<_>> = texts.map(|text| text.to_str().map(str::to_owned)).collect();
            self.take(key, texts, origin);
        }
    }

    /// Takes note of what the environment says, under the names that settings have there.
    pub fn read_variables(&mut self) {
        for key in KEYS {
            let name = key.variable();
            let Some(text) = self.surroundings.variable(&name) else { continue };
            let texts = text.to_str().map(|text| match key.kind {
                Kind::List(_) => text
                    .split(|letter: char| letter == ',' || letter.is_whitespace())
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
                _ => vec![text.to_owned()],
            });
            self.take(key, texts, Origin::Variable(name));
        }
        for (name, value) in &self.surroundings.variables {
            let name = name.to_string_lossy();
            let Some(rest) = name.strip_prefix("PROVOST_") else { continue };
            let is_for_commands = cli::VARIABLES.iter().any(|known| name == *known);
            let is_setting = name == CONFIG_VARIABLE || KEYS.iter().any(|key| key.variable() == name);
            if is_setting || is_for_commands || is_service_link(&name, &value.to_string_lossy()) {
                continue;
            }
            let problem = Problem {
                origin: Origin::Variable(name.to_string()),
                key: None,
                what: "no setting has this name".to_owned(),
                hint: nearest_variable(rest).map(|name| format!("is `{name}` meant?")),
            };
            self.problems.push(problem);
        }
    }

    /// Takes note of `texts`; `None` stands for bytes that are no text.
    fn take(&mut self, key: &'static Key, texts: Option<Vec<String>>, origin: Origin) {
        let Some(mut texts) = texts else {
            self.problems.push(Problem::new(origin, key.name, "is not valid UTF-8"));
            return;
        };
        let value = match key.kind {
            Kind::List(_) => Value::List(texts.into_iter().map(Value::Text).collect()),
            _ => Value::Text(texts.pop().unwrap_or_default()),
        };
        self.say(key.name, Said { value, origin, from: None });
    }

    fn read_file(&mut self, flags: &ArgMatches) {
        let named = flags.get_one::<PathBuf>("config").cloned();
        let named = named.or_else(|| self.surroundings.variable(CONFIG_VARIABLE).map(PathBuf::from));
        let found = if named.is_none() { self.file_in_data_directory() } else { None };
        let is_found = found.is_some();
        let Some(path) = named.or(found) else { return };
        match regular_file::read_to_string(&path) {
            Ok(text) => {
                self.read_text(&path, &text);
                if is_found {
                    self.keeps_to_its_directory(&path);
                }
            }
            Err(error) => self.problems.push(Problem {
                origin: Origin::File(path.clone()),
                key: None,
                what: format!("could not be read: {error}"),
                hint: None,
            }),
        }
        self.file = Some(path);
    }

    /// `provost.toml` in the data directory, as far as it is known by now, if there is one.
    fn file_in_data_directory(&self) -> Option<PathBuf> {
        let data = match self.said("data") {
            Some(Said { value: Value::Text(path), .. }) => Some(PathBuf::from(path)),
            _ => self.surroundings.data_directory(),
        };
        data.map(|data| data.join(CONFIG_FILE)).filter(|path| path.exists())
    }

    /// The file at `path` was found in the data directory: too late for it to say where that is.
    fn keeps_to_its_directory(&mut self, path: &Path) {
        let overridden = self.overridden.iter().filter(|(name, _)| *name == "data").map(|(_, said)| said);
        let mut said = self.said.get("data").into_iter().chain(overridden);
        let Some(said) = said.find(|said| matches!(&said.origin, Origin::Line(file, _) if file == path))
        else {
            return;
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        let is_same = match &said.value {
            Value::Text(data) => directory.join(data).canonicalize().ok() == directory.canonicalize().ok(),
            // Its type is a problem by itself.
            _ => true,
        };
        if !is_same {
            let what = format!(
                "this file was found in the data directory {}, and cannot name another",
                directory.display()
            );
            let problem = Problem::new(said.origin.clone(), "data", what);
            let hint =
                "name it with --data or PROVOST_DATA, or keep the file elsewhere and name it with --config";
            self.problems.push(problem.hint(hint));
        }
    }

    /// Takes note of what a configuration file at `path` with this `text` says.
    pub fn read_text(&mut self, path: &Path, text: &str) {
        let (said, problems) = file::read(path, text);
        for (key, said) in said {
            self.say(key.name, said);
        }
        self.problems.extend(problems);
    }
}

/// The variable whose name is nearest to `PROVOST_` and `rest`.
fn nearest_variable(rest: &str) -> Option<String> {
    let rest = rest.to_lowercase();
    let closeness = |key: &Key| strsim::normalized_damerau_levenshtein(&key.name.replace('.', "_"), &rest);
    let best = KEYS.iter().max_by(|one, other| closeness(one).total_cmp(&closeness(other)))?;
    if closeness(best) > 0.6 { Some(best.variable()) } else { key::nearest(&rest).map(Key::variable) }
}

/// Whether Kubernetes set this variable, to tell every container where a service is: one called `provost`, say
/// (Kubernetes, "Discovering services", "Environment variables").
fn is_service_link(name: &str, value: &str) -> bool {
    let is_transport = |text: &str| matches!(text, "TCP" | "UDP" | "SCTP");
    // NAME_PORT_8000_TCP, and the same with _PROTO, _PORT or _ADDR.
    let tells_of_a_port = || {
        let whole =
            ["_PROTO", "_PORT", "_ADDR"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
        let (rest, transport) = whole.rsplit_once('_')?;
        let (rest, number) = rest.rsplit_once('_')?;
        Some(is_transport(transport) && number.parse::<u16>().is_ok() && rest.ends_with("_PORT"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT") && value.contains("://")
        || tells_of_a_port().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(root: bool, variables: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            root,
        }
    }

    #[test]
    fn what_kubernetes_says_of_services_is_no_setting() {
        for (name, value, expected) in [
            ("PROVOST_SERVICE_HOST", "10.96.0.7", true),
            ("PROVOST_SERVICE_PORT", "8000", true),
            ("PROVOST_SERVICE_PORT_HTTPS", "8001", true),
            ("PROVOST_PORT", "tcp://10.96.0.7:8000", true),
            ("PROVOST_PORT_8000_TCP", "tcp://10.96.0.7:8000", true),
            ("PROVOST_PORT_8000_TCP_PROTO", "tcp", true),
            ("PROVOST_PORT_8000_TCP_PORT", "8000", true),
            ("PROVOST_PORT_8000_TCP_ADDR", "10.96.0.7", true),
            ("PROVOST_CACHE_PORT_53_UDP", "udp://10.96.0.8:53", true),
            ("PROVOST_PORT", "8000", false),
            ("PROVOST_PORT_8000", "8000", false),
            ("PROVOST_LOG_LEVL", "info", false),
        ] {
            assert_eq!(is_service_link(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn data_has_a_place_of_its_own() {
        let check = |root, variables: &[(&str, &str)], expected: Option<&str>| {
            assert_eq!(
                surroundings(root, variables).data_directory(),
                expected.map(PathBuf::from),
                "{variables:?}"
            );
        };
        let home = ("HOME", "/home/ada");
        check(false, &[home], Some("/home/ada/.local/share/provost"));
        check(false, &[home, ("XDG_DATA_HOME", "/data")], Some("/data/provost"));
        check(false, &[home, ("XDG_DATA_HOME", "data")], Some("/home/ada/.local/share/provost"));
        check(false, &[home, ("XDG_DATA_HOME", "")], Some("/home/ada/.local/share/provost"));
        check(true, &[home], Some("/var/lib/provost"));
        check(false, &[], None);
        assert_eq!(surroundings(true, &[("PROVOST_DATA", "/d")]).data(), Some("/d".into()));
        assert_eq!(surroundings(true, &[]).data(), Some("/var/lib/provost".into()));
        assert!(KEYS.iter().any(|key| key.variable() == DATA_VARIABLE));
    }

    #[test]
    fn variables_are_known_or_a_problem() {
        let mut config = Config::empty(surroundings(
            false,
            &[
                ("PROVOST_BIND", "127.0.0.1, ::1"),
                ("PROVOST_NETLOC", ""),
                ("PROVOST_CONFIG", "x"),
                ("PROVOST_SERVER", "https://fleet.example"),
                ("PROVOST_CLIENT_CONFIG", "x"),
                ("PROVOST_CA_KEYBITS", "2048"),
                ("PROVOST_COLOUR", "blue"),
                ("OTHER", "1"),
            ],
        ));
        config.read_variables();
        let addresses = ["127.0.0.1", "::1"].map(|text| Value::Text(text.to_owned()));
        assert_eq!(config.said("bind").unwrap().value, Value::List(addresses.to_vec()));
        assert_eq!(config.said("netloc"), None, "an empty variable says nothing");
        let problems: Vec<_> =
            config.problems().iter().map(|problem| (problem.to_string(), problem.hint.clone())).collect();
        assert_eq!(
            problems,
            [
                (
                    "PROVOST_CA_KEYBITS: no setting has this name".to_owned(),
                    Some("is `PROVOST_CA_KEY_BITS` meant?".to_owned())
                ),
                ("PROVOST_COLOUR: no setting has this name".to_owned(), None),
            ]
        );
    }
}
