//! Whether the server lives and is ready, and its meters, for those who look after it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::House;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::doors::{Meters, Peer};

/// Who may read the meters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetersFor {
    /// Programs on this machine.
    Loopback,
    /// Everybody who can reach a door.
    Everyone,
}

/// What these pages show.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) house: Arc<House>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) meters_for: MetersFor,
}

/// `GET /healthz`: 200 as long as the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 when requests can be served, 503 while stopping, when the store does not answer, and when what is
/// decided cannot be linked to the history, because what is stored of that was changed. That nothing can be signed is said,
/// and is no reason to send nobody here: what was signed before is served.
pub(crate) async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if !health.house.is_ready().await {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    } else if health.house.audit().fault().is_some() {
        // Whoever asks here all the same is served; why is in the log, and not for everybody.
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: the history cannot be linked\n")
    } else if health.house.signing_fault().is_some() {
        (StatusCode::OK, "ready, but the token with the CA keys cannot be used\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// `GET /metrics`: OpenMetrics text; 403 for those who may not read it.
pub(crate) async fn metrics(State(health): State<Health>, Extension(peer): Extension<Peer>) -> Response {
    if health.meters_for == MetersFor::Loopback && !peer.address.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "the meters are for programs on this machine\n").into_response();
    }
    health.meters.tell_history_linked(health.house.audit().fault().is_none());
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], health.meters.render()).into_response()
}
