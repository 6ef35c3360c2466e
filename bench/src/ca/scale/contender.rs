//! Who is measured: a server that has the certificates of a [`Filled`].

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::filled::{Filled, PENDING};
use crate::Failure;
use crate::ca::contenders::{AUTOMATIC_MAX, Contender, Contenders};
use crate::process::{self, Served};

/// More than wait: else nothing new is taken.
const MAX_CSR: u64 = 2 * PENDING;

/// One that was there before, and is stopped.
pub(super) struct Old<'c> {
    contender: Contender,
    contenders: &'c Contenders,
    folder: PathBuf,
    port: u16,
}

impl<'c> Old<'c> {
    pub(super) fn new(
        contender: Contender,
        contenders: &'c Contenders,
        folder: PathBuf,
    ) -> Result<Self, Failure> {
        Ok(Self { contender, contenders, folder, port: process::free_ports()? })
    }

    /// Gives it what is in the database. How long that took.
    pub(super) fn take_over(&self, filled: &Filled) -> Result<Duration, Failure> {
        let began = Instant::now();
        match self.contender {
            Contender::Provost => {
                let mut command = self.provost("ca");
                command.arg("import").args(self.place()).arg(&filled.path).stdin(Stdio::null());
                let output = command.output().map_err(Failure::file(self.contenders.provost()))?;
                if !output.status.success() {
                    let what = String::from_utf8_lossy(&output.stderr).into_owned();
                    return Err(Failure::Program { program: "provost ca import".into(), what });
                }
            }
            Contender::Caucased => {
                let copy = self.folder.join("caucase.sqlite");
                std::fs::copy(&filled.path, &copy).map_err(Failure::file(&copy))?;
            }
        }
        Ok(began.elapsed())
    }

    /// Starts it, and waits until it answers.
    pub(super) async fn start(&self) -> Result<Served, Failure> {
        let (command, ready) = match self.contender {
            Contender::Provost => {
                let mut command = self.provost("up");
                command.args(self.place());
                command.args(["--ca-services-auto-approve-count", AUTOMATIC_MAX]);
                command.args(["--ca-services-max-csr", &MAX_CSR.to_string()]);
                (command, "/readyz")
            }
            Contender::Caucased => {
                let mut command = Command::new(self.contenders.caucased());
                command.current_dir(&self.folder).args(["--netloc", &self.netloc()]);
                command.args(["--service-auto-approve-count", AUTOMATIC_MAX]);
                command.args(["--service-max-csr", &MAX_CSR.to_string()]);
                (command, "/cas/crt/ca.crt.pem")
            }
        };
        Served::start(self.contender.name(), command, self.port, ready, &self.folder).await
    }

    /// What makes a backup of it.
    pub(super) fn backup(&self) -> Command {
        let mut command = self.provost("backup");
        command.args(self.place()).arg("--unencrypted").arg(self.folder.join("backup"));
        command
    }

    fn provost(&self, what: &str) -> Command {
        let mut command = Command::new(self.contenders.provost());
        command.arg(what);
        command
    }

    fn netloc(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn place(&self) -> [std::ffi::OsString; 4] {
        let data = self.folder.join("data");
        ["--netloc".into(), self.netloc().into(), "--data".into(), data.into()]
    }

    /// How large its database is.
    pub(super) fn file_bytes(&self) -> Result<u64, Failure> {
        let folder = match self.contender {
            Contender::Provost => self.folder.join("data"),
            Contender::Caucased => self.folder.clone(),
        };
        let mut bytes = 0;
        for entry in std::fs::read_dir(&folder).map_err(Failure::file(&folder))? {
            let path = entry.map_err(Failure::file(&folder))?.path();
            if is_database(&path) {
                bytes += std::fs::metadata(&path).map_err(Failure::file(&path))?.len();
            }
        }
        Ok(bytes)
    }

    /// Takes its files away: they are large.
    pub(super) fn remove(self) -> Result<(), Failure> {
        std::fs::remove_dir_all(&self.folder).map_err(Failure::file(&self.folder))
    }
}

/// A database, ours or theirs, its log included.
fn is_database(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| name.starts_with("provost.db") || name.starts_with("caucase.sqlite"))
}
