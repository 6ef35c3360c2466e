//! What happened. An event goes into the same batch as the fact it tells of: neither is there without the other.
//!
//! Events are ordered by time, under `/history/<milliseconds, 20 digits>-<16 random hexadecimal digits>`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base::{Entropy, Span};
use serde::{Deserialize, Serialize};

use crate::{BATCH_OPERATIONS_MAX, Batch, Engine, Error, Key, Page, Prefix, Record, Table, TablePage};

/// Where events are kept.
const PREFIX: &str = "/history/";
/// How many pages of events one call of [`History::trim`] counts.
const COUNTED_PAGES_MAX: usize = 10;

/// One thing that happened, and who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When: milliseconds since 1970-01-01T00:00:00Z. Events from before that are ordered as if from then.
    pub at_milliseconds: i64,
    /// What, in the past tense: "certificate issued".
    pub what: String,
    /// To what: "services/42".
    pub about: String,
    /// Who did it: the principal.
    pub by: String,
    /// From which address, where there is one.
    pub from: Option<String>,
    /// What else there is to know. Never a secret.
    pub facts: BTreeMap<String, String>,
}

impl Record for Event {
    const VERSION: u32 = 1;
}

/// How much history is kept. What either rule gives up goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how long an event is kept.
    pub age: Span,
    /// How many events are kept; the newest.
    pub count: usize,
}

/// What one step of trimming did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// How many events were removed.
    pub removed: usize,
    /// Whether there is more to do, now.
    pub more: bool,
}

/// The history that is kept in one store. Cloning shares it.
#[derive(Clone)]
pub struct History {
    events: Table<Event>,
    count: Arc<Mutex<Count>>,
}

/// How far the counting of all events has come. It need not survive: losing it is counting again.
#[derive(Clone, Default)]
struct Count {
    events: usize,
    /// The last event counted.
    upto: Option<Key>,
    finished: bool,
}

impl History {
    /// The history in `engine`.
    ///
    /// # Errors
    /// None in practice: the prefix of its keys is a fair one.
    pub fn new(engine: Arc<dyn Engine>) -> Result<Self, Error> {
        Self::under(engine, PREFIX)
    }

    /// Another history, whose keys begin with `prefix`: of what happens so often that it would push the rest out. It is
    /// trimmed by itself, and not among what [`Self::prefix`] shows.
    ///
    /// # Errors
    /// When no keys can begin so.
    pub fn under(engine: Arc<dyn Engine>, prefix: &str) -> Result<Self, Error> {
        Ok(Self { events: Table::new(engine, prefix)?, count: Arc::default() })
    }

    /// The same history, of which [`History::trim`] has counted nothing yet.
    #[must_use]
    pub fn uncounted(&self) -> Self {
        Self { events: self.events.clone(), count: Arc::default() }
    }

    /// What the keys of events begin with, for watching them come.
    ///
    /// # Panics
    /// Never: it is a fair prefix.
    #[must_use]
    pub fn prefix() -> Prefix {
        Prefix::new(PREFIX).expect("a short text without NUL is a fair prefix")
    }

    /// Adds `event` to the batch that makes it true. Gives its key: whoever does not know whether the batch was done
    /// finds out by it.
    ///
    /// # Errors
    /// None in practice: its key is a fair one, and it has a JSON form.
    pub fn append(&self, batch: &mut Batch, event: &Event, entropy: &Entropy) -> Result<Key, Error> {
        self.append_as(batch, event, entropy.number())
    }

    /// As [`Self::append`], under a random number that was drawn, and written down, before.
    ///
    /// # Errors
    /// As for [`Self::append`].
    pub fn append_as(&self, batch: &mut Batch, event: &Event, number: u64) -> Result<Key, Error> {
        let id = id(event.at_milliseconds, number);
        self.events.put(batch, &id, event)?;
        self.events.key(&id)
    }

    /// The key of the event of this moment and number.
    ///
    /// # Errors
    /// None in practice: it is a fair one.
    pub fn key(&self, at_milliseconds: i64, number: u64) -> Result<Key, Error> {
        self.events.key(&id(at_milliseconds, number))
    }

    /// At most `limit` events behind the id `after`, from the oldest on when absent.
    ///
    /// # Errors
    /// As for [`Table::list`].
    pub async fn page(&self, after: Option<&str>, limit: usize) -> Result<TablePage<Event>, Error> {
        let after = after.map(|id| self.events.key(id)).transpose()?;
        self.events.list(Page { after, limit }).await
    }

    /// Removes events that `keep` gives up, the oldest first: at most 100 in one call, which also counts at most
    /// 10,000. To be called again while there is more. Calling it twice does no harm; calling it from two
    /// processes at once may remove more than `count` asks for.
    ///
    /// # Errors
    /// The store's.
    pub async fn trim(&self, now_milliseconds: i64, keep: Retention) -> Result<Trimmed, Error> {
        let (engine, prefix) = (self.events.engine(), self.events.prefix());
        let mut count = self.count_on().await?;
        let excess = if count.finished { count.events.saturating_sub(keep.count) } else { 0 };
        let horizon =
            since_epoch(now_milliseconds.saturating_sub(keep.age.as_seconds().saturating_mul(1_000)));

        let oldest = engine.list(prefix, Page::first(BATCH_OPERATIONS_MAX)).await?;
        let is_doomed = |place: usize, key: &Key| {
            place < excess || prefix.rest(key).is_some_and(|id| id < horizon.as_str())
        };
        let mut batch = Batch::new();
        for (place, (key, _)) in oldest.entries.iter().enumerate() {
            if is_doomed(place, key) {
                batch.delete(key.clone());
            }
        }
        let removed = batch.len();
        if removed > 0 {
            engine.commit(batch).await.map_err(|error| error.into_store("trimming the history"))?;
        }

        let more = !count.finished || (removed == oldest.entries.len() && oldest.next.is_some());
        // What was removed had been counted: both go from the oldest on.
        count.events = count.events.saturating_sub(removed);
        self.keep_count(if more { count } else { Count::default() });
        Ok(Trimmed { removed, more })
    }

    /// Goes on counting where the last call stopped.
    async fn count_on(&self) -> Result<Count, Error> {
        let mut count = std::mem::take(&mut *self.count.lock().unwrap_or_else(PoisonError::into_inner));
        for _ in 0..COUNTED_PAGES_MAX {
            if count.finished {
                break;
            }
            let page = Page { after: count.upto.clone(), ..Page::full() };
            let found = self.events.engine().list(self.events.prefix(), page).await?;
            count.events += found.entries.len();
            count.finished = found.next.is_none();
            count.upto = found.entries.into_iter().next_back().map(|(key, _)| key).or(count.upto);
        }
        Ok(count)
    }

    fn keep_count(&self, count: Count) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }
}

/// What follows the prefix in the key of an event.
fn id(at_milliseconds: i64, number: u64) -> String {
    format!("{}-{number:016x}", since_epoch(at_milliseconds))
}

/// How a moment is written in an id, so that ids are ordered by time.
fn since_epoch(milliseconds: i64) -> String {
    format!("{:020}", milliseconds.max(0))
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::Memory;

    const FOREVER: Span = Span::days(100_000);

    fn history() -> History {
        History::new(Arc::new(Memory::new())).unwrap()
    }

    fn event(at_milliseconds: i64) -> Event {
        Event {
            at_milliseconds,
            what: "certificate issued".into(),
            about: "services/42".into(),
            by: "admin".into(),
            from: Some("192.0.2.7".into()),
            facts: [("serial".to_owned(), "1f".to_owned())].into(),
        }
    }

    fn append(history: &History, events: impl Iterator<Item = i64>) {
        let entropy = Entropy::seeded(1);
        let events: Vec<i64> = events.collect();
        for hundred in events.chunks(BATCH_OPERATIONS_MAX) {
            let mut batch = Batch::new();
            for at in hundred {
                history.append(&mut batch, &event(*at), &entropy).unwrap();
            }
            block_on(history.events.engine().commit(batch)).unwrap();
        }
    }

    fn times(history: &History) -> Vec<i64> {
        block_on(history.events.all())
            .unwrap()
            .iter()
            .map(|(_, event)| event.record.at_milliseconds)
            .collect()
    }

    /// Trims until there is no more to do; gives how many were removed in how many calls.
    fn trim(history: &History, now: i64, keep: Retention) -> (usize, usize) {
        let mut total = (0, 0);
        loop {
            let trimmed = block_on(history.trim(now, keep)).unwrap();
            total = (total.0 + trimmed.removed, total.1 + 1);
            assert!(trimmed.removed <= 100 && total.1 < 1_000, "bounded");
            if !trimmed.more {
                return total;
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let history = history();
        append(&history, [1_700_000_000_123].into_iter());
        let listing = block_on(history.events.engine().list(history.events.prefix(), Page::full())).unwrap();
        let (key, versioned) = &listing.entries[0];
        assert_eq!(key.as_str(), "/history/00000001700000000123-910a2dec89025cc1");
        assert_eq!(
            std::str::from_utf8(&versioned.value).unwrap(),
            concat!(
                r#"{"v":1,"is":{"at_milliseconds":1700000000123,"what":"certificate issued","about":"services/42","#,
                r#""by":"admin","from":"192.0.2.7","facts":{"serial":"1f"}}}"#
            )
        );
        assert_eq!(block_on(history.page(None, 1)).unwrap().entries[0].1.record, event(1_700_000_000_123));
    }

    #[test]
    fn is_told_in_order_page_by_page() {
        let history = history();
        append(&history, [30, 10, -5, 20, 10].into_iter());
        assert_eq!(times(&history), [-5, 10, 10, 20, 30]);

        let first = block_on(history.page(None, 2)).unwrap();
        let rest = block_on(history.page(Some(&first.entries[1].0), 10)).unwrap();
        let rest: Vec<i64> = rest.entries.iter().map(|(_, event)| event.record.at_milliseconds).collect();
        assert_eq!(rest, [10, 20, 30]);
    }

    #[test]
    fn what_is_too_old_goes() {
        let history = history();
        append(&history, (0..250).map(|second| second * 1_000));
        let keep = Retention { age: Span::seconds(30), count: usize::MAX };
        assert_eq!(trim(&history, 249_000, keep), (219, 3));
        assert_eq!(times(&history), (219..250).map(|second| second * 1_000).collect::<Vec<_>>());
        assert_eq!(trim(&history, 249_000, keep), (0, 1));
    }

    #[test]
    fn what_is_too_many_goes() {
        let history = history();
        append(&history, 0..1_234);
        assert_eq!(trim(&history, 0, Retention { age: FOREVER, count: 1_000 }), (234, 3));
        assert_eq!(times(&history), (234..1_234).collect::<Vec<_>>());
        assert_eq!(trim(&history, 0, Retention { age: FOREVER, count: 1_000 }), (0, 1));
        assert_eq!(trim(&history, 0, Retention { age: FOREVER, count: 0 }), (1_000, 10));
        assert!(times(&history).is_empty());
    }

    #[test]
    fn counting_is_spread_over_calls_and_trimming_by_age_does_not_wait_for_it() {
        let history = history();
        append(&history, 0..25_000);
        let first =
            block_on(history.trim(60_100, Retention { age: Span::seconds(60), count: 24_500 })).unwrap();
        assert_eq!(first, Trimmed { removed: 100, more: true });
        assert_eq!(trim(&history, 60_100, Retention { age: Span::seconds(60), count: 24_500 }), (400, 6));
        assert_eq!(times(&history), (500..25_000).collect::<Vec<_>>());
    }

    #[test]
    fn an_event_that_cannot_be_read_can_still_be_trimmed() {
        let history = history();
        let mut batch = Batch::new();
        batch.put(history.events.key("00000000000000000001-x").unwrap(), "not JSON");
        block_on(history.events.engine().commit(batch)).unwrap();
        assert!(block_on(history.page(None, 10)).is_err());
        assert_eq!(trim(&history, 2_000, Retention { age: Span::seconds(1), count: 10 }), (1, 1));
    }
}
