//! What is coming in and not kept yet: it has to fit into its writer's quota and onto the disk together with all else
//! that is under way, or several uploads at once would each be let in for the same room.
//!
//! Counted in this process alone. Another one on the same store counts its own; what is kept is counted by the store,
//! for both (`quota.rs`), and that count has the last word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far ahead of what came room is held for what was announced: who announces much and sends nothing holds no more.
const AHEAD: u64 = 8 * 1024 * 1024;

/// All that is under way. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct UnderWay(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By account: those that have something under way.
    accounts: HashMap<String, Account>,
    /// How many bytes are expected soon, of those that were announced.
    expected: u64,
}

#[derive(Default)]
struct Account {
    /// How many uploads.
    uploads: usize,
    /// How many bytes they may come to, as far as that is known.
    bytes: u64,
    /// How many bytes were kept before, when that was last looked up.
    kept: u64,
}

/// The part that one upload has in it, which ends when this is dropped.
pub(crate) struct Part {
    all: UnderWay,
    /// Whose it is, where that is counted.
    account: Option<String>,
    /// How many bytes count for the account.
    bytes: u64,
    /// How many were announced, and have not come yet.
    to_come: u64,
}

/// It would be more than the account may have: so many bytes are kept or under way already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded(pub(crate) u64);

impl UnderWay {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes are expected soon, of those that were announced.
    pub(crate) fn expected(&self) -> u64 {
        self.state().expected
    }

    /// A part for nobody's account, from which `announced` bytes are expected.
    pub(crate) fn begin(&self, announced: u64) -> Part {
        let mut state = self.state();
        state.expected = state.expected.saturating_add(announced.min(AHEAD));
        Part { all: self.clone(), account: None, bytes: 0, to_come: announced }
    }
}

impl Part {
    /// Counts it for `account` as well, which may have `bytes_max` and keeps `kept` by now.
    pub(crate) fn count_for(&mut self, account: String, kept: u64, bytes_max: u64) -> Result<(), Exceeded> {
        let mut state = self.all.state();
        let found = state.accounts.entry(account.clone()).or_default();
        found.uploads += 1;
        found.kept = kept;
        drop(state);
        self.account = Some(account);
        let announced = self.to_come;
        self.grow(announced, bytes_max)
    }

    /// How many bytes were announced that no room is held for: there has to be some all the same.
    pub(crate) fn unreserved(&self) -> u64 {
        self.to_come.saturating_sub(AHEAD)
    }

    /// So many bytes have come in all: they count, if they were not announced.
    pub(crate) fn grow(&mut self, bytes: u64, bytes_max: u64) -> Result<(), Exceeded> {
        let Some(account) = &self.account else { return Ok(()) };
        let more = bytes.saturating_sub(self.bytes);
        let mut state = self.all.state();
        let Some(account) = state.accounts.get_mut(account) else { return Ok(()) };
        let had = account.kept.saturating_add(account.bytes);
        if had.saturating_add(more) > bytes_max {
            return Err(Exceeded(had - self.bytes.min(had)));
        }
        account.bytes += more;
        self.bytes += more;
        Ok(())
    }

    /// So many more bytes were given to the disk: they are not expected any more.
    pub(crate) fn came(&mut self, bytes: u64) {
        let before = self.to_come.min(AHEAD);
        self.to_come -= bytes.min(self.to_come);
        let came = before - self.to_come.min(AHEAD);
        let mut state = self.all.state();
        state.expected = state.expected.saturating_sub(came);
    }

    /// They are kept, and counted by the store.
    pub(crate) fn kept(mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let Some(account) = &self.account else { return };
        if let Some(account) = self.all.state().accounts.get_mut(account) {
            account.bytes = account.bytes.saturating_sub(bytes);
            account.kept = account.kept.saturating_add(bytes);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut state = self.all.state();
        state.expected = state.expected.saturating_sub(self.to_come.min(AHEAD));
        let Some(name) = &self.account else { return };
        let Some(account) = state.accounts.get_mut(name) else { return };
        account.uploads -= 1;
        account.bytes = account.bytes.saturating_sub(self.bytes);
        if account.uploads == 0 {
            state.accounts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_counts_until_it_is_over() {
        let all = UnderWay::default();
        let begin = |announced, kept| {
            let mut part = all.begin(announced);
            part.count_for("alice".to_owned(), kept, 10).map(|()| part)
        };
        let mut one = begin(0, 2).unwrap();
        let two = begin(5, 2).unwrap();
        assert_eq!(all.expected(), 5);
        assert_eq!(one.grow(3, 10), Ok(()));
        assert_eq!(one.grow(4, 10), Err(Exceeded(7)));
        assert_eq!(begin(1, 2).err(), Some(Exceeded(10)));
        // What is given up makes room.
        drop(two);
        assert_eq!((all.expected(), one.grow(8, 10)), (0, Ok(())));
        // What is kept does not.
        let three = begin(0, 2).unwrap();
        one.kept();
        assert!(begin(0, 10).is_ok());
        assert_eq!(begin(1, 10).err(), Some(Exceeded(10)));
        drop(three);
        assert!(all.state().accounts.is_empty());
        assert!(begin(1, 9).is_ok());
    }

    #[test]
    fn what_came_is_not_expected_any_more() {
        let all = UnderWay::default();
        let (mut one, two) = (all.begin(10), all.begin(7));
        one.came(4);
        assert_eq!(all.expected(), 13);
        one.came(40);
        assert_eq!(all.expected(), 7);
        drop((one, two));
        assert_eq!(all.expected(), 0);
    }

    #[test]
    fn who_announces_much_holds_little() {
        let all = UnderWay::default();
        let mut part = all.begin(100 * AHEAD);
        assert_eq!((all.expected(), part.unreserved()), (AHEAD, 99 * AHEAD));
        part.came(98 * AHEAD);
        assert_eq!(all.expected(), AHEAD);
        part.came(AHEAD + AHEAD / 2);
        assert_eq!((all.expected(), part.unreserved()), (AHEAD / 2, 0));
        drop(part);
        assert_eq!(all.expected(), 0);
    }
}
