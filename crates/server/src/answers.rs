//! Answers that still hold, so that they need not be made again.
//!
//! An answer is kept under the revision that the store was at before it was made. As long as the store is at that
//! revision nothing was written since, so whoever asks anew would be answered the same. Once it is at another one,
//! everything is forgotten: which answers a commit changes is not known here.
//!
//! **Invariant:** nothing is given out before the store was asked, on behalf of the very request that is answered,
//! which revision it is at.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use store::Revision;

/// What an entry takes besides its answer, about.
const ENTRY_BYTES: usize = 256;

/// Answers, by what was asked. What is kept takes `bytes_max` at most.
pub(crate) struct Answers<A> {
    kept: Mutex<Kept<A>>,
    bytes_max: usize,
}

struct Kept<A> {
    at: Revision,
    answers: HashMap<A, Bytes>,
    bytes: usize,
}

impl<A: Eq + Hash> Answers<A> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::new(Kept { at: Revision(0), answers: HashMap::new(), bytes: 0 }), bytes_max }
    }

    /// The answer to `asked`, provided it is of the revision that the store is `at`.
    pub(crate) fn at(&self, at: Revision, asked: &A) -> Option<Bytes> {
        self.kept_at(at).answers.get(asked).cloned()
    }

    /// Keeps the `answer` to `asked`; `at` is the revision that the store was at before the answer was made.
    pub(crate) fn keep(&self, at: Revision, asked: A, answer: &Bytes) {
        let takes = ENTRY_BYTES + answer.len();
        if takes > self.bytes_max {
            return;
        }
        let mut kept = self.kept_at(at);
        if kept.bytes + takes > self.bytes_max {
            kept.forget();
        }
        if kept.answers.insert(asked, answer.clone()).is_none() {
            kept.bytes += takes;
        }
    }

    /// What is kept, after forgetting what is of another revision: also of a later one, for a store may have been put
    /// back to an earlier state, and come to the same number again.
    fn kept_at(&self, at: Revision) -> MutexGuard<'_, Kept<A>> {
        // Nothing is half done under this lock when it panics.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.at != at {
            kept.forget();
            kept.at = at;
        }
        kept
    }
}

impl<A> Kept<A> {
    fn forget(&mut self) {
        self.answers.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: Bytes = Bytes::from_static(b"1234");

    #[test]
    fn an_answer_holds_at_its_revision_only() {
        let answers = Answers::new(1 << 20);
        answers.keep(Revision(5), "hosts", &ANSWER);
        assert_eq!(answers.at(Revision(5), &"hosts"), Some(ANSWER));
        assert_eq!(answers.at(Revision(5), &"clusters"), None);
        for other in [6, 4] {
            answers.keep(Revision(5), "hosts", &ANSWER);
            assert_eq!(answers.at(Revision(other), &"hosts"), None);
            assert_eq!(answers.at(Revision(5), &"hosts"), None, "it was forgotten");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let takes = ENTRY_BYTES + ANSWER.len();
        let answers = Answers::new(3 * takes);
        let kept = |answers: &Answers<u32>| {
            (0..9).filter(|asked| answers.at(Revision(1), asked).is_some()).collect::<Vec<_>>()
        };
        for (asked, expected) in
            [(0, &[0][..]), (0, &[0]), (1, &[0, 1]), (2, &[0, 1, 2]), (3, &[3]), (4, &[3, 4])]
        {
            answers.keep(Revision(1), asked, &ANSWER);
            assert_eq!(kept(&answers), expected);
        }
        answers.keep(Revision(1), 5, &Bytes::from(vec![0; 3 * takes]));
        assert_eq!(kept(&answers), [3, 4], "what is larger than all room is not kept");
    }
}
