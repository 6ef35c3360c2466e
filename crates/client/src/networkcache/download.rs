//! Bytes as they come, and again from where they were cut off.

use base::{Sha512, Sha512Hasher};
use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response};

use super::CacheError;
use super::service::{Failed, Service, Tries};

/// An object on its way.
///
/// What comes is not known to be right before the end: [`Download::next`] says `None` only when the digest of all that came
/// is the one that was asked for, unless it was begun in the middle.
#[derive(Debug)]
pub struct Download {
    service: Service,
    url: String,
    wanted: Sha512,
    /// `None` between two connections.
    response: Option<Response>,
    /// How much is to be passed over of what comes next: a server that does not know ranges begins anew.
    passed_over: u64,
    seen: u64,
    /// How long the object is, if anybody said so.
    announced: Option<u64>,
    bytes_max: u64,
    /// Until the end.
    hasher: Option<Sha512Hasher>,
    /// Whether it was begun at the beginning, so that its digest can be told.
    is_whole: bool,
    tries: Tries,
}

impl Download {
    pub(super) async fn begin(service: &Service, wanted: Sha512) -> Result<Self, CacheError> {
        let url = service.url.under(&wanted.to_string());
        let ask = || service.asked(Method::GET, &url, service.request(Method::GET, &url));
        let response = service.until_done(ask).await?;
        let announced = response.content_length();
        Ok(Self {
            service: service.clone(),
            url,
            wanted,
            response: Some(response),
            passed_over: 0,
            seen: 0,
            announced,
            bytes_max: u64::MAX,
            hasher: Some(Sha512Hasher::new()),
            is_whole: true,
            tries: Tries::new(service.patience),
        })
    }

    /// The same behind the first `from` bytes, of which there are some.
    pub(super) async fn begin_behind(
        service: &Service,
        wanted: Sha512,
        from: u64,
    ) -> Result<Self, CacheError> {
        let mut download = Self {
            service: service.clone(),
            url: service.url.under(&wanted.to_string()),
            wanted,
            response: None,
            passed_over: 0,
            seen: from,
            announced: None,
            bytes_max: u64::MAX,
            hasher: Some(Sha512Hasher::new()),
            is_whole: false,
            tries: Tries::new(service.patience),
        };
        while download.response.is_none() {
            download.go_on().await?;
        }
        Ok(download)
    }

    /// Behind how many bytes what comes begins. Where a server that does not know ranges sends all of it, that is none: who
    /// has the beginning need not wait in silence until as much has come again.
    pub fn begins(&mut self) -> u64 {
        if !self.is_whole && self.seen == self.passed_over {
            (self.seen, self.passed_over, self.is_whole) = (0, 0, true);
            self.hasher = Some(Sha512Hasher::new());
        }
        self.seen
    }

    /// How many bytes it has in all, if the server says so.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.announced
    }

    /// Takes no more than this.
    #[must_use]
    pub fn at_most(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// The next piece. `None` when all have come and their digest is right. Connections that are cut off, reset or silent
    /// are made again, as are those to servers that have trouble (5xx), until nothing comes of it; see [`super`].
    ///
    /// # Errors
    /// [`CacheError::Digest`] at the end, [`CacheError::TooLarge`], and whatever keeps the rest from coming.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CacheError> {
        while let Some(hasher) = &mut self.hasher {
            let Some(response) = &mut self.response else {
                self.go_on().await?;
                continue;
            };
            let failed = match self.service.piece(&self.url, response).await {
                Ok(Some(mut piece)) => {
                    let passed_over = self.passed_over.min(piece.len() as u64);
                    self.passed_over -= passed_over;
                    // It is no more than the length of the piece.
                    let piece = piece.split_off(passed_over as usize);
                    if piece.is_empty() {
                        continue;
                    }
                    self.seen += piece.len() as u64;
                    let bytes_max = self.announced.unwrap_or(u64::MAX).min(self.bytes_max);
                    if self.seen > bytes_max {
                        return Err(CacheError::TooLarge { url: self.url.clone(), bytes_max });
                    }
                    hasher.update(&piece);
                    self.tries.refill();
                    return Ok(Some(piece));
                }
                Ok(None)
                    if self.passed_over == 0 && self.announced.is_none_or(|bytes| self.seen == bytes) =>
                {
                    return self.finish();
                }
                Ok(None) => CacheError::Broken { url: self.url.clone(), why: "it ended early".to_owned() },
                Err(error) => error,
            };
            self.response = None;
            let failed = Failed::from(failed);
            let costs = failed.costs();
            self.tries.wait(failed, costs).await?;
        }
        Ok(None)
    }

    fn finish(&mut self) -> Result<Option<Bytes>, CacheError> {
        self.response = None;
        let got = self.hasher.take().map(Sha512Hasher::finish).unwrap_or(self.wanted);
        if got == self.wanted || !self.is_whole {
            Ok(None)
        } else {
            Err(CacheError::Digest { url: self.url.clone(), got })
        }
    }

    /// Asks for the rest.
    async fn go_on(&mut self) -> Result<(), CacheError> {
        let mut request = self.service.request(Method::GET, &self.url);
        if self.seen > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.seen));
        }
        let failed = match self.service.asked(Method::GET, &self.url, request).await {
            Ok(response) => return self.joins(response),
            Err(failed) => failed,
        };
        // A server that was there a moment ago may be back soon.
        let is_gone = matches!(failed.error, CacheError::Unreachable { .. });
        let costs = if is_gone { Some(1) } else { failed.costs() };
        self.tries.wait(failed, costs).await
    }

    /// Takes the rest from `response`, if it is one.
    fn joins(&mut self, response: Response) -> Result<(), CacheError> {
        let (begins, whole) = match response.status().as_u16() {
            206 => {
                let header = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
                header.and_then(content_range).unwrap_or((self.seen, None))
            }
            _ => (0, response.content_length()),
        };
        let is_another = self.announced.zip(whole).is_some_and(|(announced, whole)| announced != whole);
        if begins > self.seen || is_another {
            return Err(CacheError::OtherRange { url: self.url.clone() });
        }
        self.passed_over = self.seen - begins;
        self.announced = self.announced.or(whole);
        self.response = Some(response);
        Ok(())
    }
}

/// Where `bytes FIRST-LAST/WHOLE` begins, and how long the whole is (RFC 9110 §14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, _last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, whole.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (text, expected) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes x-9/10", None),
            ("bytes 18446744073709551616-9/10", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }
}
