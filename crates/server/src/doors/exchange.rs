//! One request and its answer: checked against the limits, handed to the routes, measured and logged.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::{Either, ready};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use identity::sign_in::Recent;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::access_log::{Answered, Asked, line, who};
use super::body::{AnswerBody, Flows, RequestBody};
use super::head::BadHead;
use super::limits::Limits;
use super::listen::Foyer;
use super::sendfile::Sendfile;
use super::unread::{LeftOver, Rest};
use super::watch::{Turn, Watch};

/// Who is at the other end. In the extensions of every request that the routes get.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// Which of our addresses it came to.
    pub local: SocketAddr,
    /// Whether it came through the HTTPS door.
    pub secure: bool,
    /// The client certificate that was presented, trusted at the time of the handshake.
    pub certificate: Option<Arc<x509::Certificate>>,
    /// What was shown last to sign in over this connection.
    pub recent: Arc<Recent>,
    /// What this connection has whatever the others take.
    pub own: Own,
}

/// What a connection has whatever the others take, so that those who take all that there is, and do not read, are in
/// nobody's way. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Own {
    /// One piece of an answer in memory.
    pub(crate) piece: Arc<Semaphore>,
    /// One file that an answer is read from.
    pub(crate) file: Arc<Semaphore>,
    /// Files that the system sends by itself; nothing where it cannot. Not for HTTP/2.
    pub(crate) sendfile: Option<Sendfile>,
    /// One list of entries that an answer is made of.
    pub(crate) list: Arc<Semaphore>,
}

impl Default for Own {
    fn default() -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self { piece: one(), file: one(), list: one(), sendfile: None }
    }
}

/// All requests of one connection. Cloning shares it.
#[derive(Clone)]
pub(super) struct Exchanges(Arc<Connection>);

struct Connection {
    foyer: Arc<Foyer>,
    peer: Peer,
    /// How lines about it in the access log begin.
    who: String,
    watch: Arc<Watch>,
    refused: Arc<OnceLock<BadHead>>,
    /// Where the rests of bodies go whose answers have gone out.
    rests: mpsc::UnboundedSender<Rest>,
}

impl Exchanges {
    /// Requests of `peer`, to be answered by the foyer's routes. Once there is something in `refused`, they
    /// are refused for that reason. What is sent to `rests` is to be polled for as long as the connection is: one for each
    /// request at most.
    pub(super) fn new(
        foyer: Arc<Foyer>,
        peer: Peer,
        watch: Arc<Watch>,
        refused: Arc<OnceLock<BadHead>>,
        rests: mpsc::UnboundedSender<Rest>,
    ) -> Self {
        let user = peer.certificate.as_ref().map(|certificate| certificate.serial().to_string());
        let who = who(peer.address.ip(), user.as_deref());
        Self(Arc::new(Connection { foyer, peer, who, watch, refused, rests }))
    }

    /// Something came that was no request though its head was in order; hyper answered it with `status` by
    /// itself.
    pub(super) fn refused_head(&self, status: StatusCode) {
        let connection = &self.0;
        connection.foyer.meters.refused_head(connection.peer.secure, status);
        connection.log(&Asked::unread(b""), status, 0);
    }
}

impl hyper::service::Service<Request<Incoming>> for Exchanges {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connection = Arc::clone(&self.0);
        let turn = Arc::new(connection.watch.begin(request.version() == Version::HTTP_2));
        match connection.refused.get() {
            // What hyper has read is a stand-in.
            Some(bad) => Box::pin(ready(Ok(refuse(&connection, bad, turn)))),
            None => Box::pin(answer(connection, request, turn).map(Ok)),
        }
    }
}

/// Says why no request could be read. The body that may follow counts as unread, so the connection closes.
fn refuse(connection: &Arc<Connection>, bad: &BadHead, turn: Arc<Turn>) -> Response<AnswerBody> {
    let (connection, asked, status) = (Arc::clone(connection), Asked::unread(&bad.line), bad.status);
    let response = plain(status, bad.reason);
    let done = Box::new(move |body_bytes| {
        connection.foyer.meters.refused_head(connection.peer.secure, status);
        connection.log(&asked, status, body_bytes);
    });
    response.map(|body| AnswerBody::new(body, turn, done))
}

fn plain(status: StatusCode, reason: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], reason).into_response()
}

/// Only what waits is in the future: as an `async` function it would have room for the request several times over.
fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
    turn: Arc<Turn>,
) -> impl Future<Output = Response<AnswerBody>> + Send {
    let began = Instant::now();
    let asked = connection.foyer.log.wanted().then(|| Asked::of(&request));
    let (method, version) = (request.method().clone(), request.version());
    let (limits, budget) = (&connection.foyer.limits, &connection.foyer.bodies_bytes);
    let left_over = (version == Version::HTTP_2 && !request.body().is_end_stream()).then(LeftOver::default);
    let flows = (!request.body().is_end_stream()).then(|| Flows::new(budget, limits));
    let mut request = request.map(|body| {
        let (turn, limits, budget) = (Arc::clone(&turn), Arc::clone(limits), Arc::clone(budget));
        Body::new(RequestBody::new(body, left_over.clone(), turn, limits, budget, flows.clone()))
    });
    if let Some(flows) = flows {
        request.extensions_mut().insert(flows);
    }

    let too_large = if version == Version::HTTP_2 { refusal(&request, limits) } else { None };
    let answered = match too_large {
        Some((status, reason)) => Either::Left(ready(plain(status, reason))),
        None => Either::Right(connection.route(request)),
    };
    answered.then(move |mut response| {
        let unread = left_over.and_then(|left_over| left_over.take(&connection.foyer.limits, &turn));
        let over = match unread {
            None => Either::Left(ready(None)),
            Some(unread) => Either::Right(unread),
        };
        over.map(move |rest| {
            if version < Version::HTTP_2 && !turn.has_body_come() {
                // The rest of the request is in the way of the next one.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let status = response.status();
            let done = Box::new(move |body_bytes| {
                connection.foyer.meters.answered(connection.peer.secure, &method, status, began.elapsed());
                if let Some(asked) = asked {
                    connection.log(&asked, status, body_bytes);
                }
                if let Some(rest) = rest {
                    // Without a connection there is no rest.
                    let _ = connection.rests.send(Rest::new(rest, &connection.foyer.limits));
                }
            });
            response.map(|body| AnswerBody::new(body, turn, done))
        })
    })
}

impl Connection {
    fn route(&self, mut request: Request<Body>) -> impl Future<Output = Response> + Send + use<> {
        request.extensions_mut().insert(self.peer.clone());
        let peer = self.peer.address;
        let answered = AssertUnwindSafe(self.foyer.routes.answer(request)).catch_unwind();
        answered.map(move |answered| {
            answered.unwrap_or_else(|_| {
                // What it said has gone through the panic hook.
                tracing::error!(%peer, "request handler panicked");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            })
        })
    }

    fn log(&self, asked: &Asked, status: StatusCode, body_bytes: u64) {
        let answered = Answered { who: &self.who, at: self.foyer.clock.now(), status, body_bytes };
        self.foyer.log.put(&line(asked, &answered));
    }
}

/// Why a request is refused whose head is larger than is taken. For HTTP/2; those of HTTP/1 have been looked
/// at in `head`.
fn refusal<B>(request: &Request<B>, limits: &Limits) -> Option<(StatusCode, &'static str)> {
    if request_line_bytes(request) > limits.request_line_bytes_max {
        return Some((StatusCode::URI_TOO_LONG, "the request target is too long"));
    }
    let headers = request.headers();
    let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    (bytes.sum::<usize>() > limits.header_bytes_max)
        .then_some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's headers are too long"))
}

/// How long `METHOD TARGET HTTP/x.y` is.
fn request_line_bytes<B>(request: &Request<B>) -> usize {
    let uri = request.uri();
    let path = uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let scheme = uri.scheme().map_or(0, |scheme| scheme.as_str().len() + "://".len());
    request.method().as_str().len() + 1 + scheme + authority + path + " HTTP/1.1".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_measured_as_they_were_sent() {
        let limits = Limits { request_line_bytes_max: 20, header_bytes_max: 12, ..Limits::default() };
        let check = |uri: &str, headers: &[(&str, &str)], expected: Option<u16>| {
            let mut request = Request::builder().uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let refused = refusal(&request.body(()).unwrap(), &limits);
            assert_eq!(refused.map(|(status, _)| status.as_u16()), expected, "{uri} {headers:?}");
        };
        check("/345678", &[], None);
        check("/3456789", &[], Some(414));
        check("http://a", &[], Some(414)); // `/` is implied
        check("*", &[("a", "b"), ("a", "c")], None);
        check("*", &[("a", "b"), ("a", "cd")], Some(431));
        check("/3456789", &[("a", "bc"), ("a", "cd")], Some(414));
    }
}
