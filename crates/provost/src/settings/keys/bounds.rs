//! Settings of what is put up with, and of what is told: limits, logs, metrics, history.

use super::super::key::{Default, Key, Kind};

/// In the order in which they are shown.
pub const KEYS: &[Key] = &[
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
            "Whoever sends more is told to try again later (503). One request may have 10485760. An artifact that comes in",
            "has 524288, however large it is, and waits for them.",
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
        docs: &[
            "How long the history of what happened is kept, and operations that have ended, but for the latest",
        ],
    },
    Key {
        name: "history.keep_count",
        kind: Kind::Whole("N"),
        default: Default::Is("1000000"),
        docs: &[
            "How many events the history keeps at most; the cache's own, of artifacts and entries, as many again",
        ],
    },
];
