//! Whose a file on a host is, and what is said of it.

use super::*;

/// Whoever was there first keeps a file; who comes later lacks that file, and nothing else.
#[tokio::test]
async fn a_file_is_the_first_requirers() {
    let mut world = World::new(&["h1"]).await;
    let place = |on| Place::Hosts { which: all(), on };
    world.place("web", &place(files(&["/etc/ca.pem"], true))).await;
    world.relate("corp", "web").await;
    world.step().await;
    world.clock.advance(Span::seconds(10));
    // Its name comes first, and it does not.
    world.place("app", &place(files(&["/etc/ca.pem", "/etc/app.pem"], true))).await;
    world.provide("other", 1).await;
    world.relate("other", "app").await;
    world.step().await;
    let owners = |world: &World| world.hosts.files.lock().unwrap()["h1"].clone();
    let expected =
        [("/etc/app.pem", "app"), ("/etc/ca.pem", "web")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(owners(&world), BTreeMap::from(expected));
    assert_eq!((world.reason("web").await, world.states("web").await[0].1), (None, true));
    let reason = world.reason("app").await.unwrap();
    assert!(reason.contains("/etc/ca.pem is there for the requirer `web`"), "{reason}");
    world.require("both", &["corp", "other"], one("nowhere")).await;
    assert_eq!(world.on("h1"), Some(world.hash("both").await), "what both want in the store is there");
    // What it is to have else does not wait until the file is tried again.
    world.offer("other", SetChange::Add([anchor("more")].into())).await;
    world.step().await;
    assert_eq!(world.on("h1"), Some(world.hash("both").await));
    // When the first one leaves, it is the other's at once.
    world.leave("web").await;
    world.step().await;
    assert_eq!(owners(&world)["/etc/ca.pem"], "app");
    assert_eq!(world.reason("app").await, None);
    assert!(world.hosts.dropped.lock().unwrap().is_empty(), "nobody takes away what is another's");
}

/// Who has nothing of what somebody else changed is not told that it was.
#[tokio::test]
async fn what_drifted_is_said_of_those_whose_it_is() {
    let mut world = World::new(&["h1"]).await;
    for (name, on) in [("file", files(&["/etc/a.pem"], false)), ("store", files(&["/etc/b.pem"], true))] {
        world.place(name, &Place::Hosts { which: all(), on }).await;
        world.relate("corp", name).await;
    }
    world.step().await;
    let drifted = async |world: &World, name: &str| {
        let (units, _) = world.trust.units(Permit::house(), &requirer(name), None, 100).await.unwrap();
        units[0].drifted
    };
    let (store, file) = (Drift { store: true, ..Drift::default() }, "/etc/a.pem".to_owned());
    for (drift, expected) in
        [(store, [false, true]), (Drift { store: false, files: [file].into() }, [true, false])]
    {
        world.clock.advance(DRIFT);
        world.hosts.drift.lock().unwrap().insert("h1".to_owned(), drift);
        world.step().await;
        let now = Some(world.clock.now());
        let told = [drifted(&world, "file").await == now, drifted(&world, "store").await == now];
        assert_eq!(told, expected);
    }
}

/// Nobody fails for another one's file; and who adopts what is in the way does not wait for the next attempt.
#[tokio::test]
async fn somebody_elses_file_is_its_requirers_trouble_only() {
    let mut world = World::new(&["h1"]).await;
    world.hosts.theirs.lock().unwrap().insert("/theirs".to_owned());
    let at = |on| Place::Hosts { which: all(), on };
    world.place("web", &at(files(&["/theirs"], false))).await;
    world.place("db", &at(files(&["/db"], false))).await;
    for name in ["web", "db"] {
        world.relate("corp", name).await;
    }
    world.step().await;
    assert_eq!(world.states("db").await, [("h1".to_owned(), true)]);
    assert_eq!(
        (world.states("web").await, world.reason("web").await),
        (vec![("h1".to_owned(), false)], Some("theirs".to_owned()))
    );
    // As long as it is in the way, less and less often.
    for seconds in [5, 10, 20, 40] {
        world.clock.advance(Span::seconds(seconds));
        world.asked();
        world.step().await;
        assert_eq!(world.asked(), 1, "{seconds}");
        world.step().await;
        assert_eq!(world.asked(), 0, "{seconds}");
    }
    let adopted = OnHost { files: vec![FilePlace::new("/theirs").unwrap().adopting()], ..OnHost::default() };
    world.place("web", &at(adopted)).await;
    world.step().await;
    assert_eq!((world.states("web").await, world.reason("web").await), (vec![("h1".to_owned(), true)], None));
}

/// A hook that fails, or Java that is missing, is said of those who asked for it, and nobody else waits for it: not with
/// what comes, and not with what goes.
#[tokio::test]
async fn one_requirers_trouble_on_a_host_is_nobody_elses() {
    let mut world = World::new(&["h1"]).await;
    world.place("hooky", &Place::Hosts { which: all(), on: files(&["/etc/a.pem"], false) }).await;
    world.place("store", &Place::Hosts { which: all(), on: files(&["/etc/b.pem"], true) }).await;
    for name in ["hooky", "store"] {
        world.relate("corp", name).await;
    }
    let hook =
        Trouble { at: Spot::File("/etc/a.pem".into()), said: "its hook failed".into(), may_leave: true };
    world.hosts.trouble.lock().unwrap().insert("h1".to_owned(), hook);
    world.step().await;
    assert_eq!(world.states("hooky").await, [("h1".to_owned(), false)]);
    assert_eq!(world.reason("hooky").await.as_deref(), Some("its hook failed"));
    assert_eq!(world.states("store").await, [("h1".to_owned(), true)]);
    // The pause after many attempts is long: what is wanted anew is tried at once all the same.
    for _ in 0..8 {
        world.clock.advance(Span::seconds(3_600));
        world.step().await;
    }
    world.asked();
    world.step().await;
    assert_eq!(world.asked(), 0);
    world.offer("corp", SetChange::Exactly([anchor("another")].into())).await;
    world.step().await;
    assert_eq!((world.asked(), world.on("h1")), (1, Some(world.hash("store").await)));
    world.step().await;
    assert_eq!(world.asked(), 0, "once");
    // So is what goes; and it has not gone before the hook has run.
    world.leave("hooky").await;
    world.step().await;
    assert_eq!((world.asked(), world.is_known("hooky").await), (1, true));
    world.hosts.trouble.lock().unwrap().clear();
    world.clock.advance(Span::seconds(3_600));
    world.step().await;
    world.step().await;
    assert!(!world.is_known("hooky").await);
}
