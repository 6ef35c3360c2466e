//! What can be wrong with a chain.

use base::{Explain, Kind};

use crate::hash::Head;

/// A text that is no link, or no anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its line {line} is not as it has to be")]
pub struct Malformed {
    /// Which, from 1 on.
    pub line: usize,
}

/// Why a history is not what was linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A link is no link.
    #[error("link {number} cannot be read")]
    Link {
        /// Which was to come.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: Malformed,
    },
    /// The anchor is none.
    #[error("the anchor, which says what was dropped, cannot be read")]
    Anchor(#[source] Malformed),
    /// The anchor was not signed with the key.
    #[error("the anchor, which says what was dropped, was not signed with the house's key")]
    AnchorSignature,
    /// A link was not signed with the key.
    #[error("link {number} was not signed with the house's key, or was changed since")]
    Signature {
        /// Which.
        number: u64,
    },
    /// Another link stands where one was to come.
    #[error("link {expected} is missing: link {found} stands in its place")]
    Number {
        /// Which was to come.
        expected: u64,
        /// Which came.
        found: u64,
    },
    /// A link does not name the one that stands before it.
    #[error("link {number} does not follow the one before it: one of them is another than it was")]
    Previous {
        /// Which.
        number: u64,
    },
    /// A link counts other events than there are.
    #[error("link {number} counts other events than there are links for")]
    Total {
        /// Which.
        number: u64,
    },
    /// An event that was linked is not there.
    #[error("event {id} of link {number} was removed")]
    EventMissing {
        /// Whose it was.
        number: u64,
        /// Which.
        id: String,
    },
    /// An event says something else than when it was linked.
    #[error("event {id} of link {number} was changed")]
    EventChanged {
        /// Whose it is.
        number: u64,
        /// Which.
        id: String,
    },
    /// There is an event that was not linked where all are.
    #[error("event {id} was put in afterwards: no link has it")]
    EventInserted {
        /// Which.
        id: String,
    },
    /// An event is in two links.
    #[error("event {id} is in two links")]
    EventTwice {
        /// Which.
        id: String,
    },
    /// There are fewer links than there were.
    #[error("the end was cut off: the last link is {last}, and there was a link {}", kept.number)]
    Truncated {
        /// The last one that is there.
        last: u64,
        /// The one that there was.
        kept: Head,
    },
    /// The link that was kept is another one now.
    #[error("link {} is another one than it was: everything up to it was rewritten", kept.number)]
    Rewritten {
        /// As it was.
        kept: Head,
    },
    /// The head that the store names is not the last link.
    #[error("link {last} is the last one, and {said} is said to be")]
    Head {
        /// The last one.
        last: u64,
        /// The one that is said to be.
        said: u64,
    },
    /// It was signed with another key than the one that was named.
    #[error("the history was signed with the key {found}, and another one was expected")]
    Key {
        /// Its fingerprint.
        found: String,
    },
}

impl Explain for Broken {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some(
            "keep this store as it is for whoever looks into it, and compare it with a backup: `provost audit export` of \
             each shows where they part"
                .into(),
        )
    }
}
