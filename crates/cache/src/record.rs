//! What the cache stores. The golden bytes of each are held by the tests at the foot.
//!
//! ```text
//! /cache/artifact/<128 digits>                     an artifact: how large it is, and whose
//! /cache/key/<key>                                 a key: how many entries it has
//! /cache/entry/<id of the key>/<place, 20 digits>  one of its entries, in the order in which they came
//! /cache/same/<id of the key>/<id of the entry>    that it has that very entry, or does not take it from upstream again
//! /cache/named/<128 digits>/<id of the key>/<place>   that an entry names an artifact, and its key
//! /cache/long/<128 digits>/<id of the key>/<place>    that an entry stands in a blob, which is no artifact by that
//! /cache/used/<128 digits>                         when an artifact was last read, within an hour
//! /cache/pin/key/<key>, /cache/pin/artifact/<128 digits>   that it stays, whatever the rules say
//! /cache/scrub/round                               how far the blobs were looked through
//! /cache/rules/rules                               by which rules things go
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
    /// For whom it was counted, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted_for: Option<String>,
    /// Since when it is to go, as no entry names it, or when somebody last asked for it after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unnamed_since: Option<i64>,
    /// Whether it is to go though it never had an entry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) never_named: bool,
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
    /// For whom it was counted, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted_for: Option<String>,
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
        /// What tells it from all others.
        id: String,
        /// The artifact that it names.
        artifact: String,
        /// How many bytes both have.
        bytes: u64,
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

/// That a key has an entry, or had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SameRecord {
    /// Where; the first houses did not write that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<u64>,
    /// Whether the rules removed it, and the cache behind this one has it still: from there it does not come again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
}

impl Record for SameRecord {
    const VERSION: u32 = 1;
}

/// That an entry names an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedRecord {
    /// The entry's key.
    pub(crate) key: String,
}

impl Record for NamedRecord {
    const VERSION: u32 = 1;
}

/// When an artifact was last read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UsedRecord {
    /// Within an hour: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
}

impl Record for UsedRecord {
    const VERSION: u32 = 1;
}

/// That a key or an artifact stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PinRecord {
    /// Since when: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
    /// Who said so: the principal.
    pub(crate) by: String,
    /// Why.
    pub(crate) note: String,
}

impl Record for PinRecord {
    const VERSION: u32 = 1;
}

/// How far the blobs were looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScrubRecord {
    /// The last one; 128 digits. None at the beginning of a round.
    pub(crate) after: Option<String>,
    /// When the round began: seconds since 1970-01-01T00:00:00Z.
    pub(crate) since: i64,
    /// When the last whole round ended.
    pub(crate) ended: Option<i64>,
    /// How many bytes were read in this round.
    pub(crate) bytes: u64,
    /// How many were put aside in this round.
    pub(crate) damaged: u64,
    /// Those that could not be read in this round, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable: Vec<String>,
    /// And in the round before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unreadable_before: Vec<String>,
    /// Those that were put aside in this round, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) aside: Vec<String>,
    /// Whether somebody asked for this round, which is not over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) asked_for: bool,
}

impl Record for ScrubRecord {
    const VERSION: u32 = 1;
}

/// By which rules things go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RulesRecord {
    /// Those that are followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) followed: Option<String>,
    /// Those that are to be followed, and wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// Since when those wait, less what the clock jumped meanwhile: seconds since 1970-01-01T00:00:00Z.
    #[serde(default)]
    pub(crate) since: i64,
    /// When it was last looked at them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) looked: Option<i64>,
    /// Until when nothing goes by any rules, as the clock jumped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsure: Option<i64>,
}

impl Record for RulesRecord {
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
            &ArtifactRecord {
                bytes: 5,
                at: 1_700_000_000,
                by: "alice".into(),
                counted_for: None,
                unnamed_since: None,
                never_named: false,
            },
            r#"{"v":1,"is":{"bytes":5,"at":1700000000,"by":"alice"}}"#,
        );
        check(
            &ArtifactRecord {
                bytes: 5,
                at: 0,
                by: "alice".into(),
                counted_for: Some("alice".into()),
                unnamed_since: Some(1),
                never_named: true,
            },
            r#"{"v":1,"is":{"bytes":5,"at":0,"by":"alice","counted_for":"alice","unnamed_since":1,"never_named":true}}"#,
        );
        check(&KeyRecord { entries: 1, next: 2 }, r#"{"v":1,"is":{"entries":1,"next":2}}"#);
        let body = BodyRecord::Here { text: r#"{"a": "\u00e9"}"#.into(), signature: "YQ==".into() };
        check(
            &EntryRecord { body, at: 1_700_000_000, by: "alice".into(), counted_for: None },
            r#"{"v":1,"is":{"text":"{\"a\": \"\\u00e9\"}","signature":"YQ==","at":1700000000,"by":"alice"}}"#,
        );
        let body =
            BodyRecord::Blob { blob: "cf83".into(), id: "e3b0".into(), artifact: "9b71".into(), bytes: 7 };
        check(
            &EntryRecord { body, at: 0, by: "bob".into(), counted_for: Some("bob".into()) },
            r#"{"v":1,"is":{"blob":"cf83","id":"e3b0","artifact":"9b71","bytes":7,"at":0,"by":"bob","counted_for":"bob"}}"#,
        );
        check(&SameRecord { place: Some(7), gone: false }, r#"{"v":1,"is":{"place":7}}"#);
        check(&SameRecord { place: None, gone: false }, r#"{"v":1,"is":{}}"#);
        check(&SameRecord { place: None, gone: true }, r#"{"v":1,"is":{"gone":true}}"#);
        check(&NamedRecord { key: "pypi:a=1".into() }, r#"{"v":1,"is":{"key":"pypi:a=1"}}"#);
        check(&UsedRecord { at: 7 }, r#"{"v":1,"is":{"at":7}}"#);
        check(
            &PinRecord { at: 7, by: "alice".into(), note: "a release".into() },
            r#"{"v":1,"is":{"at":7,"by":"alice","note":"a release"}}"#,
        );
        check(
            &ScrubRecord {
                after: Some("9b71".into()),
                since: 7,
                bytes: 8,
                damaged: 1,
                ..ScrubRecord::default()
            },
            r#"{"v":1,"is":{"after":"9b71","since":7,"ended":null,"bytes":8,"damaged":1}}"#,
        );
        check(
            &ScrubRecord {
                unreadable: vec!["9b71".into()],
                unreadable_before: vec!["cf83".into()],
                ..ScrubRecord::default()
            },
            r#"{"v":1,"is":{"after":null,"since":0,"ended":null,"bytes":0,"damaged":0,"unreadable":["9b71"],"unreadable_before":["cf83"]}}"#,
        );
        check(
            &ScrubRecord { aside: vec!["9b71".into()], asked_for: true, ..ScrubRecord::default() },
            r#"{"v":1,"is":{"after":null,"since":0,"ended":null,"bytes":0,"damaged":0,"aside":["9b71"],"asked_for":true}}"#,
        );
        check(&WriterRecord { bytes: 7 }, r#"{"v":1,"is":{"bytes":7}}"#);
        check(
            &RulesRecord { next: Some("keep".into()), since: 7, ..RulesRecord::default() },
            r#"{"v":1,"is":{"next":"keep","since":7}}"#,
        );
        check(
            &RulesRecord { looked: Some(8), unsure: Some(9), ..RulesRecord::default() },
            r#"{"v":1,"is":{"since":0,"looked":8,"unsure":9}}"#,
        );
        check(&MarkRecord {}, r#"{"v":1,"is":{}}"#);
    }
}
