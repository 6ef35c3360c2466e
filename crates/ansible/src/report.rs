//! What came of a run, host by host.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Trouble;

/// How a line of the callback plugin begins; everything else that is printed is not ours.
const MARK: &[u8] = b"provost-result ";

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By the names of the inventory, all of its hosts.
    pub hosts: BTreeMap<String, HostReport>,
}

/// What came of it on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostReport {
    /// What the playbook gave back, with `set_stats` and `per_host`.
    pub results: Map<String, Value>,
    /// The host key that it proved: `ssh-ed25519 AAAA…`. Nothing where it came not so far; where it proved another key
    /// than the pinned one, that other one, if it told it once more.
    pub proved: Option<String>,
    /// The task that did not succeed.
    pub trouble: Option<Trouble>,
    /// Whether any task was told of there, whatever came of it: a playbook may have none for it.
    pub is_told_of: bool,
}

/// What the callback plugin tells.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Told {
    Ok(Task),
    Skipped(Task),
    Failed(Task),
    Unreachable(Task),
    End { results: BTreeMap<String, Map<String, Value>> },
}

#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    pub(crate) host: String,
    pub(crate) task: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) rc: Option<i64>,
    #[serde(default)]
    pub(crate) msg: String,
    #[serde(default)]
    pub(crate) stdout: String,
    #[serde(default)]
    pub(crate) stderr: String,
}

/// What `line` tells, if it is the callback plugin's.
pub(crate) fn read(line: &[u8]) -> Option<Told> {
    serde_json::from_slice(line.strip_prefix(MARK)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plugin_tells_is_read_and_nothing_else() {
        let told =
            read(br#"provost-result {"event": "ok", "host": "h", "task": "t", "tags": ["a"]}"#).unwrap();
        assert!(matches!(told, Told::Ok(Task { host, tags, .. }) if host == "h" && tags == ["a"]));
        let told =
            read(br#"provost-result {"event": "failed", "host": "h", "task": "t", "rc": null, "more": 1}"#);
        assert!(matches!(told, Some(Told::Failed(Task { rc: None, .. }))));
        let told = read(br#"provost-result {"event": "end", "results": {"h": {"x": [1]}}}"#).unwrap();
        assert!(matches!(told, Told::End { results } if results["h"]["x"] == serde_json::json!([1])));
        for other in
            ["", "PLAY [all]", "provost-result ", "provost-result {}", r#"{"event": "end", "results": {}}"#]
        {
            assert!(read(other.as_bytes()).is_none(), "{other}");
        }
    }
}
