//! One of the two services, and the connections to it.

use std::time::Duration;

use base::report;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, VIA,
};
use reqwest::redirect::Policy;
use reqwest::{Identity, Method, RequestBuilder, Response};
use tokio::time::timeout;

use super::{Access, CacheError, Patience, ServiceUrl, tls};
use crate::answer::one_line;
use crate::client::{BuildError, Trust, authorities};
use crate::nearby::Nearby;

/// How much is read of what a server says about a refusal, in bytes.
const DETAIL_BYTES_MAX: usize = 2048;

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) url: ServiceUrl,
    pub(super) patience: Patience,
    /// The caches that ask through us (RFC 9110 §7.6.3).
    via: Option<HeaderValue>,
    http: reqwest::Client,
}

/// Something that was tried once and did not work.
pub(super) struct Failed {
    pub(super) error: CacheError,
    /// How long the server would like to be left alone.
    wanted: Option<Duration>,
    /// Whether nobody would try it again.
    is_final: bool,
    /// Whether a whole file went out for it, perhaps: a server that refuses early breaks the connection too.
    is_dear: bool,
}

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        Self { error, wanted: None, is_final: false, is_dear: false }
    }
}

impl Failed {
    /// The server had its time, which was long.
    pub(super) fn silent(url: &str, patience: Duration) -> Self {
        Self { is_final: true, ..silent(url, patience).into() }
    }

    /// There was no answer to what sent a file.
    pub(super) fn upload(error: CacheError) -> Self {
        Self { is_dear: true, ..error.into() }
    }

    /// How many of the tries this takes, if another may end better.
    pub(super) fn costs(&self) -> Option<u32> {
        match &self.error {
            _ if self.is_final => None,
            CacheError::Broken { .. } if self.is_dear => Some(3),
            // As they are 500 with slapos.core's proxy, and 502 and the like behind a CDN.
            CacheError::Broken { .. } | CacheError::Refused { status: 429 | 500 | 502 | 503 | 504, .. } => {
                Some(1)
            }
            // That took a minute, and was enough of a pause.
            CacheError::Silent { .. } => Some(3),
            _ => None,
        }
    }
}

/// Tries, and the pauses between.
#[derive(Debug)]
pub(super) struct Tries {
    patience: Patience,
    spent: u32,
}

impl Tries {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, spent: 0 }
    }

    /// Something came of it.
    pub(super) fn refill(&mut self) {
        self.spent = 0;
    }

    /// Waits until it may be tried again, which costs so many tries.
    ///
    /// # Errors
    /// What failed, when it costs more than is left, or nothing is gained by trying again (`None`).
    pub(super) async fn wait(&mut self, failed: Failed, costs: Option<u32>) -> Result<(), CacheError> {
        let left = costs.and_then(|costs| self.patience.tries.checked_sub(self.spent + costs)).unwrap_or(0);
        if left == 0 {
            return Err(failed.error);
        }
        self.spent = self.patience.tries - left;
        tokio::time::sleep(self.patience.pause_after(self.spent, failed.wanted)).await;
        Ok(())
    }
}

impl Service {
    pub(super) fn new(url: ServiceUrl, access: &Access, patience: Patience) -> Result<Self, BuildError> {
        // Somebody else in this process may have chosen the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut headers = HeaderMap::new();
        // The digest is that of the bytes themselves.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(user) = url.user() {
            headers.insert(AUTHORIZATION, user.header().map_err(|_| BuildError::Authorization)?);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("provost/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            // One large transfer is as quick as it gets on a connection of its own.
            .http1_only()
            .connect_timeout(patience.connect)
            .default_headers(headers);
        builder = Nearby::lead(access.nearby.as_ref(), builder);
        let identity = access.certificate.as_ref().map(|pem| Identity::from_pem(pem.expose())).transpose();
        let identity = identity.map_err(BuildError::Certificate)?;
        builder = match (&access.trust, identity) {
            (Trust::Only(pem), _) => {
                authorities(pem)?;
                builder.tls_backend_preconfigured(tls::config(pem, access.certificate.as_ref())?)
            }
            // A machine without any authorities can still speak plain HTTP.
            (Trust::System, _) if !url.is_https() => builder.tls_certs_only([]),
            (Trust::System, Some(identity)) => builder.identity(identity),
            (Trust::System, None) => builder,
        };
        Ok(Self { url, patience, via: None, http: builder.build().map_err(BuildError::Tls)? })
    }

    /// The same service, asked by a cache, as this `Via` header says.
    pub(super) fn via(&self, header: &str) -> Self {
        Self { via: HeaderValue::from_str(header).ok(), ..self.clone() }
    }

    pub(super) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.via {
            Some(via) => request.header(VIA, via),
            None => request,
        }
    }

    /// The beginning of the answer to what only reads, if it says yes.
    pub(super) async fn asked(
        &self,
        method: Method,
        url: &str,
        request: RequestBuilder,
    ) -> Result<Response, Failed> {
        let silent = |_| silent(url, self.patience.read);
        let response = timeout(self.patience.read, request.send()).await.map_err(silent)?;
        let response = response.map_err(|error| missed(url, error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refused(method, url, response).await)
        }
    }

    /// Does something until it worked, or nothing is gained by doing it again.
    ///
    /// Not an `AsyncFn`: that what it gives can go from thread to thread could not be said (rust-lang/rust#110338).
    pub(super) async fn until_done<T, F: Future<Output = Result<T, Failed>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, CacheError> {
        let mut tries = Tries::new(self.patience);
        loop {
            match ask().await {
                Ok(done) => return Ok(done),
                Err(failed) => {
                    let costs = failed.costs();
                    tries.wait(failed, costs).await?;
                }
            }
        }
    }

    /// The body of an answer, if it is not longer than this.
    pub(super) async fn body(
        &self,
        url: &str,
        mut response: Response,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Failed> {
        let too_large = || CacheError::TooLarge { url: url.to_owned(), bytes_max: bytes_max as u64 };
        if response.content_length().is_some_and(|bytes| bytes > bytes_max as u64) {
            return Err(too_large().into());
        }
        let mut body = Vec::new();
        while let Some(bytes) = self.piece(url, &mut response).await? {
            if body.len() + bytes.len() > bytes_max {
                return Err(too_large().into());
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    }

    /// The next piece of a body.
    pub(super) async fn piece(
        &self,
        url: &str,
        response: &mut Response,
    ) -> Result<Option<bytes::Bytes>, CacheError> {
        match timeout(self.patience.read, response.chunk()).await {
            Ok(piece) => piece.map_err(|error| broken(url, error)),
            Err(_) => Err(silent(url, self.patience.read)),
        }
    }

    /// What a server that says no says about it.
    pub(super) async fn refused(&self, method: Method, url: &str, response: Response) -> Failed {
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let wanted = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let kind = header(CONTENT_TYPE).unwrap_or_default();
        let (is_text, is_problem) = (kind.starts_with("text/plain"), kind == wire::PROBLEM_JSON);
        let text = match method != Method::HEAD && (is_text || is_problem) {
            true => self.text(response).await,
            false => Vec::new(),
        };
        let detail = if is_problem { problem(&text) } else { first_line(&String::from_utf8_lossy(&text)) };
        let error = CacheError::Refused { method, url: url.to_owned(), status, detail };
        Failed { wanted, ..error.into() }
    }

    /// The beginning of a text, as far as it comes soon.
    async fn text(&self, mut response: Response) -> Vec<u8> {
        let within = self.patience.read.min(Duration::from_secs(5));
        let mut text = Vec::new();
        let _ = timeout(within, async {
            while let Ok(Some(bytes)) = response.chunk().await {
                text.extend_from_slice(&bytes);
                if text.len() >= DETAIL_BYTES_MAX {
                    break;
                }
            }
        })
        .await;
        text.truncate(DETAIL_BYTES_MAX);
        text
    }
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty())?;
    Some(one_line(line))
}

/// What a problem says (RFC 9457), as servers of ours tell them.
fn problem(text: &[u8]) -> Option<String> {
    first_line(&serde_json::from_slice::<wire::Problem>(text).ok()?.detail)
}

/// There was no answer.
pub(super) fn missed(url: &str, error: reqwest::Error) -> CacheError {
    if error.is_connect() {
        return CacheError::Unreachable { url: url.to_owned(), why: report(&error.without_url()) };
    }
    broken(url, error)
}

fn silent(url: &str, patience: Duration) -> CacheError {
    CacheError::Silent { url: url.to_owned(), seconds: patience.as_secs() }
}

fn broken(url: &str, error: reqwest::Error) -> CacheError {
    // Its own text repeats the URL, which is said beside it.
    CacheError::Broken { url: url.to_owned(), why: report(&error.without_url()) }
}
