//! What is stored of looking after a host. It is written when something changes, not with each look.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use store::Record;

/// What has gone wrong with a host, and when to try again. Moments are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CareRecord {
    /// How often in a row it could not be made ready.
    #[serde(default)]
    pub attempts: u32,
    /// When that is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<i64>,
    /// How often in a row it has not answered.
    #[serde(default)]
    pub silences: u32,
    /// The status it had before it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_before: Option<String>,
    /// How much it flaps, as of `penalty_at`.
    #[serde(default)]
    pub penalty: u32,
    /// When it last went or came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty_at: Option<i64>,
    /// Whether it flapped so much that it has to be steady before it is trusted again.
    #[serde(default)]
    pub is_damped: bool,
}

impl Record for CareRecord {
    const VERSION: u32 = 1;
}

/// How far the watching of a slice of the hosts is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedRecord {
    /// When the hosts were due at which was looked last, in seconds since the epoch.
    pub due: i64,
}

impl Record for LookedRecord {
    const VERSION: u32 = 1;
}

/// A cluster that has another container manager than before, where its hosts have not all come after yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ManagerChangeRecord {
    /// The names of those that it had; empty for none.
    pub from: BTreeSet<String>,
}

impl Record for ManagerChangeRecord {
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use store::Stored as _;

    use super::*;

    #[test]
    fn golden_bytes_of_a_change() {
        let record = ManagerChangeRecord { from: ["".to_owned(), "k8s".to_owned()].into() };
        let bytes = r#"{"v":1,"is":{"from":["","k8s"]}}"#;
        assert_eq!(String::from_utf8(record.to_bytes().unwrap()).unwrap(), bytes);
        assert_eq!(ManagerChangeRecord::from_bytes(bytes.as_bytes()).unwrap(), record);
    }

    #[test]
    fn golden_bytes() {
        for (record, bytes) in [
            (
                CareRecord::default(),
                r#"{"v":1,"is":{"attempts":0,"silences":0,"penalty":0,"is_damped":false}}"#,
            ),
            (
                CareRecord {
                    attempts: 3,
                    retry_at: Some(9),
                    silences: 2,
                    status_before: Some("active".into()),
                    penalty: 1_000,
                    penalty_at: Some(7),
                    is_damped: true,
                },
                concat!(
                    r#"{"v":1,"is":{"attempts":3,"retry_at":9,"silences":2,"status_before":"active","#,
                    r#""penalty":1000,"penalty_at":7,"is_damped":true}}"#
                ),
            ),
        ] {
            assert_eq!(String::from_utf8(record.to_bytes().unwrap()).unwrap(), bytes);
            assert_eq!(CareRecord::from_bytes(bytes.as_bytes()).unwrap(), record);
        }
        let (looked, bytes) = (LookedRecord { due: 9 }, r#"{"v":1,"is":{"due":9}}"#);
        assert_eq!(String::from_utf8(looked.to_bytes().unwrap()).unwrap(), bytes);
        assert_eq!(LookedRecord::from_bytes(bytes.as_bytes()).unwrap(), looked);
    }
}
