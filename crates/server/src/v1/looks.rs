//! Looks at operations, which all who read along with one share: however many they are, the store is asked once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use fleet::{ClusterName, Fleet, ReadClusters, RolloutId};
use identity::Permit;
use store::Revision;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::answer::tag_of;
use super::refusal::Refusal;
use super::shown_operation as shown;

/// At least so long passes between two looks at an operation.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// How an operation was at a look.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// When that was.
    pub(super) at: Instant,
    /// What is told of it.
    pub(super) event: Bytes,
    /// What that is called: the same as long as it is the same.
    pub(super) tag: String,
    /// Whether nothing more becomes of it.
    pub(super) is_over: bool,
    /// What the store was at.
    revision: Revision,
}

/// What an operation is called.
type Name = (ClusterName, RolloutId);

/// The operations that somebody reads along with.
#[derive(Default)]
pub(super) struct Looks(std::sync::Mutex<HashMap<Name, Weak<Looked>>>);

impl Looks {
    /// One of them.
    pub(super) fn of(&self, fleet: &Arc<Fleet>, cluster: &ClusterName, id: RolloutId) -> Arc<Looked> {
        // Nothing is half done under this lock when it panics.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, looked| looked.strong_count() > 0);
        let name = (cluster.clone(), id);
        if let Some(looked) = all.get(&name).and_then(Weak::upgrade) {
            return looked;
        }
        let looked = Looked { fleet: fleet.clone(), cluster: cluster.clone(), id, last: Mutex::new(None) };
        let looked = Arc::new(looked);
        all.insert(name, Arc::downgrade(&looked));
        looked
    }
}

/// An operation that is looked at now and then.
pub(super) struct Looked {
    fleet: Arc<Fleet>,
    cluster: ClusterName,
    id: RolloutId,
    /// Locked while somebody looks: whoever comes meanwhile is told what they found.
    last: Mutex<Option<View>>,
}

impl Looked {
    /// How it was at `since` or later. That it is as before is known without reading it again if nothing was written
    /// anywhere, unless this `is_thorough`: time alone may change how it is doing.
    ///
    /// # Errors
    /// There is no such operation, or the store's.
    pub(super) async fn view(
        &self,
        permit: Permit<ReadClusters>,
        since: Instant,
        is_thorough: bool,
    ) -> Result<View, Refusal> {
        let mut last = self.last.lock().await;
        if let Some(view) = last.as_ref() {
            if view.at >= since {
                return Ok(view.clone());
            }
            sleep_until(view.at + LOOK_PAUSE).await;
        }
        let at = Instant::now();
        // Before the operation is read: what is written meanwhile is looked for the next time.
        let revision = self.fleet.revision().await?;
        if let Some(view) = last.as_mut().filter(|view| view.revision == revision && !is_thorough) {
            view.at = at;
            return Ok(view.clone());
        }
        let operation = shown::operation(&self.fleet.rollout_view(permit, &self.cluster, self.id).await?);
        let data = serde_json::to_string(&operation).expect("wire's shapes have texts for keys");
        let tag = tag_of(data.as_bytes());
        let event = format!("event: operation\nid: {tag}\nretry: 2000\ndata: {data}\n\n").into();
        let is_over = operation.phase.is_end();
        Ok(last.insert(View { at, event, tag, is_over, revision }).clone())
    }
}
