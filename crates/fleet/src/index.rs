//! Which hosts have what: one key for each thing a host can be found by, written with the host.
//!
//! ```text
//! /fleet/host/status/<status>/<address>
//! /fleet/host/os/<os>/<address>
//! /fleet/host/label/<key>=<value>/<address>
//! /fleet/host/cluster/<name>/<address>
//! ```
//! Status, OS and labels are percent-encoded, but for letters, digits, `.`, `_` and `-`. Keys of one kind are in
//! the order of their addresses, so that a page can begin behind any address, and each page costs the same however
//! many hosts there are.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::record::HostRecord;

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
            Self::Status(status) => format!("status/{}/", encoded(status)),
            Self::Os(os) => format!("os/{}/", encoded(os)),
            Self::Label(key, value) => format!("label/{}={}/", encoded(key), encoded(value)),
            Self::Cluster(name) => format!("cluster/{}/", encoded(name)),
        }
    }

    /// Whether `host` is found by it.
    pub(crate) fn finds(self, host: &HostRecord) -> bool {
        match self {
            Self::Status(status) => host.status == status,
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
            address: "10.0.0.1".into(),
            status: String::new(),
            os: "Oracle Linux/é".into(),
            cpus: 0,
            memory: 0,
            space: 0,
            last_check: String::new(),
            source: String::new(),
            cluster: Some("web".into()),
            labels: [("example.com/rack".to_owned(), "b7".to_owned())].into(),
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
        for (by, finds) in [
            (FoundBy::Status(""), true),
            (FoundBy::Status("active"), false),
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
