//! Whether a service answers: one that does not is not waited for by everybody.
//!
//! ```text
//! answers ── no answer ──► silent for 10 s: nobody asks ──► one asks ── no answer ──► silent for 10 s …
//!    ▲                                                         │
//!    └───────────────────────── answer ────────────────────────┘
//! ```
//! Without this, each request would wait its five seconds for a service that has nothing to say, before another method
//! of sign-in is looked at.
//!
//! **Invariant:** the clock is the caller's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{Clock, Span, Timestamp};

/// How long nobody asks.
const SILENT_FOR: Span = Span::seconds(10);

/// What is known of a service.
#[derive(Debug)]
pub(super) struct Hearing {
    clock: Clock,
    heard: Mutex<Heard>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// It answers, as far as anybody knows.
    Answers,
    /// It said that it cannot; it is asked all the same.
    IsIll,
    /// It did not answer then.
    Silent { since: Timestamp },
    /// It did not answer, and somebody asks again.
    AskedAgain,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// An answer.
    Answer,
    /// That it cannot, said at once.
    Illness,
    /// Nothing.
    Silence,
}

/// Somebody's leave to ask. Who hangs up before they hear anything leaves it to the next one.
pub(super) struct Asking<'a> {
    hearing: &'a Hearing,
    is_again: bool,
}

impl Hearing {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), heard: Mutex::new(Heard::Answers) }
    }

    /// Leave to ask, unless it is silent.
    pub(super) fn ask(&self) -> Option<Asking<'_>> {
        let now = self.clock.now();
        let mut heard = self.heard();
        match *heard {
            Heard::Answers | Heard::IsIll => Some(Asking { hearing: self, is_again: false }),
            // Also when the clock was set back behind that.
            Heard::Silent { since } if now < since || now - since >= SILENT_FOR => {
                *heard = Heard::AskedAgain;
                Some(Asking { hearing: self, is_again: true })
            }
            Heard::Silent { .. } | Heard::AskedAgain => None,
        }
    }

    /// Whether the last that was heard of it was no answer.
    pub(super) fn is_away(&self) -> bool {
        *self.heard() != Heard::Answers
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking<'_> {
    /// This is what came of it.
    pub(super) fn heard(mut self, reply: Reply) {
        self.is_again = false;
        *self.hearing.heard() = match reply {
            Reply::Answer => Heard::Answers,
            Reply::Illness => Heard::IsIll,
            Reply::Silence => Heard::Silent { since: self.hearing.clock.now() },
        };
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.is_again {
            // Long ago, so that the next one asks at once.
            let since = self.hearing.clock.now() - SILENT_FOR;
            *self.hearing.heard() = Heard::Silent { since };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_asks_who_was_silent() {
        let clock = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let hearing = Hearing::new(&clock);
        let may_ask = || hearing.ask().is_some();
        let reply = |reply| hearing.ask().unwrap().heard(reply);
        let (first, second) = (hearing.ask().unwrap(), hearing.ask().unwrap());
        assert!(!hearing.is_away());
        first.heard(Reply::Silence);
        drop(second);
        assert!(!may_ask() && hearing.is_away());
        clock.advance(Span::seconds(9));
        assert!(!may_ask());
        clock.advance(Span::seconds(1));
        let again = hearing.ask().unwrap();
        assert!(!may_ask(), "somebody asks");
        drop(again);
        assert!(hearing.is_away() && may_ask(), "who asked has hung up");
        reply(Reply::Silence);
        assert!(!may_ask());
        clock.advance(Span::seconds(-60));
        reply(Reply::Answer);
        assert!(may_ask() && !hearing.is_away());
        reply(Reply::Illness);
        assert!(may_ask() && hearing.is_away(), "it says so at once");
        reply(Reply::Answer);
        assert!(!hearing.is_away());
    }
}
