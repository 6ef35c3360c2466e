//! Artifacts that come in several pieces (draft-ietf-httpbis-resumable-upload): for our own client, and whoever else speaks
//! that.
//!
//! ```text
//! OPTIONS                        204, Upload-Limit       whether this is done here
//! POST   /v1/cache/uploads       201, Location           begins one; what comes in the body is the beginning of it
//! HEAD   /v1/cache/uploads/ID    200, Upload-Offset      how much has come
//! PATCH  /v1/cache/uploads/ID    204, or 201 at its end  adds what comes behind that
//! DELETE /v1/cache/uploads/ID    204                     forgets it
//! ```
//! As the draft has it: `Upload-Offset`, `Upload-Complete`, `Upload-Length`, `Upload-Limit`, 409 with the offset where
//! another was expected, and whoever comes later cuts off whoever still sends. Otherwise than there: no interim response
//! 104 is sent; how far it is comes with 200 and a document; what cannot fit the length that was said is 422 as elsewhere in
//! `/v1`, and is not counted; and whoever begins with bytes that they have begun with before, by `Repr-Digest` and
//! `Upload-Length`, is told where that one is, and how much of it has come. An upload that is over is not there any more: whether it was kept says `HEAD /shacache/SHA512`.
//!
//! Whoever may `POST /shacache` may do this, and signs in the same way; the same bounds hold. What came is kept for half an
//! hour after the last request, in the process that it came to.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base::Sha512;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cache::{Announced, Appending, Cache, PutArtifact, ResumeError, SoFarCame, UploadError, UploadId};
use engine::House;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use identity::{Permit, Principal};
use percent_encoding::percent_decode_str;
use store::blobs;

use super::answer::Answer;
use super::asked::{self, Asked};
use super::condition::Condition;
use super::no_method;
use super::refusal::Refusal;
use super::route::{self, Found};
use super::table::Call;
use crate::app::{CacheApi, Who};
use crate::compat::networkcache::{Places, is_of_a_foreign_page, source};
use crate::doors::Flowing;
use crate::signing_in::sign_in;

/// The most that are open at once, of the places that there are for what comes in.
const OPEN_MAX: usize = 64;
/// How long is waited for whoever works on an upload to let go of it.
const TURN_WAIT: Duration = Duration::from_secs(10);
/// When it is worth asking again.
const COME_BACK_IN: Duration = Duration::from_secs(2);
/// How long an upload is kept that nobody asks for.
const LIMIT: HeaderValue = HeaderValue::from_static("max-age=1800");

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// The server side of uploads.
pub(crate) struct Uploads {
    house: Arc<House>,
    cache: Arc<Cache>,
    api: Arc<CacheApi>,
    /// For all that comes in: an upload has one of them as long as it is open.
    writing: Places,
    /// How many of those uploads may have.
    open: Places,
}

/// What came of the bytes of a request.
enum Came {
    /// They are there, and others are to come.
    Some(SoFarCame),
    /// It is kept.
    All(Sha512, u64),
}

impl Uploads {
    pub(crate) fn new(house: Arc<House>, cache: Arc<Cache>, api: Arc<CacheApi>, writing: Places) -> Self {
        // Whoever does not go on leaves at least half of the places to others.
        let open = Places::new((writing.free() / 2).min(OPEN_MAX));
        Self { house, cache, api, writing, open }
    }

    /// Whether `path`, as it came, is that of uploads.
    pub(crate) fn is_inside(path: &str) -> bool {
        let segments =
            path.split('/').skip(1).take(3).map(|segment| percent_decode_str(segment).decode_utf8_lossy());
        segments.eq(["v1", "cache", "uploads"])
    }

    /// Answers one request. Never fails: a refusal is an answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        let refused = |why| Refusal::not_signed_in(why).into_response(&parts.method);
        let by = match self.api.writers {
            Who::Everybody => Principal::anybody_publishing(source(&self.api, &parts)),
            Who::SignedIn => match sign_in(&self.house, &self.api.entrance, &path, &parts, refused).await {
                Ok(signed_in) => signed_in.principal,
                Err(response) => return response,
            },
        };
        let responded = self.respond(&parts, by, body).await;
        responded.unwrap_or_else(|refusal| refusal.into_response(&parts.method))
    }

    async fn respond(&self, parts: &Parts, by: Principal, body: Body) -> Result<Response, Refusal> {
        let (row, path) = match route::find(&parts.method, parts.uri.path()) {
            Found::Row(row, path) => (row, path),
            Found::NoPath => {
                return Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing of this path"));
            }
            Found::NoMethod(methods) => {
                // That there is such a header tells whoever asks that this is done here (section 4.1.4 of the draft).
                let mut response = no_method(&parts.method, methods)?;
                response.headers_mut().insert(UPLOAD_LIMIT, LIMIT);
                return Ok(response);
            }
        };
        if is_of_a_foreign_page(&parts.headers) {
            return Err(Refusal::foreign_page());
        }
        if !asked::takes(&parts.headers, wire::JSON) {
            let detail = "what is here is `application/json`, which `Accept` does not take";
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, detail));
        }
        let mut asked = Asked::read(row, path, (by, &self.house), parts, body)?;
        if asked.condition.is_there() {
            return Err(Refusal::not_as_expected());
        }
        let permit = asked.permit::<PutArtifact>()?;
        let id = UploadId::of(asked.text(0));
        match row.call {
            Call::OpenUpload => {
                let (body, _) = asked.body();
                self.open(permit, parts, body).await
            }
            Call::AppendToUpload => {
                let (body, kind) = asked.body();
                if kind != Some(wire::PARTIAL_UPLOAD) {
                    let detail = "the body is not said to be `application/partial-upload`";
                    return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
                }
                self.go_on(permit, &id, parts, body).await
            }
            Call::CancelUpload => {
                self.resume(permit, &id).await?.cancel();
                Ok(Answer::gone().into_response(&parts.method, &Condition::default()))
            }
            _ => {
                let so_far = self.resume(permit, &id).await?.so_far();
                let response =
                    Answer::ok(&shown(so_far)).secret().into_response(&parts.method, &Condition::default());
                Ok(described(response, so_far, false))
            }
        }
    }

    async fn open(
        &self,
        permit: Permit<PutArtifact>,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, Refusal> {
        let headers = &parts.headers;
        let is_last = is_complete(headers)?.unwrap_or(false);
        let body = Flowing::new(body, &parts.extensions);
        let mut bytes = number(headers, &UPLOAD_LENGTH)?;
        if is_last && let Some(announced) = body.announced() {
            let length = *bytes.get_or_insert(announced);
            if length != announced {
                return Err(ResumeError::Length { length }.into_refusal());
            }
        }
        let announced = Announced { bytes, sha512: expected(headers)? };
        let by = permit.by().clone();
        let busy = || Refusal::later("too many are served at the moment", COME_BACK_IN);
        let places =
            (self.open.found().await.ok_or_else(busy)?, self.writing.found().await.ok_or_else(busy)?);
        // Nobody knows of two who are anybody whether they are the same.
        let or_join = self.api.writers == Who::SignedIn && !is_last && body.announced() == Some(0);
        let id = self.cache.open_upload(permit, announced, Box::new(places), or_join).await;
        let id = id.map_err(ResumeError::into_refusal)?;
        let path = id.to_string();
        let appending = self.resume(Permit::grant(by)?, &id).await?;
        let came = self.take(appending, body, is_last).await?;
        Ok(answered(came, &["cache", "uploads", &path], StatusCode::CREATED, parts))
    }

    async fn go_on(
        &self,
        permit: Permit<PutArtifact>,
        id: &UploadId,
        parts: &Parts,
        body: Body,
    ) -> Result<Response, Refusal> {
        let headers = &parts.headers;
        let missing = |name: &HeaderName| Refusal::malformed(format!("`{name}` is not said"));
        let offset = number(headers, &UPLOAD_OFFSET)?.ok_or_else(|| missing(&UPLOAD_OFFSET))?;
        let is_last = is_complete(headers)?.ok_or_else(|| missing(&UPLOAD_COMPLETE))?;
        let body = Flowing::new(body, &parts.extensions);
        let mut appending = self.resume(permit, id).await?;
        appending.at(offset).map_err(ResumeError::into_refusal)?;
        if let Some(length) = number(headers, &UPLOAD_LENGTH)? {
            appending.announce(length).map_err(ResumeError::into_refusal)?;
        }
        if let (Some(bytes), Some(length)) = (body.announced(), appending.so_far().length)
            && offset.saturating_add(bytes) > length
        {
            return Err(ResumeError::Length { length }.into_refusal());
        }
        let came = self.take(appending, body, is_last).await?;
        Ok(answered(came, &["cache", "uploads", &id.to_string()], StatusCode::NO_CONTENT, parts))
    }

    /// The upload, once nobody else works on it.
    async fn resume(&self, permit: Permit<PutArtifact>, id: &UploadId) -> Result<Appending, Refusal> {
        match tokio::time::timeout(TURN_WAIT, self.cache.resume(permit, id)).await {
            Ok(resumed) => resumed.map_err(ResumeError::into_refusal),
            // What it had is being kept, as a rule.
            Err(_) => Err(Refusal::later("another request is working on the upload", COME_BACK_IN)),
        }
    }

    /// Takes what is in the body. To its end, also when the client hangs up: what has come counts, and one that has come
    /// as a whole is kept.
    async fn take(
        &self,
        mut appending: Appending,
        mut body: Flowing,
        is_last: bool,
    ) -> Result<Came, Refusal> {
        let cache = self.cache.clone();
        let take = async move {
            loop {
                let piece = tokio::select! {
                    biased;
                    () = appending.cut_off() => return Err(ResumeError::CutOff.into_refusal()),
                    piece = body.next() => piece?,
                };
                let Some(bytes) = piece else { break };
                cache.append(&mut appending, bytes).await.map_err(ResumeError::into_refusal)?;
            }
            let so_far = appending.so_far();
            if !is_last {
                return Ok(Came::Some(so_far));
            }
            let kept = cache.finish(appending).await.map_err(ResumeError::into_refusal)?;
            Ok(Came::All(kept.digest, kept.bytes))
        };
        self.house.tasks().complete(take).await
    }
}

/// What a [`ResumeError`] is here.
trait IntoRefusal {
    fn into_refusal(self) -> Refusal;
}

impl IntoRefusal for ResumeError {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Offset { expected, .. } => Refusal::from(self).at_offset(expected),
            Self::TooManyOpen { is_all: true, .. } => Refusal::later(self.to_string(), COME_BACK_IN),
            Self::Length { .. } | Self::Upload(UploadError::Blobs(blobs::Error::Differs { .. })) => {
                Refusal::with(StatusCode::UNPROCESSABLE_ENTITY, &self)
            }
            error => error.into(),
        }
    }
}

fn shown(SoFarCame { offset, length }: SoFarCame) -> wire::Upload {
    wire::Upload { offset, length, sha512: None }
}

/// 201 with what is kept, or where more of it is to go; otherwise `status`.
fn answered(came: Came, upload: &[&str], status: StatusCode, parts: &Parts) -> Response {
    let condition = Condition::default();
    match came {
        Came::All(digest, bytes) => {
            let kept = wire::Upload { offset: bytes, length: Some(bytes), sha512: Some(digest.to_string()) };
            let answer = Answer::ok(&kept).created(&["cache", "artifacts", &digest.to_string()]);
            let so_far = SoFarCame { offset: bytes, length: Some(bytes) };
            described(answer.into_response(&parts.method, &condition), so_far, true)
        }
        Came::Some(so_far) => {
            let answer = match status {
                StatusCode::CREATED => Answer::ok(&shown(so_far)).created(upload).secret(),
                _ => Answer::gone(),
            };
            described(answer.into_response(&parts.method, &condition), so_far, false)
        }
    }
}

/// Says in the header how much has come.
fn described(mut response: Response, so_far: SoFarCame, is_complete: bool) -> Response {
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, so_far.offset.into());
    headers.insert(UPLOAD_COMPLETE, HeaderValue::from_static(if is_complete { "?1" } else { "?0" }));
    if let Some(length) = so_far.length {
        headers.insert(UPLOAD_LENGTH, length.into());
    }
    if !is_complete {
        headers.insert(UPLOAD_LIMIT, LIMIT);
    }
    response
}

/// What a header says that stands there once at most.
fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut all = headers.get_all(name).iter();
    let (first, second) = (all.next(), all.next());
    let text = first.map(HeaderValue::to_str).transpose().ok().filter(|_| second.is_none());
    text.ok_or_else(|| Refusal::malformed(format!("`{name}` is not as described")))
}

/// A number of bytes (RFC 9651, an integer that is not negative).
fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Refusal> {
    let Some(text) = said(headers, name)? else { return Ok(None) };
    let is_number = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.map(Some).ok_or_else(|| Refusal::malformed(format!("`{name}` is no number of bytes")))
}

/// Whether the last bytes come now.
fn is_complete(headers: &HeaderMap) -> Result<Option<bool>, Refusal> {
    match said(headers, &UPLOAD_COMPLETE)? {
        None => Ok(None),
        Some("?0") => Ok(Some(false)),
        Some("?1") => Ok(Some(true)),
        Some(_) => Err(Refusal::malformed("`upload-complete` is neither `?0` nor `?1`")),
    }
}

/// What the bytes are to be (RFC 9530 §3). Digests of other kinds beside it are passed over.
fn expected(headers: &HeaderMap) -> Result<Option<Sha512>, Refusal> {
    let Some(text) = said(headers, &REPR_DIGEST)? else { return Ok(None) };
    let mut members = text.split(',').map(str::trim);
    let mut read = || {
        let digest = members.find_map(|member| member.strip_prefix("sha-512="))?;
        let bytes = BASE64.decode(digest.strip_prefix(':')?.strip_suffix(':')?).ok()?;
        Sha512::parse(&base::hex::encode(&bytes))
    };
    read().map(Some).ok_or_else(|| Refusal::malformed("`repr-digest` has no SHA-512 in `sha-512=:…:`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_comes() {
        let headers = |pairs: &[(&'static str, &str)]| {
            let pair = |(name, value): &(&'static str, &str)| {
                (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap())
            };
            let mut headers = HeaderMap::new();
            for (name, value) in pairs.iter().map(pair) {
                headers.append(name, value);
            }
            headers
        };
        for (text, expected) in [
            ("0", Some(0)),
            ("999999999999999", Some(999_999_999_999_999)),
            ("1000000000000000", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            ("1.0", None),
        ] {
            let read = number(&headers(&[("upload-offset", text)]), &UPLOAD_OFFSET);
            assert_eq!(read.ok().flatten(), expected, "{text}");
        }
        assert!(number(&headers(&[("upload-offset", "1"), ("upload-offset", "1")]), &UPLOAD_OFFSET).is_err());
        for (text, expected) in [("?0", Some(false)), ("?1", Some(true)), ("1", None), ("?2", None)] {
            assert_eq!(is_complete(&headers(&[("upload-complete", text)])).ok().flatten(), expected);
        }
        let digest = Sha512::of(b"x");
        let sha512 = BASE64.encode(base::hex::decode(&digest.to_string()).unwrap());
        for (text, is_read, expected) in [
            (format!("sha-512=:{sha512}:"), true, Some(digest)),
            (format!("md5=:AA==:, sha-512=:{sha512}:"), true, Some(digest)),
            ("sha-256=:AA==:".to_owned(), false, None),
            (String::new(), false, None),
            ("sha-512=:AA==:".to_owned(), false, None),
            (format!("sha-512={sha512}"), false, None),
        ] {
            let read = super::expected(&headers(&[("repr-digest", &text)]));
            assert_eq!((read.is_ok(), read.ok().flatten()), (is_read, expected), "{text}");
        }
    }

    #[test]
    fn only_uploads_are_inside() {
        for (path, expected) in [
            ("/v1/cache/uploads", true),
            ("/v1/cache/%75ploads", true),
            ("/v1/cache/uploads/", true),
            ("/v1/cache/uploads/a/b", true),
            ("/v1/cache/uploadsx", false),
            ("/v1/cache", false),
        ] {
            assert_eq!(Uploads::is_inside(path), expected, "{path}");
        }
    }
}
