//! The stock server: PyPI's `caucased`, unmodified.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::ports::free_pair;
use crate::process::Process;
use crate::wait::wait_until;
use crate::witness::witness;

/// How often another pair of ports is tried when somebody took the one that was free.
const ATTEMPTS_MAX: usize = 20;

/// A stock server with nothing in it yet, in a directory of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Caucased {
    directory: TempDir,
    options: Vec<String>,
    port: u16,
    process: Option<Process>,
}

impl Caucased {
    /// Starts it at 127.0.0.1 with `options` besides `--netloc`, and waits until it listens.
    ///
    /// # Panics
    /// When it ends before, with what it said.
    #[must_use]
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        Self::start_on(options, &[])
    }

    /// As [`Caucased::start`], on copies of these files, which get these names in its directory.
    ///
    /// # Panics
    /// When it ends before, with what it said.
    #[must_use]
    #[track_caller]
    pub fn start_on(options: &[&str], files: &[(&Path, &str)]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { directory: tempfile::tempdir().unwrap(), options, port: 0, process: None };
        for (file, name) in files {
            std::fs::copy(file, server.directory.path().join(name)).unwrap();
        }
        for _ in 0..ATTEMPTS_MAX {
            server.port = free_pair();
            match server.try_start() {
                Ok(()) => return server,
                Err(said) if said.contains("in use") => {}
                Err(said) => panic!("the stock server did not start:\n{said}"),
            }
        }
        panic!("the ports were always taken by somebody else");
    }

    fn try_start(&mut self) -> Result<(), String> {
        let mut command = Command::new(witness("caucased"));
        command.current_dir(self.directory.path()).env("PYTHONUNBUFFERED", "1");
        command.args(["--netloc", &format!("127.0.0.1:{}", self.port)]).args(&self.options);
        let process = Process::spawn(&mut command);
        // It says so once the ports are its own, and takes connections once it has a certificate of its own.
        process.wait_for_stderr(|said| said.contains("Listening on [") && said.ends_with('\n'))?;
        for port in [self.port, self.port + 1] {
            wait_until("the stock server", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it, and starts it again on what it kept.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process = None;
        self.try_start().unwrap_or_else(|said| panic!("the stock server did not start again:\n{said}"));
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// `http://HOST:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}
