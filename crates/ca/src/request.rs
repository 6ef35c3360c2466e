//! Signing requests: their numbers, and which are taken.

use std::fmt;
use std::str::FromStr;

use base::{Entropy, Timestamp};

use crate::authority::Admission;
use crate::error::SubmitError;
use crate::record::LedgerRecord;

/// The number of a signing request: random, at most 63 bits, written in decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl RequestId {
    /// A number nobody can guess.
    #[must_use]
    pub fn random(entropy: &Entropy) -> Self {
        Self(entropy.number() >> 1)
    }

    /// Another number nobody can guess, which begins with the same 15 of 63 bits: what is stored together under such
    /// numbers is written side by side.
    pub(crate) fn random_neighbour(self, entropy: &Entropy) -> Self {
        const OWN: u64 = (1 << 48) - 1;
        Self(self.0 & !OWN | entropy.number() & OWN)
    }

    /// As a number.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// Takes a number that a record holds.
    pub(crate) fn from_record(number: u64) -> Self {
        Self(number)
    }

    /// Nineteen digits, so that keys sort as the numbers do.
    pub(crate) fn key(self) -> String {
        format!("{:019}", self.0)
    }

    pub(crate) fn from_key(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// It has something other than digits in it.
    #[error("not a whole number")]
    NotANumber,
    /// It is a number, but no request has one so large or negative.
    #[error("no request has this number")]
    OutOfRange,
}

impl FromStr for RequestId {
    type Err = ParseIdError;

    /// Digits, perhaps with a sign before them.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseIdError::NotANumber);
        }
        match text.parse::<u64>() {
            Ok(number) if i64::try_from(number).is_ok() => Ok(Self(number)),
            _ => Err(ParseIdError::OutOfRange),
        }
    }
}

/// A request that nobody has decided about yet.
#[derive(Debug, Clone)]
pub struct PendingRequest {
    /// Its number.
    pub id: RequestId,
    /// The PEM text, as submitted.
    pub csr: String,
    /// When it came.
    pub at: Timestamp,
}

/// What becomes of a request that was not known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It waits for somebody's decision.
    Held,
    /// It is signed at once.
    Approved,
}

/// Whether one more request is taken, and what becomes of it; counts it in `ledger` when it is
/// (caucase contract, section 6.6: the limit is looked at before automatic approval is).
pub(crate) fn admit(
    ledger: &mut LedgerRecord,
    admission: &Admission,
    automatic_max: u64,
) -> Result<Admitted, SubmitError> {
    if ledger.pending >= admission.pending_max {
        return Err(SubmitError::TooManyPending { pending_max: admission.pending_max });
    }
    ledger.received += 1;
    if ledger.received <= automatic_max {
        return Ok(Admitted::Approved);
    }
    ledger.pending += 1;
    Ok(Admitted::Held)
}

#[cfg(test)]
mod tests {
    use base::Span;

    use super::*;

    fn admission(pending_max: u64) -> Admission {
        Admission {
            pending_max,
            automatic_max: 0,
            lock_automatic_max: false,
            keys_for_backup: false,
            keep_issued: Span::days(1),
            keep_fetched: Span::seconds(4_320),
        }
    }

    #[test]
    fn the_first_are_approved_and_the_rest_wait_until_there_are_too_many() {
        let mut ledger = LedgerRecord::default();
        let mut ask = |automatic_max| admit(&mut ledger, &admission(2), automatic_max).ok();
        assert_eq!(ask(1), Some(Admitted::Approved));
        assert_eq!(ask(1), Some(Admitted::Held));
        // Raising the count approves more, but only beyond what was received.
        assert_eq!(ask(3), Some(Admitted::Approved));
        assert_eq!(ask(3), Some(Admitted::Held));
        // The limit is looked at first.
        assert_eq!(ask(100), None);
        assert_eq!(ledger, LedgerRecord { received: 4, pending: 2 });
    }

    #[test]
    fn numbers_are_read_strictly() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("42", Ok(42)),
            ("+42", Ok(42)),
            ("9223372036854775807", Ok(i64::MAX as u64)),
            ("9223372036854775808", Err(ParseIdError::OutOfRange)),
            ("-1", Err(ParseIdError::OutOfRange)),
            ("99999999999999999999999", Err(ParseIdError::OutOfRange)),
            ("", Err(ParseIdError::NotANumber)),
            ("1_0", Err(ParseIdError::NotANumber)),
            ("0x1", Err(ParseIdError::NotANumber)),
            ("٣", Err(ParseIdError::NotANumber)),
        ] {
            assert_eq!(text.parse::<RequestId>().map(RequestId::as_u64), expected, "{text}");
        }
    }
}
