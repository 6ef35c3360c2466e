//! What the authority stores. Versions and their golden bytes are held by the tests at the foot.
//!
//! ```text
//! /ca/<authority>/issuer/<8 digits>        a CA certificate and its sealed key, or where that is
//!                 request/<19 digits>      a signing request, as submitted
//!                 pending/<19 digits>      that nobody has decided about it
//!                 issued/<19 digits>       which certificate came of it, and until when this is kept
//!                 digest/<64 hex>          which request these bytes are
//!                 key/<40 hex>             which request has this key (users only)
//!                 reserved/<16 hex>        serials that may be signed under
//!                 certificate/<40 hex>     a certificate, by serial
//!                 revoked/<40 hex>         a revocation, by serial
//!                 ledger, crl, automatic   counters, CRL number and date, the locked automatic count
//!                 settled                  a time that is certainly past
//!                 retired                  what was given up last, and whether all of that is done
//! /house/taken-over                        that they were taken over from caucase
//! ```
//! Times are seconds since 1970; serials are 40 hexadecimal digits.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::Record;

/// A CA certificate and its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssuerRecord {
    /// PEM.
    pub certificate: String,
    /// Its key, or where that is.
    #[serde(flatten)]
    pub key: KeyRecord,
}

/// A CA key, or where it is. Sealed ones are written as they were before there were others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyRecord {
    /// Here.
    Sealed {
        /// PKCS#8, sealed under the store's key.
        sealed_key: String,
    },
    /// In a token, which never gives it away.
    InToken {
        /// The token's label.
        token: String,
        /// The key's name in it, 32 hexadecimal digits.
        token_key: String,
    },
}

impl Record for IssuerRecord {
    /// Since 2 the key may be in a token, which older programs would take for damage.
    const VERSION: u32 = 2;

    fn written_in(&self) -> u32 {
        match self.key {
            KeyRecord::Sealed { .. } => 1,
            KeyRecord::InToken { .. } => 2,
        }
    }

    /// For a while keys in a token were written under 1 as well.
    fn migrate(version: u32, data: &RawValue) -> Result<Self, String> {
        match version {
            1 => serde_json::from_str(data.get()).map_err(|error| error.to_string()),
            _ => Err(format!("version {version} has never been")),
        }
    }
}

/// A signing request, as it was submitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The very bytes that came.
    pub csr: String,
    /// When they came.
    pub at: i64,
    /// Whether it was approved at once.
    pub automatic: bool,
}

/// Nobody has decided about a request yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingRecord {
    /// Since when it waits.
    pub since: i64,
}

/// Serials that were drawn together and may be signed under: stored before the key is used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReservedRecord {
    /// The serials.
    pub serials: Vec<String>,
    /// Since when.
    pub since: i64,
}

/// What came of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssuedRecord {
    /// The certificate's serial.
    pub serial: String,
    /// When request and this may be dropped.
    pub drop_at: i64,
    /// Whether the certificate was fetched.
    pub fetched: bool,
}

/// A certificate that was issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// PEM.
    pub certificate: String,
    /// The request it came from; may have been dropped.
    pub request: u64,
}

/// Which request something belongs to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestRefRecord {
    /// The request's number.
    pub request: u64,
}

/// Counts of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// How many were ever taken; never goes down.
    pub received: u64,
    /// How many are pending now.
    pub pending: u64,
}

/// A revocation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokedRecord {
    /// When it was revoked.
    pub at: i64,
    /// When the entry may be dropped from the lists.
    pub drop_at: i64,
}

/// Number and date of the revocation lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrlRecord {
    /// The CRL number.
    pub number: u64,
    /// The date of the lists; 0 when none was made yet.
    pub this_update: i64,
}

/// A time that is certainly past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledRecord {
    /// That time.
    pub at: i64,
}

/// A retirement of CA certificates, put down with the commit that makes the next one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetiredRecord {
    /// When.
    pub at: i64,
    /// PEM of those that were given up, the one that ends first in front.
    pub retired: Vec<String>,
    /// Where their keys are that stay in a token.
    pub left: Vec<KeyRecord>,
    /// PEM of the one that signs since then.
    pub next: String,
    /// Whether all that follows was done as well.
    pub is_done: bool,
}

/// The automatic count that was locked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AutomaticRecord {
    /// It.
    pub automatic_max: u64,
}

/// That the authorities were taken over from caucase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOverRecord {
    /// Until when the last of their users has a certificate, if one had one that was good.
    pub users_until: Option<i64>,
}

macro_rules! first_version {
    ($($record:ty),*) => {
        $(impl Record for $record {
            const VERSION: u32 = 1;
        })*
    };
}
first_version!(
    RequestRecord,
    PendingRecord,
    ReservedRecord,
    IssuedRecord,
    CertificateRecord,
    RequestRefRecord,
    LedgerRecord,
    RevokedRecord,
    CrlRecord,
    SettledRecord,
    RetiredRecord,
    TakenOverRecord,
    AutomaticRecord
);

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written once must be readable for ever, and is written the same way as long as the version is.
    fn golden<R: Record>(bytes: &str, field: impl Fn(&R) -> bool) {
        let record = store::decode::<R>(bytes.as_bytes()).expect("golden bytes are readable");
        assert!(field(&record), "{bytes}");
        assert_eq!(
            String::from_utf8(store::encode(&record).expect("a record is JSON")).expect("JSON is text"),
            bytes
        );
    }

    #[test]
    fn golden_bytes() {
        golden::<IssuerRecord>(r#"{"v":1,"is":{"certificate":"PEM","sealed_key":"a.b"}}"#, |r| {
            r.key == KeyRecord::Sealed { sealed_key: "a.b".into() }
        });
        let in_token = KeyRecord::InToken { token: "hsm".into(), token_key: "0a".into() };
        let text = r#"{"v":2,"is":{"certificate":"PEM","token":"hsm","token_key":"0a"}}"#;
        golden::<IssuerRecord>(text, |r| r.key == in_token);
        // As the first programs with tokens wrote it.
        let before = store::decode::<IssuerRecord>(text.replace(":2,", ":1,").as_bytes()).expect("readable");
        assert_eq!(before.key, in_token);
        golden::<RequestRecord>(r#"{"v":1,"is":{"csr":"PEM\n","at":5,"automatic":true}}"#, |r| {
            r.csr == "PEM\n"
        });
        golden::<PendingRecord>(r#"{"v":1,"is":{"since":5}}"#, |r| r.since == 5);
        golden::<ReservedRecord>(r#"{"v":1,"is":{"serials":["0a","0b"],"since":5}}"#, |r| r.since == 5);
        golden::<IssuedRecord>(r#"{"v":1,"is":{"serial":"0a","drop_at":5,"fetched":false}}"#, |r| !r.fetched);
        golden::<CertificateRecord>(r#"{"v":1,"is":{"certificate":"PEM","request":7}}"#, |r| r.request == 7);
        golden::<RequestRefRecord>(r#"{"v":1,"is":{"request":7}}"#, |r| r.request == 7);
        golden::<LedgerRecord>(r#"{"v":1,"is":{"received":3,"pending":2}}"#, |r| r.pending == 2);
        golden::<RevokedRecord>(r#"{"v":1,"is":{"at":3,"drop_at":9}}"#, |r| r.drop_at == 9);
        golden::<CrlRecord>(r#"{"v":1,"is":{"number":3,"this_update":9}}"#, |r| r.number == 3);
        golden::<SettledRecord>(r#"{"v":1,"is":{"at":9}}"#, |r| r.at == 9);
        golden::<RetiredRecord>(
            r#"{"v":1,"is":{"at":9,"retired":["PEM"],"left":[{"token":"hsm","token_key":"0a"}],"next":"PEM","is_done":false}}"#,
            |r| !r.is_done && r.left == [KeyRecord::InToken { token: "hsm".into(), token_key: "0a".into() }],
        );
        golden::<TakenOverRecord>(r#"{"v":1,"is":{"users_until":9}}"#, |r| r.users_until == Some(9));
        golden::<AutomaticRecord>(r#"{"v":1,"is":{"automatic_max":4}}"#, |r| r.automatic_max == 4);
    }
}
