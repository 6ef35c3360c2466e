//! Operations: planned, recorded, shown (commissaire contract, section 3.4).

use base::Span;
use fleet::{OperationError, OperationKind, OperationState, Plan, SteerError};
use futures_executor::block_on;

use crate::world::{World, cluster, host_in, permit};

fn world() -> World {
    let world = World::new();
    world.make_cluster("web", "");
    world.make_cluster("empty", "");
    world.add("a", host_in("web", "active")).unwrap();
    world
}

fn start(world: &World, name: &str, plan: Plan) -> Result<fleet::Operation, OperationError> {
    block_on(world.fleet.start(permit(), &cluster(name), plan))
}

fn deploy(version: &str) -> Plan {
    Plan::Deploy { version: version.parse().unwrap() }
}

#[test]
fn an_operation_begins_with_nothing_done() {
    let world = world();
    let begun = start(&world, "web", deploy("7.2.6")).unwrap();
    assert_eq!(begun.state, OperationState::InProcess);
    assert_eq!(begun.started_at, "2016-12-06T04:53:20.000000");
    assert_eq!((begun.done.len(), begun.in_process.len(), begun.finished_at.as_str()), (0, 0, ""));
    let seen = block_on(world.fleet.operation(permit(), &cluster("web"), OperationKind::Deploy)).unwrap();
    assert_eq!(seen.is, begun);
    assert_eq!(
        world.stored("/commissaire/cluster/web/deploy").unwrap(),
        concat!(
            r#"{"name":"web","status":"in_process","version":"7.2.6","deployed":[],"in_process":[],"#,
            r#""started_at":"2016-12-06T04:53:20.000000","finished_at":"","id":1481000000000}"#
        )
    );
    assert!(world.events().contains(
        &"deploy started: ada from 192.0.2.7, state in_process, version 7.2.6 (cluster web)".to_owned()
    ));
}

#[test]
fn one_operation_runs_on_a_cluster() {
    let world = world();
    start(&world, "web", Plan::Restart).unwrap();
    for plan in [Plan::Restart, Plan::Upgrade, deploy("1")] {
        let error = start(&world, "web", plan).unwrap_err();
        assert_eq!(base::Explain::kind(&error), base::Kind::Conflict);
        assert_eq!(
            error.to_string(),
            "the restart of `web` that began at 2016-12-06T04:53:20.000000 is still running"
        );
    }
    start(&world, "empty", Plan::Restart).unwrap();
    let page = block_on(world.fleet.latest_rollouts(permit(), &cluster("web"), None, 9)).unwrap();
    assert_eq!(page.rollouts.iter().map(|view| &view.rollout.plan).collect::<Vec<_>>(), [&Plan::Restart]);
}

/// It is answered as one that begins, and found finished.
#[test]
fn nothing_to_do_is_done_at_once() {
    let world = world();
    let begun = start(&world, "empty", Plan::Upgrade).unwrap();
    assert_eq!(begun.state, OperationState::InProcess);
    let found = |kind| block_on(world.fleet.operation(permit(), &cluster("empty"), kind));
    let seen = found(OperationKind::Upgrade).unwrap();
    assert_eq!((seen.is.state, &seen.is.finished_at), (OperationState::Finished, &begun.started_at));
    assert!(matches!(found(OperationKind::Deploy), Err(OperationError::NeverStarted { .. })));
    // So another may begin, of its kind too.
    world.clock.advance(Span::seconds(60));
    start(&world, "empty", deploy("1")).unwrap();
    start(&world, "empty", Plan::Upgrade).unwrap();
    assert_eq!(found(OperationKind::Upgrade).unwrap().is.started_at, "2016-12-06T04:54:20.000000");
    let page = block_on(world.fleet.latest_rollouts(permit(), &cluster("empty"), None, 9)).unwrap();
    assert_eq!(page.rollouts.len(), 3);
}

#[test]
fn there_is_nothing_to_do_with_what_does_not_exist() {
    let world = world();
    for plan in [deploy("1"), Plan::Upgrade, Plan::Restart] {
        let kind = plan.kind();
        assert!(matches!(start(&world, "nowhere", plan), Err(OperationError::NoSuchCluster { .. })));
        let found = block_on(world.fleet.operation(permit(), &cluster("nowhere"), kind));
        assert!(matches!(found, Err(OperationError::NeverStarted { .. })));
    }
    let found = block_on(world.fleet.latest_rollouts(permit(), &cluster("nowhere"), None, 9));
    assert!(matches!(found, Err(SteerError::NoSuchCluster { .. })));
    assert!(world.keys("/commissaire/cluster/").is_empty());
}
