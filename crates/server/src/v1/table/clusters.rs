//! The routes of clusters.

use fleet::{DeleteCluster, JoinCluster, LeaveCluster, ReadClusters, ReplaceMembers, WriteCluster};
use wire::Page;

use super::{Call, PAGED, Parameter, Row};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::get("/clusters", Call::Clusters, "listClusters", "Clusters, a page at a time")
            .may::<ReadClusters>()
            .query(PAGED)
            .answers::<Page<wire::Cluster>>(200)
            .or(&[422]),
        Row::get("/clusters/{name}", Call::Cluster, "getCluster", "A cluster, and how it is doing")
            .may::<ReadClusters>()
            .answers::<wire::Cluster>(200)
            .or(&[404]),
        Row::put("/clusters/{name}", Call::PutCluster, "putCluster", "Make a cluster, or change one")
            .may::<WriteCluster>()
            .takes::<wire::ClusterSettings>()
            .answers::<wire::Cluster>(200)
            .answers::<wire::Cluster>(201)
            .or(&[409]),
        Row::delete(
            "/clusters/{name}",
            Call::DeleteCluster,
            "deleteCluster",
            "Delete a cluster; its hosts belong to none then",
        )
        .may::<DeleteCluster>()
        .query(&[Parameter::Force])
        .or(&[404]),
        Row::get(
            "/clusters/{name}/hosts",
            Call::Members,
            "listClusterHosts",
            "The addresses of a cluster's hosts, a page at a time",
        )
        .may::<ReadClusters>()
        .query(PAGED)
        .answers::<Page<String>>(200)
        .or(&[404, 422]),
        Row::put(
            "/clusters/{name}/hosts",
            Call::ReplaceMembers,
            "putClusterHosts",
            "Say which hosts a cluster has",
        )
        .may::<ReplaceMembers>()
        .takes::<wire::Members>()
        .answers::<wire::Cluster>(200)
        .or(&[404, 409, 422])
        .untagged(),
        Row::get(
            "/clusters/{name}/hosts/{address}",
            Call::Member,
            "getClusterHost",
            "A host, if it belongs to the cluster",
        )
        .may::<ReadClusters>()
        .answers::<wire::Host>(200)
        .or(&[404]),
        Row::put(
            "/clusters/{name}/hosts/{address}",
            Call::Join,
            "joinCluster",
            "Let a host join the cluster",
        )
        .may::<JoinCluster>()
        .answers::<wire::Host>(200)
        .answers::<wire::Host>(201)
        // The last ones, because it has to be read whether there is a body.
        .or(&[404, 409, 408, 413, 502, 507])
        .unconditional(),
        Row::delete(
            "/clusters/{name}/hosts/{address}",
            Call::Leave,
            "leaveCluster",
            "Let a host leave the cluster",
        )
        .may::<LeaveCluster>()
        .or(&[404])
        .unconditional(),
    ]
}
