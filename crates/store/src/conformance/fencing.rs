//! What fences rest on: two processes, one of which was suspended while the other went on with its work.

use std::sync::Arc;

use base::{Span, Timestamp};

use super::{get, key};
use crate::{Batch, Claim, Claims, CommitError, Engine};

const LEASE: Span = Span::seconds(60);

async fn work(store: &Arc<dyn Engine>, claim: &Claim, text: &'static str) -> bool {
    let mut batch = Batch::new();
    claim.expect(&mut batch);
    batch.put(key("/done"), text);
    match store.commit(batch).await {
        Ok(_) => true,
        Err(CommitError::Conflict { .. }) => false,
        Err(error) => panic!("nothing else stands against it: {error}"),
    }
}

pub(super) async fn a_lost_claim_commits_nothing(store: Arc<dyn Engine>) {
    let at = |seconds: i64| Timestamp::from_unix(1_700_000_000 + seconds);
    let claims = Claims::new(Arc::clone(&store)).expect("its prefixes are fair");
    let take = async |holder: &'static str, seconds| {
        claims.take("operation/web", holder, at(seconds), LEASE).await.expect("the store works")
    };
    let suspended = take("suspended", 0).await.expect("it is nobody's");
    let renewed = claims.renew(&suspended, at(1), LEASE).await.expect("the store works");
    let renewed = renewed.expect("it is still its own");
    assert!(work(&store, &suspended, "first").await && work(&store, &renewed, "second").await);
    let other = take("other", 61).await.expect("the lease is over");
    assert!(work(&store, &other, "third").await);
    assert!(!work(&store, &suspended, "late").await && !work(&store, &renewed, "late").await);
    assert_eq!(get(&store, "/done").await.map(|(value, _)| value), Some(b"third".to_vec()));
    claims.release(other.clone()).await.expect("the store works");
    assert!(!work(&store, &other, "after the end").await);
}
