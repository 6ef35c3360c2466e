//! Where the bucket is, and how it is talked to.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Explain, Kind, Secret, report};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::client::{ClientOptions, HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{BackoffConfig, CredentialProvider, RetryConfig};
use reqwest::{Client, Url, redirect};
use tls::{TlsError, Trust};

use crate::blobs::contract::Error;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection that was not used for so long may have been forgotten by what lies in between.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What [`S3::connect`](super::S3::connect) needs to know.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// Where the server is, such as `https://minio.example.com:9000`; Amazon's own for the region when absent.
    pub endpoint: Option<String>,
    /// The region; what it is called matters to Amazon, and to others only that it is the one they expect.
    pub region: String,
    /// The bucket, which has to be there.
    pub bucket: String,
    /// What the keys of all objects begin with: letters, digits, `-`, `_`, `.`, and `/` between them; may be empty.
    pub prefix: String,
    /// Whose uploads are ours: what an earlier start under the same name left half-way goes at once, what others left
    /// only after a day. No two that run at the same time may have the same.
    pub owner: String,
    /// Names of earlier starts that are certainly over: what they left goes at once as well.
    pub over: Vec<String>,
    /// Held for as long as the bucket is open: what says that this start is not over.
    pub lock: Option<Arc<File>>,
    /// How the bucket is named in requests.
    pub addressing: S3Addressing,
    /// Who asks; nobody in particular when absent.
    pub key: Option<S3Key>,
    /// Where the key comes from, instead, when it changes: asked for each request.
    pub keys: Option<Arc<dyn S3KeySource>>,
    /// The certificates, as PEM, of the authorities that may have issued the server's; no others are trusted. Without,
    /// those that the system trusts may have.
    pub authorities: Option<Vec<u8>>,
    /// In which folder waits what comes while there is no room for it in memory, in files without names; the system's for
    /// temporary files when absent.
    pub temporary: Option<PathBuf>,
    /// For how long a request that failed is tried again, and how long an answer may be silent.
    pub patience: Duration,
}

impl S3Settings {
    /// The bucket of that name at Amazon, with thirty seconds of patience, and nobody who signs.
    #[must_use]
    pub fn new(region: &str, bucket: &str, owner: &str) -> Self {
        Self {
            endpoint: None,
            region: region.into(),
            bucket: bucket.into(),
            prefix: String::new(),
            owner: owner.into(),
            over: Vec::new(),
            lock: None,
            addressing: S3Addressing::Host,
            key: None,
            keys: None,
            authorities: None,
            temporary: None,
            patience: Duration::from_secs(30),
        }
    }
}

impl S3Settings {
    /// Whether the endpoint, the bucket and the prefix can be used.
    ///
    /// # Errors
    /// [`ConnectError::Setting`].
    pub fn check_places(&self) -> Result<(), ConnectError> {
        let known = S3Settings { authorities: None, ..self.clone() };
        let _ = prefix(&known)?;
        match known.endpoint.as_deref().map(endpoint).transpose()? {
            Some(mut endpoint) if known.addressing == S3Addressing::Host => {
                in_host(&mut endpoint, &known.bucket)
            }
            _ => Ok(()),
        }
    }
}

/// How a bucket is named in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Addressing {
    /// In the path; what servers of one's own understand without a DNS.
    Path,
    /// As the first label of the host's name.
    Host,
}

/// An access key. Nothing of it that is secret is shown.
#[derive(Clone, Debug)]
pub struct S3Key {
    /// Its name.
    pub id: String,
    /// Its secret.
    pub secret: Secret<String>,
    /// The session that it is good for, when it is a temporary one.
    pub session: Option<Secret<String>>,
}

/// Where a key comes from that is good for some hours, and then is another.
pub trait S3KeySource: fmt::Debug + Send + Sync {
    /// The one that is good now. Does not take long: it is asked for each request.
    fn key(&self) -> S3Key;
}

/// The same, as the client asks for it.
#[derive(Debug)]
struct Keys(Arc<dyn S3KeySource>);

impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    fn get_credential<'l, 'a>(
        &'l self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'a>>
    where
        'l: 'a,
        Self: 'a,
    {
        let S3Key { id, secret, session } = self.0.key();
        let credential = AwsCredential {
            key_id: id,
            secret_key: secret.expose().clone(),
            token: session.map(|session| session.expose().clone()),
        };
        Box::pin(std::future::ready(Ok(Arc::new(credential))))
    }
}

/// Why a bucket could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting cannot be used.
    #[error("the {setting} of the bucket cannot be used: {reason}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody is known who may have issued the server's certificate.
    #[error(
        "the bucket is to be asked over https, and neither is the certificate of its authority given, nor does this system trust any"
    )]
    NoAuthorities,
    /// The thread that talks to the bucket could not be started.
    #[error("the thread that talks to the bucket could not be started")]
    Thread(#[source] std::io::Error),
    /// It did not answer, or refused.
    #[error("could not connect to the bucket")]
    Store(#[source] Error),
}

impl Explain for ConnectError {
    fn kind(&self) -> Kind {
        match self {
            Self::Setting { .. } | Self::NoAuthorities => Kind::Invalid,
            Self::Thread(_) => Kind::Unavailable,
            Self::Store(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Setting { setting: "endpoint", .. } => Some("write it like https://s3.example.com".into()),
            Self::NoAuthorities => {
                Some("install the package ca-certificates, or name the file of the authority".into())
            }
            Self::Setting { .. } | Self::Thread(_) => None,
            Self::Store(source) => source.help(),
        }
    }
}

fn refuse(setting: &'static str, reason: impl fmt::Display) -> ConnectError {
    ConnectError::Setting { setting, reason: reason.to_string() }
}

/// What the keys of all objects begin with.
pub(super) fn prefix(settings: &S3Settings) -> Result<Path, ConnectError> {
    // Others can be in a key, but not every server signs them alike.
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !settings.prefix.bytes().all(is_safe) {
        return Err(refuse(
            "prefix",
            "there is something else in it than letters, digits, `-`, `_`, `.` and `/`",
        ));
    }
    Path::parse(&settings.prefix).map_err(|error| refuse("prefix", error))
}

/// The client for the bucket.
pub(super) fn store(settings: &S3Settings, clock: Clock) -> Result<AmazonS3, ConnectError> {
    let endpoint = settings.endpoint.as_deref().map(endpoint).transpose()?;
    let is_plain = endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 10, retry_timeout: settings.patience };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_allow_http(is_plain)
        .with_virtual_hosted_style_request(settings.addressing == S3Addressing::Host)
        .with_retry(retry)
        .with_http_connector(Connector(client(settings, is_plain, clock)?));
    if let Some(mut endpoint) = endpoint {
        if settings.addressing == S3Addressing::Host {
            in_host(&mut endpoint, &settings.bucket)?;
        }
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    if let Some(keys) = &settings.keys {
        builder = builder.with_credentials(Arc::new(Keys(keys.clone())));
        return builder.build().map_err(|error| refuse("settings", report(&error)));
    }
    builder = match &settings.key {
        None => builder.with_skip_signature(true),
        Some(key) => {
            builder = builder.with_access_key_id(&key.id).with_secret_access_key(key.secret.expose());
            match &key.session {
                Some(session) => builder.with_token(session.expose()),
                None => builder,
            }
        }
    };
    builder.build().map_err(|error| refuse("settings", report(&error)))
}

/// Puts the bucket's name before the host's.
fn in_host(endpoint: &mut Url, bucket: &str) -> Result<(), ConnectError> {
    let with_bucket = endpoint.domain().map(|host| format!("{bucket}.{host}"));
    let Some(host) = with_bucket else {
        return Err(refuse("endpoint", "it is an address, before which no bucket's name can stand"));
    };
    endpoint.set_host(Some(&host)).map_err(|error| refuse("name", error))
}

/// Where the server is.
fn endpoint(text: &str) -> Result<Url, ConnectError> {
    let url = Url::parse(text).map_err(|_| refuse("endpoint", "it is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("endpoint", "it begins neither with http:// nor with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("endpoint", "the access key is a setting of its own"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("endpoint", "something stands behind its path"));
    }
    Ok(url)
}

fn client(settings: &S3Settings, is_plain: bool, clock: Clock) -> Result<Client, ConnectError> {
    let trust = match &settings.authorities {
        Some(pem) => Trust::Only(pem),
        None if is_plain => Trust::Nobody,
        None => Trust::System,
    };
    let tls = tls::config(trust, None, clock).map_err(|error| match error {
        TlsError::NoAuthorities => ConnectError::NoAuthorities,
        TlsError::Authorities(reason) | TlsError::Identity(reason) => refuse("authority", reason),
    })?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(redirect::Policy::none())
        // It is `object_store` that tries again.
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT)
        .read_timeout(settings.patience)
        .pool_idle_timeout(IDLE_MAX)
        .build()
        .map_err(|error| refuse("HTTP client", report(&error)))
}

/// Connections are made by our client, with our TLS.
#[derive(Debug)]
struct Connector(Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_are_refused_without_their_secrets() {
        let check = |change: fn(&mut S3Settings), expected: &str| {
            let mut settings = S3Settings::new("us-east-1", "objects", "me");
            settings.endpoint = Some("https://s3.example.com".into());
            change(&mut settings);
            let told = match store(&settings, Clock::system()).and(prefix(&settings)) {
                Ok(_) => "fine".to_owned(),
                Err(error) => report(&error),
            };
            assert!(told.contains(expected) && !told.contains("hunter2"), "{told}");
        };
        check(|_| (), "fine");
        check(|settings| settings.endpoint = Some("http://127.0.0.1:9000".into()), "no bucket's name");
        check(|settings| settings.endpoint = Some("s3.example.com".into()), "no URL");
        check(|settings| settings.endpoint = Some("s3://bucket".into()), "neither with http:// nor");
        check(|settings| settings.endpoint = Some("https://me:hunter2@s3".into()), "setting of its own");
        check(|settings| settings.authorities = Some(b"not PEM".to_vec()), "no certificate in it");
        check(|settings| settings.prefix = "a//b".into(), "prefix of the bucket cannot be used");
        check(|settings| settings.prefix = "a b".into(), "something else in it");
        check(
            |settings| {
                settings.endpoint = Some("http://127.0.0.1:9000".into());
                settings.addressing = S3Addressing::Path;
                settings.prefix = "a/b".into();
            },
            "fine",
        );
    }
}
