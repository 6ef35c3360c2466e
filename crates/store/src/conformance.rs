//! What every engine has to do, as one suite. An engine that passes can stand in for any other.
//!
//! It needs no particular executor: what happens at once are futures polled side by side.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use crate::{
    BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, Change, CommitError, Engine, Error, Expect, KEY_BYTES_MAX,
    Key, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, Prefix, Revision, VALUE_BYTES_MAX, Version, WatchError,
};

mod fencing;
mod snapshots;
mod watching;

/// One case: given an empty store, it panics unless the store does as the case is named.
pub type Case = fn(Arc<dyn Engine>) -> BoxFuture<'static, ()>;

/// All cases and what they show.
pub const CASES: &[(&str, Case)] = &[
    ("what was put is got", |store| what_was_put_is_got(store).boxed()),
    ("a version is never given twice", |store| a_version_is_never_given_twice(store).boxed()),
    ("a batch is all or nothing", |store| a_batch_is_all_or_nothing(store).boxed()),
    ("what is expected must be so", |store| what_is_expected_must_be_so(store).boxed()),
    ("the revision is that of the last change", |store| {
        the_revision_is_that_of_the_last_change(store).boxed()
    }),
    ("an empty batch only checks", |store| an_empty_batch_only_checks(store).boxed()),
    ("prefixes are bytes", |store| prefixes_are_bytes(store).boxed()),
    ("pages follow each other", |store| pages_follow_each_other(store).boxed()),
    ("pages are bounded", |store| pages_are_bounded(store).boxed()),
    ("paging and writing go together", |store| paging_and_writing_go_together(store).boxed()),
    ("limits are what they say", |store| limits_are_what_they_say(store).boxed()),
    ("no increment is lost", |store| no_increment_is_lost(store).boxed()),
    ("watching tells everything in order", |store| {
        watching::watching_tells_everything_in_order(store).boxed()
    }),
    ("a watcher is woken", |store| watching::a_watcher_is_woken(store).boxed()),
    ("old changes are forgotten", |store| watching::old_changes_are_forgotten(store).boxed()),
    ("watching from a listing misses nothing", |store| {
        watching::watching_from_a_listing_misses_nothing(store).boxed()
    }),
    ("a snapshot does not move", |store| snapshots::a_snapshot_does_not_move(store).boxed()),
    ("a lost claim commits nothing", |store| fencing::a_lost_claim_commits_nothing(store).boxed()),
    ("what is closed says so", |store| what_is_closed_says_so(store).boxed()),
];

/// Runs all cases, each on a store that `open` gives it and that nobody has written to.
pub async fn conformance(open: impl AsyncFn() -> Arc<dyn Engine>) {
    for (name, case) in CASES {
        tracing::debug!(name, "conformance case begun");
        let store = open().await;
        case(Arc::clone(&store)).await;
        store.close().await.unwrap_or_else(|error| panic!("{name}: closing failed: {error}"));
    }
}

fn key(text: impl Into<String>) -> Key {
    Key::new(text).expect("the cases have fair keys")
}

fn prefix(text: &str) -> Prefix {
    Prefix::new(text).expect("the cases have fair prefixes")
}

fn puts<'a>(keys: impl IntoIterator<Item = &'a str>) -> Batch {
    let mut batch = Batch::new();
    for text in keys {
        batch.put(key(text), text.to_owned());
    }
    batch
}

async fn commit(store: &Arc<dyn Engine>, batch: Batch) -> Revision {
    store.commit(batch).await.expect("nothing stands against this batch")
}

async fn put(store: &Arc<dyn Engine>, text: &str) -> Revision {
    commit(store, puts([text])).await
}

async fn delete(store: &Arc<dyn Engine>, text: &str) -> Revision {
    let mut batch = Batch::new();
    batch.delete(key(text));
    commit(store, batch).await
}

/// The value and version of a key.
async fn get(store: &Arc<dyn Engine>, text: &str) -> Option<(Vec<u8>, Version)> {
    let found = store.get(&key(text)).await.expect("the store can be read");
    found.map(|versioned| (versioned.value.to_vec(), versioned.version))
}

/// All keys under a prefix, from pages of `limit`; and the revision of the first page.
async fn keys(store: &Arc<dyn Engine>, under: &str, limit: usize) -> (Vec<String>, Revision) {
    let prefix = prefix(under);
    let mut keys = Vec::new();
    let mut next = Some(Page::first(limit));
    let mut revision = None;
    while let Some(page) = next {
        let listing = store.list(&prefix, page).await.expect("the store can be read");
        assert!(listing.entries.len() <= limit);
        keys.extend(listing.entries.iter().map(|(key, _)| key.to_string()));
        next = listing.next;
        revision.get_or_insert(listing.revision);
    }
    (keys, revision.expect("there is a first page"))
}

async fn next(watch: &mut BoxStream<'_, Result<Change, WatchError>>) -> Change {
    watch.next().await.expect("a watch goes on").expect("the changes are known")
}

async fn what_was_put_is_got(store: Arc<dyn Engine>) {
    assert_eq!(get(&store, "/a").await, None);
    let first = put(&store, "/a").await;
    assert!(first > Revision(0));
    assert_eq!(get(&store, "/a").await, Some((b"/a".to_vec(), Version(first))));

    let mut batch = Batch::new();
    batch.put(key("/a"), vec![0, 255, 0]).put(key("/empty"), "");
    let second = commit(&store, batch).await;
    assert!(second > first);
    assert_eq!(get(&store, "/a").await, Some((vec![0, 255, 0], Version(second))));
    assert_eq!(get(&store, "/empty").await, Some((vec![], Version(second))));

    delete(&store, "/a").await;
    delete(&store, "/never").await;
    assert_eq!(get(&store, "/a").await, None);
    assert_eq!(get(&store, "/A").await, None);
    assert_eq!(get(&store, "/empty").await, Some((vec![], Version(second))));
}

async fn a_version_is_never_given_twice(store: Arc<dyn Engine>) {
    let mut versions = BTreeSet::new();
    for _ in 0..5 {
        put(&store, "/a").await;
        let (_, version) = get(&store, "/a").await.expect("it was put");
        assert!(versions.last().is_none_or(|last| *last < version) && versions.insert(version));
        delete(&store, "/a").await;
    }
    // An old version is not believed after the key came back with the same value.
    put(&store, "/a").await;
    let mut batch = Batch::new();
    batch.expect(key("/a"), Expect::At(*versions.first().expect("five were seen"))).delete(key("/a"));
    assert!(matches!(store.commit(batch).await, Err(CommitError::Conflict { .. })));
}

async fn a_batch_is_all_or_nothing(store: Arc<dyn Engine>) {
    put(&store, "/old").await;
    let mut batch = puts(["/a", "/b", "/c"]);
    batch.delete(key("/old"));
    let mut refused = batch.clone();
    refused.expect(key("/old"), Expect::Absent);

    let error = store.commit(refused).await.expect_err("it expects what is not so");
    assert!(matches!(error, CommitError::Conflict { key } if key.as_str() == "/old"));
    assert_eq!(keys(&store, "", 10).await.0, ["/old"]);

    // Nor when what is not so is seen only as it is written, with others on their way at the same time.
    let creating = |texts: &[&str]| {
        let mut batch = Batch::new();
        for text in texts {
            batch.expect(key(*text), Expect::Absent).put(key(*text), "");
        }
        batch
    };
    let (first, refused, last) = futures_util::join!(
        store.commit(creating(&["/first"])),
        store.commit(creating(&["/never", "/old"])),
        store.commit(creating(&["/last"])),
    );
    assert!(matches!(refused, Err(CommitError::Conflict { key }) if key.as_str() == "/old"));
    assert!(first.is_ok() && last.is_ok());
    assert_eq!(keys(&store, "", 10).await.0, ["/first", "/last", "/old"]);
    delete(&store, "/first").await;
    delete(&store, "/last").await;

    let revision = commit(&store, batch).await;
    assert_eq!(keys(&store, "", 10).await, (vec!["/a".into(), "/b".into(), "/c".into()], revision));
    for text in ["/a", "/b", "/c"] {
        assert_eq!(get(&store, text).await.map(|(_, version)| version), Some(Version(revision)));
    }
}

async fn what_is_expected_must_be_so(store: Arc<dyn Engine>) {
    let never = Version(Revision(u64::from(u32::MAX)));
    let old = Version(put(&store, "/there").await);
    let now = Version(put(&store, "/there").await);
    put(&store, "/gone").await;
    let gone = Version(delete(&store, "/gone").await);
    for (text, expectation, holds) in [
        ("/there", Expect::At(now), true),
        ("/there", Expect::At(old), false),
        ("/there", Expect::At(never), false),
        ("/there", Expect::Absent, false),
        ("/gone", Expect::Absent, true),
        ("/gone", Expect::At(gone), false),
        ("/never", Expect::Absent, true),
        ("/never", Expect::At(never), false),
        ("/never", Expect::At(Version(Revision(0))), false),
    ] {
        // One that is so before it and one behind it: each of them counts.
        let mut batch = Batch::new();
        batch.expect(key("/there"), Expect::At(now)).expect(key(text), expectation);
        batch.expect(key("/other"), Expect::Absent).put(key("/done"), "");
        match store.commit(batch).await {
            Ok(_) => assert!(holds, "{text} {expectation:?}"),
            Err(CommitError::Conflict { key }) => {
                assert!(!holds && key.as_str() == text, "{text} {expectation:?}")
            }
            Err(error) => panic!("{text} {expectation:?}: {error}"),
        }
        assert_eq!(get(&store, "/done").await.is_some(), holds);
        delete(&store, "/done").await;
    }
}

async fn the_revision_is_that_of_the_last_change(store: Arc<dyn Engine>) {
    let revision = async || store.revision().await.expect("nobody has closed it");
    let mut before = revision().await;
    for text in ["/a", "/b", "/a"] {
        let put = put(&store, text).await;
        assert_eq!(revision().await, put);
        assert!(put > before);
        assert_eq!(keys(&store, "", 9).await.1, put);
        before = put;
    }
    let deleted = delete(&store, "/a").await;
    assert_eq!(revision().await, deleted);
    let mut refused = puts(["/c"]);
    refused.expect(key("/b"), Expect::Absent);
    assert!(store.commit(refused).await.is_err());
    assert_eq!(revision().await, deleted);

    // Whoever is told of a commit finds it, with many at once, and nobody is told of less than before.
    let texts: Vec<String> = (0..20).map(|n| format!("/many/{n}")).collect();
    let tell = async |text: &String| {
        let put = put(&store, text).await;
        let seen = revision().await;
        assert!(seen >= put);
        assert!(revision().await >= seen);
        seen
    };
    let seen = join_all(texts.iter().map(tell)).await;
    assert!(seen.into_iter().all(|seen| seen > deleted));
}

async fn an_empty_batch_only_checks(store: Arc<dyn Engine>) {
    assert_eq!(commit(&store, Batch::new()).await, Revision(0));
    let revision = put(&store, "/a").await;
    let mut batch = Batch::new();
    batch.expect(key("/a"), Expect::At(Version(revision)));
    assert_eq!(commit(&store, batch.clone()).await, revision);
    assert_eq!(commit(&store, Batch::new()).await, revision);
    batch.expect(key("/b"), Expect::At(Version(revision)));
    assert!(matches!(store.commit(batch).await, Err(CommitError::Conflict { key }) if key.as_str() == "/b"));
}

async fn prefixes_are_bytes(store: Arc<dyn Engine>) {
    let mut all = [
        "/",
        "/a",
        "/a%",
        "/a%b",
        "/a/",
        "/a/1",
        "/a/1/2",
        "/a/10",
        "/a/2",
        "/aB",
        "/a_",
        "/a_b",
        "/ab",
        "/b",
        "/A",
        "/z",
        "/é",
        "/é/1",
        "/ÿ",
        "/\u{d7ff}",
        "/\u{e000}",
        "/\u{ffff}",
        "/\u{ffff}a",
        "/\u{10ffff}",
        "/\u{10ffff}a",
        "/\u{10ffff}\u{10ffff}",
    ];
    commit(&store, puts(all)).await;
    all.sort_unstable_by_key(|text| text.as_bytes());
    let mut prefixes =
        vec!["", "/", "/a/x", "/\u{e9}", "/c", "/zz", "/\u{10fffe}", "/\u{10ffff}\u{10ffff}\u{10ffff}"];
    prefixes.extend(all);
    for under in prefixes {
        let expected: Vec<&str> = all.iter().copied().filter(|text| text.starts_with(under)).collect();
        for limit in [1, 2, PAGE_ENTRIES_MAX] {
            assert_eq!(keys(&store, under, limit).await.0, expected, "under {under:?}, {limit} at a time");
        }
    }
    // A page may begin anywhere: before the prefix, in it at a key that does not exist, behind it.
    for (after, expected) in [
        ("/", &["/a/", "/a/1", "/a/1/2", "/a/10", "/a/2"][..]),
        ("/a/", &["/a/1", "/a/1/2", "/a/10", "/a/2"]),
        ("/a/1/3", &["/a/10", "/a/2"]),
        ("/a/2", &[]),
        ("/ab", &[]),
        ("/\u{10ffff}", &[]),
    ] {
        let page = Page { after: Some(key(after)), limit: 100 };
        let listing = store.list(&prefix("/a/"), page).await.expect("the store can be read");
        let found: Vec<&str> = listing.entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!((&found[..], listing.next.is_none()), (expected, true), "after {after}");
    }
}

/// Fills `under` with `n` records; gives their keys.
async fn fill(store: &Arc<dyn Engine>, under: &str, n: usize) -> Vec<String> {
    let names: Vec<String> = (0..n).map(|number| format!("{under}{number:05}")).collect();
    for hundred in names.chunks(BATCH_OPERATIONS_MAX) {
        commit(store, puts(hundred.iter().map(String::as_str))).await;
    }
    names
}

async fn pages_follow_each_other(store: Arc<dyn Engine>) {
    fill(&store, "/a/", 10).await;
    let names = fill(&store, "/b/", 1_050).await;
    fill(&store, "/c/", 10).await;
    for limit in [7, 50, 525, 999, 1_000] {
        assert_eq!(keys(&store, "/b/", limit).await.0, names, "{limit} at a time");
    }
    // The last page is known to be the last, even when it is full.
    let page = Page { after: Some(key(&names[1_039])), limit: 10 };
    let listing = store.list(&prefix("/b/"), page).await.expect("the store can be read");
    assert_eq!((listing.entries.len(), listing.next.is_none()), (10, true));
}

async fn pages_are_bounded(store: Arc<dyn Engine>) {
    fill(&store, "/many/", PAGE_ENTRIES_MAX + 1).await;
    for (limit, entries) in [(0, 1), (1, 1), (usize::MAX, PAGE_ENTRIES_MAX)] {
        let listing = store.list(&prefix("/many/"), Page::first(limit)).await.expect("the store can be read");
        assert_eq!((listing.entries.len(), listing.next.is_some()), (entries, true), "limit {limit}");
    }
    let large = PAGE_BYTES_MAX / VALUE_BYTES_MAX + 2;
    for number in 0..large {
        let mut batch = Batch::new();
        batch.put(key(format!("/large/{number:02}")), vec![b'x'; VALUE_BYTES_MAX]);
        commit(&store, batch).await;
    }
    let listing = store.list(&prefix("/large/"), Page::full()).await.expect("the store can be read");
    assert!(listing.entries.len() < large && listing.next.is_some());
    assert_eq!(keys(&store, "/large/", 1_000).await.0.len(), large);
}

async fn paging_and_writing_go_together(store: Arc<dyn Engine>) {
    let before = fill(&store, "/p/", 600).await;
    let writing = async {
        for number in 0..300 {
            // Now behind, now before the place that paging has reached.
            let place = number * 7 % 600;
            put(&store, &format!("/p/{place:05}+{number}")).await;
        }
    };
    let paging = async {
        let mut rounds = Vec::new();
        for _ in 0..5 {
            rounds.push(keys(&store, "/p/", 50).await.0);
        }
        rounds
    };
    let ((), rounds) = futures_util::join!(writing, paging);
    for round in rounds {
        assert!(round.is_sorted_by(|a, b| a < b), "ordered, none twice");
        let found: BTreeSet<&String> = round.iter().collect();
        assert!(
            before.iter().all(|name| found.contains(name)),
            "none of what was there all the time is missing"
        );
    }
    assert_eq!(keys(&store, "/p/", 50).await.0.len(), 900);
}

async fn limits_are_what_they_say(store: Arc<dyn Engine>) {
    async fn check(store: &Arc<dyn Engine>, what: &str, batch: Batch, fits: bool) {
        match store.commit(batch).await {
            Ok(_) => assert!(fits, "{what}"),
            Err(CommitError::TooLarge { .. }) => assert!(!fits, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
    }
    fn numbered(n: usize) -> Batch {
        let mut batch = Batch::new();
        for number in 0..n {
            batch.put(key(format!("/{number}")), "").expect(key(format!("/not/{number}")), Expect::Absent);
        }
        batch
    }
    fn sized(sizes: &[usize]) -> Batch {
        let mut batch = Batch::new();
        for (number, size) in sizes.iter().enumerate() {
            batch.put(key(format!("/{number}")), vec![b'x'; *size]);
        }
        batch
    }
    check(&store, "100 operations", numbered(BATCH_OPERATIONS_MAX), true).await;
    check(&store, "101 operations", numbered(BATCH_OPERATIONS_MAX + 1), false).await;
    let mut expectations = Batch::new();
    for number in 0..=BATCH_OPERATIONS_MAX {
        expectations.expect(key(format!("/not/{number}")), Expect::Absent);
    }
    check(&store, "101 expectations", expectations, false).await;

    check(&store, "512 KiB", sized(&[VALUE_BYTES_MAX]), true).await;
    check(&store, "512 KiB and a byte", sized(&[VALUE_BYTES_MAX + 1]), false).await;
    // The keys `/0`, `/1` and `/2` have two bytes each.
    let rest = BATCH_BYTES_MAX - VALUE_BYTES_MAX - 500_000 - 6;
    check(&store, "1 MiB", sized(&[VALUE_BYTES_MAX, 500_000, rest]), true).await;
    check(&store, "1 MiB and a byte", sized(&[VALUE_BYTES_MAX, 500_000, rest + 1]), false).await;

    let longest = format!("/{}", "k".repeat(KEY_BYTES_MAX - 1));
    put(&store, &longest).await;
    assert_eq!(get(&store, &longest).await.map(|(value, _)| value.len()), Some(KEY_BYTES_MAX));
    assert_eq!(keys(&store, &longest, 1).await.0, [longest]);

    let mut twice = puts(["/0", "/1"]);
    twice.delete(key("/0"));
    assert!(matches!(store.commit(twice).await, Err(CommitError::Twice { key }) if key.as_str() == "/0"));
    assert_eq!(get(&store, "/2").await.map(|(value, _)| value.len()), Some(rest), "nothing refused was done");
}

async fn no_increment_is_lost(store: Arc<dyn Engine>) {
    const WRITERS: usize = 8;
    const INCREMENTS: usize = 25;
    let counter = key("/counter");
    let increment = async || {
        loop {
            let found = store.get(&counter).await.expect("the store can be read");
            let mut batch = Batch::new();
            let count = match &found {
                Some(found) => {
                    batch.expect(counter.clone(), Expect::At(found.version));
                    std::str::from_utf8(&found.value)
                        .ok()
                        .and_then(|text| text.parse().ok())
                        .expect("a number")
                }
                None => {
                    batch.expect(counter.clone(), Expect::Absent);
                    0
                }
            };
            batch.put(counter.clone(), (count + 1_usize).to_string());
            match store.commit(batch).await {
                Ok(_) => return,
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let writer = async |_| {
        for _ in 0..INCREMENTS {
            increment().await;
        }
    };
    join_all((0..WRITERS).map(writer)).await;
    let (value, _) = get(&store, "/counter").await.expect("it was counted");
    assert_eq!(value, (WRITERS * INCREMENTS).to_string().into_bytes());
}

async fn what_is_closed_says_so(store: Arc<dyn Engine>) {
    let revision = put(&store, "/a").await;
    let mut caught_up = store.watch(Prefix::default(), revision);
    let mut behind = store.watch(Prefix::default(), Revision(0));
    // What was called for before is done before.
    let queued = join_all((0..20).map(|number| {
        let store = Arc::clone(&store);
        async move { put(&store, &format!("/queued/{number}")).await }
    }));
    let (queued, closed) = futures_util::join!(queued, store.close());
    assert_eq!(queued.len(), 20);
    closed.expect("a store can be closed");
    store.close().await.expect("closing again is nothing");

    assert!(matches!(store.get(&key("/a")).await, Err(Error::Closed)));
    assert!(matches!(store.list(&prefix(""), Page::full()).await, Err(Error::Closed)));
    assert!(matches!(store.revision().await, Err(Error::Closed)));
    assert!(matches!(store.commit(puts(["/b"])).await, Err(CommitError::Store(Error::Closed))));
    for (watch, changes) in [(&mut caught_up, 20), (&mut behind, 21)] {
        for _ in 0..changes {
            next(watch).await;
        }
        assert!(matches!(watch.next().await, Some(Err(WatchError::Store(Error::Closed)))));
        assert!(watch.next().await.is_none());
    }
}
