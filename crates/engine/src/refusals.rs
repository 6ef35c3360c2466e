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
use store::{Batch, CommitError, Engine, Event, Expect, History, Key};

/// How long after refusals were told the next ones are, unless it has been quiet for so long.
const TOLD_EVERY: Span = Span::seconds(900);
/// How many are told by themselves at once.
const TOLD_MAX: usize = 20;
/// How many are told apart: a few hundred kilobytes.
const COUNTED_MAX: usize = 1_024;

/// What is done where the store fails.
const TELLING: &str = "telling the history of refusals";

/// Refusals that the history does not know of yet.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    counts: HashMap<Refused, Count>,
    /// Of which there was no room to count them apart.
    others: u64,
    told: Option<Timestamp>,
    /// What was offered to the history when it was not said whether it was taken.
    doubtful: Option<Offered>,
}

/// Events on their way into the history. The commit expects the first one's key to be nobody's, so it cannot be done
/// twice.
#[derive(Debug)]
struct Offered {
    batch: Batch,
    first: Key,
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
        is_time && (!noted.counts.is_empty() || noted.doubtful.is_some())
    }

    /// Adds what there is to the history. When that fails it is kept for the next time, as far as there is room to tell
    /// it apart. What may have been told is looked up then, and told if it was not.
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
        // In a variable of its own: no lock is held while the store is asked.
        let doubtful = self.noted().doubtful.take();
        if let Some(offered) = doubtful {
            self.tell_again(offered, engine, clock).await?;
        }
        let (counts, others) = {
            let mut noted = self.noted();
            (std::mem::take(&mut noted.counts), std::mem::take(&mut noted.others))
        };
        if counts.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        let mut first = None;
        for event in events(&counts, others, clock) {
            let key = history.append(&mut batch, &event, entropy)?;
            if first.is_none() {
                batch.expect(key.clone(), Expect::Absent);
                first = Some(key);
            }
        }
        let told = engine.commit(batch.clone()).await;
        let mut noted = self.noted();
        match (told, first) {
            (Ok(_), _) => {
                noted.told = Some(clock.now());
                Ok(())
            }
            (Err(error @ CommitError::Unknown { .. }), Some(first)) => {
                noted.doubtful = Some(Offered { batch, first });
                Err(error.into_store(TELLING))
            }
            (Err(error), _) => {
                noted.put_back(counts, others);
                Err(error.into_store(TELLING))
            }
        }
    }

    /// Offers the very same again, unless the history has it.
    async fn tell_again(
        &self,
        offered: Offered,
        engine: &dyn Engine,
        clock: &Clock,
    ) -> Result<(), store::Error> {
        let told = match engine.get(&offered.first).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => match engine.commit(offered.batch.clone()).await {
                // The first attempt was still under way, and is through now.
                Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
                Err(error) => Err(error.into_store(TELLING)),
            },
            Err(error) => Err(error),
        };
        let mut noted = self.noted();
        match told {
            Ok(()) => noted.told = Some(clock.now()),
            Err(_) => noted.doubtful = Some(offered),
        }
        told
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
            if self.counts.len() >= COUNTED_MAX && !self.counts.contains_key(&refused) {
                self.others = self.others.saturating_add(count.times);
                continue;
            }
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
        entropy: Entropy,
        refusals: Refusals,
    }

    impl World {
        fn new() -> Self {
            let store = Arc::new(Memory::new());
            let history = History::new(store.clone()).expect("a fair prefix");
            let (clock, entropy) = (Clock::manual(START), Entropy::seeded(1));
            Self { store, history, clock, entropy, refusals: Refusals::default() }
        }

        fn sign_in(&self, from: &str) {
            self.refusals.sign_in(from.parse().ok(), &self.clock);
        }

        async fn tell(&self) -> Result<(), store::Error> {
            self.refusals.tell(self.store.as_ref(), &self.history, &self.clock, &self.entropy).await
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

    /// While the store is away the room for them stays the same, and none is forgotten.
    #[tokio::test]
    async fn a_store_that_is_away_costs_no_more_room() {
        let world = World::new();
        for round in 0..4_u32 {
            for number in 0..1_000_u32 {
                world.sign_in(&format!("10.{round}.{}.{}", number / 256, number % 256));
            }
            world.store.fail_next_commits(1, store::Error::Full);
            assert!(world.tell().await.is_err());
            assert!(world.refusals.noted().counts.len() <= COUNTED_MAX, "{round}");
        }
        world.tell().await.expect("the store works again");
        let told = world.told().await;
        let times: u64 = told
            .iter()
            .map(|said| said.split(' ').next().expect("a word").parse::<u64>().expect("a number"))
            .sum();
        assert_eq!((told.len(), times), (TOLD_MAX + 1, 4_000));
    }

    /// Whether or not a commit without an answer was done, each refusal is told once.
    #[tokio::test]
    async fn what_may_have_been_told_is_not_told_twice() {
        for was_done in [false, true] {
            let world = World::new();
            world.sign_in("192.0.2.1");
            world.store.lose_next_answers([was_done]);
            assert!(world.tell().await.is_err());
            assert!(world.refusals.are_due(START));
            world.sign_in("192.0.2.2");
            world.tell().await.expect("the store answers again");
            let told = [
                "1 sign-ins refused from 192.0.2.1: nobody who is known",
                "1 sign-ins refused from 192.0.2.2: nobody who is known",
            ];
            assert_eq!(world.told().await, told, "{was_done}");
        }
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
