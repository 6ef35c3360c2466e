//! The cache behind ours, asked as every client asks one.

use base::{Explain, Kind, Sha512};
use client::BuildError;
use client::networkcache::{Access, AccessError, Artifacts, CacheError, Entries};
use engine::{Incoming, Looked, NotFetched, Upstream, Via};
use entry::Entry;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};

use crate::settings;

/// Another ShaCache and ShaDir.
pub struct AnotherCache {
    artifacts: Artifacts,
    entries: Entries,
}

/// Why it cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Its files cannot be used.
    #[error("the upstream cache's files cannot be used")]
    Access(#[from] AccessError),
    /// They do not fit together.
    #[error("the upstream cache cannot be asked")]
    Build(#[from] BuildError),
}

impl Explain for UpstreamError {
    fn kind(&self) -> Kind {
        match self {
            Self::Access(source) => source.kind(),
            Self::Build(_) => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Access(source) => source.help(),
            Self::Build(_) => Some("see `cache.upstream_ca_file` and `cache.upstream_key_file`".into()),
        }
    }
}

impl AnotherCache {
    pub fn new(settings: &settings::Upstream) -> Result<Self, UpstreamError> {
        let key = settings.key_file.as_deref();
        let access = Access::from_files(settings.ca_file.as_deref(), key, key)?;
        Ok(Self {
            artifacts: Artifacts::new(settings.cache_url.clone(), &access)?,
            entries: Entries::new(settings.dir_url.clone(), &access)?,
        })
    }
}

impl AnotherCache {
    fn artifacts(&self, via: &Via) -> Artifacts {
        via.header().map_or_else(|| self.artifacts.clone(), |header| self.artifacts.via(&header))
    }

    fn of_entries(&self, via: &Via) -> Entries {
        via.header().map_or_else(|| self.entries.clone(), |header| self.entries.via(&header))
    }
}

impl Upstream for AnotherCache {
    fn artifact(
        &self,
        digest: Sha512,
        from: u64,
        via: Via,
    ) -> BoxFuture<'_, Result<Option<Incoming>, NotFetched>> {
        Box::pin(async move {
            let begun = self.artifacts(&via).get_behind(digest, from).await;
            let Some(mut download) = found(begun)? else { return Ok(None) };
            let (begins, bytes) = (download.begins(), download.bytes());
            let pieces = stream::try_unfold(download, |mut download| async move {
                let piece = download.next().await.map_err(|error| failed(&error))?;
                Ok(piece.map(|piece| (piece, download)))
            });
            Ok(Some(Incoming { begins, bytes, pieces: pieces.boxed() }))
        })
    }

    fn look(&self, digest: Sha512, via: Via) -> BoxFuture<'_, Result<Option<Looked>, NotFetched>> {
        Box::pin(async move {
            let bytes = found(self.artifacts(&via).size(digest).await)?;
            Ok(bytes.map(|bytes| Looked { bytes }))
        })
    }

    fn entries<'a>(
        &'a self,
        key: &'a str,
        via: Via,
    ) -> BoxFuture<'a, Result<Option<Vec<Entry>>, NotFetched>> {
        Box::pin(async move {
            let Some(list) = found(self.of_entries(&via).get(key).await)? else { return Ok(None) };
            if !list.skipped.is_empty() {
                let skipped = list.skipped.len();
                tracing::warn!(key, skipped, "upstream has malformed entries, which are left out");
            }
            Ok(Some(list.entries))
        })
    }
}

/// What came of asking; nothing when upstream does not have it.
fn found<T>(asked: Result<T, CacheError>) -> Result<Option<T>, NotFetched> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &CacheError) -> NotFetched {
    let reason = base::report(error);
    match error {
        CacheError::Unreachable { .. } => NotFetched::Unreachable { reason },
        // How long it is silent is for whoever waits to say; of this connection no more comes.
        _ => NotFetched::Failed { reason },
    }
}
