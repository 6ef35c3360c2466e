//! Who is measured: our server and theirs, set up for the same work.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Bench;
use crate::Failure;
use crate::process::{self, Served};

/// More than is ever asked for: everything is approved at once.
pub(super) const AUTOMATIC_MAX: &str = "1000000000";

/// Where their programs are.
pub(super) struct Contenders {
    provost: PathBuf,
    caucased: PathBuf,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Provost,
    Caucased,
}

/// Both, in the order in which they take turns.
pub(super) const BOTH: [Contender; 2] = [Contender::Provost, Contender::Caucased];

impl Contenders {
    /// `provost` and the witnesses' caucased.
    pub(super) fn find(provost: PathBuf) -> Result<Self, Failure> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let witnesses = variable("PROVOST_WITNESSES")
            .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("provost/witnesses")))
            .or_else(|| Some(variable("HOME")?.join(".cache/provost/witnesses")))
            .ok_or_else(|| Failure::Missing("there is no HOME; set PROVOST_WITNESSES".into()))?;
        let caucased = witnesses.join("venv/bin/caucased");
        if !caucased.is_file() {
            let path = caucased.display();
            return Err(Failure::Missing(format!(
                "{path} is not there; install it with `cargo xtask witnesses`"
            )));
        }
        Ok(Self { provost, caucased })
    }

    /// Our binary.
    pub(super) fn provost(&self) -> &Path {
        &self.provost
    }

    /// Theirs.
    pub(super) fn caucased(&self) -> &Path {
        &self.caucased
    }

    /// The Python that caucased runs on.
    pub(super) fn python(&self) -> PathBuf {
        self.caucased.with_file_name("python")
    }
}

impl Contender {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Provost => "provost",
            Self::Caucased => "caucased",
        }
    }

    fn command(self, contenders: &Contenders, port: u16, folder: &Path) -> Command {
        let netloc = format!("127.0.0.1:{port}");
        match self {
            Self::Provost => {
                let mut command = Command::new(&contenders.provost);
                command.args(["up", "--netloc", &netloc]).arg("--data").arg(folder.join("data"));
                command.args(["--ca-services-auto-approve-count", AUTOMATIC_MAX]);
                command
            }
            Self::Caucased => {
                let mut command = Command::new(&contenders.caucased);
                command.current_dir(folder).args(["--netloc", &netloc]);
                command.args(["--service-auto-approve-count", AUTOMATIC_MAX]);
                command
            }
        }
    }

    /// What it answers with 200 once it serves.
    fn ready(self) -> &'static str {
        match self {
            Self::Provost => "/readyz",
            Self::Caucased => "/cas/crt/ca.crt.pem",
        }
    }

    /// Starts it on `port` and the next one, with its data in `folder`, and waits until it serves.
    pub(super) async fn start_on(self, bench: &Bench, port: u16, folder: &Path) -> Result<Served, Failure> {
        let command = self.command(&bench.contenders, port, folder);
        Served::start(self.name(), command, port, self.ready(), folder).await
    }

    /// Starts it for the first time.
    pub(super) async fn start(self, bench: &Bench, section: &str) -> Result<Served, Failure> {
        let folder = bench.folder(&format!("{section}-{}", self.name()))?;
        self.start_on(bench, process::free_ports()?, &folder).await
    }
}
