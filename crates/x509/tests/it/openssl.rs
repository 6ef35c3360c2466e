//! Runs the `openssl` command in a directory of its own.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A directory to work in, removed in the end.
pub(crate) struct OpenSsl {
    dir: tempfile::TempDir,
}

impl OpenSsl {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn read_text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Runs `openssl` with arguments separated by blanks; what it wrote to stdout.
    pub(crate) fn run(&self, arguments: &str) -> String {
        let (is_success, stdout, stderr) = self.attempt(arguments, b"");
        assert!(is_success, "openssl {arguments}\n{stdout}\n{stderr}");
        stdout
    }

    /// Runs `openssl` with `input` on its stdin; what it wrote to stdout.
    pub(crate) fn filter(&self, arguments: &str, input: impl AsRef<[u8]>) -> String {
        let (is_success, stdout, stderr) = self.attempt(arguments, input.as_ref());
        assert!(is_success, "openssl {arguments}\n{stdout}\n{stderr}");
        stdout
    }

    /// Whether it succeeded, and what it wrote to stdout and stderr.
    pub(crate) fn attempt(&self, arguments: &str, input: &[u8]) -> (bool, String, String) {
        let mut child = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without having read its input, which is no concern of ours.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }
}
