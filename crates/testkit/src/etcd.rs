//! A real etcd: one member or several, on ports of their own, that can be killed, stopped and started again.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::openssl::openssl_ok;
use crate::ports::free_pair;
use crate::process::{Process, Ran, run};

/// How often other ports are tried when somebody took those that were free.
const ATTEMPTS_MAX: usize = 20;

/// An etcd that is not started yet.
#[derive(Debug)]
pub struct EtcdPlan {
    members: usize,
    tls: bool,
    options: Vec<String>,
    directory: TempDir,
}

impl EtcdPlan {
    /// An etcd of so many members, in a directory of its own.
    #[must_use]
    pub fn new(members: usize) -> Self {
        Self { members, tls: false, options: Vec::new(), directory: tempfile::tempdir().unwrap() }
    }

    /// Lets it speak TLS, and only with who shows a certificate: makes an authority (`ca.pem`), the members'
    /// certificate for 127.0.0.1, and two for clients: one without a common name (`client.pem`,
    /// `client.key.pem`), and one with it (`named.pem`, `named.key.pem`).
    #[must_use]
    pub fn tls(mut self) -> Self {
        let directory = self.directory.path();
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let ca =
            ["req", "-x509", "-keyout", "ca.key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=etcd CA"];
        openssl_ok(directory, &[&ca[..], &ec].concat());
        for (name, subject) in [("server", "/CN=etcd"), ("client", "/O=somebody"), ("named", "/CN=somebody")]
        {
            let (key, csr, pem) =
                (format!("{name}.key.pem"), format!("{name}.csr.pem"), format!("{name}.pem"));
            let names = ["-addext", "subjectAltName=IP:127.0.0.1"];
            let request = ["req", "-new", "-keyout", &key, "-out", &csr, "-subj", subject];
            openssl_ok(directory, &[&request[..], &ec, &names].concat());
            let sign = ["x509", "-req", "-in", &csr, "-out", &pem, "-days", "2", "-copy_extensions", "copy"];
            openssl_ok(
                directory,
                &[&sign[..], &["-CA", "ca.pem", "-CAkey", "ca.key.pem", "-CAcreateserial"]].concat(),
            );
        }
        self.tls = true;
        self
    }

    /// An option for all members, such as `--quota-backend-bytes=1000000`.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts it, and waits until all members serve.
    ///
    /// # Panics
    /// When a member ends before, with what it said; and when etcd is not installed.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Etcd {
        let mut etcd = Etcd { plan: self, ports: Vec::new(), members: Vec::new() };
        for _ in 0..ATTEMPTS_MAX {
            etcd.ports = (0..etcd.plan.members).map(|_| free_pair()).collect();
            etcd.members = (0..etcd.plan.members).map(|member| Some(etcd.spawn(member))).collect();
            let failed = etcd.members.iter().flatten().find_map(|member| serves(member).err());
            match failed {
                None => return etcd,
                Some(said) if said.contains("address already in use") => {
                    etcd.members.clear();
                    for member in 0..etcd.plan.members {
                        // It may not have come to making it.
                        let _ = std::fs::remove_dir_all(etcd.data(member));
                    }
                }
                Some(said) => panic!("etcd did not start:\n{said}"),
            }
        }
        panic!("the ports were always taken by somebody else");
    }
}

/// An etcd that serves, or some of whose members do. Dropping it kills them and deletes what they kept.
#[derive(Debug)]
pub struct Etcd {
    plan: EtcdPlan,
    /// Of each member, for clients; for its peers it has the next one.
    ports: Vec<u16>,
    members: Vec<Option<Process>>,
}

impl Etcd {
    /// An etcd of so many members, without TLS.
    #[must_use]
    #[track_caller]
    pub fn start(members: usize) -> Self {
        EtcdPlan::new(members).start()
    }

    /// A file in its directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.plan.directory.path().join(name)
    }

    /// The port of a member, on 127.0.0.1.
    #[must_use]
    pub fn port(&self, member: usize) -> u16 {
        self.ports[member]
    }

    /// The URLs of all members.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.ports.len()).map(|member| self.endpoint(member)).collect()
    }

    /// The URL of a member.
    #[must_use]
    pub fn endpoint(&self, member: usize) -> String {
        format!("{}://127.0.0.1:{}", if self.plan.tls { "https" } else { "http" }, self.ports[member])
    }

    /// Kills a member at once, and waits for its end.
    pub fn kill(&mut self, member: usize) {
        let process = self.members[member].take().expect("it runs");
        process.kill();
        process.wait();
    }

    /// Starts a member again on what it kept, and waits until it serves, which it does with a majority only.
    #[track_caller]
    pub fn restart(&mut self, member: usize) {
        assert!(self.members[member].is_none(), "it runs already");
        let process = self.spawn(member);
        if let Err(said) = serves(&process) {
            panic!("etcd did not start again:\n{said}");
        }
        self.members[member] = Some(process);
    }

    /// Deletes what a member that does not run has kept.
    pub fn forget(&mut self, member: usize) {
        assert!(self.members[member].is_none(), "it runs");
        std::fs::remove_dir_all(self.data(member)).unwrap();
    }

    /// Stops a member where it is: its connections stay, and nothing answers.
    pub fn pause(&self, member: usize) {
        self.members[member].as_ref().expect("it runs").pause();
    }

    /// Lets a stopped member go on.
    pub fn resume(&self, member: usize) {
        self.members[member].as_ref().expect("it runs").resume();
    }

    /// Runs `etcdctl` with `arguments` at the members that run, or at those that the arguments name.
    #[track_caller]
    pub fn etcdctl(&self, arguments: &[&str]) -> Ran {
        let running = (0..self.members.len()).filter(|member| self.members[*member].is_some());
        let endpoints: Vec<String> = running.map(|member| self.endpoint(member)).collect();
        let mut command = command("etcdctl", "etcd-client");
        command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", endpoints.join(","));
        if self.plan.tls {
            command.env("ETCDCTL_CACERT", self.path("ca.pem"));
            command.env("ETCDCTL_CERT", self.path("client.pem"));
            command.env("ETCDCTL_KEY", self.path("client.key.pem"));
        }
        run(command.args(arguments))
    }

    /// Lets nobody in but `root`, with this password.
    #[track_caller]
    pub fn enable_auth(&self, password: &str) {
        self.etcdctl(&["user", "add", &format!("root:{password}")]).ok();
        self.etcdctl(&["user", "grant-role", "root", "root"]).ok();
        self.etcdctl(&["auth", "enable"]).ok();
    }

    fn data(&self, member: usize) -> PathBuf {
        self.path(&format!("member{member}"))
    }

    fn spawn(&self, member: usize) -> Process {
        let peer = |member: usize| format!("http://127.0.0.1:{}", self.ports[member] + 1);
        let cluster: Vec<String> =
            (0..self.ports.len()).map(|member| format!("member{member}={}", peer(member))).collect();
        let mut command = command("etcd", "etcd-server");
        command.arg(format!("--name=member{member}")).arg("--data-dir").arg(self.data(member));
        for url in ["--listen-client-urls", "--advertise-client-urls"] {
            command.args([url, &self.endpoint(member)]);
        }
        for url in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.args([url, &peer(member)]);
        }
        command.args(["--initial-cluster", &cluster.join(",")]);
        if self.plan.tls {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(self.path("ca.pem"));
            command.arg("--cert-file").arg(self.path("server.pem"));
            command.arg("--key-file").arg(self.path("server.key.pem"));
        }
        command.args(&self.plan.options);
        Process::spawn(&mut command)
    }
}

/// Waits until a member serves its clients; what it said when it ended before.
fn serves(member: &Process) -> Result<(), String> {
    member.wait_for_stderr(|said| said.contains("ready to serve client requests")).map(drop)
}

/// A program that must be there.
fn command(program: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    assert!(
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file()),
        "this test needs `{program}`; install it with: cargo xtask witnesses (or: apt-get install {package})"
    );
    Command::new(program)
}
