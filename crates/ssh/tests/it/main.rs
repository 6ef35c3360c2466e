//! Against real sshd hosts, each with its own address, host key, users and file tree.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod bounds;
mod commands;
mod files;
mod hostile;
mod keys;
mod many;
mod pool;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Clock, Secret};
use ssh::{Address, Command, Error, Limits, Output, Remote, Sessions, Settings, Target, UserKey};
use testkit::{Host, HostPlan, Hosts};

/// One host, and a way to it.
struct One {
    hosts: Hosts,
    sessions: Sessions,
}

impl One {
    fn new() -> Self {
        Self::planned(HostPlan::new())
    }

    fn planned(plan: HostPlan) -> Self {
        Self { hosts: Hosts::start(vec![plan]), sessions: Sessions::new(quick(), Clock::system()) }
    }

    fn host(&self) -> &Host {
        &self.hosts[0]
    }

    fn target(&self, user: &str) -> Target {
        target(&self.hosts, 0, user)
    }

    async fn run(&self, user: &str, command: &Command) -> Result<Output, Error> {
        self.sessions.run(&self.target(user), command).await
    }

    /// The standard output of what must succeed.
    async fn say(&self, user: &str, text: &str) -> String {
        let output = self.run(user, &Command::new(text)).await.unwrap();
        assert!(output.is_success(), "{text}: {output:?}");
        output.stdout.text()
    }
}

/// The way to host number `at`.
fn target(hosts: &Hosts, at: usize, user: &str) -> Target {
    Target::new(Address::new(hosts[at].address(), 22), user, key(hosts))
}

fn key(hosts: &Hosts) -> UserKey {
    UserKey::parse(&Secret::new(hosts.key())).unwrap()
}

/// Limits that a test can wait for.
fn quick() -> Settings {
    let seconds = Duration::from_secs;
    Settings {
        limits: Limits {
            queue: seconds(20),
            connect: seconds(3),
            handshake: seconds(5),
            authenticate: seconds(5),
            open: seconds(3),
        },
        keep_alive: seconds(1),
        ..Settings::default()
    }
}

/// What `waiting` gives, which must come within `limit`.
async fn soon<T>(limit: Duration, waiting: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let given = waiting.await;
    assert!(begun.elapsed() < limit, "it took {:?}", begun.elapsed());
    given
}

/// Waits for `is_so`, without keeping other tasks from going on.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < testkit::LIMIT, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Several at once: each of `work` with its number.
async fn at_once<T, F>(count: usize, work: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    futures_util::future::join_all((0..count).map(work)).await
}

/// `target` behind an `Arc`, as a jump wants it.
fn shared(target: Target) -> Option<Arc<Target>> {
    Some(Arc::new(target))
}
