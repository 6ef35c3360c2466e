mod machines;
mod world;

use base::Entropy;
use fleet::{Cordon, Gates, Outcome, Plan, Policy, Rollout, RunState, Share};
use identity::Permit;
use store::{Claims, Engine as _, Page, Prefix};

use super::*;
use machines::Machines;
use world::World;

fn share(text: &str) -> Option<Share> {
    (!text.is_empty()).then(|| text.parse().unwrap())
}

fn drained() -> Policy {
    Policy { drain: true, ..Policy::default() }
}

async fn world(hosts: u64) -> World {
    let world = World::new(Machines::new(1, false)).await;
    world.make_cluster("web", hosts).await;
    world
}

#[tokio::test(start_paused = true)]
async fn one_host_after_the_other_is_drained_restarted_and_let_go_on() {
    let world = world(3).await;
    let gates = Gates { command: Some("is it well".into()), ..Gates::default() };
    let id = world.start("web", &Plan::Restart, &Policy { gates, ..drained() }).await;
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done), (Some(Outcome::Finished), 3));
    let said = world.machines.said.lock().unwrap().clone();
    let expected: Vec<String> = (0..3)
        .flat_map(|number| {
            let steps = ["look", "node", "cordon", "drain", "command", "look", "node", "gate", "uncordon"];
            steps.map(|step| format!("{step} web-{number}"))
        })
        .collect();
    assert_eq!(said, expected);
    assert_eq!(*world.machines.most_down.lock().unwrap(), 1);
    let claims = world.store.list(&Prefix::new("/claim/").unwrap(), Page::full()).await.unwrap();
    assert!(claims.entries.is_empty(), "nothing is left claimed");
}

#[tokio::test(start_paused = true)]
async fn as_many_at_once_as_the_policy_says_and_the_house_has_places() {
    for (batch, hosts_max, expected) in [("", 50, 1), ("3", 50, 3), ("100%", 50, 8), ("100%", 2, 2)] {
        let mut world = world(8).await;
        world.hosts_max = hosts_max;
        let policy = Policy { batch: share(batch), ..Policy::default() };
        let id = world.start("web", &Plan::Restart, &policy).await;
        assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Finished));
        assert_eq!(*world.machines.most_down.lock().unwrap(), expected, "{batch} {hosts_max}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_clusters_are_gone_through_at_once() {
    let world = world(4).await;
    world.make_cluster("db", 4).await;
    let web = world.start("web", &Plan::Restart, &Policy::default()).await;
    let db = world.start("db", &Plan::Restart, &Policy::default()).await;
    assert_eq!(world.ended("web", web).await.outcome, Some(Outcome::Finished));
    assert_eq!(world.ended("db", db).await.outcome, Some(Outcome::Finished));
    assert_eq!(*world.machines.most_down.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_it_and_a_retry_goes_on() {
    let world = world(4).await;
    world.machines.with("web-1", |machine| machine.refuses = Some(3));
    let id = world.start("web", &Plan::Restart, &drained()).await;
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done, ended.failed()), (Some(Outcome::Failed), 1, 1));
    let run = world.runs("web", id).await.remove(1);
    let RunState::Failed { reason, .. } = &run.state else { panic!("{run:?}") };
    assert_eq!(reason, "its restart failed (exit status 3): as told");
    assert_eq!((run.cordon, world.machines.cordoned().len()), (Cordon::None, 0));
    world.machines.with("web-1", |machine| machine.refuses = None);
    world.fleet.retry(Permit::house(), &"web".parse().unwrap(), id).await.unwrap();
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done), (Some(Outcome::Finished), 4));
    for number in 0..4 {
        assert_eq!(world.machines.with(&format!("web-{number}"), |machine| machine.done), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_comes_back_fails_when_its_time_is_over() {
    let world = world(2).await;
    world.machines.with("web-0", |machine| machine.stays_away = true);
    let policy = Policy { host_limit: Some(Span::seconds(30)), ..drained() };
    let begun = world.clock.now();
    let id = world.start("web", &Plan::Restart, &policy).await;
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done), (Some(Outcome::Failed), 0));
    let took = (world.clock.now() - begun).as_seconds();
    assert!((29..=33).contains(&took), "{took}");
    let run = world.runs("web", id).await.remove(0);
    let RunState::Failed { reason, .. } = run.state else { panic!("{run:?}") };
    let expected = "it did not come back from its restart and show that it is well within 30 seconds: web-0:22 \
                    refuses connections; see that sshd runs there and listens at port 22";
    assert_eq!(reason, expected);
    assert_eq!(world.machines.cordoned(), [""; 0]);
}

/// Nobody tells that it is gone: its command was sent, and is not heard of.
#[tokio::test(start_paused = true)]
async fn a_host_that_dies_under_its_command_is_told_of_as_it_is() {
    let refuses = "web-0:22 refuses connections; see that sshd runs there and listens at port 22";
    for (plan, late, is_failed) in [
        (Plan::Restart, "it did not come back from its restart and show that it is well", true),
        // Nobody knows whether it goes on there.
        (Plan::Upgrade, "its upgrade was not done", false),
    ] {
        let world = world(2).await;
        world.machines.with("web-0", |machine| machine.dies = true);
        let id =
            world.start("web", &plan, &Policy { host_limit: Some(Span::seconds(30)), ..drained() }).await;
        assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Failed));
        let run = world.runs("web", id).await.remove(0);
        let RunState::Failed { reason, .. } = run.state else { panic!("{run:?}") };
        assert_eq!(reason, format!("{late} within 30 seconds: {refuses}"));
        let host = world.fleet.host(Permit::house(), &"web-0".parse().unwrap()).await.unwrap().is;
        assert_eq!(host.status.as_str() == "failed", is_failed);
        assert_eq!(world.machines.with("web-0", |machine| machine.done), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_cannot_be_reached_is_not_begun_with() {
    let world = world(2).await;
    world.machines.with("web-0", |machine| machine.is_deaf = true);
    let id = world.start("web", &Plan::Upgrade, &drained()).await;
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.failed()), (Some(Outcome::Failed), 1));
    let said = world.machines.said.lock().unwrap().clone();
    assert_eq!(said, [""; 0], "nothing is done to it or its node");
    assert!((world.clock.now().as_unix() - 1_790_000_000) < 20, "and that is soon known");
}

/// A container manager that was away, however long: no node of ours stays cordoned.
#[tokio::test(start_paused = true)]
async fn a_cordon_that_could_not_be_lifted_is_lifted_later() {
    let world = world(2).await;
    world.machines.with("web-0", |machine| (machine.refuses, machine.stays_cordoned) = (Some(3), true));
    let id = world.start("web", &Plan::Restart, &drained()).await;
    assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Failed));
    let run = world.runs("web", id).await.remove(0);
    let RunState::Failed { reason, .. } = &run.state else { panic!("{run:?}") };
    assert!(reason.starts_with("its restart failed") && reason.ends_with("it is away"), "{reason}");
    world.lift_cordons().await;
    assert_eq!(world.machines.cordoned(), ["web-0"]);
    world.machines.with("web-0", |machine| machine.stays_cordoned = false);
    world.lift_cordons().await;
    assert_eq!(world.machines.cordoned(), [""; 0]);
    assert_eq!(world.runs("web", id).await.remove(0).cordon, Cordon::None);
}

/// A cordon that the next operation finds is its own, and goes with it; nobody lifts it meanwhile.
#[tokio::test(start_paused = true)]
async fn the_next_operation_lifts_a_cordon_that_was_left() {
    let world = world(1).await;
    world.machines.with("web-0", |machine| (machine.refuses, machine.stays_cordoned) = (Some(3), true));
    let id = world.start("web", &Plan::Restart, &drained()).await;
    assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Failed));
    world.machines.with("web-0", |machine| (machine.refuses, machine.stays_cordoned) = (None, false));
    let id = world.start("web", &Plan::Restart, &drained()).await;
    assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Finished));
    assert_eq!(world.machines.cordoned(), [""; 0]);
}

/// A host that stays down is known to be, at once; when it is back, the operation goes on, though it has failed there.
#[tokio::test(start_paused = true)]
async fn a_host_that_failed_and_came_back_is_available_again() {
    let world = world(3).await;
    world.machines.with("web-0", |machine| machine.stays_away = true);
    let policy = Policy {
        max_unavailable: share("1"),
        failures_max: 2,
        host_limit: Some(Span::seconds(30)),
        ..Policy::default()
    };
    let id = world.start("web", &Plan::Restart, &policy).await;
    let waits = async {
        while world.rollout("web", id).await.failed() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let host = world.fleet.host(Permit::house(), &"web-0".parse().unwrap()).await.unwrap().is;
        assert_eq!(host.status, fleet::HostStatus::Failed, "{host:?}");
        assert!(host.reason.is_some_and(|reason| reason.contains("refuses connections")));
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(world.rollout("web", id).await.waiting(), 2, "one is away, and no more may be");
    };
    let work = async {
        tokio::select! {
            () = waits => {}
            () = world.process("the only process", true) => unreachable!("it never ends"),
        }
    };
    world.within(Duration::from_secs(1_000), work).await.expect("it fails, and the others wait");
    world.machines.with("web-0", |machine| machine.comes_back());
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done, ended.failed()), (Some(Outcome::Finished), 2, 1));
    assert_eq!(*world.machines.most_down.lock().unwrap(), 1);
}

/// Who has gone since the watcher came by is not counted among those that are there.
#[tokio::test(start_paused = true)]
async fn a_host_that_fell_silent_just_now_is_not_counted_as_available() {
    let world = world(4).await;
    world.machines.with("web-3", |machine| machine.is_deaf = true);
    let policy = Policy { max_unavailable: share("1"), batch: share("2"), ..Policy::default() };
    let id = world.start("web", &Plan::Restart, &policy).await;
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done), (Some(Outcome::Failed), 0), "it stops at that one");
    assert_eq!(*world.machines.most_down.lock().unwrap(), 0, "and takes no other away");
    // It is there again, which is found out as well, though nobody watches.
    world.machines.with("web-3", |machine| machine.is_deaf = false);
    let id = world.start("web", &Plan::Restart, &policy).await;
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done), (Some(Outcome::Finished), 4));
    assert_eq!(*world.machines.most_down.lock().unwrap(), 1);
}

/// A host that hangs is given its time and no more, also where all of them are looked at before it is begun with.
#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_before_it_is_begun_with_fails_within_its_limit() {
    let world = world(4).await;
    world.machines.with("web-1", |machine| machine.is_frozen = true);
    let policy = Policy {
        max_unavailable: share("2"),
        batch: share("4"),
        failures_max: 2,
        // Longer than any of the others is away.
        host_limit: Some(Span::seconds(25)),
        ..Policy::default()
    };
    let id = world.start("web", &Plan::Restart, &policy).await;
    let begun = Instant::now();
    let until = async |is_so: fn(&Rollout) -> bool| loop {
        let rollout = world.rollout("web", id).await;
        if is_so(&rollout) {
            return rollout;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let ends = async {
        until(|rollout| rollout.failed() > 0).await;
        (begun.elapsed(), until(|rollout| rollout.outcome.is_some()).await)
    };
    // The same process to the end: nobody watches over a host that is away while a dead one's claim lasts.
    let work = async {
        tokio::select! {
            ended = ends => ended,
            () = world.process("we", true) => unreachable!("it never ends"),
        }
    };
    let (took, ended) = world.within(Duration::from_secs(500), work).await.expect("it ends");
    assert!(took < Duration::from_secs(27), "{took:?}");
    let runs = world.runs("web", id).await;
    assert_eq!((ended.outcome, ended.done, ended.failed()), (Some(Outcome::Finished), 3, 1), "{runs:?}");
    assert!(*world.machines.most_down.lock().unwrap() <= 2);
}

/// What was found out of a host while all of them were looked at may be over when it is begun with: a boot id from
/// before would tell at once that it has restarted.
#[tokio::test(start_paused = true)]
async fn a_host_that_restarts_by_itself_before_it_is_begun_with_is_restarted() {
    let world = world(3).await;
    world.machines.with("web-1", |machine| machine.is_frozen = true);
    let policy = Policy {
        max_unavailable: share("2"),
        batch: share("3"),
        failures_max: 2,
        host_limit: Some(Span::seconds(60)),
        ..Policy::default()
    };
    let id = world.start("web", &Plan::Restart, &policy).await;
    let restarts = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let said = world.machines.said.lock().unwrap().clone();
        assert!(said.contains(&"look web-0".to_owned()), "it was not found out yet: {said:?}");
        world.machines.with("web-0", |machine| machine.boots += 1);
    };
    let (ended, ()) = tokio::join!(world.ended("web", id), restarts);
    assert_eq!((ended.outcome, ended.done, ended.failed()), (Some(Outcome::Finished), 2, 1));
    assert_eq!(world.machines.with("web-0", |machine| machine.done), 1);
}

/// What operators want is heard at once.
#[tokio::test(start_paused = true)]
async fn operators_are_heard_at_once() {
    let world = world(3).await;
    let web: ClusterName = "web".parse().unwrap();
    world.machines.with("web-1", |machine| machine.stays_away = true);
    let id = world.start("web", &Plan::Restart, &drained()).await;
    let until = async |number: u64| {
        while world.rollout("web", id).await.done < number || world.rollout("web", id).await.underway() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = async {
        until(1).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(world.machines.cordoned(), ["web-1"]);
        let asked = Instant::now();
        world.fleet.abort(Permit::house(), &web, id).await.unwrap();
        while world.rollout("web", id).await.outcome.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        asked.elapsed()
    };
    let work = async {
        tokio::select! {
            took = told => took,
            () = world.process("we", true) => unreachable!("it never ends"),
        }
    };
    let took = world.within(Duration::from_secs(500), work).await.expect("it ends");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(world.rollout("web", id).await.outcome, Some(Outcome::Aborted));
    assert_eq!(world.machines.cordoned(), [""; 0]);
}

/// A node that somebody else has cordoned stays so.
#[tokio::test(start_paused = true)]
async fn the_cordons_of_others_are_left_alone() {
    let world = world(2).await;
    world.machines.with("web-0", |machine| machine.is_cordoned = true);
    let id = world.start("web", &Plan::Restart, &drained()).await;
    assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Finished));
    assert_eq!(world.machines.cordoned(), ["web-0"]);
    assert!(world.machines.with("web-0", |machine| machine.is_drained && machine.done == 1));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_deleted_in_the_middle_is_not_waited_for() {
    let world = world(2).await;
    world.machines.with("web-0", |machine| machine.stays_away = true);
    let id = world.start("web", &Plan::Restart, &Policy::default()).await;
    let deletes = async {
        while world.rollout("web", id).await.underway() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(8)).await;
        let host = "web-0".parse().unwrap();
        world.fleet.delete_host(Permit::house(), &host, fleet::Expected::Anything).await.unwrap();
        std::future::pending::<()>().await;
    };
    let work = async {
        tokio::select! {
            ended = world.ended("web", id) => ended,
            () = deletes => unreachable!("it never ends"),
        }
    };
    let ended = work.await;
    assert_eq!((ended.outcome, ended.done, ended.skipped), (Some(Outcome::Finished), 1, 1));
    let run = world.runs("web", id).await.remove(0);
    let RunState::Skipped { reason, .. } = run.state else { panic!("{run:?}") };
    assert_eq!(reason, "it was deleted");
}

/// It would be upgraded anew in each boot otherwise.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_restarts_its_host_fails_once() {
    let world = world(2).await;
    world.machines.with("web-0", |machine| machine.restarts_upgraded = true);
    let id = world.start("web", &Plan::Upgrade, &Policy::default()).await;
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.failed()), (Some(Outcome::Failed), 1));
    assert_eq!(world.machines.with("web-0", |machine| (machine.done, machine.boots)), (1, 1));
}

/// What was sent before an abort may be done after it.
#[tokio::test(start_paused = true)]
async fn who_has_restarted_since_an_abort_is_not_restarted_by_the_retry() {
    let world = world(1).await;
    let web: ClusterName = "web".parse().unwrap();
    let id = world.start("web", &Plan::Restart, &drained()).await;
    let aborts = async {
        while world.machines.with("web-0", |machine| machine.done) == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.fleet.abort(Permit::house(), &web, id).await.unwrap();
        std::future::pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            ended = world.ended("web", id) => ended,
            () = aborts => unreachable!("it never ends"),
        }
    };
    assert_eq!(ended.await.outcome, Some(Outcome::Aborted));
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.fleet.retry(Permit::house(), &web, id).await.unwrap();
    assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Finished));
    assert_eq!(world.machines.with("web-0", |machine| (machine.done, machine.boots)), (1, 1));
    assert_eq!(world.machines.cordoned(), [""; 0]);
}

/// Whoever makes a host ready holds a claim on it.
#[tokio::test(start_paused = true)]
async fn a_host_that_is_being_made_ready_is_waited_for() {
    let world = world(2).await;
    let claims = Claims::new(world.store.clone()).unwrap();
    let lease = Span::seconds(60);
    let claim = claims.take("host/web-0", "another", world.clock.now(), lease).await.unwrap().unwrap();
    let id = world.start("web", &Plan::Restart, &Policy::default()).await;
    world.within(Duration::from_secs(20), world.process("the first", true)).await;
    assert_eq!(
        (world.rollout("web", id).await.underway(), world.machines.said.lock().unwrap().len()),
        (0, 0)
    );
    claims.release(claim).await.unwrap();
    assert_eq!(world.ended("web", id).await.outcome, Some(Outcome::Finished));
}

/// A host may go from one cluster to another while it restarts.
#[tokio::test(start_paused = true)]
async fn a_host_that_another_operation_is_at_is_waited_for() {
    let world = world(1).await;
    world.make_cluster("db", 0).await;
    world.machines.with("web-0", |machine| machine.stays_away = true);
    let (web, db): (ClusterName, ClusterName) = ("web".parse().unwrap(), "db".parse().unwrap());
    let policy = Policy { host_limit: Some(Span::seconds(60)), ..Policy::default() };
    let first = world.start("web", &Plan::Restart, &policy).await;
    world.within(Duration::from_secs(10), world.process("the first", true)).await;
    assert_eq!(world.rollout("web", first).await.underway(), 1);
    let host: fleet::HostAddress = "web-0".parse().unwrap();
    assert!(world.fleet.is_under_way(&host).await.unwrap());
    world.fleet.leave(Permit::house(), &web, &host).await.unwrap();
    world.fleet.join(Permit::house(), &db, &host).await.unwrap();
    let second = world.start("db", &Plan::Upgrade, &policy).await;
    let while_at_it = async {
        while world.rollout("web", first).await.outcome.is_none() {
            assert_eq!(world.rollout("db", second).await.underway(), 0);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let work = async {
        tokio::select! {
            () = while_at_it => {}
            () = world.process("the second", true) => unreachable!("it never ends"),
        }
    };
    world.within(Duration::from_secs(500), work).await.expect("the first ends");
    world.ended("db", second).await;
    assert!(!world.fleet.is_under_way(&host).await.unwrap());
}

/// Another process goes on when the claim of the one that died has ended.
#[tokio::test(start_paused = true)]
async fn what_a_dead_process_was_at_is_taken_over() {
    let world = world(3).await;
    let id = world.start("web", &Plan::Restart, &drained()).await;
    world.within(Duration::from_secs(3), world.process("the dead", true)).await;
    assert_eq!(world.rollout("web", id).await.underway(), 1);
    let claims = Claims::new(world.store.clone()).unwrap();
    let now = world.clock.now();
    assert_eq!(claims.take("operation/web", "anybody", now, LEASE).await.unwrap(), None);
    let ended = world.ended("web", id).await;
    assert_eq!((ended.outcome, ended.done), (Some(Outcome::Finished), 3));
    assert!((world.clock.now() - now) > Span::seconds(10), "it waited for the end of the lease");
    for number in 0..3 {
        assert_eq!(world.machines.with(&format!("web-{number}"), |machine| machine.done), 1);
    }
    assert_eq!(world.machines.cordoned(), [""; 0]);
}

fn any_policy(entropy: &Entropy) -> Policy {
    let one_of = |texts: &[&str]| share(texts[(entropy.number() % texts.len() as u64) as usize]);
    Policy {
        batch: one_of(&["", "", "1", "3", "50%"]),
        canary: one_of(&["", "", "1", "2"]),
        failures_max: [0, 0, 2][(entropy.number() % 3) as usize],
        drain: !entropy.number().is_multiple_of(4),
        gates: Gates { soak: Span::seconds([0, 0, 30][(entropy.number() % 3) as usize]), ..Gates::default() },
        ..Policy::default()
    }
}

/// Processes that die at any moment, connections that break, container managers that fail, commits whose answers are
/// lost, operators who interfere: no host is told twice, none is forgotten, none stays cordoned, and no more are down than may be.
#[tokio::test(start_paused = true)]
async fn whoever_dies_whenever_no_host_is_restarted_twice_and_none_is_forgotten() {
    let mut outcomes = std::collections::BTreeMap::<&str, u32>::new();
    for seed in 0..120 {
        let entropy = Entropy::seeded(seed);
        let (policy, hosts) = (any_policy(&entropy), 1 + entropy.number() % 8);
        let world = World::new(Machines::new(seed, true)).await;
        world.make_cluster("web", hosts).await;
        if entropy.number().is_multiple_of(3) {
            world.machines.with("web-1", |machine| machine.refuses = Some(1));
        }
        let web: ClusterName = "web".parse().unwrap();
        let id = world.start("web", &Plan::Restart, &policy).await;
        let mut lives = 0;
        while world.rollout("web", id).await.outcome.is_none() {
            lives += 1;
            assert!(lives < 500, "seed {seed} comes to no end: {:?}", world.rollout("web", id).await);
            let holder = ["the only process".to_owned(), format!("process {lives}")];
            let holder = &holder[(entropy.number() % 2) as usize];
            let life = Duration::from_millis(20 + entropy.number() % 40_000);
            match entropy.number() % 6 {
                0 => world.store.lose_next_answers([entropy.number().is_multiple_of(2)]),
                1 => world.store.conflict_next_commits(2),
                _ => {}
            }
            world.within(life, world.process(holder, entropy.number().is_multiple_of(2))).await;
            match entropy.number() % 40 {
                0 => drop(world.fleet.abort(Permit::house(), &web, id).await),
                1..4 => drop(world.fleet.pause(Permit::house(), &web, id).await),
                _ => drop(world.fleet.resume(Permit::house(), &web, id).await),
            }
        }
        let ended = world.rollout("web", id).await;
        let outcome = ended.outcome.unwrap();
        *outcomes.entry(outcome.as_str()).or_default() += 1;
        let runs = world.runs("web", id).await;
        assert_eq!((runs.len() as u64, ended.underway()), (hosts, 0), "seed {seed}");
        for run in &runs {
            let done = world.machines.with(run.address.as_str(), |machine| machine.done);
            match run.state {
                RunState::Done { .. } => assert_eq!(done, 1, "seed {seed}: {run:?}"),
                RunState::Waiting => assert_eq!(done, 0, "seed {seed}: {run:?}"),
                _ => assert!(done <= 1, "seed {seed}: {run:?}"),
            }
            let is_cordoned = world.machines.with(run.address.as_str(), |machine| machine.is_cordoned);
            assert!(!is_cordoned || run.cordon == Cordon::Left, "seed {seed}: {run:?}");
        }
        let batch = policy.batch.map_or(1, |share| share.of(hosts));
        let allowed = batch.max(policy.canary.map_or(0, |share| share.of(hosts)));
        let most = *world.machines.most_down.lock().unwrap() as u64;
        assert!(outcome == Outcome::Aborted || most <= allowed, "seed {seed}: {most} of {allowed}");
        if outcome == Outcome::Finished {
            assert_eq!(ended.waiting(), 0, "seed {seed}");
        }
    }
    assert_eq!(outcomes.len(), 3, "all ends were seen: {outcomes:?}");
}
