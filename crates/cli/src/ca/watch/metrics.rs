//! What is known of the certificates that are kept, as Prometheus reads it: over HTTP, and in a file.
//!
//! Whoever asks gets what is known at that moment. Connections are few, short and bounded: nothing that somebody does there
//! keeps a certificate from being renewed.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use base::{Clock, Timestamp};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::keeper::Board;
use crate::kept_file::{KeptFile, NewFile};

/// How long a connection may last.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest head of a request that is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The media type of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The names of all certificates, and what is known of each.
pub(super) type Boards = Rc<RefCell<Vec<(String, Board)>>>;

/// A metric: its name, its type, what it is, and how it is read.
type Metric = (&'static str, &'static str, &'static str, fn(&Board, Timestamp) -> Option<i64>);

const METRICS: [Metric; 9] = [
    (
        "provost_ca_certificate_expires_seconds",
        "gauge",
        "How long the certificate is valid; negative when it is over.",
        |board, now| board.not_after.map(|until| (until - now).as_seconds()),
    ),
    (
        "provost_ca_certificate_not_after_timestamp_seconds",
        "gauge",
        "When the certificate is over.",
        |board, _| board.not_after.map(Timestamp::as_unix),
    ),
    (
        "provost_ca_crl_expires_seconds",
        "gauge",
        "How long the first of the revocation lists is in force.",
        |board, now| board.lists_until.map(|until| (until - now).as_seconds()),
    ),
    ("provost_ca_last_success_timestamp_seconds", "gauge", "When all was well at last.", |board, _| {
        board.last_success.map(Timestamp::as_unix)
    }),
    ("provost_ca_next_look_timestamp_seconds", "gauge", "When it is looked after again.", |board, _| {
        board.next.map(Timestamp::as_unix)
    }),
    ("provost_ca_failing", "gauge", "Whether something goes wrong.", |board, _| {
        Some(board.is_failing.into())
    }),
    ("provost_ca_failures_total", "counter", "How often something went wrong.", |board, _| {
        i64::try_from(board.failures).ok()
    }),
    ("provost_ca_renewals_total", "counter", "How often the certificate was renewed.", |board, _| {
        i64::try_from(board.renewals).ok()
    }),
    ("provost_ca_hook_failures_total", "counter", "How often the hook failed.", |board, _| {
        i64::try_from(board.hook_failures).ok()
    }),
];

/// All of them as text.
pub(super) fn text(boards: &[(String, Board)], now: Timestamp) -> String {
    let mut text = String::new();
    for (name, kind, what, read) in METRICS {
        let _ = write!(text, "# HELP {name} {what}\n# TYPE {name} {kind}\n"); // to a String: cannot fail
        for (certificate, board) in boards {
            if let Some(value) = read(board, now) {
                let _ = writeln!(text, "{name}{{name=\"{}\"}} {value}", label(certificate));
            }
        }
    }
    text
}

fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Makes the file at `path` all of them.
pub(super) fn write(path: &Path, boards: &Boards, now: Timestamp) -> std::io::Result<()> {
    let text = text(&boards.borrow(), now);
    KeptFile::at(path, NewFile::Mode(0o644))?.make(text.as_bytes()).map(drop)
}

/// Answers what is asked over a connection, until it is over.
pub(super) async fn serve(stream: TcpStream, boards: Boards, clock: Clock) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &boards, &clock);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(HEAD_BYTES_MAX);
    // Who breaks the connection, or is too slow, asks again.
    let _ = tokio::time::timeout(WITHIN, http.serve_connection(TokioIo::new(stream), service)).await;
}

fn answer(request: &Request<Incoming>, boards: &Boards, clock: &Clock) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, text(&boards.borrow(), clock.now())),
        (&Method::GET | &Method::HEAD, _) => (StatusCode::NOT_FOUND, "there is /metrics\n".into()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_told_and_nothing_else() {
        let at = |seconds| Some(Timestamp::from_unix(seconds));
        let known = Board { not_after: at(1_500), failures: 2, is_failing: true, ..Board::default() };
        let boards = [("we\"b".to_owned(), known), ("new".to_owned(), Board::default())];
        let text = text(&boards, Timestamp::from_unix(1_600));
        for line in [
            "# TYPE provost_ca_certificate_expires_seconds gauge",
            "provost_ca_certificate_expires_seconds{name=\"we\\\"b\"} -100",
            "provost_ca_failures_total{name=\"we\\\"b\"} 2",
            "provost_ca_failures_total{name=\"new\"} 0",
            "provost_ca_failing{name=\"we\\\"b\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(!text.contains("expires_seconds{name=\"new\"}"), "{text}");
    }
}
