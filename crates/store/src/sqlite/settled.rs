//! The revision that the store is at, known without looking into the file, unless it is just about to change.
//!
//! ```text
//! turns   even          odd            even
//!         at rest ──► committing ──► at rest, perhaps at another revision
//! ```
//! While a commit is under way nobody but the file can say whether readers see it already.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Revision;

/// What the writer tells, and everybody may read.
pub(super) struct Settled {
    turns: AtomicU64,
    revision: AtomicU64,
    closed: AtomicBool,
}

impl Settled {
    /// At rest, at `revision`.
    pub(super) fn at(revision: Revision) -> Self {
        let revision = AtomicU64::new(revision.0);
        Self { turns: AtomicU64::new(0), revision, closed: AtomicBool::new(false) }
    }

    /// Runs `commit`, which gives the revision that the store is at afterwards, done or not. For the one writer.
    pub(super) fn change<T>(&self, commit: impl FnOnce() -> (Revision, T)) -> T {
        self.turns.fetch_add(1, Ordering::SeqCst);
        let (revision, outcome) = commit();
        self.revision.store(revision.0, Ordering::SeqCst);
        self.turns.fetch_add(1, Ordering::SeqCst);
        outcome
    }

    /// From now on nothing is told.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// The revision that whoever reads now would see; nothing when the file has to be asked.
    pub(super) fn revision(&self) -> Option<Revision> {
        let turns = self.turns.load(Ordering::SeqCst);
        let revision = Revision(self.revision.load(Ordering::SeqCst));
        let is_at_rest = turns.is_multiple_of(2) && turns == self.turns.load(Ordering::SeqCst);
        (is_at_rest && !self.closed.load(Ordering::SeqCst)).then_some(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_to_change_is_not_told() {
        let settled = Settled::at(Revision(3));
        assert_eq!(settled.revision(), Some(Revision(3)));
        settled.change(|| (Revision(4), assert_eq!(settled.revision(), None)));
        assert_eq!(settled.revision(), Some(Revision(4)));
        settled.change(|| (Revision(4), ()));
        assert_eq!(settled.revision(), Some(Revision(4)), "a commit that failed changes nothing");
        settled.close();
        assert_eq!(settled.revision(), None);
    }
}
