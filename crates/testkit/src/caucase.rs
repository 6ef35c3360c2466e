//! The stock clients: PyPI's `caucase`, unmodified; or whoever answers to the same names.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::house::House;
use crate::openssl::key_and_request;
use crate::process::{Process, Ran, run};
use crate::witness::witness;

/// Somebody who uses the stock clients, in a directory of their own.
#[derive(Debug)]
pub struct Caucase {
    url: String,
    /// Where the programs are; PyPI's without.
    programs: Option<PathBuf>,
    directory: TempDir,
}

impl Caucase {
    /// A client of `house`, who knows nothing yet.
    #[must_use]
    pub fn of(house: &House) -> Self {
        Self::at(&house.http_url(""))
    }

    /// A client of the server at `url`, who knows nothing yet.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), programs: None, directory: tempfile::tempdir().unwrap() }
    }

    /// The same with the programs in this folder in place of PyPI's.
    #[must_use]
    pub fn by(mut self, programs: &Path) -> Self {
        self.switch_to(Some(programs));
        self
    }

    /// From now on, uses the programs in this folder, or PyPI's.
    pub fn switch_to(&mut self, programs: Option<&Path>) {
        self.programs = programs.map(Path::to_owned);
    }

    /// From now on, asks this house.
    pub fn turn_to(&mut self, house: &House) {
        self.url = house.http_url("");
    }

    /// From now on, asks the server at `url`.
    pub fn turn_to_url(&mut self, url: &str) {
        url.clone_into(&mut self.url);
    }

    /// Where the client works.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file there.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a file there says.
    #[must_use]
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `caucase --ca-url URL` and `arguments`.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command("caucase").args(["--ca-url", &self.url]).args(arguments))
    }

    /// As [`Caucase::run`], as the user whose key and certificate are in `file`.
    #[track_caller]
    pub fn run_as(&self, file: &Path, arguments: &[&str]) -> Ran {
        run(self.command("caucase").args(["--ca-url", &self.url, "--user-key"]).arg(file).args(arguments))
    }

    /// Another of the programs, with just these `arguments`.
    #[track_caller]
    pub fn program(&self, name: &str, arguments: &[&str]) -> Ran {
        run(self.command(name).args(arguments))
    }

    /// `caucase-updater --ca-url URL` and `arguments`, which runs until it is ended.
    #[must_use]
    #[track_caller]
    pub fn updater(&self, arguments: &[&str]) -> Process {
        Process::spawn(self.command("caucase-updater").args(["--ca-url", &self.url]).args(arguments))
    }

    fn command(&self, name: &str) -> Command {
        let program = self.programs.as_ref().map_or_else(|| witness(name), |folder| folder.join(name));
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        // Line by line, as its deployments have it.
        command.env("PYTHONUNBUFFERED", "1");
        command
    }

    /// Makes `NAME.key.pem` and `NAME.csr.pem` for `/CN=NAME`.
    #[track_caller]
    pub fn make_request(&self, name: &str) {
        key_and_request(self.directory(), name, &["-subj", &format!("/CN={name}")]);
    }

    /// Submits a request; its number, cut from the output as scripts do it.
    #[must_use]
    #[track_caller]
    pub fn submit(&self, mode: &str, csr: &str) -> String {
        let ran = self.run(&["--mode", mode, "--send-csr", csr]);
        let (id, path) = ran.ok().trim_end().split_once(' ').unwrap_or_default();
        assert_eq!(path, csr);
        assert!(id.parse::<u64>().is_ok_and(|id| i64::try_from(id).is_ok()), "{ran:?}");
        id.to_owned()
    }

    /// Makes a request of this name for a service, has it signed by the `administrator`, and fetches the
    /// certificate into `NAME.key.pem`, behind the key.
    #[track_caller]
    pub fn obtain(&self, name: &str, administrator: &Path) {
        self.make_request(name);
        let id = self.submit("service", &format!("{name}.csr.pem"));
        self.run_as(administrator, &["--sign-csr", &id]).ok();
        self.run(&["--get-crt", &id, &format!("{name}.key.pem")]).ok();
    }
}
