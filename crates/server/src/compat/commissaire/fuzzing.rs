//! The dialect's readers of what clients send, for those who try to break them. Nothing else has them.

use fleet::OperationKind;
use http::Method;

use super::bodies::{Members, Replacement};
use super::{documents, route};

/// Finds the call for a path as it is requested, with every method.
///
/// # Panics
/// When a name that was taken from the path is not the one that stands in it.
pub fn path(path: &str) {
    let Some(inside) = super::inside(path) else { return };
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
        if let Ok(route::Call::Host(address) | route::Call::PutHost(address)) = route::find(&method, &inside)
        {
            // Written in another way, perhaps.
            let mut segments = inside.split('/');
            assert!(segments.any(|text| text.parse() == Ok(address.clone())), "{address} is not in {inside}");
        }
    }
}

/// Reads a body as everything that it could be.
///
/// # Panics
/// When a network or a container manager is not read again as it was written.
pub fn body(body: &[u8]) {
    let read = || Members::read(body).ok();
    let name = "name";
    if let Ok(lists) = Replacement::read(body) {
        let _ = (lists.same_name(name), lists.hosts_before(), lists.hosts_after());
    }
    let Some(members) = read() else { return };
    let _ = (members.same("name", name), members.address(), members.host());
    let _ = read().map(Members::cluster);
    for kind in OperationKind::ALL {
        let _ = read().map(|members| members.plan(kind));
    }
    let again = |document: serde_json::Result<Vec<u8>>| {
        let document = document.expect("what was read can be written");
        Members::read(&document).expect("what was written can be read")
    };
    if let Some(Ok(network)) = read().map(|members| members.network(name.parse().expect("a name"))) {
        let again = again(serde_json::to_vec(&documents::network(&network)));
        assert_eq!(again.network(network.name.clone()).ok(), Some(network));
    }
    if let Some(Ok(manager)) = read().map(|members| members.container_manager(name.parse().expect("a name")))
    {
        let again = again(serde_json::to_vec(&documents::container_manager(&manager)));
        assert_eq!(again.container_manager(manager.name.clone()).ok(), Some(manager));
    }
}
