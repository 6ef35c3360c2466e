//! Settings of the house itself: where things are kept, its authorities, its doors.

use super::super::key::{Default, Key, Kind};

/// In the order in which they are shown.
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
            "It holds the database and the keys, and is made at the first start, for this user alone. A provost.toml in",
            "it is found there, and cannot name another one.",
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
        docs: &[
            "The HTTP port to listen on",
            "HTTPS is one port above it, and 443 beside 80. Where `server.doors` is https, it is this port.",
        ],
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
        name: "clock_is_right",
        kind: Kind::Switch,
        default: Default::Is("false"),
        docs: &[
            "Start although the clock says that it is long before or long after this house was here last",
            "For one start, when it is the clock that is right: a house that was asleep until all its CA certificates",
            "had ended makes new ones then. Without it such a start changes nothing, and says so.",
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
        default: Default::Follows("those that this system trusts", "\"/etc/provost/etcd-ca.pem\""),
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
            "A role that reads and writes all keys that begin with `store.etcd.namespace` and a slash is enough.",
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
        name: "ca.api",
        kind: Kind::Switch,
        default: Default::Is("true"),
        docs: &[
            "Whether the certificate authorities are served, for caucase's clients",
            "The service has its own certificate from them either way, and administrators theirs.",
        ],
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
        name: "ca.names",
        kind: Kind::Choice(&["any", "strict"]),
        default: Default::Is("\"strict\""),
        docs: &[
            "Which names are certified: only what everybody takes who reads certificates, or any whose syntax is right",
            "Refused when this is strict is what linters for certificates of the web complain about: wildcards",
            "(*.example.com), host names of one label (localhost) or without a letter at their end (db.zone1), URIs of",
            "schemes such as spiffe and urn, object identifiers with long numbers. It is about requests: `netloc` may be",
            "any name, and certificates that were issued before are renewed with the names that they have.",
        ],
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
        name: "ca.backup_directory",
        kind: Kind::Path("DIR"),
        default: Default::Follows("no backups are made", "\"/var/backups/provost\""),
        docs: &[
            "Where backups of the certificate authorities are put, again and again; none are made without it",
            "Each is encrypted for all users who have a certificate and an RSA key at that time, in the format of caucase;",
            "`caucased-manage --restore-backup` makes a new database of one. Nothing in the directory is ever deleted.",
        ],
    },
    Key {
        name: "ca.backup_period_days",
        kind: Kind::Days,
        default: Default::Is("1"),
        docs: &["How much time is between two backups"],
    },
    Key {
        name: "ca.token.module",
        kind: Kind::Path("FILE"),
        default: Default::Follows("CA keys are sealed in the store", "\"/usr/lib/softhsm/libsofthsm2.so\""),
        docs: &[
            "The PKCS#11 module of a token (a hardware security module) in which CA keys are made and stay",
            "Keys that were made before stay where they are until their certificates end: `provost ca rotate` begins to use",
            "the token earlier. One token at a time; with CA keys in another the house does not start.",
        ],
    },
    Key {
        name: "ca.token.label",
        kind: Kind::Text("LABEL"),
        default: Default::Follows("none is needed", "\"provost\""),
        docs: &["The label of that token"],
    },
    Key {
        name: "ca.token.pin_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none is needed", "\"/etc/provost/token-pin\""),
        docs: &[
            "The file with the PIN of that token's user",
            "It may be readable for its owner only, and is read whenever somebody logs in. A line break at the end does not",
            "count. A PIN that the token refused is not tried again until another one is in the file.",
        ],
    },
    Key {
        name: "ca.token.new_keys",
        kind: Kind::Switch,
        default: Default::Is("true"),
        docs: &[
            "Whether new CA keys are made in that token",
            "Set to false they are sealed in the store again, and those in the token are used until their certificates end.",
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
        name: "server.doors",
        kind: Kind::Choice(&["both", "http", "https"]),
        default: Default::Is("\"both\""),
        docs: &[
            "What is listened on: an HTTP port and the HTTPS port that belongs to it, or one of them alone",
            "A door that stands alone is on the port of `base_port`, whichever it is. Certificates are approved over",
            "HTTPS only.",
        ],
    },
    Key {
        name: "server.tls_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("the service's own certificate is shown", "\"/etc/provost/tls.pem\""),
        docs: &[
            "A file with another certificate to show on the HTTPS port: private key, certificate, and its chain, as PEM",
            "It may be readable for its owner only. It is read at the start.",
        ],
    },
    Key {
        name: "server.client_certificates",
        kind: Kind::Choice(&["asked", "required"]),
        default: Default::Is("\"asked\""),
        docs: &[
            "Whether clients of the HTTPS port may come with a certificate, or have to",
            "Where they have to, the TLS handshake fails without one, whatever is asked for.",
        ],
    },
    Key {
        name: "server.client_ca_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows(
            "none but those of the authority for users, of `cache.services`, and of `fleet.sign_in`",
            "\"/etc/provost/clients.pem\"",
        ),
        docs: &[
            "A file with authorities whose certificates clients may come with besides, as PEM",
            "That lets them through the TLS handshake; what they may do, `fleet.sign_in` says: its plugin",
            "`httpauthclientcert` takes them where it has no `ca_file` of its own.",
        ],
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
];
