//! Which hosts have what: one key for each thing a host can be found by, written with the host.
//!
//! ```text
//! /fleet/host/status/<status>/<address>
//! /fleet/host/os/<os>/<address>
//! /fleet/host/label/<key>=<value>/<address>
//! /fleet/host/cluster/<name>/<address>
//! ```
//! A status that is none of ours stands there as `other`, as which it is counted. Status, OS and labels are percent-encoded, but for letters, digits, `.`, `_` and `-`. Keys of one kind are in
//! the order of their addresses, so that a page can begin behind any address, and each page costs the same however
//! many hosts there are.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::record::HostRecord;
use crate::tally::counted_as;

/// What the keys of the index begin with.
pub(crate) const PREFIX: &str = "/fleet/host/";

/// One thing that hosts can be found by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FoundBy<'a> {
    Status(&'a str),
    Os(&'a str),
    Label(&'a str, &'a str),
    Cluster(&'a str),
}

impl FoundBy<'_> {
    /// What its keys begin with, behind [`PREFIX`].
    pub(crate) fn prefix(self) -> String {
        match self {
            Self::Status(status) => format!("status/{}/", encoded(counted_as(status))),
            Self::Os(os) => format!("os/{}/", encoded(os)),
            Self::Label(key, value) => format!("label/{}={}/", encoded(key), encoded(value)),
            Self::Cluster(name) => format!("cluster/{}/", encoded(name)),
        }
    }

    /// Whether `host` is found by it.
    pub(crate) fn finds(self, host: &HostRecord) -> bool {
        match self {
            Self::Status(status) => counted_as(&host.status) == counted_as(status),
            Self::Os(os) => host.os == os,
            Self::Label(key, value) => host.labels.get(key).is_some_and(|found| found == value),
            Self::Cluster(name) => host.cluster.as_deref() == Some(name),
        }
    }
}

/// The keys of a host, behind [`PREFIX`].
pub(crate) fn keys(host: &HostRecord) -> BTreeSet<String> {
    let labels = host.labels.iter().map(|(key, value)| FoundBy::Label(key, value));
    [FoundBy::Status(&host.status), FoundBy::Os(&host.os)]
        .into_iter()
        .chain(labels)
        .chain(host.cluster.as_deref().map(FoundBy::Cluster))
        .map(|by| format!("{}{}", by.prefix(), host.address))
        .collect()
}

/// A host of which nothing but the address is known.
pub(crate) fn nothing_of(address: &str) -> HostRecord {
    HostRecord { address: address.to_owned(), ..HostRecord::default() }
}

/// Adds to a host what a key, behind [`PREFIX`], says of it; nothing when it is another host's.
pub(crate) fn learn(host: &mut HostRecord, key: &str) {
    let Some((found, address)) = key.rsplit_once('/') else { return };
    let Some((kind, value)) = found.split_once('/') else { return };
    if address != host.address {
        return;
    }
    match (kind, decoded(value)) {
        ("status", Some(status)) => host.status = status,
        ("os", Some(os)) => host.os = os,
        ("cluster", Some(cluster)) => host.cluster = Some(cluster),
        ("label", _) => {
            if let Some((key, value)) = value.split_once('=')
                && let Some((key, value)) = decoded(key).zip(decoded(value))
            {
                host.labels.insert(key, value);
            }
        }
        _ => {}
    }
}

/// What [`encoded`] made this of.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        bytes.push(match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()?
            }
            (b'%', _) => return None,
            (byte, _) => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_what_it_has() {
        let host = HostRecord {
            os: "Oracle Linux/é".into(),
            cluster: Some("web".into()),
            labels: [("example.com/rack".to_owned(), "b7".to_owned())].into(),
            ..nothing_of("10.0.0.1")
        };
        assert_eq!(
            keys(&host).into_iter().collect::<Vec<_>>(),
            [
                "cluster/web/10.0.0.1",
                "label/example.com%2Frack=b7/10.0.0.1",
                "os/Oracle%20Linux%2F%C3%A9/10.0.0.1",
                "status//10.0.0.1",
            ]
        );
        let mut learned = nothing_of("10.0.0.1");
        for key in keys(&host) {
            learn(&mut learned, &key);
            learn(&mut learned, &format!("{key}0"));
        }
        assert_eq!(learned, host, "its keys say all but the numbers");
        for (by, finds) in [
            (FoundBy::Status(""), true),
            (FoundBy::Status("active"), false),
            (FoundBy::Status("on fire"), false),
            (FoundBy::Os("Oracle Linux/é"), true),
            (FoundBy::Label("example.com/rack", "b7"), true),
            (FoundBy::Label("example.com/rack", ""), false),
            (FoundBy::Label("b7", "example.com/rack"), false),
            (FoundBy::Cluster("web"), true),
            (FoundBy::Cluster("we"), false),
        ] {
            assert_eq!(by.finds(&host), finds, "{by:?}");
            assert_eq!(keys(&host).contains(&format!("{}10.0.0.1", by.prefix())), finds, "{by:?}");
        }
    }
}
