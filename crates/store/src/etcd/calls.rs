//! Asking etcd something: which endpoint, how long, and when it may be asked again.
//!
//! ```text
//! an attempt        what it means                                  asked again, at the next endpoint
//! was not sent      nothing happened                               yes
//! was refused       nothing happened                               no; after signing in again, if that is why
//! was lost          sent, and no answer: done, not done, or done   only what can do no harm twice,
//!                   later, when a stopped member wakes up          see `Repeat`
//! ```
//! All attempts together take no longer than the deadline of the settings; a quarter of it once a call has failed
//! and until something is answered again, so that not everybody waits long for an etcd that is gone. After each
//! round of all endpoints comes a pause, twice as long as the one before, and shortened by chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use base::{Clock, Entropy, report};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, TE};
use reqwest::{Client, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, sleep, timeout};

use super::failure::{CallError, Failure, refused};
use super::grpc;
use super::json::{Blob, Range, Ranged};
use super::settings::{self, ConnectError, EtcdSettings};
use super::sign_in::{Pass, SignIn};
use crate::{PAGE_BYTES_MAX, Revision};

/// The first pause after all endpoints failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The longest answer that is read: a page in base64, with as much again for the names of things.
const ANSWER_BYTES_MAX: usize = 2 * (PAGE_BYTES_MAX / 3 * 4);
/// How often one call signs in again.
const SIGN_INS_MAX: usize = 3;
/// A connection that was not used for so long may have been forgotten by what lies in between.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Whether what was lost may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It only reads.
    Reads,
    /// It writes, but cannot do so twice.
    Guarded,
    /// It would write twice.
    Never,
}

/// Those who speak for us.
struct Clients {
    /// HTTP/1.1: over HTTP/2 a lost connection would take all that wait with it, of which some write.
    gateway: Client,
    /// HTTP/2.
    grpc: Client,
}

/// What was answered.
pub(super) struct Answer<T> {
    pub(super) is: T,
    /// Whether an earlier attempt was lost, which may have been done too.
    pub(super) in_doubt: bool,
}

/// Asks etcd.
pub(super) struct Calls {
    /// Connections that live on the store's own runtime, and those that live on the callers'.
    own: Clients,
    callers: Clients,
    endpoints: Vec<String>,
    /// For so many times the short way is not tried, since it came to nothing.
    detours: AtomicU32,
    /// Which of them is asked.
    current: AtomicUsize,
    /// Whether the last call got no answer.
    is_gone: AtomicBool,
    sign_in: Option<SignIn>,
    namespace: Box<[u8]>,
    deadline: Duration,
    entropy: Entropy,
}

impl Calls {
    pub(super) fn new(settings: &EtcdSettings, clock: Clock, entropy: Entropy) -> Result<Self, ConnectError> {
        let endpoints = settings::endpoints(settings)?;
        let client = |is_http_2: bool| {
            let mut tls = settings::tls(settings, clock.clone())?;
            if is_http_2 {
                tls.alpn_protocols = vec![b"h2".to_vec()];
            }
            let client = Client::builder().tls_backend_preconfigured(tls);
            let client = if is_http_2 { client.http2_prior_knowledge() } else { client.http1_only() };
            client
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(settings.deadline / 4)
                .pool_idle_timeout(IDLE_MAX)
                .build()
                .map_err(|error| ConnectError::Tls { what: "the HTTP client", reason: report(&error) })
        };
        let clients = || Ok::<_, ConnectError>(Clients { gateway: client(false)?, grpc: client(true)? });
        let first = usize::try_from(entropy.number() % endpoints.len() as u64).unwrap_or(0);
        Ok(Self {
            own: clients()?,
            callers: clients()?,
            detours: AtomicU32::new(0),
            endpoints,
            current: AtomicUsize::new(first),
            is_gone: AtomicBool::new(false),
            sign_in: settings.user.clone().map(SignIn::new),
            namespace: settings.namespace.as_str().as_bytes().into(),
            deadline: settings.deadline,
            entropy,
        })
    }

    /// Which endpoint is asked now.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// The endpoint's URL.
    pub(super) fn url(&self, endpoint: usize) -> &str {
        &self.endpoints[endpoint]
    }

    /// Asks the next endpoint from now on, unless somebody has left this one already.
    pub(super) fn leave(&self, endpoint: usize) {
        let next = (endpoint + 1) % self.endpoints.len();
        // Who comes too late has nothing to change.
        let _ = self.current.compare_exchange(endpoint, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How long one call may take.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How long to wait for an endpoint that another might stand in for.
    pub(super) fn patience(&self) -> Duration {
        self.deadline / 4
    }

    /// How long to pause after so many failures in a row, from 0 on.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        let longest = PAUSES.0.saturating_mul(2_u32.saturating_pow(failures)).min(PAUSES.1);
        // Between half of it and all of it, so that not everybody comes back at once.
        let thousandths = u32::try_from(self.entropy.number() % 500).unwrap_or(0);
        longest - longest / 1_000 * thousandths
    }

    /// The key as etcd has it.
    pub(super) fn stored(&self, key: &str) -> Blob {
        Blob([&self.namespace, key.as_bytes()].concat())
    }

    /// The key behind all those that begin with `prefix`, as etcd has it; all zero when there is no such.
    pub(super) fn end_of(&self, prefix: &str) -> Blob {
        let mut end = self.stored(prefix).0;
        match end.last_mut() {
            // No byte of UTF-8 is 255.
            Some(last) => *last += 1,
            None => end.push(0),
        }
        Blob(end)
    }

    /// Our name for a key of etcd's, when it is one of ours.
    pub(super) fn named<'k>(&self, stored: &'k [u8]) -> Option<&'k str> {
        std::str::from_utf8(stored.strip_prefix(&*self.namespace)?).ok()
    }

    /// The revision that the store is at.
    pub(super) async fn revision(&self) -> Result<Revision, CallError> {
        let end = self.end();
        if let Some(revision) = self.revision_the_short_way().await {
            return Ok(revision);
        }
        let answer = self.call_until::<Ranged>(end, "/v3/kv/range", &self.nothing(), Repeat::Reads).await?;
        Ok(super::from_etcd(answer.is.header.revision))
    }

    /// The same, past the gateway. Nothing when there is no answer, for whatever reason: the gateway tells it.
    async fn revision_the_short_way(&self) -> Option<Revision> {
        /// How many go through the gateway after one that came to nothing.
        const DETOURS: u32 = 100;
        // Who signs in is told apart by what the gateway answers.
        if self.sign_in.is_some() || self.is_gone.load(Ordering::Relaxed) {
            return None;
        }
        let one_less = |left: u32| left.checked_sub(1);
        if self.detours.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return None;
        }
        let endpoint = self.current();
        let request = self.clients().grpc.post(format!("{}{}", self.url(endpoint), grpc::RANGE));
        let request = request.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers");
        let request = request.body(grpc::range(&self.stored("/").0));
        let answered = timeout(self.patience(), async {
            let response = request.send().await.map_err(|error| report(&error))?;
            read(response).await.map_err(|_| "its answer was lost".to_owned())
        });
        let reason = match answered.await {
            Ok(Ok(answer)) => match grpc::revision(&answer) {
                Some(revision) => return Some(super::from_etcd(revision)),
                None => "it was refused, or its answer cannot be read".to_owned(),
            },
            Ok(Err(reason)) => reason,
            Err(_) => {
                self.leave(endpoint);
                "it was silent".to_owned()
            }
        };
        self.detours.store(DETOURS, Ordering::Relaxed);
        tracing::debug!(endpoint = self.url(endpoint), reason, "etcd did not answer over gRPC");
        None
    }

    /// Those whose connections can live where we are.
    fn clients(&self) -> &Clients {
        if can_live_here() { &self.callers } else { &self.own }
    }

    /// When a call that begins now is to be over.
    fn end(&self) -> Instant {
        let is_gone = self.is_gone.load(Ordering::Relaxed);
        Instant::now() + if is_gone { self.patience() } else { self.deadline }
    }

    /// A request that asks for next to nothing; what counts is that a majority agrees on the answer.
    pub(super) fn nothing(&self) -> Range {
        Range { key: self.stored("/"), keys_only: true, ..Range::default() }
    }

    /// The revision that this endpoint, together with a majority, is at.
    pub(super) async fn probe(&self, endpoint: usize) -> Result<Revision, Failure> {
        let body = to_json(&self.nothing());
        let answer = self.attempt(endpoint, "/v3/kv/range", &body, self.patience()).await?;
        let ranged: Ranged = from_json(&answer).map_err(Failure::Lost)?;
        Ok(super::from_etcd(ranged.header.revision))
    }

    /// Asks, at one endpoint after the other, until there is an answer or the deadline is over.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        repeat: Repeat,
    ) -> Result<Answer<T>, CallError> {
        self.call_until(self.end(), path, request, repeat).await
    }

    async fn call_until<T: DeserializeOwned>(
        &self,
        end: Instant,
        path: &str,
        request: &impl Serialize,
        repeat: Repeat,
    ) -> Result<Answer<T>, CallError> {
        let body = to_json(request);
        let (mut attempts, mut sign_ins, mut in_doubt) = (0_u32, 0, false);
        loop {
            let endpoint = self.current();
            let left = end.saturating_duration_since(Instant::now());
            let patience = match repeat {
                Repeat::Reads => left.min(self.patience()),
                // A second attempt that finds the first one done has to say that it does not know.
                Repeat::Guarded => left.min(self.deadline / 2),
                Repeat::Never => left,
            };
            let reason = match self.attempt(endpoint, path, &body, patience).await {
                Ok(answer) => {
                    let is = from_json(&answer).map_err(|reason| CallError::broken(reason, repeat))?;
                    return Ok(Answer { is, in_doubt });
                }
                Err(Failure::TooLong) => return Err(CallError::too_long(repeat)),
                Err(Failure::Refused(refusal)) if refusal.is_of_the_token() && sign_ins < SIGN_INS_MAX => {
                    sign_ins += 1;
                    continue;
                }
                Err(Failure::Refused(refusal)) if refusal.is_of_load() => refusal.message,
                Err(Failure::Refused(refusal)) if in_doubt => {
                    return Err(CallError::Unknown(format!("etcd refuses: {}", refusal.message)));
                }
                Err(Failure::Refused(refusal)) => return Err(CallError::Refused(refusal)),
                Err(Failure::NotSent(reason)) => {
                    self.leave(endpoint);
                    reason
                }
                Err(Failure::Lost(reason)) => {
                    self.leave(endpoint);
                    match repeat {
                        Repeat::Never => {
                            self.is_gone.store(true, Ordering::Relaxed);
                            return Err(CallError::Unknown(reason));
                        }
                        Repeat::Guarded => in_doubt = true,
                        Repeat::Reads => {}
                    }
                    reason
                }
            };
            tracing::debug!(endpoint = self.url(endpoint), reason, "etcd did not answer");
            attempts += 1;
            let rounds = attempts / u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
            let is_round = attempts.is_multiple_of(u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX));
            let pause = if is_round { self.pause(rounds - 1) } else { Duration::ZERO };
            if Instant::now() + pause >= end {
                self.is_gone.store(true, Ordering::Relaxed);
                return Err(if in_doubt {
                    CallError::Unknown(reason)
                } else {
                    CallError::Unavailable(reason)
                });
            }
            sleep(pause).await;
        }
    }

    /// Asks one endpoint once.
    async fn attempt(
        &self,
        endpoint: usize,
        path: &str,
        body: &Bytes,
        patience: Duration,
    ) -> Result<Bytes, Failure> {
        let silent = || format!("{} was silent for {} ms", self.url(endpoint), patience.as_millis());
        let begun = Instant::now();
        let pass = match timeout(patience, self.pass(endpoint)).await {
            Ok(pass) => pass?,
            Err(_) => return Err(Failure::NotSent(silent())),
        };
        let exchange = async {
            let response = self.send(endpoint, path, body.clone(), &pass).await?;
            read(response).await
        };
        let left = patience.saturating_sub(begun.elapsed());
        let outcome = timeout(left, exchange).await.unwrap_or_else(|_| Err(Failure::Lost(silent())));
        if matches!(outcome, Ok(_) | Err(Failure::Refused(_))) {
            self.is_gone.store(false, Ordering::Relaxed);
        }
        if let (Some(sign_in), Err(Failure::Refused(refusal))) = (&self.sign_in, &outcome)
            && refusal.is_of_the_token()
        {
            sign_in.forget(&pass).await;
        }
        outcome
    }

    /// Sends a request to one endpoint; gives its answer, which is yet to be read, if it is a good one.
    pub(super) async fn send(
        &self,
        endpoint: usize,
        path: &str,
        body: Bytes,
        pass: &Pass,
    ) -> Result<reqwest::Response, Failure> {
        let url = format!("{}{path}", self.url(endpoint));
        let mut request =
            self.clients().gateway.post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Pass::Token(token) = pass {
            request = request.header(AUTHORIZATION, HeaderValue::clone(token));
        }
        let response = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                Failure::NotSent(report(&error))
            } else {
                Failure::Lost(report(&error))
            }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        Err(refused(status, &read(response).await?))
    }

    /// What lets us in.
    pub(super) async fn pass(&self, endpoint: usize) -> Result<Arc<Pass>, Failure> {
        match &self.sign_in {
            Some(sign_in) => sign_in.pass(self, endpoint).await,
            None => Ok(Arc::new(Pass::Open)),
        }
    }

    /// Signs in again next time.
    pub(super) async fn forget(&self, pass: &Arc<Pass>) {
        if let Some(sign_in) = &self.sign_in {
            sign_in.forget(pass).await;
        }
    }
}

/// Whether we are inside a runtime that goes on by itself when whoever asks does not: connections can live there.
pub(super) fn can_live_here() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// A request's body.
pub(super) fn to_json(request: &impl Serialize) -> Bytes {
    serde_json::to_vec(request).expect("our requests have a JSON form").into()
}

/// What an answer says.
pub(super) fn from_json<T: DeserializeOwned>(answer: &[u8]) -> Result<T, String> {
    serde_json::from_slice(answer).map_err(|error| format!("etcd's answer cannot be read: {error}"))
}

/// The whole of an answer.
pub(super) async fn read(mut response: reqwest::Response) -> Result<Bytes, Failure> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::Lost(report(&error)))? {
        if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(namespace: &str) -> Calls {
        let mut settings =
            EtcdSettings::new(["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]);
        settings.namespace = crate::Prefix::new(namespace).unwrap();
        Calls::new(&settings, Clock::system(), Entropy::seeded(1)).unwrap()
    }

    #[test]
    fn an_endpoint_is_left_once_however_many_find_it_dead() {
        let calls = calls("");
        let first = calls.current();
        calls.leave(first);
        calls.leave(first);
        assert_eq!(calls.current(), (first + 1) % 3);
        for endpoint in [first + 1, first + 2] {
            calls.leave(endpoint % 3);
        }
        assert_eq!(calls.current(), first);
    }

    #[test]
    fn pauses_grow_are_bounded_and_differ() {
        let calls = calls("");
        for (failures, milliseconds) in
            [(0, 50), (1, 100), (3, 400), (6, 2_000), (40, 2_000), (u32::MAX, 2_000)]
        {
            let longest = Duration::from_millis(milliseconds);
            let pauses: Vec<_> = (0..20).map(|_| calls.pause(failures)).collect();
            assert!(pauses.iter().all(|pause| *pause <= longest && *pause > longest / 2), "{pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
        }
    }

    #[test]
    fn keys_lie_in_the_namespace() {
        for (namespace, prefix, stored, end) in [
            ("", "/a/", "/a/", "/a0"),
            ("", "", "", "\0"),
            ("", "\u{10ffff}", "\u{10ffff}", ""),
            ("/fleet", "", "/fleet", "/fleeu"),
            ("/fleet", "/", "/fleet/", "/fleet0"),
            ("/fleet", "/a", "/fleet/a", "/fleet/b"),
        ] {
            let calls = calls(namespace);
            assert_eq!(calls.stored(prefix).0, stored.as_bytes());
            if !end.is_empty() {
                assert_eq!(calls.end_of(prefix).0, end.as_bytes());
            }
            assert!(calls.end_of(prefix).0 > calls.stored(prefix).0);
            assert_eq!(calls.named(stored.as_bytes()), Some(prefix));
        }
        assert_eq!(calls("/fleet").named(b"/other"), None);
        assert_eq!(calls("").named(&[0xff]), None);
    }
}
