//! Looks at hosts and makes them ready: new ones at once, those that failed after a while, and those at which a
//! process was interrupted (commissaire contract, section 9.3).
//!
//! Several at a time, each under a claim of its own, so that processes that share a store share the work.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span};
use bus::{Heard, InProcess};
use fleet::{HostAddress, HostFilter, HostStatus, claim_on, is_of_newcomer};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use identity::Permit;
use store::Claims;
use tokio::time::Instant;

use crate::hands::{Crew, Preparation, Prepared};
use crate::reconciler::{self, CLAIMED, LEASE, Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked at whether there is work, unless a hint comes.
const EVERY: Span = Span::seconds(300);
/// The same while there is work, and how long a host is left alone that could not be worked on here.
const AGAIN: Duration = CLAIMED;
/// How many hosts are read at once.
const PAGE: usize = 200;
/// How often it is asked at most which hosts are to be tried again: of many that fail, all are read for that.
const RETRIES: Duration = Duration::from_secs(5);

/// With which status a host waits for somebody to make it ready, or for its work to be taken over.
const WAITING: [HostStatus; 3] = [HostStatus::New, HostStatus::Investigating, HostStatus::Bootstrapping];

pub(crate) struct Investigate {
    pub(crate) crew: Arc<Crew>,
    pub(crate) claims: Claims,
    pub(crate) holder: String,
    pub(crate) clock: Clock,
    pub(crate) bus: InProcess,
}

/// Why a host is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It waits, by its status.
    Waits,
    /// It is to be tried again.
    Again,
}

/// Hosts that are to be tried again, as far as is known.
#[derive(Default)]
struct Retries {
    asked: Option<Instant>,
    due: VecDeque<HostAddress>,
}

/// How the work on a host ended here.
type Ended = (HostAddress, Result<Option<Prepared>, StepError>);

impl Investigate {
    /// Hosts that are to be worked on, at most `room`, without those that are `known`.
    async fn due(
        &self,
        known: &HashSet<HostAddress>,
        retries: &mut Retries,
        room: usize,
    ) -> Result<Vec<(HostAddress, Due)>, StepError> {
        let fleet = &self.crew.fleet;
        let mut due = Vec::new();
        for status in WAITING {
            let filter = HostFilter { status: Some(status), ..HostFilter::default() };
            let mut after: Option<HostAddress> = None;
            while due.len() < room {
                let page = fleet.hosts(Permit::house(), &filter, after.as_ref(), PAGE).await?;
                let hosts = page.hosts.into_iter().map(|host| host.is.address);
                let hosts = hosts.filter(|address| !known.contains(address));
                due.extend(hosts.map(|address| (address, Due::Waits)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        if retries.due.is_empty() && retries.asked.is_none_or(|asked| asked.elapsed() >= RETRIES) {
            let (again, _) = fleet.retries_due().await?;
            *retries = Retries { asked: Some(Instant::now()), due: again.into() };
        }
        while due.len() < room
            && let Some(address) = retries.due.pop_front()
        {
            if !known.contains(&address) && !due.iter().any(|(known, _)| *known == address) {
                due.push((address, Due::Again));
            }
        }
        due.truncate(room);
        Ok(due)
    }

    /// Works on one host, if nobody else does.
    async fn work(&self, address: HostAddress, due: Due, stop: &Stop) -> Ended {
        let ended = self.claimed(&address, due, stop).await;
        (address, ended)
    }

    async fn claimed(
        &self,
        address: &HostAddress,
        due: Due,
        stop: &Stop,
    ) -> Result<Option<Prepared>, StepError> {
        let name = claim_on(address);
        let taken = self.claims.take(&name, &self.holder, self.clock.now(), LEASE).await?;
        let Some(claim) = taken else { return Ok(None) };
        let while_held = stop.part();
        let ends = Instant::now() + self.crew.hands.host_limit;
        let preparation = Preparation { crew: &self.crew, claim: &claim, address, stop: &while_held, ends };
        let work = async {
            // Whoever begins with a host in an operation sees that nobody holds the claim: from here on, nobody does.
            if self.is_still(address, due).await? { preparation.run().await } else { Ok(Prepared::NotNow) }
        };
        let outcome =
            reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, work).await?;
        Ok(Some(outcome))
    }

    /// Whether a host is still to be worked on: no operation is at it, and it was not tried again meanwhile.
    async fn is_still(&self, address: &HostAddress, due: Due) -> Result<bool, StepError> {
        let fleet = &self.crew.fleet;
        if fleet.is_under_way(address).await? {
            return Ok(false);
        }
        Ok(match due {
            Due::Waits => true,
            Due::Again => fleet.care(address).await?.retry_at.is_some_and(|at| at <= self.clock.now()),
        })
    }

    async fn go_round(&self, stop: &Stop) -> Result<Next, StepError> {
        let room = self.crew.hands.hosts_max.max(1);
        let mut hints = self.bus.listen();
        let mut working = FuturesUnordered::new();
        // Those that are worked on, here or elsewhere.
        let mut known = HashSet::new();
        let mut elsewhere = HashSet::new();
        let mut retries = Retries::default();
        let mut is_outdated = true;
        // Not put off by whatever else happens: a fleet that is busy would never come back to them.
        let mut again = Instant::now() + AGAIN;
        loop {
            if is_outdated && !stop.is_asked() && working.len() < room {
                for (address, due) in self.due(&known, &mut retries, room - working.len()).await? {
                    known.insert(address.clone());
                    working.push(self.work(address, due, stop));
                }
                is_outdated = false;
            }
            if working.is_empty() {
                break;
            }
            tokio::select! {
                ended = working.next() => {
                    let Some((address, ended)) = ended else { continue };
                    is_outdated = true;
                    match ended {
                        Ok(Some(Prepared::Done | Prepared::Gone)) => {
                            known.remove(&address);
                        }
                        Ok(Some(Prepared::Stopped | Prepared::NotNow) | None) => drop(elsewhere.insert(address)),
                        Err(error) => {
                            let error = base::report(error.as_ref());
                            tracing::warn!(host = %address, error, "work on a host was interrupted, trying again");
                            elsewhere.insert(address);
                        }
                    }
                }
                heard = hints.next() => {
                    is_outdated |= match heard {
                        Some(Heard::Hint(hint)) => self.cares(&hint.what),
                        Some(Heard::Lost) | None => true,
                    };
                }
                () = tokio::time::sleep_until(again) => {
                    again = Instant::now() + AGAIN;
                    for address in elsewhere.drain() {
                        known.remove(&address);
                    }
                    is_outdated = true;
                }
            }
        }
        let soon = self.clock.now() + if elsewhere.is_empty() { EVERY } else { Span::seconds(5) };
        // Those that failed just now have moments of their own.
        let (again, next) = self.crew.fleet.retries_due().await?;
        let is_due = again.iter().any(|address| !known.contains(address));
        let next = if is_due { Some(self.clock.now()) } else { next };
        Ok(Next::At(next.map_or(soon, |next| next.min(soon))))
    }
}

impl Reconciler for Investigate {
    fn name(&self) -> &'static str {
        "investigate"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        self.go_round(stop).boxed()
    }

    /// Hosts are claimed one by one.
    fn is_own(&self) -> bool {
        true
    }

    fn cares(&self, what: &str) -> bool {
        is_of_newcomer(what)
    }
}

#[cfg(test)]
mod tests;
