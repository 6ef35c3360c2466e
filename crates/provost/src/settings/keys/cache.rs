//! Settings of the artifact cache.

use super::super::key::{Default, Key, Kind};

/// In the order in which they are shown.
pub const KEYS: &[Key] = &[
    Key {
        name: "cache.api",
        kind: Kind::Switch,
        default: Default::Is("true"),
        docs: &["Whether the artifact cache is served, for the clients of ShaCache and ShaDir"],
    },
    Key {
        name: "cache.folder",
        kind: Kind::Path("DIR"),
        default: Default::Follows("`artifacts` in `data`", "\"/var/lib/provost/artifacts\""),
        docs: &[
            "The directory in which artifacts are kept, each in a file of its own",
            "It is made when it is not there. Only one process may use it at a time.",
        ],
    },
    Key {
        name: "cache.readers",
        kind: Kind::Choice(&["everyone", "signed-in"]),
        default: Default::Is("\"everyone\""),
        docs: &["Who reads artifacts and entries: whoever reaches the service, or only who signs in"],
    },
    Key {
        name: "cache.writers",
        kind: Kind::Choice(&["signed-in", "everyone"]),
        default: Default::Is("\"signed-in\""),
        docs: &[
            "Who puts artifacts and entries there: only who signs in, or, for closed networks, whoever reaches the service",
            "Those sign in whom `fleet.sign_in` gives the role publisher, operator or administrator, by default holders of",
            "certificates of the authority for users; and whom `cache.services`, `cache.users_file` and",
            "`cache.client_ca_file` let in.",
        ],
    },
    Key {
        name: "cache.plain_http",
        kind: Kind::Choice(&["loopback", "everyone"]),
        default: Default::Is("\"loopback\""),
        docs: &[
            "Who may sign in to the cache without TLS: programs on this machine only, or whoever reaches the service",
            "Passwords go over the line there, and everybody on the way can read them. Where nobody has to sign in, this",
            "does not matter.",
        ],
    },
    Key {
        name: "cache.users_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows(
            "nobody signs in to the cache alone by a password",
            "\"/etc/provost/cache-users.json\"",
        ),
        docs: &[
            "A file with users who sign in to the cache by a password",
            "JSON: {\"alice\": {\"hash\": \"$2b$12$...\"}}, with hashes as `commctl passhash` makes them. They are",
            "publishers, unless a role is said. It is read again whenever it changes.",
        ],
    },
    Key {
        name: "cache.services",
        kind: Kind::Choice(&["publishers", "none"]),
        default: Default::Is("\"publishers\""),
        docs: &[
            "What holders of our own services' certificates are to the cache: publishers, or nobody",
            "Each name that a certificate is issued for has a quota of its own, so whoever approves requests approves",
            "quotas. A certificate whose extended key usage has no clients in it counts for nothing here.",
        ],
    },
    Key {
        name: "cache.client_ca_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none but our own", "\"/etc/provost/cache-clients.pem\""),
        docs: &[
            "A file with the certificates of other authorities whose clients are publishers",
            "It is read again whenever it changes.",
        ],
    },
    Key {
        name: "cache.artifact_bytes_max",
        kind: Kind::Whole("BYTES"),
        default: Default::Is("68719476736"),
        docs: &["How large an artifact may be; what is larger is refused with 413"],
    },
    Key {
        name: "cache.writer_bytes_max",
        kind: Kind::Whole("BYTES"),
        default: Default::Follows("as much as there is room for", "1099511627776"),
        docs: &[
            "How much one writer may keep, artifacts and entries together; more is refused with 507",
            "Counted from when it is first said on, and while it comes in. What is there already is never refused: who has",
            "kept enough is told so once all of it has come.",
        ],
    },
    Key {
        name: "cache.reserve_bytes",
        kind: Kind::Whole("BYTES"),
        default: Default::Is("268435456"),
        docs: &[
            "How much of the disk with the artifacts is left free, for the database among others",
            "An artifact that would take of it is refused with 507.",
        ],
    },
    Key {
        name: "cache.sending_bytes_max",
        kind: Kind::Whole("BYTES"),
        default: Default::Is("67108864"),
        docs: &[
            "How much memory artifacts and lists of entries may take together on their way out",
            "Each piece that is sent has 65536 bytes of it until the connection has taken it; when all is taken by clients",
            "that read slowly, the others go on more slowly, with one piece for each connection besides.",
        ],
    },
];
