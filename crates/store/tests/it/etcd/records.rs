//! What others see of our records, and we of theirs.

use base::Explain;
use testkit::EtcdPlan;

use super::*;

#[test]
fn records_lie_under_their_own_names() {
    let server = testkit::Etcd::start(1);
    let plain = connect(&settings(&server));
    let mut elsewhere = settings(&server);
    elsewhere.namespace = Prefix::new("/elsewhere").unwrap();
    let apart = connect(&elsewhere);
    let follower = Follower::from_now(&apart);

    let name = "/commissaire/hosts/10.2.0.2";
    put(&plain, name, r#"{"address": "10.2.0.2"}"#).unwrap();
    put(&apart, name, "apart").unwrap();
    let shown = server.etcdctl(&["get", name, "--print-value-only"]);
    assert_eq!(shown.ok(), "{\"address\": \"10.2.0.2\"}\n");
    let shown = server.etcdctl(&["get", &format!("/elsewhere{name}"), "--print-value-only"]);
    assert_eq!(shown.ok(), "apart\n");

    assert_eq!(value(&apart, name).as_deref(), Some("apart"));
    follower.wait_for(name);
    assert_eq!(follower.keys(), [name], "the other's is not told");
    server.etcdctl(&["put", name, "changed by hand"]).ok();
    assert_eq!(value(&plain, name).as_deref(), Some("changed by hand"));
}

#[test]
fn keys_that_ours_cannot_be_like_are_not_seen() {
    let server = testkit::Etcd::start(1);
    let store = connect(&settings(&server));
    let follower = Follower::from_now(&store);
    let long = "k".repeat(1025);
    // Enough of them for a page of nothing else.
    for number in 0..3 {
        server.etcdctl(&["put", &format!("/a{number}{long}"), "x"]).ok();
    }
    put(&store, "/b", "").unwrap();
    put(&store, "/c", "").unwrap();
    let mut page = Some(Page::first(1));
    let mut seen = Vec::new();
    while let Some(wanted) = page {
        let listing = block_on(store.list(&Prefix::default(), wanted)).unwrap();
        seen.extend(listing.entries.into_iter().map(|(key, _)| key.to_string()));
        page = listing.next;
    }
    assert_eq!(seen, ["/b", "/c"]);
    follower.wait_for("/c");
    assert_eq!(follower.keys(), ["/b", "/c"]);
}

/// A page that is asked for again is asked for in the range it had.
#[test]
fn a_page_follows_what_changed_within_it() {
    let server = testkit::Etcd::start(1);
    let (store, other) = (connect(&settings(&server)), connect(&settings(&server)));
    let listed = |prefix: &str, after: Option<&str>| {
        let after = after.map(|key| Key::new(key).unwrap());
        let listing = block_on(store.list(&Prefix::new(prefix).unwrap(), Page { after, limit: 2 })).unwrap();
        let keys: Vec<String> = listing.entries.iter().map(|(key, _)| key.to_string()).collect();
        (keys.join(" "), listing.next.is_some())
    };
    let found = |keys: &str, more| (keys.to_owned(), more);
    for key in ["/a", "/a/1", "/c", "/e", "/g"] {
        put(&store, key, "").unwrap();
    }
    for _ in 0..2 {
        assert_eq!(listed("/", None), found("/a /a/1", true));
        assert_eq!(listed("/", Some("/a")), found("/a/1 /c", true));
        assert_eq!(listed("/a", Some("/a")), found("/a/1", false), "which begins where another one does");
    }
    put(&other, "/b", "").unwrap();
    assert_eq!(listed("/", Some("/a")), found("/a/1 /b", true));
    for key in ["/b", "/c"] {
        let mut batch = Batch::new();
        batch.delete(Key::new(key).unwrap());
        block_on(other.commit(batch)).unwrap();
    }
    assert_eq!(listed("/", Some("/a")), found("/a/1 /e", true));
    let mut batch = Batch::new();
    batch.delete(Key::new("/g").unwrap());
    block_on(other.commit(batch)).unwrap();
    assert_eq!(listed("/", Some("/a")), found("/a/1 /e", false));
    assert_eq!(listed("/", None), found("/a /a/1", true));
}

#[test]
fn a_full_etcd_says_so_and_can_still_be_read() {
    let server = EtcdPlan::new(1).option("--quota-backend-bytes=4000000").start();
    let store = connect(&settings(&server));
    let error = testkit::wait_for("etcd to be full", || put(&store, "/large", vec![b'x'; 400_000]).err());
    assert!(matches!(error, CommitError::Store(Error::Full)), "{error}");
    assert!(error.help().is_some());
    assert_eq!(value(&store, "/large").map(|value| value.len()), Some(400_000));
}

#[test]
fn two_stores_on_one_etcd_see_each_others_changes() {
    let server = testkit::Etcd::start(3);
    let (one, other) = (connect(&settings(&server)), connect(&settings(&server)));
    let follower = Follower::from_now(&other);
    for number in 0..50 {
        let name = format!("/{number:02}");
        let revision = put(&one, &name, "x").unwrap();
        assert_eq!(
            get(&other, &name).unwrap(),
            Some(("x".into(), Version(revision))),
            "what was answered is seen"
        );
    }
    follower.wait_for("/49");
    assert_eq!(follower.keys().len(), 50);
}

#[test]
fn it_serves_callers_inside_another_runtime_and_those_that_give_up() {
    let server = testkit::Etcd::start(1);
    let settings = settings(&server);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Etcd::connect(&settings, Clock::system(), Entropy::system()).await.unwrap();
        for number in 0..50_u64 {
            let mut batch = Batch::new();
            batch.put(key("/a"), number.to_string());
            // Given up at all sorts of moments.
            let pause = std::time::Duration::from_micros(number * 100);
            let _ = tokio::time::timeout(pause, store.commit(batch)).await;
        }
        let mut batch = Batch::new();
        batch.put(key("/a"), "last");
        store.commit(batch).await.unwrap();
        let found = store.get(&key("/a")).await.unwrap().unwrap();
        assert_eq!(&found.value[..], b"last");
        // Dropped without being closed, where waiting is not allowed.
    });
}
