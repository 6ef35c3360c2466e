//! `POST /shacache/update`, as the proxy of slapos.core has it (networkcache contract, section 13).

use axum::body::Body;
use axum::response::Response;
use cache::{EntryKey, Maintain, Pattern, ReadCatalog};
use identity::{Permit, Principal};
use serde_json::json;

use super::NetworkCache;
use super::answer::{self, Refusal};

/// How many keys are listed at once.
const PAGE: usize = 500;

impl NetworkCache {
    /// 200 and which keys lost entries, and which were asked for again. Where there is another cache behind this one, its
    /// entries are added, and those that it gave before go when it has nothing under their key any more; what somebody put
    /// here stays. Where there is none, entries go whose artifact is not here.
    pub(super) async fn update(
        &self,
        permit: Permit<Maintain>,
        listing: Permit<ReadCatalog>,
    ) -> Result<Response, Refusal> {
        let (mut removed, mut updated) = (Vec::new(), Vec::new());
        let mut after: Option<EntryKey> = None;
        let all = Pattern::new("*");
        loop {
            let page = self.cache.find_keys(&listing, &all, after.as_ref(), PAGE).await?;
            for found in page.items {
                let count = match self.house.relay() {
                    Some(relay) => {
                        let says = relay.ask(&found.key).await.map_err(Refusal::of_relay)?;
                        updated.push(found.key.to_string());
                        match says {
                            true => 0,
                            false => self.forget_upstreams(&permit, &found.key).await?,
                        }
                    }
                    None => {
                        self.cache.remove_entries(&permit, &found.key, &|entry| !entry.has_artifact).await?
                    }
                };
                if count > 0 {
                    removed.push(found.key.to_string());
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        updated.retain(|key| !removed.contains(key));
        Ok(answer::json(Body::from(json!({ "removed": removed, "updated": updated }).to_string())))
    }

    async fn forget_upstreams(&self, permit: &Permit<Maintain>, key: &EntryKey) -> Result<u64, Refusal> {
        let house = Principal::house();
        Ok(self.cache.remove_entries(permit, key, &|entry| entry.by == house.name()).await?)
    }
}
