//! Which handler a request is for (caucase contract, sections 2.2, 2.3 and 3).
//!
//! The original walks a tree by path components and only then looks at the method, so that
//! `POST /nowhere` is a method not allowed on `/`. Clients see the difference, so it is done the same way.

use ca::AuthorityName;
use http::Method;

use crate::compat::percent;

/// Where a path leads, and what of it is left over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) node: Node,
    /// What follows the node's own path.
    pub(super) rest: Vec<String>,
    /// The node's own path, without trailing slashes.
    pub(super) path: String,
}

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Root,
    Cors,
    Authority(AuthorityName),
    Crl(AuthorityName),
    Csr(AuthorityName),
    Crt(AuthorityName),
    Anchor(AuthorityName),
    Chain(AuthorityName),
    Renew(AuthorityName),
    Revoke(AuthorityName),
}

/// What may follow a node's path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    One,
    NothingOrOne,
}

/// A request that has a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Root,
    CorsForm,
    CorsAnswer,
    Authority(AuthorityName),
    CrlAll(AuthorityName),
    CrlOne(AuthorityName, String),
    Submit(AuthorityName),
    Pending(AuthorityName),
    Request(AuthorityName, String),
    Reject(AuthorityName, String),
    Certificate(AuthorityName, String),
    Approve(AuthorityName, String),
    Anchor(AuthorityName),
    Chain(AuthorityName),
    Renew(AuthorityName),
    Revoke(AuthorityName),
}

/// What to do with a request, before origins and callers are looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Routed {
    Call(Call),
    /// `OPTIONS`: 204.
    Preflight,
    /// 405.
    MethodNotAllowed,
    /// 404.
    NotFound,
}

/// Walks the path: percent-decoded first, then cut at slashes, empty components dropped.
pub(super) fn find(path: &str) -> Found {
    let decoded = percent::decode(path);
    let mut parts = decoded.split('/').filter(|part| !part.is_empty()).peekable();
    let mut node = Node::Root;
    let mut walked = String::new();
    while let Some(next) = parts.peek().and_then(|part| child(node, part)) {
        node = next;
        walked.push('/');
        walked.push_str(parts.next().unwrap_or_default());
    }
    if walked.is_empty() {
        walked.push('/');
    }
    Found { node, rest: parts.map(str::to_owned).collect(), path: walked }
}

fn child(node: Node, part: &str) -> Option<Node> {
    match (node, part) {
        (Node::Root, "cas") => Some(Node::Authority(AuthorityName::Services)),
        (Node::Root, "cau") => Some(Node::Authority(AuthorityName::Users)),
        (Node::Root, "cors") => Some(Node::Cors),
        (Node::Authority(name), "crl") => Some(Node::Crl(name)),
        (Node::Authority(name), "csr") => Some(Node::Csr(name)),
        (Node::Authority(name), "crt") => Some(Node::Crt(name)),
        (Node::Crt(name), "ca.crt.pem") => Some(Node::Anchor(name)),
        (Node::Crt(name), "ca.crt.json") => Some(Node::Chain(name)),
        (Node::Crt(name), "renew") => Some(Node::Renew(name)),
        (Node::Crt(name), "revoke") => Some(Node::Revoke(name)),
        _ => None,
    }
}

/// The methods of a node and what may follow its path for each.
fn methods(node: Node) -> &'static [(Method, Rest)] {
    const GET: (Method, Rest) = (Method::GET, Rest::Nothing);
    match node {
        Node::Root | Node::Authority(_) | Node::Anchor(_) | Node::Chain(_) => &[GET],
        Node::Cors => &[GET, (Method::POST, Rest::Nothing)],
        Node::Crl(_) => &[(Method::GET, Rest::NothingOrOne)],
        Node::Csr(_) => {
            &[(Method::GET, Rest::NothingOrOne), (Method::PUT, Rest::Nothing), (Method::DELETE, Rest::One)]
        }
        Node::Crt(_) => &[(Method::GET, Rest::One), (Method::PUT, Rest::One)],
        Node::Renew(_) | Node::Revoke(_) => &[(Method::PUT, Rest::Nothing)],
    }
}

/// The methods a node answers, as `Allow` lists them.
pub(super) fn allowed(node: Node) -> String {
    names(methods(node).iter().map(|(method, _)| method))
}

/// The methods other origins may use: the form is not for them to send.
pub(super) fn allowed_cross_origin(node: Node) -> String {
    names(methods(node).iter().map(|(method, _)| method).filter(|method| **method != Method::POST))
}

fn names<'a>(methods: impl Iterator<Item = &'a Method>) -> String {
    methods.map(Method::as_str).chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
}

/// Decides what a request is, in the original's order: method, then what is left of the path.
pub(super) fn route(found: &Found, method: &Method) -> Routed {
    let Some((_, wanted)) = methods(found.node).iter().find(|(known, _)| known == method) else {
        return if *method == Method::OPTIONS { Routed::Preflight } else { Routed::MethodNotAllowed };
    };
    let rest = match (wanted, found.rest.as_slice()) {
        (Rest::Nothing | Rest::NothingOrOne, []) => None,
        (Rest::One | Rest::NothingOrOne, [one]) => Some(one.clone()),
        _ => return Routed::NotFound,
    };
    match call(found.node, method, rest) {
        Some(call) => Routed::Call(call),
        None => Routed::NotFound,
    }
}

fn call(node: Node, method: &Method, rest: Option<String>) -> Option<Call> {
    Some(match (node, method.as_str(), rest) {
        (Node::Root, _, None) => Call::Root,
        (Node::Cors, "POST", None) => Call::CorsAnswer,
        (Node::Cors, _, None) => Call::CorsForm,
        (Node::Authority(name), _, None) => Call::Authority(name),
        (Node::Crl(name), _, None) => Call::CrlAll(name),
        (Node::Crl(name), _, Some(number)) => Call::CrlOne(name, number),
        (Node::Csr(name), "PUT", None) => Call::Submit(name),
        (Node::Csr(name), "GET", None) => Call::Pending(name),
        (Node::Csr(name), "GET", Some(id)) => Call::Request(name, id),
        (Node::Csr(name), "DELETE", Some(id)) => Call::Reject(name, id),
        (Node::Crt(name), "GET", Some(id)) => Call::Certificate(name, id),
        (Node::Crt(name), "PUT", Some(id)) => Call::Approve(name, id),
        (Node::Anchor(name), _, None) => Call::Anchor(name),
        (Node::Chain(name), _, None) => Call::Chain(name),
        (Node::Renew(name), _, None) => Call::Renew(name),
        (Node::Revoke(name), _, None) => Call::Revoke(name),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use AuthorityName::{Services, Users};

    use super::*;

    fn check(method: &str, path: &str, expected: Routed) {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        assert_eq!(route(&find(path), &method), expected, "{method} {path}");
    }

    #[test]
    fn every_route_has_its_call() {
        let call = |method, path, expected| check(method, path, Routed::Call(expected));
        call("GET", "/", Call::Root);
        call("GET", "/cas", Call::Authority(Services));
        call("GET", "//cau//", Call::Authority(Users));
        call("GET", "//cas//crl/", Call::CrlAll(Services));
        call("GET", "/cas%2Fcrl", Call::CrlAll(Services));
        call("GET", "/cas/crl/12", Call::CrlOne(Services, "12".into()));
        call("PUT", "/cau/csr", Call::Submit(Users));
        call("GET", "/cau/csr", Call::Pending(Users));
        call("GET", "/cas/csr/1", Call::Request(Services, "1".into()));
        call("DELETE", "/cas/csr/1", Call::Reject(Services, "1".into()));
        call("GET", "/cas/crt/1", Call::Certificate(Services, "1".into()));
        call("PUT", "/cas/crt/1", Call::Approve(Services, "1".into()));
        call("GET", "/cas/crt/ca.crt.pem", Call::Anchor(Services));
        call("GET", "/cas/crt/ca.crt.json", Call::Chain(Services));
        call("PUT", "/cas/crt/renew", Call::Renew(Services));
        call("PUT", "/cau/crt/revoke", Call::Revoke(Users));
        call("GET", "/cors", Call::CorsForm);
        call("POST", "/cors", Call::CorsAnswer);
    }

    #[test]
    fn the_method_is_looked_at_before_the_rest_of_the_path() {
        check("POST", "/nowhere", Routed::MethodNotAllowed);
        check("GET", "/nowhere", Routed::NotFound);
        check("OPTIONS", "/nowhere", Routed::Preflight);
        check("OPTIONS", "/cas/crt/1/2/3", Routed::Preflight);
        check("HEAD", "/", Routed::MethodNotAllowed);
        check("GET", "/cas/crt/renew", Routed::MethodNotAllowed);
        check("PUT", "/cas/csr/1", Routed::NotFound);
        check("DELETE", "/cas/csr", Routed::NotFound);
        check("GET", "/cas/crt", Routed::NotFound);
        check("GET", "/cas/crl/1/2", Routed::NotFound);
        check("GET", "/cas/crt/ca.crt.pem/x", Routed::NotFound);
        check("GET", "/cas/..", Routed::NotFound);
    }

    #[test]
    fn methods_are_listed_as_allow_wants_them() {
        assert_eq!(allowed(Node::Root), "GET, OPTIONS");
        assert_eq!(allowed(Node::Csr(Services)), "GET, PUT, DELETE, OPTIONS");
        assert_eq!(allowed(Node::Cors), "GET, POST, OPTIONS");
        assert_eq!(allowed_cross_origin(Node::Cors), "GET, OPTIONS");
    }
}
