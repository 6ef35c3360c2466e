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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use base::Entropy;
    use bus::Heard;
    use store::{Batch, Memory};

    use super::*;
    use crate::tasks::Tasks;

    async fn happen(engine: &Arc<dyn Engine>, what: &str) {
        let event = Event {
            at_milliseconds: 5,
            what: what.into(),
            about: "a test".into(),
            by: "somebody".into(),
            from: None,
            facts: BTreeMap::new(),
        };
        let mut batch = Batch::new();
        let history = History::new(engine.clone()).expect("a fair prefix");
        history.append(&mut batch, &event, &Entropy::system()).expect("a fair event");
        engine.commit(batch).await.expect("the store works");
    }

    /// What was committed before the end is told before the end.
    #[tokio::test]
    async fn all_that_happened_is_told_in_order() {
        let engine: Arc<dyn Engine> = Arc::new(Memory::new());
        happen(&engine, "before").await;
        let from = engine.list(&History::prefix(), store::Page::first(1)).await.expect("a page").revision;
        let (bus, tasks, stop) = (InProcess::new(), Tasks::new(), Stop::new());
        let mut heard = bus.listen();
        happen(&engine, "first").await;
        happen(&engine, "second").await;
        stop.ask();
        tasks.spawn(run(engine.clone(), from, bus.clone(), stop));
        assert!(tasks.drain(Duration::from_secs(5)).await);
        for what in ["first", "second"] {
            let hint = Hint { what: what.into(), about: "a test".into() };
            assert_eq!(heard.next().await, Some(Heard::Hint(hint)));
        }
    }
}
