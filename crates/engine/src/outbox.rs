//! Reads what happened from the history and tells the bus.

use std::sync::Arc;
use std::time::Duration;

use bus::{Hint, InProcess};
use futures_util::StreamExt as _;
use store::{Engine, Event, History, Revision, WatchError};

use crate::tasks::Stop;

/// How long it waits when the store cannot be read, before it tries again.
const PAUSE: Duration = Duration::from_secs(2);

/// Publishes every event stored after `from`, until `stop` is asked and nothing is left to tell, or the store is
/// closed.
pub(crate) async fn run(engine: Arc<dyn Engine>, mut from: Revision, bus: InProcess, stop: Stop) {
    let prefix = History::prefix();
    loop {
        let error = match follow(&engine, &mut from, &bus, &stop).await {
            None | Some(WatchError::Store(store::Error::Closed)) => return,
            // Too slow for the store's memory.
            Some(WatchError::Compacted) => match engine.list(&prefix, store::Page::first(1)).await {
                Ok(listing) => {
                    from = listing.revision;
                    // Everyone looks at everything.
                    bus.lost();
                    continue;
                }
                Err(error) => error,
            },
            Some(WatchError::Store(error)) => error,
        };
        tracing::warn!(error = %base::report(&error), "the history cannot be followed, trying again");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.asked() => return,
        }
    }
}

/// Publishes until the watch ends, and gives why it did; nothing when it is to stop. `from` is what was told last.
async fn follow(
    engine: &Arc<dyn Engine>,
    from: &mut Revision,
    bus: &InProcess,
    stop: &Stop,
) -> Option<WatchError> {
    let mut changes = engine.watch(History::prefix(), *from);
    loop {
        let change = tokio::select! {
            // Changes first: when asked to stop, what is known is still told.
            biased;
            change = changes.next() => change?,
            () = stop.asked() => return None,
        };
        match change {
            Ok(change) => {
                *from = change.revision;
                if let Some(event) = change.value.and_then(|value| store::decode::<Event>(&value).ok()) {
                    bus.publish(&Hint { what: event.what, about: event.about });
                }
            }
            Err(error) => return Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
