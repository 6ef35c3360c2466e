//! Who was refused what, for the history.
//!
//! Anybody can be refused as often as they like, and the history is bounded. So refusals are counted here, by what was
//! refused to whom from where, and told in sums: at most [`TOLD_MAX`] of them, those with the largest counts, and
//! one for all others. Until they are told a crash forgets them; each is also in the log.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base::{Clock, Entropy, Span, Timestamp};
use identity::Denied;
use store::{Batch, Engine, Event, History};

/// How long after refusals were told the next ones are, unless it has been quiet for so long.
const TOLD_EVERY: Span = Span::seconds(900);
/// How many are told by themselves at once.
const TOLD_MAX: usize = 20;
/// How many are told apart: a few hundred kilobytes.
const COUNTED_MAX: usize = 1_024;

/// Refusals that the history does not know of yet.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    counts: HashMap<Refused, Count>,
    /// Of which there was no room to count them apart.
    others: u64,
    told: Option<Timestamp>,
}

/// What was refused, to whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Refused {
    what: &'static str,
    about: String,
    by: String,
    /// An IPv4 address, or the /64 of an IPv6 one.
    from: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    times: u64,
    first: Timestamp,
    last: Timestamp,
    /// The latest address.
    from: Option<IpAddr>,
}

impl Refusals {
    /// Somebody from this address offered something to sign in with, and is nobody.
    pub fn sign_in(&self, from: Option<IpAddr>, clock: &Clock) {
        let refused = Refused {
            what: "sign-ins refused",
            about: "the house".to_owned(),
            by: "nobody who is known".to_owned(),
            from: from.map(network),
        };
        self.note(refused, from, clock.now());
    }

    /// Somebody who is known may not do what they asked for.
    pub fn request(&self, denied: &Denied, from: Option<IpAddr>, clock: &Clock) {
        let refused = Refused {
            what: "requests refused",
            about: denied.what().to_owned(),
            by: denied.who().to_owned(),
            from: from.map(network),
        };
        self.note(refused, from, clock.now());
    }

    fn note(&self, refused: Refused, from: Option<IpAddr>, now: Timestamp) {
        let mut noted = self.noted();
        if noted.counts.len() >= COUNTED_MAX && !noted.counts.contains_key(&refused) {
            noted.others = noted.others.saturating_add(1);
            return;
        }
        let count =
            noted.counts.entry(refused).or_insert(Count { times: 0, first: now, last: now, from: None });
        *count = Count { times: count.times.saturating_add(1), last: now, from, ..*count };
    }

    /// Whether there is anything to tell, and it is time to.
    pub(crate) fn are_due(&self, now: Timestamp) -> bool {
        let noted = self.noted();
        // Also when the clock was set back.
        let is_time = noted.told.is_none_or(|told| now < told || now - told >= TOLD_EVERY);
        is_time && !noted.counts.is_empty()
    }

    /// Adds what there is to the history. When that fails it is kept for the next time.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn tell(
        &self,
        engine: &dyn Engine,
        history: &History,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<(), store::Error> {
        let (counts, others) = {
            let mut noted = self.noted();
            (std::mem::take(&mut noted.counts), std::mem::take(&mut noted.others))
        };
        if counts.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for event in events(&counts, others, clock) {
            history.append(&mut batch, &event, entropy)?;
        }
        let told = engine.commit(batch).await;
        let mut noted = self.noted();
        match told {
            Ok(_) => {
                noted.told = Some(clock.now());
                Ok(())
            }
            Err(error) => {
                noted.put_back(counts, others);
                Err(error.into_store("telling the history of refusals"))
            }
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn put_back(&mut self, counts: HashMap<Refused, Count>, others: u64) {
        self.others = self.others.saturating_add(others);
        for (refused, count) in counts {
            let known = self.counts.entry(refused).or_insert(Count { times: 0, ..count });
            let times = known.times.saturating_add(count.times);
            *known = Count { times, first: known.first.min(count.first), ..*known };
        }
    }
}

/// Whom an address stands for: one customer has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// In the words of the history.
fn events(counts: &HashMap<Refused, Count>, others: u64, clock: &Clock) -> Vec<Event> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(refused, count)| {
        (std::cmp::Reverse(count.times), count.first, refused.from, refused.by.clone(), refused.about.clone())
    });
    let (told, rest) = counts.split_at(counts.len().min(TOLD_MAX));
    let event = |refused: &Refused, from: Option<IpAddr>, facts: BTreeMap<String, String>| Event {
        at_milliseconds: clock.now_milliseconds(),
        what: refused.what.to_owned(),
        about: refused.about.clone(),
        by: refused.by.clone(),
        from: from.map(|from| from.to_string()),
        facts,
    };
    let mut events: Vec<Event> = told
        .iter()
        .map(|(refused, count)| {
            let facts = [
                ("times".to_owned(), count.times.to_string()),
                ("first".to_owned(), count.first.to_string()),
                ("last".to_owned(), count.last.to_string()),
            ];
            event(refused, count.from, facts.into())
        })
        .collect();
    let times = rest.iter().fold(others, |sum, (_, count)| sum.saturating_add(count.times));
    if times > 0 {
        let everybody = Refused {
            what: "others refused",
            about: "sign-ins and requests".to_owned(),
            by: "many".to_owned(),
            from: None,
        };
        events.push(event(&everybody, None, [("times".to_owned(), times.to_string())].into()));
    }
    events
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::Memory;

    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_800_000_000);

    struct World {
        store: Arc<Memory>,
        history: History,
        clock: Clock,
        refusals: Refusals,
    }

    impl World {
        fn new() -> Self {
            let store = Arc::new(Memory::new());
            let history = History::new(store.clone()).expect("a fair prefix");
            Self { store, history, clock: Clock::manual(START), refusals: Refusals::default() }
        }

        fn sign_in(&self, from: &str) {
            self.refusals.sign_in(from.parse().ok(), &self.clock);
        }

        async fn tell(&self) -> Result<(), store::Error> {
            self.refusals.tell(self.store.as_ref(), &self.history, &self.clock, &Entropy::seeded(1)).await
        }

        /// What the history says: what, from where, how often.
        async fn told(&self) -> Vec<String> {
            let page = self.history.page(None, 1_000).await.expect("a page");
            let words = |event: &Event| {
                let from = event.from.as_deref().unwrap_or("anywhere");
                format!("{} {} from {from}: {}", event.facts["times"], event.what, event.by)
            };
            let mut told: Vec<String> = page.entries.iter().map(|(_, event)| words(&event.record)).collect();
            told.sort();
            told
        }
    }

    #[tokio::test]
    async fn refusals_are_told_in_sums() {
        let world = World::new();
        assert!(!world.refusals.are_due(START));
        for from in ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "nowhere"] {
            world.sign_in(from);
        }
        assert!(world.refusals.are_due(START));
        world.tell().await.expect("the store works");
        let told = [
            "1 sign-ins refused from anywhere: nobody who is known",
            "2 sign-ins refused from 192.0.2.1: nobody who is known",
            "2 sign-ins refused from 2001:db8::2: nobody who is known",
        ];
        assert_eq!(world.told().await, told);
        // Nothing is told twice, and the next not at once.
        world.tell().await.expect("the store works");
        assert_eq!(world.told().await.len(), 3);
        world.sign_in("192.0.2.1");
        for (seconds, due) in [(0, false), (899, false), (900, true), (-1, true)] {
            assert_eq!(world.refusals.are_due(START + Span::seconds(seconds)), due, "{seconds}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_told_is_told_later() {
        let world = World::new();
        world.sign_in("192.0.2.1");
        world.store.fail_next_commits(1, store::Error::Full);
        assert!(world.tell().await.is_err());
        assert!(world.refusals.are_due(START));
        world.sign_in("192.0.2.1");
        world.tell().await.expect("the store works again");
        assert_eq!(world.told().await, ["2 sign-ins refused from 192.0.2.1: nobody who is known"]);
    }

    /// However many come from however many places, the history gets a few lines.
    #[tokio::test]
    async fn nobody_can_flush_the_history() {
        let world = World::new();
        for number in 0..5_000_u32 {
            world.sign_in(&format!("10.0.{}.{}", number / 256, number % 256));
            world.sign_in("192.0.2.1");
        }
        assert_eq!(world.refusals.noted().counts.len(), COUNTED_MAX);
        world.tell().await.expect("the store works");
        let told = world.told().await;
        assert_eq!(told.len(), TOLD_MAX + 1);
        assert!(told.contains(&"5000 sign-ins refused from 192.0.2.1: nobody who is known".to_owned()));
        assert!(told.contains(&"4981 others refused from anywhere: many".to_owned()), "{told:?}");
    }
}
