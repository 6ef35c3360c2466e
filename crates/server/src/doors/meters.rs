//! What is counted at the doors, for Prometheus.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::registry::Reason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    door: &'static str,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Door {
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closed {
    reason: &'static str,
}

/// Counters and gauges of the doors, and the registry in which others may enter theirs. All names begin
/// with `provost_`.
pub struct Meters {
    registry: Mutex<Registry>,
    requests: Family<Request, Counter>,
    seconds: Family<Door, Histogram, fn() -> Histogram>,
    /// What is counted of each request, found without looking for its labels: of HTTP, and of HTTPS.
    counted: [Counted; 2],
    /// Whether the history is linked, 1 or 0.
    history_linked: Gauge,
    open: Family<Door, Gauge>,
    sent_bytes: Family<Door, Counter>,
    closed: Family<Closed, Counter>,
    /// Connections for which there was no place.
    pub(super) refused: Counter,
    /// TLS handshakes that came to nothing.
    pub(super) failed_handshakes: Counter,
    /// Access log lines that were thrown away because their reader is too slow.
    pub(super) lost_lines: Counter,
}

/// Members of the families, for one door.
#[derive(Default)]
struct Counted {
    /// By method, and by the first digit of the status less one.
    requests: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
    seconds: OnceLock<Histogram>,
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl Meters {
    /// What [`Meters::render`] returns is of this media type.
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Nothing has been counted yet.
    #[must_use]
    pub fn new() -> Self {
        let meters = Self {
            registry: Mutex::new(Registry::with_prefix("provost")),
            requests: Family::default(),
            seconds: Family::new_with_constructor(latency),
            counted: Default::default(),
            history_linked: Gauge::default(),
            open: Family::default(),
            sent_bytes: Family::default(),
            closed: Family::default(),
            refused: Counter::default(),
            failed_handshakes: Counter::default(),
            lost_lines: Counter::default(),
        };
        meters.register(|registry| {
            registry.register("http_requests", "Requests answered", meters.requests.clone());
            registry.register_with_unit(
                "http_request",
                "Time from a request's head to the end of its answer",
                Unit::Seconds,
                meters.seconds.clone(),
            );
            registry.register("connections_open", "Connections open now", meters.open.clone());
            registry.register_with_unit(
                "sent",
                "Bytes written to sockets, TLS included",
                Unit::Bytes,
                meters.sent_bytes.clone(),
            );
            registry.register(
                "connections_closed",
                "Connections that had to go: they kept us waiting, or another needed the place",
                meters.closed.clone(),
            );
            registry.register(
                "connections_refused",
                "Connections for which there was no place",
                meters.refused.clone(),
            );
            registry.register(
                "tls_handshakes_failed",
                "TLS handshakes that came to nothing",
                meters.failed_handshakes.clone(),
            );
            registry.register(
                "history_linked",
                "1 while what happens is linked to the history, 0 when what is stored of the links keeps that from being done",
                meters.history_linked.clone(),
            );
            registry.register(
                "access_log_lines_lost",
                "Access log lines thrown away because their reader is too slow or they cannot be written",
                meters.lost_lines.clone(),
            );
        });
        meters
    }

    /// Enters further metrics: `enter` is called once, at once.
    pub fn register(&self, enter: impl FnOnce(&mut Registry)) {
        enter(&mut self.registry());
    }

    /// Whether what happens is linked to the history.
    pub(crate) fn tell_history_linked(&self, is_linked: bool) {
        self.history_linked.set(i64::from(is_linked));
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry()).expect("writing to a String cannot fail");
        page
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub(super) fn answered(&self, secure: bool, method: &Method, status: StatusCode, took: Duration) {
        self.counted(secure, method_index(method), status).inc();
        let seconds = &self.counted[usize::from(secure)].seconds;
        let seconds = seconds.get_or_init(|| self.seconds.get_or_create_owned(&Door { door: door(secure) }));
        seconds.observe(took.as_secs_f64());
    }

    /// hyper refused what came, before it was a request.
    pub(super) fn refused_head(&self, secure: bool, status: StatusCode) {
        self.counted(secure, OTHER_METHOD, status).inc();
    }

    fn counted(&self, secure: bool, method: usize, status: StatusCode) -> &Counter {
        let index = usize::from(status.as_u16() / 100).clamp(1, STATUSES.len()) - 1;
        let labels = || Request { door: door(secure), method: METHODS[method], status: STATUSES[index] };
        self.counted[usize::from(secure)].requests[method][index]
            .get_or_init(|| self.requests.get_or_create_owned(&labels()))
    }

    /// A connection had to go.
    pub(super) fn closed(&self, reason: Reason) {
        self.closed.get_or_create(&Closed { reason: reason.label() }).inc();
    }

    /// Counts connections of one door.
    pub(super) fn open(&self, secure: bool) -> Gauge {
        self.open.get_or_create_owned(&Door { door: door(secure) })
    }

    /// Counts bytes sent through one door.
    pub(super) fn sent_bytes(&self, secure: bool) -> Counter {
        self.sent_bytes.get_or_create_owned(&Door { door: door(secure) })
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters(..)")
    }
}

/// From half a millisecond to ten seconds.
fn latency() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

fn door(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// Methods are whatever clients make up, so only the known ones get a time series.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "other"];
const OTHER_METHOD: usize = METHODS.len() - 1;
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Where the method is in [`METHODS`].
fn method_index(method: &Method) -> usize {
    METHODS[..OTHER_METHOD].iter().position(|known| method == known).unwrap_or(OTHER_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shows() {
        let meters = Meters::new();
        meters.answered(true, &Method::PUT, StatusCode::CREATED, Duration::from_millis(3));
        meters.answered(false, &Method::TRACE, StatusCode::NOT_FOUND, Duration::ZERO);
        meters.refused_head(false, StatusCode::BAD_REQUEST);
        meters.closed(Reason::Displaced);
        meters.sent_bytes(true).inc_by(7);
        meters.open(false).inc();
        let theirs = Counter::<u64>::default();
        meters.register(|registry| registry.register("certificates_issued", "Issued", theirs.clone()));
        theirs.inc();
        let page = meters.render();
        for line in [
            r#"provost_http_requests_total{door="https",method="PUT",status="2xx"} 1"#,
            r#"provost_http_requests_total{door="http",method="other",status="4xx"} 2"#,
            r#"provost_http_request_seconds_bucket{le="0.005",door="https"} 1"#,
            r#"provost_connections_closed_total{reason="displaced"} 1"#,
            r#"provost_sent_bytes_total{door="https"} 7"#,
            r#"provost_connections_open{door="http"} 1"#,
            "provost_certificates_issued_total 1",
            "# EOF",
        ] {
            assert!(page.lines().any(|have| have == line), "{line} is not in\n{page}");
        }
    }
}
