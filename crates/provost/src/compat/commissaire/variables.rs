//! The variables by which Commissaire's server and services are told of an etcd, and the configuration there.
//!
//! ```text
//! ETCD_MACHINES                     URLs between commas; the scheme of the first is that of all, http if there is none
//! ETCD_TLSPEM ETCD_TLSKEY           a client certificate and its key, both or neither
//! ETCD_CACERT                       authorities that the members may have theirs from [default: those of the system]
//! ETCD_USERNAME ETCD_PASSWORD       who signs in
//! ```
//! The original keeps its configuration in the keyspace of etcd's version 2. Both are asked here: version 3 first,
//! where somebody has put it who moved to an etcd without the older.
//!
//! Source: the contract of `/api/v0`, section 9.1.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use base::{Clock, Entropy, Explain as _, Kind, Secret, report};
use store::{Engine as _, Etcd, Key, read_v2};

use crate::etcd;
use crate::settings::{Config, EtcdStore, Origin, Password, Problem, Said, Surroundings, Value};

/// How long one question about the configuration may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// An etcd, as the variables describe it.
#[derive(Debug)]
pub struct EtcdVariables {
    /// URLs of its members.
    endpoints: Vec<String>,
    identity: Option<(PathBuf, PathBuf)>,
    ca: Option<PathBuf>,
    /// Who signs in.
    pub user: Option<(String, Secret<String>)>,
    /// Why nobody answered, once that was found out: the next question is not asked.
    away: OnceLock<String>,
}

impl EtcdVariables {
    /// What the variables say; `None` when `ETCD_MACHINES` is not set.
    ///
    /// # Errors
    /// What does not go together.
    pub fn read(surroundings: &Surroundings) -> Result<Option<Self>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, what: String| {
            let origin = Origin::Variable(name.to_owned());
            problems.push(Problem { origin, key: None, what, hint: None });
        };
        let mut text = |name: &'static str| {
            let value = surroundings.variable(name)?;
            let text = value.to_str().map(str::to_owned);
            if text.is_none() {
                wrong(name, "is not valid UTF-8".to_owned());
            }
            text
        };
        let machines = text("ETCD_MACHINES");
        let [pem, key, ca] =
            ["ETCD_TLSPEM", "ETCD_TLSKEY", "ETCD_CACERT"].map(|name| text(name).map(PathBuf::from));
        let (user, password) = (text("ETCD_USERNAME"), text("ETCD_PASSWORD").map(Secret::new));
        let Some(machines) = machines else {
            return if problems.is_empty() { Ok(None) } else { Err(problems) };
        };
        let endpoints = endpoints(&machines);
        for (one, other, (one_name, other_name)) in [
            (pem.is_some(), key.is_some(), ("ETCD_TLSPEM", "ETCD_TLSKEY")),
            (key.is_some(), pem.is_some(), ("ETCD_TLSKEY", "ETCD_TLSPEM")),
            (user.is_some(), password.is_some(), ("ETCD_USERNAME", "ETCD_PASSWORD")),
            (password.is_some(), user.is_some(), ("ETCD_PASSWORD", "ETCD_USERNAME")),
        ] {
            if one && !other {
                wrong(other_name, format!("is needed where {one_name} is set"));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Some(Self {
            endpoints,
            identity: pem.zip(key),
            ca,
            user: user.zip(password),
            away: OnceLock::new(),
        }))
    }

    /// The variables and their values, for people: no password is shown, and nothing that may be one.
    pub fn shown(&self) -> Vec<String> {
        let identity = self.identity.as_ref();
        let path = |path: &PathBuf| path.display().to_string();
        let lines = [
            (
                "ETCD_MACHINES",
                Some(self.endpoints.iter().map(|url| without_user(url)).collect::<Vec<_>>().join(",")),
            ),
            ("ETCD_TLSPEM", identity.map(|(pem, _)| path(pem))),
            ("ETCD_TLSKEY", identity.map(|(_, key)| path(key))),
            ("ETCD_CACERT", self.ca.as_ref().map(path)),
            ("ETCD_USERNAME", self.user.as_ref().map(|(name, _)| name.clone())),
            ("ETCD_PASSWORD", self.user.as_ref().map(|_| "(redacted)".to_owned())),
        ];
        lines.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect()
    }

    /// Lets everything be kept in this etcd; relative paths start from `from`, or from the working directory. Who signs in
    /// is not among it: see [`EtcdVariables::user`].
    pub fn say(&self, config: &mut Config, from: Option<&Path>) {
        let mut say = |setting, value, variable: &str| {
            let origin = Origin::Variable(variable.to_owned());
            config.say(setting, Said { value, origin, from: from.map(Path::to_owned) });
        };
        let path = |path: &PathBuf| Value::Text(path.display().to_string());
        say("store.engine", Value::Text("etcd".to_owned()), "ETCD_MACHINES");
        let endpoints = self.endpoints.iter().cloned().map(Value::Text).collect();
        say("store.etcd.endpoints", Value::List(endpoints), "ETCD_MACHINES");
        if let Some((pem, key)) = &self.identity {
            say("store.etcd.certificate_file", path(pem), "ETCD_TLSPEM");
            say("store.etcd.key_file", path(key), "ETCD_TLSKEY");
        }
        if let Some(ca) = &self.ca {
            say("store.etcd.ca_file", path(ca), "ETCD_CACERT");
        }
    }

    /// What etcd has under `key`, in either of its keyspaces.
    ///
    /// # Errors
    /// Why it could not be asked, for people.
    pub fn ask(&self, key: &str) -> Result<Option<String>, String> {
        if let Some(reason) = self.away.get() {
            return Err(reason.clone());
        }
        let store = EtcdStore {
            endpoints: self.endpoints.clone(),
            ca: self.ca.clone(),
            identity: self.identity.clone(),
            user: self.user.as_ref().map(|(name, said)| (name.clone(), Password::Said(said.clone()))),
            namespace: store::Prefix::default(),
            deadline: DEADLINE,
            wait: Duration::ZERO,
        };
        let settings = etcd::settings_of(&store).map_err(|error| report(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let connected = Etcd::connect(&settings, Clock::system(), Entropy::system()).await;
            let newer = match connected {
                Ok(etcd) => {
                    let key = Key::new(key).map_err(|error| report(&error))?;
                    let found = etcd.get(&key).await;
                    let closed = etcd.close().await;
                    let found = found.map_err(|error| report(&error))?;
                    closed.map_err(|error| report(&error))?;
                    Ok(found)
                }
                // Nobody is there; the older API is spoken at the same place.
                Err(error) if error.kind() == Kind::Unavailable => {
                    return Err(self.away.get_or_init(|| report(&error)).clone());
                }
                Err(error) => Err(report(&error)),
            };
            if let Ok(Some(found)) = &newer {
                let text = String::from_utf8(found.value.to_vec());
                return text.map(Some).map_err(|_| "it is no UTF-8".to_owned());
            }
            let older = read_v2(&settings, key, Clock::system()).await;
            match (newer, older) {
                (_, Ok(Some(text))) => Ok(Some(text)),
                (Ok(_), Ok(None)) => Ok(None),
                (Err(reason), _) => Err(reason),
                (Ok(_), Err(error)) => Err(report(&error)),
            }
        })
    }
}

/// The members' URLs: the scheme of the first one is that of all.
fn endpoints(machines: &str) -> Vec<String> {
    let machines: Vec<&str> = machines.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
    let scheme =
        machines.first().and_then(|first| first.split_once("://")).map_or("http", |(scheme, _)| scheme);
    let bare = |machine: &str| machine.split_once("://").map_or(machine, |(_, rest)| rest).to_owned();
    machines.iter().map(|machine| format!("{scheme}://{}", bare(machine).trim_end_matches('/'))).collect()
}

/// A URL as it may be shown: what stands before an `@` may be a password.
fn without_user(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, machine))) => format!("{scheme}://…@{machine}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<EtcdVariables>, Vec<String>> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        EtcdVariables::read(&Surroundings { variables, root: true }).map_err(told)
    }

    #[test]
    fn the_first_scheme_is_that_of_all() {
        let check =
            |machines: &str, expected: &[&str]| assert_eq!(endpoints(machines), expected, "{machines}");
        check("127.0.0.1:2379", &["http://127.0.0.1:2379"]);
        check("https://a:1/, b:2,http://c:3", &["https://a:1", "https://b:2", "https://c:3"]);
        check("a:1,https://b:2", &["http://a:1", "http://b:2"]);
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        assert!(read(&[("ETCD_TLSPEM", "/a")]).unwrap().is_none(), "nothing counts without ETCD_MACHINES");
        let told = read(&[("ETCD_MACHINES", "https://a:1"), ("ETCD_TLSPEM", "/a"), ("ETCD_PASSWORD", "p")]);
        assert_eq!(
            told.unwrap_err(),
            [
                "ETCD_TLSKEY: is needed where ETCD_TLSPEM is set",
                "ETCD_USERNAME: is needed where ETCD_PASSWORD is set",
            ]
        );
    }

    #[test]
    fn the_password_is_not_shown() {
        let found =
            read(&[("ETCD_MACHINES", "a:1"), ("ETCD_USERNAME", "root"), ("ETCD_PASSWORD", "hunter2")]);
        let found = found.unwrap().unwrap();
        assert_eq!(
            found.shown(),
            ["ETCD_MACHINES=http://a:1", "ETCD_USERNAME=root", "ETCD_PASSWORD=(redacted)"]
        );
        assert!(!format!("{found:?}").contains("hunter2"));
        let found =
            read(&[("ETCD_MACHINES", "http://root:hunter2@a:1,b:2,root:hun@ter2@c:3")]).unwrap().unwrap();
        assert_eq!(found.shown(), ["ETCD_MACHINES=http://…@a:1,http://b:2,http://…@c:3"]);
    }
}
