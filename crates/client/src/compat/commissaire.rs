//! Commissaire's REST interface, as its own client asks it: `/api/v0`.
//!
//! Source: commissaire, sections 3.1 and 12.2. A body goes along wherever something is changed, `{}` where
//! there is nothing to say.

use reqwest::Method;
use serde_json::{Value, json};

use crate::request::{Request, Segment};

const PREFIX: &str = "/api/v0";

/// What a cluster can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Bring a version of the operating system onto all hosts.
    Deploy,
    /// Restart all hosts, a few at a time.
    Restart,
    /// Upgrade all hosts.
    Upgrade,
}

/// The resources that are alike: made, looked at and deleted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `cluster`
    Cluster,
    /// `containermanager`
    ContainerManager,
    /// `host`
    Host,
    /// `network`
    Network,
}

impl Operation {
    fn part(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Restart => "restart",
            Self::Upgrade => "upgrade",
        }
    }
}

impl Resource {
    /// The part of the path for one of them, and for all.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::Cluster => ("cluster", "clusters"),
            Self::ContainerManager => ("containermanager", "containermanagers"),
            Self::Host => ("host", "hosts"),
            Self::Network => ("network", "networks"),
        }
    }
}

/// All of a kind: documents of hosts, the names of everything else.
#[must_use]
pub fn list(resource: Resource) -> Request {
    get(&[resource.parts().1])
}

/// One of a kind.
#[must_use]
pub fn show(resource: Resource, name: &Segment) -> Request {
    get(&[resource.parts().0, name.as_str()])
}

/// Makes one, with the members of `body`.
#[must_use]
pub fn create(resource: Resource, name: &Segment, body: Value) -> Request {
    put(&[resource.parts().0, name.as_str()], body)
}

/// Deletes one.
#[must_use]
pub fn delete(resource: Resource, name: &Segment) -> Request {
    remove(&[resource.parts().0, name.as_str()])
}

/// Whether a host is well.
#[must_use]
pub fn host_status(address: &Segment) -> Request {
    get(&["host", address.as_str(), "status"])
}

/// How to sign in at a host.
#[must_use]
pub fn host_credentials(address: &Segment) -> Request {
    get(&["host", address.as_str(), "creds"])
}

/// The addresses of a cluster's hosts.
#[must_use]
pub fn members(cluster: &Segment) -> Request {
    get(&["cluster", cluster.as_str(), "hosts"])
}

/// Makes a host a member of a cluster.
#[must_use]
pub fn join(cluster: &Segment, address: &Segment) -> Request {
    put(&["cluster", cluster.as_str(), "hosts", address.as_str()], json!({}))
}

/// Ends a host's membership.
#[must_use]
pub fn leave(cluster: &Segment, address: &Segment) -> Request {
    remove(&["cluster", cluster.as_str(), "hosts", address.as_str()])
}

/// How an operation on a cluster goes.
#[must_use]
pub fn operation(cluster: &Segment, operation: Operation) -> Request {
    get(&["cluster", cluster.as_str(), operation.part()])
}

/// Starts an operation on a cluster, with the members of `body`: `version` to deploy, else none.
#[must_use]
pub fn start(cluster: &Segment, operation: Operation, body: Value) -> Request {
    put(&["cluster", cluster.as_str(), operation.part()], body)
}

fn get(parts: &[&str]) -> Request {
    Request::new(Method::GET, PREFIX, parts, None)
}

fn put(parts: &[&str], body: Value) -> Request {
    Request::new(Method::PUT, PREFIX, parts, Some(body))
}

fn remove(parts: &[&str]) -> Request {
    Request::new(Method::DELETE, PREFIX, parts, Some(json!({})))
}
