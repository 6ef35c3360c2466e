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
            "It is made when it is not there. Only one process may use it at a time. See `cache.s3.bucket`. Where several processes",
            "share an etcd and each has a folder, the rules are applied by one of them, and remove the bytes of its own folder",
            "only: those that are left in the others go when strays are removed there (`POST /v1/cache/collections`).",
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
            "publishers, or readers where that is said. It is read again whenever it changes. Who lists, pins and",
            "collects (/v1/cache) is an operator of `fleet.sign_in`; nobody here is.",
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
            "As publishers they pass the TLS handshake, as users do, and elsewhere have no right by it: what is for users",
            "is refused (401, under /api/v0 403). With `none` the handshake fails with such a certificate, as the",
            "original's does.",
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
    Key {
        name: "cache.retention",
        kind: Kind::List("RULE"),
        default: Default::Is("[]"),
        docs: &[
            "Which entries stay; what no rule is about stays, and the first rule about an entry decides",
            "As in \"keep newest 3 for pypi:*\", \"keep used 90d or younger 30d for file-urlmd5:*\", \"keep newest 100 overall for",
            "slapos-*\", \"keep nothing for tmp:* where os==\\\"debian\\\"\", \"keep all for *\". An artifact goes after its last entry. What",
            "is pinned stays, as does what others count by: the last entry of a signer under a key, as long as others of theirs",
            "are there, and withdrawals, as long as what they withdraw is. What came from upstream does not come again.",
        ],
    },
    Key {
        name: "cache.unnamed",
        kind: Kind::Text("WHAT"),
        default: Default::Is("\"all\""),
        docs: &[
            "Which artifacts stay that never had an entry",
            "As in \"used 365d or younger 30d\"; \"nothing\" keeps them for the time of grace only.",
        ],
    },
    Key {
        name: "cache.grace_days",
        kind: Kind::Days,
        default: Default::Is("1"),
        docs: &[
            "How long an artifact stays when its last entry has gone, or nobody has named it",
            "Asking for it makes it stay for as long again. Not less than an hour.",
        ],
    },
    Key {
        name: "cache.hide_withdrawn",
        kind: Kind::Path("FILE"),
        default: Default::Follows("nothing is hidden", "\"/etc/provost/cache-trust.toml\""),
        docs: &[
            "Entries that their signers withdrew are not shown to readers, where this file says whose keys are whose",
            "In the form in which readers say whom they believe (`--trust FILE` of `provost cache get`): those of the keys there",
            "are hidden that such readers would find withdrawn. Old readers know no withdrawals, and this protects them. Operators",
            "see them all in `/v1/cache/entries`. Nothing is hidden unless it is said, as an entry names its signer's key and",
            "does not contain it, so that nobody could tell whose a withdrawal is. It is read at the start.",
        ],
    },
    Key {
        name: "cache.scrub_bytes_per_second",
        kind: Kind::Whole("BYTES"),
        default: Default::Is("4194304"),
        docs: &[
            "How fast artifacts are read again to see whether they are whole, once a week; 0 for not at all",
            "What is damaged is put aside, and can be uploaded again. `provost cache scrub` does it now.",
        ],
    },
    Key {
        name: "cache.upstream_cache_url",
        kind: Kind::Text("URL"),
        default: Default::Follows("there is none", "\"http://shacache.nxdcdn.com\""),
        docs: &[
            "Another ShaCache: artifacts that are not here are fetched from it when somebody asks for them, and stay",
            "It may have the base path and `user:password@` in it. They are read along with while they come. Where they are kept",
            "in a bucket, or upstream does not say how long they are, they are given once they are here: who does not wait for",
            "so long finds them there later. Who only looks whether they are there makes nobody fetch them.",
        ],
    },
    Key {
        name: "cache.upstream_dir_url",
        kind: Kind::Text("URL"),
        default: Default::Follows("there is none", "\"http://shadir.nxdcdn.com\""),
        docs: &[
            "Another ShaDir: its entries are added to those that are here, when somebody asks for their key",
        ],
    },
    Key {
        name: "cache.upstream_ca_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("the system's authorities", "\"/etc/provost/upstream-ca.pem\""),
        docs: &[
            "A file with the certificates of authorities that upstream's HTTPS certificate may come from",
        ],
    },
    Key {
        name: "cache.upstream_key_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none", "\"/etc/provost/upstream.pem\""),
        docs: &["A file with the certificate and the key that are shown to upstream"],
    },
    Key {
        name: "cache.upstream_fresh_seconds",
        kind: Kind::Seconds,
        default: Default::Is("60"),
        docs: &["How long what upstream said about a key is believed, before it is asked again"],
    },
    Key {
        name: "cache.upstream_bytes_max",
        kind: Kind::Whole("BYTES"),
        default: Default::Follows("half of the room that there is, where that is known", "1099511627776"),
        docs: &[
            "How much of what came from upstream is kept; what was not read for the longest time goes first",
            "Whoever may read decides what comes. What somebody put here as well, or names in an entry of their own, and what is",
            "pinned, stays. What cannot be kept is passed on. In a bucket nobody knows how much room there is: say it there.",
        ],
    },
    Key {
        name: "cache.upstream_absent_seconds",
        kind: Kind::Seconds,
        default: Default::Is("30"),
        docs: &["How long upstream is not asked again for what it does not have"],
    },
    Key {
        name: "cache.s3.bucket",
        kind: Kind::Text("NAME"),
        default: Default::Follows("artifacts are kept in `cache.folder`", "\"artifacts\""),
        docs: &[
            "The bucket of an S3-compatible object store in which artifacts are kept, instead of a directory",
            "It has to be there. Those that share an etcd may use the same, and have the same artifacts then; for others, each has",
            "a `cache.s3.prefix` of its own.",
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
        name: "cache.s3.credentials_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("no such file", "\"/run/provost/aws-credentials\""),
        docs: &[
            "A file with an access key that changes, as temporary ones do, in place of `cache.s3.access_key_id`",
            "It has the form of Amazon's shared credentials, with `aws_access_key_id`, `aws_secret_access_key` and",
            "`aws_session_token` under `[default]`, may be readable for its owner only, and is read again when it has changed.",
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
