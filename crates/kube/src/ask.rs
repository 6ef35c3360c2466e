//! One request and its answer.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use base::{Clock, Secret};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::redirect;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroize as _;

use crate::error::{Action, Error};
use crate::settings::{Server, Settings, SettingsError};
use crate::status::{Status, clean};
use crate::tls;

/// How long a connection may take to come about, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes: a page of far larger pods than anybody has.
const ANSWER_BYTES_MAX: usize = 16 << 20;

pub(crate) const JSON: &str = "application/json";
pub(crate) const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";

/// Asks one API server.
#[derive(Debug)]
pub(crate) struct Asker {
    http: reqwest::Client,
    server: Server,
    authorization: Option<HeaderValue>,
    token: Option<Secret<String>>,
    pub(crate) deadline: Duration,
}

/// A request.
pub(crate) struct Question<'a> {
    pub(crate) action: Action,
    pub(crate) method: Method,
    /// With the query.
    pub(crate) path: &'a str,
    /// What is sent, and as what.
    pub(crate) body: Option<(&'static str, Value)>,
    /// How long it may take.
    pub(crate) within: Duration,
}

/// What was answered, to what.
#[derive(Debug)]
pub(crate) struct Answer {
    action: Action,
    server: Server,
    pub(crate) status: StatusCode,
    /// What a refusal says; of no use after a success.
    pub(crate) says: Status,
    retry_after: Duration,
    body: Vec<u8>,
}

impl Asker {
    pub(crate) fn new(settings: &Settings, clock: &Clock) -> Result<Self, SettingsError> {
        let token = settings.credentials.token.clone();
        let authorization = match &token {
            None => None,
            Some(token) => Some(bearer(token.expose())?),
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(settings, clock)?)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("provost/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .map_err(|error| SettingsError::Client(base::report(&error)))?;
        let server = settings.server.clone();
        Ok(Self { http, server, authorization, token, deadline: settings.deadline })
    }

    /// What is answered, whatever it says, as long as it is an answer.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Answer, Error> {
        let Question { action, method, path, body, within } = question;
        let mut request =
            self.http.request(method, self.server.url(path)).timeout(within).header(ACCEPT, JSON);
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body.to_string());
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut response = request.send().await.map_err(|error| self.missed(error, &action, within))?;
        let status = response.status();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.missed(error, &action, within))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let why = format!("its answer is longer than {} MiB", ANSWER_BYTES_MAX >> 20);
                return Err(Error::Malformed { server: self.server.clone(), action, why });
            }
            body.extend_from_slice(&chunk);
        }
        self.answer(action, status, retry_after, body)
    }

    fn answer(
        &self,
        action: Action,
        mut status: StatusCode,
        retry_after: Option<u64>,
        body: Vec<u8>,
    ) -> Result<Answer, Error> {
        let malformed = |why: &str| Error::Malformed {
            server: self.server.clone(),
            action: action.clone(),
            why: format!("{why} ({status})"),
        };
        if status.is_redirection() || status.is_informational() {
            return Err(malformed("it sends us elsewhere"));
        }
        // Whatever an API server does, or does not find, it says in JSON. A refusal counts in other words too: whoever
        // stands before it has words of its own, and it has none when it has too much to do.
        let is_believed =
            status.is_success() || [StatusCode::NOT_FOUND, StatusCode::CONFLICT].contains(&status);
        let is_object = body.is_empty() || body.trim_ascii().first() == Some(&b'{');
        if is_believed && !is_object {
            return Err(malformed("its answer is no JSON object"));
        }
        let mut says = Status::read(&body);
        if status.is_success() && says.status == "Failure" {
            // So are some evictions refused: "created" it says, and that it was not.
            let code = StatusCode::from_u16(says.code).ok().filter(|code| code.as_u16() >= 400);
            status = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        }
        says.message = self.clean(&says.says());
        let seconds = retry_after.unwrap_or(0).max(says.retry_after_seconds());
        let retry_after = Duration::from_secs(seconds);
        Ok(Answer { action, server: self.server.clone(), status, says, retry_after, body })
    }

    /// A text of the server's, fit to be shown.
    pub(crate) fn clean(&self, text: &str) -> String {
        clean(text, self.token.as_ref().map(|token| token.expose().as_str()))
    }

    pub(crate) fn malformed(&self, action: Action, why: impl Into<String>) -> Error {
        Error::Malformed { server: self.server.clone(), action, why: why.into() }
    }

    /// Why there is no answer.
    fn missed(&self, error: reqwest::Error, action: &Action, within: Duration) -> Error {
        let server = self.server.clone();
        // The URL is said beside it.
        let error = error.without_url();
        if let Some(why) = tls_error(&error) {
            return Error::Tls { server, why };
        }
        if error.is_timeout() && !error.is_connect() {
            return Error::TimedOut { server, action: action.clone(), within };
        }
        let why = self.clean(&base::report(&error));
        if error.is_connect() {
            Error::Unreachable { server, why }
        } else {
            Error::Interrupted { server, action: action.clone(), why }
        }
    }
}

impl Answer {
    /// The object that a success brought.
    pub(crate) fn object<T: DeserializeOwned>(self) -> Result<T, Error> {
        if !self.status.is_success() {
            return Err(self.refusal());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            // What is wrong may be said with a piece of the answer, so only where it is wrong is said.
            let why = format!("line {}, column {} is not what it should be", error.line(), error.column());
            Error::Malformed { server: self.server, action: self.action, why }
        })
    }

    /// Nothing, if it was a success.
    pub(crate) fn done(self) -> Result<(), Error> {
        if self.status.is_success() { Ok(()) } else { Err(self.refusal()) }
    }

    /// A refusal as an error.
    pub(crate) fn refusal(self) -> Error {
        let Self { action, server, status, says: Status { message, .. }, retry_after, .. } = self;
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthenticated { server, action },
            StatusCode::FORBIDDEN => Error::Forbidden { server, action, message },
            StatusCode::NOT_FOUND => Error::NotFound { server, action },
            StatusCode::TOO_MANY_REQUESTS => Error::Failing { server, action, status, message, retry_after },
            _ if status.is_server_error() => Error::Failing { server, action, status, message, retry_after },
            _ => Error::Refused { server, action, status, message },
        }
    }

    /// How long the server wants to be left alone; zero when it does not say.
    pub(crate) fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

fn bearer(token: &str) -> Result<HeaderValue, SettingsError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SettingsError::Token);
    }
    let mut text = format!("Bearer {token}");
    let header = HeaderValue::from_str(&text);
    text.zeroize();
    let mut header = header.map_err(|_| SettingsError::Token)?;
    header.set_sensitive(true);
    Ok(header)
}

/// What TLS has against it, if that is the cause. It hides in errors of input and output, more than one deep, whose
/// `source` passes over what they hold.
fn tls_error(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}
