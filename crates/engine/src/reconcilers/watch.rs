//! Looks again and again whether hosts answer, each once in a period (commissaire contract, section 9.4).
//!
//! The period is cut into slices of some seconds, and each host belongs to one ([`Rota`]). A slice that is due is
//! claimed, its hosts are looked at, and it is written down until when that was: so several processes that share a store
//! share the hosts, none is looked at twice, and what a process leaves undone another does. How a host is looked at is in
//! `hands/looks.rs`.
//!
//! Which hosts there are is read once in a period, from the index: a host that is new meanwhile waits until then, and
//! one that is gone is left out.

use std::collections::HashMap;
use std::sync::Arc;

use base::{Clock, Span, Timestamp};
use fleet::{HostAddress, Rota};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use store::Claims;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::hands::Crew;
use crate::reconciler::{self, LEASE, Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How many slices are worked on at once: hosts that are silent keep one from its end, and others must not wait.
const SLICES_AT_ONCE: usize = 6;
/// How long a slice is left alone that somebody else works on, or that went wrong.
const SOON: Span = Span::seconds(5);

/// The hosts of each slice, and when that was read.
type Roster = (Timestamp, Arc<Vec<Vec<HostAddress>>>);

pub(crate) struct Watch {
    watcher: Watcher,
    roster: Option<Roster>,
    /// Since when this process watches: what was due before, others may have done.
    since: Option<Timestamp>,
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

/// A slice of the hosts whose turn it is.
struct Slice {
    number: u32,
    due: Timestamp,
    roster: Arc<Vec<Vec<HostAddress>>>,
}

impl Slice {
    fn hosts(&self) -> &[HostAddress] {
        hosts_of(&self.roster, self.number)
    }
}

fn hosts_of(roster: &[Vec<HostAddress>], slice: u32) -> &[HostAddress] {
    usize::try_from(slice).ok().and_then(|slice| roster.get(slice)).map_or(&[], Vec::as_slice)
}

impl Watch {
    pub(crate) fn new(watcher: Watcher) -> Self {
        Self { watcher, roster: None, since: None }
    }

    async fn go_round(&mut self, stop: &Stop) -> Result<Next, StepError> {
        let Self { watcher, roster, since } = self;
        let watcher = &*watcher;
        let rota = Rota::new(watcher.period);
        let since = *since.get_or_insert(watcher.clock.now());
        // One place for each host that may be looked at now.
        let places = Semaphore::new(watcher.crew.hands.hosts_max.max(1));
        let mut working = FuturesUnordered::new();
        // Slices that are worked on here, or that are left alone until then.
        let mut known: HashMap<u32, Option<Instant>> = HashMap::new();
        loop {
            let now = watcher.clock.now();
            known.retain(|_, until| until.is_none_or(|until| until > Instant::now()));
            let room = SLICES_AT_ONCE - working.len();
            if room > 0 && !stop.is_asked() {
                match watcher.due(roster, since, &known).await {
                    Ok(due) => {
                        for slice in due.into_iter().take(room) {
                            known.insert(slice.number, None);
                            working.push(watcher.work(slice, &places, stop));
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
}

impl Watcher {
    /// The slices whose turn it is, without those that are `known`; who was to be looked at first comes first.
    async fn due(
        &self,
        roster: &mut Option<Roster>,
        since: Timestamp,
        known: &HashMap<u32, Option<Instant>>,
    ) -> Result<Vec<Slice>, StepError> {
        let (rota, now) = (Rota::new(self.period), self.clock.now());
        let roster = match roster {
            Some((read_at, roster)) if now < *read_at + self.period => Arc::clone(roster),
            outdated => {
                let mut slices = vec![Vec::new(); usize::try_from(rota.slices())?];
                for host in self.crew.fleet.hosts_to_watch().await? {
                    slices[usize::try_from(rota.slice(&host))?].push(host);
                }
                Arc::clone(&outdated.insert((now, Arc::new(slices))).1)
            }
        };
        let looked_at = self.crew.fleet.looked_at().await?;
        let mut due: Vec<Slice> = (0..rota.slices())
            .map(|number| Slice { number, due: rota.last_due(number, now), roster: Arc::clone(&roster) })
            .filter(|slice| slice.due >= since && !slice.hosts().is_empty())
            .filter(|slice| looked_at.get(&slice.number).is_none_or(|looked_at| *looked_at < slice.due))
            .filter(|slice| !known.contains_key(&slice.number))
            .collect();
        due.sort_unstable_by_key(|slice| slice.due);
        Ok(due)
    }

    /// Looks at the hosts of a slice, unless somebody else does; whether all of them were looked at.
    async fn work(&self, slice: Slice, places: &Semaphore, stop: &Stop) -> (u32, Result<bool, StepError>) {
        (slice.number, self.claimed(&slice, places, stop).await)
    }

    async fn claimed(&self, slice: &Slice, places: &Semaphore, stop: &Stop) -> Result<bool, StepError> {
        let name = format!("watch/{}", slice.number);
        let Some(claim) = self.claims.take(&name, &self.holder, self.clock.now(), LEASE).await? else {
            return Ok(false);
        };
        let while_held = stop.part();
        let work = async {
            // Somebody may have done it in this very moment.
            let looked_at = self.crew.fleet.looked_at().await?;
            if looked_at.get(&slice.number).is_some_and(|looked_at| *looked_at >= slice.due) {
                return Ok(true);
            }
            let after = |host: &HostAddress| Rota::new(self.period).after(host, slice.due);
            self.crew.look_at_all(&claim, slice.hosts(), after, places, &while_held).await?;
            if while_held.is_asked() {
                return Ok(false);
            }
            self.crew.fleet.record_looked_at(&claim, slice.number, slice.due).await?;
            Ok(true)
        };
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, work).await
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
