//! A host that was begun with is given its command.

use std::future::Future;
use std::time::Duration;

use base::Span;
use fleet::{Cordon, HostRun, OperationKind, Playbook, has_restarted, is_busy, restarted_meanwhile};
use ssh::{Command, End, Keep, Target};
use tokio::time::sleep;

use super::{Halt, NO_WORD, Pace, Ready, Visit, brief, failed, troubled, unheard, why};

/// How much of what a command says is kept: its last words are told.
const KEPT: Keep = Keep::ends(8 * 1024);
/// How long a restart's command is listened to before it is asked again how it goes: the host may have gone down under
/// it without a word.
const HEARD_OF: Duration = Duration::from_secs(5);
/// The same of any other command where a playbook sends it: few are run at once, and others wait for their turn.
const HEARD_OF_BY_PLAYBOOK: Duration = Duration::from_secs(30);
/// How long it is looked whether anybody is there still, where a command is not heard of.
const STILL_THERE: Duration = Duration::from_secs(2);
/// By how much a command may outstay its time before that is looked at; and how often.
const LATE_BY: Duration = Duration::from_secs(1);
/// How soon a command is sent again whose connection broke.
const CUT_OFF: Duration = Duration::from_millis(500);
/// How soon a host is asked again that is still at what was begun on it before.
const BUSY: Duration = Duration::from_secs(2);

impl Visit {
    /// Has the host do what the operation is about, if it has not done it: returns when its command was taken, or has
    /// ended where it is one that ends. `ready` is what was found before, if it was this process that looked.
    pub(super) async fn order(&self, run: &HostRun, ready: Option<Box<Ready>>) -> Result<(), Halt> {
        let ready = match ready {
            Some(ready) => *ready,
            // It may be on its way through a restart.
            None => self.look_again().await?,
        };
        let kind = self.rollout.plan.kind();
        let is_restart = kind == OperationKind::Restart;
        if has_restarted(&run.state, &ready.boot_id) == Some(true) {
            return if is_restart { Ok(()) } else { Err(Halt::Failed(restarted_meanwhile(kind))) };
        }
        if self.rollout.policy.drain {
            self.empty(run).await?;
        }
        self.send(run, &ready, is_restart).await
    }

    /// Has the pods of the host's node go elsewhere. That may take half of the time that is left: the rest is the
    /// command's.
    async fn empty(&self, run: &HostRun) -> Result<(), Halt> {
        let pace = Pace::patient();
        if run.cordon != Cordon::None {
            self.lacks(NO_WORD);
            while let Err(trouble) = self.within(self.wards.cordon(self.ward())).await? {
                self.bear(troubled(trouble), pace.pause()).await?;
            }
        }
        self.lacks(NO_WORD);
        while let Err(trouble) = self.within(self.wards.drain(self.ward(), self.left() / 2)).await? {
            self.bear(troubled(trouble), pace.pause()).await?;
        }
        Ok(())
    }

    async fn look_again(&self) -> Result<Ready, Halt> {
        let pace = Pace::patient();
        loop {
            match self.look_before().await {
                Ok(ready) => return Ok(ready),
                Err(halt) => self.bear(halt, pace.pause()).await?,
            }
        }
    }

    async fn send(&self, run: &HostRun, ready: &Ready, is_restart: bool) -> Result<(), Halt> {
        // What is not done by then is ended there, too; a moment later, so that it is told why.
        let left = Span::seconds(i64::try_from(self.left().as_secs()).unwrap_or(i64::MAX).saturating_add(1));
        let text = ready.commands.errand(&self.rollout, run, left).map_err(|error| failed(&error))?;
        let command = ready.commands.of_plan(&self.rollout.plan).map_err(|error| failed(&error))?;
        let kind = self.rollout.plan.kind().as_str();
        let hangs = format!(
            "the command of its {kind}, `{}`, did not end, and is ended there; see what it waits for",
            brief(&command)
        );
        let remote = self.crew.hands.remote_for(Playbook::of(self.rollout.plan.kind()));
        // A restart that it may have begun with: where it is away after that, it has gone down, or goes on there.
        let mut was_sent = false;
        self.lacks(hangs.as_str());
        loop {
            let left = self.left();
            // In the end there is time to see whether anybody is there still.
            let deadline = match (is_restart, &self.crew.hands.playbooks) {
                (true, Some(_)) => left.min(HEARD_OF),
                (true, None) => (left / 2).min(HEARD_OF),
                (false, Some(_)) => left.min(HEARD_OF_BY_PLAYBOOK),
                (false, None) => left.saturating_sub(2 * STILL_THERE).max(left / 2),
            };
            let command = Command::new(text.as_str()).deadline(deadline).keep(KEPT);
            let sending = remote.run(&ready.target, &command);
            let sent = match is_restart {
                true => self.unless_gone(&ready.target, deadline, sending).await?,
                false => Some(self.within(sending).await?),
            };
            let Some(sent) = sent else { return Ok(()) };
            let error = match sent {
                Ok(output) if output.is_success() => return Ok(()),
                // A restart ends whatever runs, its own command too.
                Ok(output) if is_restart && is_killed(&output.end) => return Ok(()),
                Ok(output) => {
                    let (end, words) = (output.end.to_string(), output.last_words());
                    if let End::Exit(status) = output.end
                        && is_busy(status, &words)
                    {
                        self.bear(Halt::Later(words), BUSY).await?;
                        continue;
                    }
                    let words = if words == end { String::new() } else { format!(": {words}") };
                    return Err(Halt::Failed(format!("its {kind} failed ({end}){words}")));
                }
                Err(error) => error,
            };
            let is_overdue = matches!(error, ssh::Error::Overdue { .. });
            // Ansible does not always tell a connection that broke from one that could not be made.
            let is_unclear = self.crew.hands.playbooks.is_some()
                && is_restart
                && matches!(error, ssh::Error::Unreachable { .. });
            was_sent |= is_restart && (error.may_have_begun() || is_unclear);
            let halt = match error {
                error if is_overdue || is_unclear => {
                    // The connection may be dead, and the host not.
                    remote.forget(&ready.target);
                    match self.knock(&ready.target, STILL_THERE).await? {
                        // It goes on apart, and is asked again.
                        Ok(()) if is_overdue => Halt::Later(hangs.clone()),
                        Ok(()) => Halt::Later(why(&self.address, &error)),
                        Err(error) if was_sent && is_away(&error) => return Ok(()),
                        Err(error) => Halt::Later(unheard(&self.address, &error)),
                    }
                }
                // Where it has not gone down it is asked again, and tells whether it will.
                error if is_restart && error.may_have_begun() => Halt::Later(why(&self.address, &error)),
                error if was_sent && is_away(&error) => return Ok(()),
                error => self.halted(error),
            };
            self.bear(halt, CUT_OFF).await?;
        }
    }

    /// What came of `sending` a restart's command; nothing where its time is over, and nobody is there any more. With a
    /// playbook it takes half a minute otherwise until that is noticed: ssh has its own patience, and Ansible tidies up.
    async fn unless_gone<T>(
        &self,
        target: &Target,
        deadline: Duration,
        sending: impl Future<Output = T>,
    ) -> Result<Option<T>, Halt> {
        let gone = async {
            sleep(deadline + LATE_BY).await;
            loop {
                match self.knock(target, STILL_THERE).await {
                    Ok(Err(error)) if is_away(&error) => return Ok(None),
                    Ok(_) => sleep(LATE_BY).await,
                    Err(halt) => return Err(halt),
                }
            }
        };
        let sending = async { Ok(Some(self.within(sending).await?)) };
        tokio::select! {
            biased;
            sent = sending => sent,
            gone = gone => gone,
        }
    }
}

/// Whether an error says that the machine is away; not that we have too much to do, or do not even get as far as that.
fn is_away(error: &ssh::Error) -> bool {
    let is_ours =
        matches!(error, ssh::Error::Jump { .. } | ssh::Error::TimedOut { step: ssh::Step::Queue, .. });
    error.may_pass() && !is_ours
}

/// Whether a signal ended it, or a shell says so of what it ran.
fn is_killed(end: &End) -> bool {
    match end {
        End::Exit(status) => (129..=192).contains(status),
        End::Signal(_) => true,
    }
}
