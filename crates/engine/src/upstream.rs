//! Another cache, which has what ours has not: what is asked of ours and not there is fetched from it, and stays
//! (networkcache contract, section 13).

mod artifacts;
mod course;
mod entries;
mod fetch;
mod looking;
mod parked;
mod passing;
mod places;
#[cfg(test)]
mod tests;
mod trouble;
mod via;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy, Explain, Kind, Sha512, Span};
use bytes::Bytes;
use cache::{Cache, EntryKey, OpenError, UploadError};
use entry::Entry;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use store::blobs;

use self::artifacts::Artifacts;
use self::entries::Lists;
use self::parked::Parking;
use self::trouble::{Name, Trouble};
use crate::tasks::{Stop, Tasks};

pub use self::artifacts::{Coming, Relayed};
pub use self::passing::Passing;
pub use self::via::Via;

/// Another cache. How it is asked is known to whoever builds the house. Each question says which caches it came through.
pub trait Upstream: Send + Sync {
    /// Begins to fetch an artifact, behind its first `from` bytes, or all of it where it has no parts; nothing when it is not
    /// there.
    fn artifact(
        &self,
        digest: Sha512,
        from: u64,
        via: Via,
    ) -> BoxFuture<'_, Result<Option<Incoming>, NotFetched>>;

    /// Whether an artifact is there, and how many bytes it is said to have; nothing of it is fetched.
    fn look(&self, digest: Sha512, via: Via) -> BoxFuture<'_, Result<Option<Looked>, NotFetched>>;

    /// All entries of a key; nothing when there are none.
    fn entries<'a>(&'a self, key: &'a str, via: Via)
    -> BoxFuture<'a, Result<Option<Vec<Entry>>, NotFetched>>;
}

/// Who asks, as far as it matters to upstream.
#[derive(Debug, Clone, Default)]
pub struct Asker {
    /// Where they are.
    pub from: Option<IpAddr>,
    /// The caches through which they ask.
    pub via: Via,
}

/// That `digest` is not said to have no bytes, unless it is what nothing has for a digest. Whoever gets bytes has them all
/// when the last one is known to be right; of none there is no last one, and who was told so would have had everything.
fn has_a_length_of_its_own(digest: Sha512, bytes: Option<u64>) -> Result<(), NotFetched> {
    match bytes {
        Some(0) if digest != Sha512::of(b"") => {
            Err(NotFetched::Failed { reason: "it says that the artifact has no bytes".to_owned() })
        }
        _ => Ok(()),
    }
}

/// An artifact that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// How many bytes it has, where that is known.
    pub bytes: Option<u64>,
}

/// An artifact that is coming from upstream.
pub struct Incoming {
    /// Behind how many of its bytes what comes begins: as many as are here, or none.
    pub begins: u64,
    /// How many bytes it is said to have in all.
    pub bytes: Option<u64>,
    /// Its bytes behind those, which are not known to be right before the end.
    pub pieces: BoxStream<'static, Result<Bytes, NotFetched>>,
}

/// Upstream did not give what it was asked for, though it may have it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotFetched {
    /// There is no connection to it.
    #[error("the upstream cache cannot be reached: {reason}")]
    Unreachable {
        /// In the words of whoever asked.
        reason: String,
    },
    /// It was asked, and this is what went wrong.
    #[error("the upstream cache failed: {reason}")]
    Failed {
        /// In the words of whoever asked.
        reason: String,
    },
    /// It was not asked.
    #[error("the upstream cache had trouble a moment ago")]
    LeftAlone,
    /// It took too long to answer.
    #[error("the upstream cache said nothing for {seconds} s")]
    Silent {
        /// How long it had.
        seconds: u64,
    },
    /// It takes too long to send.
    #[error("the upstream cache sent {bytes} bytes within {seconds} s")]
    Slow {
        /// How many came.
        bytes: u64,
        /// Within which time.
        seconds: u64,
    },
}

impl Explain for NotFetched {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn help(&self) -> Option<String> {
        Some(
            "see whether the server at `cache.upstream_cache_url` and `cache.upstream_dir_url` is well"
                .into(),
        )
    }
}

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
    /// All who wanted it have gone.
    #[error("nobody reads the artifact any more")]
    Unread,
    /// The house is closing.
    #[error("the server is stopping")]
    Stopping,
}

impl Explain for RelayError {
    fn kind(&self) -> Kind {
        match self {
            Self::Upstream(_) | Self::Busy | Self::Unread | Self::Stopping => Kind::Unavailable,
            Self::Open(source) => source.kind(),
            Self::Upload(source) => source.kind(),
            Self::Blobs(source) => source.kind(),
            Self::Failed(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Upstream(source) => source.help(),
            Self::Busy | Self::Unread | Self::Stopping => None,
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
            // Other bytes than those that were asked for are nobody's fault here.
            Self::Upstream(_) | Self::Upload(UploadError::Blobs(blobs::Error::Differs { .. })) => true,
            Self::Failed(source) => source.is_upstreams(),
            _ => false,
        }
    }

    /// Whether what came cannot be kept here, though it may be right.
    fn is_no_room(&self) -> bool {
        matches!(self, Self::Upload(source) if matches!(source.kind(), Kind::Full | Kind::TooLarge))
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
    /// What this house is called among caches, until it ends.
    name: String,
    artifacts: Artifacts,
    parking: Arc<Parking>,
    lists: Lists,
    trouble: Trouble,
}

impl Relay {
    pub(crate) fn new(
        cache: Arc<Cache>,
        Behind { upstream, fresh }: Behind,
        clock: Clock,
        entropy: &Entropy,
        (tasks, stop): (Tasks, Stop),
    ) -> Self {
        let (artifacts, lists) = (Artifacts::default(), Lists::default());
        let name = Via::name(entropy.number());
        let (parking, trouble) = (Arc::new(Parking::default()), Trouble::default());
        let spare = Arc::downgrade(&parking);
        cache.gives_up_first(move || spare.upgrade().is_some_and(|parking| parking.clear()));
        Self { cache, upstream, fresh, clock, tasks, stop, name, artifacts, parking, lists, trouble }
    }

    /// Whether a key has been asked for at upstream so recently that what is here counts.
    #[must_use]
    pub fn is_fresh(&self, key: &EntryKey) -> bool {
        self.lists.is_fresh(key, self.clock.now())
    }

    /// Asks upstream for `name`, unless that made trouble a moment ago.
    async fn questioned<T>(
        &self,
        name: Name,
        within: Duration,
        question: impl Future<Output = Result<T, NotFetched>>,
    ) -> Result<T, NotFetched> {
        if self.trouble.is_left_alone(&name, self.clock.now()) {
            return Err(NotFetched::LeftAlone);
        }
        let late = |_| NotFetched::Silent { seconds: within.as_secs() };
        let answer = tokio::time::timeout(within, question).await.map_err(late).flatten();
        match &answer {
            Ok(_) => self.trouble.answered(&name),
            Err(error) => {
                let reason = base::report(error);
                // Of the first trouble; since then anybody may ask for anything, and as often.
                if self.trouble.failed(name.clone(), error, self.clock.now()) {
                    tracing::warn!(%name, error = %reason, "upstream did not give what it was asked for");
                } else {
                    tracing::debug!(%name, error = %reason, "upstream did not give what it was asked for");
                }
            }
        }
        answer
    }
}
