//! The trust stores of operating systems: where each takes certificates from, and what makes it do so (contract, section
//! 9.4).

/// The trust store of a kind of operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustStore {
    /// What it is called here: a word.
    pub name: &'static str,
    /// The `ID`s and `ID_LIKE`s of its systems (os-release(5)).
    pub systems: &'static [&'static str],
    /// The folder of the certificates that were put there by whoever looks after the machine.
    pub folder: &'static str,
    /// How the names of files in there end, without the full stop.
    pub ending: &'static str,
    /// The program that takes them up.
    pub program: &'static str,
    /// What it is always told.
    pub arguments: &'static [&'static str],
    /// What it is told besides so that what is gone is left out, where it does not do so by itself.
    pub fresh: Option<&'static str>,
    /// All that is trusted, in one file that the program makes.
    pub bundle: &'static str,
    /// What the program appends to and does not clear, where it does so.
    pub unfinished: Option<&'static str>,
    /// Java's, which is made of the same certificates, where a package for it is installed.
    pub keystore: &'static str,
    /// What is to be told of certificates that are gone, for the keystore: their links, behind a `-`, one on a line.
    pub keystore_hook: Option<&'static str>,
    /// Where others put what they want to be trusted, and how the names of their files look, for `find`.
    pub sources: (&'static [&'static str], &'static str),
}

/// Those that are known, in the order in which they are taken where a system's name says nothing.
pub const TRUST_STORES: [TrustStore; 3] = [
    TrustStore {
        name: "fedora",
        systems: &["rhel", "fedora", "centos"],
        folder: "/etc/pki/ca-trust/source/anchors",
        ending: "pem",
        program: "update-ca-trust",
        arguments: &["extract"],
        fresh: None,
        bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        unfinished: None,
        keystore: "/etc/pki/ca-trust/extracted/java/cacerts",
        keystore_hook: None,
        sources: (&["/etc/pki/ca-trust/source", "/usr/share/pki/ca-trust-source"], "*"),
    },
    TrustStore {
        name: "suse",
        systems: &["suse", "opensuse", "sles"],
        folder: "/etc/pki/trust/anchors",
        ending: "pem",
        program: "update-ca-certificates",
        arguments: &[],
        fresh: None,
        bundle: "/var/lib/ca-certificates/ca-bundle.pem",
        unfinished: None,
        keystore: "/var/lib/ca-certificates/java-cacerts",
        keystore_hook: None,
        sources: (&["/etc/pki/trust", "/usr/share/pki/trust"], "*"),
    },
    TrustStore {
        name: "debian",
        systems: &["debian", "ubuntu", "alpine"],
        folder: "/usr/local/share/ca-certificates",
        ending: "crt",
        program: "update-ca-certificates",
        arguments: &[],
        fresh: Some("--fresh"),
        bundle: "/etc/ssl/certs/ca-certificates.crt",
        unfinished: Some("/etc/ssl/certs/ca-certificates.crt.new"),
        keystore: "/etc/ssl/certs/java/cacerts",
        keystore_hook: Some("/etc/ca-certificates/update.d/jks-keystore"),
        sources: (&["/etc/ssl/certs"], "*.pem"),
    },
];

impl TrustStore {
    /// Whether systems of this `ID`, or like one of these, have it.
    #[must_use]
    pub fn is_of(&self, ids: &[String]) -> bool {
        ids.iter().any(|id| {
            self.systems.contains(&id.as_str()) || id.starts_with("opensuse") && self.name == "suse"
        })
    }

    /// The line that tells a host of it.
    pub(super) fn line(&self) -> String {
        let arguments = self.arguments.join(" ");
        let (folders, pattern) = self.sources;
        [
            "store",
            self.name,
            self.folder,
            self.ending,
            self.bundle,
            self.unfinished.unwrap_or("-"),
            self.keystore,
            self.keystore_hook.unwrap_or("-"),
            &folders.join(","),
            pattern,
            self.program,
            if arguments.is_empty() { "-" } else { &arguments },
            self.fresh.unwrap_or("-"),
        ]
        .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host reads words: one too many would be taken for the next.
    #[test]
    fn a_store_is_told_in_so_many_words() {
        for store in TRUST_STORES {
            assert_eq!(store.line().split_whitespace().count(), 13, "{}", store.line());
        }
    }

    #[test]
    fn a_system_is_known_by_what_it_is_like() {
        let of = |ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            TRUST_STORES.iter().find(|store| store.is_of(&ids)).map(|store| store.name)
        };
        assert_eq!(of(&["debian"]), Some("debian"));
        assert_eq!(of(&["linuxmint", "ubuntu", "debian"]), Some("debian"));
        assert_eq!(of(&["alpine"]), Some("debian"));
        assert_eq!(of(&["rocky", "rhel", "centos", "fedora"]), Some("fedora"));
        assert_eq!(of(&["opensuse-leap", "suse"]), Some("suse"));
        assert_eq!(of(&["sles"]), Some("suse"));
        assert_eq!(of(&["arch"]), None);
        assert_eq!(of(&[]), None);
    }
}
