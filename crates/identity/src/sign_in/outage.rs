//! What is said of a service that cannot judge: once in each outage, and when it is over. Otherwise every request would
//! write the same line, for as long as it takes somebody to look at the log.
//!
//! **Invariant:** the clock is the caller's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{Clock, Span, Timestamp};

/// Whether a service judges, as far as anybody knows.
#[derive(Debug)]
pub(super) struct Outage {
    clock: Clock,
    now: Mutex<Option<Going>>,
}

/// An outage that is going on.
#[derive(Debug)]
struct Going {
    since: Timestamp,
    /// What was said of it: one of a few sentences, each once.
    told: Vec<&'static str>,
    /// How many requests came to nothing.
    requests: u64,
}

/// An outage that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    /// How many requests came to nothing in it.
    pub(super) requests: u64,
    /// From the first of them to the first that did not.
    pub(super) lasted: Span,
}

impl Outage {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), now: Mutex::new(None) }
    }

    /// Counts a request that came to nothing because of `what`; whether that is yet to be told.
    pub(super) fn is_news(&self, what: &'static str) -> bool {
        let mut now = self.now();
        let going =
            now.get_or_insert_with(|| Going { since: self.clock.now(), told: Vec::new(), requests: 0 });
        going.requests = going.requests.saturating_add(1);
        let is_news = !going.told.contains(&what);
        if is_news {
            going.told.push(what);
        }
        is_news
    }

    /// The service has judged; the outage that this ends, if there was one.
    pub(super) fn end(&self) -> Option<Past> {
        let going = self.now().take()?;
        Some(Past { requests: going.requests, lasted: self.clock.now() - going.since })
    }

    fn now(&self) -> MutexGuard<'_, Option<Going>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_in_an_outage() {
        let clock = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let outage = Outage::new(&clock);
        assert_eq!(outage.end(), None);
        for _ in 0..2 {
            assert!(outage.is_news("it is silent"));
            assert!(!outage.is_news("it is silent"));
            clock.advance(Span::seconds(7));
            assert!(outage.is_news("it refuses") && !outage.is_news("it refuses"));
            assert!(!outage.is_news("it is silent"));
            assert_eq!(outage.end(), Some(Past { requests: 5, lasted: Span::seconds(7) }));
            assert_eq!(outage.end(), None);
        }
    }
}
