//! The hosts of the fleet have what they are to trust.

use base::Clock;
use fleet::{HostAddress, claim_on};
use ssh::KnownKey;
use store::Claims;
use trust::Anchor;
use trust::on_host::{FilePlace, OnHost};

use crate::hands::handing_on::{Delivered, DeliveryError, deliver_each};
use crate::hands::{Crew, NoWay, told, why};
use crate::reconciler::{self, LEASE, StepError};
use crate::tasks::Stop;

/// How it ended with a host of the fleet.
#[derive(Debug)]
pub(crate) enum HandedOn {
    /// It has what it is to have.
    Done(Delivered),
    /// It has not, and this is to be said of it.
    Failed(String),
    /// There is no such host any more.
    Gone,
    /// Somebody else is at it, or we are to stop. Nothing was begun.
    NotNow,
}

/// Who hands certificates on, and what.
#[derive(Clone, Copy)]
pub(crate) struct Errand<'a> {
    pub(crate) claims: &'a Claims,
    pub(crate) holder: &'a str,
    pub(crate) clock: &'a Clock,
    /// Where on the host they are to be.
    pub(crate) places: &'a OnHost,
    /// What is to be in its trust store, sorted and none twice; `None` where all of ours is to go.
    pub(crate) bundle: Option<&'a [Anchor]>,
    /// What is to be in each of the files, in their order.
    pub(crate) contents: &'a [&'a [Anchor]],
    /// The files that are to go, if we put them there.
    pub(crate) drops: &'a [FilePlace],
}

impl Crew {
    /// Sees that a host of the fleet has what it is to have: under the claim on it, as everybody does who works there,
    /// and not while an operation is at it. Only a host whose key was pinned is asked, and only if it proves that one.
    /// What was begun is done to its end, which is some minutes at most.
    ///
    /// # Errors
    /// The store's. What is wrong with the host is [`HandedOn::Failed`].
    pub(crate) async fn hand_on_to_host(
        &self,
        address: &HostAddress,
        errand: Errand<'_>,
        stop: &Stop,
    ) -> Result<HandedOn, StepError> {
        let Errand { claims, holder, clock, places, bundle, contents, drops } = errand;
        let taken = claims.take(&claim_on(address), holder, clock.now(), LEASE).await?;
        let Some(claim) = taken else { return Ok(HandedOn::NotNow) };
        let while_held = stop.part();
        let work = async {
            // Whoever begins with a host in an operation sees that nobody holds the claim: from here on, nobody does.
            if while_held.is_asked() || self.fleet.is_under_way(address).await? {
                return Ok(HandedOn::NotNow);
            }
            let target = match self.way_in(address).await {
                Ok(target) => target,
                Err(NoWay::Gone) => return Ok(HandedOn::Gone),
                Err(NoWay::Unknown(reason)) => return Ok(HandedOn::Failed(reason)),
                Err(NoWay::Ours(error)) => return Err(error),
            };
            if !matches!(target.known, KnownKey::Pinned(_)) {
                let reason = "its host key is not known: it is learnt when the host is made ready";
                return Ok(HandedOn::Failed(reason.into()));
            }
            let remote = &*self.hands.remote;
            let done = match bundle {
                Some(bundle) => deliver_each(remote, &target, places, bundle, contents, drops).await,
                None => deliver_each(remote, &target, &OnHost::default(), &[], &[], drops).await,
            };
            Ok(match done {
                Ok(delivered) => HandedOn::Done(delivered),
                Err(DeliveryError::Remote(error)) => HandedOn::Failed(why(address, &error)),
                Err(error) => HandedOn::Failed(told(&error)),
            })
        };
        reconciler::holding(claim.clone(), claims, clock, &while_held, work).await
    }
}

#[cfg(test)]
mod tests;
