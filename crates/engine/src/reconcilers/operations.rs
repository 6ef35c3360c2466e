//! Carries operations out: restarts, upgrades and deployments of the hosts of clusters (`fleet::carry`; commissaire
//! contract, section 9.5).
//!
//! Each operation is worked on under a claim of its own, several at a time, so that processes that share a store share
//! the work, and one goes on where another died. How one operation is gone through is in `operations/conduct.rs`, what
//! is done on a host in `hands/operate.rs`.

mod conduct;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Span};
use bus::{Heard, Hint, InProcess};
use fleet::{ClusterName, RolloutId, is_skipping, is_steering};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use store::Claims;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::hands::{Crew, Wards};
use crate::reconciler::{self, CLAIMED, LEASE, Next, Reconciler, StepError};
use crate::tasks::Stop;
use conduct::{Conductor, Ended};

/// How often it is looked at whether there is work, unless a hint comes.
const EVERY: Span = Span::seconds(300);
/// How long an operation is left alone that could not be worked on here: somebody else has it, who may die.
const AGAIN: Duration = CLAIMED;

pub(crate) struct Operations {
    pub(crate) crew: Arc<Crew>,
    pub(crate) wards: Arc<dyn Wards>,
    /// Places for hosts that are under way, in all operations together.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) claims: Claims,
    pub(crate) holder: String,
    pub(crate) clock: Clock,
    pub(crate) bus: InProcess,
}

impl Operations {
    /// Works on one operation, if nobody else does.
    async fn work(
        &self,
        cluster: ClusterName,
        id: RolloutId,
        stop: &Stop,
    ) -> (ClusterName, Result<Option<Ended>, StepError>) {
        let ended = self.claimed(&cluster, id, stop).await;
        (cluster, ended)
    }

    async fn claimed(
        &self,
        cluster: &ClusterName,
        id: RolloutId,
        stop: &Stop,
    ) -> Result<Option<Ended>, StepError> {
        let name = format!("operation/{cluster}");
        let taken = self.claims.take(&name, &self.holder, self.clock.now(), LEASE).await?;
        let Some(claim) = taken else { return Ok(None) };
        let while_held = stop.part();
        let mut conductor = Conductor::new(self, &claim, (cluster, id), &while_held);
        let work = conductor.conduct();
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, work).await.map(Some)
    }

    async fn go_round(&self, stop: &Stop) -> Result<Next, StepError> {
        let room = self.crew.hands.hosts_max.max(1);
        let mut hints = self.bus.listen();
        let mut working = FuturesUnordered::new();
        // Those that are worked on, here or elsewhere.
        let mut known: HashSet<ClusterName> = HashSet::new();
        let mut elsewhere = HashSet::new();
        let mut next = None;
        let mut is_outdated = true;
        // Not put off by whatever else happens.
        let mut again = Instant::now() + AGAIN;
        loop {
            if is_outdated && !stop.is_asked() && working.len() < room {
                let (due, at) = self.crew.fleet.due_operations(|cluster| known.contains(cluster)).await?;
                for step in due.into_iter().take(room - working.len()) {
                    let (cluster, id) = (step.rollout.cluster, step.rollout.id);
                    known.insert(cluster.clone());
                    working.push(self.work(cluster, id, stop));
                }
                (next, is_outdated) = (at, false);
            }
            if working.is_empty() {
                break;
            }
            let due = next.map_or(Duration::MAX, |at| until(&self.clock, at)).min(AGAIN);
            tokio::select! {
                ended = working.next() => {
                    let Some((cluster, ended)) = ended else { continue };
                    is_outdated = true;
                    match ended {
                        Ok(Some(Ended::Over | Ended::Idle)) => drop(known.remove(&cluster)),
                        Ok(Some(Ended::Stopped) | None) => drop(elsewhere.insert(cluster)),
                        Err(error) => {
                            let error = base::report(error.as_ref());
                            tracing::warn!(%cluster, error, "an operation was interrupted, trying again");
                            elsewhere.insert(cluster);
                        }
                    }
                }
                heard = hints.next() => {
                    is_outdated |= match heard {
                        Some(Heard::Hint(hint)) => self.cares(&hint.what),
                        Some(Heard::Lost) | None => true,
                    };
                }
                () = tokio::time::sleep(due) => is_outdated |= next.is_some_and(|at| at <= self.clock.now()),
                () = tokio::time::sleep_until(again) => {
                    again = Instant::now() + AGAIN;
                    for cluster in elsewhere.drain() {
                        known.remove(&cluster);
                    }
                    is_outdated = true;
                }
            }
        }
        let soon = self.clock.now() + if elsewhere.is_empty() { EVERY } else { Span::seconds(5) };
        Ok(Next::At(next.map_or(soon, |next| next.min(soon))))
    }
}

impl Reconciler for Operations {
    fn name(&self) -> &'static str {
        "operations"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        self.go_round(stop).boxed()
    }

    /// Operations are claimed one by one.
    fn is_own(&self) -> bool {
        true
    }

    fn cares(&self, what: &str) -> bool {
        is_steering(what)
    }
}

/// Whether `hint` tells of something that somebody wants of the operation on `cluster`.
fn is_of(hint: &Hint, cluster: &ClusterName) -> bool {
    hint.about == format!("cluster {cluster}") || is_skipping(&hint.what)
}

/// How long it is until `at`.
fn until(clock: &Clock, at: base::Timestamp) -> Duration {
    let left = at.as_unix().saturating_mul(1_000).saturating_sub(clock.now_milliseconds());
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

#[cfg(test)]
mod tests;
