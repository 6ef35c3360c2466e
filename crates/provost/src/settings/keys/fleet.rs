//! Settings of the fleet.

use super::super::key::{Default, Key, Kind};

/// In the order in which they are shown.
pub const KEYS: &[Key] = &[
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
            "start_service; and the names of packages, services and files. {packages} stands for what is to be installed, as in",
            "install = \"apk add {packages}\", and in has_package; {version} for what deploy deploys; {service} in is_running and",
            "start_service. `like` names a table that the rest is taken from; one such as [rhel-7] is for that version alone.",
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
        name: "fleet.ansible.said_mib_max",
        kind: Kind::Whole("MIB"),
        default: Default::Is("32"),
        docs: &[
            "How much a host may send to one task of a playbook, also to one that fetches a file",
            "One that sends more fails with that reason. Ansible keeps all of it in memory, several times over. Not",
            "where an ansible.cfg sets `ssh_executable`.",
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
        docs: &[
            "How long a host may take to take a connection, before it counts as unreachable; the SSH handshake and signing",
            "in may then take half as long again, each.",
        ],
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
];
