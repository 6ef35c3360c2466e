//! What an error is to whoever asked, and what of it is ours to know.

use base::{Explain, Kind};
use http::StatusCode;

/// What is said when a host has left, and its container manager was not to be had (RFC 7234 §5.5).
pub(crate) const NODE_STILL_THERE: &str =
    "199 provost \"the container manager has not removed the node yet; that is tried again\"";

/// The same when a cluster was deleted, of hosts that somebody was at work on.
pub(crate) const NODES_STILL_THERE: &str =
    "199 provost \"the container manager has not removed all nodes yet; that is tried again\"";

/// The status that the kind of `error` stands for.
pub(crate) fn status_of(error: &dyn Explain) -> StatusCode {
    StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What may be said of `error` to whoever asked. What went wrong on our side is logged, and not shown.
pub(crate) fn told(error: &dyn Explain) -> String {
    let report = base::report(error);
    match error.kind() {
        Kind::Internal => {
            tracing::error!(error = %report, "a request failed");
            "the server could not do this; its log says why".to_owned()
        }
        Kind::Unavailable => {
            tracing::warn!(error = %report, "a request could not be served for now");
            let told = error.told();
            told.unwrap_or_else(|| "the server could not do this for now; its log says why".to_owned())
        }
        Kind::Full => {
            tracing::warn!(error = %report, "a request was refused for lack of room");
            report
        }
        Kind::Invalid
        | Kind::Unauthenticated
        | Kind::Forbidden
        | Kind::NotFound
        | Kind::Conflict
        | Kind::TooLarge
        | Kind::TimedOut => report,
    }
}
