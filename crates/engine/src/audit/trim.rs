//! Dropping what is old: links from the first on, each with its events.

use base::Timestamp;
use chain::{Anchor, Head, Link, Signed, moment_of};
use store::{Batch, Retention};

use super::record::SignedRecord;
use super::{ANCHOR, Audit, AuditError, link_id};
use crate::tasks::Stop;

/// How many links are never dropped: the head is one of those that are there.
const LINKS_MIN: u64 = 1;

/// Whether a link goes: what either rule gives up does, where all of its events are given up.
fn is_due(newest_milliseconds: i64, left_without: u64, now_milliseconds: i64, keep: Retention) -> bool {
    let horizon = now_milliseconds.saturating_sub(keep.age.as_seconds().saturating_mul(1_000));
    newest_milliseconds < horizon || left_without >= u64::try_from(keep.count).unwrap_or(u64::MAX)
}

impl Audit {
    /// Drops what `keep` gives up when it is `now`, whole links at a time: up to 95 events more than that are kept. Gives how
    /// many events were dropped. Does no harm when it is done twice, or by several at once.
    ///
    /// # Errors
    /// [`AuditError`]; what is dropped by then is dropped.
    pub async fn trim(&self, keep: Retention, now: Timestamp, stop: &Stop) -> Result<usize, AuditError> {
        let mut dropped = 0;
        let now_milliseconds = now.as_unix().saturating_mul(1_000);
        while !stop.is_asked() {
            let Some(head) = self.tables.head.get(super::HEAD).await?.map(|found| found.record) else {
                break;
            };
            let before = self.tables.anchor.get(ANCHOR).await?;
            let (seen, anchor) = match before {
                Some(found) => (
                    Some(found.version),
                    Some(Anchor::parse(&found.record.text).map_err(chain::Broken::Anchor)?),
                ),
                None => (None, None),
            };
            let number = anchor.map_or(0, |anchor| anchor.head.number) + 1;
            let gone = anchor.map_or(0, |anchor| anchor.total);
            if number.saturating_add(LINKS_MIN) > head.number {
                break;
            }
            let Some(found) = self.tables.link.get(&link_id(number)).await? else {
                return Err(chain::Broken::Number { expected: number, found: head.number }.into());
            };
            let hash = found.record.clone().signed().hash();
            let link =
                Link::parse(&found.record.text).map_err(|source| chain::Broken::Link { number, source })?;
            let newest =
                link.events.iter().filter_map(|event| moment_of(&event.id)).max().unwrap_or(i64::MIN);
            let left_without = head.total.saturating_sub(gone).saturating_sub(link.events.len() as u64);
            if !is_due(newest, left_without, now_milliseconds, keep) {
                break;
            }
            let at_milliseconds = self.clock.now_milliseconds();
            let anchor = Anchor { head: Head { number, hash }, at_milliseconds, total: link.total };
            let signed = Signed::new(anchor.text(), self.signing_key().await?);
            let mut batch = Batch::new();
            self.tables.anchor.put_over(&mut batch, ANCHOR, &SignedRecord::of(&signed), seen)?;
            self.tables.link.remove(&mut batch, &link_id(number), found.version)?;
            for event in &link.events {
                batch.delete(self.history.key(&event.id)?);
            }
            self.engine.commit(batch).await?;
            dropped += link.events.len();
        }
        Ok(dropped)
    }
}
