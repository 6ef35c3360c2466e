//! Certificates come to a host: into the trust store of its operating system, and into files (contract, section 9.4).
//!
//! ```text
//! look ──► all is well
//!   └────► something is not ──► it is told what is to be, does it, and says what there is then ──► judged
//! ```
//! One round trip where all is well, two otherwise. A host that is interrupted anywhere in between is told again the next
//! time: what it was to do, it does then.

use std::time::Duration;

use base::{Explain, Kind, Secret};
use ssh::{Command, End, Keep, Remote, Target};
use trust::Anchor;
use trust::on_host::{
    Aim, Amiss, Drift, FilePlace, HOST_ANSWER_BYTES_MAX, NotSeen, OnHost, Refused, Seen, TrustStore,
    host_script,
};

/// How long a look may take: another delivery, of which the connection broke, may still be at work there.
const LOOK: Duration = Duration::from_secs(120);
/// How long it may take to make everything as it is to be, without hooks.
const MAKE: Duration = Duration::from_secs(420);
/// How a host exits at which another delivery is at work (`EX_TEMPFAIL` of `sysexits.h`).
const BUSY: End = End::Exit(75);

/// A host that has what it is to have, but for what is refused there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Whether anything had to be done.
    pub changed: bool,
    /// What somebody else had changed of what we had left there.
    pub drift: Drift,
    /// The trust store that has the certificates, where one is to.
    pub store: Option<&'static TrustStore>,
    /// The parts of it that are not.
    pub refused: Vec<Refused>,
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
    make_so(remote, target, &Aim::deliver(places, bundle)).await
}

/// The same, with something else in the files: each has what stands for it in `contents`, in their order, sorted and none
/// twice. The files in `drops` go, if we put them there, and their hooks are run.
///
/// # Errors
/// As for [`deliver`].
pub async fn deliver_each(
    remote: &dyn Remote,
    target: &Target,
    places: &OnHost,
    bundle: &[Anchor],
    contents: &[&[Anchor]],
    drops: &[FilePlace],
) -> Result<Delivered, DeliveryError> {
    let aim = Aim::deliver(places, bundle).with_contents(contents).with_drops(drops);
    make_what_can_be(remote, target, &aim).await
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
    make_so(remote, target, &Aim::withdraw(places)).await
}

/// Sees that the host is as `aim` has it, but for files that a person has to decide about.
///
/// # Errors
/// [`DeliveryError`], also where a part of it is not, and all that could be done was. Whatever was begun is made good the
/// next time.
pub async fn make_so(
    remote: &dyn Remote,
    target: &Target,
    aim: &Aim<'_>,
) -> Result<Delivered, DeliveryError> {
    let mut delivered = make_what_can_be(remote, target, aim).await?;
    let grave = delivered.refused.iter().position(|refused| !refused.why.is_for_a_person());
    match grave {
        Some(at) => Err(delivered.refused.swap_remove(at).why.into()),
        None => Ok(delivered),
    }
}

/// Sees that all of the host is as `aim` has it that can be.
///
/// # Errors
/// [`DeliveryError`]. Whatever was begun is made good the next time.
async fn make_what_can_be(
    remote: &dyn Remote,
    target: &Target,
    aim: &Aim<'_>,
) -> Result<Delivered, DeliveryError> {
    let seen = ask(remote, target, &aim.look(), LOOK).await?;
    let store = aim.store(&seen).unwrap_or(None);
    let Some(due) = aim.due(&seen) else {
        let refused = aim.without(&seen).into_iter().collect();
        return Ok(Delivered { changed: false, drift: Drift::default(), store, refused });
    };
    let hooks = Duration::from_secs(aim.hooks_seconds());
    let seen = ask(remote, target, &due.order, MAKE + hooks).await?;
    let refused = aim.judge(&seen)?;
    Ok(Delivered { changed: true, drift: due.drift, store, refused })
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
