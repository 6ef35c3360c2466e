//! What operators do to operations, and what they are shown.

use base::{Explain as _, Span};
use fleet::{
    Beginning, Details, Expected, Found, HostProgress, Next, OperationKind, Past, Phase, Plan, Policy,
    Rollout, RunState, SteerError, Wish,
};
use futures_executor::block_on;
use store::{Claim, Claims};

use crate::world::{World, address, begin, cluster, host_in, permit};

fn world(hosts: usize) -> World {
    let world = World::new();
    world.make_cluster("web", "");
    for n in 0..hosts {
        world.add(&format!("h{n}"), host_in("web", "active")).unwrap();
    }
    world
}

fn start(world: &World, plan: &Plan, policy: &Policy) -> Rollout {
    block_on(world.fleet.start_with(permit(), &cluster("web"), plan, policy)).unwrap()
}

fn claim(world: &World) -> Claim {
    let claims = Claims::new(world.store.clone()).unwrap();
    let lease = Span::days(1);
    block_on(claims.take("operation/web", "one", world.clock.now(), lease)).unwrap().unwrap()
}

fn advance(world: &World, claim: &Claim, of: &Rollout) -> Next {
    block_on(world.fleet.advance(claim, &cluster("web"), of.id, || true)).unwrap().next
}

/// Begins with whoever is next, and has all of them come through or fail.
fn carry(world: &World, claim: &Claim, of: &Rollout, progress: &HostProgress) -> usize {
    let Next::Begin(hosts) = advance(world, claim, of) else { return 0 };
    let hosts: Vec<_> =
        hosts.into_iter().map(|host| Beginning::with(host, Some("2f1c".to_owned()))).collect();
    let begun = block_on(world.fleet.begin_hosts(claim, &cluster("web"), of.id, &hosts)).unwrap();
    for run in &begun {
        block_on(world.fleet.record_host(claim, &cluster("web"), of.id, &run.address, progress)).unwrap();
    }
    begun.len()
}

fn now(world: &World, of: &Rollout) -> Rollout {
    block_on(world.fleet.rollout(permit(), &cluster("web"), of.id)).unwrap().is
}

fn no() -> HostProgress {
    HostProgress::Failed { reason: "it did not come back".into() }
}

#[test]
fn the_originals_document_follows() {
    let world = world(3);
    let restart = start(&world, &Plan::Restart, &Policy::default());
    let claim = claim(&world);
    let document = |status: &str, done: &str, at: &str, ended: &str| {
        format!(
            concat!(
                r#"{{"name":"web","status":"{}","restarted":[{}],"in_process":[{}],"#,
                r#""started_at":"2016-12-06T04:53:20.000000","finished_at":"{}","id":1481000000000}}"#
            ),
            status, done, at, ended
        )
    };
    let stored = || world.stored("/commissaire/cluster/web/restart").unwrap();
    assert_eq!(stored(), document("in_process", "", "", ""));
    let hosts = [begin("h0")];
    block_on(world.fleet.begin_hosts(&claim, &cluster("web"), restart.id, &hosts)).unwrap();
    assert_eq!(stored(), document("in_process", "", r#""h0""#, ""));
    let healthy = &HostProgress::Healthy;
    block_on(world.fleet.record_host(&claim, &cluster("web"), restart.id, &hosts[0].address, healthy))
        .unwrap();
    assert_eq!(stored(), document("in_process", r#""h0""#, "", ""));
    world.clock.advance(Span::seconds(5));
    carry(&world, &claim, &restart, &no());
    assert!(matches!(advance(&world, &claim, &restart), Next::Ended(_)));
    // A host that fails stays where it is (commissaire contract, section 9.5).
    assert_eq!(stored(), document("failed", r#""h0""#, r#""h1""#, "2016-12-06T04:53:25.000000"));
    let events = world.events();
    for event in [
        "restart of host begun: Provost from nowhere, cluster web, operation 1481000000000 (host h0)",
        "restart of host done: Provost from nowhere, cluster web, operation 1481000000000 (host h0)",
        "restart failed: Provost from nowhere, done 1, failed 1, operation 1481000000000, skipped 0 (cluster web)",
    ] {
        let house = identity::Principal::house();
        let event = event.replace("Provost", house.name());
        assert!(events.contains(&event), "{event} in {events:#?}");
    }
}

#[test]
fn what_is_paused_goes_on_when_it_is_resumed() {
    let world = world(2);
    let restart = start(&world, &Plan::Restart, &Policy::default());
    let (claim, web) = (claim(&world), cluster("web"));
    let hosts = [begin("h0")];
    block_on(world.fleet.begin_hosts(&claim, &web, restart.id, &hosts)).unwrap();
    let paused = block_on(world.fleet.pause(permit(), &web, restart.id)).unwrap();
    assert_eq!((paused.wish, paused.phase(world.clock.now())), (Wish::Pause, Phase::Pausing));
    let healthy = &HostProgress::Healthy;
    block_on(world.fleet.record_host(&claim, &web, restart.id, &hosts[0].address, healthy)).unwrap();
    assert_eq!(advance(&world, &claim, &restart), Next::Paused);
    assert_eq!(now(&world, &restart).phase(world.clock.now()), Phase::Paused);
    let late = block_on(world.fleet.begin_hosts(&claim, &web, restart.id, &[begin("h1")])).unwrap();
    assert_eq!(late, [], "nobody is begun with");
    assert_eq!(block_on(world.fleet.due_operations(|_| false)).unwrap(), (vec![], None));
    block_on(world.fleet.resume(permit(), &web, restart.id)).unwrap();
    assert_eq!(carry(&world, &claim, &restart, &HostProgress::Healthy), 1);
    assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Finished));
    let refused = block_on(world.fleet.pause(permit(), &web, restart.id)).unwrap_err();
    assert_eq!(refused.to_string(), "the operation 1481000000000 on `web` has ended: finished");
}

/// What was sent in the boot before may be done by now; and a person still sees what went wrong.
#[test]
fn who_is_tried_again_is_remembered() {
    let world = world(1);
    let restart = start(&world, &Plan::Restart, &Policy::default());
    let (claim, web) = (claim(&world), cluster("web"));
    let run = || {
        let page = block_on(world.fleet.rollout_hosts(permit(), &web, restart.id, None, 9));
        page.unwrap().hosts.remove(0)
    };
    let begins = |boot_id: &str| {
        let host = Beginning::with(address("h0"), Some(boot_id.to_owned()));
        block_on(world.fleet.begin_hosts(&claim, &web, restart.id, &[host])).unwrap().remove(0)
    };
    assert_eq!(begins("1").state.boot_id(), Some("1"));
    let failed = HostProgress::Failed { reason: "no".into() };
    block_on(world.fleet.record_host(&claim, &web, restart.id, &address("h0"), &failed)).unwrap();
    assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Failed));
    block_on(world.fleet.retry(permit(), &web, restart.id)).unwrap();
    let past = Past { attempts: 1, boot_id: Some("1".into()), reason: Some("no".into()) };
    assert_eq!((run().state, run().past), (RunState::Waiting, past));
    let again = begins("2");
    assert_eq!((again.state.boot_id(), again.past.attempts), (Some("1"), 2));
}

#[test]
fn aborting_releases_what_is_under_way() {
    let world = world(3);
    let (claim, web) = (claim(&world), cluster("web"));
    let idle = start(&world, &Plan::Restart, &Policy::default());
    let aborted = block_on(world.fleet.abort(permit(), &web, idle.id)).unwrap();
    assert_eq!(aborted.phase(world.clock.now()), Phase::Ended(fleet::Outcome::Aborted), "at once");

    let policy = Policy { batch: Some("2".parse().unwrap()), drain: true, ..Policy::default() };
    let busy = start(&world, &Plan::Restart, &policy);
    let hosts = ["h0", "h1"].map(begin);
    block_on(world.fleet.begin_hosts(&claim, &web, busy.id, &hosts)).unwrap();
    let aborting = block_on(world.fleet.abort(permit(), &web, busy.id)).unwrap();
    assert_eq!(aborting.phase(world.clock.now()), Phase::Aborting);
    let refused = block_on(world.fleet.resume(permit(), &web, busy.id));
    assert!(matches!(refused, Err(SteerError::Aborting { .. })));
    assert_eq!(advance(&world, &claim, &busy), Next::Release(vec![address("h0"), address("h1")]));
    for (host, stays) in [("h0", None), ("h1", Some("it is away"))] {
        let host = address(host);
        let release = world.fleet.release_host(&claim, &web, busy.id, &host, stays);
        block_on(release).unwrap();
    }
    assert_eq!(advance(&world, &claim, &busy), Next::Ended(fleet::Outcome::Aborted));
    let hosts = block_on(world.fleet.rollout_hosts(permit(), &web, busy.id, None, 2)).unwrap();
    let cordons: Vec<_> = hosts.hosts.iter().map(|run| (run.state.as_str(), run.cordon.as_str())).collect();
    assert_eq!((cordons, hosts.next), (vec![("failed", "none"), ("failed", "left")], Some(1)));
    assert!(world.events().iter().any(|event| event.starts_with("node left cordoned")));
    assert!(world.keys("/fleet/under-way/").is_empty());
    let RunState::Failed { reason, .. } = &hosts.hosts[1].state else { panic!("{:?}", hosts.hosts) };
    assert!(reason.contains("tried again until it is: it is away"), "{reason}");

    // It is ours, also of the next operation, which takes it over with the commit that begins with the host.
    assert_eq!(block_on(world.fleet.cordons_left()).unwrap().len(), 1);
    let next = start(&world, &Plan::Restart, &policy);
    let cordoned = ["h0", "h1"].map(|host| Beginning { is_cordoned: true, ..begin(host) });
    let begun = block_on(world.fleet.begin_hosts(&claim, &web, next.id, &cordoned)).unwrap();
    let cordons: Vec<_> = begun.iter().map(|run| run.cordon.as_str()).collect();
    assert_eq!(cordons, ["none", "perhaps"], "the other one is somebody else's");
    assert_eq!(block_on(world.fleet.cordons_left()).unwrap(), []);
}

#[test]
fn a_cordon_that_was_left_is_lifted_later() {
    let world = world(1);
    let (claim, web) = (claim(&world), cluster("web"));
    let policy = Policy { drain: true, ..Policy::default() };
    let restart = start(&world, &Plan::Restart, &policy);
    block_on(world.fleet.begin_hosts(&claim, &web, restart.id, &[begin("h0")])).unwrap();
    let failed = HostProgress::Failed { reason: "it hangs".into() };
    block_on(world.fleet.record_host(&claim, &web, restart.id, &address("h0"), &failed)).unwrap();
    let host = address("h0");
    block_on(world.fleet.release_host(&claim, &web, restart.id, &host, Some("it is away"))).unwrap();
    let cordon = || {
        let hosts = block_on(world.fleet.rollout_hosts(permit(), &web, restart.id, None, 2)).unwrap();
        hosts.hosts[0].cordon.as_str()
    };
    assert_eq!((advance(&world, &claim, &restart), cordon()), (Next::Ended(fleet::Outcome::Failed), "left"));
    let left = block_on(world.fleet.cordons_left()).unwrap();
    assert!(block_on(world.fleet.is_still_left(&left[0])).unwrap());
    block_on(world.fleet.record_cordon_lifted(&claim, &left[0])).unwrap();
    assert_eq!((block_on(world.fleet.cordons_left()).unwrap(), cordon()), (vec![], "none"));
    assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Failed));
    assert!(world.events().iter().any(|event| event.starts_with("cordon of node lifted")));
    block_on(world.fleet.record_cordon_lifted(&claim, &left[0])).unwrap();
}

#[test]
fn what_failed_is_tried_again_or_skipped() {
    let world = world(4);
    let (claim, web) = (claim(&world), cluster("web"));
    let restart = start(&world, &Plan::Restart, &Policy::default());
    let retry = |of: &Rollout| block_on(world.fleet.retry(permit(), &web, of.id));
    let skip = |host: &str| block_on(world.fleet.skip_host(permit(), &web, restart.id, &address(host)));
    assert!(matches!(retry(&restart), Err(SteerError::NotEnded { .. })));
    skip("h2").unwrap();
    assert!(matches!(skip("h9"), Err(SteerError::NoSuchHost { .. })));
    carry(&world, &claim, &restart, &HostProgress::Healthy);
    assert!(matches!(skip("h0"), Err(SteerError::NotSkippable { state: "done", .. })));
    carry(&world, &claim, &restart, &no());
    assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Failed));

    let again = retry(&restart).unwrap();
    assert_eq!((again.failed(), again.waiting(), again.outcome), (0, 2, None));
    assert_eq!(block_on(world.fleet.running_operations()).unwrap(), [(web.clone(), restart.id)]);
    assert_eq!(advance(&world, &claim, &restart), Next::Begin(vec![address("h1")]));
    carry(&world, &claim, &restart, &no());
    advance(&world, &claim, &restart);
    skip("h1").unwrap();
    retry(&restart).unwrap();
    assert_eq!(carry(&world, &claim, &restart, &HostProgress::Healthy), 1);
    assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Finished));
    let end = now(&world, &restart);
    assert_eq!((end.done, end.skipped, end.failed()), (2, 2, 0));
    assert!(matches!(retry(&restart), Err(SteerError::NothingLeft { .. })));

    let other = start(&world, &Plan::Restart, &Policy::default());
    assert!(other.id > restart.id);
    let error = retry(&restart).unwrap_err();
    assert!(error.to_string().contains("is still running"), "{error}");
    block_on(world.fleet.abort(permit(), &web, other.id)).unwrap();
    assert!(matches!(retry(&restart), Err(SteerError::Superseded { .. })));
    assert_eq!(block_on(world.fleet.rollouts(permit(), &web)).unwrap().len(), 2);
}

#[test]
fn nothing_is_deployed_where_it_cannot_be() {
    let world = world(3);
    let (claim, web) = (claim(&world), cluster("web"));
    for (host, atomic) in [("h0", Some(true)), ("h1", Some(false)), ("h2", None)] {
        let found = Found { details: Details { atomic, ..Details::default() }, ..Found::default() };
        block_on(world.fleet.record_facts(&claim, &address(host), &found)).unwrap();
    }
    let plan = Plan::Deploy { version: "7.2.6".parse().unwrap() };
    let preview = block_on(world.fleet.plan(permit(), &web, &plan, &Policy::default())).unwrap();
    assert_eq!(preview.groups, [[address("h0")], [address("h1")], [address("h2")]]);
    assert_eq!(preview.refused.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>(), ["h1"]);
    let deploy = start(&world, &plan, &Policy::default());
    assert_eq!(carry(&world, &claim, &deploy, &HostProgress::Healthy), 1);
    assert_eq!(advance(&world, &claim, &deploy), Next::Ended(fleet::Outcome::Failed));
    let hosts = block_on(world.fleet.rollout_hosts(permit(), &web, deploy.id, None, 10)).unwrap().hosts;
    let RunState::Failed { reason, .. } = &hosts[1].state else { panic!("{hosts:?}") };
    assert!(reason.starts_with("it is no atomic host"), "{reason}");
    assert_eq!(hosts[2].state, RunState::Waiting);
}

#[test]
fn who_has_left_is_not_begun_with() {
    let world = world(3);
    let (claim, web) = (claim(&world), cluster("web"));
    let restart = start(&world, &Plan::Restart, &Policy::default());
    world.leave("web", "h0").unwrap();
    block_on(world.fleet.delete_host(permit(), &address("h1"), Expected::Anything)).unwrap();
    assert_eq!(advance(&world, &claim, &restart), Next::Begin(vec![address("h2")]));
    assert_eq!(now(&world, &restart).skipped, 2);
    assert_eq!(block_on(world.fleet.next_step(&web, restart.id)).unwrap().seen.waiting.len(), 1);
}

/// The record of a cluster's operation does not grow with it, nor what each step reads and writes.
#[test]
fn clusters_may_be_large() {
    let world = world(1_000);
    let (claim, web) = (claim(&world), cluster("web"));
    let policy = Policy { batch: Some("40".parse().unwrap()), ..Policy::default() };
    let restart = start(&world, &Plan::Restart, &policy);
    assert_eq!((restart.total, restart.phase(world.clock.now())), (1_000, Phase::Gathering));
    // It dies in the middle of writing them down.
    let commits = std::cell::Cell::new(0);
    let dying = || {
        commits.set(commits.get() + 1);
        commits.get() < 5
    };
    block_on(world.fleet.advance(&claim, &web, restart.id, dying)).unwrap();
    let some = world.keys("/fleet/operation-host/web/").len();
    assert!((90..900).contains(&some), "{some}");
    // Somebody comes and somebody goes before it goes on.
    world.add("h1000", host_in("web", "active")).unwrap();
    world.leave("web", "h999").unwrap();
    let Next::Begin(hosts) = advance(&world, &claim, &restart) else { panic!("all are there") };
    assert_eq!((hosts.len(), hosts[10].as_str()), (40, "h10"), "numbers by their value");
    assert_eq!(world.keys("/fleet/operation-host/web/").len(), 1_000);
    assert_eq!(carry(&world, &claim, &restart, &HostProgress::Healthy), 40);
    assert_eq!(carry(&world, &claim, &restart, &no()), 40);
    let document = world.stored("/commissaire/cluster/web/restart").unwrap();
    assert!(document.contains(r#""restarted":[],"in_process":[]"#) && document.len() < 300, "{document}");
    let shown = block_on(world.fleet.operation(permit(), &web, OperationKind::Restart)).unwrap().is;
    assert_eq!((shown.done.len(), shown.in_process.len()), (40, 40));
    assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Failed));
    let again = block_on(world.fleet.retry(permit(), &web, restart.id)).unwrap();
    assert_eq!((again.waiting(), again.failed()), (960, 0));
    assert_eq!(carry(&world, &claim, &restart, &HostProgress::Healthy), 40);
}

#[test]
fn deleting_a_cluster_aborts_what_runs_on_it() {
    let world = world(2);
    let (claim, web) = (claim(&world), cluster("web"));
    let restart = start(&world, &Plan::Restart, &Policy::default());
    block_on(world.fleet.begin_hosts(&claim, &web, restart.id, &[begin("h0")])).unwrap();
    block_on(world.fleet.delete_cluster(permit(), &web, Expected::Anything)).unwrap();
    assert!(world.keys("/commissaire/cluster/").is_empty());
    // It is there again, but what is under way there has to be released first.
    world.make_cluster("web", "");
    let shown = || block_on(world.fleet.rollouts(permit(), &web)).unwrap().len();
    assert_eq!(shown(), 1, "it still runs");
    let refused = block_on(world.fleet.start(permit(), &web, Plan::Upgrade)).unwrap_err();
    assert!(refused.to_string().starts_with("the restart of `web` that began at 2016-12-06T04:53:20"));
    assert_eq!(advance(&world, &claim, &restart), Next::Release(vec![address("h0")]));
    block_on(world.fleet.release_host(&claim, &web, restart.id, &address("h0"), None)).unwrap();
    assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Aborted));
    assert_eq!(shown(), 0, "it was not about this cluster");
    let refused = block_on(world.fleet.retry(permit(), &web, restart.id)).unwrap_err();
    assert_eq!(refused.kind(), base::Kind::NotFound, "{refused}");
    world.clock.advance(Span::seconds(1));
    block_on(world.fleet.start(permit(), &web, Plan::Upgrade)).unwrap();
    block_on(world.fleet.delete_cluster(permit(), &web, Expected::Anything)).unwrap();
    assert!(world.keys("/fleet/operation-running/").is_empty(), "nothing was under way");

    assert_eq!(
        block_on(world.fleet.drop_ended_operations(Span::days(90), world.clock.now(), None)).unwrap(),
        None
    );
    assert!(world.keys("/fleet/operation").is_empty(), "{:?}", world.keys("/fleet/operation"));
}

/// A cluster that has the name of an earlier one has none of its operations; they are forgotten when it is time.
#[test]
fn a_cluster_made_anew_begins_with_no_operations() {
    let world = world(1);
    let web = cluster("web");
    let restart = start(&world, &Plan::Restart, &Policy::default());
    block_on(world.fleet.abort(permit(), &web, restart.id)).unwrap();
    block_on(world.fleet.delete_cluster(permit(), &web, Expected::Anything)).unwrap();
    world.make_cluster("web", "");
    assert_eq!(block_on(world.fleet.rollouts(permit(), &web)).unwrap(), []);
    // The clock was set back meanwhile.
    world.clock.advance(Span::days(-1));
    let upgrade =
        block_on(world.fleet.start_with(permit(), &web, &Plan::Upgrade, &Policy::default())).unwrap();
    assert!(upgrade.id > restart.id);
    let shown = block_on(world.fleet.rollouts(permit(), &web)).unwrap();
    assert_eq!(shown.iter().map(|rollout| rollout.id).collect::<Vec<_>>(), [upgrade.id]);
    // What is put again is the same cluster.
    world.make_cluster("web", "");
    assert_eq!(block_on(world.fleet.rollouts(permit(), &web)).unwrap().len(), 1);
    assert_eq!(
        block_on(world.fleet.drop_ended_operations(Span::days(90), world.clock.now(), None)).unwrap(),
        None
    );
    assert_eq!(world.keys("/fleet/operation/").len(), 1);
}

#[test]
fn old_operations_are_forgotten_but_for_the_latest() {
    let world = world(2);
    let ended: Vec<Rollout> = (0..3)
        .map(|_| {
            world.clock.advance(Span::days(10));
            let restart = start(&world, &Plan::Restart, &Policy::default());
            block_on(world.fleet.abort(permit(), &cluster("web"), restart.id)).unwrap()
        })
        .collect();
    let forget = |keep| block_on(world.fleet.drop_ended_operations(keep, world.clock.now(), None)).unwrap();
    let left = || {
        let left = block_on(world.fleet.rollouts(permit(), &cluster("web"))).unwrap();
        left.into_iter().map(|rollout| rollout.id).collect::<Vec<_>>()
    };
    assert_eq!(forget(Span::days(15)), None);
    assert_eq!(left(), [ended[1].id, ended[2].id]);
    forget(Span::ZERO);
    assert_eq!(left(), [ended[2].id]);
    assert_eq!(world.keys("/fleet/operation-host/").len(), 2);
}

#[test]
fn scheduled_operations_wait_for_their_time() {
    let world = world(1);
    let claim = claim(&world);
    let start_at = world.clock.now() + Span::seconds(3_600);
    let later = Policy { start_at: Some(start_at), ..Policy::default() };
    let restart = start(&world, &Plan::Restart, &later);
    assert_eq!(restart.phase(world.clock.now()), Phase::Scheduled { until: start_at });
    assert_eq!(block_on(world.fleet.due_operations(|_| false)).unwrap(), (vec![], Some(start_at)));
    assert_eq!(carry(&world, &claim, &restart, &HostProgress::Healthy), 0);
    world.clock.advance(Span::seconds(3_600));
    assert_eq!(block_on(world.fleet.due_operations(|_| false)).unwrap().0.len(), 1);
    assert_eq!(carry(&world, &claim, &restart, &HostProgress::Healthy), 1);
    let bad = Policy { failures_max: 101, ..Policy::default() };
    let refused = block_on(world.fleet.start_with(permit(), &cluster("web"), &Plan::Restart, &bad));
    assert!(matches!(refused, Err(SteerError::Policy(_))));
}

/// What the original left `in_process` for ever stands in nobody's way.
#[test]
fn what_the_original_never_finished_does_not_run() {
    let world = world(1);
    let mut batch = store::Batch::new();
    let document =
        r#"{"name":"web","status":"in_process","upgraded":[],"in_process":["h0"],"started_at":"x"}"#;
    batch.put(store::Key::new("/commissaire/cluster/web/upgrade").unwrap(), document);
    block_on(world.store.commit(batch)).unwrap();
    let shown =
        block_on(world.fleet.operation(permit(), &cluster("web"), OperationKind::Upgrade)).unwrap().is;
    assert_eq!((shown.in_process.len(), shown.id), (1, None));
    start(&world, &Plan::Upgrade, &Policy::default());
}

/// The cluster goes right before an operation goes on: nothing runs on what has gone, however many hosts it had.
#[test]
fn nothing_goes_on_where_the_cluster_goes() {
    for hosts in [2, 25] {
        let world = world(hosts);
        let (claim, web) = (claim(&world), cluster("web"));
        let restart = start(&world, &Plan::Restart, &Policy::default());
        block_on(world.fleet.abort(permit(), &web, restart.id)).unwrap();
        assert_eq!(advance(&world, &claim, &restart), Next::Ended(fleet::Outcome::Aborted));
        let (other, name) = (world.another(), web.clone());
        world.memory.before_next_commit(async move {
            other.delete_cluster(permit(), &name, Expected::Anything).await.unwrap();
        });
        let refused = block_on(world.fleet.retry(permit(), &web, restart.id)).unwrap_err();
        assert_eq!(refused.kind(), base::Kind::NotFound, "{refused}");
        assert_eq!(world.keys("/fleet/operation-running/"), [""; 0]);
    }
}
