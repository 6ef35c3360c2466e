//! Which times are certainly past, whatever the clock says now.
//!
//! A clock may be wrong by years: the battery is empty, or somebody set it. What is dropped by such a clock is lost
//! when it is set right: a CA key, and with it everybody who holds a certificate of it; a revocation, and what was
//! revoked is good again. So nothing that matters is dropped because of one look at the clock. The revocation lists
//! are dated anew after half of their life, and whenever their date is one still to come; of each two dates in a row
//! the earlier is on record.
//!
//! ```text
//! lists dated   12 May    27 May    2031      12 June     27 June
//! settled                 12 May    27 May    12 June     12 June
//!                                   the clock was wrong   and is right
//! ```
//! So whoever sets a clock right within half the life of a list, a sixth of a leaf's, loses nothing; what ended is
//! kept for as long.

use std::sync::Arc;

use base::Timestamp;
use store::{Batch, Engine, Table};
use x509::Certificate;

use crate::authority::AuthorityName;
use crate::record::{IssuerRecord, SettledRecord};
use crate::service::{Authority, SETTLED};

impl Authority {
    /// The latest time that is certainly past.
    pub(crate) async fn settled(&self) -> Result<Timestamp, store::Error> {
        let loaded = self.tables.settled.get(SETTLED).await?;
        Ok(Timestamp::from_unix(loaded.map_or(0, |loaded| loaded.record.at)))
    }

    /// Adds what is settled when the lists were dated `before` and are dated `now`.
    pub(crate) fn stage_settled(&self, batch: &mut Batch, before: i64, now: i64) -> Result<(), store::Error> {
        self.tables.settled.put(batch, SETTLED, &SettledRecord { at: before.min(now) })
    }
}

/// Whether between `seen` and `now` every CA certificate of an authority ends that was good at `seen`: nobody who
/// holds one of its certificates can go on then. Gives when the last one ends.
///
/// # Errors
/// The store's. Records that cannot be read are told by [`Authority::open`].
pub async fn stranded(
    engine: &Arc<dyn Engine>,
    name: AuthorityName,
    seen: Timestamp,
    now: Timestamp,
) -> Result<Option<Timestamp>, store::Error> {
    let issuers: Table<IssuerRecord> = Table::new(engine.clone(), &format!("/ca/{name}/issuer/"))?;
    let stored = issuers.all().await?.into_iter();
    let good = stored
        .filter_map(|(_, loaded)| Certificate::from_pem(loaded.record.certificate.as_bytes()).ok())
        .filter(|certificate| (certificate.not_before()..=certificate.not_after()).contains(&seen));
    Ok(good.map(|certificate| certificate.not_after()).max().filter(|last| *last < now))
}
