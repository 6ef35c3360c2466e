//! Where pages ended, so that the same page is asked for in a narrow range the next time.
//!
//! etcd 3.4 goes through all keys of a range, however few are asked for, to say how many there are: the first page of
//! 100,000 keys takes it ten times as long as the last. A range that is known to have had as many keys as are asked for
//! gives the same page for less, unless some are gone since: then fewer come, and the whole range is asked.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many pages are remembered. Beyond that all are forgotten.
const PAGES_MAX: usize = 1024;

/// The last key of each page that was full, by where it began and how many keys were asked for.
#[derive(Default)]
pub(super) struct Ends(Mutex<LastKeys>);

type LastKeys = HashMap<(Vec<u8>, usize), Vec<u8>>;

impl Ends {
    fn kept(&self) -> MutexGuard<'_, LastKeys> {
        // Nothing is half done under this lock when it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last of `asked` keys from `start` on, when there were so many last time.
    pub(super) fn of(&self, start: &[u8], asked: usize) -> Option<Vec<u8>> {
        self.kept().get(&(start.to_vec(), asked)).cloned()
    }

    /// Notes that `last` was the last of `asked` keys from `start` on.
    pub(super) fn note(&self, start: &[u8], asked: usize, last: &[u8]) {
        let mut kept = self.kept();
        if kept.len() >= PAGES_MAX {
            kept.clear();
        }
        kept.insert((start.to_vec(), asked), last.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_where_it_began_and_how_long_it_is() {
        let ends = Ends::default();
        ends.note(b"a", 2, b"c");
        ends.note(b"a", 3, b"d");
        ends.note(b"a", 2, b"b");
        assert_eq!(ends.of(b"a", 2).as_deref(), Some(&b"b"[..]));
        assert_eq!(ends.of(b"a", 3).as_deref(), Some(&b"d"[..]));
        assert_eq!(ends.of(b"b", 2), None);
        for page in 0..2 * PAGES_MAX {
            ends.note(page.to_string().as_bytes(), 1, b"x");
        }
        assert!(ends.kept().len() <= PAGES_MAX);
    }
}
