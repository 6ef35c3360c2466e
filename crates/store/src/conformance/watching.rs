//! The cases about watching.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};

use super::{commit, delete, key, keys, next, prefix, put, puts};
use crate::{Batch, Change, Engine, Key, Page, Prefix, Revision, VALUE_BYTES_MAX, WatchError};

/// A change as text: `key=value`, or `-key`.
fn told(change: &Change) -> String {
    match &change.value {
        Some(value) => format!("{}={}", change.key, String::from_utf8_lossy(value)),
        None => format!("-{}", change.key),
    }
}

pub(super) async fn watching_tells_everything_in_order(store: Arc<dyn Engine>) {
    let zero = commit(&store, Batch::new()).await;
    let first = commit(&store, puts(["/w/b", "/other", "/w/a"])).await;
    delete(&store, "/w/never").await;
    let mut batch = Batch::new();
    batch.delete(key("/w/a")).put(key("/w/b"), "2").delete(key("/w/never"));
    let second = commit(&store, batch).await;
    put(&store, "/other").await;
    let third = put(&store, "/w/c").await;

    let all = [
        (first, "/w/b=/w/b"),
        (first, "/w/a=/w/a"),
        (second, "-/w/a"),
        (second, "/w/b=2"),
        (third, "/w/c=/w/c"),
    ];
    for from in [zero, first, second] {
        let mut watch = store.watch(prefix("/w/"), from);
        for (revision, text) in all.into_iter().filter(|(revision, _)| *revision > from) {
            let change = next(&mut watch).await;
            assert_eq!((change.revision, told(&change)), (revision, text.to_owned()), "from {from:?}");
        }
        assert!(watch.next().now_or_never().is_none(), "nothing more has happened");
    }
}

pub(super) async fn a_watcher_is_woken(store: Arc<dyn Engine>) {
    const COMMITS: usize = 200;
    let zero = commit(&store, Batch::new()).await;
    let watcher = async |under: &'static str| {
        let mut watch = store.watch(prefix(under), zero);
        let mut seen = Vec::new();
        while seen.len() < COMMITS {
            seen.push(next(&mut watch).await.key.to_string());
        }
        seen
    };
    let writing = async {
        for number in 0..COMMITS {
            commit(&store, puts([format!("/a/{number:03}").as_str(), format!("/b/{number:03}").as_str()]))
                .await;
        }
    };
    let (a, b, again, ()) = futures_util::join!(watcher("/a/"), watcher("/b/"), watcher("/a/"), writing);
    assert_eq!(a, (0..COMMITS).map(|number| format!("/a/{number:03}")).collect::<Vec<_>>());
    assert_eq!(b, (0..COMMITS).map(|number| format!("/b/{number:03}")).collect::<Vec<_>>());
    assert_eq!(again, a);
}

pub(super) async fn old_changes_are_forgotten(store: Arc<dyn Engine>) {
    let first = put(&store, "/a").await;
    let mut slow = store.watch(Prefix::default(), first);
    // More than any engine has to remember.
    for _ in 0..64 {
        let mut batch = Batch::new();
        batch.put(key("/large"), vec![0; VALUE_BYTES_MAX]);
        commit(&store, batch).await;
    }
    let last = put(&store, "/b").await;
    // Engines may remember more than they have to. What they tell is without a gap, or is refused.
    let mut expected = first.0 + 1;
    let compacted = loop {
        match slow.next().await {
            Some(Ok(change)) => {
                assert_eq!(change.revision.0, expected);
                expected += 1;
                if change.revision == last {
                    break false;
                }
            }
            Some(Err(WatchError::Compacted)) => break true,
            other => panic!("{other:?}"),
        }
    };
    if compacted {
        assert!(slow.next().await.is_none(), "that was the end");
    }
    let (_, now) = keys(&store, "", 10).await;
    let mut fresh = store.watch(Prefix::default(), now);
    put(&store, "/c").await;
    assert_eq!(told(&next(&mut fresh).await), "/c=/c");
}

pub(super) async fn watching_from_a_listing_misses_nothing(store: Arc<dyn Engine>) {
    const WRITERS: usize = 4;
    const COMMITS: usize = 60;
    let writer = async |me: usize| {
        for number in 0..COMMITS {
            let mut batch = Batch::new();
            // Both keys change together, so that a listing or a watch that tears a commit apart shows.
            let value = format!("{number}");
            batch.put(key(format!("/m/{me}/left")), value.clone()).put(key(format!("/m/{me}/right")), value);
            commit(&store, batch).await;
        }
    };
    let under = prefix("/m/");
    let follower = async |pages: usize| {
        // Look again and again, so as to begin in the middle of things.
        let mut mirror = BTreeMap::new();
        let mut revision = Revision(0);
        for _ in 0..pages {
            let listing = store.list(&under, Page::full()).await.expect("the store can be read");
            mirror = listing.entries.into_iter().map(|(key, found)| (key, found.value)).collect();
            assert!(listing.revision >= revision);
            revision = listing.revision;
            assert!(untorn(&mirror), "a listing is of one moment");
        }
        let mut watch = store.watch(under.clone(), revision);
        let done = |mirror: &BTreeMap<Key, bytes::Bytes>| {
            let last = (COMMITS - 1).to_string();
            mirror.len() == 2 * WRITERS && mirror.values().all(|value| value[..] == *last.as_bytes())
        };
        while !done(&mirror) {
            for _ in 0..2 {
                let change = next(&mut watch).await;
                assert!(change.revision >= revision);
                revision = change.revision;
                mirror.insert(change.key, change.value.expect("nothing is deleted here"));
            }
            assert!(untorn(&mirror), "a commit is told whole");
        }
    };
    let writers = join_all((0..WRITERS).map(writer));
    let followers = join_all([1, 5, 20, 50].map(follower));
    futures_util::join!(writers, followers);
}

/// Whether each left value has the same right one.
fn untorn(mirror: &BTreeMap<Key, bytes::Bytes>) -> bool {
    mirror.len().is_multiple_of(2)
        && mirror.values().collect::<Vec<_>>().chunks(2).all(|pair| pair[0] == pair[1])
}
