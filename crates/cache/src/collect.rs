//! Removing what need not be kept.
//!
//! Entries go as the rules say ([`Retention`]). An artifact whose last entry went stays for a time of grace, and for
//! another one whenever somebody asks for it meanwhile; then it goes too. One that never had an entry goes only where a
//! rule of its own says so, since it may be known by its name alone, and after the time of grace as well. Bytes that were kept
//! for what was refused then go after the time of grace too; those that a crash leaves go when an operator asks for that.
//!
//! Everything is decided by what the store says in the commit that does it: what is to go is marked so in its record, and who
//! names, keeps or reads it from then on changes that, so that the removal does not happen. Whatever the rules say, entries stay
//! that others count by (`spared.rs`), and what the cache behind this one shows does not come again (`gone.rs`).

mod artifacts;
mod entries;
mod in_force;
mod spared;

use base::{Sha512, Span, Timestamp};
use identity::Permit;

use crate::error::MaintainError;
use crate::key::EntryKey;
use crate::retention::{Keep, Retention};
use crate::service::{Cache, Maintain};

pub use self::entries::EntryFacts;
pub use self::in_force::InForce;

/// How many of the things removed are told one by one.
const TOLD_MAX: usize = 1000;

/// What is to be removed.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Which entries stay.
    pub retention: Retention,
    /// Which artifacts stay that never had an entry.
    pub unnamed: Keep,
    /// How long an artifact stays when its last entry has gone, and bytes that nobody wrote down.
    pub grace: Span,
}

impl Rules {
    /// Rules that remove nothing.
    pub(crate) fn keeping_everything() -> Self {
        Self { retention: Retention::default(), unnamed: Keep::all(), grace: Span::days(1) }
    }
}

/// How it is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct How {
    /// Whether nothing is removed, and only told what would be.
    pub is_dry: bool,
    /// Whether bytes go that nobody wrote down. Never without being asked for: a database that was put back from a backup,
    /// or that another house has for the same bucket, knows less than there is.
    pub strays: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many entries.
    pub entries: u64,
    /// How many artifacts.
    pub artifacts: u64,
    /// How many bytes of artifacts.
    pub bytes: u64,
    /// How many artifacts will go after the time of grace, unless somebody wants them.
    pub waiting: u64,
    /// How many blobs that nobody wrote down.
    pub strays: u64,
    /// The first of them.
    pub told: Vec<Removed>,
    /// Whether it was stopped before its end.
    pub is_partial: bool,
}

/// Something that was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// An entry.
    Entry {
        /// Of which key.
        key: EntryKey,
        /// The artifact that it names.
        artifact: Sha512,
        /// When it came.
        at: Timestamp,
    },
    /// An artifact.
    Artifact {
        /// Its name.
        digest: Sha512,
        /// How many bytes it had.
        bytes: u64,
    },
}

/// One round.
struct Round<'a> {
    cache: &'a Cache,
    permit: &'a Permit<Maintain>,
    rules: &'a Rules,
    now: Timestamp,
    /// Whether nothing is to be done.
    is_dry: bool,
    /// Whether what is pinned stays.
    heeds_pins: bool,
    stop: &'a (dyn Fn() -> bool + Sync),
    collected: Collected,
}

impl Cache {
    /// Removes what need not be kept. `stop` is asked between pieces of work.
    ///
    /// # Errors
    /// [`MaintainError`]; what was removed by then is removed.
    pub async fn collect(
        &self,
        permit: &Permit<Maintain>,
        rules: &Rules,
        how: How,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Collected, MaintainError> {
        let now = self.ground.clock.now();
        let collected = Collected::default();
        let How { is_dry, strays } = how;
        let mut round = Round { cache: self, permit, rules, now, is_dry, heeds_pins: true, stop, collected };
        round.entries().await?;
        round.artifacts().await?;
        round.refused().await?;
        if strays {
            round.strays().await?;
        }
        Ok(round.collected)
    }
}

impl Round<'_> {
    fn is_stopped(&mut self) -> bool {
        self.collected.is_partial |= (self.stop)();
        self.collected.is_partial
    }

    fn tell(&mut self, removed: Removed) {
        if self.collected.told.len() < TOLD_MAX {
            self.collected.told.push(removed);
        }
    }
}
