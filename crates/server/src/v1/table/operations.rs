//! The routes of operations on clusters.

use fleet::{ReadClusters, StartOperation, SteerOperation};
use wire::Page;

use super::{Call, PAGED, Parameter, Row};

const HOSTS: &[Parameter] = &[Parameter::Limit, Parameter::After, Parameter::State];

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::get(
            "/clusters/{name}/operations",
            Call::Operations,
            "listOperations",
            "The operations on a cluster, the latest first, a page at a time",
        )
        .may::<ReadClusters>()
        .query(PAGED)
        .answers::<Page<wire::Operation>>(200)
        .or(&[404, 422]),
        Row::post(
            "/clusters/{name}/operations",
            Call::StartOperation,
            "startOperation",
            "Deploy to, upgrade or restart all hosts of a cluster, unless something of this is running; with `dry_run` \
             only tell what that would do",
        )
        .may::<StartOperation>()
        .takes::<wire::NewOperation>()
        .answers::<wire::OperationPlan>(200)
        .answers::<wire::Operation>(201)
        .or(&[404, 409, 422]),
        Row::get(
            "/clusters/{name}/operations/{id}",
            Call::Operation,
            "getOperation",
            "An operation, and how it is doing",
        )
        .may::<ReadClusters>()
        .answers::<wire::Operation>(200)
        .or(&[404]),
        Row::get(
            "/clusters/{name}/operations/{id}/events",
            Call::OperationEvents,
            "watchOperation",
            "An operation, and then what becomes of it, until it has ended",
        )
        .may::<ReadClusters>()
        .unconditional()
        .answers_events()
        .answers_nothing()
        .or(&[404]),
        Row::get(
            "/clusters/{name}/operations/{id}/hosts",
            Call::OperationHosts,
            "listOperationHosts",
            "The hosts of an operation in the order in which they are begun with, a page at a time",
        )
        .may::<ReadClusters>()
        .query(HOSTS)
        .answers::<Page<wire::OperationHost>>(200)
        .or(&[404, 422]),
        steers("/clusters/{name}/operations/{id}/pause", Call::PauseOperation, "pauseOperation", "Have no more hosts begun with"),
        steers("/clusters/{name}/operations/{id}/resume", Call::ResumeOperation, "resumeOperation", "Have a paused operation go on"),
        steers(
            "/clusters/{name}/operations/{id}/abort",
            Call::AbortOperation,
            "abortOperation",
            "End an operation: hosts under way are given up, and nothing is left cordoned; what hosts were sent already, a \
             reboot say, is not recalled",
        ),
        steers(
            "/clusters/{name}/operations/{id}/retry",
            Call::RetryOperation,
            "retryOperation",
            "Have an operation that failed or was aborted go on, with the hosts that failed once more",
        ),
        steers(
            "/clusters/{name}/operations/{id}/hosts/{address}/skip",
            Call::SkipHost,
            "skipOperationHost",
            "Have an operation go on without a host that waits or has failed",
        ),
    ]
}

/// Something that is done to an operation.
fn steers(path: &'static str, call: Call, id: &'static str, summary: &'static str) -> Row {
    Row::post(path, call, id, summary)
        .may::<SteerOperation>()
        .takes::<wire::Steering>()
        .answers::<wire::Operation>(200)
        .or(&[404, 409])
}
