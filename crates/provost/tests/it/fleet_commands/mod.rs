//! `provost host`, `cluster`, `network` and `container-manager`, against a server that remembers what it was asked.

mod changes;
mod connection;
mod house;
mod looks;
mod operations;
mod watch;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Process, Ran};

use crate::program::PROVOST;

/// Somebody with a home, and nothing else in their environment.
pub struct Operator {
    home: TempDir,
}

impl Operator {
    /// Without a client file.
    pub fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// Whose client file names this server, and nobody who asks.
    pub fn of(server: &str) -> Self {
        let operator = Self::new();
        operator.configure(&format!("server = \"{server}\"\n"));
        operator
    }

    /// Writes the client file.
    pub fn configure(&self, text: &str) {
        self.write(".config/provost/client.toml", text);
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into the home, and gives its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `provost` with words that have blanks between them.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(PROVOST);
        command.args(line.split(' ')).current_dir(self.home()).env_clear().env("HOME", self.home());
        command
    }

    /// Runs it to its end, without input.
    #[track_caller]
    pub fn run(&self, line: &str) -> Ran {
        testkit::run(&mut self.command(line))
    }

    /// Runs it to its end, with `input`.
    #[track_caller]
    pub fn run_with(&self, input: &str, line: &str) -> Ran {
        let mut process = Process::spawn(&mut self.command(line));
        process.say(input.as_bytes());
        process.wait()
    }
}

/// A host as the server shows it.
pub fn host(address: &str, status: &str) -> Value {
    json!({"address": address, "status": status, "labels": {}, "facts": {}})
}

/// A cluster as the server shows it.
pub fn cluster(name: &str) -> Value {
    json!({"name": name, "network": "default", "health": "ok",
        "hosts": {"total": 0, "available": 0, "unavailable": 0, "by_status": {}}})
}

/// A restart of two hosts as the server shows it.
pub fn operation(phase: &str, done: u64) -> Value {
    let mut operation = json!({"cluster": "web", "id": 7, "kind": "restart", "phase": phase,
        "hosts": {"total": 2, "waiting": 2 - done, "under_way": 0, "done": done, "failed": 0, "skipped": 0},
        "under_way": [], "policy": {}, "started_by": "ada", "started_at": "2026-11-21T06:00:00Z"});
    if ["finished", "failed", "aborted"].contains(&phase) {
        operation["finished_at"] = json!("2026-11-21T06:10:00Z");
    }
    operation
}
