//! Operations as operators look at them.

use base::Span;
use fleet::{
    Beginning, HostProgress, Phase, Plan, Policy, RolloutId, RolloutView, RunState, SteerError, Waiting,
};
use futures_executor::block_on;
use store::{Claim, Claims};

use crate::world::{World, address, cluster, host_in, permit};

fn world(hosts: usize) -> (World, Claim) {
    let world = World::new();
    world.make_cluster("web", "");
    for n in 0..hosts {
        world.add(&format!("h{n}"), host_in("web", "active")).unwrap();
    }
    let claims = Claims::new(world.store.clone()).unwrap();
    let claim = claims.take("operation/web", "one", world.clock.now(), Span::days(1));
    let claim = block_on(claim).unwrap().unwrap();
    (world, claim)
}

fn start(world: &World, policy: &Policy) -> RolloutId {
    block_on(world.fleet.start_with(permit(), &cluster("web"), &Plan::Restart, policy)).unwrap().id
}

fn view(world: &World, id: RolloutId) -> RolloutView {
    block_on(world.fleet.rollout_view(permit(), &cluster("web"), id)).unwrap()
}

#[test]
fn what_is_waited_for_is_told() {
    let (world, claim) = world(3);
    let web = cluster("web");
    let policy = Policy {
        max_unavailable: Some("1".parse().unwrap()),
        start_at: Some(world.clock.now() + Span::seconds(60)),
        ..Policy::default()
    };
    let id = start(&world, &policy);
    let until = world.clock.now() + Span::seconds(60);
    let scheduled = view(&world, id);
    assert_eq!(
        (scheduled.phase, scheduled.waits_for),
        (Phase::Scheduled { until }, Some(Waiting::Schedule { until }))
    );

    world.clock.advance(Span::seconds(60));
    // Whoever is down is tried for a while before it is said to have failed.
    let answers = Waiting::Answers { of: vec![address("h0")] };
    assert_eq!((view(&world, id).phase, view(&world, id).waits_for), (Phase::Running, Some(answers)));
    block_on(world.fleet.begin_hosts(&claim, &web, id, &[Beginning::with(address("h0"), None)])).unwrap();
    let busy = view(&world, id);
    assert_eq!(busy.underway, [address("h0")]);
    assert_eq!(busy.waits_for, Some(Waiting::Unavailable { are: 1, may_be: 1 }));
    block_on(world.fleet.pause(permit(), &web, id)).unwrap();
    assert_eq!((view(&world, id).phase, view(&world, id).waits_for), (Phase::Pausing, Some(Waiting::Hosts)));
    let healthy = &HostProgress::Healthy;
    block_on(world.fleet.record_host(&claim, &web, id, &address("h0"), healthy)).unwrap();
    assert_eq!((view(&world, id).phase, view(&world, id).waits_for), (Phase::Paused, None));
    block_on(world.fleet.skip_host(permit(), &web, id, &address("h1"))).unwrap();
    block_on(world.fleet.abort(permit(), &web, id)).unwrap();
    let ended = view(&world, id);
    assert_eq!(ended.phase, Phase::Ended(fleet::Outcome::Aborted));
    assert_eq!((ended.waits_for, ended.rollout.done, ended.rollout.skipped), (None, 1, 1));

    let page = |is_wanted: fn(&RunState) -> bool, after, limit| {
        let page = world.fleet.rollout_hosts_that(permit(), (&web, id), is_wanted, after, limit);
        let page = block_on(page).unwrap();
        let hosts: Vec<_> = page.hosts.iter().map(|run| run.address.to_string()).collect();
        (hosts.join(" "), page.next)
    };
    assert_eq!(page(|_| true, None, 2), ("h0 h1".to_owned(), Some(1)));
    assert_eq!(page(|state| matches!(state, RunState::Skipped { .. }), None, 9), ("h1".to_owned(), None));
    // Pages may be empty though there are more.
    assert_eq!(page(|state| *state == RunState::Waiting, None, 1), (String::new(), Some(0)));
}

#[test]
fn the_latest_comes_first() {
    let (world, _) = world(2);
    let web = cluster("web");
    let mut ids = Vec::new();
    for _ in 0..5 {
        let id = start(&world, &Policy::default());
        ids.insert(0, id);
        if ids.len() < 5 {
            block_on(world.fleet.abort(permit(), &web, id)).unwrap();
        }
    }
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = block_on(world.fleet.latest_rollouts(permit(), &web, before, 2)).unwrap();
        assert!(page.rollouts.len() <= 2);
        found.extend(page.rollouts.iter().map(|view| (view.rollout.id, view.phase)));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let expected = ids.iter().enumerate().map(|(at, id)| {
        let aborted = Phase::Ended(fleet::Outcome::Aborted);
        (*id, if at == 0 { Phase::Running } else { aborted })
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    let nowhere = block_on(world.fleet.latest_rollouts(permit(), &cluster("db"), None, 2));
    assert!(matches!(nowhere, Err(SteerError::NoSuchCluster { .. })));
    world.make_cluster("db", "");
    let none = block_on(world.fleet.latest_rollouts(permit(), &cluster("db"), None, 2)).unwrap();
    assert_eq!((none.rollouts.len(), none.next), (0, None));
}
