//! Trust that is handed on: who provides it, who requires it, and what is where.

use std::time::Duration;

use reqwest::Method;
use wire::{NewTrustOffer, NewTrustProvider, NewTrustRelation, NewTrustRequirer, TrustApplied};

use super::{change, delete, get, put};
use crate::request::{Condition, Request, Segment};

/// The longest time that a server is asked to wait: shorter than the silence for which it is taken for gone, and than that
/// for which proxies commonly do.
pub const WAIT_MAX: Duration = Duration::from_secs(45);

/// How something goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Going {
    /// Although requirers are left with nothing, or with less than half of what they have.
    pub confirm: bool,
    /// Why, for the history.
    pub why: Option<String>,
}

impl Going {
    fn of(&self, request: Request) -> Request {
        because(if self.confirm { request.with("confirm", "true") } else { request }, self.why.as_deref())
    }
}

/// The first page of those who provide.
#[must_use]
pub fn providers() -> Request {
    paged(get(&["trust", "providers"]))
}

/// A provider.
#[must_use]
pub fn provider(name: &Segment) -> Request {
    get(&["trust", "providers", name.as_str()])
}

/// Makes a provider, or changes what is said of one.
#[must_use]
pub fn put_provider(name: &Segment, provider: &NewTrustProvider) -> Request {
    put(&["trust", "providers", name.as_str()], provider)
}

/// Has a provider go.
#[must_use]
pub fn remove_provider(name: &Segment, going: &Going) -> Request {
    going.of(delete(&["trust", "providers", name.as_str()]))
}

/// What a provider hands on to all its requirers.
#[must_use]
pub fn provider_certificates(name: &Segment) -> Request {
    get(&["trust", "providers", name.as_str(), "certificates"])
}

/// Changes what a provider hands on.
#[must_use]
pub fn offer(provider: &Segment, offer: &NewTrustOffer) -> Request {
    change(Method::POST, &["trust", "providers", provider.as_str(), "offers"], offer)
}

/// The first page of those who require.
#[must_use]
pub fn requirers() -> Request {
    paged(get(&["trust", "requirers"]))
}

/// A requirer.
#[must_use]
pub fn requirer(name: &Segment) -> Request {
    get(&["trust", "requirers", name.as_str()])
}

/// Makes a requirer, or has its certificates put somewhere else.
#[must_use]
pub fn put_requirer(name: &Segment, requirer: &NewTrustRequirer) -> Request {
    put(&["trust", "requirers", name.as_str()], requirer)
}

/// Has a requirer go; what was put in its places is taken away there, unless it is to be left behind.
#[must_use]
pub fn remove_requirer(name: &Segment, leave_behind: bool, why: Option<&str>) -> Request {
    let request = delete(&["trust", "requirers", name.as_str()]);
    because(if leave_behind { request.with("leave_behind", "true") } else { request }, why)
}

/// All that a requirer is to have.
#[must_use]
pub fn bundle(requirer: &Segment) -> Request {
    get(&["trust", "requirers", requirer.as_str(), "bundle"])
}

/// The same as PEM.
#[must_use]
pub fn bundle_pem(requirer: &Segment) -> Request {
    get(&["trust", "requirers", requirer.as_str(), "bundle.pem"])
}

/// All that a requirer is to have, as soon as it is something else than the bundle `hash`; 304 when it is the same for
/// `wait`, which is taken in whole seconds, from one to [`WAIT_MAX`].
#[must_use]
pub fn another_bundle(requirer: &Segment, hash: &str, wait: Duration) -> Request {
    let wait = Duration::from_secs(wait.as_secs().clamp(1, WAIT_MAX.as_secs()));
    let request = bundle(requirer).with("wait", &wait.as_secs().to_string()).waiting(wait);
    request.if_so(Condition::IsNot(format!("\"{hash}\"")))
}

/// The first page of a requirer's places.
#[must_use]
pub fn places(requirer: &Segment) -> Request {
    paged(get(&["trust", "requirers", requirer.as_str(), "places"]))
}

/// The first page of what happened in a requirer's places, the oldest first.
#[must_use]
pub fn history(requirer: &Segment) -> Request {
    paged(get(&["trust", "requirers", requirer.as_str(), "history"]))
}

/// Says that one of a requirer's places has a bundle, is about to be given it, or could not be.
#[must_use]
pub fn applied(requirer: &Segment, applied: &TrustApplied) -> Request {
    change(Method::POST, &["trust", "requirers", requirer.as_str(), "applied"], applied)
}

/// The first page of the relations: all, or those of this provider and this requirer.
#[must_use]
pub fn relations(provider: Option<&Segment>, requirer: Option<&Segment>) -> Request {
    let of = [("provider", provider), ("requirer", requirer)].into_iter();
    let of = of.filter_map(|(name, value)| Some((name, value?.as_str())));
    of.fold(paged(get(&["trust", "relations"])), |request, (name, value)| request.with(name, value))
}

/// Has a requirer have what a provider says.
#[must_use]
pub fn relate(relation: &NewTrustRelation) -> Request {
    change(Method::POST, &["trust", "relations"], relation)
}

/// A relation.
#[must_use]
pub fn relation(number: u64) -> Request {
    get(&["trust", "relations", &number.to_string()])
}

/// Has a requirer have nothing more of what a provider says.
#[must_use]
pub fn unrelate(number: u64, going: &Going) -> Request {
    going.of(delete(&["trust", "relations", &number.to_string()]))
}

/// What a requirer has of a provider beside what all its requirers have.
#[must_use]
pub fn relation_certificates(number: u64) -> Request {
    get(&["trust", "relations", &number.to_string(), "certificates"])
}

/// Where a certificate came from, and where it is.
#[must_use]
pub fn explain(fingerprint: &Segment) -> Request {
    get(&["trust", "certificates", fingerprint.as_str()])
}

fn paged(request: Request) -> Request {
    request.with("limit", &wire::LIMIT_MAX.to_string())
}

fn because(request: Request, why: Option<&str>) -> Request {
    match why {
        Some(why) => request.with("why", why),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use wire::{TrustChange, TrustPlace};

    use super::*;

    #[test]
    fn everything_is_where_the_table_has_it() {
        let name: Segment = "a".parse().unwrap();
        let going = Going { confirm: true, why: Some("it is over".into()) };
        let offered = NewTrustOffer { change: TrustChange::Empty, ..NewTrustOffer::default() };
        let requirer_said = NewTrustRequirer { place: TrustPlace::Poll { only: Vec::new() }, why: None };
        let relation_said = NewTrustRelation { provider: "a".into(), requirer: "b".into(), why: None };
        let applied_said = TrustApplied {
            place: "h".into(),
            hash: "00".into(),
            failing: None,
            begun: false,
            untouched: false,
        };
        let root = "/v1/trust";
        for (request, method, path, body) in [
            (providers(), "GET", "/providers?limit=1000", ""),
            (provider(&name), "GET", "/providers/a", ""),
            (put_provider(&name, &NewTrustProvider::default()), "PUT", "/providers/a", "{}"),
            (remove_provider(&name, &going), "DELETE", "/providers/a?confirm=true&why=it%20is%20over", ""),
            (remove_provider(&name, &Going::default()), "DELETE", "/providers/a", ""),
            (provider_certificates(&name), "GET", "/providers/a/certificates", ""),
            (offer(&name, &offered), "POST", "/providers/a/offers", r#"{"change":"empty","confirm":false}"#),
            (requirers(), "GET", "/requirers?limit=1000", ""),
            (requirer(&name), "GET", "/requirers/a", ""),
            (put_requirer(&name, &requirer_said), "PUT", "/requirers/a", r#"{"place":{"kind":"poll"}}"#),
            (remove_requirer(&name, true, Some("x")), "DELETE", "/requirers/a?leave_behind=true&why=x", ""),
            (remove_requirer(&name, false, None), "DELETE", "/requirers/a", ""),
            (bundle(&name), "GET", "/requirers/a/bundle", ""),
            (bundle_pem(&name), "GET", "/requirers/a/bundle.pem", ""),
            (places(&name), "GET", "/requirers/a/places?limit=1000", ""),
            (history(&name), "GET", "/requirers/a/history?limit=1000", ""),
            (applied(&name, &applied_said), "POST", "/requirers/a/applied", r#"{"hash":"00","place":"h"}"#),
            (relations(None, None), "GET", "/relations?limit=1000", ""),
            (relations(Some(&name), Some(&name)), "GET", "/relations?limit=1000&provider=a&requirer=a", ""),
            (relate(&relation_said), "POST", "/relations", r#"{"provider":"a","requirer":"b"}"#),
            (relation(7), "GET", "/relations/7", ""),
            (unrelate(7, &Going::default()), "DELETE", "/relations/7", ""),
            (relation_certificates(7), "GET", "/relations/7/certificates", ""),
            (explain(&name), "GET", "/certificates/a", ""),
        ] {
            let said = request.body().map(serde_json::Value::to_string).unwrap_or_default();
            let found = (request.method().as_str(), request.path(), said.as_str());
            assert_eq!(found, (method, format!("{root}{path}").as_str(), body));
        }
    }

    #[test]
    fn whoever_waits_is_waited_for() {
        let name: Segment = "a".parse().unwrap();
        for (wait, seconds) in [(0, 1), (7, 7), (600, 45)] {
            let request = another_bundle(&name, "00ff", Duration::from_secs(wait));
            assert_eq!(request.path(), format!("/v1/trust/requirers/a/bundle?wait={seconds}"));
            assert_eq!(request.condition(), Some(&Condition::IsNot("\"00ff\"".into())));
            assert_eq!(request.wait(), Duration::from_secs(seconds));
        }
    }
}
