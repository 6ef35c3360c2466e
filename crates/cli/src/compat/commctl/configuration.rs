//! The configuration file: where the servers are, and what proves who asks.
//!
//! ```text
//! {"endpoint": "https://a:8001", or a list of them,
//!  "username": "…", "password": "…",       or "kubeconfig": "FILE", which comes first
//!  "ca_file": "FILE"}                      ours: the authorities to trust, PEM, in place of the system's
//! ```
//! What is missing is asked for. Members that are not known are not looked at. Source: commissaire, section 12.1.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use client::{Authorization, BadEndpoint, Credentials, Endpoint, KubeconfigError, Trust};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::CommandError;
use crate::input::Input;

/// Names the file.
const VARIABLE: &str = "COMMCTL_CONFIG";

/// Where the file is when nobody names one, in the user's own folder.
const FILE: &str = ".commissaire.json";

/// What names the authorities to trust to the HTTP library of the original.
const TRUST_VARIABLES: [&str; 2] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// A configuration that is unusable.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigurationError {
    /// A file is unreadable.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("configuration file {} is not usable", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// An endpoint is none.
    #[error(transparent)]
    Endpoint(#[from] BadEndpoint),
    /// The kubeconfig is of no use.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
}

impl Explain for ConfigurationError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { .. } => Kind::Unavailable,
            Self::Malformed { .. } | Self::Endpoint(_) => Kind::Invalid,
            Self::Kubeconfig(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => {
                Some("it is a JSON object with `endpoint`, `username` and `password`, all strings".to_owned())
            }
            Self::Kubeconfig(error) => error.help(),
            Self::Io { .. } | Self::Endpoint(_) => None,
        }
    }
}

/// Everything that is needed to ask.
pub(super) struct Configuration {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) credentials: Credentials,
    pub(super) trust: Trust,
}

/// What the file may say.
#[derive(Default, Deserialize)]
struct Said {
    endpoint: Option<OneOrMany>,
    username: Option<String>,
    password: Option<String>,
    kubeconfig: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`endpoint` is neither a string nor a list of strings")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Reads the file at `given`, or else where it is looked for, and asks for what it does not say.
pub(super) async fn read(given: Option<&Path>, input: &mut Input) -> Result<Configuration, CommandError> {
    let said = said(given)?;
    let mut written = match said.endpoint {
        Some(OneOrMany::One(endpoint)) => vec![endpoint],
        Some(OneOrMany::Many(endpoints)) => endpoints,
        None => Vec::new(),
    };
    if written.is_empty() {
        written.push(input.ask("Endpoint: ").await?);
    }
    let endpoints = written.iter().map(|text| text.parse()).collect::<Result<_, BadEndpoint>>();
    let endpoints = endpoints.map_err(ConfigurationError::from)?;
    let trust = trust(said.ca_file)?;
    let credentials = if let Some(path) = said.kubeconfig {
        client::kubeconfig(&path).map_err(ConfigurationError::from)?
    } else {
        let username = match said.username {
            Some(username) => username,
            None => input.ask("Username: ").await?,
        };
        let password = match said.password {
            Some(password) => Secret::new(password),
            None => input.ask_hidden("Password: ").await?,
        };
        Credentials { authorization: Some(Authorization::Basic { username, password }), certificate: None }
    };
    Ok(Configuration { endpoints, credentials, trust })
}

/// The certificates that the file says servers are verified with, if it names any.
pub(super) fn ca_file(given: Option<&Path>) -> Result<Option<PathBuf>, ConfigurationError> {
    Ok(said(given)?.ca_file)
}

/// What the file says; nothing when there is none. One that was named with `--config` must be there.
fn said(given: Option<&Path>) -> Result<Said, ConfigurationError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let looked_for = || variable(VARIABLE).or_else(|| Some(variable("HOME")?.join(FILE)));
    let Some(path) = given.map(Path::to_owned).or_else(looked_for) else { return Ok(Said::default()) };
    match std::fs::read(&path) {
        Ok(text) => {
            // By way of an object: a list of the members' values would do otherwise.
            let said = serde_json::from_slice(&text)
                .and_then(|members: Map<String, Value>| Said::deserialize(Value::Object(members)));
            said.map_err(|source| ConfigurationError::Malformed { path, source })
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound && given.is_none() => Ok(Said::default()),
        Err(source) => Err(ConfigurationError::Io { path, source }),
    }
}

fn trust(ca_file: Option<PathBuf>) -> Result<Trust, ConfigurationError> {
    // A folder of certificates, which the variables may name as well, is not read.
    let from_variable = || {
        let mut files = TRUST_VARIABLES.iter().filter_map(std::env::var_os).map(PathBuf::from);
        files.find(|path| path.is_file())
    };
    let Some(path) = ca_file.or_else(from_variable) else { return Ok(Trust::System) };
    let pem = std::fs::read(&path).map_err(|source| ConfigurationError::Io { path, source })?;
    Ok(Trust::Only(pem))
}
