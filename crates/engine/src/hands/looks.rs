//! Looks whether hosts answer: for those who watch them, and for operations that must not count on one which is silent.
//!
//! What is made of silence is `fleet`'s. Hosts that answer are written down many at a time.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleet::{HostAddress, Look};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use ssh::{Command, Error, Keep, Output, Step, Target};
use store::Claim;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::reach::{NoWay, stored_key, why};
use super::{Crew, Hands};
use crate::reconciler::StepError;
use crate::tasks::Stop;

/// How long a host may take to answer, once it has let us in.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// How many hosts that answered are written at once.
const ANSWERS: usize = 90;
/// How long one that answered waits for others to be written with.
const HELD: Duration = Duration::from_secs(1);
/// How much of what a host says instead is kept.
const KEPT: Keep = Keep::ends(1024);

/// What came of looking at a host.
enum Sign {
    Look(Look),
    /// It proved another key than the pinned one, and this is to be said of it.
    OtherKey(Box<ssh::HostKey>, String),
    /// There is nothing to say: it is not there any more, or is not to be looked at, or we are to stop.
    Nothing,
}

impl Sign {
    fn silence(reason: String) -> Self {
        Self::Look(Look::Silent { reason })
    }
}

impl Hands {
    /// How many hosts are looked at together. With playbooks many: each run takes a second of a processor, however many
    /// hosts it is for; but no more than it is at in one moment.
    fn looked_at_together(&self) -> usize {
        if self.playbooks.is_some() { self.hosts_max.clamp(1, ansible::FORKS) } else { 1 }
    }

    /// Asks each of these for a sign of life, all at once; what came of each, in the same order. With playbooks that is
    /// one run.
    pub async fn check(&self, targets: &[Target]) -> Vec<Result<Output, Error>> {
        if let Some(playbooks) = &self.playbooks {
            return playbooks.check(targets, ANSWER).await;
        }
        let nothing = &Command::new("true").as_user().deadline(ANSWER).keep(KEPT).say_at_most(1);
        let asked = targets.iter().map(async |target| match self.remote.run(target, nothing).await {
            // A connection that was kept may be dead where the host is not.
            Err(error) if error.may_have_begun() => self.remote.run(target, nothing).await,
            answer => answer,
        });
        join_all(asked).await
    }
}

/// Places for hosts that are being looked at. Those that did not answer the last time have half of them at most: who is
/// away takes long, and nobody who is there waits for that.
pub(crate) struct Places {
    all: Semaphore,
    of_away: Semaphore,
    /// How many of either there are.
    max: [usize; 2],
    /// Who did not answer the last time.
    away: Mutex<HashSet<HostAddress>>,
}

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        let max = [max.max(1), (max / 2).max(1)];
        let [all, of_away] = max.map(Semaphore::new);
        Self { all, of_away, max, away: Mutex::default() }
    }

    fn away(&self) -> MutexGuard<'_, HashSet<HostAddress>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets who was away, but for these.
    pub(crate) fn keep(&self, is_kept: impl Fn(&HostAddress) -> bool) {
        self.away().retain(is_kept);
    }

    async fn take(
        &self,
        hosts: usize,
        are_away: bool,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>), StepError> {
        let hosts = u32::try_from(hosts)?;
        let of_away = if are_away { Some(self.of_away.acquire_many(hosts).await?) } else { None };
        Ok((of_away, self.all.acquire_many(hosts).await?))
    }
}

/// Hosts that are looked at together, so long after the beginning.
type Part = (Duration, Vec<HostAddress>);

/// Parts of so many hosts at most, those together that are to be looked at about the same time, when the first of them is.
fn parts(hosts: Vec<HostAddress>, together: usize, after: impl Fn(&HostAddress) -> Duration) -> Vec<Part> {
    let mut hosts: Vec<_> = hosts.into_iter().map(|host| (after(&host), host)).collect();
    hosts.sort_by_key(|(after, _)| *after);
    let mut parts: Vec<Part> = Vec::new();
    for (after, host) in hosts {
        match parts.last_mut().filter(|(_, hosts)| hosts.len() < together) {
            Some((_, hosts)) => hosts.push(host),
            None => parts.push((after, vec![host])),
        }
    }
    parts
}

/// A part that was looked at.
struct Looked {
    hosts: Vec<HostAddress>,
    are_away: bool,
    /// When they were asked, and what came of each.
    signs: Result<(Instant, Vec<Sign>), StepError>,
}

/// Looks that were begun and have not ended. While one is in hand, others are begun, but none at its host.
pub(crate) struct Looks<'a> {
    crew: &'a Crew,
    claim: &'a Claim,
    places: &'a Places,
    stop: &'a Stop,
    under_way: FuturesUnordered<BoxFuture<'a, Looked>>,
    /// Those that ended while something else was waited for.
    ended: VecDeque<Looked>,
    /// How many parts those are: of hosts that were there, and of those that were away.
    count: [usize; 2],
    in_hand: HashSet<HostAddress>,
    /// Who has answered and is not written down yet, and when they were asked; since when the first of them is held.
    answered: Vec<(HostAddress, Instant)>,
    held: Option<Instant>,
}

impl<'a> Looks<'a> {
    /// Begins to look at `hosts`, those that are to be looked at now and are not in hand, each so long `after` this is
    /// called; returns when it was begun with all of them. Leaves the rest when it is to stop.
    ///
    /// # Errors
    /// The store's, and a claim that was lost.
    pub(crate) async fn begin(
        &mut self,
        hosts: &[HostAddress],
        after: impl Fn(&HostAddress) -> Duration,
    ) -> Result<(), StepError> {
        let begun = Instant::now();
        let together = self.crew.hands.looked_at_together();
        let (away, there) = {
            let away = self.places.away();
            let free = hosts.iter().filter(|host| !self.in_hand.contains(*host)).cloned();
            free.partition(|host| away.contains(host))
        };
        let [there_max, away_max] = self.places.max.map(|max| together.min(max));
        let mut rest = [parts(there, there_max, &after), parts(away, away_max, &after)]
            .map(|parts| parts.into_iter().peekable());
        let at_once = [0, 1].map(|kind| self.places.max[kind].div_ceil(together));
        while !self.stop.is_asked() {
            let mut next = None;
            for (kind, rest) in rest.iter_mut().enumerate() {
                while self.count[kind] < at_once[kind]
                    && let Some((_, hosts)) = rest.next_if(|(after, _)| *after <= begun.elapsed())
                {
                    self.push(hosts, kind);
                }
                let due = rest.peek().filter(|_| self.count[kind] < at_once[kind]);
                next = [next, due.map(|(after, _)| begun + *after)].into_iter().flatten().min();
            }
            if rest.iter_mut().all(|rest| rest.peek().is_none()) {
                break;
            }
            self.wait(next).await?;
        }
        Ok(())
    }

    fn push(&mut self, hosts: Vec<HostAddress>, kind: usize) {
        let (crew, places, stop) = (self.crew, self.places, self.stop);
        self.in_hand.extend(hosts.iter().cloned());
        self.count[kind] += 1;
        let are_away = kind == 1;
        self.under_way.push(Box::pin(async move {
            let signs = crew.look_at(&hosts, (places, are_away), stop).await;
            Looked { hosts, are_away, signs }
        }));
    }

    /// Waits until all looks have ended, or until `at`, and writes down what came of them; whether all have ended.
    ///
    /// # Errors
    /// The store's, and a claim that was lost.
    pub(crate) async fn end(&mut self, at: Option<Instant>) -> Result<bool, StepError> {
        while !self.is_empty() && at.is_none_or(|at| at > Instant::now()) {
            self.wait(at).await?;
        }
        self.write_down().await?;
        Ok(self.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.ended.is_empty()
    }

    /// Does `work`, while all looks that are in hand go on: they have deadlines, and places that others wait for.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                out = &mut work => return out,
                Some(looked) = self.under_way.next(), if !self.under_way.is_empty() => self.ended.push_back(looked),
            }
        }
    }

    /// Waits for a look that ends, until `at` at most, or until it is to stop where none is in hand; notes what came of it.
    async fn wait(&mut self, at: Option<Instant>) -> Result<(), StepError> {
        let wake = [at, self.held.map(|held| held + HELD)].into_iter().flatten().min();
        let looked = match self.ended.pop_front() {
            Some(looked) => Some(looked),
            None => tokio::select! {
                Some(looked) = self.under_way.next() => Some(looked),
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => None,
                () = self.stop.asked(), if self.under_way.is_empty() => None,
            },
        };
        if let Some(looked) = looked {
            self.note(looked).await?;
        }
        if self.answered.len() >= ANSWERS || self.held.is_some_and(|held| held.elapsed() >= HELD) {
            self.write_down().await?;
        }
        Ok(())
    }

    async fn note(&mut self, looked: Looked) -> Result<(), StepError> {
        let Looked { hosts, are_away, signs } = looked;
        self.count[usize::from(are_away)] -= 1;
        for host in &hosts {
            self.in_hand.remove(host);
        }
        let (asked, signs) = signs?;
        let (fleet, claim) = (&self.crew.fleet, self.claim);
        for (host, sign) in hosts.into_iter().zip(signs) {
            match sign {
                Sign::Nothing => {}
                Sign::Look(Look::Answered) => {
                    self.places.away().remove(&host);
                    self.held.get_or_insert_with(Instant::now);
                    self.answered.push((host, asked));
                }
                Sign::Look(look @ (Look::Silent { .. } | Look::Lost { .. })) => {
                    if let Look::Silent { reason } | Look::Lost { reason } = &look {
                        tracing::debug!(%host, reason, "host does not answer");
                    }
                    self.beside(fleet.record_look(claim, &host, &look)).await?;
                    self.places.away().insert(host);
                }
                Sign::OtherKey(offered, reason) => {
                    tracing::warn!(%host, reason, "host proved another key");
                    let noted = async {
                        match stored_key(&offered) {
                            Some(offered) => fleet.record_other_key(claim, &host, &offered, &reason).await,
                            None => fleet.record_failure(claim, &host, &reason).await,
                        }
                    };
                    self.beside(noted).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes down who answered.
    async fn write_down(&mut self) -> Result<(), StepError> {
        self.held = None;
        let answered: Vec<_> = self.answered.drain(..).map(|(host, asked)| (host, asked.elapsed())).collect();
        let (fleet, claim) = (&self.crew.fleet, self.claim);
        Ok(self.beside(fleet.record_answers(claim, &answered)).await?)
    }
}

impl Crew {
    /// Who looks at hosts under `claim`, each of which has one of the `places` meanwhile, until it is to stop.
    pub(crate) fn looks<'a>(&'a self, claim: &'a Claim, places: &'a Places, stop: &'a Stop) -> Looks<'a> {
        Looks {
            crew: self,
            claim,
            places,
            stop,
            under_way: FuturesUnordered::new(),
            ended: VecDeque::new(),
            count: [0; 2],
            in_hand: HashSet::new(),
            answered: Vec::new(),
            held: None,
        }
    }

    /// Looks at `hosts`, those that are to be looked at now, all at once, and writes down what came of each. Leaves the
    /// rest when it is to stop.
    ///
    /// # Errors
    /// The store's, and a claim that was lost.
    pub(crate) async fn look_at_all(
        &self,
        claim: &Claim,
        hosts: &[HostAddress],
        places: &Places,
        stop: &Stop,
    ) -> Result<(), StepError> {
        let mut looks = self.looks(claim, places, stop);
        looks.begin(hosts, |_| Duration::ZERO).await?;
        looks.end(None).await.map(drop)
    }

    /// Looks at these together; when that was begun, and what came of each, in the same order.
    async fn look_at(
        &self,
        hosts: &[HostAddress],
        (places, are_away): (&Places, bool),
        stop: &Stop,
    ) -> Result<(Instant, Vec<Sign>), StepError> {
        let looked = async {
            let _places = places.take(hosts.len(), are_away).await?;
            let begun = Instant::now();
            let mut signs = Vec::with_capacity(hosts.len());
            let (mut asked, mut targets) = (Vec::new(), Vec::new());
            for (place, way) in
                join_all(hosts.iter().map(|host| self.way_to(host))).await.into_iter().enumerate()
            {
                signs.push(match way? {
                    Ok(target) => {
                        asked.push(place);
                        targets.push(target);
                        Sign::Nothing
                    }
                    Err(sign) => sign,
                });
            }
            for (place, answer) in asked.into_iter().zip(self.hands.check(&targets).await) {
                signs[place] = sign(&hosts[place], answer);
            }
            Ok((begun, signs))
        };
        tokio::select! {
            biased;
            () = stop.asked() => Ok((Instant::now(), hosts.iter().map(|_| Sign::Nothing).collect())),
            looked = looked => looked,
        }
    }

    /// How to get into a host that is to be looked at; or what is to be said of it without a look.
    async fn way_to(&self, host: &HostAddress) -> Result<Result<Target, Sign>, StepError> {
        if !self.fleet.is_to_be_looked_at(host).await? {
            return Ok(Err(Sign::Nothing));
        }
        match self.way_in(host).await {
            Ok(target) => Ok(Ok(target)),
            Err(NoWay::Gone) => Ok(Err(Sign::Nothing)),
            Err(NoWay::Unknown(reason)) => Ok(Err(Sign::silence(reason))),
            Err(NoWay::Ours(error)) => Err(error),
        }
    }
}

/// What an answer is a sign of.
fn sign(host: &HostAddress, answer: Result<Output, Error>) -> Sign {
    match answer {
        Ok(output) if output.is_success() => Sign::Look(Look::Answered),
        Ok(output) => {
            Sign::silence(format!("it lets us in and does nothing for us ({})", output.last_words()))
        }
        // That is us, who have too much to do.
        Err(Error::TimedOut { step: Step::Queue, .. }) => Sign::Nothing,
        Err(error) => {
            let reason = why(host, &error);
            match error {
                Error::HostKeyChanged { offered, .. } => Sign::OtherKey(offered, reason),
                _ => Sign::silence(reason),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_due_about_the_same_time_are_looked_at_together_and_not_too_many() {
        let hosts: Vec<HostAddress> = (0..60).map(|n| format!("10.0.0.{n}").parse().unwrap()).collect();
        // The last one first.
        let after = |host: &HostAddress| {
            let number: u64 = host.as_str().rsplit('.').next().unwrap().parse().unwrap();
            Duration::from_secs(60 - number)
        };
        let parts = parts(hosts, 25, after);
        let seen: Vec<_> = parts.iter().map(|(after, hosts)| (after.as_secs(), hosts.len())).collect();
        assert_eq!(seen, [(1, 25), (26, 25), (51, 10)]);
        assert!(parts.iter().all(|(first, hosts)| hosts.iter().all(|host| after(host) >= *first)));
    }
}
