//! `commctl` by its own name (commissaire, section 12), against a server that remembers what it was asked.

mod commands;
mod configuration;
mod endpoints;
mod local;
mod real;
mod ssh;
mod user_data;
mod yaml;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Process, Ran, Recorder, Reply};

use crate::program::PROVOST;

/// A user of `commctl`: a home, with whatever is in it.
pub struct Operator {
    home: TempDir,
}

impl Operator {
    /// Without a configuration.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(PROVOST, bin.join("commctl")).unwrap();
        Self { home }
    }

    /// Whose configuration names `server` and a user `u` with the password `p`.
    pub fn of(server: &Recorder) -> Self {
        let operator = Self::new();
        operator.configure(&json!({"endpoint": server.url(), "username": "u", "password": "p"}));
        operator
    }

    pub fn configure(&self, configuration: &Value) {
        self.write(".commissaire.json", &configuration.to_string());
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into the home, and gives its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.home().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `commctl` with nothing in its environment but the home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.home().join("bin/commctl"));
        command.args(arguments).current_dir(self.home()).env_clear().env("HOME", self.home());
        command
    }

    /// Runs it to its end, without input.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        testkit::run(&mut self.command(arguments))
    }

    /// The same, for words with spaces between them.
    #[track_caller]
    pub fn type_in(&self, line: &str) -> Ran {
        self.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// Runs it to its end, with `input`.
    #[track_caller]
    pub fn run_with(&self, input: &str, arguments: &[&str]) -> Ran {
        let mut process = Process::spawn(&mut self.command(arguments));
        process.say(input.as_bytes());
        process.wait()
    }
}

/// A server with the same answer to everything.
pub fn answering(status: u16, body: &str) -> Recorder {
    let body = body.to_owned();
    Recorder::start(move |_| Reply::json(status, &body))
}

/// The requests that `server` heard, one a line: method, path, body.
pub fn lines(server: &Recorder) -> Vec<String> {
    server.heard().iter().map(testkit::Heard::line).collect()
}

/// An address where nobody listens: the port was free, and is not given to anybody else.
pub fn nobody() -> (std::net::TcpListener, String) {
    // Bound and never accepted from would hang; bound by us and closed for others means refused.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    // Port plus 127.0.0.2: nothing of this test listens there.
    (socket, format!("http://127.0.0.2:{port}"))
}
