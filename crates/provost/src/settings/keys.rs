//! Every setting, once.
//!
//! The flags of `provost up` and `provost config check`, the names of the environment variables, the
//! reader of the file and `provost config reference` are all made from [`KEYS`], so that they cannot
//! drift apart.

use super::key::{Default, Key, Kind};

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
            "none but those of the authority for users, and of `fleet.sign_in`",
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
        name: "fleet.investigate",
        kind: Kind::Switch,
        default: Default::Is("true"),
        docs: &[
            "Whether hosts are looked at over SSH and made ready, as soon as they are added",
            "Otherwise they stay as they were given.",
        ],
    },
    Key {
        name: "fleet.operations",
        kind: Kind::Switch,
        default: Default::Follows("as `fleet.investigate`", "true"),
        docs: &[
            "Whether operations on clusters are carried out: restarts, upgrades and deployments of their hosts",
            "Otherwise they are written down, for another process that shares the store.",
        ],
    },
    Key {
        name: "fleet.watch",
        kind: Kind::Switch,
        default: Default::Follows("as `fleet.investigate`", "true"),
        docs: &[
            "Whether hosts that are ready are looked at again and again",
            "One that does not answer twice in a row has failed, until it answers again.",
        ],
    },
    Key {
        name: "fleet.watch_seconds",
        kind: Kind::Whole("SECONDS"),
        default: Default::Is("60"),
        docs: &["How often each host is looked at, with `fleet.watch`"],
    },
    Key {
        name: "fleet.profile",
        kind: Kind::Choice(&["none", "containers"]),
        default: Default::Is("\"none\""),
        docs: &[
            "What hosts are made ready for: for nothing in particular, or to run containers",
            "With none, hosts are looked at, and nothing is changed on them. With containers, docker and flannel are",
            "installed, configured and started. Under the name commissaire-server it is containers unless something else",
            "is said.",
        ],
    },
    Key {
        name: "fleet.commands_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows(
            "the commands that come with the program",
            "\"/etc/provost/commands.toml\"",
        ),
        docs: &[
            "A file with what is to be done on hosts by their operating system, in place of what comes with the program",
            "TOML with a table for each operating system, such as [fedora], by the ID in its /etc/os-release; in it,",
            "commands for sh: restart, upgrade, deploy, install, has_package, enable_repositories, is_running,",
            "start_service; and the names of packages, services and files. `like` names a table that the rest is taken from.",
        ],
    },
    Key {
        name: "fleet.templates_folder",
        kind: Kind::Path("FOLDER"),
        default: Default::Follows("the templates that come with the program", "\"/etc/provost/templates\""),
        docs: &[
            "A folder with templates of files that are written on hosts: flanneld.j2, docker.j2, or both",
            "In the language of Jinja2, with Commissaire's variables (commissaire_flannel_key and others).",
        ],
    },
    Key {
        name: "fleet.transport",
        kind: Kind::Choice(&["ssh", "ansible"]),
        default: Default::Is("\"ssh\""),
        docs: &[
            "How hosts are worked on: over SSH by Provost itself, or by playbooks that ansible-playbook runs",
            "With ssh, nothing has to be installed beside Provost, and no Python on hosts. With ansible, ansible-core has",
            "to be there, and hosts are worked on as playbooks say, which an operator can replace.",
        ],
    },
    Key {
        name: "fleet.ansible.program",
        kind: Kind::Path("FILE"),
        default: Default::Follows("ansible-playbook on the PATH", "\"/usr/bin/ansible-playbook\""),
        docs: &["The program that runs playbooks, with `fleet.transport` as ansible"],
    },
    Key {
        name: "fleet.ansible.playbooks_folder",
        kind: Kind::Path("FOLDER"),
        default: Default::Follows("the playbooks that come with the program", "\"/etc/provost/playbooks\""),
        docs: &[
            "A folder with playbooks in place of those that come with the program, with the roles and collections they use",
            "Any of look.yml, check.yml, bootstrap.yml, restart.yml, upgrade.yml, deploy.yml, command.yml and put.yml; an",
            "ansible.cfg in it counts as well. `provost config playbooks DIR` writes down what comes with the program.",
        ],
    },
    Key {
        name: "fleet.ssh.port",
        kind: Kind::Whole("PORT"),
        default: Default::Is("22"),
        docs: &["The port at which the SSH servers of hosts listen"],
    },
    Key {
        name: "fleet.ssh.jump",
        kind: Kind::Text("USER@HOST:PORT"),
        default: Default::Follows("none: hosts are reached directly", "\"provost@bastion.example:22\""),
        docs: &[
            "The machine through which all hosts are reached, as with `ssh -J`; its sshd has to allow forwarding. The",
            "addresses of hosts are as it knows them. With `fleet.transport` as ansible, put it into `ssh_args` instead.",
        ],
    },
    Key {
        name: "fleet.ssh.jump_host_key",
        kind: Kind::Text("KEY"),
        default: Default::Follows(
            "none, which is right without a jump",
            "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO\"",
        ),
        docs: &[
            "The host key of that machine, as in its /etc/ssh/ssh_host_ed25519_key.pub; needed with `fleet.ssh.jump`.",
            "One that proves another key is not signed in to.",
        ],
    },
    Key {
        name: "fleet.ssh.jump_key_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows(
            "the key of the host that is to be reached",
            "\"/etc/provost/bastion_ed25519\"",
        ),
        docs: &["The file with the private key that signs in to that machine; nobody else may read it"],
    },
    Key {
        name: "fleet.ssh.hosts_max",
        kind: Kind::Whole("N"),
        default: Default::Is("50"),
        docs: &[
            "How many hosts are made ready at the same time, and how many are under way in operations besides",
        ],
    },
    Key {
        name: "fleet.ssh.connect_seconds",
        kind: Kind::Seconds,
        default: Default::Is("10"),
        docs: &["How long a host may take to answer at all, before it counts as unreachable"],
    },
    Key {
        name: "fleet.ssh.host_seconds",
        kind: Kind::Seconds,
        default: Default::Is("3600"),
        docs: &["How long a host may take to be ready, with everything that is installed on it"],
    },
    Key {
        name: "fleet.flannel.etcd.url",
        kind: Kind::Text("URL"),
        default: Default::Follows(
            "none: only networks of type flannel_server can be used",
            "\"https://10.0.0.1:2379\"",
        ),
        docs: &[
            "The etcd in which flannel on the hosts finds its network, for networks of type flannel_etcd",
            "Several URLs have commas between them. It is what hosts are told: no 127.0.0.1, and with `fleet.profile` as",
            "containers only.",
        ],
    },
    Key {
        name: "fleet.flannel.etcd.ca_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none, which is right for http", "\"/etc/provost/flannel-ca.pem\""),
        docs: &["The file with the authorities of that etcd's certificate; it is copied to the hosts"],
    },
    Key {
        name: "fleet.flannel.etcd.certificate_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none is shown", "\"/etc/provost/flannel.pem\""),
        docs: &["The file with the certificate that flannel shows to that etcd; it is copied to the hosts"],
    },
    Key {
        name: "fleet.flannel.etcd.key_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows("none is needed", "\"/etc/provost/flannel.key.pem\""),
        docs: &["The file with that certificate's private key; it is copied to the hosts, for root alone"],
    },
    Key {
        name: "fleet.token_review.url",
        kind: Kind::Text("URL"),
        default: Default::Follows(
            "no Kubernetes is asked",
            "\"https://kubernetes.default.svc/apis/authentication.k8s.io/v1/tokenreviews\"",
        ),
        docs: &[
            "Where a Kubernetes is asked whose a bearer token is (TokenReview), so that its users and service accounts \
             sign in",
            "After the methods of `fleet.sign_in`.",
        ],
    },
    Key {
        name: "fleet.token_review.token_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows(
            "needed with `fleet.token_review.url`",
            "\"/var/run/secrets/kubernetes.io/serviceaccount/token\"",
        ),
        docs: &[
            "The file with the token that we ask with; its owner must be allowed to create token reviews",
            "It is read again whenever it changes.",
        ],
    },
    Key {
        name: "fleet.token_review.ca_file",
        kind: Kind::Path("FILE"),
        default: Default::Follows(
            "what the system trusts",
            "\"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt\"",
        ),
        docs: &["The file with the authorities that the Kubernetes may have its certificate from"],
    },
    Key {
        name: "fleet.token_review.audiences",
        kind: Kind::List("NAME"),
        default: Default::Is("[]"),
        docs: &["Whom tokens must be meant for; the Kubernetes itself, when nobody is named"],
    },
    Key {
        name: "fleet.token_review.roles",
        kind: Kind::List("USER=ROLE"),
        default: Default::Is("[]"),
        docs: &[
            "What a user may do: registrar, reader, publisher, operator or administrator",
            "May be given several times, as in system:serviceaccount:fleet:nodes=registrar.",
        ],
    },
    Key {
        name: "fleet.token_review.group_roles",
        kind: Kind::List("GROUP=ROLE"),
        default: Default::Is("[]"),
        docs: &["What those in a group may do who have no role of their own", "May be given several times."],
    },
    Key {
        name: "fleet.token_review.role",
        kind: Kind::Choice(&["none", "registrar", "reader", "publisher", "operator", "administrator"]),
        default: Default::Is("\"none\""),
        docs: &["What all others may do whose token is good; with none, they are not let in"],
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
