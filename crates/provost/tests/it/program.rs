//! Running the program that was built.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program under test.
pub const PROVOST: &str = env!("CARGO_BIN_EXE_provost");

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// `provost` with `arguments` in `directory`, with an environment of nothing but `HOME` and `variables`.
pub fn provost_in<S: AsRef<OsStr>>(directory: &Path, variables: &[(&str, &str)], arguments: &[S]) -> Ran {
    run(Path::new(PROVOST), directory, variables, arguments)
}

/// `provost` with `arguments`, in a place where there is nothing.
pub fn provost<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    provost_in(&nowhere(), &[], arguments)
}

/// The same program called as `name`, in `directory`.
pub fn called(name: &str, directory: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join(name);
    std::os::unix::fs::symlink(PROVOST, &link).unwrap();
    run(&link, directory, variables, arguments)
}

/// A directory without anything of ours.
pub fn nowhere() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn run<S: AsRef<OsStr>>(
    program: &Path,
    directory: &Path,
    variables: &[(&str, &str)],
    arguments: &[S],
) -> Ran {
    let Output { status, stdout, stderr } = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("HOME", "/nonexistent")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}
