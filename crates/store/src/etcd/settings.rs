//! Where an etcd is, and how it is talked to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Explain, Kind, Secret};
use reqwest::Url;
use rustls::ClientConfig;
use tls::{Identity, TlsError, Trust};

use crate::{Error, Prefix};

/// What [`Etcd::connect`](super::Etcd::connect) needs to know. Nothing in it is shown by `Debug` that is secret.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// Where its members are, such as `https://10.0.0.1:2379`: at least one. Which one is asked first is left to
    /// chance, and another only when that one fails.
    pub endpoints: Vec<String>,
    /// The certificates, as PEM, of the authorities that may have issued the members'; no others are trusted. Without,
    /// those that the system trusts may have.
    pub authorities: Option<Vec<u8>>,
    /// The certificate that the members are shown.
    pub identity: Option<EtcdIdentity>,
    /// Who signs in, where etcd's authentication is enabled. A role with all keys, or all those under
    /// `namespace`, is needed to read and to write.
    pub user: Option<EtcdUser>,
    /// What etcd's own keys begin with in front of ours, so that several houses may share one etcd. Empty where
    /// they are to lie under their own names.
    pub namespace: Prefix,
    /// How long any one call may take, with all its attempts.
    pub deadline: Duration,
}

impl EtcdSettings {
    /// Whether `text` can be one of [`endpoints`](Self::endpoints).
    ///
    /// # Errors
    /// [`ConnectError::Endpoint`].
    pub fn check_endpoint(text: &str) -> Result<(), ConnectError> {
        endpoint(text).map(drop)
    }

    /// The etcd at `endpoints`, without TLS and without anybody signing in, and five seconds for each call.
    #[must_use]
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            authorities: None,
            identity: None,
            user: None,
            namespace: Prefix::default(),
            deadline: Duration::from_secs(5),
        }
    }
}

/// A client certificate and its key.
#[derive(Clone)]
pub struct EtcdIdentity {
    /// The certificate, and what of its chain the members need, as PEM.
    pub certificates: Vec<u8>,
    /// Its private key, as PEM.
    pub key: Secret<Vec<u8>>,
}

impl fmt::Debug for EtcdIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EtcdIdentity(..)")
    }
}

/// A user of etcd's own.
#[derive(Clone, Debug)]
pub struct EtcdUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: EtcdPassword,
}

/// A password, or where it is to be had. It is asked for whenever somebody signs in, which is when etcd's token has
/// ended or a password was changed; so one that was changed here as well counts without a restart.
#[derive(Clone)]
pub struct EtcdPassword(ReadPassword);

type ReadPassword = Arc<dyn Fn() -> Result<Secret<String>, String> + Send + Sync>;

impl EtcdPassword {
    /// What `read` gives, quickly; or why there is none, in words.
    #[must_use]
    pub fn read(read: impl Fn() -> Result<Secret<String>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The password as it is now.
    pub(super) fn now(&self) -> Result<Secret<String>, String> {
        (self.0)()
    }
}

impl From<Secret<String>> for EtcdPassword {
    /// Always the same.
    fn from(password: Secret<String>) -> Self {
        Self::read(move || Ok(Secret::new(password.expose().clone())))
    }
}

impl fmt::Debug for EtcdPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EtcdPassword(..)")
    }
}

/// Why an etcd could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no endpoint at all.
    #[error("no endpoint of etcd is given")]
    NoEndpoint,
    /// An endpoint is no URL of one.
    #[error("`{endpoint}` is no endpoint of etcd: {reason}")]
    Endpoint {
        /// As it was given, without what stands before an `@`.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The certificates of the authorities, or the client's own, cannot be used.
    #[error("{what} cannot be used: {reason}")]
    Tls {
        /// What of it.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody is known who may have issued the members' certificates.
    #[error(
        "etcd is to be asked over https, and neither is the certificate of its authority given, nor does this system trust any"
    )]
    NoAuthorities,
    /// The thread that talks to etcd could not be started.
    #[error("the thread that talks to etcd could not be started")]
    Thread(#[source] std::io::Error),
    /// It did not answer, or refused.
    #[error("could not connect to etcd")]
    Store(#[source] Error),
}

impl Explain for ConnectError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoEndpoint | Self::Endpoint { .. } | Self::Tls { .. } | Self::NoAuthorities => {
                Kind::Invalid
            }
            Self::Thread(_) => Kind::Unavailable,
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoEndpoint | Self::Endpoint { .. } => {
                Some("write it like https://etcd.example.com:2379".into())
            }
            Self::NoAuthorities => {
                Some("install the package ca-certificates, or name the file of the authority".into())
            }
            Self::Tls { .. } | Self::Thread(_) => None,
            Self::Store(source) => source.help(),
        }
    }
}

/// The endpoints as URLs that end with their port.
pub(super) fn endpoints(settings: &EtcdSettings) -> Result<Vec<String>, ConnectError> {
    if settings.endpoints.is_empty() {
        return Err(ConnectError::NoEndpoint);
    }
    settings.endpoints.iter().map(|text| endpoint(text)).collect()
}

fn endpoint(text: &str) -> Result<String, ConnectError> {
    // What stands before an `@` may be a password.
    let shown = text.rsplit('@').next().unwrap_or_default();
    let refuse = |reason| Err(ConnectError::Endpoint { endpoint: shown.to_owned(), reason });
    let Ok(url) = Url::parse(text) else { return refuse("it is no URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("it begins neither with http:// nor with https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("the user and the password are settings of their own");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return refuse("something stands behind its port");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// How TLS is spoken, when any endpoint speaks it.
pub(super) fn tls(settings: &EtcdSettings, clock: Clock) -> Result<ClientConfig, ConnectError> {
    let trust = match &settings.authorities {
        Some(pem) => Trust::Only(pem),
        None if endpoints(settings)?.iter().any(|endpoint| endpoint.starts_with("https:")) => Trust::System,
        None => Trust::Nobody,
    };
    let identity = settings.identity.as_ref();
    let identity = identity.map(|shown| Identity { chain: &shown.certificates, key: &shown.key });
    tls::config(trust, identity, clock).map_err(|error| match error {
        TlsError::NoAuthorities => ConnectError::NoAuthorities,
        TlsError::Authorities(reason) => {
            ConnectError::Tls { what: "the certificate of etcd's authority", reason }
        }
        TlsError::Identity(reason) => ConnectError::Tls { what: "the client certificate for etcd", reason },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_secrets() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = endpoint(text).map_err(|error| error.to_string());
            match expected {
                Ok(url) => assert_eq!(found.as_deref(), Ok(url), "{text}"),
                Err(reason) => {
                    let error = found.unwrap_err();
                    assert!(error.contains(reason) && !error.contains("hunter2"), "{text}: {error}");
                }
            }
        };
        check("http://127.0.0.1:2379", Ok("http://127.0.0.1:2379"));
        check("http://[::1]:2379/", Ok("http://[::1]:2379"));
        check("http://etcd.example.com", Ok("http://etcd.example.com"));
        check("127.0.0.1:2379", Err("no URL"));
        check("etcd.example.com:2379", Err("neither with http:// nor"));
        check("unix:///run/etcd", Err("neither with http:// nor"));
        check("http://root:hunter2@127.0.0.1:2379", Err("settings of their own"));
        check("http://127.0.0.1:2379/v3", Err("behind its port"));
        check("https://127.0.0.1:2379", Ok("https://127.0.0.1:2379"));
        assert!(matches!(endpoints(&EtcdSettings::new([""; 0])), Err(ConnectError::NoEndpoint)));
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let mut settings = EtcdSettings::new(["https://127.0.0.1:2379"]);
        settings.authorities = Some(b"not PEM".to_vec());
        let error = tls(&settings, Clock::system()).unwrap_err();
        assert!(
            error.to_string().starts_with("the certificate of etcd's authority cannot be used"),
            "{error}"
        );
        settings.endpoints = vec!["http://127.0.0.1:2379".to_owned()];
        settings.authorities = None;
        settings.identity =
            Some(EtcdIdentity { certificates: b"not PEM".to_vec(), key: Secret::new(b"hunter2".to_vec()) });
        let error = tls(&settings, Clock::system()).unwrap_err();
        assert!(error.to_string().starts_with("the client certificate for etcd cannot be used"), "{error}");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let mut settings = EtcdSettings::new(["http://127.0.0.1:2379"]);
        let password = Secret::new("hunter2".to_owned());
        settings.user = Some(EtcdUser { name: "root".into(), password: password.into() });
        let key = Secret::new(b"hunter2".to_vec());
        settings.identity = Some(EtcdIdentity { certificates: Vec::new(), key });
        let shown = format!("{settings:?}");
        assert!(
            shown.contains("root") && !shown.contains("hunter2") && !shown.contains("104, 117"),
            "{shown}"
        );
    }
}
