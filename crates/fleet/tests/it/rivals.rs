//! Two writers at once: the slower one decides anew about what it finds then.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use base::Kind;
use fleet::{
    AddHostError, ClusterError, Expected, ExpectedSettings, Fleet, MembersError, NewCluster, OperationError,
    OperationKind, OperationState, Plan,
};
use futures_executor::block_on;
use futures_util::future::join_all;

use crate::world::{World, address, change, cluster, host, host_in, labels, permit};

/// What a rival, another process, does right before the next commit.
fn meanwhile<R: Future<Output = ()> + Send + 'static>(world: &World, rival: impl FnOnce(Fleet) -> R) {
    world.memory.before_next_commit(rival(world.another()));
}

#[test]
fn two_clusters_want_the_same_host() {
    let world = World::new();
    world.make_cluster("web", "");
    world.make_cluster("db", "");
    world.add("a", host("key", "active")).unwrap();
    meanwhile(&world, |fleet| async move {
        fleet.join(permit(), &cluster("db"), &address("a")).await.unwrap();
    });
    assert!(matches!(world.join("web", "a"), Err(MembersError::InAnotherCluster { .. })));
    assert_eq!((world.members("web").len(), world.members("db").len()), (0, 1));
    world.assert_consistent();
}

#[test]
fn the_cluster_goes_while_a_host_joins() {
    for spilt in [false, true] {
        let world = World::new();
        world.make_cluster("web", "");
        for number in 0..if spilt { 1_001 } else { 0 } {
            world.add(&format!("h{number}"), host_in("web", "active")).unwrap();
        }
        world.add("a", host("key", "active")).unwrap();
        meanwhile(&world, |fleet| async move {
            fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything).await.unwrap();
        });
        assert!(matches!(world.join("web", "a"), Err(MembersError::NoSuchCluster { .. })));
        assert!(world.host("a").unwrap().cluster.is_none());
        world.assert_consistent();
    }
}

/// A cluster that once had many hosts is not written to when one joins.
#[test]
fn a_host_joins_an_empty_cluster_while_an_operation_starts() {
    for hosts in [0, 1_001] {
        let world = World::new();
        world.make_cluster("web", "");
        for number in 0..hosts {
            world.add(&format!("h{number}"), host_in("web", "active")).unwrap();
        }
        for number in 0..hosts {
            world.leave("web", &format!("h{number}")).unwrap();
        }
        world.add("a", host("key", "active")).unwrap();
        meanwhile(&world, |fleet| async move {
            fleet.join(permit(), &cluster("web"), &address("a")).await.unwrap();
        });
        block_on(world.fleet.start(permit(), &cluster("web"), Plan::Restart)).unwrap();
        let operation = block_on(world.fleet.operation(permit(), &cluster("web"), OperationKind::Restart));
        assert_eq!(operation.unwrap().is.state, OperationState::InProcess);
    }
}

#[test]
fn a_host_joins_while_the_cluster_goes() {
    // Before it is decided that it goes; and as the last group leaves, when it has gone for whoever wants to join.
    for (hosts, commits_before) in [(5, 0), (1_001, 0), (1_001, 1_001 / 18)] {
        let world = World::new();
        world.make_cluster("web", "");
        for number in 0..hosts {
            world.add(&format!("h{number}"), host_in("web", "active")).unwrap();
        }
        world.add("a", host("key", "active")).unwrap();
        for _ in 0..commits_before {
            world.memory.before_next_commit(async {});
        }
        meanwhile(&world, move |fleet| async move {
            match fleet.join(permit(), &cluster("web"), &address("a")).await {
                Ok(has_joined) => assert!(has_joined && commits_before == 0),
                Err(MembersError::NoSuchCluster { .. }) => assert!(commits_before > 0),
                Err(error) => panic!("{error}"),
            }
        });
        block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything)).unwrap();
        assert!(world.host("a").unwrap().cluster.is_none());
        assert!(world.keys("/fleet/tally/").is_empty());
        world.assert_consistent();
    }
}

#[test]
fn the_hosts_are_others_by_the_time_they_are_replaced() {
    for number in [0, 1_001] {
        let world = World::new();
        world.make_cluster("web", "");
        for text in ["a", "b", "c"] {
            world.add(text, host("key", "active")).unwrap();
        }
        let names: Vec<String> = (0..number).map(|number| format!("h{number}")).collect();
        let old: Vec<&str> = names.iter().map(String::as_str).collect();
        for text in &old {
            world.add(text, host_in("web", "active")).unwrap();
        }
        meanwhile(&world, |fleet| async move {
            fleet.join(permit(), &cluster("web"), &address("c")).await.unwrap();
        });
        let new = [&old[..], &["a", "b"]].concat();
        assert!(matches!(world.replace("web", &old, &new), Err(MembersError::NotAsExpected { .. })));
        assert_eq!(world.members("web").len(), number + 1);
        assert!(world.host("c").unwrap().cluster.is_some());
        world.assert_consistent();
    }
}

/// Nobody said which hosts are expected, so those that came meanwhile go too.
#[test]
fn whatever_hosts_a_cluster_has_are_replaced() {
    let world = World::new();
    world.make_cluster("web", "");
    for text in ["a", "b", "c"] {
        world.add(text, host("key", "active")).unwrap();
    }
    world.join("web", "a").unwrap();
    let replace = |hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        block_on(world.fleet.replace_members(permit(), &cluster("web"), None, &hosts))
    };
    meanwhile(&world, |fleet| async move {
        fleet.join(permit(), &cluster("web"), &address("c")).await.unwrap();
    });
    assert_eq!(replace(&["b"]).unwrap().view.tally.total(), 1);
    assert_eq!(world.members("web"), ["b"]);
    // Somebody else does the very same.
    meanwhile(&world, |fleet| async move {
        let old = ["b".to_owned()].into();
        fleet.replace_members(permit(), &cluster("web"), Some(&old), &["c".to_owned()].into()).await.unwrap();
    });
    replace(&["c"]).unwrap();
    assert_eq!(world.members("web"), ["c"]);
    world.assert_consistent();
}

#[test]
fn labels_that_somebody_else_gives_meanwhile_stay() {
    let world = World::new();
    world.add("a", host("key", "active")).unwrap();
    let role = change(&[("role", Some("web"))]);
    let label = || block_on(world.fleet.label_host(permit(), &address("a"), &role, Expected::Anything));
    meanwhile(&world, |fleet| async move {
        let rack = change(&[("rack", Some("b7"))]);
        fleet.label_host(permit(), &address("a"), &rack, Expected::Anything).await.unwrap();
    });
    assert_eq!(label().unwrap().is.labels, labels(&[("rack", "b7"), ("role", "web")]));
    world.assert_consistent();
}

#[test]
fn a_host_goes_while_it_joins() {
    let world = World::new();
    world.make_cluster("web", "");
    world.add("a", host("key", "active")).unwrap();
    meanwhile(&world, |fleet| async move {
        fleet.delete_host(permit(), &address("a"), Expected::Anything).await.unwrap();
    });
    assert!(matches!(world.join("web", "a"), Err(MembersError::NoSuchHost { .. })));
    world.assert_consistent();
}

#[test]
fn the_same_host_is_added_twice_at_once() {
    let world = World::new();
    meanwhile(&world, |fleet| async move {
        assert!(fleet.add_host(permit(), address("a"), host("key", "")).await.unwrap().is_new);
    });
    let put = block_on(world.fleet.add_host(permit(), address("a"), host("key", ""))).unwrap();
    assert!(!put.is_new);
    meanwhile(&world, |fleet| async move {
        fleet.add_host(permit(), address("b"), host("another key", "")).await.unwrap();
    });
    assert!(world.add("b", host("key", "")).is_err());
}

/// Who says what they have seen is told when somebody was faster, and nothing is added.
#[test]
fn a_host_is_added_only_where_there_is_what_was_expected() {
    let world = World::new();
    let add = |expected| {
        let added = world.fleet.add_host_if(permit(), address("a"), host("key", ""), expected);
        block_on(added).map(|put| put.is_new)
    };
    meanwhile(&world, |fleet| async move {
        fleet.add_host(permit(), address("a"), host("key", "")).await.unwrap();
    });
    assert!(matches!(add(Expected::Absent), Err(AddHostError::Changed { .. })));
    let seen = block_on(world.fleet.host(permit(), &address("a"))).unwrap().version;
    assert!(!add(Expected::At(seen)).unwrap());
    block_on(world.fleet.delete_host(permit(), &address("a"), Expected::At(seen))).unwrap();
    assert!(matches!(add(Expected::At(seen)), Err(AddHostError::Changed { .. })));
    assert!(add(Expected::Absent).unwrap());
    world.assert_consistent();
}

#[test]
fn two_operations_begin_at_once() {
    let world = World::new();
    world.make_cluster("web", "");
    world.add("a", host_in("web", "active")).unwrap();
    meanwhile(&world, |fleet| async move {
        fleet.start(permit(), &cluster("web"), Plan::Restart).await.unwrap();
    });
    let error = block_on(world.fleet.start(permit(), &cluster("web"), Plan::Upgrade)).unwrap_err();
    assert!(matches!(error, OperationError::Running { running } if running.plan == Plan::Restart));
    assert_eq!(world.keys("/commissaire/cluster/"), ["/commissaire/cluster/web/restart"]);
}

/// A cluster that is changed while a host joins keeps both.
#[test]
fn no_change_is_lost() {
    let world = World::new();
    world.make_cluster("web", "");
    world.add("a", host("key", "active")).unwrap();
    meanwhile(&world, |fleet| async move {
        let new = NewCluster { container_manager: "t".into(), ..NewCluster::default() };
        fleet.put_cluster(permit(), &cluster("web"), &new, Expected::Anything).await.unwrap();
    });
    world.make_manager("t", "trivial");
    // The manager is made before the host joins, so the rival came before that.
    world.join("web", "a").unwrap();
    assert_eq!(world.roster("web").view.cluster.container_manager, "t");
    assert_eq!(world.status("a"), "active");
    world.assert_consistent();
}

/// Who has seen a cluster's settings changes those, also while a host joins, and nobody else's.
#[test]
fn settings_are_changed_as_they_were_seen() {
    let world = World::new();
    world.make_manager("t", "trivial");
    world.make_cluster("web", "");
    let seen = ExpectedSettings::Are(world.roster("web").view.settings());
    let new = NewCluster { container_manager: "t".into(), ..NewCluster::default() };
    let put = || block_on(world.fleet.put_cluster_of_what_is_there(permit(), &cluster("web"), &new, &seen));
    meanwhile(&world, |fleet| async move {
        fleet.add_host(permit(), address("a"), host_in("web", "active")).await.unwrap();
    });
    assert_eq!(put().unwrap().is.cluster.container_manager, "t");
    assert_eq!(world.members("web"), ["a"]);
    assert!(matches!(put(), Err(ClusterError::Changed { .. })));
    world.assert_consistent();
}

/// What a cluster is to have is there when the cluster is written, and not only when it was looked for.
#[test]
fn nothing_that_is_deleted_meanwhile_is_named() {
    let world = World::new();
    let network = |name: &str| {
        let (kind, options) = (fleet::NetworkKind::default(), fleet::Options::default());
        fleet::Network { name: name.parse().unwrap(), kind, options }
    };
    block_on(world.fleet.put_network(permit(), network("n"), Expected::Anything)).unwrap();
    world.make_manager("t", "trivial");
    world.make_cluster("web", "");
    let new = NewCluster { network: "n".into(), container_manager: "t".into() };
    let put = || {
        let name = cluster("web");
        block_on(world.fleet.put_cluster_of_what_is_there(permit(), &name, &new, &ExpectedSettings::Anything))
    };
    meanwhile(&world, |fleet| async move {
        fleet.delete_container_manager(permit(), &"t".parse().unwrap(), Expected::Anything).await.unwrap();
    });
    assert!(matches!(put(), Err(ClusterError::NoSuchContainerManager { manager }) if manager == "t"));
    world.make_manager("t", "trivial");
    meanwhile(&world, |fleet| async move {
        fleet.delete_network(permit(), &"n".parse().unwrap(), Expected::Anything).await.unwrap();
    });
    assert!(matches!(put(), Err(ClusterError::NoSuchNetwork { network }) if network == "n"));
    let is = world.roster("web").view.cluster;
    assert_eq!((is.network.as_str(), is.container_manager.as_str()), ("default", ""));

    block_on(world.fleet.put_network(permit(), network("n"), Expected::Anything)).unwrap();
    world.add("a", host_in("web", "active")).unwrap();
    let done = put().unwrap();
    assert_eq!((done.is.version, done.is.counts().total, done.is_new), (done.version, 1, false));
    assert_eq!(done.is, world.roster("web").view);
    world.assert_consistent();
}

/// What a cluster begins to use is not deleted in that very moment, whichever interface the cluster was put through.
#[test]
fn nothing_is_deleted_that_a_cluster_begins_to_use_meanwhile() {
    for is_checked in [false, true] {
        let world = World::new();
        let (kind, options) = (fleet::NetworkKind::default(), fleet::Options::default());
        let network = fleet::Network { name: "n".parse().unwrap(), kind, options };
        block_on(world.fleet.put_network(permit(), network, Expected::Anything)).unwrap();
        world.make_manager("t", "trivial");
        world.make_cluster("web", "");
        let put = |new: NewCluster| {
            move |fleet: Fleet| async move {
                let (web, anything) = (cluster("web"), Expected::Anything);
                if is_checked {
                    let anything = ExpectedSettings::Anything;
                    fleet.put_cluster_of_what_is_there(permit(), &web, &new, &anything).await.unwrap();
                } else {
                    fleet.put_cluster(permit(), &web, &new, anything).await.unwrap();
                }
            }
        };
        meanwhile(&world, put(NewCluster { network: "n".into(), ..NewCluster::default() }));
        let name = "n".parse().unwrap();
        let refused = block_on(world.fleet.delete_network(permit(), &name, Expected::Anything)).unwrap_err();
        assert_eq!(refused.to_string(), "the network `n` is in use by the cluster `web`");
        meanwhile(&world, put(NewCluster { container_manager: "t".into(), ..NewCluster::default() }));
        let name = "t".parse().unwrap();
        let refused = block_on(world.fleet.delete_container_manager(permit(), &name, Expected::Anything));
        let refused = refused.unwrap_err().to_string();
        assert_eq!(refused, "the container manager `t` is in use by the cluster `web`");
        // Of the network it has let go.
        block_on(world.fleet.delete_network(permit(), &"n".parse().unwrap(), Expected::Anything)).unwrap();
    }
}

/// Who is overtaken at the first group of hosts and again at a later one gets its turn both times.
#[test]
fn being_overtaken_twice_is_no_harm() {
    let world = World::new();
    world.make_cluster("web", "");
    let names: Vec<String> = (0..40).map(|number| format!("h{number}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    for text in &hosts {
        world.add(text, host("key", "active")).unwrap();
    }
    for (old, new) in [(&[][..], &hosts[..]), (&hosts[..], &[])] {
        for _ in 0..4 {
            let store = Arc::clone(&world.memory);
            // Every other commit of the four conflicts.
            world.memory.before_next_commit(async move { store.conflict_next_commits(1) });
            world.memory.before_next_commit(async {});
        }
        world.replace("web", old, new).unwrap();
        assert_eq!(world.members("web").len(), new.len());
    }

    world.replace("web", &[], &hosts).unwrap();
    for _ in 0..4 {
        let store = Arc::clone(&world.memory);
        world.memory.before_next_commit(async move { store.conflict_next_commits(1) });
        world.memory.before_next_commit(async {});
    }
    block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything)).unwrap();
    world.assert_consistent();
}

#[test]
fn whoever_is_always_overtaken_is_told_so_in_the_end() {
    let world = World::new();
    world.memory.conflict_next_commits(63);
    assert!(world.add("a", host("key", "")).is_ok());
    world.memory.conflict_next_commits(64);
    let error = world.add("b", host("key", "")).unwrap_err();
    assert_eq!(base::Explain::kind(&error), Kind::Unavailable);
    world.memory.conflict_next_commits(0);
    assert!(world.host("b").is_none());
}

/// Many threads of two processes join, leave, add and delete; what is counted is what is there.
#[test]
fn a_crowd_leaves_everything_in_order() {
    for world in [World::new(), World::on_sqlite()] {
        world.make_cluster("web", "");
        world.make_cluster("db", "");
        let world = Arc::new(world);
        let other = world.another();
        std::thread::scope(|threads| {
            for thread in 0..8 {
                let fleet = if thread % 2 == 0 { &world.fleet } else { &other };
                threads.spawn(move || {
                    block_on(async {
                        for number in 0..30 {
                            let text = address(&format!("h{}", (thread * 7 + number) % 40));
                            let name = cluster(if number % 3 == 0 { "web" } else { "db" });
                            let _ = fleet.add_host(permit(), text.clone(), host_in("web", "active")).await;
                            let _ = fleet.join(permit(), &name, &text).await;
                            if number % 2 == 0 {
                                let _ = fleet.leave(permit(), &cluster("web"), &text).await;
                            }
                            if number % 5 == 0 {
                                let _ = fleet.delete_host(permit(), &text, Expected::Anything).await;
                            }
                        }
                    });
                });
            }
        });
        world.assert_consistent();
        assert!(world.members("web").len() + world.members("db").len() > 0);
    }
}

/// Everybody who joins at the same time does join: nobody waits in vain.
#[test]
fn a_hundred_join_at_once() {
    for world in [World::new(), World::on_sqlite()] {
        world.make_cluster("web", "");
        for number in 0..100 {
            world.add(&format!("h{number}"), host("key", "active")).unwrap();
        }
        let joins = (0..100).map(|number| {
            let fleet = &world.fleet;
            async move { fleet.join(permit(), &cluster("web"), &address(&format!("h{number}"))).await }
        });
        for joined in block_on(join_all(joins)) {
            assert!(joined.unwrap());
        }
        assert_eq!(world.health("web"), (100, 100, 0, "ok"));
        world.assert_consistent();
    }
}

#[test]
fn two_delete_the_same_large_cluster() {
    let world = World::new();
    world.make_cluster("web", "");
    for number in 0..30 {
        world.add(&format!("h{number}"), host_in("web", "active")).unwrap();
    }
    world.memory.before_next_commit(async {});
    // The later one sees it to its end, and finds none.
    meanwhile(&world, |fleet| async move {
        let told = fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything).await;
        assert!(matches!(told, Err(ClusterError::NoSuchCluster { .. })), "{told:?}");
        assert!(fleet.cluster(permit(), &cluster("web")).await.is_err());
    });
    block_on(world.fleet.delete_cluster(permit(), &cluster("web"), Expected::Anything)).unwrap();
    world.assert_consistent();
}

/// Who was overtaken again and again is not overtaken by newcomers of the same process any more.
#[test]
fn newcomers_wait_for_who_was_overtaken_too_often() {
    const OVERTAKEN: usize = 8;
    let world = World::new();
    world.make_cluster("web", "");
    world.add("first", host("key", "active")).unwrap();
    world.add("second", host("key", "active")).unwrap();
    world.memory.conflict_next_commits(OVERTAKEN);
    for _ in 0..OVERTAKEN {
        world.memory.before_next_commit(async {});
    }
    // Time enough for the other to come in between.
    let mut turns = 100;
    world.memory.before_next_commit(poll_fn(move |context| {
        turns -= 1;
        context.waker().wake_by_ref();
        if turns == 0 { Poll::Ready(()) } else { Poll::Pending }
    }));
    let joined = block_on(join_all(["first", "second"].map(|host| {
        let world = &world;
        async move { world.fleet.join(permit(), &cluster("web"), &address(host)).await.unwrap() }
    })));
    assert_eq!(joined, [true, true]);
    let at = |host: &str| block_on(world.fleet.host(permit(), &address(host))).unwrap().version;
    assert!(at("first") < at("second"));
}
