//! Where the server is and who asks it, as the command, the environment and the client file say.
//!
//! ```text
//! which server   --server      PROVOST_SERVER    the file's `server`
//! whom to trust  --ca                            the file's `ca`         the system's authorities
//! who asks       --user, …                       the file's `user`, …    nobody
//! the file       --client-config, PROVOST_CLIENT_CONFIG, ~/.config/provost/client.toml, DATA/client.toml
//! ```
//! Each line is read from left to right, up to whoever says something about it. Who asks is said in one place as a
//! whole: whoever names a user at the command does not come with the certificate of the file as well. Of the last two
//! files the first that is there is read.

use std::io;
use std::path::{Path, PathBuf};

use base::{Explain, Kind, Secret};
use clap::Args;
use client::{
    Authorization, BadEndpoint, BuildError, Client, Credentials, Endpoint, KubeconfigError, Nearby, Trust,
};

use crate::client_file::{self, ClientFile, ClientFileError};
use crate::input::{Input, InputError};
use crate::output;

/// Says where the servers are: URLs with commas or blanks between them.
pub(crate) const SERVER_VARIABLE: &str = "PROVOST_SERVER";

/// Names the client file.
const FILE_VARIABLE: &str = "PROVOST_CLIENT_CONFIG";

/// The environment variables that commands read beside those of the settings.
pub const VARIABLES: [&str; 2] = [SERVER_VARIABLE, FILE_VARIABLE];

/// The name of the client file.
pub const FILE: &str = "client.toml";

/// Nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// The client file is unusable.
    #[error(transparent)]
    File(#[from] ClientFileError),
    /// A file that was named is unreadable.
    #[error("could not read {}, {what}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nobody says where a server is.
    #[error("nothing says which server to ask")]
    NoServer,
    /// What is said about who asks does not fit together.
    #[error("{0}")]
    Who(&'static str),
    /// A URL in the environment is none.
    #[error("{SERVER_VARIABLE} is not usable")]
    Endpoint(#[source] BadEndpoint),
    /// The environment has bytes that are no text.
    #[error("{SERVER_VARIABLE} is not UTF-8")]
    NotText,
    /// A file should be text and is none.
    #[error("{} is not UTF-8", .0.display())]
    NotTextFile(PathBuf),
    /// The kubeconfig is of no use.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The password did not come.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The client is not to be had.
    #[error(transparent)]
    Client(#[from] BuildError),
}

impl Explain for ConnectionError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Io { .. } => Kind::NotFound,
            Self::NoServer | Self::Who(_) | Self::Endpoint(_) | Self::NotText | Self::NotTextFile(_) => {
                Kind::Invalid
            }
            Self::Kubeconfig(error) => error.kind(),
            Self::Input(error) => error.kind(),
            Self::Client(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::File(error) => error.help(),
            Self::NoServer => {
                Some("name one with --server URL, or start one on this machine with `provost up`".to_owned())
            }
            Self::Io { what: CERTIFICATE, .. } => {
                Some("say where yours is with --certificate FILE, or sign in with --user NAME".to_owned())
            }
            Self::Kubeconfig(error) => error.help(),
            Self::Input(error) => error.help(),
            Self::Client(error) => error.help(),
            Self::Io { .. } | Self::Who(_) | Self::Endpoint(_) | Self::NotText | Self::NotTextFile(_) => None,
        }
    }
}

const CERTIFICATE: &str = "the client certificate";

/// Which server is asked, and by whom.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which server, and who asks")]
pub(crate) struct Connection {
    /// The URL of a server; several are tried in order [env: PROVOST_SERVER]
    #[arg(long = "server", value_name = "URL", global = true)]
    servers: Vec<Endpoint>,
    /// The authorities that the server's certificate may come from, PEM [default: the system's]
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    #[command(flatten)]
    who: Who,
    /// The client file, which says all this for you [env: PROVOST_CLIENT_CONFIG] [default:
    /// ~/.config/provost/client.toml, or client.toml in the data directory of this machine's server]
    #[arg(long, value_name = "FILE", global = true)]
    client_config: Option<PathBuf>,
    /// The data directory of this machine's server [env: PROVOST_DATA] [default: as for `provost up`]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

/// Who is asked, and by whom.
pub(crate) struct Asked {
    /// At least one, in order.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) trust: Trust,
    pub(crate) credentials: Credentials,
    pub(crate) nearby: Option<Nearby>,
}

/// Who asks.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Who {
    /// Your certificate and its key, PEM in one file
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) certificate: Option<PathBuf>,
    /// Your name; the password is asked for
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) user: Option<String>,
    /// A file with the password
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) password_file: Option<PathBuf>,
    /// A file with your token
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// A kubeconfig, of which the current user's credentials are taken
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl Connection {
    /// What another command's options say: one server, and a certificate.
    pub(crate) fn of(
        server: &str,
        ca: Option<PathBuf>,
        certificate: Option<PathBuf>,
        client_config: Option<PathBuf>,
        data: Option<PathBuf>,
    ) -> Result<Self, ConnectionError> {
        let who = Who { certificate, ..Who::default() };
        let servers = vec![server.parse().map_err(ConnectionError::Endpoint)?];
        Ok(Self { servers, ca, who, client_config, data })
    }

    /// The name of a user whose password is going to be asked for.
    pub(crate) fn prompts_for(&self) -> Option<&str> {
        self.who.user.as_deref().filter(|_| self.who.password_file.is_none())
    }

    /// Whether a password is to be typed, where the client file says this.
    pub(crate) fn asks_for_password(&self, file: &ClientFile) -> bool {
        let who = self.who(file);
        who.kubeconfig.is_none() && who.user.is_some() && who.password_file.is_none()
    }

    fn who<'a>(&'a self, file: &'a ClientFile) -> &'a Who {
        if self.who == Who::default() { &file.who } else { &self.who }
    }

    /// What the client file says, if there is one. `data` is where this machine's server keeps its data when the
    /// command does not say.
    pub(crate) fn file(&self, data: Option<&Path>) -> Result<ClientFile, ConnectionError> {
        client_file(self.client_config.as_deref(), self.data.as_deref().or(data))
    }

    /// The client that asks, where the client file says this. Asks for a password where there is none.
    pub(crate) async fn client(
        &self,
        file: &ClientFile,
        input: &mut Input,
    ) -> Result<Client, ConnectionError> {
        let Asked { endpoints, trust, credentials, nearby } = self.asked(file, input).await?;
        Ok(Client::near(endpoints, &trust, &credentials, nearby.as_ref())?)
    }

    /// Who is asked and by whom, where the client file says this. Asks for a password where there is none.
    pub(crate) async fn asked(&self, file: &ClientFile, input: &mut Input) -> Result<Asked, ConnectionError> {
        let endpoints = self.endpoints(file)?;
        let trust = match self.ca.as_ref().or(file.ca.as_ref()) {
            Some(path) => Trust::Only(read(path, "the certificates to trust")?),
            None => Trust::System,
        };
        let credentials = self.who(file).credentials(input).await?;
        if credentials.authorization.is_some()
            && let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.is_exposed())
        {
            output::note(format_args!(
                "warning: {endpoint} is asked without TLS: others can read along who asks"
            ));
        }
        Ok(Asked { endpoints, trust, credentials, nearby: file.nearby() })
    }

    fn endpoints(&self, file: &ClientFile) -> Result<Vec<Endpoint>, ConnectionError> {
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        let endpoints = match variable(SERVER_VARIABLE) {
            Some(text) => {
                let text = text.to_str().ok_or(ConnectionError::NotText)?;
                let texts = text.split([',', ' ', '\t', '\n']).filter(|text| !text.is_empty());
                texts.map(str::parse).collect::<Result<_, _>>().map_err(ConnectionError::Endpoint)?
            }
            None => file.servers.clone(),
        };
        if endpoints.is_empty() { Err(ConnectionError::NoServer) } else { Ok(endpoints) }
    }
}

impl Who {
    /// What they present. Files may end with one line end, which is not part of what they hold.
    async fn credentials(&self, input: &mut Input) -> Result<Credentials, ConnectionError> {
        self.check()?;
        if let Some(path) = &self.kubeconfig {
            return Ok(client::kubeconfig(path)?);
        }
        let certificate = self.certificate.as_ref().map(|path| read(path, CERTIFICATE)).transpose()?;
        let authorization = match (&self.user, &self.token_file) {
            (Some(username), _) => {
                let password = match &self.password_file {
                    Some(path) => secret(path, "the password")?,
                    None => input.ask_hidden("Password: ").await?,
                };
                Some(Authorization::Basic { username: username.clone(), password })
            }
            (None, Some(path)) => Some(Authorization::Bearer(secret(path, "the token")?)),
            (None, None) => None,
        };
        Ok(Credentials { authorization, certificate: certificate.map(Secret::new) })
    }

    fn check(&self) -> Result<(), ConnectionError> {
        let has_certificate = self.certificate.is_some();
        let (has_user, has_token) = (self.user.is_some(), self.token_file.is_some());
        let wrong = if self.kubeconfig.is_some() && (has_certificate || has_user || has_token) {
            "a kubeconfig says who asks: a certificate, a user or a token beside it is one too many"
        } else if has_user && has_token {
            "a user with a password and a token are one too many"
        } else if self.password_file.is_some() && !has_user {
            "there is a password, and no user whose it is"
        } else if self.user.as_ref().is_some_and(|user| user.contains(':')) {
            "the name of a user has no colon in it"
        } else {
            return Ok(());
        };
        Err(ConnectionError::Who(wrong))
    }
}

/// What the client file says, if there is one: the one that is `named`, or else the first that is there.
pub(crate) fn client_file(named: Option<&Path>, data: Option<&Path>) -> Result<ClientFile, ConnectionError> {
    let path = named.map(Path::to_owned).or_else(|| variable(FILE_VARIABLE).map(PathBuf::from));
    let path = path.or_else(|| found(data));
    Ok(path.as_deref().map(client_file::read).transpose()?.unwrap_or_default())
}

/// A variable that says something.
pub(crate) fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The folder of ours in the user's own folder for files of this kind: `~/.config/provost` where the variable is
/// `XDG_CONFIG_HOME` and the folder `.config`.
pub(crate) fn own_folder(variable_name: &str, under_home: &str) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // A relative one is to be ignored (XDG Base Directory Specification, "Basics").
    let folder = absolute(variable_name).or_else(|| absolute("HOME").map(|home| home.join(under_home)));
    folder.map(|folder| folder.join("provost"))
}

/// A file of the user's own settings.
pub(crate) fn own_file(name: &str) -> Option<PathBuf> {
    own_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join(name))
}

/// The client file where it is looked for: the user's own, or that of this machine's server.
fn found(data: Option<&Path>) -> Option<PathBuf> {
    // One that is there and cannot be looked at is to be complained about, not passed over.
    let is_there = |path: &PathBuf| !matches!(path.try_exists(), Ok(false));
    own_file(FILE).filter(is_there).or_else(|| data.map(|data| data.join(FILE)).filter(is_there))
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, ConnectionError> {
    std::fs::read(path).map_err(|source| ConnectionError::Io { path: path.to_owned(), what, source })
}

fn secret(path: &Path, what: &'static str) -> Result<Secret<String>, ConnectionError> {
    let mut text =
        String::from_utf8(read(path, what)?).map_err(|_| ConnectionError::NotTextFile(path.to_owned()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_one() {
        let path = || Some(PathBuf::from("/nonexistent"));
        let user = || Some("ada".to_owned());
        let check = |who: Who| who.check().err().map(|error| error.to_string());
        for (who, fits) in [
            (Who::default(), true),
            (Who { certificate: path(), ..Who::default() }, true),
            (Who { user: user(), password_file: path(), certificate: path(), ..Who::default() }, true),
            (Who { token_file: path(), certificate: path(), ..Who::default() }, true),
            (Who { kubeconfig: path(), ..Who::default() }, true),
            (Who { kubeconfig: path(), user: user(), ..Who::default() }, false),
            (Who { token_file: path(), user: user(), ..Who::default() }, false),
            (Who { password_file: path(), ..Who::default() }, false),
            (Who { user: Some("a:b".into()), ..Who::default() }, false),
        ] {
            let shown = format!("{who:?}");
            assert_eq!(check(who).is_none(), fits, "{shown}");
        }
    }

    #[test]
    fn one_line_end_is_not_part_of_a_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\n\n", "a\n"), (" a ", " a ")] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(secret(file.path(), "the token").unwrap().expose(), expected);
        }
    }
}
