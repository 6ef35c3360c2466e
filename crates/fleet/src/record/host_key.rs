//! What is stored of the keys that hosts prove, and of the steps that make them ready.

use serde::{Deserialize, Serialize};
use store::Record;

/// Which key a host has to prove. Moments are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKeyRecord {
    /// The one that is expected of it: `ssh-ed25519 AAAA…`.
    pub key: String,
    /// Since when.
    pub since: i64,
    /// The one that it offered instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<String>,
    /// When that was first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_at: Option<i64>,
}

impl Record for HostKeyRecord {
    const VERSION: u32 = 1;
}

/// Which steps are done on a host that is being made ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapRecord {
    /// Which plan they are of: a digest of it, in hexadecimal.
    pub plan: String,
    /// Their names.
    pub done: Vec<String>,
}

impl Record for BootstrapRecord {
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use store::Stored as _;

    use super::*;

    #[test]
    fn golden_bytes() {
        let pinned =
            HostKeyRecord { key: "ssh-ed25519 AAAA".into(), since: 7, offered: None, offered_at: None };
        let changed =
            HostKeyRecord { offered: Some("ssh-rsa BBBB".into()), offered_at: Some(9), ..pinned.clone() };
        for (record, bytes) in [
            (pinned, r#"{"v":1,"is":{"key":"ssh-ed25519 AAAA","since":7}}"#),
            (
                changed,
                r#"{"v":1,"is":{"key":"ssh-ed25519 AAAA","since":7,"offered":"ssh-rsa BBBB","offered_at":9}}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(record.to_bytes().unwrap()).unwrap(), bytes);
            assert_eq!(HostKeyRecord::from_bytes(bytes.as_bytes()).unwrap(), record);
        }
        let done = BootstrapRecord { plan: "0a1b".into(), done: vec!["docker".into()] };
        let bytes = r#"{"v":1,"is":{"plan":"0a1b","done":["docker"]}}"#;
        assert_eq!(String::from_utf8(done.to_bytes().unwrap()).unwrap(), bytes);
        assert_eq!(BootstrapRecord::from_bytes(bytes.as_bytes()).unwrap(), done);
    }
}
