//! Asking somebody else's service over HTTP: once, within five seconds, and nobody but that service; and not at all for
//! a moment when it was silent.
//!
//! No redirection is followed and no proxy is asked, since what is sent are other people's passwords and tokens.

use std::path::Path;
use std::time::Duration;

use base::Clock;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use reqwest::{Client, RequestBuilder, redirect};
use rustls::ClientConfig;
use serde_json::Value;
use tls::{TlsError, Trust};

use super::config::Service;
use super::error::ServiceError;
use super::outage::Outage;
use super::silence::{Hearing, Reply};

/// How long one question may take, with everything.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How many ask one service at the same time.
pub(super) const AT_ONCE: usize = 64;

/// Asks one service.
pub(super) struct Asker {
    client: Client,
    url: String,
    hearing: Hearing,
    outage: Outage,
}

/// What a service answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A service gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// It could not be reached, or was too slow.
    #[error("it did not answer")]
    Http(#[source] reqwest::Error),
    /// It was not asked, because it did not answer a moment ago.
    #[error("it did not answer others a moment ago")]
    ForOthers,
    /// It went on and on.
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// It says itself that it cannot.
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl Asker {
    pub(super) fn new(service: &Service, clock: &Clock) -> Result<Self, ServiceError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(service, clock)?)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .timeout(DEADLINE)
            .build()
            .map_err(|error| ServiceError::Client(base::report(&error)))?;
        Ok(Self {
            client,
            url: service.url.to_string(),
            hearing: Hearing::new(clock),
            outage: Outage::new(clock),
        })
    }

    /// What is answered to `request`, unless the service says that it is not able to, or has nothing to say.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<Answer, Silence> {
        let Some(asking) = self.hearing.ask() else { return Err(Silence::ForOthers) };
        let answer = answer(request).await;
        asking.heard(match &answer {
            Ok(_) => Reply::Answer,
            Err(silence) => silence.reply(),
        });
        answer
    }

    /// Whether it was not able to answer when it was last asked.
    pub(super) fn is_away(&self) -> bool {
        self.hearing.is_away()
    }

    /// Logs that it gave no answer, unless that is known.
    pub(super) fn tell(&self, what: &'static str, silence: &Silence) {
        let error = base::report(silence);
        if self.outage.is_news(what) {
            tracing::warn!(url = self.url, error, "{what}");
        } else {
            tracing::debug!(url = self.url, error, "{what}");
        }
    }

    /// Logs that it answered `status` instead of judging, and `what` that means, unless that is known. It does not heal
    /// by itself where it `is_ours` to put right.
    pub(super) fn tell_refusal(&self, what: &'static str, status: StatusCode, is_ours: bool) {
        let (url, status) = (&self.url, status.as_u16());
        match (self.outage.is_news(what), is_ours) {
            (true, true) => tracing::error!(url, status, "{what}"),
            (true, false) => tracing::warn!(url, status, "{what}"),
            (false, _) => tracing::debug!(url, status, "{what}"),
        }
    }

    /// It has judged; logs that it does so again, where it did not.
    pub(super) fn judged(&self) {
        if let Some(past) = self.outage.end() {
            let (requests, seconds) = (past.requests, past.lasted.as_seconds());
            tracing::info!(url = self.url, requests, seconds, "a service that judges sign-ins does so again");
        }
    }

    /// A `GET`.
    pub(super) fn get(&self) -> RequestBuilder {
        self.client.get(&self.url)
    }

    /// A `POST` of JSON.
    pub(super) fn post(&self, body: &Value) -> RequestBuilder {
        self.client.post(&self.url).header(CONTENT_TYPE, "application/json").body(body.to_string())
    }
}

impl Silence {
    /// What it says of the service.
    fn reply(&self) -> Reply {
        match self {
            // A gateway that says so has waited for it, and would again.
            Self::ForOthers
            | Self::Http(_)
            | Self::Status(
                StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT,
            ) => Reply::Silence,
            Self::TooLong | Self::Status(_) => Reply::Illness,
        }
    }
}

/// What is answered to `request`, unless the service says that it is not able to.
async fn answer(request: RequestBuilder) -> Result<Answer, Silence> {
    let silent = |error: reqwest::Error| Silence::Http(error.without_url());
    let mut response = request.send().await.map_err(silent)?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Silence::Status(status));
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(silent)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Silence::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

/// How TLS is spoken with the service.
fn tls(service: &Service, clock: &Clock) -> Result<ClientConfig, ServiceError> {
    let authorities = service.ca_file.as_deref().filter(|_| service.url.is_https() && service.verify);
    let path = authorities.unwrap_or(Path::new(""));
    let refuse = |reason| ServiceError::CaFile { path: path.to_owned(), reason };
    let read = |path| super::watched_file::bytes(path).map_err(|error| refuse(error.to_string()));
    let pem = authorities.map(read).transpose()?;
    let trust = match &pem {
        _ if !service.url.is_https() => Trust::Nobody,
        // Because the operator said so in so many words (`verify = false`).
        _ if !service.verify => Trust::Anyone,
        Some((_, pem)) => Trust::Only(pem),
        None => Trust::System,
    };
    tls::config(trust, None, clock.clone()).map_err(|error| match error {
        TlsError::NoAuthorities => ServiceError::NoAuthorities,
        TlsError::Authorities(reason) | TlsError::Identity(reason) => refuse(reason),
    })
}
