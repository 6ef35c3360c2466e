//! Rules that are new wait.
//!
//! Whoever mistypes a rule has the time of grace to see it: until then nothing goes by rules that are not those of before,
//! unless an operator says that they are right, by asking for what they do. What is there at the end of the first start is
//! held against the first rules in the same way.
//!
//! How long they have waited is not told by one look at the clock, which may be wrong by years for an hour: it is looked
//! several times a day, and what lies between two looks that do not follow each other does not count. By such a clock
//! everything would be old as well; so after a jump nothing goes at all before a later look agrees with it.
//!
//! ```text
//! looks      1 May 0:00   6:00   2031 (a jump)          1 May 12:05 (a jump)   18:05
//! waited     0            6 h    6 h, nothing goes      6 h, nothing goes      12 h
//! ```

use base::{Span, Timestamp};
use identity::Permit;
use store::Batch;

use super::Rules;
use crate::error::MaintainError;
use crate::record::RulesRecord;
use crate::service::{Cache, Maintain};

/// The record of the rules.
const NAME: &str = "rules";
/// Looks follow each other that are no further apart: a little more than a house that goes on takes for the next one. What
/// is longer would be time that nobody was seen to have had, and the time of grace may be a day.
const FOLLOWS_WITHIN: Span = Span::seconds(8 * 3_600);
/// Nor further back: processes that share a store have clocks of their own.
const BACK_MAX: Span = Span::days(1);
/// How long after a jump a look agrees with it that finds no other one. Not longer than looks are apart.
const SURE_AFTER: Span = Span::seconds(6 * 3_600);

/// Whether the rules are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// They are.
    Now,
    /// Not before then.
    From(Timestamp),
    /// The clock jumped: nothing goes before then, by whatever rules.
    AfterJump(Timestamp),
}

impl Rules {
    /// The same, which remove nothing.
    #[must_use]
    pub fn waiting(&self) -> Self {
        Self { grace: self.grace, ..Self::keeping_everything() }
    }

    /// What tells them from others.
    fn text(&self) -> String {
        let rules: Vec<&str> = self.retention.rules().collect();
        format!("{}\nunnamed {}", rules.join("\n"), self.unnamed)
    }

    fn keep_everything(&self) -> bool {
        self.retention.keeps_everything() && self.unnamed.is_all()
    }
}

impl Cache {
    /// Whether these rules are followed by now. Those that were not known begin to wait.
    ///
    /// # Errors
    /// [`MaintainError`].
    pub async fn in_force(
        &self,
        _permit: &Permit<Maintain>,
        rules: &Rules,
    ) -> Result<InForce, MaintainError> {
        let (now, text) = (self.ground.clock.now(), rules.text());
        let found = self.tables.rules.get(NAME).await?;
        let version = found.as_ref().map(|found| found.version);
        let mut known = found.map(|found| found.record).unwrap_or_default();
        let looked = known.looked.map(Timestamp::from_unix);
        let passed = looked.map_or(Span::seconds(0), |looked| now - looked);
        if passed > FOLLOWS_WITHIN || now + BACK_MAX < looked.unwrap_or(now) {
            known.since = known.since.saturating_add(passed.as_seconds());
            known.unsure = Some((now + SURE_AFTER).as_unix());
        }
        let unsure = known.unsure.map(Timestamp::from_unix).filter(|until| *until > now);
        let mut record = known.clone();
        if known.followed.as_ref() == Some(&text) || rules.keep_everything() {
            record = RulesRecord { followed: Some(text), ..RulesRecord::default() };
        } else if known.next.as_ref() != Some(&text) {
            record = RulesRecord { next: Some(text), since: now.as_unix(), ..known.clone() };
        }
        let until = Timestamp::from_unix(record.since) + rules.grace;
        let waits = record.next.is_some() && until > now;
        if !waits && let Some(next) = record.next.take() {
            record = RulesRecord { followed: Some(next), ..RulesRecord::default() };
        }
        record.looked = Some(now.as_unix());
        record.unsure = unsure.map(Timestamp::as_unix);
        let mut batch = Batch::new();
        self.tables.rules.put_over(&mut batch, NAME, &record, version)?;
        self.ground.engine.commit(batch).await?;
        Ok(match unsure {
            Some(until) => InForce::AfterJump(until),
            None if waits => InForce::From(until),
            None => InForce::Now,
        })
    }

    /// From now on these rules are followed: somebody says that they are right, and what time it is.
    ///
    /// # Errors
    /// [`MaintainError`].
    pub async fn put_in_force(&self, _permit: &Permit<Maintain>, rules: &Rules) -> Result<(), MaintainError> {
        let looked = Some(self.ground.clock.now().as_unix());
        let record = RulesRecord { followed: Some(rules.text()), looked, ..RulesRecord::default() };
        let found = self.tables.rules.get(NAME).await?;
        let mut batch = Batch::new();
        self.tables.rules.put_over(&mut batch, NAME, &record, found.map(|found| found.version))?;
        self.ground.engine.commit(batch).await?;
        Ok(())
    }
}
