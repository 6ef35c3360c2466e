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
            "It is made when it is not there. Only one process may use it at a time. See `cache.s3.bucket`.",
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
            "Holders of certificates of the authorities for services and for users sign in, whom `fleet.sign_in` gives the",
            "role publisher, operator or administrator, and whom `cache.users_file` and `cache.client_ca_file` know.",
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
            "Counted from when it is first said on.",
        ],
    },
    Key {
        name: "cache.s3.bucket",
        kind: Kind::Text("NAME"),
        default: Default::Follows("artifacts are kept in `cache.folder`", "\"artifacts\""),
        docs: &[
            "The bucket of an S3-compatible object store in which artifacts are kept, instead of a directory",
            "It has to be there. Several processes may use the same: those that share an etcd have the same artifacts then.",
            "An artifact has at most 5 GiB there.",
        ],
    },
    Key {
        name: "cache.s3.prefix",
        kind: Kind::Text("PREFIX"),
        default: Default::Follows("nothing", "\"provost/artifacts\""),
        docs: &[
            "What the names of all objects begin with",
            "So that a bucket may be shared with others, each under a name of its own.",
        ],
    },
    Key {
        name: "cache.s3.endpoint",
        kind: Kind::Text("URL"),
        default: Default::Follows("Amazon's for the region", "\"https://s3.example.com:9000\""),
        docs: &["Where the object store is, without the bucket"],
    },
    Key {
        name: "cache.s3.region",
        kind: Kind::Text("NAME"),
        default: Default::Follows("us-east-1", "\"eu-central-1\""),
        docs: &[
            "The region of the bucket, as requests are signed for; servers of one's own mostly take this one",
        ],
    },
    Key {
        name: "cache.s3.path_style",
        kind: Kind::Switch,
        default: Default::Follows("where an endpoint is said", "true"),
        docs: &["Whether the bucket is named in the path of requests, and not in the name of the host"],
    },
    Key {
        name: "cache.s3.access_key_id",
        kind: Kind::Text("ID"),
        default: Default::Follows("$AWS_ACCESS_KEY_ID; without, requests are not signed", "\"AKIA...\""),
        docs: &[
            "The name of the access key that requests are signed with",
            "It has to be allowed to list the bucket, and to read, write and delete objects, and to abort uploads.",
        ],
    },
    Key {
        name: "cache.s3.secret_key_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("$AWS_SECRET_ACCESS_KEY", "\"/etc/provost/s3-secret-key\""),
        docs: &[
            "The file with that access key's secret, read at the start",
            "It may be readable for its owner only. A line break at the end does not count.",
        ],
    },
    Key {
        name: "cache.s3.ca_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("those that this system trusts", "\"/etc/provost/s3-ca.pem\""),
        docs: &["The file with the certificates of the authorities that the object store has its own from"],
    },
    Key {
        name: "cache.s3.wait_seconds",
        kind: Kind::Seconds,
        default: Default::Follows("30", "30"),
        docs: &[
            "How long the object store is asked again when it does not answer, or fails, and how long it may be silent",
            "Then whoever waits is told so (503), and a start ends.",
        ],
    },
];
