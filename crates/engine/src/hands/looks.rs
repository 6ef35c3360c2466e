//! Looks whether hosts answer: for those who watch them, and for operations that must not count on one which is silent.
//!
//! What is made of silence is `fleet`'s. Hosts that answer are written down many at a time.

use std::time::Duration;

use fleet::{HostAddress, Look};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use ssh::{Command, Error, Keep, Output, Step, Target};
use store::Claim;
use tokio::sync::Semaphore;
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
    /// How many hosts are looked at together. With playbooks as many as there may be: each run takes a second of a
    /// processor, however many hosts it is for.
    fn looked_at_together(&self) -> usize {
        if self.playbooks.is_some() { self.hosts_max.max(1) } else { 1 }
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

impl Crew {
    /// Looks at `hosts`, those that are to be looked at now, each so long `after` this is called, and writes down what
    /// came of each. Each has one of the `places` meanwhile. Leaves the rest when it is to stop.
    ///
    /// # Errors
    /// The store's, and a claim that was lost.
    pub(crate) async fn look_at_all(
        &self,
        claim: &Claim,
        hosts: &[HostAddress],
        after: impl Fn(&HostAddress) -> Duration,
        places: &Semaphore,
        stop: &Stop,
    ) -> Result<(), StepError> {
        let (fleet, begun) = (&self.fleet, Instant::now());
        let together = self.hands.looked_at_together();
        let at_once = self.hands.hosts_max.max(1).div_ceil(together);
        // Those that are looked at together are when the first of them is to be.
        let first = |hosts: &[HostAddress]| hosts.iter().map(&after).min().unwrap_or_default();
        let mut rest: Vec<_> = hosts.chunks(together).map(|hosts| (first(hosts), hosts)).collect();
        rest.sort_by_key(|(after, _)| *after);
        let mut rest = rest.into_iter().peekable();
        let mut looks = FuturesUnordered::new();
        // And when they were asked; since when the first of them is held.
        let (mut answered, mut held) = (Vec::<(HostAddress, Instant)>::new(), None::<Instant>);
        loop {
            let is_due = |(after, _): &(Duration, _)| *after <= begun.elapsed() && !stop.is_asked();
            while looks.len() < at_once
                && let Some((_, hosts)) = rest.next_if(is_due)
            {
                looks.push(async move { (hosts, self.look_at(hosts, places, stop).await) });
            }
            let next = rest.peek().filter(|_| looks.len() < at_once && !stop.is_asked());
            let next = next.map(|(after, _)| begun + *after);
            if next.is_none() && looks.is_empty() {
                break;
            }
            let wake = [next, held.map(|held| held + HELD)].into_iter().flatten().min();
            let looked = tokio::select! {
                Some(looked) = looks.next() => Some(looked),
                () = tokio::time::sleep_until(wake.unwrap_or(begun)), if wake.is_some() => None,
                () = stop.asked(), if next.is_some() => None,
            };
            let (hosts, (asked, signs)) = match looked {
                Some((hosts, looked)) => (hosts, looked?),
                None => (&[][..], (begun, Vec::new())),
            };
            for (host, sign) in hosts.iter().zip(signs) {
                match sign {
                    Sign::Nothing => {}
                    Sign::Look(Look::Answered) => {
                        held.get_or_insert_with(Instant::now);
                        answered.push((host.clone(), asked));
                    }
                    Sign::Look(look @ (Look::Silent { .. } | Look::Lost { .. })) => {
                        if let Look::Silent { reason } | Look::Lost { reason } = &look {
                            tracing::debug!(%host, reason, "host does not answer");
                        }
                        fleet.record_look(claim, host, &look).await?;
                    }
                    Sign::OtherKey(offered, reason) => {
                        tracing::warn!(%host, reason, "host proved another key");
                        match stored_key(&offered) {
                            Some(offered) => fleet.record_other_key(claim, host, &offered, &reason).await?,
                            None => fleet.record_failure(claim, host, &reason).await?,
                        };
                    }
                }
            }
            if answered.len() >= ANSWERS || held.is_some_and(|held| held.elapsed() >= HELD) {
                held = None;
                self.write_down(claim, std::mem::take(&mut answered)).await?;
            }
        }
        self.write_down(claim, answered).await
    }

    /// Writes down that these answered, who were asked then.
    async fn write_down(
        &self,
        claim: &Claim,
        answered: Vec<(HostAddress, Instant)>,
    ) -> Result<(), StepError> {
        let answered: Vec<_> = answered.into_iter().map(|(host, asked)| (host, asked.elapsed())).collect();
        Ok(self.fleet.record_answers(claim, &answered).await?)
    }

    /// Looks at these together; when that was begun, and what came of each, in the same order.
    async fn look_at(
        &self,
        hosts: &[HostAddress],
        places: &Semaphore,
        stop: &Stop,
    ) -> Result<(Instant, Vec<Sign>), StepError> {
        let looked = async {
            let _places = places.acquire_many(u32::try_from(hosts.len())?).await?;
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
