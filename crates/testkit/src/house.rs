//! A house: the program under test, in a directory of its own, on ports of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::caucase::Caucase;
use crate::etcd::Etcd;
use crate::openssl::key_and_request;
use crate::ports::free_pair;
use crate::process::{Process, Ran, run};
use crate::softhsm::SoftHsm;

/// How often another pair of ports is tried when somebody took the one that was free.
const ATTEMPTS_MAX: usize = 20;

/// By which name the program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// `provost up --data data`.
    Up,
    /// `caucased`, through a link that `provost links` made.
    Caucased,
}

/// A house that is not started yet.
#[derive(Debug, Clone)]
pub struct Plan {
    program: PathBuf,
    face: Face,
    host: String,
    options: Vec<(String, String)>,
    /// Variables of its environment, which is empty otherwise.
    variables: Vec<(String, String)>,
    /// A sealing key that the data directory has from the beginning.
    store_key: Option<PathBuf>,
    /// Files whose copies are in its directory from the beginning, under these names.
    files: Vec<(PathBuf, String)>,
}

impl Plan {
    /// `program` (the caller has it from `env!("CARGO_BIN_EXE_provost")`), to be served at 127.0.0.1 with
    /// every setting at its default, but for `fleet.investigate`, which is off.
    #[must_use]
    pub fn new(program: &str, face: Face) -> Self {
        Self {
            program: program.into(),
            face,
            host: "127.0.0.1".to_owned(),
            options: Vec::new(),
            variables: Vec::new(),
            store_key: None,
            files: Vec::new(),
        }
    }

    /// Serves at `host`: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// An option by the name that `caucased` has for it, without dashes; `provost up` is given its own.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With its CA keys in this token.
    #[must_use]
    pub fn token(mut self, hsm: &SoftHsm, label: &str) -> Self {
        for (name, value) in hsm.options(label) {
            self = self.option(name, &value);
        }
        self.variables.push((SoftHsm::VARIABLE.to_owned(), hsm.conf().display().to_string()));
        self
    }

    /// Keeps everything in this etcd.
    #[must_use]
    pub fn etcd(mut self, etcd: &Etcd) -> Self {
        self = self.option("store-engine", "etcd");
        for endpoint in etcd.endpoints() {
            self = self.option("store-etcd-endpoints", &endpoint);
        }
        self
    }

    /// Puts a copy of this file into the directory that it is started in.
    #[must_use]
    pub fn file(mut self, file: &Path, name: &str) -> Self {
        self.files.push((file.to_owned(), name.to_owned()));
        self
    }

    /// Gives it a copy of this sealing key, as who shares a store with others needs it.
    #[must_use]
    pub fn store_key(mut self, file: &Path) -> Self {
        self.store_key = Some(file.to_owned());
        self
    }

    /// Starts it, and waits until its doors are open.
    ///
    /// # Panics
    /// When it ends before, with what it said.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> House {
        let directory = tempfile::tempdir().unwrap();
        if self.face == Face::Caucased {
            let bin = directory.path().join("bin");
            std::fs::create_dir(&bin).unwrap();
            let links = run(Command::new(&self.program).arg("links").arg(bin));
            assert_eq!(links.code, Some(0), "{links:?}");
        }
        if let Some(key) = &self.store_key {
            let data = directory.path().join("data");
            std::fs::create_dir(&data).unwrap();
            std::fs::set_permissions(&data, PermissionsExt::from_mode(0o700)).unwrap();
            std::fs::copy(key, data.join("store.key")).unwrap();
        }
        for (file, name) in &self.files {
            std::fs::copy(file, directory.path().join(name)).unwrap();
        }
        let mut house = House { plan: self, directory, port: 0, process: None };
        for _ in 0..ATTEMPTS_MAX {
            house.port = free_pair();
            match house.try_start() {
                Ok(()) => return house,
                Err(said) if said.contains("in use") => {}
                Err(said) => panic!("the house did not open its doors:\n{said}"),
            }
        }
        panic!("the ports were always taken by somebody else");
    }
}

/// A house that serves, or served. Dropping it kills it and deletes what it kept.
#[derive(Debug)]
pub struct House {
    plan: Plan,
    directory: TempDir,
    port: u16,
    process: Option<Process>,
}

impl House {
    /// Starts it again on what it kept.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        if let Err(said) = self.try_start() {
            panic!("the house did not open its doors again:\n{said}");
        }
    }

    /// From the next start on, with this option in place of any of the same name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.plan.options.retain(|(known, _)| known != name);
        self.plan.options.push((name.to_owned(), value.to_owned()));
    }

    /// From the next start on, with its new CA keys in this token.
    pub fn set_token(&mut self, hsm: &SoftHsm, label: &str) {
        for (name, value) in hsm.options(label) {
            self.set(name, &value);
        }
        self.plan.variables = vec![(SoftHsm::VARIABLE.to_owned(), hsm.conf().display().to_string())];
    }

    /// Starts it, which it refuses; what it says.
    #[track_caller]
    pub fn refuses(&self) -> String {
        let ran = Process::spawn(&mut self.command()).wait();
        assert!(ran.code.is_some_and(|code| code != 0 && code != 101), "{ran:?}");
        ran.stderr
    }

    /// From the next start on, serves at `host`.
    pub fn rename(&mut self, host: &str) {
        host.clone_into(&mut self.plan.host);
    }

    fn try_start(&mut self) -> Result<(), String> {
        let process = Process::spawn(&mut self.command());
        let is_open = match self.plan.face {
            Face::Up => "next: ",
            Face::Caucased => "Listening on [",
        };
        // Its own words, so it is its own socket that was bound.
        process.wait_for_stderr(|said| {
            said.lines().any(|line| line.starts_with(is_open)) && said.ends_with('\n')
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = match self.plan.face {
            Face::Up => {
                let mut command = Command::new(&self.plan.program);
                command.args(["up", "--data", "data"]);
                command
            }
            Face::Caucased => Command::new(self.directory.path().join("bin/caucased")),
        };
        command.current_dir(self.directory.path()).env_clear();
        command.envs(self.plan.variables.iter().map(|(name, value)| (name, value)));
        command.args(["--netloc", &format!("{}:{}", self.plan.host, self.port)]);
        let is_said = |name: &str| self.plan.options.iter().any(|(said, _)| said == name);
        if self.plan.face == Face::Up && !is_said("fleet-investigate") {
            // The hosts of most tests are only names.
            command.arg("--fleet-investigate=false");
        }
        for (name, value) in &self.plan.options {
            let name = match self.plan.face {
                Face::Up => name_of_ours(name),
                Face::Caucased => name,
            };
            match (self.plan.face, value.as_str()) {
                (_, "") => command.arg(format!("--{name}")),
                // Whether something is so is said in one word.
                (Face::Up, value) => command.arg(format!("--{name}={value}")),
                (Face::Caucased, value) => command.arg(format!("--{name}")).arg(value),
            };
        }
        command
    }

    /// Ends it with SIGTERM; it must end with 0. What it said.
    #[track_caller]
    pub fn stop(&mut self) -> Ran {
        let process = self.process.take().expect("it runs");
        process.terminate();
        let ran = process.wait();
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran
    }

    /// Ends it with SIGKILL.
    #[track_caller]
    pub fn kill(&mut self) {
        let process = self.process.take().expect("it runs");
        process.kill();
        let ran = process.wait();
        assert_eq!(ran.code, None, "{ran:#?}");
    }

    /// The running process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// The HTTP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT` of the HTTP port.
    #[must_use]
    pub fn http(&self) -> String {
        format!("{}:{}", self.plan.host, self.port)
    }

    /// `HOST:PORT` of the HTTPS port.
    #[must_use]
    pub fn https(&self) -> String {
        format!("{}:{}", self.plan.host, self.port + 1)
    }

    /// `http://HOST:PORT`, followed by `path`.
    #[must_use]
    pub fn http_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http())
    }

    /// `https://HOST:PORT`, followed by `path`.
    #[must_use]
    pub fn https_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.https())
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        match self.plan.face {
            Face::Up => self.directory.path().join("data"),
            Face::Caucased => self.directory.path().to_owned(),
        }
    }

    /// The directory it was started in, for files of the test as well.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file with the key and the certificate of the first administrator: made by the first start of
    /// `provost up`, and by the first request for a user at `caucased`, which is approved by itself.
    #[must_use]
    #[track_caller]
    pub fn administrator(&self) -> PathBuf {
        let file = match self.plan.face {
            Face::Up => return self.data().join("admin.pem"),
            Face::Caucased => self.directory.path().join("admin.key.pem"),
        };
        if !file.exists() {
            key_and_request(self.directory.path(), "admin", &["-subj", "/CN=admin"]);
            let csr = self.directory.path().join("admin.csr.pem");
            let client = Caucase::of(self);
            let id = client.submit("user", csr.to_str().unwrap());
            client.run(&["--mode", "user", "--get-crt", &id, file.to_str().unwrap()]).ok();
        }
        file
    }
}

/// The flag of `provost up` for an option of `caucased`.
fn name_of_ours(option: &str) -> &str {
    match option {
        "threshold" => "ca-threshold-days",
        "key-len" => "ca-key-bits",
        "service-crt-validity" => "ca-services-crt-validity-days",
        "user-crt-validity" => "ca-users-crt-validity-days",
        "service-max-csr" => "ca-services-max-csr",
        "user-max-csr" => "ca-users-max-csr",
        "service-auto-approve-count" => "ca-services-auto-approve-count",
        "user-auto-approve-count" => "ca-users-auto-approve-count",
        "lock-auto-approve-count" => "ca-lock-auto-approve-count",
        "backup-directory" => "ca-backup-directory",
        "backup-period" => "ca-backup-period-days",
        "server-key" => "server-key-file",
        "cors-key-store" | "cors-whitelist" | "bind" | "base-port" => option,
        // Only ours has these.
        "config" | "clock-is-right" => option,
        ours if ["ca-", "cache-", "limits-", "store-", "fleet-", "log-", "history-", "server-"]
            .iter()
            .any(|begin| ours.starts_with(begin)) =>
        {
            ours
        }
        other => panic!("`provost up` has no flag for --{other}"),
    }
}
