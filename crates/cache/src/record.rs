//! What the cache stores. The golden bytes of each are held by the tests at the foot.
//!
//! ```text
//! /cache/artifact/<128 digits>                     an artifact: how large it is, and whose
//! /cache/key/<key>                                 a key: how many entries it has
//! /cache/entry/<id of the key>/<place, 20 digits>  one of its entries, in the order in which they came
//! /cache/same/<id of the key>/<id of the entry>    that it has that very entry
//! /cache/named/<128 digits>/<id of the key>/<place>   that an entry names an artifact
//! /cache/long/<128 digits>/<id of the key>/<place>    that an entry stands in a blob, which is no artifact by that
//! /cache/writer/<id of the account>                how much somebody has put there
//! /cache/history/…                                 what happened, as in the history of the house
//! ```
//! A key's id is the SHA-256 of the key, an account's that of its name, an entry's that of its text and its signature.

use serde::{Deserialize, Serialize};
use store::Record;

/// An artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArtifactRecord {
    /// How many bytes it has.
    pub(crate) bytes: u64,
    /// When it came: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
    /// Who put it there: the principal.
    pub(crate) by: String,
}

impl Record for ArtifactRecord {
    const VERSION: u32 = 1;
}

/// A key that has entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    /// How many entries it has.
    pub(crate) entries: u64,
    /// The place of the next one. Never given twice.
    pub(crate) next: u64,
}

impl Record for KeyRecord {
    const VERSION: u32 = 1;
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    /// What stands in it; nothing where it is a blob.
    #[serde(flatten)]
    pub(crate) body: BodyRecord,
    /// When it came: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
    /// Who put it there: the principal.
    pub(crate) by: String,
}

/// What stands in an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum BodyRecord {
    /// The text, character for character, and its signature.
    Here {
        /// The text.
        text: String,
        /// The signature.
        signature: String,
    },
    /// Where it is too long for a record: the SHA-512 of the blob that has both, with a NUL between them.
    Blob {
        /// 128 digits.
        blob: String,
    },
}

impl Record for EntryRecord {
    const VERSION: u32 = 1;
}

/// How much somebody has put into the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriterRecord {
    /// How many bytes of artifacts, and of entries.
    pub(crate) bytes: u64,
}

impl Record for WriterRecord {
    const VERSION: u32 = 1;
}

/// That something is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkRecord {}

impl Record for MarkRecord {
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use store::Stored as _;

    use super::*;

    #[test]
    fn records_are_these_bytes() {
        fn check<R: Record + PartialEq + std::fmt::Debug>(record: &R, expected: &str) {
            assert_eq!(String::from_utf8(record.to_bytes().unwrap()).unwrap(), expected);
            assert_eq!(&R::from_bytes(expected.as_bytes()).unwrap(), record);
        }
        check(
            &ArtifactRecord { bytes: 5, at: 1_700_000_000, by: "alice".into() },
            r#"{"v":1,"is":{"bytes":5,"at":1700000000,"by":"alice"}}"#,
        );
        check(&KeyRecord { entries: 1, next: 2 }, r#"{"v":1,"is":{"entries":1,"next":2}}"#);
        let body = BodyRecord::Here { text: r#"{"a": "\u00e9"}"#.into(), signature: "YQ==".into() };
        check(
            &EntryRecord { body, at: 1_700_000_000, by: "alice".into() },
            r#"{"v":1,"is":{"text":"{\"a\": \"\\u00e9\"}","signature":"YQ==","at":1700000000,"by":"alice"}}"#,
        );
        check(
            &EntryRecord { body: BodyRecord::Blob { blob: "cf83".into() }, at: 0, by: "bob".into() },
            r#"{"v":1,"is":{"blob":"cf83","at":0,"by":"bob"}}"#,
        );
        check(&WriterRecord { bytes: 7 }, r#"{"v":1,"is":{"bytes":7}}"#);
        check(&MarkRecord {}, r#"{"v":1,"is":{}}"#);
    }
}
