//! What is stored of a change of many hosts of a cluster, while it is under way.

use serde::{Deserialize, Serialize};
use store::Record;

/// A change of more hosts than one commit takes, or a cluster's deletion with as many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegroupingRecord {
    /// Which change: the number of the event that says that it was decided.
    pub id: u64,
    /// The moment of that event: when it was asked for, in milliseconds since the epoch.
    pub at_milliseconds: i64,
    /// Who asked for it, as the history names them.
    pub by: String,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How far it is.
    pub stage: RegroupingStage,
    /// In how many records the hosts are.
    pub parts: usize,
}

/// How far a change of many hosts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegroupingStage {
    /// The hosts are being written down.
    Gathering,
    /// Those that are to join are being reserved.
    Reserving,
    /// It is decided: hosts come and go.
    Moving,
    /// It was given up: those that are reserved are let go.
    Undoing,
    /// It is decided that the cluster goes: all of its hosts leave, and then it does. They are written down nowhere: who
    /// belongs to the cluster says so, and nobody joins any more.
    Deleting,
}

impl Record for RegroupingRecord {
    const VERSION: u32 = 1;
}

/// Some of the hosts that come and go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MovesRecord {
    /// Those that leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave: Vec<String>,
    /// Those that join, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<String>,
}

impl Record for MovesRecord {
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use store::Stored as _;

    use super::*;

    #[test]
    fn golden_bytes() {
        for (stage, word) in [
            (RegroupingStage::Gathering, "gathering"),
            (RegroupingStage::Reserving, "reserving"),
            (RegroupingStage::Moving, "moving"),
            (RegroupingStage::Undoing, "undoing"),
            (RegroupingStage::Deleting, "deleting"),
        ] {
            let (by, from) = ("ada".to_owned(), Some("192.0.2.7".to_owned()));
            let record = RegroupingRecord { id: 7, at_milliseconds: 9, by, from, stage, parts: 1 };
            let bytes = format!(
                r#"{{"v":1,"is":{{"id":7,"at_milliseconds":9,"by":"ada","from":"192.0.2.7","stage":"{word}","parts":1}}}}"#
            );
            assert_eq!(String::from_utf8(record.to_bytes().unwrap()).unwrap(), bytes);
            assert_eq!(RegroupingRecord::from_bytes(bytes.as_bytes()).unwrap(), record);
        }
        let record = MovesRecord { leave: vec!["a".to_owned()], join: vec!["b".to_owned()] };
        let bytes = r#"{"v":1,"is":{"leave":["a"],"join":["b"]}}"#;
        assert_eq!(String::from_utf8(record.to_bytes().unwrap()).unwrap(), bytes);
        assert_eq!(MovesRecord::from_bytes(bytes.as_bytes()).unwrap(), record);
        assert_eq!(MovesRecord::from_bytes(br#"{"v":1,"is":{}}"#).unwrap(), MovesRecord::default());
    }
}
