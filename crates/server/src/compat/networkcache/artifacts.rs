//! Artifacts in and out.

use std::io;
use std::ops::Range;

use axum::body::Body;
use axum::response::Response;
use base::Sha512;
use cache::{PutArtifact, ReadArtifacts};
use engine::Relayed;
use futures_util::{TryStreamExt as _, stream};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use identity::Permit;
use store::blobs::{Blob, CHUNK_BYTES};

use super::NetworkCache;
use super::answer::{self, Refusal};
use super::places::{Place, Sending};
use super::range::{Wanted, wanted};
use crate::app::Who;
use crate::doors::{Flowing, Peer};

/// Bytes that have their digest for a name never change (contract, section 2.4).
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31556926, immutable");
/// The same, for whoever asked alone: others would have to sign in (RFC 9111 §5.2.2.7).
const FOR_EVER_THEIRS: HeaderValue = HeaderValue::from_static("private, max-age=31556926, immutable");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Whatever it looks like: no browser is to take it for a page of ours.
const AS_SAID: HeaderValue = HeaderValue::from_static("nosniff");

impl NetworkCache {
    /// 201 and the digest, without a line's end: clients compare the body with what they expect.
    pub(super) async fn put_artifact(
        &self,
        permit: Permit<PutArtifact>,
        expected: Option<Sha512>,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, Refusal> {
        let place = self.writing.take().await?;
        let mut body = Flowing::new(body, &parts.extensions);
        let mut upload = self.cache.upload(permit, body.announced()).await?;
        while let Some(bytes) = body.next().await? {
            upload = self.cache.take(upload, bytes).await?;
        }
        // To its end, also when the client hangs up now: the bytes are all there. What it took is taken until then.
        let (cache, taken) = (self.cache.clone(), (place, body));
        let keep = async move {
            let kept = cache.keep(upload, expected).await;
            drop(taken);
            kept
        };
        let kept = self.house.tasks().complete(keep).await?;
        Ok(answer::text(StatusCode::CREATED, kept.digest.to_string()))
    }

    pub(super) async fn artifact(
        &self,
        permit: Permit<ReadArtifacts>,
        digest: Sha512,
        parts: &Parts,
    ) -> Result<Response, Refusal> {
        let (method, headers) = (&parts.method, &parts.headers);
        let own = parts.extensions.get::<Peer>().map(|peer| &peer.own);
        let place = self.reading.take_or(own.map(|own| &own.file)).await?;
        let found = match self.house.relay() {
            Some(relay) => relay.artifact(permit, digest).await.map_err(Refusal::of_relay)?,
            None => self.cache.open(permit, digest).await?.map(Relayed::Here),
        };
        let found = found.ok_or_else(|| Refusal::not_found("there is no such artifact"))?;
        let size = match &found {
            Relayed::Here(artifact) => artifact.blob.size(),
            Relayed::Coming(coming) => coming.bytes(),
        };
        let tag = format!("\"{digest}\"");
        let kept = match self.api.readers {
            Who::Everybody => FOR_EVER,
            Who::SignedIn => FOR_EVER_THEIRS,
        };
        if headers.get_all(IF_NONE_MATCH).iter().any(|said| names(said, &tag)) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            describe(response.headers_mut(), &tag, kept);
            return Ok(response);
        }
        // Ranges are for GET alone (RFC 9110 §14.2).
        let wanted = if method == Method::GET { wanted(headers, size, &tag) } else { Wanted::All };
        let (status, range) = match wanted {
            Wanted::All => (StatusCode::OK, 0..size),
            Wanted::Some(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::None => return Err(Refusal::no_such_range(size)),
        };
        let mut response = Response::new(match range.is_empty() {
            true => Body::empty(),
            false => pieces(found, range.clone(), self.sending.or(own), place),
        });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
        headers.insert(CONTENT_TYPE, OCTETS);
        headers.insert(ACCEPT_RANGES, BYTES);
        headers.insert(X_CONTENT_TYPE_OPTIONS, AS_SAID);
        describe(headers, &tag, kept);
        if status == StatusCode::PARTIAL_CONTENT {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.extend(HeaderValue::try_from(told).ok().map(|told| (CONTENT_RANGE, told)));
        }
        Ok(response)
    }
}

/// The bytes of `found` in `range`, each piece read when somebody wants it and there is room for it.
fn pieces(found: Relayed, range: Range<u64>, sending: Sending, place: Place) -> Body {
    match found {
        Relayed::Here(artifact) => pieces_of(artifact.blob, range, sending, place),
        Relayed::Coming(coming) => {
            let pieces = coming.read(range).map_err(io::Error::other).and_then(move |piece| {
                let (sending, _place) = (sending.clone(), &place);
                // Not before: what is to come may be long in coming.
                async move { Ok(sending.room(piece.len()).await?.hold(piece)) }
            });
            Body::from_stream(pieces)
        }
    }
}

fn pieces_of(blob: Blob, range: Range<u64>, sending: Sending, place: Place) -> Body {
    let pieces = stream::try_unfold((blob.read(range), place), move |(mut pieces, place)| {
        let sending = sending.clone();
        async move {
            let room = sending.room(CHUNK_BYTES).await?;
            let piece = pieces.try_next().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(piece.map(|piece| (room.hold(piece), (pieces, place))))
        }
    });
    Body::from_stream(pieces)
}

fn describe(headers: &mut HeaderMap, tag: &str, kept: HeaderValue) {
    headers.insert(CACHE_CONTROL, kept);
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
}

/// Whether `tag` is one of those in an `If-None-Match` (RFC 9110 §13.1.2).
fn names(said: &HeaderValue, tag: &str) -> bool {
    let said = said.to_str().unwrap_or_default();
    let mut tags = said.split(',').map(str::trim);
    tags.any(|said| said == "*" || said.strip_prefix("W/").unwrap_or(said) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_it_is_told_so() {
        for (said, expected) in [
            ("\"d\"", true),
            ("\"a\", W/\"d\"", true),
            ("*", true),
            ("\"a\"", false),
            ("d", false),
            ("", false),
        ] {
            assert_eq!(names(&said.parse().unwrap(), "\"d\""), expected, "{said}");
        }
    }
}
