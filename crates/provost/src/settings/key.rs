//! Every setting, once.
//!
//! The flags of `provost up` and `provost config check`, the names of the environment variables, the
//! reader of the file and `provost config reference` are all made from [`KEYS`], so that they cannot
//! drift apart.

/// One setting.
pub struct Key {
    /// Its name in the file, dotted: `ca.services.crt_validity_days`.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What holds when nobody says anything.
    pub default: Default,
    /// What it is for: the first line stands alone in `-h`, the others follow in `--help`.
    pub docs: &'static [&'static str],
}

/// What a setting may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text whose form the setting itself knows; the word stands for it in the help.
    Text(&'static str),
    /// A path; the word stands for it in the help.
    Path(&'static str),
    /// A whole number that is not negative; the word stands for it in the help.
    Whole(&'static str),
    /// A number of days, of which there may be a fraction.
    Days,
    /// A number of seconds, of which there may be a fraction.
    Seconds,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Yes or no.
    Switch,
    /// Any number of texts; the word stands for one of them in the help.
    List(&'static str),
}

/// What holds when nobody says anything.
#[derive(Clone, Copy)]
pub enum Default {
    /// This value, as TOML writes it.
    Is(&'static str),
    /// What follows from something else, in words, and a possible value as TOML writes it.
    Follows(&'static str, &'static str),
}

impl Key {
    /// Its flag: `--ca-services-crt-validity-days`.
    pub fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    /// Its flag without the dashes in front.
    pub fn long(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    /// Its environment variable: `PROVOST_CA_SERVICES_CRT_VALIDITY_DAYS`.
    pub fn variable(&self) -> String {
        format!("PROVOST_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The table it stands in and its name there: `("ca.services", "crt_validity_days")`.
    pub fn place(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }

    /// The word that stands for its value in the help.
    pub fn value_word(&self) -> String {
        match self.kind {
            Kind::Text(word) | Kind::Path(word) | Kind::Whole(word) | Kind::List(word) => word.to_owned(),
            Kind::Days => "DAYS".to_owned(),
            Kind::Seconds => "SECONDS".to_owned(),
            Kind::Choice(words) => words.join("|"),
            Kind::Switch => "true|false".to_owned(),
        }
    }
}

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name nearest to `name`, if one is near enough to be what was meant.
pub fn nearest(name: &str) -> Option<&'static Key> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    // The right word in the wrong table first, then the fewest slips of the finger.
    KEYS.iter().find(|key| last(key.name) == last(name)).or_else(|| {
        let closeness = |key: &Key| strsim::normalized_damerau_levenshtein(key.name, name);
        KEYS.iter()
            .max_by(|one, other| closeness(one).total_cmp(&closeness(other)))
            .filter(|key| closeness(key) > 0.6)
    })
}

/// The settings, in the order in which they are shown. Those of one table stand together.
pub const KEYS: &[Key] = &[
    Key {
        name: "data",
        kind: Kind::Path("DIR"),
        default: Default::Follows(
            "/var/lib/provost for root, else $XDG_DATA_HOME/provost, else ~/.local/share/provost",
            "\"/var/lib/provost\"",
        ),
        docs: &[
            "The directory in which everything is kept",
            "It holds the database and the keys, and is made at the first start, for this user alone.",
        ],
    },
    Key {
        name: "netloc",
        kind: Kind::Text("HOST[:PORT]"),
        default: Default::Follows("127.0.0.1:8000, or 127.0.0.1 with `base_port`", "\"127.0.0.1:8000\""),
        docs: &[
            "The name under which clients reach this service",
            "A host name, an IPv4 address or an [IPv6] address, and the HTTP port (80 if there is none). HTTPS is",
            "one port above HTTP, and 443 beside 80. It becomes part of the certificates: choose it before the",
            "first start.",
        ],
    },
    Key {
        name: "base_port",
        kind: Kind::Whole("PORT"),
        default: Default::Follows("the port of `netloc`", "8000"),
        docs: &["The HTTP port to listen on", "HTTPS is one port above it, and 443 beside 80."],
    },
    Key {
        name: "bind",
        kind: Kind::List("ADDR"),
        default: Default::Follows("the host of `netloc`", "[\"127.0.0.1\", \"::1\"]"),
        docs: &[
            "An address or a name to listen on",
            "May be given several times. Names are resolved, and every address gets an HTTP and an HTTPS port.",
        ],
    },
    Key {
        name: "store.engine",
        kind: Kind::Choice(&["embedded", "etcd"]),
        default: Default::Is("\"embedded\""),
        docs: &[
            "Where everything is remembered: in a database of one's own, or in an etcd that several share",
            "All that share one need the same settings, clocks that agree, and the same `store.key` in their data",
            "directories.",
        ],
    },
    Key {
        name: "store.etcd.endpoints",
        kind: Kind::List("URL"),
        default: Default::Is("[]"),
        docs: &[
            "A member of the etcd, such as https://10.0.0.1:2379",
            "May be given several times: name them all, so that another is asked when one is gone.",
        ],
    },
    Key {
        name: "store.etcd.ca_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none, which is right for http", "\"/etc/provost/etcd-ca.pem\""),
        docs: &["The file with the certificates of the authorities that etcd's members have theirs from"],
    },
    Key {
        name: "store.etcd.certificate_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none is shown", "\"/etc/provost/etcd-client.pem\""),
        docs: &["The file with the certificate that etcd's members are shown"],
    },
    Key {
        name: "store.etcd.key_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none is needed", "\"/etc/provost/etcd-client.key.pem\""),
        docs: &["The file with that certificate's private key", "It may be readable for its owner only."],
    },
    Key {
        name: "store.etcd.user",
        kind: Kind::Text("NAME"),
        default: Default::Follows("nobody signs in", "\"provost\""),
        docs: &[
            "The user of etcd's who signs in, where its authentication is enabled",
            "A role that reads and writes everything under `store.etcd.namespace` is needed.",
        ],
    },
    Key {
        name: "store.etcd.password_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none is needed", "\"/etc/provost/etcd-password\""),
        docs: &[
            "The file with that user's password",
            "It may be readable for its owner only. A line break at the end does not count.",
        ],
    },
    Key {
        name: "store.etcd.namespace",
        kind: Kind::Text("PREFIX"),
        default: Default::Is("\"\""),
        docs: &[
            "What all keys in etcd begin with, such as /provost",
            "So that an etcd may be shared with others, each under a name of its own.",
        ],
    },
    Key {
        name: "store.etcd.deadline_seconds",
        kind: Kind::Seconds,
        default: Default::Is("5"),
        docs: &["How long etcd may take for one answer, all its members together"],
    },
    Key {
        name: "store.etcd.wait_seconds",
        kind: Kind::Seconds,
        default: Default::Is("60"),
        docs: &["How long a start waits for an etcd that does not answer"],
    },
    Key {
        name: "ca.threshold_days",
        kind: Kind::Days,
        default: Default::Is("31"),
        docs: &[
            "How long before its end the service's own certificate is renewed",
            "Never more than a third of `ca.services.crt_validity_days`.",
        ],
    },
    Key {
        name: "ca.key_bits",
        kind: Kind::Whole("BITS"),
        default: Default::Is("2048"),
        docs: &["The size of new RSA keys of the authorities and of the service: 2048, 3072, 4096 or 8192"],
    },
    Key {
        name: "ca.lock_auto_approve_count",
        kind: Kind::Switch,
        default: Default::Is("false"),
        docs: &[
            "Make the two `auto_approve_count` permanent",
            "The first start with it stores both; from then on the stored ones rule, whatever is said here.",
        ],
    },
    Key {
        name: "ca.services.crt_validity_days",
        kind: Kind::Days,
        default: Default::Is("93"),
        docs: &[
            "How long a certificate of a service is valid",
            "The authority's own certificates live four times as long, its revocation lists a third as long.",
        ],
    },
    Key {
        name: "ca.services.max_csr",
        kind: Kind::Whole("N"),
        default: Default::Is("50"),
        docs: &["How many signing requests for services may wait for approval at once"],
    },
    Key {
        name: "ca.services.auto_approve_count",
        kind: Kind::Whole("N"),
        default: Default::Is("0"),
        docs: &["How many of the first signing requests for services are approved without being asked about"],
    },
    Key {
        name: "ca.users.crt_validity_days",
        kind: Kind::Days,
        default: Default::Is("93"),
        docs: &[
            "How long a certificate of a user is valid",
            "The authority's own certificates live four times as long, its revocation lists a third as long.",
        ],
    },
    Key {
        name: "ca.users.max_csr",
        kind: Kind::Whole("N"),
        default: Default::Is("50"),
        docs: &["How many signing requests for users may wait for approval at once"],
    },
    Key {
        name: "ca.users.auto_approve_count",
        kind: Kind::Whole("N"),
        default: Default::Is("0"),
        docs: &[
            "How many of the first signing requests for users are approved without being asked about",
            "Every user may approve, reject and revoke. The first one is made at the first start.",
        ],
    },
    Key {
        name: "cors.whitelist",
        kind: Kind::List("ORIGIN"),
        default: Default::Is("[]"),
        docs: &[
            "An origin whose pages may use this service without asking the user",
            "May be given several times. Written as browsers write it: scheme://host[:port], nothing after it.",
        ],
    },
    Key {
        name: "cors.key_store",
        kind: Kind::Path("FILE"),
        default: Default::Follows("cors.key in the data directory", "\"/var/lib/provost/cors.key\""),
        docs: &["The file with the keys that sign the cookie of the cross-origin page"],
    },
    Key {
        name: "server.key_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows(
            "server.key.pem in the data directory",
            "\"/var/lib/provost/server.key.pem\"",
        ),
        docs: &["The file with the service's own private key and certificate"],
    },
    Key {
        name: "fleet.api",
        kind: Kind::Switch,
        default: Default::Is("true"),
        docs: &[
            "Whether hosts and clusters are served, under /v1 and, for Commissaire's clients, under /api/v0",
        ],
    },
    Key {
        name: "fleet.plain_http",
        kind: Kind::Choice(&["loopback", "everyone"]),
        default: Default::Is("\"loopback\""),
        docs: &[
            "Who may use /v1 and /api/v0 without TLS: programs on this machine only, or whoever reaches the service",
            "Passwords and the private keys of hosts go over the line there, and everybody on the way can read them.",
        ],
    },
    Key {
        name: "fleet.trusted_proxies",
        kind: Kind::List("ADDRESS[/BITS]"),
        default: Default::Is("[]"),
        docs: &[
            "A proxy, or a network of proxies, that is believed when it says for whom it asks",
            "May be given several times. From anybody else the header X-Forwarded-For counts for nothing: a host that",
            "registers itself does so under the address that it really comes from.",
        ],
    },
    Key {
        name: "fleet.sign_in",
        kind: Kind::Path("certificates|FILE"),
        default: Default::Is("\"certificates\""),
        docs: &[
            "Who may use /v1 and /api/v0: holders of the users authority's certificates, and whom a file lets in besides",
            "It knows of passwords, certificates of other authorities, and services that judge tokens: JSON with",
            "`authentication-plugins` and `self-auths`, as in the configuration of Commissaire's server. Certificates of",
            "the users authority count after them, always.",
        ],
    },
    Key {
        name: "limits.connections_max",
        kind: Kind::Whole("N"),
        default: Default::Is("4096"),
        docs: &["How many connections may be open at once"],
    },
    Key {
        name: "limits.header_seconds",
        kind: Kind::Seconds,
        default: Default::Is("10"),
        docs: &["How long a client may take for a TLS handshake, and for the head of a request"],
    },
    Key {
        name: "limits.body_seconds",
        kind: Kind::Seconds,
        default: Default::Is("15"),
        docs: &["How long a client may take for the body of a request"],
    },
    Key {
        name: "limits.idle_seconds",
        kind: Kind::Seconds,
        default: Default::Is("60"),
        docs: &["How long a connection may stay open without a request"],
    },
    Key {
        name: "limits.bytes_per_second_min",
        kind: Kind::Whole("BYTES"),
        default: Default::Is("1024"),
        docs: &[
            "The slowest transfer that counts as one, in bytes a second",
            "Each byte of a body or an answer makes up for its part of a second, so that a client which sends or",
            "reads in drips is cut off nearly as soon as one that stands still.",
        ],
    },
    Key {
        name: "limits.bodies_bytes_max",
        kind: Kind::Whole("BYTES"),
        default: Default::Is("268435456"),
        docs: &[
            "How much memory the bodies of all requests may take together",
            "Whoever sends more is told to try again later (503). One request may have 10485760.",
        ],
    },
    Key {
        name: "limits.drain_seconds",
        kind: Kind::Seconds,
        default: Default::Is("30"),
        docs: &["How long requests that are being answered may take to end when the program stops"],
    },
    Key {
        name: "log.level",
        kind: Kind::Text("FILTER"),
        default: Default::Is("\"info\""),
        docs: &[
            "What is logged on standard error",
            "error, warn, info, debug, trace or off, for everything or by module: \"info,hyper=debug\".",
        ],
    },
    Key {
        name: "log.format",
        kind: Kind::Choice(&["text", "json"]),
        default: Default::Is("\"text\""),
        docs: &["How it is logged: lines for people, or one JSON object a line"],
    },
    Key {
        name: "log.access",
        kind: Kind::Path("stdout|off|FILE"),
        default: Default::Is("\"stdout\""),
        docs: &["Where the access log goes: standard output, nowhere, or to the end of a file"],
    },
    Key {
        name: "metrics.access",
        kind: Kind::Choice(&["loopback", "everyone"]),
        default: Default::Is("\"loopback\""),
        docs: &["Who may read /metrics: this machine only, or whoever reaches the service"],
    },
    Key {
        name: "history.keep_days",
        kind: Kind::Days,
        default: Default::Is("400"),
        docs: &["How long the history of what happened is kept"],
    },
    Key {
        name: "history.keep_count",
        kind: Kind::Whole("N"),
        default: Default::Is("1000000"),
        docs: &["How many events the history keeps at most"],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_given_once() {
        let count = |name: &dyn Fn(&Key) -> String| KEYS.iter().map(name).collect::<BTreeSet<_>>().len();
        assert_eq!(count(&|key| key.name.to_owned()), KEYS.len());
        assert_eq!(count(&Key::flag), KEYS.len());
        assert_eq!(count(&Key::variable), KEYS.len());
        assert!(KEYS.iter().all(|key| key.variable() != "PROVOST_CONFIG"));
    }

    /// TOML forbids opening a table twice.
    #[test]
    fn the_settings_of_one_table_stand_together() {
        let mut tables: Vec<_> = KEYS.iter().map(|key| key.place().0).collect();
        tables.dedup();
        assert_eq!(tables.iter().collect::<BTreeSet<_>>().len(), tables.len(), "{tables:?}");
        assert_eq!(tables[0], "");
    }

    #[test]
    fn a_key_has_three_names() {
        let key = find("ca.services.crt_validity_days").unwrap();
        assert_eq!(key.flag(), "--ca-services-crt-validity-days");
        assert_eq!(key.variable(), "PROVOST_CA_SERVICES_CRT_VALIDITY_DAYS");
        assert_eq!(key.place(), ("ca.services", "crt_validity_days"));
    }

    #[test]
    fn the_nearest_name_is_found() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(nearest(name).map(|key| key.name), expected, "{name}");
        };
        check("ca.service.crt_validity_days", Some("ca.services.crt_validity_days"));
        check("ca.services.crt_validty_days", Some("ca.services.crt_validity_days"));
        check("drain_seconds", Some("limits.drain_seconds"));
        check("netlok", Some("netloc"));
        check("colour", None);
    }
}
