//! Uploads that go on where they were cut off, to servers of ours (draft-ietf-httpbis-resumable-upload).
//!
//! ```text
//! OPTIONS SERVER/v1/cache/uploads     whether the server does this: it has an `Upload-Limit` then
//! POST  SERVER/v1/cache/uploads       begins one, and says what all of it will be
//! PATCH SERVER/v1/cache/uploads/ID    the rest; 201 and the digest, when it is kept
//! HEAD  SERVER/v1/cache/uploads/ID    after a cut: how much has come
//! ```
//! A server that was started again knows none of its uploads: then it begins anew. One that does not do any of this is posted
//! to as ever.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Body, Method, Response};
use serde::Deserialize;
use tokio::time::timeout;

use super::file_body::FileBody;
use super::service::{Failed, Tries, missed};
use super::{Artifacts, CacheError, Patience, Sent, Source};
use crate::answer::one_line;

/// How long what a server says of an upload may be.
const ANSWER_BYTES_MAX: usize = 4096;

/// How often a server may forget an upload before the file is sent in one piece.
const LOST_MAX: u32 = 3;

/// What a server says when it has kept an upload.
#[derive(Deserialize)]
struct Kept {
    sha512: String,
}

impl Artifacts {
    /// Uploads a file as [`Artifacts::post`] does; a large one so that it goes on where it was cut off, if the server can do
    /// that. Cuts, resets, silence and trouble of the server's are waited out, as long as some of it arrives now and then.
    ///
    /// # Errors
    /// As of [`Artifacts::post`].
    pub async fn send(&self, source: &Source, sent: &Sent) -> Result<(), CacheError> {
        let is_large = source.bytes >= self.service.patience.in_pieces;
        match self.service.url.uploads().filter(|_| is_large) {
            Some(uploads)
                if self.takes_pieces(&uploads).await
                    && self.send_in_pieces(&uploads, source, sent).await? =>
            {
                Ok(())
            }
            _ => self.post(source, sent).await,
        }
    }

    /// Whether the server does that. One that others wrote may have trouble with much more than this question.
    async fn takes_pieces(&self, uploads: &str) -> bool {
        let request = self.service.request(Method::OPTIONS, uploads);
        let asked = self.service.asked(Method::OPTIONS, uploads, request).await;
        asked.is_ok_and(|response| response.headers().contains_key("upload-limit"))
    }

    /// Whether the server does that. If so, the file is there.
    async fn send_in_pieces(&self, uploads: &str, source: &Source, sent: &Sent) -> Result<bool, CacheError> {
        // A server that is started again may take a while.
        let patience = Patience { tries: self.service.patience.tries * 2, ..self.service.patience };
        let mut tries = Tries::new(patience);
        let (mut has_begun, mut lost) = (false, 0);
        loop {
            let (upload, at) = match self.open(uploads, source).await {
                Ok(Some(begun)) => begun,
                Ok(None) => return Ok(false),
                Err(failed) => match &failed.error {
                    error if has_begun && may_pass(error) => {
                        tries.wait(failed, Some(1)).await?;
                        continue;
                    }
                    // It would not take it in one piece either.
                    CacheError::Refused { status: 413 | 507, .. } => return Err(failed.error),
                    // Some servers hang up on what they do not know.
                    CacheError::Refused { .. } | CacheError::Broken { .. } if !has_begun || lost > 0 => {
                        return Ok(false);
                    }
                    _ => return Err(failed.error),
                },
            };
            has_begun = true;
            match self.fill(&upload, at, source, sent, &mut tries).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => {
                    // So that the server need not wait for the rest. If it does not hear it, it ends by itself.
                    let cancel = self.service.request(Method::DELETE, &upload).send();
                    let _ = timeout(self.service.patience.connect, cancel).await;
                    return Err(error);
                }
            }
            // It was kept, and the answer lost; or the server has started again.
            if self.is_there(source.digest).await? {
                return Ok(true);
            }
            // Again and again: there are several processes behind this address, and each knows its own uploads alone.
            lost += 1;
            if lost == LOST_MAX {
                return Ok(false);
            }
        }
    }

    /// Begins an upload, or goes on with one that somebody did not end. Where it is then, and how much the server has of it;
    /// nothing where it does not do that.
    async fn open(&self, uploads: &str, source: &Source) -> Result<Option<(String, u64)>, Failed> {
        let digest = BASE64.encode(source.digest.as_bytes());
        let request = self
            .service
            .request(Method::POST, uploads)
            .header(CONTENT_LENGTH, 0)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("upload-complete", "?0")
            .header("upload-length", source.bytes)
            .header("repr-digest", format!("sha-512=:{digest}:"));
        let response = self.service.asked(Method::POST, uploads, request).await?;
        let id = header(response.headers(), LOCATION.as_str()).and_then(|place| place.rsplit('/').next());
        let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let come =
            offset(&response).filter(|come| *come <= source.bytes && response.status().as_u16() == 201);
        Ok(id.filter(is_id).zip(come).map(|(id, come)| (format!("{uploads}/{id}"), come)))
    }

    /// Sends what is behind the first `at` bytes of the file to an upload. Whether it is kept; otherwise the server does not know the upload any more.
    async fn fill(
        &self,
        upload: &str,
        mut at: u64,
        source: &Source,
        sent: &Sent,
        tries: &mut Tries,
    ) -> Result<bool, CacheError> {
        loop {
            sent.begins_at(at);
            let failed = match self.append(upload, at, source, sent).await {
                Ok(()) => return Ok(true),
                Err(failed) => failed,
            };
            // What else is there is found out by asking how far it is.
            if !may_pass(&failed.error) && !is_of_state(&failed.error) {
                return Err(failed.error);
            }
            sent.was_cut();
            tries.wait(failed, Some(1)).await?;
            let come = loop {
                let request = self.service.request(Method::HEAD, upload);
                match self.service.asked(Method::HEAD, upload, request).await {
                    Ok(response) => break offset(&response),
                    Err(failed) if matches!(failed.error, CacheError::Refused { status: 404 | 410, .. }) => {
                        return Ok(false);
                    }
                    Err(failed) if may_pass(&failed.error) || is_of_state(&failed.error) => {
                        tries.wait(failed, Some(1)).await?;
                    }
                    Err(failed) => return Err(failed.error),
                }
            };
            let come = come.filter(|come| *come <= source.bytes);
            let come = come.ok_or_else(|| CacheError::OtherRange { url: upload.to_owned() })?;
            if come > at {
                tries.refill();
            }
            at = come;
        }
    }

    /// Sends what is behind the first `at` bytes.
    async fn append(&self, upload: &str, at: u64, source: &Source, sent: &Sent) -> Result<(), Failed> {
        let unreadable = |error| CacheError::File { path: source.path.clone(), source: error };
        let length = |file: &File| file.metadata().map(|found| found.len()).map_err(unreadable);
        let changed = || CacheError::Changed { path: source.path.clone() };
        let mut file = File::open(&source.path).map_err(unreadable)?;
        if length(&file)? != source.bytes {
            return Err(changed().into());
        }
        file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
        let kept = file.try_clone().map_err(unreadable)?;
        let body = Body::wrap(FileBody::new(file, source.bytes - at, sent.bytes.clone()));
        let request = self
            .service
            .request(Method::PATCH, upload)
            .header(CONTENT_TYPE, wire::PARTIAL_UPLOAD)
            .header("upload-offset", at)
            .header("upload-complete", "?1")
            .body(body);
        let mut answering = pin!(request.send());
        let response = loop {
            let before = sent.bytes();
            // It may take long to digest it, but not to take it.
            let patience = match before < source.bytes {
                true => self.service.patience.read,
                false => self.service.patience.write,
            };
            match timeout(patience, &mut answering).await {
                Ok(Ok(response)) => break response,
                Ok(Err(_)) if length(&kept)? < source.bytes => return Err(changed().into()),
                Ok(Err(error)) => return Err(missed(upload, error).into()),
                Err(_) if sent.bytes() == before => {
                    return Err(
                        CacheError::Silent { url: upload.to_owned(), seconds: patience.as_secs() }.into()
                    );
                }
                Err(_) => {}
            }
        };
        if response.status().as_u16() != 201 {
            return Err(self.service.refused(Method::PATCH, upload, response).await);
        }
        let answer = self.service.body(upload, response, ANSWER_BYTES_MAX).await?;
        match serde_json::from_slice::<Kept>(&answer) {
            Ok(kept) if kept.sha512 == source.digest.to_string() => Ok(()),
            Ok(kept) => Err(CacheError::OtherName { said: one_line(&kept.sha512) }.into()),
            Err(_) => Err(CacheError::OtherName { said: String::new() }.into()),
        }
    }
}

/// Whether it may be over when it is tried again: a server that was there a moment ago may be back soon.
fn may_pass(error: &CacheError) -> bool {
    match error {
        CacheError::Unreachable { .. } | CacheError::Broken { .. } | CacheError::Silent { .. } => true,
        CacheError::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
        _ => false,
    }
}

/// Whether the upload is in another state than was thought.
fn is_of_state(error: &CacheError) -> bool {
    matches!(error, CacheError::Refused { status: 404 | 409 | 410, .. })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// How much a server says has come.
fn offset(response: &Response) -> Option<u64> {
    header(response.headers(), "upload-offset").and_then(|text| text.trim().parse().ok())
}
