//! Reads what happened from the history and tells the bus.

use std::sync::Arc;

use bus::{Hint, InProcess};
use futures_util::StreamExt as _;
use store::{Engine, Event, History, Revision, WatchError};

use crate::tasks::Stop;

/// Publishes every event stored after `from`, until `stop` is asked and nothing is left to tell.
pub(crate) async fn run(engine: Arc<dyn Engine>, mut from: Revision, bus: InProcess, stop: Stop) {
    let prefix = History::prefix();
    loop {
        let mut changes = engine.watch(prefix.clone(), from);
        loop {
            let change = tokio::select! {
                // Changes first: when asked to stop, what is known is still told.
                biased;
                change = changes.next() => change,
                () = stop.asked() => return,
            };
            match change {
                Some(Ok(change)) => {
                    if let Some(event) = change.value.and_then(|value| store::decode::<Event>(&value).ok()) {
                        bus.publish(&Hint { what: event.what, about: event.about });
                    }
                }
                Some(Err(WatchError::Compacted)) => {
                    // Too slow for the store's memory: everyone looks at everything.
                    bus.lost();
                    match engine.list(&prefix, store::Page::first(1)).await {
                        Ok(listing) => from = listing.revision,
                        Err(error) => {
                            return tracing::error!(error = %error, "the outbox cannot read the history");
                        }
                    }
                    break;
                }
                Some(Err(WatchError::Store(store::Error::Closed))) | None => return,
                Some(Err(WatchError::Store(error))) => {
                    return tracing::error!(error = %error, "the outbox cannot follow the history");
                }
            }
        }
    }
}
