//! Lifts the cordons that operations had to leave behind, because a container manager was away or did not let them.
//!
//! It is tried until it works, later each time: a node that stays cordoned takes no pods, and nobody else would know that
//! the cordon is ours. How often it was tried is not stored: whoever takes over tries at once.

use std::collections::HashMap;
use std::sync::Arc;

use base::{Clock, Entropy, Span, Timestamp};
use fleet::{CordonLeft, Fleet, claim_on, is_of_cordon_left, retry_at};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use store::{Claim, Claims};

use crate::hands::Wards;
use crate::reconciler::{self, LEASE, Next, Reconciler, StepError};
use crate::tasks::Stop;

/// How often it is looked at whether there are any, unless a hint comes.
const SELDOM: Span = Span::seconds(300);
/// How soon it is looked again whether somebody is done with a host.
const BUSY_AGAIN: Span = Span::seconds(5);
/// How many are lifted at once.
const AT_ONCE: usize = 16;

pub(crate) struct LiftCordons {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) wards: Arc<dyn Wards>,
    pub(crate) claims: Claims,
    pub(crate) holder: String,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    /// How often in a row it did not work, and when it is tried again.
    pub(crate) waiting: HashMap<CordonLeft, (u32, Timestamp)>,
}

/// What came of it.
enum Came {
    Lifted,
    /// Somebody else is at work on the host.
    Busy,
    /// It stays for now.
    Stays(String),
}

impl LiftCordons {
    async fn go_round(&mut self, stop: &Stop) -> Result<Next, StepError> {
        let now = self.clock.now();
        let left = self.fleet.cordons_left().await?;
        self.waiting.retain(|one, _| left.contains(one));
        let is_due = |one: &&CordonLeft| self.waiting.get(*one).is_none_or(|(_, until)| *until <= now);
        let due: Vec<CordonLeft> = left.iter().filter(is_due).cloned().collect();
        let mut again_at = now + SELDOM;
        for some in due.chunks(AT_ONCE) {
            if stop.is_asked() {
                break;
            }
            let came = join_all(some.iter().map(|one| self.claimed(one, stop))).await;
            for (one, came) in some.iter().zip(came) {
                match came? {
                    Came::Lifted => drop(self.waiting.remove(one)),
                    Came::Busy => again_at = again_at.min(now + BUSY_AGAIN),
                    Came::Stays(reason) => self.failed(one, &reason),
                }
            }
        }
        let first = self.waiting.values().map(|(_, until)| *until).min();
        Ok(Next::At(first.map_or(again_at, |first| first.min(again_at))))
    }

    fn failed(&mut self, left: &CordonLeft, reason: &str) {
        let failures = self.waiting.get(left).map_or(0, |(failures, _)| *failures).saturating_add(1);
        let until = retry_at(failures, self.clock.now(), self.entropy.number());
        let CordonLeft { cluster, address, .. } = left;
        tracing::warn!(host = %address, %cluster, reason, "node stays cordoned, trying again later");
        self.waiting.insert(left.clone(), (failures, until));
    }

    /// With the claim on the host, so that no operation begins with it, and cordons it, meanwhile.
    async fn claimed(&self, left: &CordonLeft, stop: &Stop) -> Result<Came, StepError> {
        let name = claim_on(&left.address);
        let Some(claim) = self.claims.take(&name, &self.holder, self.clock.now(), LEASE).await? else {
            return Ok(Came::Busy);
        };
        let while_held = stop.part();
        let lifted = self.lift(&claim, left);
        reconciler::holding(claim.clone(), &self.claims, &self.clock, &while_held, lifted).await
    }

    async fn lift(&self, claim: &Claim, left: &CordonLeft) -> Result<Came, StepError> {
        if !self.fleet.is_still_left(left).await? {
            return Ok(Came::Lifted);
        }
        let CordonLeft { cluster, address, .. } = left;
        if let Err(trouble) = self.wards.uncordon((cluster, address)).await
            && !trouble.is_gone
        {
            return Ok(Came::Stays(trouble.reason));
        }
        self.fleet.record_cordon_lifted(claim, left).await?;
        tracing::info!(host = %address, %cluster, "cordon of node lifted");
        Ok(Came::Lifted)
    }
}

impl Reconciler for LiftCordons {
    fn name(&self) -> &'static str {
        "cordons"
    }

    fn step<'a>(&'a mut self, stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        self.go_round(stop).boxed()
    }

    fn cares(&self, what: &str) -> bool {
        is_of_cordon_left(what)
    }
}
