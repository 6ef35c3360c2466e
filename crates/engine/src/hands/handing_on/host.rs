//! Certificates come to a host: into the trust store of its operating system, and into files (contract, section 9.4).
//!
//! ```text
//! look ──► all is well
//!   └────► something is not ──► it is told what is to be, does it, and says what there is then ──► judged
//! ```
//! One round trip where all is well, two otherwise. A host that is interrupted anywhere in between is told again the next
//! time: what it was to do, it does then.

use std::time::Duration;

use base::{Clock, Explain, Kind, Secret};
use fleet::{HostAddress, claim_on};
use ssh::{Command, End, Keep, KnownKey, Remote, Target};
use store::Claims;
use trust::Anchor;
use trust::on_host::{
    Aim, Amiss, HOOK_SECONDS, HOST_ANSWER_BYTES_MAX, NotSeen, OnHost, Seen, TrustStore, host_script,
};

use crate::hands::Crew;
use crate::hands::reach::{NoWay, told, why};
use crate::reconciler::{self, LEASE, StepError};
use crate::tasks::Stop;

/// How long a look may take: another delivery, of which the connection broke, may still be at work there.
const LOOK: Duration = Duration::from_secs(120);
/// How long it may take to make everything as it is to be, without hooks.
const MAKE: Duration = Duration::from_secs(420);
/// How a host exits at which another delivery is at work (`EX_TEMPFAIL` of `sysexits.h`).
const BUSY: End = End::Exit(75);

/// A host that has what it is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Whether anything had to be done.
    pub changed: bool,
    /// Whether somebody else had changed what we had left there.
    pub drift: bool,
    /// The trust store that has the certificates, where one is to.
    pub store: Option<&'static TrustStore>,
}

/// Why a host does not have what it is to have, as far as is known. It may be told again at any time.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It was not reached, or was not heard to the end.
    #[error(transparent)]
    Remote(#[from] ssh::Error),
    /// An earlier delivery, of which nobody listens any more, is still at work there.
    #[error("an earlier delivery is still at work there")]
    Busy,
    /// It lacks something that is needed for any of it.
    #[error("nothing could be done there ({end}): {words}")]
    Unfit {
        /// How the script ended.
        end: End,
        /// Its last words.
        words: String,
    },
    /// Its answer says nothing.
    #[error(transparent)]
    Answer(#[from] NotSeen),
    /// It is not as it is to be.
    #[error(transparent)]
    Amiss(#[from] Amiss),
}

impl Explain for DeliveryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Remote(error) => error.kind(),
            Self::Busy | Self::Unfit { .. } => Kind::Unavailable,
            Self::Answer(error) => error.kind(),
            Self::Amiss(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Remote(error) => error.help(),
            Self::Busy | Self::Unfit { .. } => None,
            Self::Answer(error) => error.help(),
            Self::Amiss(error) => error.help(),
        }
    }
}

/// Sees that the host has `bundle`, sorted and none twice, in all of `places`, and nothing else of ours.
///
/// # Errors
/// [`DeliveryError`]. Whatever was begun is made good the next time.
pub async fn deliver(
    remote: &dyn Remote,
    target: &Target,
    places: &OnHost,
    bundle: &[Anchor],
) -> Result<Delivered, DeliveryError> {
    aim(remote, target, &Aim::deliver(places, bundle)).await
}

/// Sees that the host has nothing of ours: no certificate, and none of the files in `places` that we put there. Their hooks
/// are run.
///
/// # Errors
/// [`DeliveryError`]. Whatever was begun is made good the next time.
pub async fn withdraw(
    remote: &dyn Remote,
    target: &Target,
    places: &OnHost,
) -> Result<Delivered, DeliveryError> {
    aim(remote, target, &Aim::withdraw(places)).await
}

async fn aim(remote: &dyn Remote, target: &Target, aim: &Aim<'_>) -> Result<Delivered, DeliveryError> {
    let seen = ask(remote, target, &aim.look(), LOOK).await?;
    let store = aim.store(&seen)?;
    let Some(due) = aim.due(&seen)? else {
        return Ok(Delivered { changed: false, drift: false, store });
    };
    let hooks = Duration::from_secs(HOOK_SECONDS + 5).saturating_mul(aim.files());
    let seen = ask(remote, target, &due.order, MAKE + hooks).await?;
    aim.judge(&seen)?;
    Ok(Delivered { changed: true, drift: due.is_drift, store })
}

async fn ask(
    remote: &dyn Remote,
    target: &Target,
    input: &str,
    deadline: Duration,
) -> Result<Seen, DeliveryError> {
    // No secret: but it is long, and no list of processes and no log of sudo's is to have all of it.
    let script = Secret::new(host_script(input));
    let keep = Keep { head_bytes: HOST_ANSWER_BYTES_MAX + 1, tail_bytes: 0 };
    let command = Command::hidden(script).deadline(deadline).keep(keep).say_at_most(8);
    let output = remote.run(target, &command).await?;
    match output.end {
        End::Exit(0) => Ok(Seen::read(&output.stdout.kept())?),
        ref busy if *busy == BUSY => Err(DeliveryError::Busy),
        ref end => Err(DeliveryError::Unfit { end: end.clone(), words: output.last_words() }),
    }
}

/// How it ended with a host of the fleet.
#[expect(dead_code, reason = "whoever reconciles hosts with their bundles calls this")]
#[derive(Debug)]
pub(crate) enum HandedOn {
    /// It has what it is to have.
    Done(Delivered),
    /// It has not, and this is to be said of it.
    Failed(String),
    /// There is no such host any more.
    Gone,
    /// Somebody else is at it, or it was never met; or we are to stop. Nothing was begun.
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
    /// What is to be there, sorted and none twice; `None` where all of ours is to go.
    pub(crate) bundle: Option<&'a [Anchor]>,
}

impl Crew {
    /// Sees that a host of the fleet has what it is to have: under the claim on it, as everybody does who works there,
    /// and not while an operation is at it. Only a host whose key was pinned is asked, and only if it proves that one.
    /// What was begun is done to its end, which is some minutes at most.
    ///
    /// # Errors
    /// The store's. What is wrong with the host is [`HandedOn::Failed`].
    #[expect(dead_code, reason = "whoever reconciles hosts with their bundles calls this")]
    pub(crate) async fn hand_on_to_host(
        &self,
        address: &HostAddress,
        errand: Errand<'_>,
        stop: &Stop,
    ) -> Result<HandedOn, StepError> {
        let Errand { claims, holder, clock, places, bundle } = errand;
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
                return Ok(HandedOn::NotNow);
            }
            let remote = &*self.hands.remote;
            let done = match bundle {
                Some(bundle) => deliver(remote, &target, places, bundle).await,
                None => withdraw(remote, &target, places).await,
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
