//! What can go wrong between a client and a cache.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind, Sha512};
use entry::ListError;
use reqwest::Method;

/// Something was not fetched or not stored.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// There was no connection.
    #[error("could not reach {url}: {why}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why, in one line.
        why: String,
    },
    /// There was a connection, and it broke, again and again.
    #[error("the connection to {url} broke: {why}")]
    Broken {
        /// What was asked for.
        url: String,
        /// Why, in one line.
        why: String,
    },
    /// The server said nothing.
    #[error("{url} was silent for {seconds} s")]
    Silent {
        /// What was asked for.
        url: String,
        /// For how long.
        seconds: u64,
    },
    /// The server says no.
    #[error("the server answered {status} to {method} {url}{}", said(.detail))]
    Refused {
        /// What was asked.
        method: Method,
        /// Of which URL.
        url: String,
        /// The answer's status.
        status: u16,
        /// What the server says about it, in one line.
        detail: Option<String>,
    },
    /// The bytes are not those that the digest names.
    #[error("invalid checksum: {url} gave bytes whose SHA-512 is {got}")]
    Digest {
        /// Where they came from.
        url: String,
        /// The digest of what came.
        got: Sha512,
    },
    /// A server took bytes and calls them by another name.
    #[error("the server took the bytes and answered `{said}`, which is not their SHA-512")]
    OtherName {
        /// What it said.
        said: String,
    },
    /// More came than is taken.
    #[error("{url} gave more than {bytes_max} bytes")]
    TooLarge {
        /// Where it came from.
        url: String,
        /// The bound.
        bytes_max: u64,
    },
    /// A server resumes where nobody asked it to.
    #[error("{url} went on in another place than was asked for")]
    OtherRange {
        /// What was asked for.
        url: String,
    },
    /// What came is not a list of entries.
    #[error(transparent)]
    List(#[from] ListError),
    /// It does not say what it has.
    #[error("{url} does not list its keys")]
    Unlisted {
        /// What was asked.
        url: String,
    },
    /// A key that no URL can carry.
    #[error("`{0}` is not a key: it is empty, too long, or has `.` or `..` for a part")]
    Key(String),
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not what it was when it was looked at.
    #[error("{} changed while it was sent", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

fn said(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
}

impl CacheError {
    /// Whether the server says that there is no such thing.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

impl Explain for CacheError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::File { .. } => Kind::Unavailable,
            Self::Silent { .. } => Kind::TimedOut,
            Self::Refused { status, .. } => match status {
                401 => Kind::Unauthenticated,
                403 => Kind::Forbidden,
                404 | 410 => Kind::NotFound,
                413 => Kind::TooLarge,
                507 => Kind::Full,
                408 => Kind::TimedOut,
                429 | 500.. => Kind::Unavailable,
                _ => Kind::Invalid,
            },
            Self::Digest { .. } | Self::OtherName { .. } | Self::OtherRange { .. } => Kind::Internal,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::List(error) => error.kind(),
            Self::Key(_) | Self::Unlisted { .. } => Kind::Invalid,
            Self::Changed { .. } => Kind::Conflict,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Refused { status: 300..=399, .. } => {
                Some("caches do not redirect: give the URL that it redirects to".to_owned())
            }
            Self::Refused { status: 401 | 403, .. } => Some(
                "writers prove who they are: with a client certificate, or user:password@ in the URL"
                    .to_owned(),
            ),
            Self::Unlisted { .. } => Some("name the keys: only servers of this kind list them".to_owned()),
            _ => None,
        }
    }
}
