//! What is stored of links.

use chain::Signed;
use serde::{Deserialize, Serialize};
use store::Record;

/// The key that signs links.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    /// Its public half, PEM, for those who look into the store.
    pub(super) public: String,
    /// PKCS#8, sealed under the store's key.
    pub(super) sealed: String,
}

/// The last link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeadRecord {
    /// Its number.
    pub(super) number: u64,
    /// Its hash.
    pub(super) hash: String,
    /// How many events were ever linked.
    pub(super) total: u64,
    /// The revision up to which every event is linked.
    pub(super) upto: u64,
    /// The events of a later revision that are linked as well.
    pub(super) also: Vec<String>,
    /// The revision that wrote the key, by which it is seen whether this is still the same store.
    pub(super) key_at: u64,
}

/// A link or an anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignedRecord {
    /// What was signed.
    pub(super) text: String,
    /// The signature, base64.
    pub(super) signature: String,
}

impl SignedRecord {
    pub(super) fn of(signed: &Signed) -> Self {
        Self { text: signed.text.clone(), signature: signed.signature.clone() }
    }

    pub(super) fn signed(self) -> Signed {
        Signed { text: self.text, signature: self.signature }
    }
}

macro_rules! first_version {
    ($($record:ty),*) => {
        $(impl Record for $record {
            const VERSION: u32 = 1;
        })*
    };
}
first_version!(KeyRecord, HeadRecord, SignedRecord);

#[cfg(test)]
mod tests {
    use super::*;

    fn golden<R: Record>(bytes: &str) {
        let record = store::decode::<R>(bytes.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(store::encode(&record).unwrap()).unwrap(), bytes);
    }

    #[test]
    fn golden_bytes() {
        golden::<KeyRecord>(r#"{"v":1,"is":{"public":"PEM","sealed":"a.b"}}"#);
        golden::<HeadRecord>(
            r#"{"v":1,"is":{"number":2,"hash":"5f","total":7,"upto":9,"also":[],"key_at":3}}"#,
        );
        golden::<SignedRecord>(r#"{"v":1,"is":{"text":"t\n","signature":"AA=="}}"#);
    }
}
