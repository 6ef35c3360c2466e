//! Posts something to one URL, whoever is there, and reads how they answer.
//!
//! No redirection is followed, no proxy comes between, nothing is tried twice, and no connection is kept: what is posted
//! is for one place, and rare. Every wait has an end, and of an answer only the beginning is read.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base::report;
use reqwest::redirect::Policy;

use crate::client::{BuildError, Trust, authorities};

/// How many sets of authorities are kept ready.
const READY_MAX: usize = 64;

/// How long is waited, and how much is read.
#[derive(Debug, Clone, Copy)]
pub struct PostLimits {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For all of it, from the first to the last byte.
    pub whole: Duration,
    /// How much of an answer's body is read, in bytes.
    pub answer_bytes: usize,
}

impl Default for PostLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(30), answer_bytes: 64 << 10 }
    }
}

/// How somebody answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// How the body begins.
    pub body: Vec<u8>,
}

/// There is no answer, or not all of it. The URL is in none of this: there may be a secret in it.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The authorities to trust are unreadable, or there are none.
    #[error(transparent)]
    Trust(#[from] BuildError),
    /// The URL or a header cannot be sent.
    #[error("it cannot be sent: {0}")]
    Unsendable(String),
    /// There is no connection.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The two do not trust each other.
    #[error("there is no TLS with it: {0}")]
    Tls(String),
    /// It did not answer in time, or not to the end. Whether it has what was posted is not known.
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// The connection broke. Whether it has what was posted is not known.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl PostError {
    /// Whether it may pass although nobody does anything about it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Trust(_) | Self::Unsendable(_) | Self::Tls(_) => false,
            Self::Unreachable(_) | Self::Silent(_) | Self::Broken(_) => true,
        }
    }
}

/// Posts things.
#[derive(Debug, Default)]
pub struct Poster {
    limits: PostLimits,
    /// By the authorities that each believes: those of the system, or certificates in PEM; and those without TLS.
    ready: Mutex<HashMap<Believed, reqwest::Client>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Believed {
    Nobody,
    System,
    Only(Vec<u8>),
}

impl Poster {
    /// One with these limits.
    #[must_use]
    pub fn new(limits: PostLimits) -> Self {
        Self { limits, ready: Mutex::default() }
    }

    /// Posts `body` to `url` with these headers, to whom `trust` believes.
    ///
    /// # Errors
    /// When there is no answer; one that refuses is an answer.
    pub async fn post(
        &self,
        url: &str,
        trust: &Trust,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Posted, PostError> {
        let mut sending = self.client(url, trust)?.post(url).timeout(self.limits.whole).body(body);
        for (name, value) in headers {
            sending = sending.header(*name, value);
        }
        let mut answer = sending.send().await.map_err(|error| self.missed(error))?;
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        while body.len() < self.limits.answer_bytes {
            let Some(piece) = answer.chunk().await.map_err(|error| self.missed(error))? else { break };
            body.extend_from_slice(&piece);
        }
        body.truncate(self.limits.answer_bytes);
        Ok(Posted { status, body })
    }

    /// What asks whom `trust` believes: made once, since the authorities have to be read.
    fn client(&self, url: &str, trust: &Trust) -> Result<reqwest::Client, BuildError> {
        let is_plain = url.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http:"));
        let believed = match trust {
            // A machine without any authorities can still speak plain HTTP.
            _ if is_plain => Believed::Nobody,
            Trust::System => Believed::System,
            Trust::Only(pem) => Believed::Only(pem.clone()),
        };
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = ready.get(&believed) {
            return Ok(client.clone());
        }
        let client = self.build(&believed)?;
        if ready.len() >= READY_MAX {
            ready.clear();
        }
        ready.insert(believed, client.clone());
        Ok(client)
    }

    fn build(&self, believed: &Believed) -> Result<reqwest::Client, BuildError> {
        // Somebody else in this process may have chosen the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("provost/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(self.limits.connect);
        let builder = match believed {
            Believed::Nobody => builder.tls_certs_only([]),
            Believed::System => builder,
            Believed::Only(pem) => builder.tls_certs_only(authorities(pem)?),
        };
        builder.build().map_err(BuildError::Tls)
    }

    fn missed(&self, error: reqwest::Error) -> PostError {
        let error = error.without_url();
        if let Some(why) = tls_error(&error) {
            return PostError::Tls(why);
        }
        if error.is_connect() {
            return PostError::Unreachable(report(&error));
        }
        if error.is_timeout() {
            return PostError::Silent(self.limits.whole);
        }
        if error.is_builder() {
            return PostError::Unsendable(report(&error));
        }
        PostError::Broken(report(&error))
    }
}

/// What TLS has against it, if that is the cause. It hides in errors of input and output, more than one deep, whose
/// `source` passes over what they hold.
fn tls_error(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests;
