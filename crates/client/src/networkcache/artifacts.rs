//! Bytes under their digest: `GET`, `HEAD` and `POST`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Sha512, Sha512Hasher};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::download::Download;
use super::file_body::FileBody;
use super::service::{Failed, Service, missed};
use super::{Access, CacheError, Patience, ServiceUrl};
use crate::answer::one_line;
use crate::client::BuildError;

/// What names bytes, in an answer: with room for what might stand around it.
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// A file that is to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// What its bytes are called.
    pub digest: Sha512,
}

impl Source {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// [`CacheError::File`].
    pub async fn of(path: &Path) -> Result<Self, CacheError> {
        let unreadable = |source| CacheError::File { path: path.to_owned(), source };
        let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let mut hasher = Sha512Hasher::new();
        let mut piece = vec![0; 1 << 20];
        let mut bytes = 0;
        loop {
            let read = file.read(&mut piece).await.map_err(unreadable)?;
            if read == 0 {
                return Ok(Self { path: path.to_owned(), bytes, digest: hasher.finish() });
            }
            bytes += read as u64;
            hasher.update(&piece[..read]);
        }
    }
}

/// How much of an upload has gone out, for whoever watches it. It goes back to where the upload goes on.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    pub(super) bytes: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl Sent {
    /// In bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often it was cut off, and went on or began anew.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    /// It begins at `bytes`.
    pub(super) fn begins_at(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn was_cut(&self) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks a server of bytes. Its clones share their connections.
#[derive(Debug, Clone)]
pub struct Artifacts {
    pub(super) service: Service,
}

impl Artifacts {
    /// Asks the server at `url`.
    ///
    /// # Errors
    /// When the user or the files of `access` are not what they should be.
    pub fn new(url: ServiceUrl, access: &Access) -> Result<Self, BuildError> {
        Self::with(url, access, Patience::LONG)
    }

    /// The same, with another patience.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with(url: ServiceUrl, access: &Access, patience: Patience) -> Result<Self, BuildError> {
        Ok(Self { service: Service::new(url, access, patience)? })
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &ServiceUrl {
        &self.service.url
    }

    /// The same server, asked by a cache for others, as this `Via` header says.
    #[must_use]
    pub fn via(&self, header: &str) -> Self {
        Self { service: self.service.via(header) }
    }

    /// How many bytes the object has, where the server says so, without fetching it.
    ///
    /// # Errors
    /// When the server does not have it ([`CacheError::is_absent`]), or does not answer.
    pub async fn size(&self, digest: Sha512) -> Result<Option<u64>, CacheError> {
        let url = self.service.url.under(&digest.to_string());
        // Not everybody serves HEAD; and of what GET answers, nothing is read.
        let mut method = Method::HEAD;
        loop {
            let ask = || self.service.asked(method.clone(), &url, self.service.request(method.clone(), &url));
            match self.service.until_done(ask).await {
                Ok(response) => {
                    let bytes = announced(&response);
                    // Some say of each body that they leave out that it has no bytes.
                    if bytes != Some(0) || method == Method::GET || digest == Sha512::of(b"") {
                        return Ok(bytes);
                    }
                    method = Method::GET;
                }
                Err(CacheError::Refused { status: 405 | 501, .. }) if method == Method::HEAD => {
                    method = Method::GET;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the server has these bytes. What it answers but yes is a no, as it is to old clients: a server that does not
    /// let anybody in says so when the bytes are posted.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn is_there(&self, digest: Sha512) -> Result<bool, CacheError> {
        let url = self.service.url.under(&digest.to_string());
        // Not everybody serves HEAD; and of what GET answers, nothing is read.
        for method in [Method::HEAD, Method::GET] {
            let ask = || self.service.asked(method.clone(), &url, self.service.request(method.clone(), &url));
            match self.service.until_done(ask).await {
                // No bytes are these bytes only where there are none.
                Ok(response) if announced(&response) == Some(0) && digest != Sha512::of(b"") => {}
                Ok(_) => return Ok(true),
                Err(CacheError::Refused { status: 404 | 410, .. }) => return Ok(false),
                Err(CacheError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Begins to fetch bytes.
    ///
    /// # Errors
    /// When the server does not have them ([`CacheError::is_absent`]), or does not answer.
    pub async fn get(&self, digest: Sha512) -> Result<Download, CacheError> {
        Download::begin(&self.service, digest).await
    }

    /// Begins to fetch what is behind the first `from` of them. Whether all are right is for whoever has those to say.
    ///
    /// # Errors
    /// As [`Self::get`]; when the server does not give that part.
    pub async fn get_behind(&self, digest: Sha512, from: u64) -> Result<Download, CacheError> {
        match from {
            0 => self.get(digest).await,
            from => Download::begin_behind(&self.service, digest, from).await,
        }
    }

    /// Uploads a file, whether the server has its bytes already or not. They are there when this has returned.
    ///
    /// # Errors
    /// When the server does not take them, or does not answer, or calls them by another name, or the file is no longer what
    /// `source` says.
    pub async fn post(&self, source: &Source, sent: &Sent) -> Result<(), CacheError> {
        let url = self.service.url.base();
        let answer = self.service.until_done(|| self.posted(url, source, sent)).await?;
        if answer == source.digest.to_string().as_bytes() {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&answer).chars().take(150).collect();
        Err(CacheError::OtherName { said: one_line(&said) })
    }

    /// Posts once; what the server calls the bytes.
    async fn posted(&self, url: &str, source: &Source, sent: &Sent) -> Result<Vec<u8>, Failed> {
        let unreadable = |error| CacheError::File { path: source.path.clone(), source: error };
        let length = |file: &File| file.metadata().map(|found| found.len()).map_err(unreadable);
        let changed = || CacheError::Changed { path: source.path.clone() };
        let file = File::open(&source.path).map_err(unreadable)?;
        if length(&file)? != source.bytes {
            return Err(changed().into());
        }
        sent.begins_at(0);
        let kept = file.try_clone().map_err(unreadable)?;
        let body = Body::wrap(FileBody::new(file, source.bytes, sent.bytes.clone()));
        let octets = HeaderValue::from_static("application/octet-stream");
        let request = self.service.request(Method::POST, url).header(CONTENT_TYPE, octets).body(body);
        let mut answering = pin!(request.send());
        let patience = self.service.patience.write;
        let response = loop {
            let before = sent.bytes();
            match timeout(patience, &mut answering).await {
                Ok(Ok(response)) => break response,
                Ok(Err(_)) if length(&kept)? < source.bytes => return Err(changed().into()),
                Ok(Err(error)) => return Err(Failed::upload(missed(url, error))),
                Err(_) if sent.bytes() == before => return Err(Failed::silent(url, patience)),
                Err(_) => {}
            }
        };
        if response.status().as_u16() != 201 {
            return Err(self.service.refused(Method::POST, url, response).await);
        }
        self.service.body(url, response, NAME_BYTES_MAX).await
    }
}

/// How many bytes an answer says that the object has.
fn announced(response: &Response) -> Option<u64> {
    match response.status() {
        StatusCode::NO_CONTENT => Some(0),
        // The length of a body that does not come is in the header alone.
        _ => content_length(response.headers()),
    }
}

/// How long the body is said to be that a server did not send.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
