//! Operations as event streams (`text/event-stream`, HTML §9.2): how one is, and then what becomes of it.
//!
//! Whoever reads along is told the whole state, first as it is and then whenever it is another, so that a hint which is
//! lost costs some seconds, and a connection which breaks costs nothing: what it is now comes first on the next one.
//! The store is looked at when the bus hints at something, at the latest every two seconds, and then only if anything was
//! written since; once for all who read along with the same operation (`looks.rs`).
//!
//! A stream ends with its operation, with the house, and when who reads it may not any more, which is looked at every
//! half a minute: a password that was changed or a certificate that was revoked does not read on for longer. It also
//! ends when the store cannot be read: the next connection is told why.
//!
//! Whoever has gone without a word, over HTTP/1.1, is noticed when they are told something, so after two comments at the
//! latest; until then they keep their place.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bus::{Heard, Listener};
use bytes::Bytes;
use engine::Stop;
use fleet::{ClusterName, OperationKind, ReadClusters, RolloutId};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use identity::{Permit, Principal};
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, sleep_until};

use super::V1;
use super::asked::Asked;
use super::listeners::{NoPlace, Place};
use super::looks::{LOOK_PAUSE, Looked};
use super::operations::named;
use super::refusal::Refusal;
use crate::signing_in::sign_in;

/// At most so long after a change nobody knows of it, whatever becomes of hints.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After so much silence a comment is sent, so that nobody on the way takes the connection for dead, and that who has
/// gone is soon known to have.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How often it is looked at whether who reads still may.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// When it is worth asking again where too many listen.
const FULL_FOR: Duration = Duration::from_secs(10);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells proxies (nginx's, and those that follow it) not to hold events back until there are many.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Finds out who reads, once more; nobody when they may not any more.
type Check = Box<dyn Fn() -> BoxFuture<'static, Option<Principal>> + Send>;

impl V1 {
    pub(super) async fn operation_events(&self, asked: Asked, parts: &Parts) -> Result<Response, Refusal> {
        let permit = asked.permit()?;
        let (name, id) = named(&asked)?;
        let kind = self.fleet().rollout(permit, &name, id).await?.is.plan.kind();
        if !asked.condition.wants(None) {
            return Err(Refusal::not_as_expected());
        }
        let place = self.listeners.admit(asked.by().name()).map_err(|no_place| {
            let detail = match no_place {
                NoPlace::Full => "too many read along with operations right now",
                NoPlace::Enough => "you read along with too many operations already",
            };
            Refusal::too_many_listeners(detail, FULL_FOR)
        })?;
        let mut telling = Telling {
            looked: self.looks.of(self.house.fleet(), &name, id),
            cluster: name,
            id,
            kind,
            by: asked.by().clone(),
            check: self.check(parts),
            hints: self.house.hints(),
            stop: self.house.stopping().clone(),
            told: String::new(),
            seen: Instant::now(),
            spoke: Instant::now(),
            checked: Instant::now(),
            is_over: false,
            _place: place,
        };
        let first = telling.look(Instant::now(), true).await?;
        let has_seen_the_end =
            parts.headers.get(LAST_EVENT_ID).is_some_and(|last| last.as_bytes() == telling.told.as_bytes());
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if telling.is_over && has_seen_the_end {
            // Browsers connect again and again, but for this status.
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::EVENT_STREAM));
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
        if parts.method != Method::HEAD {
            let first = stream::iter(first.map(Ok::<_, std::convert::Infallible>));
            *response.body_mut() = Body::from_stream(first.chain(telling.into_stream().map(Ok)));
        }
        Ok(response)
    }

    /// How it is found out whether who sent this request may still read.
    fn check(&self, parts: &Parts) -> Check {
        let (house, api, parts) = (self.house.clone(), self.api.clone(), parts.clone());
        let parts = Arc::new(parts);
        Box::new(move || {
            let (house, api, parts) = (house.clone(), api.clone(), parts.clone());
            Box::pin(async move {
                let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
                let refused = |_| Response::new(Body::empty());
                sign_in(&house, &api, &path, &parts, refused).await.ok().map(|signed_in| signed_in.principal)
            })
        })
    }
}

/// What one who reads along is told.
struct Telling {
    looked: Arc<Looked>,
    cluster: ClusterName,
    id: RolloutId,
    kind: OperationKind,
    by: Principal,
    check: Check,
    hints: Listener,
    stop: Stop,
    /// What the last state that was told is called.
    told: String,
    /// When it was so.
    seen: Instant,
    spoke: Instant,
    checked: Instant,
    /// The last event is told.
    is_over: bool,
    _place: Place,
}

impl Telling {
    /// Everything that is to be told from now on.
    fn into_stream(self) -> impl futures_util::Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut telling| async move {
            let next = telling.next().await?;
            Some((next, telling))
        })
    }

    /// What is told next; nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over && !self.stop.is_asked() {
            let until = (self.seen + LOOK_EVERY).min(self.spoke + SILENCE_MAX);
            let since = self.wait(until).await?;
            if self.checked.elapsed() >= CHECK_EVERY {
                self.by = (self.check)().await?;
                self.checked = Instant::now();
            }
            let is_silent = self.spoke.elapsed() >= SILENCE_MAX;
            match self.look(since, is_silent).await {
                Ok(Some(event)) => return Some(event),
                Ok(None) if is_silent => {
                    self.spoke = Instant::now();
                    return Some(Bytes::from_static(b": nothing new\n\n"));
                }
                Ok(None) => {}
                Err(refusal) => {
                    tracing::debug!(cluster = %self.cluster, operation = %self.id, ?refusal, "events end");
                    return None;
                }
            }
        }
        None
    }

    /// Waits for a hint, or `until` it is time all the same; since when what is seen would be news. Nothing when it is to
    /// stop.
    async fn wait(&mut self, until: Instant) -> Option<Instant> {
        tokio::select! {
            () = self.stop.asked() => return None,
            () = sleep_until(until) => return Some(until),
            () = heard(&mut self.hints, &self.cluster, self.kind) => {}
        }
        let mut since = Instant::now();
        // Whatever else happens meanwhile is seen at the same look.
        tokio::select! {
            () = self.stop.asked() => return None,
            () = sleep_until(self.seen + LOOK_PAUSE) => {}
        }
        while self.hints.next().now_or_never().flatten().is_some() {
            since = Instant::now();
        }
        Some(since)
    }

    /// How the operation is now, or was at `since` or later, if that is another than what was told.
    async fn look(&mut self, since: Instant, is_thorough: bool) -> Result<Option<Bytes>, Refusal> {
        let permit: Permit<ReadClusters> = Permit::grant(self.by.clone())?;
        let view = self.looked.view(permit, since, is_thorough).await?;
        (self.seen, self.is_over) = (view.at, view.is_over);
        if view.tag == self.told {
            return Ok(None);
        }
        self.spoke = Instant::now();
        self.told = view.tag;
        Ok(Some(view.event))
    }
}

/// Waits for a hint that may be about an operation of this kind on `cluster`.
async fn heard(hints: &mut Listener, cluster: &ClusterName, kind: OperationKind) {
    let about = format!("cluster {cluster}");
    while let Some(heard) = hints.next().await {
        match heard {
            Heard::Lost => return,
            // Of its hosts the history says `restart of host done`.
            Heard::Hint(hint) if hint.about == about || hint.what.starts_with(kind.as_str()) => return,
            Heard::Hint(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
