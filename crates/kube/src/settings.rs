//! Which API server, who we are there, and whom we believe to be it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base::{Explain, Kind, Secret};
use http::Uri;

/// How long one request may take, with everything, unless somebody says otherwise.
const DEADLINE: Duration = Duration::from_secs(15);
/// The longest file with certificates, a key or a configuration, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where an API server is: `https://host:port`, or `http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(Arc<str>);

/// A text that is not where an API server is. What the text is stays out of it: there may be a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an API server is at `https://host:port` or `http://host:port`, without user and password")]
pub struct BadServer;

impl Explain for BadServer {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Server {
    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The URL of `path`, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromStr for Server {
    type Err = BadServer;

    /// Only scheme, host and port are used, as ever (commissaire contract, section 9.6).
    fn from_str(text: &str) -> Result<Self, BadServer> {
        let uri: Uri = text.parse().map_err(|_| BadServer)?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let (scheme, authority) = scheme.zip(uri.authority()).ok_or(BadServer)?;
        let port = authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let place = format!("{}{port}", authority.host());
        // What has more is a user, or a port that is none.
        let is_all = place == authority.as_str() && authority.port_u16() != Some(0);
        let server = format!("{scheme}://{place}");
        let is_url = reqwest::Url::parse(&server).is_ok();
        if is_all && is_url && !authority.host().is_empty() {
            Ok(Self(server.into()))
        } else {
            Err(BadServer)
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who we are to an API server. It may be nobody in particular.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// A bearer token. Over plain HTTP everybody in between can read it.
    pub token: Option<Secret<String>>,
    /// A client certificate, for TLS only.
    pub certificate: Option<ClientCertificate>,
}

/// A client certificate and its key.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The certificate, and those between it and an authority, as PEM.
    pub chain: Vec<u8>,
    /// Its private key, as PEM.
    pub key: Secret<Vec<u8>>,
}

impl ClientCertificate {
    /// Those in two files.
    ///
    /// # Errors
    /// [`SettingsError::File`].
    pub fn read(chain: &Path, key: &Path) -> Result<Self, SettingsError> {
        Ok(Self { chain: read(chain)?, key: Secret::new(read(key)?) })
    }
}

/// Whom we believe to be the API server.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Whoever one of this system's authorities vouches for.
    #[default]
    System,
    /// Whoever one of these vouches for: certificates, as PEM.
    Only(Vec<u8>),
    /// Anyone, because the operator said so in so many words.
    Anyone,
}

impl Trust {
    /// The authorities in a file.
    ///
    /// # Errors
    /// [`SettingsError::File`].
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        read(path).map(Self::Only)
    }
}

/// How an API server is spoken to. Files are read when this is made: after they have changed, make another.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub server: Server,
    /// Who we are.
    pub credentials: Credentials,
    /// Whom we believe to be it.
    pub trust: Trust,
    /// How long one request may take, with everything.
    pub deadline: Duration,
}

impl Settings {
    /// For `server`, as nobody, with the system's authorities and 15 seconds a request.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server, credentials: Credentials::default(), trust: Trust::default(), deadline: DEADLINE }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A token that cannot be sent.
    #[error("the token has characters that no token has")]
    Token,
    /// A client certificate that cannot be shown.
    #[error("the client certificate cannot be used: {0}")]
    Certificate(String),
    /// A client certificate is shown over TLS only.
    #[error("a client certificate needs a server at `https://`")]
    CertificateWithoutTls,
    /// Authorities that cannot be used.
    #[error("the certificates of authorities cannot be used: {0}")]
    Authorities(String),
    /// This system trusts nobody.
    #[error("this system has no certificates of authorities that it trusts")]
    NoAuthorities,
    /// There is no HTTP client.
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
}

impl Explain for SettingsError {
    fn kind(&self) -> Kind {
        match self {
            Self::File { .. }
            | Self::Token
            | Self::Certificate(_)
            | Self::CertificateWithoutTls
            | Self::Authorities(_)
            | Self::NoAuthorities => Kind::Invalid,
            Self::Client(_) => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoAuthorities => {
                Some("give the certificate of the API server's authority as `ca_path`".to_owned())
            }
            Self::File { .. }
            | Self::Token
            | Self::Certificate(_)
            | Self::CertificateWithoutTls
            | Self::Authorities(_)
            | Self::Client(_) => None,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    read_file(path).map_err(|source| SettingsError::File { path: path.to_owned(), source })
}

/// A file that is one, and no longer than it could mean to be.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a named pipe would wait for somebody to write into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_host_and_port_count() {
        for (text, expected) in [
            ("https://k8s:6443", Some("https://k8s:6443")),
            ("https://k8s:6443/api/v1?a=b", Some("https://k8s:6443")),
            ("HTTP://k8s/", Some("http://k8s")),
            ("https://[fd00::1]:6443", Some("https://[fd00::1]:6443")),
            ("https://10.0.0.1", Some("https://10.0.0.1")),
            ("k8s:6443", None),
            ("ftp://k8s", None),
            ("https://", None),
            ("https:///x", None),
            ("https://:6443", None),
            ("https://k8s:", None),
            ("https://k8s:0", None),
            ("https://k8s:66666", None),
            ("https://me:pass@k8s", None),
            ("https://a b", None),
            ("/api", None),
            ("", None),
        ] {
            let found = text.parse::<Server>().ok();
            assert_eq!(found.as_ref().map(ToString::to_string).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn files_are_files() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("long");
        File::create(&long).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        for (path, expected) in [
            (long.as_path(), "it is longer than 4194304 bytes"),
            (folder.path(), "it is not a file"),
            (Path::new("/dev/zero"), "it is not a file"),
        ] {
            let error = Trust::read(path).unwrap_err();
            assert_eq!(base::report(&error), format!("could not read {}: {expected}", path.display()));
        }
    }
}
