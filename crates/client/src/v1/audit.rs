//! What happened, and the links by which it is seen that nobody rewrote it; what is done about authorities.

use reqwest::Method;
use wire::NewRotation;

use super::{change, get};
use crate::request::{Request, Segment};

/// Which events: those of which all of this is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// From then on, in UTC.
    pub since: Option<String>,
    /// Before then, in UTC.
    pub until: Option<String>,
    /// Words of what happened.
    pub what: Option<String>,
    /// Words of what it happened to.
    pub about: Option<String>,
    /// Words of who did it.
    pub by: Option<String>,
    /// Whose matter it is.
    pub trade: Option<String>,
}

/// The first page of what happened.
#[must_use]
pub fn events(query: &EventQuery) -> Request {
    let said = [
        ("since", &query.since),
        ("until", &query.until),
        ("what", &query.what),
        ("about", &query.about),
        ("by", &query.by),
        ("trade", &query.trade),
    ];
    let first = get(&["audit"]).with("limit", &wire::LIMIT_MAX.to_string());
    said.into_iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)))
        .fold(first, |request, (name, value)| request.with(name, value))
}

/// How far the history is linked.
#[must_use]
pub fn head() -> Request {
    get(&["audit", "head"])
}

/// The first page of the links.
#[must_use]
pub fn links() -> Request {
    get(&["audit", "links"])
}

/// Begins a rollover of an authority, or only tells what that would be.
#[must_use]
pub fn rotate(authority: &Segment, rotation: &NewRotation) -> Request {
    change(Method::POST, &["ca", authority.as_str(), "rotations"], rotation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_where_the_table_has_them() {
        let query = EventQuery { by: Some("a b".into()), trade: Some("ca".into()), ..EventQuery::default() };
        assert_eq!(events(&query).path(), "/v1/audit?limit=1000&by=a%20b&trade=ca");
        assert_eq!(links().path(), "/v1/audit/links");
        let rotate = rotate(&"users".parse().unwrap(), &NewRotation { dry_run: true });
        assert_eq!((rotate.method().as_str(), rotate.path()), ("POST", "/v1/ca/users/rotations"));
    }
}
