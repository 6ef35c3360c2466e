//! `POST /shacache/update`, as the proxy of slapos.core has it (networkcache contract, section 13).

use axum::body::Body;
use axum::response::Response;
use cache::{Cache, EntryKey, Maintain, MaintainError, Pattern, ReadCatalog};
use engine::{Asker, Relay, Stop};
use identity::{Permit, Principal};
use serde_json::json;

use super::NetworkCache;
use super::answer::{self, Refusal};

/// How many keys are listed at once.
const PAGE: usize = 500;

impl NetworkCache {
    /// 200 and which keys lost entries, and which were asked for again. Where there is another cache behind this one, its
    /// entries are added, and those that it gave before go when it has nothing under their key any more; what somebody put
    /// here stays. Where there is none, entries go whose artifact is not here, but for withdrawals.
    pub(super) async fn update(
        &self,
        permit: Permit<Maintain>,
        listing: Permit<ReadCatalog>,
    ) -> Result<Response, Refusal> {
        let (cache, relay) = (self.cache.clone(), self.house.relay().cloned());
        let stop = self.house.stopping().clone();
        // To its end, also when the client hangs up now.
        let work = async move { updated(&cache, relay.as_deref(), (&permit, &listing), &stop).await };
        let (removed, updated) = self.house.tasks().complete(work).await?;
        Ok(answer::json(Body::from(json!({ "removed": removed, "updated": updated }).to_string())))
    }
}

/// Which keys lost entries, and which others were asked for again. What upstream does not answer about is left as it is.
async fn updated(
    cache: &Cache,
    relay: Option<&Relay>,
    (permit, listing): (&Permit<Maintain>, &Permit<ReadCatalog>),
    stop: &Stop,
) -> Result<(Vec<String>, Vec<String>), MaintainError> {
    let (mut removed, mut updated) = (Vec::new(), Vec::new());
    let mut after: Option<EntryKey> = None;
    let all = Pattern::new("*");
    let house = Principal::house();
    loop {
        let page = cache.find_keys(listing, &all, after.as_ref(), PAGE).await?;
        for found in page.items {
            if stop.is_asked() {
                return Ok((removed, updated));
            }
            let key = found.key;
            let gone = match relay {
                Some(relay) => match relay.ask(&key, &Asker::default()).await {
                    Ok(true) => 0,
                    Ok(false) => {
                        cache.remove_entries(permit, &key, &|entry| entry.by == house.name()).await?
                    }
                    Err(_) => continue,
                },
                None => {
                    cache
                        .remove_entries(permit, &key, &|entry| !entry.has_artifact && !entry.is_withdrawal)
                        .await?
                }
            };
            match (gone, relay) {
                (0, Some(_)) => updated.push(key.to_string()),
                (0, None) => {}
                _ => removed.push(key.to_string()),
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok((removed, updated));
        }
    }
}
