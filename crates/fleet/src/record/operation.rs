//! What is stored of an operation besides the original's document.

use std::collections::BTreeSet;

use base::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::Record;

use crate::address::HostAddress;
use crate::operation::{OperationKind, Plan};
use crate::policy::{Gates, Policy};
use crate::rollout::{Outcome, Rollout, RolloutId, Wish};
use crate::run::{Cordon, HostRun, Past, RunState};

/// An operation: what was asked for, and how far it is. Moments are seconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// `deploy`, `upgrade` or `restart`.
    pub kind: String,
    /// Of a deployment: what is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How.
    pub policy: PolicyRecord,
    /// Who asked for it.
    pub by: String,
    /// `run`, `pause` or `abort`.
    pub wish: String,
    /// `finished`, `failed` or `aborted`; absent while it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How many hosts it is for.
    pub total: u64,
    /// How many are done.
    pub done: u64,
    /// How many it goes on without.
    pub skipped: u64,
    /// The places of those under way.
    pub underway: BTreeSet<u64>,
    /// The places of those that failed.
    pub failed: BTreeSet<u64>,
    /// How many have been written down.
    pub gathered: u64,
    /// Whether that is all.
    pub is_gathered: bool,
    /// No host before this place waits.
    pub cursor: u64,
    /// How many of the batch under way have not been begun with.
    pub batch_left: u64,
    /// When it was asked for.
    pub started_at: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
}

/// How an operation goes through a cluster; what is usual is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// `3` or `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// `3` or `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<String>,
    /// `3` or `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// How many hosts may fail.
    #[serde(default)]
    pub failures_max: u32,
    /// Whether hosts are drained before.
    #[serde(default)]
    pub drain: bool,
    /// Whether nodes have to be ready after.
    #[serde(default)]
    pub node_ready: bool,
    /// What has to succeed after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How long to wait then.
    #[serde(default)]
    pub soak_seconds: i64,
    /// How long a host may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_seconds_max: Option<i64>,
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<i64>,
    /// `mon,wed 22:00-04:00`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<String>,
}

/// One host of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRunRecord {
    /// Which.
    pub address: String,
    /// `waiting`, `begun`, `awaiting`, `soaking`, `done`, `failed` or `skipped`.
    pub state: String,
    /// Since when; absent of one that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// When it was begun with, where that is not the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<i64>,
    /// Of the boot before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `perhaps` or `left`; absent where it is not cordoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cordon: Option<String>,
    /// How often it was begun with; absent where it was not.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub attempts: u32,
    /// Of a restart: of the boot in which it was first begun with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_boot_id: Option<String>,
    /// Why it failed the last time, of one that is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<String>,
}

/// Which operation a host is under way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWayRecord {
    /// On which cluster.
    pub cluster: String,
    /// Which of its operations.
    pub operation: u64,
}

/// A node of which an operation could not lift the cordon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CordonLeftRecord {
    /// Which of the cluster's operations.
    pub operation: u64,
    /// The host's place in it.
    pub place: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_none_yet(attempts: &u32) -> bool {
    *attempts == 0
}

/// The operation that runs on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningRecord {
    /// Its id.
    pub id: u64,
    /// `deploy`, `upgrade` or `restart`.
    pub kind: String,
}

impl Record for RolloutRecord {
    const VERSION: u32 = 1;
}

impl Record for HostRunRecord {
    const VERSION: u32 = 1;
}

impl Record for UnderWayRecord {
    const VERSION: u32 = 1;
}

impl Record for CordonLeftRecord {
    const VERSION: u32 = 1;
}

impl Record for RunningRecord {
    const VERSION: u32 = 1;
}

impl Rollout {
    /// What is stored of it.
    pub(crate) fn record(&self) -> RolloutRecord {
        RolloutRecord {
            kind: self.plan.kind().as_str().to_owned(),
            version: self.plan.version().map(str::to_owned),
            policy: self.policy.record(),
            by: self.by.clone(),
            wish: self.wish.as_str().to_owned(),
            outcome: self.outcome.map(|outcome| outcome.as_str().to_owned()),
            total: self.total,
            done: self.done,
            skipped: self.skipped,
            underway: self.underway.clone(),
            failed: self.failed.clone(),
            gathered: self.gathered,
            is_gathered: self.is_gathered,
            cursor: self.cursor,
            batch_left: self.batch_left,
            started_at: self.started_at.as_unix(),
            ended_at: self.ended_at.map(Timestamp::as_unix),
        }
    }

    /// What stands in a record.
    pub(crate) fn from_record(cluster: &str, id: RolloutId, record: RolloutRecord) -> Result<Self, String> {
        let kind = kind(&record.kind)?;
        let plan = Plan::of(kind, record.version.as_deref()).map_err(|error| error.to_string())?;
        let wish =
            [Wish::Run, Wish::Pause, Wish::Abort].into_iter().find(|wish| wish.as_str() == record.wish);
        let outcome = |text: String| {
            let all = [Outcome::Finished, Outcome::Failed, Outcome::Aborted];
            let found = all.into_iter().find(|outcome| outcome.as_str() == text);
            found.ok_or(format!("{text:?} is no end of an operation"))
        };
        Ok(Self {
            cluster: cluster.parse().map_err(|error| format!("{error}"))?,
            id,
            plan,
            policy: Policy::from_record(record.policy)?,
            by: record.by,
            wish: wish.ok_or_else(|| format!("{:?} is nothing that is wanted", record.wish))?,
            outcome: record.outcome.map(outcome).transpose()?,
            total: record.total,
            done: record.done,
            skipped: record.skipped,
            started_at: Timestamp::from_unix(record.started_at),
            ended_at: record.ended_at.map(Timestamp::from_unix),
            underway: record.underway,
            failed: record.failed,
            gathered: record.gathered,
            is_gathered: record.is_gathered,
            cursor: record.cursor,
            batch_left: record.batch_left,
        })
    }
}

/// The kind of operation that a text names.
pub(crate) fn kind(text: &str) -> Result<OperationKind, String> {
    let found = OperationKind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| format!("{text:?} is no kind of operation"))
}

impl Policy {
    fn record(&self) -> PolicyRecord {
        let share = |share: Option<crate::policy::Share>| share.map(|share| share.to_string());
        PolicyRecord {
            batch: share(self.batch),
            max_unavailable: share(self.max_unavailable),
            canary: share(self.canary),
            failures_max: self.failures_max,
            drain: self.drain,
            node_ready: self.gates.node_ready,
            command: self.gates.command.clone(),
            soak_seconds: self.gates.soak.as_seconds(),
            host_seconds_max: self.host_limit.map(Span::as_seconds),
            start_at: self.start_at.map(Timestamp::as_unix),
            windows: self.windows.iter().map(ToString::to_string).collect(),
        }
    }

    fn from_record(record: PolicyRecord) -> Result<Self, String> {
        let share = |text: Option<String>| {
            text.map(|text| text.parse())
                .transpose()
                .map_err(|error: crate::policy::BadPolicy| error.to_string())
        };
        let windows: Result<_, _> = record.windows.iter().map(|text| text.parse()).collect();
        Ok(Self {
            batch: share(record.batch)?,
            max_unavailable: share(record.max_unavailable)?,
            canary: share(record.canary)?,
            failures_max: record.failures_max,
            drain: record.drain,
            gates: Gates {
                node_ready: record.node_ready,
                command: record.command,
                soak: Span::seconds(record.soak_seconds),
            },
            host_limit: record.host_seconds_max.map(Span::seconds),
            start_at: record.start_at.map(Timestamp::from_unix),
            windows: windows.map_err(|error: crate::window::BadWindow| error.to_string())?,
        })
    }
}

impl HostRun {
    /// What is stored of it.
    pub(crate) fn record(&self) -> HostRunRecord {
        let (mut at, mut begun, mut boot, mut why) = (None, None, None, None);
        match &self.state {
            RunState::Waiting => {}
            RunState::Begun { boot_id, at: since } => {
                at = Some(since);
                boot = boot_id.clone();
            }
            RunState::Awaiting { boot_id, begun_at, since } => {
                (at, begun) = (Some(since), Some(begun_at.as_unix()));
                boot = boot_id.clone();
            }
            RunState::Soaking { since } | RunState::Done { at: since } => at = Some(since),
            RunState::Failed { reason, at: since } | RunState::Skipped { reason, at: since } => {
                at = Some(since);
                why = Some(reason.clone());
            }
        }
        HostRunRecord {
            address: self.address.to_string(),
            state: self.state.as_str().to_owned(),
            at: at.map(|at| at.as_unix()),
            begun_at: begun,
            boot_id: boot,
            reason: why,
            cordon: (self.cordon != Cordon::None).then(|| self.cordon.as_str().to_owned()),
            attempts: self.past.attempts,
            first_boot_id: self.past.boot_id.clone(),
            last_reason: self.past.reason.clone(),
        }
    }

    /// What stands in a record.
    pub(crate) fn from_record(place: u64, record: HostRunRecord) -> Result<Self, String> {
        let at = Timestamp::from_unix(record.at.unwrap_or_default());
        let begun_at = record.begun_at.map_or(at, Timestamp::from_unix);
        let (boot_id, reason) = (record.boot_id, record.reason.unwrap_or_default());
        let state = match record.state.as_str() {
            "waiting" => RunState::Waiting,
            "begun" => RunState::Begun { boot_id, at },
            "awaiting" => RunState::Awaiting { boot_id, begun_at, since: at },
            "soaking" => RunState::Soaking { since: at },
            "done" => RunState::Done { at },
            "failed" => RunState::Failed { reason, at },
            "skipped" => RunState::Skipped { reason, at },
            other => return Err(format!("{other:?} is no state of a host")),
        };
        let cordon = match record.cordon.as_deref() {
            None => Cordon::None,
            Some("perhaps") => Cordon::Perhaps,
            Some("left") => Cordon::Left,
            Some(other) => return Err(format!("{other:?} is no state of a cordon")),
        };
        let address = HostAddress::stored(&record.address).map_err(|error| error.to_string())?;
        let past =
            Past { attempts: record.attempts, boot_id: record.first_boot_id, reason: record.last_reason };
        Ok(Self { place, address, state, cordon, past })
    }
}

#[cfg(test)]
mod tests {
    use store::{Stored as _, decode};

    use super::*;

    fn written(record: &impl store::Stored) -> String {
        String::from_utf8(record.to_bytes().unwrap()).unwrap()
    }

    #[test]
    fn golden_bytes_of_operations() {
        let id = RolloutId(1_481_000_000_000);
        let at = Timestamp::from_unix(1_481_000_000);
        let plan = Plan::of(OperationKind::Deploy, Some("7.2.6")).unwrap();
        let mut rollout =
            Rollout::asked_for(("web".parse().unwrap(), id), (plan, Policy::default()), "ada".into(), 3, at);
        let bytes = concat!(
            r#"{"v":1,"is":{"kind":"deploy","version":"7.2.6","#,
            r#""policy":{"failures_max":0,"drain":false,"node_ready":true,"soak_seconds":0},"by":"ada","#,
            r#""wish":"run","total":3,"done":0,"skipped":0,"underway":[],"failed":[],"gathered":0,"#,
            r#""is_gathered":false,"cursor":0,"batch_left":0,"started_at":1481000000}}"#
        );
        assert_eq!(written(&rollout.record()), bytes);
        let back = |bytes: &str| Rollout::from_record("web", id, decode(bytes.as_bytes()).unwrap());
        assert_eq!(back(bytes).unwrap(), rollout);

        rollout.plan = Plan::Restart;
        rollout.policy = Policy {
            batch: Some("3".parse().unwrap()),
            max_unavailable: Some("25%".parse().unwrap()),
            canary: Some("1".parse().unwrap()),
            failures_max: 2,
            drain: true,
            gates: Gates { node_ready: false, command: Some("true".into()), soak: Span::seconds(30) },
            host_limit: Some(Span::seconds(900)),
            start_at: Some(at),
            windows: vec!["mon,wed 22:00-04:00".parse().unwrap()],
        };
        (rollout.wish, rollout.outcome, rollout.ended_at) = (Wish::Abort, Some(Outcome::Aborted), Some(at));
        (rollout.underway, rollout.failed) = ([4].into(), [1, 2].into());
        let bytes = concat!(
            r#"{"v":1,"is":{"kind":"restart","policy":{"batch":"3","max_unavailable":"25%","canary":"1","#,
            r#""failures_max":2,"drain":true,"node_ready":false,"command":"true","soak_seconds":30,"#,
            r#""host_seconds_max":900,"start_at":1481000000,"windows":["mon,wed 22:00-04:00"]},"by":"ada","#,
            r#""wish":"abort","outcome":"aborted","total":3,"done":0,"skipped":0,"underway":[4],"failed":[1,2],"#,
            r#""gathered":0,"is_gathered":false,"cursor":0,"batch_left":0,"started_at":1481000000,"#,
            r#""ended_at":1481000000}}"#
        );
        assert_eq!(written(&rollout.record()), bytes);
        assert_eq!(back(bytes).unwrap(), rollout);
        for (from, to, reason) in [
            (r#""abort","outcome""#, r#""x","outcome""#, "nothing that is wanted"),
            (r#""aborted""#, r#""x""#, "no end"),
            (r#""restart""#, r#""reboot""#, "no kind"),
            (r#""25%""#, r#""250%""#, "no share"),
            ("mon,wed", "someday", "no maintenance window"),
        ] {
            assert!(back(&bytes.replace(from, to)).unwrap_err().contains(reason), "{from}");
        }
    }

    #[test]
    fn golden_bytes_of_hosts_and_of_what_runs() {
        let at = Timestamp::from_unix(7);
        let (boot_id, reason) = (Some("2f1c".to_owned()), "no".to_owned());
        for (state, cordon, bytes) in [
            (RunState::Waiting, Cordon::None, r#""state":"waiting""#),
            (
                RunState::Begun { boot_id: boot_id.clone(), at },
                Cordon::Perhaps,
                r#""state":"begun","at":7,"boot_id":"2f1c","cordon":"perhaps""#,
            ),
            (
                RunState::Awaiting { boot_id, begun_at: Timestamp::from_unix(3), since: at },
                Cordon::None,
                r#""state":"awaiting","at":7,"begun_at":3,"boot_id":"2f1c""#,
            ),
            (RunState::Soaking { since: at }, Cordon::None, r#""state":"soaking","at":7"#),
            (RunState::Done { at }, Cordon::None, r#""state":"done","at":7"#),
            (
                RunState::Failed { reason: reason.clone(), at },
                Cordon::Left,
                r#""state":"failed","at":7,"reason":"no","cordon":"left""#,
            ),
            (RunState::Skipped { reason, at }, Cordon::None, r#""state":"skipped","at":7,"reason":"no""#),
        ] {
            let bytes = format!(r#"{{"v":1,"is":{{"address":"10.0.0.1",{bytes}}}}}"#);
            let address = "10.0.0.1".parse().unwrap();
            let mut run = HostRun { place: 5, address, state, cordon, past: Past::default() };
            assert_eq!(written(&run.record()), bytes);
            assert_eq!(HostRun::from_record(5, decode(bytes.as_bytes()).unwrap()).unwrap(), run);
            run.past = Past { attempts: 2, boot_id: Some("1c".into()), reason: Some("no".into()) };
            let past = r#","attempts":2,"first_boot_id":"1c","last_reason":"no"}}"#;
            let bytes = bytes.replace("}}", past);
            assert_eq!(written(&run.record()), bytes);
            assert_eq!(HostRun::from_record(5, decode(bytes.as_bytes()).unwrap()).unwrap(), run);
        }
        let under_way = UnderWayRecord { cluster: "web".into(), operation: 7 };
        let bytes = r#"{"v":1,"is":{"cluster":"web","operation":7}}"#;
        assert_eq!(written(&under_way), bytes);
        assert_eq!(UnderWayRecord::from_bytes(bytes.as_bytes()).unwrap(), under_way);
        let running = RunningRecord { id: 1_481_000_000_000, kind: "restart".into() };
        let bytes = r#"{"v":1,"is":{"id":1481000000000,"kind":"restart"}}"#;
        assert_eq!(written(&running), bytes);
        assert_eq!(RunningRecord::from_bytes(bytes.as_bytes()).unwrap(), running);
    }
}
