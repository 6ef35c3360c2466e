//! Which times are certainly past, whatever the clock says now.
//!
//! A clock may be wrong by years: the battery is empty, or somebody set it. What is dropped by such a clock is lost
//! when it is set right: a CA key, and with it everybody who holds a certificate of it; a revocation, and what was
//! revoked is good again. So nothing that matters is dropped because of one look at the clock. The revocation lists
//! are dated anew after half of their life, and whenever their date is one still to come. A date of theirs is settled when
//! the next one follows it before those lists end, as it does while time goes by; never when it follows from further
//! away, or goes back: of those two looks at the clock at least one was wrong, and nobody knows which.
//!
//! ```text
//! lists dated   12 May    27 May    2031      2032      12 June     27 June
//! settled                 12 May    12 May    12 May    12 May      12 June
//!                                   the clock was wrong and is right
//! ```
//! So whoever sets a clock right within half the life of a list, a sixth of a leaf's, loses nothing; what ended is
//! kept for as long.

use std::sync::Arc;

use base::{Span, Timestamp};
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
    pub(crate) async fn stage_settled(
        &self,
        batch: &mut Batch,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<(), store::Error> {
        let settled = next(self.settled().await?, before, now, self.profile.crl_life());
        self.tables.settled.put(batch, SETTLED, &SettledRecord { at: settled.as_unix() })
    }
}

/// Dates that are no further apart follow each other as time goes by, however short the life of the lists is: where it
/// is seconds, nobody asks for them that often.
const FOLLOWS_WITHIN: Span = Span::days(1);

/// What is settled once lists of `life` that were dated `before` are dated `now`, when `settled` was.
fn next(settled: Timestamp, before: Timestamp, now: Timestamp, life: Span) -> Timestamp {
    let follows = before <= now && now - before <= life.max(FOLLOWS_WITHIN);
    if follows { before } else { settled.min(now) }
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
    let issuers: Vec<_> = stored
        .filter_map(|(_, loaded)| Certificate::from_pem(loaded.record.certificate.as_bytes()).ok())
        .collect();
    Ok(stranded_of(&issuers, seen, now))
}

/// The same for these CA certificates.
#[must_use]
pub fn stranded_of(issuers: &[Certificate], seen: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let good = issuers.iter().filter(|issuer| (issuer.not_before()..=issuer.not_after()).contains(&seen));
    good.map(Certificate::not_after).max().filter(|last| *last < now)
}

/// The latest time that is certainly past, as far as both authorities in `engine` know: what is old is dropped by this,
/// not by one look at the clock. 1970 before anything is settled.
///
/// # Errors
/// The store's.
pub async fn settled_in(engine: &Arc<dyn Engine>) -> Result<Timestamp, store::Error> {
    // The earlier one: where one's lists live for minutes, a clock need not be wrong for long to be believed.
    let mut earliest = i64::MAX;
    for name in [AuthorityName::Services, AuthorityName::Users] {
        let table: Table<SettledRecord> = Table::new(engine.clone(), &format!("/ca/{name}/"))?;
        earliest = earliest.min(table.get(SETTLED).await?.map_or(0, |loaded| loaded.record.at));
    }
    Ok(Timestamp::from_unix(earliest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_unix(0) + Span::days(day)
    }

    /// Whatever a clock says that is wrong again and again.
    #[test]
    fn only_time_that_went_by_is_settled() {
        let life = Span::days(31);
        let (mut settled, mut before) = (day(100), day(115));
        for (now, expected) in [
            (130, 115),
            (2_000, 115),
            (2_400, 115),
            (1_900, 115),
            (131, 115),
            (146, 131),
            (60, 60),
            (75, 60),
            (90, 75),
        ] {
            settled = next(settled, before, day(now), life);
            assert_eq!(settled, day(expected), "day {now}");
            before = day(now);
        }
        assert_eq!(
            next(day(1), day(2), day(3), Span::seconds(20)),
            day(2),
            "nobody asks for them that often"
        );
    }
}
