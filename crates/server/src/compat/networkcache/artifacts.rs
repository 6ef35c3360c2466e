//! Artifacts in and out.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use base::Sha512;
use bytes::Bytes;
use cache::{Artifact, PutArtifact, ReadArtifacts};
use engine::{RelayError, Relayed};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, TryStreamExt as _, stream};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use identity::Permit;
use store::blobs::{Blob, CHUNK_BYTES};

use super::NetworkCache;
use super::answer::{self, Refusal};
use super::places::{Place, Sending};
use super::range::{Wanted, wanted};
use crate::app::Who;
use crate::doors::{Flowing, PIECE_BYTES, Peer, Sendfile};

/// Bytes that have their digest for a name never change (contract, section 2.4).
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31556926, immutable");
/// The same, for whoever asked alone: others would have to sign in (RFC 9111 §5.2.2.7).
const FOR_EVER_THEIRS: HeaderValue = HeaderValue::from_static("private, max-age=31556926, immutable");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Whatever it looks like: no browser is to take it for a page of ours.
const AS_SAID: HeaderValue = HeaderValue::from_static("nosniff");

const NOT_THERE: &str = "there is no such artifact";

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
        if let Some(expected) = expected {
            upload = self.cache.expecting(upload, expected).await?;
        }
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
        let (asker, tag) = (self.asker(parts), format!("\"{digest}\""));
        let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|said| names(said, &tag));
        // Who wants nothing of it makes nobody fetch it.
        if let Some(relay) = self.house.relay().filter(|_| is_known || method == Method::HEAD) {
            let looked = relay.look(permit, digest, &asker).await.map_err(Refusal::of_relay)?;
            let looked = looked.ok_or_else(|| Refusal::not_found(NOT_THERE))?;
            let mut response = self.described(is_known, &tag);
            if !is_known {
                let headers = response.headers_mut();
                headers.extend(looked.bytes.map(|bytes| (CONTENT_LENGTH, bytes.into())));
                describe_bytes(headers);
            }
            return Ok(response);
        }
        let own = parts.extensions.get::<Peer>().map(|peer| &peer.own);
        let place = self.reading.take_or(own.map(|own| &own.file)).await?;
        let found = match self.house.relay() {
            Some(relay) => relay.artifact(permit, digest, &asker).await.map_err(Refusal::of_relay)?,
            None => self.cache.open(permit, digest).await?.map(Relayed::Here),
        };
        let found = found.ok_or_else(|| Refusal::not_found(NOT_THERE))?;
        let size = match &found {
            Relayed::Here(artifact) => artifact.blob.size(),
            Relayed::Coming(coming) => coming.bytes(),
            Relayed::Passing(passing) => passing.bytes(),
        };
        if is_known {
            return Ok(self.described(is_known, &tag));
        }
        // Ranges are for GET alone (RFC 9110 §14.2).
        let wanted = if method == Method::GET { wanted(headers, size, &tag) } else { Wanted::All };
        let (status, range) = match wanted {
            Wanted::All => (StatusCode::OK, 0..size),
            Wanted::Some(range) => (StatusCode::PARTIAL_CONTENT, range),
            Wanted::None if matches!(found, Relayed::Here(_)) => return Err(Refusal::no_such_range(size)),
            // Somebody else said how long it is: who has as much may not be told that this is all (RFC 9110 §14.2 leaves it
            // to us whether we heed what is asked for).
            Wanted::None => (StatusCode::OK, 0..size),
        };
        let mut response = self.described(is_known, &tag);
        if !range.is_empty() {
            let sendfile = own.and_then(|own| own.sendfile.clone());
            let sendfile = sendfile.filter(|_| parts.version < Version::HTTP_2);
            *response.body_mut() = pieces(found, range.clone(), self.sending.or(own), sendfile, place);
        }
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
        describe_bytes(headers);
        if status == StatusCode::PARTIAL_CONTENT {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.extend(HeaderValue::try_from(told).ok().map(|told| (CONTENT_RANGE, told)));
        }
        Ok(response)
    }

    /// An answer about an artifact, without its bytes: 304 for whoever has it.
    fn described(&self, is_known: bool, tag: &str) -> Response {
        let mut response = Response::new(Body::empty());
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let kept = match self.api.readers {
            Who::Everybody => FOR_EVER,
            Who::SignedIn => FOR_EVER_THEIRS,
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, kept);
        headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
        response
    }
}

fn describe_bytes(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, OCTETS);
    headers.insert(ACCEPT_RANGES, BYTES);
    headers.insert(X_CONTENT_TYPE_OPTIONS, AS_SAID);
}

/// The bytes of `found` in `range`, each piece read when somebody wants it and there is room for it.
fn pieces(
    found: Relayed,
    range: Range<u64>,
    sending: Sending,
    sendfile: Option<Sendfile>,
    place: Place,
) -> Body {
    match found {
        Relayed::Here(Artifact { blob, .. }) => {
            let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            if bytes <= CHUNK_BYTES {
                let at_hand = at_hand(&blob, range.clone(), bytes, &sending);
                return at_hand.map_or_else(|| pieces_of(blob, range, sending, place), Body::from);
            }
            match (blob.file(), sendfile) {
                (Some(file), Some(sendfile)) => sent_by_system(blob, file, range, sendfile, place),
                _ => pieces_of(blob, range, sending, place),
            }
        }
        Relayed::Coming(coming) => pieces_to_come(coming.read(range), sending, place),
        Relayed::Passing(passing) => pieces_to_come(passing.read(range), sending, place),
    }
}

/// The `bytes` bytes in `range`, which are few, unless they or the room for them have to be waited for: they go out with
/// the head.
fn at_hand(blob: &Blob, range: Range<u64>, bytes: usize, sending: &Sending) -> Option<Bytes> {
    let room = sending.room(bytes).now_or_never()?.ok()?;
    Some(room.hold(blob.at_hand(range)?))
}

/// A file that is sent, and its place among those that are open.
struct Sent {
    file: Arc<File>,
    _place: Place,
}

impl AsFd for Sent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The bytes of `file`, which `blob` is, in `range`. They are in nobody's memory but the system's, which has as much of
/// them as the socket takes: there is no need to have room for them.
fn sent_by_system(blob: Blob, file: Arc<File>, range: Range<u64>, sendfile: Sendfile, place: Place) -> Body {
    let sent = Arc::new(Sent { file, _place: place });
    let parts = stream::try_unfold(range, move |Range { start, end }| {
        let (blob, sent, sendfile) = (blob.clone(), sent.clone(), sendfile.clone());
        async move {
            let bytes = usize::try_from(end - start).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            if bytes == 0 {
                return Ok(None);
            }
            let next = start + bytes as u64;
            blob.fetch(start..next).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(Some((sendfile.part(sent, start, bytes), next..end)))
        }
    });
    Body::from_stream(parts)
}

fn pieces_to_come(
    pieces: BoxStream<'static, Result<Bytes, RelayError>>,
    sending: Sending,
    place: Place,
) -> Body {
    let pieces = pieces.map_err(io::Error::other).and_then(move |piece| {
        let (sending, _place) = (sending.clone(), &place);
        // Not before: what is to come may be long in coming.
        async move { Ok(sending.room(piece.len()).await?.hold(piece)) }
    });
    Body::from_stream(pieces)
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
