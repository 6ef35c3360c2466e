//! Sends requests: to the first endpoint that can be reached.

use std::time::Duration;

use base::{Explain, Kind, report};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, WARNING,
};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity, Method, RequestBuilder, Response};

use crate::answer::{Answer, warned};
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::events::Events;
use crate::nearby::Nearby;
use crate::request::{Condition, Request};

/// How long a connection may take to come about, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a server may be silent.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Before it answers what only reads, when another can be asked. A server whose store does not answer says so
    /// before that.
    next: Duration,
    /// The same when nobody else can be asked: the list of a very large fleet takes a while.
    last: Duration,
    /// Before it answers what changes something, of which nobody else is asked, and in the middle of an answer.
    longest: Duration,
}

const PATIENCE: Patience = Patience {
    next: Duration::from_secs(10),
    last: Duration::from_secs(30),
    longest: Duration::from_secs(60),
};

/// What whoever listens takes: events, and problems.
const EVENTS_WANTED: &str = "text/event-stream, application/problem+json;q=0.5";

/// The largest answer that is taken, in bytes: a list of far more hosts than anybody has.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Which authorities a server's certificate may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The system's.
    System,
    /// These and no others: certificates, PEM.
    Only(Vec<u8>),
}

/// A client was not made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nobody to ask.
    #[error("there is no endpoint")]
    NoEndpoint,
    /// The authorities to trust are unreadable.
    #[error("the certificates to trust are not PEM")]
    Trust(#[source] Option<reqwest::Error>),
    /// The client certificate or its key is unusable.
    #[error("the client certificate and its key are not usable")]
    Certificate(#[source] reqwest::Error),
    /// The client certificate and its key do not go together, or are of kinds that TLS has no use for.
    #[error("the client certificate and its key are not usable")]
    Identity(#[source] rustls::Error),
    /// The token has line ends or the like in it.
    #[error("the credentials have characters that cannot be sent")]
    Authorization,
    /// TLS cannot be set up.
    #[error("could not prepare connections")]
    Tls(#[source] reqwest::Error),
}

impl Explain for BuildError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoEndpoint
            | Self::Trust(_)
            | Self::Certificate(_)
            | Self::Identity(_)
            | Self::Authorization => Kind::Invalid,
            Self::Tls(_) => Kind::Unavailable,
        }
    }
}

/// An endpoint that gave no answer, and why.
#[derive(Debug)]
pub struct Unreachable {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Why it gave none, in one line.
    pub why: String,
    /// Whether there was a connection, and no answer in time.
    pub is_silent: bool,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No endpoint could be reached, or none answered.
    #[error("no server {}", if are_silent(.0) { "answered" } else { "could be reached" })]
    Unreachable(Vec<Unreachable>),
    /// The server took a request that changes something, and fell silent.
    #[error("{endpoint} did not answer in time; whether the {method} of {path} was done is not known")]
    Silent {
        /// The server.
        endpoint: Endpoint,
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
    },
    /// The connection broke when the server may have had a request that is not to be done twice.
    #[error("the connection to {endpoint} broke; whether the {method} of {path} was done is not known")]
    Broken {
        /// The server.
        endpoint: Endpoint,
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// How it broke, in one line.
        why: String,
    },
    /// The answer is larger than anything that could be meant.
    #[error("the answer of {endpoint} is larger than {} MiB", bytes_max >> 20)]
    TooLarge {
        /// The server.
        endpoint: Endpoint,
        /// How much is taken.
        bytes_max: usize,
    },
}

impl Explain for SendError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) | Self::Broken { .. } => Kind::Unavailable,
            Self::Silent { .. } => Kind::TimedOut,
            Self::TooLarge { .. } => Kind::TooLarge,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unreachable(tried) => {
                let reasons: Vec<String> =
                    tried.iter().map(|one| format!("{}: {}", one.endpoint, one.why)).collect();
                Some(reasons.join("; "))
            }
            Self::Silent { .. } => Some("look at what became of it before you ask again".to_owned()),
            Self::Broken { why, .. } => {
                Some(format!("look at what became of it before you ask again ({why})"))
            }
            Self::TooLarge { .. } => None,
        }
    }
}

/// Whether all of these took the request, and said nothing.
fn are_silent(tried: &[Unreachable]) -> bool {
    tried.iter().all(|one| one.is_silent)
}

/// What is answered to whoever asks for events.
#[derive(Debug)]
pub enum Listening {
    /// Events, as they come.
    Events(Events),
    /// Something else: a refusal, as a rule.
    Answer(Answer),
}

/// Why one endpoint gave no answer.
enum Missed {
    /// There was no connection, so it has nothing of the request.
    Unconnected(String),
    /// The connection broke, before or after it had the request.
    Broken(String),
    /// It took the request and said nothing.
    Silent(String),
    TooLarge,
}

/// Asks servers.
#[derive(Debug, Clone)]
pub struct Client {
    endpoints: Vec<(Endpoint, reqwest::Client)>,
    patience: Patience,
    answer_bytes_max: usize,
}

impl Client {
    /// A client that asks `endpoints` in this order.
    ///
    /// # Errors
    /// When there are none, or when the credentials or the certificates to trust are not what they should be.
    pub fn new(
        endpoints: Vec<Endpoint>,
        trust: &Trust,
        credentials: &Credentials,
    ) -> Result<Self, BuildError> {
        Self::near(endpoints, trust, credentials, None)
    }

    /// The same for whoever may be on a server's own machine.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn near(
        endpoints: Vec<Endpoint>,
        trust: &Trust,
        credentials: &Credentials,
        nearby: Option<&Nearby>,
    ) -> Result<Self, BuildError> {
        Self::build(endpoints, trust, credentials, nearby, PATIENCE)
    }

    fn build(
        endpoints: Vec<Endpoint>,
        trust: &Trust,
        credentials: &Credentials,
        nearby: Option<&Nearby>,
        patience: Patience,
    ) -> Result<Self, BuildError> {
        if endpoints.is_empty() {
            return Err(BuildError::NoEndpoint);
        }
        // Somebody else in this process may have chosen the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // A machine without any authorities can still speak plain HTTP.
        let is_plain = !endpoints.iter().any(Endpoint::is_https);
        let make = |is_direct: bool| {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!("provost/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .connect_timeout(CONNECT_WITHIN)
                .read_timeout(patience.longest)
                .default_headers(headers(credentials)?);
            builder = Nearby::lead(nearby, builder);
            if is_direct {
                builder = builder.no_proxy();
            }
            builder = match trust {
                Trust::Only(pem) => builder.tls_certs_only(authorities(pem)?),
                Trust::System if is_plain => builder.tls_certs_only([]),
                Trust::System => builder,
            };
            if let Some(pem) = &credentials.certificate {
                let identity = Identity::from_pem(pem.expose()).map_err(BuildError::Certificate)?;
                builder = builder.identity(identity);
            }
            builder.build().map_err(BuildError::Tls)
        };
        // One for each of the two ways, where it is gone at all: connections are kept in it.
        let (mut direct, mut proxied) = (None, None);
        let mut reached = Vec::new();
        for endpoint in endpoints {
            let is_direct = endpoint.is_direct();
            let way = if is_direct { &mut direct } else { &mut proxied };
            let http = match way {
                Some(http) => reqwest::Client::clone(http),
                None => way.insert(make(is_direct)?).clone(),
            };
            reached.push((endpoint, http));
        }
        Ok(Self { endpoints: reached, patience, answer_bytes_max: ANSWER_BYTES_MAX })
    }

    /// The same, which takes answers of up to so many bytes, whole MiB: of whom one asks for little.
    #[must_use]
    pub fn with_answers_up_to(self, bytes: usize) -> Self {
        Self { answer_bytes_max: bytes, ..self }
    }

    /// Sends `request` to the first endpoint that answers, and gives its answer, whatever it says. Each time that one
    /// could not be reached, or did not answer, and there is another, `goes_on` is told about it, and which is next.
    ///
    /// What only reads is asked of the next one whatever happens. A server that took a change and fell silent may be
    /// at it still: then nobody else is asked. A broken connection leads on where a change may be asked for twice, as
    /// in Commissaire's interface, and nowhere in ours, whose conditions would no longer hold after the first time.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn send(
        &self,
        request: &Request,
        goes_on: impl FnMut(&Unreachable, &Endpoint),
    ) -> Result<Answer, SendError> {
        self.deliver(request, goes_on, async |_, sending, patience| {
            read(sent(sending, patience).await?, self.answer_bytes_max).await
        })
        .await
    }

    /// The same for a request for an event stream.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn listen(
        &self,
        request: &Request,
        goes_on: impl FnMut(&Unreachable, &Endpoint),
    ) -> Result<Listening, SendError> {
        let listen = async |endpoint: &Endpoint, sending: RequestBuilder, patience| {
            let response = sent(sending.header(ACCEPT, EVENTS_WANTED), patience).await?;
            if response.status().as_u16() == 200 && media_type(&response) == wire::EVENT_STREAM {
                return Ok(Listening::Events(Events::new(response, endpoint.clone())));
            }
            read(response, self.answer_bytes_max).await.map(Listening::Answer)
        };
        self.deliver(request, goes_on, listen).await
    }

    async fn deliver<T>(
        &self,
        request: &Request,
        mut goes_on: impl FnMut(&Unreachable, &Endpoint),
        ask: impl AsyncFn(&Endpoint, RequestBuilder, Duration) -> Result<T, Missed>,
    ) -> Result<T, SendError> {
        let mut tried = Vec::new();
        for (at, (endpoint, http)) in self.endpoints.iter().enumerate() {
            let next = self.endpoints.get(at + 1);
            let patience = match (request.method() == Method::GET, next) {
                (true, Some(_)) => self.patience.next,
                (true, None) => self.patience.last,
                (false, _) => self.patience.longest,
            };
            let patience = patience + request.wait();
            let said = || (endpoint.clone(), request.method().clone(), request.path().to_owned());
            let (why, is_silent) = match ask(endpoint, prepared(http, endpoint, request), patience).await {
                Ok(answer) => return Ok(answer),
                Err(Missed::Silent(_)) if request.method() != Method::GET => {
                    let (endpoint, method, path) = said();
                    return Err(SendError::Silent { endpoint, method, path });
                }
                Err(Missed::Broken(why)) if request.is_once() => {
                    let (endpoint, method, path) = said();
                    return Err(SendError::Broken { endpoint, method, path, why });
                }
                Err(Missed::TooLarge) => {
                    let bytes_max = self.answer_bytes_max;
                    return Err(SendError::TooLarge { endpoint: endpoint.clone(), bytes_max });
                }
                Err(Missed::Unconnected(why) | Missed::Broken(why)) => (why, false),
                Err(Missed::Silent(why)) => (why, true),
            };
            let missed = Unreachable { endpoint: endpoint.clone(), why, is_silent };
            if let Some((next, _)) = next {
                goes_on(&missed, next);
            }
            tried.push(missed);
        }
        Err(SendError::Unreachable(tried))
    }
}

/// The answer to a request, as far as it has begun.
async fn sent(sending: RequestBuilder, patience: Duration) -> Result<Response, Missed> {
    match tokio::time::timeout(patience, sending.send()).await {
        Ok(response) => response.map_err(missed),
        Err(_) => Err(Missed::Silent(format!("it did not answer within {} s", patience.as_secs_f64()))),
    }
}

/// `request` to `endpoint`.
fn prepared(http: &reqwest::Client, endpoint: &Endpoint, request: &Request) -> RequestBuilder {
    let mut sending = http.request(request.method().clone(), endpoint.url(request.path()));
    sending = match request.condition() {
        None => sending,
        Some(Condition::Is(version)) => sending.header(IF_MATCH, version),
        Some(Condition::IsNot(version)) => sending.header(IF_NONE_MATCH, version),
        Some(Condition::Absent) => sending.header(IF_NONE_MATCH, "*"),
    };
    if let Some(body) = request.body() {
        sending = sending.body(body.to_string());
    }
    sending
}

/// The media type of an answer, without parameters, in lower case.
fn media_type(response: &Response) -> String {
    let said = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let said = said.and_then(|value| value.split(';').next()).unwrap_or_default();
    said.trim().to_ascii_lowercase()
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Answer, Missed> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let etag = header(ETAG).map(str::to_owned);
    let warning = header(WARNING).and_then(warned);
    let media_type = media_type(&response);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(missed)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Missed::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status().as_u16(), media_type, etag, warning, body })
}

fn missed(error: reqwest::Error) -> Missed {
    let (is_connect, is_silence) = (error.is_connect(), error.is_timeout());
    // Its own text repeats the URL, which is said beside it.
    let why = report(&error.without_url());
    match (is_connect, is_silence) {
        (true, _) => Missed::Unconnected(why),
        (false, true) => Missed::Silent(why),
        (false, false) => Missed::Broken(why),
    }
}

fn headers(credentials: &Credentials) -> Result<HeaderMap, BuildError> {
    let mut headers = HeaderMap::new();
    // With every request, as the original client does, whether there is a body or not.
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Asks our own server to say more than a status when it refuses.
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/problem+json, */*;q=0.1"));
    if let Some(authorization) = &credentials.authorization {
        headers.insert(AUTHORIZATION, authorization.header().map_err(|_| BuildError::Authorization)?);
    }
    Ok(headers)
}

pub(crate) fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, BuildError> {
    let authorities = Certificate::from_pem_bundle(pem).map_err(|error| BuildError::Trust(Some(error)))?;
    if authorities.is_empty() { Err(BuildError::Trust(None)) } else { Ok(authorities) }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn build(endpoints: &[&str], trust: &Trust, credentials: &Credentials) -> Result<Client, String> {
        let endpoints = endpoints.iter().map(|text| text.parse().unwrap()).collect();
        Client::new(endpoints, trust, credentials).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_used_is_refused_before_anything_is_sent() {
        let certificate = Some(base::Secret::new(b"nonsense".to_vec()));
        let unusable = Credentials { certificate, ..Credentials::default() };
        let (http, system) = (&["http://a"][..], Trust::System);
        for (endpoints, trust, credentials, expected) in [
            (&[][..], system.clone(), Credentials::default(), "there is no endpoint"),
            (
                http,
                Trust::Only(b"x".to_vec()),
                Credentials::default(),
                "the certificates to trust are not PEM",
            ),
            (http, system, unusable, "the client certificate and its key are not usable"),
        ] {
            assert_eq!(build(endpoints, &trust, &credentials).err().as_deref(), Some(expected));
        }
        assert!(build(http, &Trust::System, &Credentials::default()).is_ok());
    }

    /// A server that takes connections and says nothing: the system accepts for it.
    fn silent() -> (TcpListener, Endpoint) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        (listener, endpoint)
    }

    fn ask(request: &Request) -> (Vec<(Endpoint, Endpoint)>, SendError, [Endpoint; 2]) {
        // Silence ends whatever is read, too: where that is not what is to end it, it is far off.
        let longest = if request.method() == Method::GET { 60_000 } else { 70 };
        let ((_one, first), (_other, second)) = (silent(), silent());
        let endpoints = vec![first.clone(), second.clone()];
        let [next, last, longest] = [50, 60, longest].map(Duration::from_millis);
        let limit = Patience { next, last, longest };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut went_on = Vec::new();
        let error = runtime.block_on(async {
            let client =
                Client::build(endpoints, &Trust::System, &Credentials::default(), None, limit).unwrap();
            client
                .send(request, |from, to| went_on.push((from.endpoint.clone(), to.clone())))
                .await
                .unwrap_err()
        });
        (went_on, error, [first, second])
    }

    #[test]
    fn nobody_is_waited_for_without_end() {
        let (went_on, error, [first, second]) = ask(&Request::new(Method::GET, "", &["hosts"], None));
        assert_eq!(error.to_string(), "no server answered");
        let said =
            format!("{first}: it did not answer within 0.05 s; {second}: it did not answer within 0.06 s");
        assert_eq!(error.help(), Some(said));
        assert_eq!(went_on, [(first, second)]);
        // A server that was asked to wait is waited for as much longer.
        let waiting = Request::new(Method::GET, "", &["hosts"], None).waiting(Duration::from_millis(5));
        let help = ask(&waiting).1.help().unwrap();
        assert!(help.contains("within 0.055 s") && help.contains("within 0.065 s"), "{help}");
    }

    #[test]
    fn no_more_is_taken_than_was_agreed() {
        let ask = |mib_max: usize| {
            let (listener, endpoint) = silent();
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 << 20);
                // Whoever has enough hangs up.
                let _ =
                    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; 2 << 20]));
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = Client::new(vec![endpoint], &Trust::System, &Credentials::default()).unwrap();
            let client = client.with_answers_up_to(mib_max << 20);
            runtime.block_on(client.send(&Request::new(Method::GET, "", &["hosts"], None), |_, _| {}))
        };
        assert_eq!(ask(2).unwrap().body.len(), 2 << 20);
        let error = ask(1).unwrap_err();
        assert!(error.to_string().ends_with(" is larger than 1 MiB"), "{error}");
    }

    /// A server that hangs up on everybody once it has read what they said, and how many it has heard.
    fn hanging_up() -> (Endpoint, Arc<AtomicUsize>) {
        let (listener, endpoint) = silent();
        let heard = Arc::new(AtomicUsize::new(0));
        let counted = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut lines = BufReader::new(stream.unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        (endpoint, heard)
    }

    #[test]
    fn what_may_have_been_done_is_not_done_again() {
        let web: crate::Segment = "web".parse().unwrap();
        let unreachable: Endpoint = "http://127.0.0.1:1".parse().unwrap();
        let restart = crate::v1::steer(&web, &"7".parse().unwrap(), crate::v1::Steer::Retry);
        let delete = crate::v1::delete_cluster(&web);
        let theirs = Request::new(Method::PUT, "/api/v0", &["cluster", "web", "restart"], None);
        for (request, expected) in [
            (restart, Some("POST of /v1/clusters/web/operations/7/retry")),
            (delete, Some("DELETE of /v1/clusters/web")),
            // What only reads, and Commissaire's: its clients have always asked the next one.
            (crate::v1::cluster(&web), None),
            (theirs, None),
        ] {
            let ((first, heard), (second, heard_after)) = (hanging_up(), hanging_up());
            // Where there was no connection nothing can have been done.
            let endpoints = vec![unreachable.clone(), first.clone(), second.clone()];
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut went_on = Vec::new();
            let error = runtime.block_on(async {
                let client = Client::new(endpoints, &Trust::System, &Credentials::default()).unwrap();
                client.send(&request, |_, to| went_on.push(to.clone())).await.unwrap_err()
            });
            let heard = [heard, heard_after].map(|heard| heard.load(Ordering::SeqCst));
            let Some(what) = expected else {
                assert_eq!((went_on, heard), (vec![first, second], [1, 1]), "{}", request.path());
                assert!(matches!(&error, SendError::Unreachable(tried) if tried.len() == 3), "{error}");
                continue;
            };
            assert_eq!((went_on, heard), (vec![first.clone()], [1, 0]), "{what}");
            let expected =
                format!("the connection to {first} broke; whether the {what} was done is not known");
            assert_eq!((error.to_string(), error.kind()), (expected, Kind::Unavailable));
        }
    }

    #[test]
    fn a_change_that_may_be_under_way_is_not_asked_for_again() {
        let (went_on, error, [first, _]) = ask(&Request::new(Method::PUT, "", &["web", "restart"], None));
        assert_eq!(went_on, []);
        let expected =
            format!("{first} did not answer in time; whether the PUT of /web/restart was done is not known");
        assert_eq!(error.to_string(), expected);
    }
}
