//! One run of a command about certificates: which server is asked, who asks, whom it is believed.

use std::path::{Path, PathBuf};

use base::{Clock, Secret, Timestamp, hex};
use clap::{Args, ValueEnum};
use client::Nearby;
use client::compat::caucase::{Authority, Server, ServerUrl};
use x509::Certificate;
use x509::pem::ONE_BYTES_MAX;

use super::error::CaCommandError;
use super::key_file::refuse_exposed;
use crate::client_file::ClientFile;
use crate::connection::{self, ConnectionError, SERVER_VARIABLE};
use crate::holder::{
    Collection, NotOnePair, PairError, Pem, Trusted, refuse_other_authorities, update_same_authorities,
};
use crate::input::Input;
use crate::output;
use crate::private_file;
use crate::screen::Screen;

/// Whose authority is meant.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// That of services
    #[default]
    Service,
    /// That of users
    User,
}

impl Mode {
    pub(super) fn authority(self) -> Authority {
        match self {
            Self::Service => Authority::Services,
            Self::User => Authority::Users,
        }
    }
}

/// What every command takes.
#[derive(Debug, Default, Args)]
pub(super) struct Options {
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Whose authority is meant
    #[arg(long, value_enum, default_value_t = Mode::Service, global = true)]
    mode: Mode,
    /// The same as --mode user
    #[arg(long, global = true)]
    users: bool,
    /// The CA certificates that are trusted: a file, or a folder with one in each. What follows them is added, what is over
    /// goes [default: cas.crt.pem, or cau.crt.pem for users, in the working directory]
    #[arg(long, value_name = "FILE|DIR", global = true)]
    ca: Option<PathBuf>,
    /// Trust only the CA certificate with this SHA-256 fingerprint, and those that followed it. It proves what they signed, and
    /// not who answers over HTTPS
    #[arg(long, value_name = "SHA256", global = true)]
    fingerprint: Option<Fingerprint>,
    #[command(flatten)]
    connection: Connection,
}

/// Which server is asked, and who asks.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which server, and who asks")]
struct Connection {
    /// The URL of the server: that of plain HTTP, http://HOST:PORT, or that of HTTPS, whose port is one more [env:
    /// PROVOST_SERVER]
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// The key and the certificate of a user, PEM in one file, for what only users may do [default: the client file's
    /// `certificate`]
    #[arg(long, value_name = "FILE", global = true)]
    user_key: Option<PathBuf>,
    /// The authorities that the server's own certificate has to come from, PEM: `server-ca.pem` in the server's data directory
    /// [default: the client file's `ca`, if that is the server which is asked]. Without any it is not looked at: certificates and
    /// lists are believed for being signed, and whoever is in between could show a user other requests than wait there, and say
    /// that something was done
    #[arg(long, value_name = "FILE", global = true)]
    server_ca: Option<PathBuf>,
    /// The client file, which says all this for you [env: PROVOST_CLIENT_CONFIG] [default:
    /// ~/.config/provost/client.toml, or client.toml in the data directory of this machine's server]
    #[arg(long, value_name = "FILE", global = true)]
    client_config: Option<PathBuf>,
    /// The data directory of this machine's server [env: PROVOST_DATA] [default: as for `provost up`]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

/// The SHA-256 of a certificate's DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is what `openssl x509 -noout -fingerprint -sha256` prints: 64 hexadecimal digits")]
pub(super) struct BadFingerprint;

impl std::str::FromStr for Fingerprint {
    type Err = BadFingerprint;

    /// Reads the whole line of openssl as well: `sha256 Fingerprint=AA:BB:…`.
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let text = text.trim();
        let text = match text.split_once('=') {
            Some((what, rest)) if what.eq_ignore_ascii_case("sha256 fingerprint") => rest,
            Some(_) => return Err(BadFingerprint),
            None => text,
        };
        let is_paired = text.len() == 64 || (text.len() == 95 && text.split(':').all(|pair| pair.len() == 2));
        let plain = text.split(':').collect::<String>().to_ascii_lowercase();
        let bytes = hex::decode(&plain).filter(|_| is_paired).ok_or(BadFingerprint)?;
        bytes.try_into().map(Self).map_err(|_| BadFingerprint)
    }
}

/// What holds for every certificate of whom nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) server: Option<ServerUrl>,
    pub(super) authority: Authority,
    pub(super) ca: Option<PathBuf>,
    pub(super) fingerprint: Option<[u8; 32]>,
}

/// One run of a command.
pub(super) struct Session {
    options: Options,
    data: Option<PathBuf>,
    clock: Clock,
    pub(super) input: Input,
    pub(super) screen: Screen,
}

impl Session {
    /// `data` is where this machine's server keeps its data when `options` do not say.
    pub(super) fn new(options: Options, data: Option<PathBuf>, clock: Clock) -> Self {
        Self { options, data, clock, input: Input::new(), screen: Screen::of_process() }
    }

    pub(super) fn wants_json(&self) -> bool {
        self.options.json
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn authority(&self) -> Authority {
        if self.options.users { Authority::Users } else { self.options.mode.authority() }
    }

    /// From here on this authority is meant.
    pub(super) fn mean(&mut self, authority: Authority) {
        self.options.users = authority == Authority::Users;
        self.options.mode = Mode::Service;
    }

    /// The fingerprint that is pinned.
    pub(super) fn pin(&self) -> Option<&[u8; 32]> {
        self.options.fingerprint.as_ref().map(|pin| &pin.0)
    }

    /// Whether anything is said about a user who asks.
    pub(super) fn names_user(&self) -> bool {
        let Connection { user_key, server_ca, .. } = &self.options.connection;
        user_key.is_some() || server_ca.is_some()
    }

    /// What the command says for all the certificates of a file that does not say it of them.
    ///
    /// # Errors
    /// When the command names a server that is none.
    pub(super) fn defaults(&self) -> Result<Defaults, CaCommandError> {
        let named = self.options.connection.server.as_deref();
        let server = match named.map(ServerUrl::by_either_door).transpose()? {
            // Whether the environment and the client file say it in vain, nobody needs to hear who does not ask them.
            None => self.file().and_then(|file| self.url(&file)).ok(),
            named => named,
        };
        Ok(Defaults {
            server,
            authority: self.authority(),
            ca: self.options.ca.clone(),
            fingerprint: self.pin().copied(),
        })
    }

    /// Where the CA certificates are that are trusted.
    pub(super) fn store(&self) -> Collection<Certificate> {
        let default = || PathBuf::from(format!("{}.crt.pem", self.authority()));
        Collection::at(&self.options.ca.clone().unwrap_or_else(default))
    }

    /// A command for whoever goes on with this, at the same server and authority.
    pub(super) fn command(&self, words: &str) -> String {
        let users = if self.authority() == Authority::Users { " --users" } else { "" };
        let server = self.options.connection.server.as_ref();
        let server = server.map(|url| format!(" --server {url}")).unwrap_or_default();
        format!("`provost ca {words}{users}{server}`")
    }

    /// What the client file says.
    fn file(&self) -> Result<ClientFile, CaCommandError> {
        let Connection { client_config, data, .. } = &self.options.connection;
        Ok(connection::client_file(client_config.as_deref(), data.as_deref().or(self.data.as_deref()))?)
    }

    /// Which servers are on this machine, if anybody says so.
    ///
    /// # Errors
    /// When the client file cannot be used.
    pub(super) fn nearby(&self) -> Result<Option<Nearby>, CaCommandError> {
        Ok(self.file()?.nearby())
    }

    /// The server that is asked, as the command, the environment or the client file says.
    fn url(&self, file: &ClientFile) -> Result<ServerUrl, CaCommandError> {
        if let Some(url) = &self.options.connection.server {
            return Ok(ServerUrl::by_either_door(url)?);
        }
        let said = match connection::variable(SERVER_VARIABLE) {
            Some(text) => {
                let text = text.into_string().map_err(|_| ConnectionError::NotText)?;
                text.split([',', ' ', '\t', '\n']).find(|text| !text.is_empty()).map(str::to_owned)
            }
            None => file.servers.first().map(ToString::to_string),
        };
        Ok(ServerUrl::by_either_door(&said.ok_or(ConnectionError::NoServer)?)?)
    }

    /// The same server's `/v1`, asked by the same user.
    pub(super) fn v1(&self) -> Result<crate::session::Session, CaCommandError> {
        let Connection { user_key, server_ca, client_config, data, .. } = &self.options.connection;
        let connection = connection::Connection::of(
            self.url(&self.file()?)?.https(),
            server_ca.clone(),
            user_key.clone(),
            client_config.clone(),
            data.clone(),
        )?;
        let options = crate::session::Options { json: self.options.json, connection };
        Ok(crate::session::Session::new(options, self.data.clone()))
    }

    /// The server, asked by nobody in particular.
    pub(super) fn server(&self) -> Result<Server, CaCommandError> {
        let file = self.file()?;
        Ok(Server::near(self.url(&file)?, file.nearby())?)
    }

    /// The server, asked by a user.
    pub(super) fn server_for_user(&self) -> Result<Server, CaCommandError> {
        let file = self.file()?;
        let url = self.url(&file)?;
        let key = self.options.connection.user_key.as_ref().or(file.who.certificate.as_ref());
        let user = read_user(key.ok_or(CaCommandError::NoUser)?)?;
        let authorities = self.server_authorities(&file, &url)?;
        let server = Server::near(url, file.nearby())?;
        Ok(match authorities {
            Some(authorities) => server.verified_by(&authorities, Some(&user))?,
            None => server.asked_by(&user)?,
        })
    }

    /// Those that the server's own certificate has to come from, if anybody says so about this server.
    fn server_authorities(
        &self,
        file: &ClientFile,
        url: &ServerUrl,
    ) -> Result<Option<Vec<u8>>, CaCommandError> {
        let is_the_files = || {
            file.servers
                .iter()
                .any(|one| ServerUrl::by_either_door(&one.to_string()).is_ok_and(|one| one.is(url)))
        };
        let path = match &self.options.connection.server_ca {
            Some(path) => Some(path),
            None => file.ca.as_ref().filter(|_| is_the_files()),
        };
        let unreadable = |path: &Path| {
            let (path, what) = (path.to_owned(), "the authorities of the server's certificate");
            move |source| ConnectionError::Io { path, what, source }
        };
        let read = path.map(|path| std::fs::read(path).map_err(unreadable(path))).transpose();
        Ok(read?)
    }

    /// The CA certificates that are trusted, brought up to date; who is trusted for being the first is said.
    pub(super) async fn trusted(&self, server: &Server) -> Result<Trusted, CaCommandError> {
        let store = self.store();
        let trusted =
            update_same_authorities(server, self.authority(), &store, self.pin(), self.now()).await?;
        if let (Some(first), None) = (&trusted.first, self.pin()) {
            let users = if self.authority() == Authority::Users { " --users" } else { "" };
            let pin = format!("provost ca trust{users} --server {}", server.url());
            tell_first(first, store.path(), &pin);
        }
        Ok(trusted)
    }

    /// Refuses a server that has nothing to do with whoever is pinned, where somebody is: nothing is asked of it then.
    pub(super) async fn refuse_unpinned(&self, server: &Server) -> Result<(), CaCommandError> {
        if self.pin().is_some() { self.refuse_another(server).await } else { Ok(()) }
    }

    /// Refuses a server that has nothing to do with whoever is trusted or pinned. Nothing is written: whoever only looks keeps
    /// no CA certificates.
    pub(super) async fn refuse_another(&self, server: &Server) -> Result<(), CaCommandError> {
        let store = self.store();
        Ok(refuse_other_authorities(server, self.authority(), &store, self.pin(), self.now()).await?)
    }

    /// Writes `text` to standard output.
    pub(super) fn print(&self, text: &str) -> Result<(), CaCommandError> {
        Ok(output::data(text)?)
    }

    /// Prints `document` where JSON is wanted, or else says `line`.
    pub(super) fn tell(&self, document: &serde_json::Value, line: String) -> Result<(), CaCommandError> {
        if self.wants_json() {
            return self.print(&(crate::view::json(document) + "\n"));
        }
        output::note(line);
        Ok(())
    }
}

/// Says that a CA certificate is trusted for being the first one that was seen. `pin` is the command that would have pinned
/// it, up to the fingerprint.
pub(super) fn tell_first(first: &Certificate, store: &Path, pin: &str) {
    let (fingerprint, store) = (hex::encode(&first.fingerprint()), store.display());
    let subject = crate::table::one_line(&first.subject().to_string());
    output::note(format_args!(
        "note: {subject} is trusted from now on, for being the first to answer; its SHA-256 fingerprint is {fingerprint}"
    ));
    output::note(format_args!(
        "hint: ask whoever runs it whether that is right; `{pin} --ca {store} --fingerprint {fingerprint}` trusts no other from \
         the start"
    ));
}

/// A user's key and certificate, as TLS takes them: the key, its certificate, and what else is there.
fn read_user(path: &Path) -> Result<Secret<Vec<u8>>, CaCommandError> {
    refuse_exposed(path)?;
    let unreadable = |source| {
        let (path, what) = (path.to_owned(), "the key and the certificate of a user");
        ConnectionError::Io { path, what, source }
    };
    match private_file::read(path, ONE_BYTES_MAX as u64) {
        Ok(_) => {}
        Err(private_file::ReadError::Exposed(mode)) => {
            return Err(CaCommandError::Exposed { path: path.to_owned(), mode });
        }
        Err(private_file::ReadError::System(source)) => return Err(unreadable(source).into()),
    }
    let Pem { keys, mut certificates, .. } = Pem::read(path)?;
    let not_one = NotOnePair {
        certificate: path.to_owned(),
        certificates: certificates.len().min(1),
        key: path.to_owned(),
        keys: keys.len(),
        is_one_file: true,
    };
    let [key] = keys.as_slice() else { return Err(PairError::from(not_one).into()) };
    let own = certificates.iter().position(|one| one.public_key() == key.public());
    let own = own.ok_or_else(|| PairError::from(not_one))?;
    certificates.swap(0, own);
    let mut pem = Secret::new(key.to_pkcs8_pem().expose().clone().into_bytes());
    certificates.iter().for_each(|one| pem.expose_mut().extend(one.to_pem().into_bytes()));
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_openssl_prints_them() {
        let hex = "ab".repeat(32);
        let pairs = vec!["AB"; 32].join(":");
        for text in [hex.clone(), hex.to_uppercase(), pairs.clone(), format!("sha256 Fingerprint={pairs}\n")]
        {
            assert_eq!(text.parse(), Ok(Fingerprint([0xab; 32])), "{text}");
        }
        for text in ["", "ab", &hex[1..], &format!("sha1 Fingerprint={pairs}"), &"zz".repeat(32)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
        }
    }
}
