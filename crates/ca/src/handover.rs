//! One CA certificate vouches for the next.
//!
//! Whoever trusts any one CA certificate of the chain learns all later ones without other means; this, and
//! handing out the oldest valid one to newcomers, is the whole rollover design (caucase contract, section 3.3).

use x509::Certificate;

use crate::error::IssueError;
use crate::issuer::Issuer;
use crate::statement::Statement;

/// That `new` follows `old`, to be said in words of a dialect and signed by the key of `old`.
#[derive(Debug, Clone)]
pub struct Handover {
    old: Issuer,
    new: Certificate,
}

impl Handover {
    /// The older certificate.
    #[must_use]
    pub fn older(&self) -> &Certificate {
        self.old.certificate()
    }

    /// The one that follows.
    #[must_use]
    pub fn newer(&self) -> &Certificate {
        &self.new
    }

    /// Signs `words`, which must say no more than that [`Handover::newer`] follows [`Handover::older`], with
    /// the key of the older.
    ///
    /// # Errors
    /// [`IssueError::Key`] when the key cannot sign statements; [`IssueError::Token`] when it is in a token that does not.
    pub async fn say(
        &self,
        words: impl FnOnce(&Certificate, &Certificate) -> String,
    ) -> Result<Statement, IssueError> {
        self.old.key().sign_statement(words(self.older(), &self.new)).await
    }
}

/// One for each pair of neighbours, oldest first.
pub(crate) fn chain(issuers: &[Issuer]) -> Vec<Handover> {
    issuers
        .windows(2)
        .map(|pair| Handover { old: pair[0].clone(), new: pair[1].certificate().clone() })
        .collect()
}
