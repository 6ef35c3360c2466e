//! Our own interface, as `/v1` has it; the shapes and the table of routes are in `wire`.

use base::Sha512;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::{
    AcceptedKey, ClusterSettings, HostPatch, Members, NewCollection, NewContainerManager, NewHost,
    NewNetwork, NewOperation, NewPin, Page, Steering,
};

use crate::answer::Answer;
use crate::request::{Condition, Request, Segment};

pub mod audit;
pub mod trust;

const PREFIX: &str = "/v1";

/// What there are lists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List<'a> {
    /// [`wire::Host`]s.
    Hosts,
    /// [`wire::Cluster`]s.
    Clusters,
    /// [`wire::Network`]s.
    Networks,
    /// [`wire::ContainerManager`]s.
    ContainerManagers,
    /// The addresses of a cluster's hosts.
    Members(&'a Segment),
    /// The [`wire::Operation`]s on a cluster, the latest first.
    Operations(&'a Segment),
    /// The [`wire::OperationHost`]s of one.
    OperationHosts(&'a Segment, &'a Segment),
    /// The [`wire::Artifact`]s in the cache.
    Artifacts,
    /// The cache's [`wire::EntryKey`]s.
    EntryKeys,
    /// The cache's [`wire::Pin`]s.
    Pins,
}

/// Which hosts: those of which all of this is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostQuery {
    /// Their status.
    pub status: Option<String>,
    /// Their cluster.
    pub cluster: Option<String>,
    /// Their distribution, in lower case.
    pub os: Option<String>,
    /// Their labels, `KEY=VALUE` each.
    pub labels: Vec<String>,
}

/// An answer that is not what was agreed upon.
#[derive(Debug, thiserror::Error)]
#[error("the answer of the server is not understood")]
pub struct BadAnswer(#[from] serde_json::Error);

/// The first page of a list, of [`wire::LIMIT_MAX`] items at most.
#[must_use]
pub fn list(list: List<'_>) -> Request {
    let request = match list {
        List::Hosts => get(&["hosts"]),
        List::Clusters => get(&["clusters"]),
        List::Networks => get(&["networks"]),
        List::ContainerManagers => get(&["container-managers"]),
        List::Members(cluster) => get(&["clusters", cluster.as_str(), "hosts"]),
        List::Operations(cluster) => get(&["clusters", cluster.as_str(), "operations"]),
        List::OperationHosts(cluster, id) => get(&operation_parts(cluster, id, &["hosts"])),
        List::Artifacts => get(&["cache", "artifacts"]),
        List::EntryKeys => get(&["cache", "keys"]),
        List::Pins => get(&["cache", "pins"]),
    };
    request.with("limit", &wire::LIMIT_MAX.to_string())
}

/// The first page of the hosts that are meant.
#[must_use]
pub fn hosts(query: &HostQuery) -> Request {
    let exact = [("status", &query.status), ("cluster", &query.cluster), ("os", &query.os)];
    let exact = exact.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let labels = query.labels.iter().map(|label| ("label", label));
    exact.chain(labels).fold(list(List::Hosts), |request, (name, value)| request.with(name, value))
}

/// The page after `page`, which `first` or this began with; `None` behind the last one.
#[must_use]
pub fn next<T>(first: &Request, page: &Page<T>) -> Option<Request> {
    page.next.as_ref().map(|after| first.clone().with("after", after))
}

/// A host.
#[must_use]
pub fn host(address: &Segment) -> Request {
    get(&["hosts", address.as_str()])
}

/// How a host is doing.
#[must_use]
pub fn host_status(address: &Segment) -> Request {
    get(&["hosts", address.as_str(), "status"])
}

/// How to get into a host.
#[must_use]
pub fn host_credentials(address: &Segment) -> Request {
    get(&["hosts", address.as_str(), "credentials"])
}

/// What is known of the key by which a host is recognized.
#[must_use]
pub fn host_key(address: &Segment) -> Request {
    get(&["hosts", address.as_str(), "host-key"])
}

/// Accepts the key that a host offered instead of the known one.
#[must_use]
pub fn accept_key(address: &Segment, accepted: &AcceptedKey) -> Request {
    put(&["hosts", address.as_str(), "host-key"], accepted)
}

/// Adds a host.
#[must_use]
pub fn add_host(address: &Segment, host: &NewHost) -> Request {
    put(&["hosts", address.as_str()], host)
}

/// Changes what operators say about a host.
#[must_use]
pub fn change_host(address: &Segment, patch: &HostPatch) -> Request {
    change(Method::PATCH, &["hosts", address.as_str()], patch)
}

/// Forgets a host.
#[must_use]
pub fn remove_host(address: &Segment) -> Request {
    delete(&["hosts", address.as_str()])
}

/// A cluster.
#[must_use]
pub fn cluster(name: &Segment) -> Request {
    get(&["clusters", name.as_str()])
}

/// Makes a cluster, or changes one.
#[must_use]
pub fn put_cluster(name: &Segment, settings: &ClusterSettings) -> Request {
    put(&["clusters", name.as_str()], settings)
}

/// Deletes a cluster; its hosts stay, without one.
#[must_use]
pub fn delete_cluster(name: &Segment) -> Request {
    delete(&["clusters", name.as_str()])
}

/// Says which hosts a cluster has.
#[must_use]
pub fn put_members(cluster: &Segment, members: &Members) -> Request {
    put(&["clusters", cluster.as_str(), "hosts"], members)
}

/// Makes a host a member of a cluster.
#[must_use]
pub fn join(cluster: &Segment, address: &Segment) -> Request {
    Request::new(Method::PUT, PREFIX, &["clusters", cluster.as_str(), "hosts", address.as_str()], None)
}

/// Ends a host's membership.
#[must_use]
pub fn leave(cluster: &Segment, address: &Segment) -> Request {
    delete(&["clusters", cluster.as_str(), "hosts", address.as_str()])
}

/// Keeps all entries of a key in the cache.
#[must_use]
pub fn pin_key(key: &Segment, pin: &NewPin) -> Request {
    put(&["cache", "pins", "keys", key.as_str()], pin)
}

/// Lets the rules decide about a key again.
#[must_use]
pub fn unpin_key(key: &Segment) -> Request {
    delete(&["cache", "pins", "keys", key.as_str()])
}

/// Keeps an artifact in the cache.
#[must_use]
pub fn pin_artifact(digest: Sha512, pin: &NewPin) -> Request {
    put(&["cache", "pins", "artifacts", &digest.to_string()], pin)
}

/// Lets the rules decide about an artifact again.
#[must_use]
pub fn unpin_artifact(digest: Sha512) -> Request {
    delete(&["cache", "pins", "artifacts", &digest.to_string()])
}

/// Removes from the cache what its rules do not keep, or only tells what that would be.
#[must_use]
pub fn collect(collection: &NewCollection) -> Request {
    change(Method::POST, &["cache", "collections"], collection)
}

/// How far everything that is kept was read again.
#[must_use]
pub fn scrub() -> Request {
    get(&["cache", "scrub"])
}

/// Has everything that is kept read again now.
#[must_use]
pub fn ask_for_scrub() -> Request {
    // Who asks twice has it done once.
    Request::new(Method::POST, PREFIX, &["cache", "scrub"], None)
}

/// The latest operation on a cluster: a list of one, or of none.
#[must_use]
pub fn latest_operation(cluster: &Segment) -> Request {
    get(&["clusters", cluster.as_str(), "operations"]).with("limit", "1")
}

/// An operation on a cluster.
#[must_use]
pub fn operation(cluster: &Segment, id: &Segment) -> Request {
    get(&operation_parts(cluster, id, &[]))
}

/// What becomes of an operation: an event stream.
#[must_use]
pub fn operation_events(cluster: &Segment, id: &Segment) -> Request {
    get(&operation_parts(cluster, id, &["events"]))
}

/// What can be done to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer<'a> {
    /// No more hosts are begun with.
    Pause,
    /// It goes on.
    Resume,
    /// It ends.
    Abort,
    /// It goes on, and those that failed are tried again.
    Retry,
    /// It goes on without this host.
    Skip(&'a Segment),
}

/// Does something to an operation.
#[must_use]
pub fn steer(cluster: &Segment, id: &Segment, how: Steer<'_>) -> Request {
    let behind: &[&str] = match how {
        Steer::Pause => &["pause"],
        Steer::Resume => &["resume"],
        Steer::Abort => &["abort"],
        Steer::Retry => &["retry"],
        Steer::Skip(address) => &["hosts", address.as_str(), "skip"],
    };
    change(Method::POST, &operation_parts(cluster, id, behind), &Steering {})
}

fn operation_parts<'a>(cluster: &'a Segment, id: &'a Segment, behind: &[&'a str]) -> Vec<&'a str> {
    [&["clusters", cluster.as_str(), "operations", id.as_str()], behind].concat()
}

/// Starts an operation on a cluster.
#[must_use]
pub fn start(cluster: &Segment, operation: &NewOperation) -> Request {
    change(Method::POST, &["clusters", cluster.as_str(), "operations"], operation)
}

/// A network.
#[must_use]
pub fn network(name: &Segment) -> Request {
    get(&["networks", name.as_str()])
}

/// Makes a network.
#[must_use]
pub fn put_network(name: &Segment, network: &NewNetwork) -> Request {
    put(&["networks", name.as_str()], network)
}

/// Deletes a network.
#[must_use]
pub fn delete_network(name: &Segment) -> Request {
    delete(&["networks", name.as_str()])
}

/// A container manager.
#[must_use]
pub fn container_manager(name: &Segment) -> Request {
    get(&["container-managers", name.as_str()])
}

/// Makes a container manager.
#[must_use]
pub fn put_container_manager(name: &Segment, manager: &NewContainerManager) -> Request {
    put(&["container-managers", name.as_str()], manager)
}

/// Deletes a container manager.
#[must_use]
pub fn delete_container_manager(name: &Segment) -> Request {
    delete(&["container-managers", name.as_str()])
}

/// The same, unless all is as it was when `answer` was given; 304 then.
#[must_use]
pub fn unless_the_same(request: &Request, answer: &Answer) -> Request {
    match &answer.etag {
        Some(version) => request.clone().if_so(Condition::IsNot(version.clone())),
        None => request.clone(),
    }
}

/// What `answer` shows.
///
/// # Errors
/// When it shows something else.
pub fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, BadAnswer> {
    Ok(serde_json::from_slice(&answer.body)?)
}

/// What `text`, the data of an event, shows.
///
/// # Errors
/// When it shows something else.
pub fn read_text<T: DeserializeOwned>(text: &str) -> Result<T, BadAnswer> {
    Ok(serde_json::from_str(text)?)
}

fn get(parts: &[&str]) -> Request {
    Request::new(Method::GET, PREFIX, parts, None)
}

fn put<T: Serialize>(parts: &[&str], what: &T) -> Request {
    change(Method::PUT, parts, what)
}

fn delete(parts: &[&str]) -> Request {
    Request::new(Method::DELETE, PREFIX, parts, None).once()
}

fn change<T: Serialize>(method: Method, parts: &[&str], what: &T) -> Request {
    let body: Value = serde_json::to_value(what).expect("wire's shapes have texts for keys");
    // Done twice it may do something else: the condition no longer holds, or a second operation begins.
    Request::new(method, PREFIX, parts, Some(body)).once()
}

#[cfg(test)]
mod tests {
    use wire::OperationPolicy;

    use super::*;

    fn name(text: &str) -> Segment {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_are_found_by_what_was_said() {
        let query = HostQuery {
            status: Some("active".into()),
            os: Some("fedora".into()),
            labels: vec!["rack=a1".into(), "dc/row=7".into()],
            ..HostQuery::default()
        };
        let request = hosts(&query);
        let path = "/v1/hosts?limit=1000&status=active&os=fedora&label=rack%3Da1&label=dc%2Frow%3D7";
        assert_eq!(request.path(), path);
        let page: Page<u8> = Page { items: vec![], next: Some("x y".into()) };
        assert_eq!(next(&request, &page).unwrap().path(), format!("{path}&after=x%20y"));
        assert!(next(&request, &Page::<u8> { items: vec![1], next: None }).is_none());
    }

    #[test]
    fn things_are_where_the_table_has_them() {
        let (web, seven) = (name("web"), name("7"));
        for (request, method, path, body) in [
            (list(List::Members(&web)), "GET", "/v1/clusters/web/hosts?limit=1000", ""),
            (list(List::Operations(&web)), "GET", "/v1/clusters/web/operations?limit=1000", ""),
            (latest_operation(&web), "GET", "/v1/clusters/web/operations?limit=1", ""),
            (operation_events(&web, &seven), "GET", "/v1/clusters/web/operations/7/events", ""),
            (steer(&web, &seven, Steer::Retry), "POST", "/v1/clusters/web/operations/7/retry", "{}"),
            (
                steer(&web, &seven, Steer::Skip(&name("::1"))),
                "POST",
                "/v1/clusters/web/operations/7/hosts/::1/skip",
                "{}",
            ),
            (join(&web, &name("10.0.0.1")), "PUT", "/v1/clusters/web/hosts/10.0.0.1", ""),
            (
                start(&web, &NewOperation::Restart { policy: OperationPolicy::default(), dry_run: false }),
                "POST",
                "/v1/clusters/web/operations",
                r#"{"kind":"restart"}"#,
            ),
            (add_host(&name("a"), &NewHost::default()), "PUT", "/v1/hosts/a", "{}"),
            (delete_cluster(&web), "DELETE", "/v1/clusters/web", ""),
        ] {
            let said = request.body().map(Value::to_string).unwrap_or_default();
            assert_eq!((request.method().as_str(), request.path(), said.as_str()), (method, path, body));
        }
    }
}
