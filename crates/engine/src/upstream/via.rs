//! Which caches a question came through (RFC 9110 §7.6.3, `Via`).
//!
//! Each house that asks the cache behind it adds its own name, so that two that are each other's upstream, or one that is
//! its own, do not wait for each other: what was asked through this house before is answered from what is here. A chain of
//! caches goes on to its end.

/// What the names of houses begin with: others that stand in a `Via` are proxies, which keep nothing.
const PREFIX: &str = "provost-";
/// Through how many houses a question goes at most.
const HOUSES_MAX: usize = 5;

/// The houses that a question came through, the first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Via(Vec<String>);

impl Via {
    /// The houses in the `Via` headers of a request.
    pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let parts = headers.into_iter().flat_map(|header| header.split(','));
        // `1.1 NAME (COMMENT)`
        let names = parts.filter_map(|part| part.split_whitespace().nth(1));
        let houses = names.filter(|name| name.starts_with(PREFIX)).map(str::to_owned);
        // Who makes it longer than that gets no further all the same.
        Self(houses.take(HOUSES_MAX + 1).collect())
    }

    /// Whether a cache asks, and not somebody who wants it.
    #[must_use]
    pub fn is_a_cache(&self) -> bool {
        !self.0.is_empty()
    }

    /// The header that says all that; nothing where there is none to say.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        let parts: Vec<String> = self.0.iter().map(|name| format!("1.1 {name}")).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The name of a house, told from others by `number`.
    pub(super) fn name(number: u64) -> String {
        format!("{PREFIX}{number:016x}")
    }

    /// The same, and then through the house called `name`; nothing when it came through that one before, or through too many.
    pub(super) fn through(&self, name: &str) -> Option<Self> {
        let is_new = self.0.len() < HOUSES_MAX && self.0.iter().all(|other| other != name);
        is_new.then(|| Self([self.0.as_slice(), &[name.to_owned()]].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_house_adds_its_name_once() {
        let (one, two) = (Via::name(1), Via::name(2));
        let none = Via::default();
        assert!(!none.is_a_cache() && none.header().is_none());
        let via = none.through(&one).and_then(|via| via.through(&two)).unwrap();
        let header = via.header().unwrap();
        assert_eq!(header, "1.1 provost-0000000000000001, 1.1 provost-0000000000000002");
        assert_eq!(Via::parse([header.as_str()]), via);
        assert_eq!(via.through(&one), None, "it came through there");
        assert!(via.through(&Via::name(3)).is_some());
    }

    #[test]
    fn proxies_are_no_caches_of_ours() {
        for (headers, houses) in [
            (&["1.1 varnish, HTTP/1.0 nginx (a comment)", ""][..], 0),
            (&["1.1 varnish, 1.1 provost-01 (us)", "1.1 provost-02"], 2),
            (&["provost-01"], 0),
        ] {
            assert_eq!(Via::parse(headers.iter().copied()).0.len(), houses, "{headers:?}");
        }
        let many = "1.1 provost-01, ".repeat(10_000);
        let many = Via::parse([many.as_str()]);
        assert!(many.0.len() <= HOUSES_MAX + 1 && many.through("provost-02").is_none());
    }
}
