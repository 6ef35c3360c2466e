//! Another cache, which has what ours has not: what is asked of ours and not there is fetched from it, and stays
//! (networkcache contract, section 13).

mod artifacts;
mod entries;
mod fetch;

use std::sync::Arc;

use base::{Clock, Explain, Kind, Sha512, Span};
use bytes::Bytes;
use cache::{Cache, EntryKey, OpenError, UploadError};
use entry::Entry;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use store::blobs;

use self::artifacts::Artifacts;
use self::entries::Lists;
use crate::tasks::{Stop, Tasks};

pub use self::artifacts::{Coming, Relayed};

/// Another cache. How it is asked is known to whoever builds the house.
pub trait Upstream: Send + Sync {
    /// Begins to fetch an artifact; nothing when it is not there.
    fn artifact(&self, digest: Sha512) -> BoxFuture<'_, Result<Option<Incoming>, NotFetched>>;

    /// All entries of a key; nothing when there are none.
    fn entries<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<Entry>>, NotFetched>>;
}

/// An artifact that is coming from upstream.
pub struct Incoming {
    /// How many bytes it is said to have.
    pub bytes: Option<u64>,
    /// Its bytes, which are not known to be right before the end.
    pub pieces: BoxStream<'static, Result<Bytes, NotFetched>>,
}

/// Upstream did not give what it was asked for, though it may have it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the upstream cache failed: {0}")]
pub struct NotFetched(pub String);

/// Why what is not here could not be had from upstream.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Upstream has trouble.
    #[error(transparent)]
    Upstream(#[from] NotFetched),
    /// Enough is being fetched at once.
    #[error("too much is being fetched from the upstream cache")]
    Busy,
    /// What is here could not be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What came could not be kept.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// What was written so far could not be read.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    /// Whoever was fetching it did not come to an end.
    #[error("the artifact could not be fetched: {0}")]
    Failed(Arc<RelayError>),
    /// The house is closing.
    #[error("the server is stopping")]
    Stopping,
}

impl Explain for RelayError {
    fn kind(&self) -> Kind {
        match self {
            Self::Upstream(_) | Self::Busy | Self::Stopping => Kind::Unavailable,
            Self::Open(source) => source.kind(),
            Self::Upload(source) => source.kind(),
            Self::Blobs(source) => source.kind(),
            Self::Failed(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Upstream(_) | Self::Busy | Self::Stopping => None,
            Self::Open(source) => source.help(),
            Self::Upload(source) => source.help(),
            Self::Blobs(source) => source.help(),
            Self::Failed(source) => source.help(),
        }
    }
}

impl RelayError {
    /// Whether it is upstream that has trouble.
    #[must_use]
    pub fn is_upstreams(&self) -> bool {
        match self {
            Self::Upstream(_) => true,
            Self::Failed(source) => source.is_upstreams(),
            _ => false,
        }
    }
}

/// How long what upstream said is believed.
#[derive(Debug, Clone, Copy)]
pub struct Freshness {
    /// How long an artifact or a key that is not there is not asked for again.
    pub absent: Span,
    /// How long a key's entries are not asked for again.
    pub entries: Span,
}

/// The cache behind ours.
pub struct Behind {
    /// How it is asked.
    pub upstream: Arc<dyn Upstream>,
    /// How long what it said is believed.
    pub fresh: Freshness,
}

/// The cache, and another one behind it.
pub struct Relay {
    cache: Arc<Cache>,
    upstream: Arc<dyn Upstream>,
    fresh: Freshness,
    clock: Clock,
    tasks: Tasks,
    stop: Stop,
    artifacts: Artifacts,
    lists: Lists,
}

impl Relay {
    pub(crate) fn new(
        cache: Arc<Cache>,
        Behind { upstream, fresh }: Behind,
        clock: Clock,
        tasks: Tasks,
        stop: Stop,
    ) -> Self {
        let (artifacts, lists) = (Artifacts::default(), Lists::default());
        Self { cache, upstream, fresh, clock, tasks, stop, artifacts, lists }
    }

    /// Whether a key has been asked for at upstream so recently that what is here counts.
    #[must_use]
    pub fn is_fresh(&self, key: &EntryKey) -> bool {
        self.lists.is_fresh(key, self.clock.now())
    }
}
