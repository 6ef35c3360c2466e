//! Rules that are new wait.
//!
//! Whoever mistypes a rule has the time of grace to see it: until then nothing goes by rules that are not those of before,
//! unless an operator says that they are right, by asking for what they do. What is there at the end of the first start is
//! held against the first rules in the same way.

use base::Timestamp;
use identity::Permit;
use store::Batch;

use super::Rules;
use crate::error::MaintainError;
use crate::record::RulesRecord;
use crate::service::{Cache, Maintain};

/// The record of the rules.
const NAME: &str = "rules";

/// Whether the rules are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InForce {
    /// They are.
    Now,
    /// Not before then.
    From(Timestamp),
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
        let known = found.map(|found| found.record).unwrap_or_default();
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
        if record != known {
            let mut batch = Batch::new();
            self.tables.rules.put_over(&mut batch, NAME, &record, version)?;
            self.ground.engine.commit(batch).await?;
        }
        Ok(if waits { InForce::From(until) } else { InForce::Now })
    }

    /// From now on these rules are followed: somebody says that they are right.
    ///
    /// # Errors
    /// [`MaintainError`].
    pub async fn put_in_force(&self, _permit: &Permit<Maintain>, rules: &Rules) -> Result<(), MaintainError> {
        let record = RulesRecord { followed: Some(rules.text()), ..RulesRecord::default() };
        let found = self.tables.rules.get(NAME).await?;
        let mut batch = Batch::new();
        self.tables.rules.put_over(&mut batch, NAME, &record, found.map(|found| found.version))?;
        self.ground.engine.commit(batch).await?;
        Ok(())
    }
}
