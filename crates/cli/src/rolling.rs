//! How an operation is to go through a cluster, as options of a command.

use clap::Args;
use wire::{OperationGates, OperationPolicy};

/// Options that say how. What is no share, moment or window, the server says.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "How it goes through the cluster")]
pub(crate) struct Rolling {
    /// So many hosts at once, `3` or `25%`, and the next so many when all of them are done [default: 1]
    #[arg(long, value_name = "SHARE")]
    batch: Option<String>,
    /// Never more unavailable than these, for whatever reason; without --batch a host follows as soon as another is done
    #[arg(long, value_name = "SHARE")]
    max_unavailable: Option<String>,
    /// These first, and none of them may fail
    #[arg(long, value_name = "SHARE")]
    canary: Option<String>,
    /// Go on as long as no more hosts have failed than these
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    failures: u32,
    /// Cordon and drain the node of each host before, where there is a container manager
    #[arg(long)]
    drain: bool,
    /// Do not wait until the node of a host is ready again
    #[arg(long)]
    no_wait_node_ready: bool,
    /// A host is not done before this command succeeds on it
    #[arg(long, value_name = "COMMAND")]
    gate_command: Option<String>,
    /// And then for so long nothing else happens to it
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=WEEK))]
    soak: u32,
    /// A host that takes longer has failed [default: 600 for a restart, otherwise 3600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=WEEK))]
    host_limit: Option<u32>,
    /// Begin with no host before this moment, in UTC: `2026-11-22T01:00:00Z`
    #[arg(long, value_name = "TIME")]
    start_at: Option<String>,
    /// Begin with hosts in this maintenance window only, in UTC: `mon,wed 22:00-04:00`, `daily 01:00-05:00`
    #[arg(long = "window", value_name = "WINDOW")]
    windows: Vec<String>,
}

/// In seconds.
const WEEK: i64 = 604_800;

impl Rolling {
    /// As the server is told.
    pub(crate) fn policy(self) -> OperationPolicy {
        OperationPolicy {
            batch: self.batch,
            max_unavailable: self.max_unavailable,
            canary: self.canary,
            failures_max: self.failures,
            drain: self.drain,
            gates: OperationGates {
                node_ready: !self.no_wait_node_ready,
                command: self.gate_command,
                soak_seconds: self.soak,
            },
            host_limit_seconds: self.host_limit,
            start_at: self.start_at,
            windows: self.windows,
        }
    }
}
