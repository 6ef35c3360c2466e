//! Where pages end: what is known of it from the last time, and where nothing is, what is tried.
//!
//! etcd 3.4 goes through all keys of a range, however few are asked for, to say how many there are: the first page of
//! 100,000 keys takes it ten times as long as the last. A range that is known to have had as many keys as are asked for
//! gives the same page for less, unless some are gone since: then fewer come, and a wider range is asked.
//!
//! Who goes from page to page comes to each for the first time. There the key that the page begins behind says where
//! others may be: those that differ from it in their last characters only. That is tried, and wider ranges after it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many pages are remembered. Beyond that all are forgotten.
const PAGES_MAX: usize = 1024;

/// The last key of each page that was full, by where it began and how many keys were asked for.
#[derive(Default)]
pub(super) struct Ends(Mutex<LastKeys>);

type LastKeys = BTreeMap<(Vec<u8>, usize), Vec<u8>>;

impl Ends {
    fn kept(&self) -> MutexGuard<'_, LastKeys> {
        // Nothing is half done under this lock when it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last of `asked` keys from `start` on, or of more, when there were so many last time.
    pub(super) fn of(&self, start: &[u8], asked: usize) -> Option<Vec<u8>> {
        let kept = self.kept();
        let ((known, _), last) = kept.range((start.to_vec(), asked)..).next()?;
        (known == start).then(|| last.clone())
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

/// Ends of ranges behind the key `after`, of which `own` bytes are the part that is not the same for all: narrow ones
/// first. Each begins at the same place, and none goes further than what begins as `after` does without its own part.
pub(super) fn guesses(after: &[u8], own: usize, asked: usize) -> Vec<Vec<u8>> {
    // As many characters as `asked` keys may differ in, if these were digits.
    let mut left_out = asked.max(2).ilog10() as usize + 1;
    let mut ends = Vec::new();
    while left_out < own {
        let mut end = after[..after.len() - left_out].to_vec();
        // No byte of UTF-8 is 255.
        if let Some(last) = end.last_mut() {
            *last += 1;
            ends.push(end);
        }
        left_out *= 2;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_wider() {
        let ends = |after: &str, own, asked| -> Vec<String> {
            let ends = guesses(after.as_bytes(), own, asked);
            ends.into_iter().map(|end| String::from_utf8(end).unwrap()).collect()
        };
        assert_eq!(ends("/host/web-00123", 9, 101), ["/host/web-01", "/host/wec"]);
        assert_eq!(ends("/host/10.0.3.17", 9, 11), ["/host/10.0.3/", "/host/10.0/", "/host/2"]);
        assert_eq!(ends("/host/a", 1, 1), [""; 0]);
        assert_eq!(ends("/host/ab", 2, 1), ["/host/b"]);
    }

    #[test]
    fn a_page_is_known_by_where_it_began_and_how_long_it_is() {
        let ends = Ends::default();
        ends.note(b"a", 2, b"c");
        ends.note(b"a", 3, b"d");
        ends.note(b"a", 2, b"b");
        assert_eq!(ends.of(b"a", 2).as_deref(), Some(&b"b"[..]));
        assert_eq!(ends.of(b"a", 3).as_deref(), Some(&b"d"[..]));
        assert_eq!(ends.of(b"a", 1).as_deref(), Some(&b"b"[..]), "fewer are among them");
        assert_eq!(ends.of(b"a", 4), None);
        assert_eq!(ends.of(b"b", 2), None);
        for page in 0..2 * PAGES_MAX {
            ends.note(page.to_string().as_bytes(), 1, b"x");
        }
        assert!(ends.kept().len() <= PAGES_MAX);
    }
}
