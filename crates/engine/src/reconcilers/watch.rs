//! Looks again and again whether hosts answer, each once in a period (commissaire contract, section 9.4).
//!
//! The period is cut into slices of some seconds, and each host belongs to one ([`Rota`]). A slice that is due is
//! claimed, its hosts are looked at, and it is written down until when that was: so several processes that share a store
//! share the hosts, none is looked at twice, and what a process leaves undone another does. How a host is looked at is in
//! `hands/looks.rs`.
//!
//! A host that hangs holds nobody back: as soon as each host of a slice is being looked at, another slice is begun with;
//! and if it hangs until the next turn of its own slice, the others have theirs. The slice stays claimed for as long, so
//! that nobody else looks at that host meanwhile.
//!
//! Which hosts there are is read once in a period, from the index: a host that is new meanwhile waits until then, and
//! one that is gone is left out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base::{Clock, Span, Timestamp};
use fleet::{HostAddress, Rota};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use store::{Claim, Claims};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::hands::{Crew, Places};
use crate::reconciler::{self, LEASE, Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How many slices are begun with at once: where many are due, their hosts are no crowd.
const SLICES_AT_ONCE: usize = 6;
/// How long a slice is left alone that somebody else works on, or that went wrong.
const SOON: Span = Span::seconds(5);

/// The hosts of each slice, and when that was read.
type Roster = (Timestamp, Arc<Vec<Vec<HostAddress>>>);

pub(crate) struct Watch {
    watcher: Watcher,
    roster: Mutex<Option<Roster>>,
    /// Since when this process watches: what was due before, others may have done.
    since: Option<Timestamp>,
    /// For slices with which it is begun, and for hosts that are looked at.
    slices: Semaphore,
    places: Places,
}

/// Who looks at hosts.
pub(crate) struct Watcher {
    pub(crate) crew: Arc<Crew>,
    pub(crate) claims: Claims,
    pub(crate) holder: String,
    pub(crate) clock: Clock,
    /// How often each host is looked at.
    pub(crate) period: Span,
}

fn hosts_of(roster: &[Vec<HostAddress>], slice: u32) -> &[HostAddress] {
    usize::try_from(slice).ok().and_then(|slice| roster.get(slice)).map_or(&[], Vec::as_slice)
}

impl Watch {
    pub(crate) fn new(watcher: Watcher) -> Self {
        let places = Places::new(watcher.crew.hands.hosts_max);
        Self {
            watcher,
            roster: Mutex::default(),
            since: None,
            slices: Semaphore::new(SLICES_AT_ONCE),
            places,
        }
    }

    async fn go_round(&mut self, stop: &Stop) -> Result<Next, StepError> {
        let since = *self.since.get_or_insert(self.watcher.clock.now());
        let (this, clock) = (&*self, &self.watcher.clock);
        let rota = Rota::new(self.watcher.period);
        let mut working = FuturesUnordered::new();
        // Slices that are worked on here, or that are left alone until then.
        let mut known: HashMap<u32, Option<Instant>> = HashMap::new();
        loop {
            let now = clock.now();
            known.retain(|_, until| until.is_none_or(|until| until > Instant::now()));
            if !stop.is_asked() {
                match this.due(since, &known).await {
                    Ok(due) => {
                        for (slice, due) in due {
                            known.insert(slice, None);
                            working.push(async move { (slice, this.work(slice, due, stop).await) });
                        }
                    }
                    Err(error) if working.is_empty() => return Err(error),
                    // What is being done is done to its end.
                    Err(error) => {
                        tracing::warn!(
                            error = base::report(error.as_ref()),
                            "who is to be looked at is not known"
                        );
                    }
                }
            }
            let next = (0..rota.slices()).map(|slice| rota.next_due(slice, now)).min().unwrap_or(now);
            if working.is_empty() {
                let is_any_left = !known.is_empty();
                return Ok(Next::At(if is_any_left { next.min(now + SOON) } else { next }));
            }
            tokio::select! {
                ended = working.next() => {
                    let Some((slice, ended)) = ended else { continue };
                    if let Err(error) = &ended {
                        let error = base::report(error.as_ref());
                        tracing::warn!(slice, error, "looking at hosts was interrupted, trying again");
                    }
                    match ended {
                        Ok(true) => known.remove(&slice),
                        Ok(false) | Err(_) => known.insert(slice, Some(Instant::now() + SOON.as_duration())),
                    };
                }
                () = tokio::time::sleep((next - now).as_duration()) => {}
            }
        }
    }

    /// The hosts of each slice.
    async fn roster(&self) -> Result<Arc<Vec<Vec<HostAddress>>>, StepError> {
        let (rota, now) = (Rota::new(self.watcher.period), self.watcher.clock.now());
        // Not held while it is read: whoever waits for it may be who keeps the others from going on.
        let known = || self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, roster)) =
            known().as_ref().filter(|(read_at, _)| now < *read_at + self.watcher.period)
        {
            return Ok(Arc::clone(roster));
        }
        let mut slices = vec![Vec::new(); usize::try_from(rota.slices())?];
        for host in self.watcher.crew.fleet.hosts_to_watch().await? {
            slices[usize::try_from(rota.slice(&host))?].push(host);
        }
        self.places.keep(|host| hosts_of(&slices, rota.slice(host)).contains(host));
        Ok(Arc::clone(&known().insert((now, Arc::new(slices))).1))
    }

    /// The slices whose turn it is, without those that are `known`, and since when; who was to be looked at first comes
    /// first.
    async fn due(
        &self,
        since: Timestamp,
        known: &HashMap<u32, Option<Instant>>,
    ) -> Result<Vec<(u32, Timestamp)>, StepError> {
        let (rota, now) = (Rota::new(self.watcher.period), self.watcher.clock.now());
        let roster = self.roster().await?;
        let looked_at = self.watcher.crew.fleet.looked_at().await?;
        let mut due: Vec<(u32, Timestamp)> = (0..rota.slices())
            .map(|slice| (slice, rota.last_due(slice, now)))
            .filter(|(slice, due)| *due >= since && !hosts_of(&roster, *slice).is_empty())
            .filter(|(slice, due)| looked_at.get(slice).is_none_or(|looked_at| looked_at < due))
            .filter(|(slice, _)| !known.contains_key(slice))
            .collect();
        due.sort_unstable_by_key(|(_, due)| *due);
        Ok(due)
    }

    /// Looks at the hosts of a slice, whose turn it is since `due`, unless somebody else does; whether all of them were
    /// looked at.
    async fn work(&self, slice: u32, due: Timestamp, stop: &Stop) -> Result<bool, StepError> {
        let Watcher { crew, claims, holder, clock, .. } = &self.watcher;
        let Some(turn) = self.turn(stop).await? else { return Ok(false) };
        let name = format!("watch/{slice}");
        let Some(claim) = claims.take(&name, holder, clock.now(), LEASE).await? else { return Ok(false) };
        let while_held = stop.part();
        let work = async {
            // Somebody may have done it in this very moment.
            let looked_at = crew.fleet.looked_at().await?;
            if looked_at.get(&slice).is_some_and(|looked_at| *looked_at >= due) {
                return Ok(true);
            }
            self.rounds(&claim, (slice, due, turn), &while_held).await
        };
        reconciler::holding(claim.clone(), claims, clock, &while_held, work).await
    }

    /// Looks at the hosts of a slice. When their next turn comes before some of them have answered or were given up, all
    /// others are looked at again, and those go on.
    async fn rounds(
        &self,
        claim: &Claim,
        (slice, mut due, mut turn): (u32, Timestamp, SemaphorePermit<'_>),
        stop: &Stop,
    ) -> Result<bool, StepError> {
        let Watcher { crew, clock, period, .. } = &self.watcher;
        let rota = Rota::new(*period);
        let mut looks = crew.looks(claim, &self.places, stop);
        loop {
            let roster = looks.beside(self.roster()).await?;
            looks.begin(hosts_of(&roster, slice), |host| rota.after(host, due)).await?;
            // Another slice is begun with, whoever does not answer in this one.
            drop(turn);
            let now = clock.now();
            let next = rota.next_due(slice, now);
            let is_whole = looks.end(Some(Instant::now() + (next - now).as_duration())).await?;
            if stop.is_asked() {
                return Ok(false);
            }
            looks.beside(crew.fleet.record_looked_at(claim, slice, due)).await?;
            if is_whole {
                return Ok(true);
            }
            due = next;
            turn = match looks.beside(self.turn(stop)).await? {
                Some(turn) => turn,
                None => return Ok(false),
            };
        }
    }

    /// The turn of a slice to be begun with; nothing when it is to stop.
    async fn turn(&self, stop: &Stop) -> Result<Option<SemaphorePermit<'_>>, StepError> {
        tokio::select! {
            biased;
            () = stop.asked() => Ok(None),
            turn = self.slices.acquire() => Ok(Some(turn?)),
        }
    }
}

impl Reconciler for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        self.go_round(stop).boxed()
    }

    /// Hosts are claimed slice by slice.
    fn is_own(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
