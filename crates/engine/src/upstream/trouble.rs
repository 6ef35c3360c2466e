//! Trouble with upstream, and whose it is.
//!
//! ```text
//! an answer that is no good             trouble of that one name, which is not asked for again for a while
//! silence                               the same, and after a few names in a row, with no answer between: of upstream
//! no connection                         trouble of upstream: nothing is asked of it for a while
//! ```
//! So whoever asks for a name that upstream chokes on keeps nobody from the others; and nobody waits for an upstream that is
//! down.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{Sha512, Span, Timestamp};
use cache::EntryKey;

use super::NotFetched;

/// How long upstream, or one name there, is left alone after trouble: what is here is given at once then.
const LEFT_ALONE: Span = Span::seconds(10);
/// With how many names in a row it is silent until it is taken to be away.
const SILENT_MAX: usize = 4;
/// How many names are remembered; of more, each is asked for whenever somebody asks.
const NAMES_MAX: usize = 10_000;

/// What upstream is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Entries(EntryKey),
    Artifact(Sha512),
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(key) => write!(out, "{key}"),
            Self::Artifact(digest) => write!(out, "{digest}"),
        }
    }
}

/// The trouble there is.
#[derive(Default)]
pub(super) struct Trouble(Mutex<State>);

#[derive(Default)]
struct State {
    /// Until when nothing is asked.
    away: Option<Timestamp>,
    /// Until when this is not asked for.
    names: HashMap<Name, Timestamp>,
    /// With what it was silent since it last answered.
    silent: Vec<Name>,
    /// Until when operators know.
    told: Option<Timestamp>,
}

impl Trouble {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is asked of upstream now.
    #[cfg(test)]
    pub(super) fn is_away(&self, now: Timestamp) -> bool {
        self.state().away.is_some_and(|until| until > now)
    }

    /// Whether `name` is not asked for now.
    pub(super) fn is_left_alone(&self, name: &Name, now: Timestamp) -> bool {
        let state = self.state();
        state.away.is_some_and(|until| until > now) || state.names.get(name).is_some_and(|until| *until > now)
    }

    /// Upstream answered, and well.
    pub(super) fn answered(&self, name: &Name) {
        let mut state = self.state();
        state.away = None;
        state.silent.clear();
        state.names.remove(name);
    }

    /// Something went wrong with `name`. Whether operators are to be told: not of each name that anybody may think of.
    pub(super) fn failed(&self, name: Name, error: &NotFetched, now: Timestamp) -> bool {
        let mut state = self.state();
        let until = now + LEFT_ALONE;
        match error {
            NotFetched::LeftAlone => return false,
            NotFetched::Unreachable { .. } => state.away = Some(until),
            NotFetched::Silent { .. } => {
                if state.silent.len() < SILENT_MAX && !state.silent.contains(&name) {
                    state.silent.push(name.clone());
                }
                if state.silent.len() >= SILENT_MAX {
                    state.away = Some(until);
                }
            }
            NotFetched::Failed { .. } | NotFetched::Slow { .. } => state.silent.clear(),
        }
        if state.names.len() >= NAMES_MAX {
            state.names.retain(|_, until| *until > now);
        }
        if state.names.len() < NAMES_MAX {
            state.names.insert(name, until);
        }
        let is_new = state.told.is_none_or(|until| until <= now);
        if is_new {
            state.told = Some(until);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u8) -> Name {
        Name::Artifact(Sha512::of(&[number]))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix(second)
    }

    #[test]
    fn trouble_with_one_name_is_that_names() {
        let failed = NotFetched::Failed { reason: "500".into() };
        let silent = NotFetched::Silent { seconds: 10 };
        for error in [failed, silent] {
            let trouble = Trouble::default();
            for _ in 0..20 {
                trouble.failed(name(1), &error, at(0));
            }
            assert!(trouble.is_left_alone(&name(1), at(9)) && !trouble.is_left_alone(&name(1), at(10)));
            assert!(!trouble.is_left_alone(&name(2), at(0)) && !trouble.is_away(at(0)), "{error}");
        }
    }

    #[test]
    fn who_cannot_be_reached_or_says_nothing_to_anybody_is_away() {
        let trouble = Trouble::default();
        trouble.failed(name(1), &NotFetched::Unreachable { reason: "refused".into() }, at(0));
        assert!(trouble.is_left_alone(&name(2), at(9)) && !trouble.is_left_alone(&name(2), at(10)));

        let trouble = Trouble::default();
        let silent = NotFetched::Silent { seconds: 10 };
        for number in 1..4 {
            trouble.failed(name(number), &silent, at(0));
        }
        assert!(!trouble.is_away(at(0)));
        trouble.answered(&name(9));
        trouble.failed(name(4), &silent, at(0));
        assert!(!trouble.is_away(at(0)), "it answered somebody between");
        for number in 5..8 {
            trouble.failed(name(number), &silent, at(0));
        }
        assert!(trouble.is_away(at(9)) && !trouble.is_away(at(10)));
        // Whoever asks then waits, alone.
        trouble.failed(name(5), &silent, at(10));
        assert!(trouble.is_away(at(11)));
    }

    #[test]
    fn operators_are_told_now_and_then() {
        let trouble = Trouble::default();
        let failed = NotFetched::Failed { reason: "500".into() };
        let told = |number, second| trouble.failed(name(number), &failed, at(second));
        assert!(told(1, 0) && !told(2, 0) && !told(3, 9) && told(4, 10));
    }
}
