//! Which call a request is for (commissaire contract, sections 2.3 and 3.1).
//!
//! A route is a method and a path together: a known path with another method is as unknown as any other.

use std::str::FromStr;

use fleet::{
    BadAddress, BadName, ClusterName, ContainerManagerName, HostAddress, NetworkName, OperationKind,
};
use http::Method;

/// Where the dialect begins, behind the first slash.
const ROOT: &str = "api/v0";

/// How many pieces a path with a route has at most: `/cluster/NAME/hosts/ADDRESS/`.
const SEGMENTS_MAX: usize = 5;

/// A request that has a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Hosts,
    Host(HostAddress),
    PutHost(HostAddress),
    /// The address is in the body, or it is the one that the request comes from.
    PutSomeHost,
    Credentials(HostAddress),
    DeleteHost(HostAddress),
    HostStatus(HostAddress),
    Clusters,
    Cluster(ClusterName),
    PutCluster(ClusterName),
    DeleteCluster(ClusterName),
    Members(ClusterName),
    ReplaceMembers(ClusterName),
    Member(ClusterName, HostAddress),
    Join(ClusterName, HostAddress),
    Leave(ClusterName, HostAddress),
    Operation(ClusterName, OperationKind),
    Start(ClusterName, OperationKind),
    Networks,
    Network(NetworkName),
    PutNetwork(NetworkName),
    DeleteNetwork(NetworkName),
    ContainerManagers,
    ContainerManager(ContainerManagerName),
    PutContainerManager(ContainerManagerName),
    DeleteContainerManager(ContainerManagerName),
}

/// Why a request has no call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// No route is like this.
    Route,
    /// What was to be made cannot have this name; why, in words.
    Name(String),
}

/// What follows `/api/v0` in a decoded path; `None` when it does not begin so. Some clients put a slash too many in
/// front of it.
pub(super) fn inside(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?.trim_start_matches('/');
    let rest = path.strip_prefix(ROOT)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The call that `method` and `path` are for; `path` is decoded, and begins behind `/api/v0`.
pub(super) fn find(method: &Method, path: &str) -> Result<Call, Missed> {
    let mut segments = [""; SEGMENTS_MAX];
    let mut count = 0;
    for segment in path.split('/').skip(1) {
        *segments.get_mut(count).ok_or(Missed::Route)? = segment;
        count += 1;
    }
    let slash = count > 0 && segments[count - 1].is_empty();
    let segments = &segments[..count - usize::from(slash)];
    match *method {
        Method::GET => get(segments, slash),
        Method::PUT => put(segments, slash),
        Method::DELETE => delete(segments),
        _ => Err(Missed::Route),
    }
}

fn get(segments: &[&str], slash: bool) -> Result<Call, Missed> {
    Ok(match *segments {
        ["hosts"] => Call::Hosts,
        ["host", host] => Call::Host(known(host)?),
        ["host", host, "creds"] if !slash => Call::Credentials(known(host)?),
        ["host", host, "status"] => Call::HostStatus(known(host)?),
        // The manual's name for the list is the second one.
        ["clusters" | "cluster"] => Call::Clusters,
        ["cluster", cluster] => Call::Cluster(known(cluster)?),
        ["cluster", cluster, "hosts"] => Call::Members(known(cluster)?),
        ["cluster", cluster, "hosts", host] => Call::Member(known(cluster)?, known(host)?),
        ["cluster", cluster, operation] if !slash => Call::Operation(known(cluster)?, kind(operation)?),
        ["networks"] => Call::Networks,
        ["network", network] => Call::Network(known(network)?),
        ["containermanagers"] => Call::ContainerManagers,
        ["containermanager", manager] => Call::ContainerManager(known(manager)?),
        _ => return Err(Missed::Route),
    })
}

fn put(segments: &[&str], slash: bool) -> Result<Call, Missed> {
    Ok(match *segments {
        ["host"] => Call::PutSomeHost,
        ["host", host] => Call::PutHost(new(host)?),
        ["cluster", cluster] => Call::PutCluster(new(cluster)?),
        ["cluster", cluster, "hosts"] => Call::ReplaceMembers(known(cluster)?),
        ["cluster", cluster, "hosts", host] => Call::Join(known(cluster)?, known(host)?),
        ["cluster", cluster, operation] if !slash => Call::Start(known(cluster)?, kind(operation)?),
        ["network", network] => Call::PutNetwork(new(network)?),
        ["containermanager", manager] => Call::PutContainerManager(new(manager)?),
        _ => return Err(Missed::Route),
    })
}

fn delete(segments: &[&str]) -> Result<Call, Missed> {
    Ok(match *segments {
        ["host", host] => Call::DeleteHost(known(host)?),
        ["cluster", cluster] => Call::DeleteCluster(known(cluster)?),
        ["cluster", cluster, "hosts", host] => Call::Leave(known(cluster)?, known(host)?),
        ["network", network] => Call::DeleteNetwork(known(network)?),
        ["containermanager", manager] => Call::DeleteContainerManager(known(manager)?),
        _ => return Err(Missed::Route),
    })
}

fn kind(text: &str) -> Result<OperationKind, Missed> {
    OperationKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(Missed::Route)
}

/// The name of something that has to be there: what cannot be its name is not.
fn known<T: FromStr>(text: &str) -> Result<T, Missed> {
    text.parse().map_err(|_| Missed::Route)
}

/// The name of something that is to be made.
fn new<T: FromStr<Err: Into<Missed>>>(text: &str) -> Result<T, Missed> {
    text.parse().map_err(Into::into)
}

impl From<BadName> for Missed {
    fn from(error: BadName) -> Self {
        match error {
            BadName::Empty | BadName::Character => Self::Route,
            BadName::TooLong => Self::Name(error.to_string()),
        }
    }
}

impl From<BadAddress> for Missed {
    fn from(error: BadAddress) -> Self {
        match error {
            BadAddress::Empty | BadAddress::Character => Self::Route,
            BadAddress::TooLong | BadAddress::Option | BadAddress::Form | BadAddress::NoHost => {
                Self::Name(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Result<Call, Missed> {
        find(&Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    #[test]
    fn the_dialect_has_a_tree_of_its_own() {
        for (path, rest) in [
            ("/api/v0", Some("")),
            ("/api/v0/", Some("/")),
            ("/api/v0/hosts", Some("/hosts")),
            ("//api/v0/hosts", Some("/hosts")),
            ("/api/v0//hosts", Some("//hosts")),
            ("/api/v01", None),
            ("/api/v1/hosts", None),
            ("/api//v0/hosts", None),
            ("api/v0/hosts", None),
            ("/", None),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(inside(path), rest, "{path}");
        }
    }

    /// Section 3.1: each row with and without a slash at its end.
    #[test]
    fn every_row_has_its_call() {
        use OperationKind::{Deploy, Restart, Upgrade};
        let (host, cluster) = (|| "10.0.0.1".parse().unwrap(), || "c-1".parse().unwrap());
        let (network, manager) = (|| "n_1".parse().unwrap(), || "k8s".parse().unwrap());
        for (method, path, call, slash) in [
            ("GET", "/hosts", Call::Hosts, true),
            ("GET", "/host/10.0.0.1", Call::Host(host()), true),
            ("PUT", "/host/10.0.0.1", Call::PutHost(host()), true),
            ("PUT", "/host", Call::PutSomeHost, true),
            ("GET", "/host/10.0.0.1/creds", Call::Credentials(host()), false),
            ("DELETE", "/host/10.0.0.1", Call::DeleteHost(host()), true),
            ("GET", "/host/10.0.0.1/status", Call::HostStatus(host()), true),
            ("GET", "/clusters", Call::Clusters, true),
            ("GET", "/cluster", Call::Clusters, true),
            ("GET", "/cluster/c-1", Call::Cluster(cluster()), true),
            ("PUT", "/cluster/c-1", Call::PutCluster(cluster()), true),
            ("DELETE", "/cluster/c-1", Call::DeleteCluster(cluster()), true),
            ("GET", "/cluster/c-1/hosts", Call::Members(cluster()), true),
            ("PUT", "/cluster/c-1/hosts", Call::ReplaceMembers(cluster()), true),
            ("GET", "/cluster/c-1/hosts/10.0.0.1", Call::Member(cluster(), host()), true),
            ("PUT", "/cluster/c-1/hosts/10.0.0.1", Call::Join(cluster(), host()), true),
            ("DELETE", "/cluster/c-1/hosts/10.0.0.1", Call::Leave(cluster(), host()), true),
            ("GET", "/cluster/c-1/deploy", Call::Operation(cluster(), Deploy), false),
            ("PUT", "/cluster/c-1/deploy", Call::Start(cluster(), Deploy), false),
            ("GET", "/cluster/c-1/upgrade", Call::Operation(cluster(), Upgrade), false),
            ("PUT", "/cluster/c-1/upgrade", Call::Start(cluster(), Upgrade), false),
            ("GET", "/cluster/c-1/restart", Call::Operation(cluster(), Restart), false),
            ("PUT", "/cluster/c-1/restart", Call::Start(cluster(), Restart), false),
            ("GET", "/networks", Call::Networks, true),
            ("GET", "/network/n_1", Call::Network(network()), true),
            ("PUT", "/network/n_1", Call::PutNetwork(network()), true),
            ("DELETE", "/network/n_1", Call::DeleteNetwork(network()), true),
            ("GET", "/containermanagers", Call::ContainerManagers, true),
            ("GET", "/containermanager/k8s", Call::ContainerManager(manager()), true),
            ("PUT", "/containermanager/k8s", Call::PutContainerManager(manager()), true),
            ("DELETE", "/containermanager/k8s", Call::DeleteContainerManager(manager()), true),
        ] {
            assert_eq!(found(method, path), Ok(call.clone()), "{method} {path}");
            let with_slash = if slash { Ok(call) } else { Err(Missed::Route) };
            assert_eq!(found(method, &format!("{path}/")), with_slash, "{method} {path}/");
            assert_eq!(found(method, &format!("{path}//")), Err(Missed::Route), "{method} {path}//");
            for other in ["HEAD", "OPTIONS", "POST", "PATCH", "TRACE", "BREW"] {
                assert_eq!(found(other, path), Err(Missed::Route), "{other} {path}");
            }
        }
    }

    #[test]
    fn what_is_no_name_has_no_route() {
        let long = "a".repeat(256);
        let too_long_host = format!("/host/{long}");
        let too_long_cluster = format!("/cluster/{long}");
        for (method, path, expected) in [
            ("GET", "/host/fe80::1%eth0", Ok(Call::Host("fe80::1%eth0".parse().unwrap()))),
            ("PUT", "/host/DB1.Example.", Ok(Call::PutHost("db1.example".parse().unwrap()))),
            ("GET", "/host/..", Err(())),
            ("GET", "/host/a b", Err(())),
            ("GET", "/host/\u{e9}", Err(())),
            ("GET", "/host/-o", Err(())),
            ("GET", "/host/a b/status", Err(())),
            ("GET", "/cluster/a.b", Err(())),
            ("GET", "/cluster/\u{e9}", Err(())),
            ("PUT", "/cluster/a.b", Err(())),
            ("PUT", "/network/a:b", Err(())),
            ("PUT", "/containermanager/a b", Err(())),
            ("GET", "/host//", Err(())),
            ("GET", "/secrets", Err(())),
            ("GET", "/secrets/hosts/a", Err(())),
            ("GET", "/cluster/c/reboot", Err(())),
            ("DELETE", "/cluster/c/hosts", Err(())),
            ("DELETE", "/cluster/c/deploy", Err(())),
            ("DELETE", "/hosts", Err(())),
            ("GET", "", Err(())),
            ("GET", "/", Err(())),
            ("GET", &too_long_host, Err(())),
            ("DELETE", &too_long_cluster, Err(())),
        ] {
            assert_eq!(found(method, path), expected.map_err(|()| Missed::Route), "{method} {path}");
        }
        for path in
            ["/host/-o", "/host/..", "/host/10.0.0.1:22", "/host/0.0.0.0", &too_long_host, &too_long_cluster]
        {
            assert!(matches!(found("PUT", path), Err(Missed::Name(_))), "{path}");
        }
    }
}
