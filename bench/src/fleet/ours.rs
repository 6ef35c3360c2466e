//! Provost's own way to hosts, in this process: what `engine` does, without what it writes down.

use std::time::{Duration, Instant};

use base::{Clock, Secret};
use fleet::{Findings, PROBE, PROBE_BYTES_MAX};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use ssh::{Address, Command, Keep, Remote as _, Sessions, Target, UserKey};
use tokio::runtime::Runtime;

use super::asking::{Cost, Work};
use super::site::Site;
use crate::Failure;
use crate::process::own_cpu;

/// How long a host may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Provost, and the hosts it is to ask.
pub(super) struct Ours {
    runtime: Runtime,
    sessions: Sessions,
    targets: Vec<Target>,
}

fn failed(error: impl std::error::Error) -> Failure {
    Failure::Program { program: "provost, in process".into(), what: base::report(&error) }
}

impl Ours {
    /// No connection yet.
    pub(super) fn new(site: &Site) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let key = UserKey::parse(&Secret::new(site.hosts.key())).map_err(failed)?;
        let target = |host: &testkit::Host| {
            let known = host.host_key("ed25519").parse().map_err(failed)?;
            Ok(Target::new(Address::new(host.address(), 22), "root", key.clone()).pinned(known))
        };
        Ok(Self {
            runtime: runtime.map_err(failed)?,
            sessions: Sessions::new(ssh::Settings::default(), Clock::system()),
            targets: site.hosts.all().iter().map(target).collect::<Result<_, Failure>>()?,
        })
    }

    /// Closes all connections.
    pub(super) fn hang_up(&self) {
        self.sessions.close();
    }

    /// Has all hosts do `work`, so many of them at once.
    pub(super) fn ask(&self, work: Work, at_once: usize) -> Result<Cost, Failure> {
        let (began, cpu) = (Instant::now(), own_cpu());
        let all = stream::iter(&self.targets).map(|target| self.ask_one(target, work));
        self.runtime.block_on(all.buffer_unordered(at_once).try_collect::<()>())?;
        Ok(Cost { time: began.elapsed(), cpu: own_cpu().saturating_sub(cpu) })
    }

    /// Connects to the first so many hosts.
    pub(super) fn connect(&self, count: usize) -> Result<(), Failure> {
        let all = stream::iter(&self.targets[..count]).map(|target| self.ask_one(target, Work::Nothing));
        self.runtime.block_on(all.buffer_unordered(16).try_collect::<()>())
    }

    async fn ask_one(&self, target: &Target, work: Work) -> Result<(), Failure> {
        let keep = Keep { head_bytes: PROBE_BYTES_MAX + 1, tail_bytes: 0 };
        let command = match work {
            Work::Facts => Command::new(PROBE).as_user().keep(keep),
            Work::Nothing => Command::new("true"),
        };
        let output = self.sessions.run(target, &command.deadline(DEADLINE)).await.map_err(failed)?;
        if !output.is_success() {
            return Err(Failure::Program { program: target.address.to_string(), what: output.last_words() });
        }
        if work == Work::Facts {
            Findings::read(output.stdout.text().as_bytes()).map_err(failed)?;
        }
        Ok(())
    }
}
