//! Looks at one moment.

use std::sync::Arc;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::{commit, delete, fill, key, prefix, put};
use crate::{
    Batch, CommitError, Engine, Error, Key, Loaded, Page, Prefix, Record, SNAPSHOTS_MAX, Snapshot, Still,
    Table, Versioned,
};

/// All of `snapshot` under `under`, from pages of `limit`.
async fn all(snapshot: &Arc<dyn Snapshot>, under: &Prefix, limit: usize) -> Vec<(Key, Versioned)> {
    let (mut all, mut next) = (Vec::new(), Some(Page::first(limit)));
    while let Some(page) = next {
        let listing = snapshot.list(under, page).await.expect("the snapshot can be read");
        assert_eq!(listing.revision, snapshot.revision());
        all.extend(listing.entries);
        next = listing.next;
    }
    all
}

async fn snapshot(store: &Arc<dyn Engine>) -> Arc<dyn Snapshot> {
    store.snapshot().await.expect("there are few")
}

pub(super) async fn a_snapshot_does_not_move(store: Arc<dyn Engine>) {
    let empty = snapshot(&store).await;
    let names = fill(&store, "/p/", 300).await;
    put(&store, "/q").await;
    let last = put(&store, "/p/twice").await;
    let then = snapshot(&store).await;
    assert_eq!(then.revision(), last);
    let under = prefix("/p/");
    let before = all(&then, &under, 1_000).await;
    assert_eq!(before.len(), 301);

    // Others overwrite, delete and put, behind and before the place that the reading has reached.
    let writers = async |writer: usize| {
        for (number, name) in names.iter().enumerate().filter(|(number, _)| number % 4 == writer) {
            if number % 3 == 0 {
                delete(&store, name).await;
            } else {
                let mut batch = Batch::new();
                batch.put(key(name), "other").put(key(format!("{name}+")), "new");
                commit(&store, batch).await;
            }
        }
    };
    let reader = async {
        for _ in 0..3 {
            assert!(all(&then, &under, 7).await == before, "every page is of the same moment");
        }
    };
    futures_util::join!(join_all((0..4).map(writers)), reader);
    delete(&store, "/q").await;

    assert!(all(&then, &under, 50).await == before);
    for (name, versioned) in &before {
        assert!(then.get(name).await.expect("the snapshot can be read").as_ref() == Some(versioned));
    }
    assert!(then.get(&key("/q")).await.expect("the snapshot can be read").is_some());
    assert!(then.get(&key(format!("{}+", names[1]))).await.expect("the snapshot can be read").is_none());
    assert!(all(&empty, &Prefix::default(), 10).await.is_empty());
    // One behind the end of what is asked for.
    let page = Page { after: Some(key("/q")), limit: 1 };
    let listing = then.list(&under, page).await.expect("the snapshot can be read");
    assert!(listing.entries.is_empty() && listing.next.is_none() && listing.revision == last);

    let now = snapshot(&store).await;
    assert!(now.revision() > then.revision());
    assert_eq!(all(&now, &under, 1_000).await.len(), 1 + 2 * 200);

    tables_read_through(&store).await;
}

#[derive(Serialize, Deserialize)]
struct Number(u32);

impl Record for Number {
    const VERSION: u32 = 1;
}

async fn tables_read_through(store: &Arc<dyn Engine>) {
    let numbers = Table::<Number>::new(Arc::clone(store), "/numbers/").expect("a fair prefix");
    let mut batch = Batch::new();
    numbers.create(&mut batch, "one", &Number(1)).expect("a fair key");
    commit(store, batch).await;
    let still = Still::of(snapshot(store).await);
    let mut batch = Batch::new();
    numbers.put(&mut batch, "one", &Number(2)).expect("a fair key");
    let revision = commit(store, batch.clone()).await;

    let then = Table::<Number>::new(Arc::clone(&still), "/numbers/").expect("a fair prefix");
    let record = |found: Option<Loaded<Number>>| found.map(|loaded| loaded.record.0);
    assert_eq!(record(then.get("one").await.expect("the snapshot can be read")), Some(1));
    assert_eq!(record(numbers.get("one").await.expect("the store can be read")), Some(2));
    assert!(still.revision().await.expect("nobody closed it") < revision);
    assert!(matches!(still.commit(batch).await, Err(CommitError::Store(Error::ReadOnly))));
}

pub(super) async fn snapshots_are_few_and_end_with_their_store(store: Arc<dyn Engine>) {
    put(&store, "/a").await;
    let mut held = join_all((0..SNAPSHOTS_MAX).map(|_| snapshot(&store))).await;
    assert!(matches!(store.snapshot().await, Err(Error::TooManySnapshots)));
    held.pop();
    // What is let go of makes room, and nothing else is held up.
    held.push(snapshot(&store).await);
    assert!(matches!(store.snapshot().await, Err(Error::TooManySnapshots)));
    put(&store, "/a").await;

    store.close().await.expect("a store can be closed");
    for then in held {
        assert!(matches!(then.get(&key("/a")).await, Err(Error::Closed)));
        assert!(matches!(then.list(&prefix("/"), Page::full()).await, Err(Error::Closed)));
    }
    assert!(matches!(store.snapshot().await, Err(Error::Closed)));
}
