//! The bare handler: the HTTP stack that Provost's doors stand on, and behind it nothing but answers that were
//! written beforehand.
//!
//! axum's routes on hyper, HTTP/1 and HTTP/2, one task for each connection, the runtime as `provost up` has it. What
//! is missing is everything that is Provost's: limits, the access log, what is counted, sign-in, and the fleet.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::Failure;

/// What is answered to a PUT, whatever its path.
pub(super) const PUT: &str = "PUT";
/// What is answered once it serves.
pub(super) const READY: &str = "/readyz";

/// What is answered, by path.
type Answers = HashMap<String, Bytes>;

/// Answers on `port` what the file at `answers` says, a JSON object of texts by path, until it is killed.
pub(super) fn serve(answers: &Path, port: u16) -> Result<(), Failure> {
    let text = std::fs::read(answers).map_err(Failure::file(answers))?;
    let known =
        read(&text).ok_or_else(|| Failure::Usage(format!("{} is not as it should be", answers.display())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(listen(Arc::new(known), port)));
    served.map_err(Failure::file(Path::new("the bare handler's socket")))
}

fn read(text: &[u8]) -> Option<Answers> {
    let Ok(Value::Object(object)) = serde_json::from_slice(text) else { return None };
    let answer = |(path, body): (String, Value)| Some((path, Bytes::from(body.as_str()?.to_owned())));
    object.into_iter().map(answer).collect()
}

async fn listen(answers: Arc<Answers>, port: u16) -> std::io::Result<()> {
    let routes =
        Router::new().fallback(move |request: Request| answer(answers.clone(), request)).with_state(());
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().header_read_timeout(None).half_close(true);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (http, routes) = (http.clone(), TowerToHyperService::new(routes.clone()));
        connections.spawn(async move {
            // Whoever hangs up has what they wanted.
            let _ = http.serve_connection(TokioIo::new(stream), routes).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(answers: Arc<Answers>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (status, path) = if parts.method == Method::PUT {
        (StatusCode::CREATED, PUT)
    } else {
        (StatusCode::OK, parts.uri.path())
    };
    // As every handler does, whether there is one or not.
    let _ = body.collect().await;
    let mut response = Response::new(Body::from(answers.get(path).cloned().unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
