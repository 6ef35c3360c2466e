//! Everything that must pass before a change goes in.
//!
//! One stage after the other, the quick ones first; the first that fails ends it. The tests come
//! last, so that the output ends with nextest's summary.
//!
//! Advisories are not among the stages: their database is a git repository, not a registry, and a
//! test must not fail because somebody published something today. `cargo deny check advisories`
//! looks them up.

use std::path::Path;
use std::process::Command;

use crate::note;
use crate::run::{self, Failure};
use crate::witnesses;

/// The cargo subcommands that the stages use, and the version to install where one is missing. A
/// version that is there already is taken as it is.
const TOOLS: [(&str, &str); 2] = [("nextest", "0.9.143"), ("deny", "0.20.2")];

/// The stages after the witnesses and tools: what each is for, and what cargo is told.
const STAGES: [(&str, &[&str]); 6] = [
    ("format", &["fmt", "--all", "--check"]),
    (
        "licences, bans and sources",
        &["deny", "--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"],
    ),
    ("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]),
    ("documentation", &["doc", "--workspace", "--no-deps", "--locked"]),
    ("examples in the documentation", &["test", "--workspace", "--doc", "--quiet", "--locked"]),
    ("tests", &["nextest", "run", "--workspace", "--locked"]),
];

/// Runs all stages in the workspace at `root`.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    note("==> compiler and witnesses");
    witnesses::install_compiler()?;
    let witnesses = witnesses::install(root)?;
    note("==> tools");
    for (tool, version) in TOOLS {
        install_tool(tool, version, root)?;
    }
    for (purpose, arguments) in STAGES {
        note(&format!("==> {purpose}: cargo {}", arguments.join(" ")));
        let mut command = run::cargo(arguments);
        command.current_dir(root).env(witnesses::VARIABLE, &witnesses);
        if arguments.first() == Some(&"doc") {
            command.env("RUSTDOCFLAGS", "--deny warnings");
        }
        run::run(&mut command)?;
    }
    Ok(())
}

fn install_tool(tool: &str, version: &str, root: &Path) -> Result<(), Failure> {
    let cargo = |arguments: &[&str]| -> Command {
        let mut command = run::cargo(arguments);
        command.current_dir(root);
        command
    };
    if run::read(&mut cargo(&[tool, "--version"])).is_ok() {
        return Ok(());
    }
    run::run(&mut cargo(&["install", "--locked", "--version", version, &format!("cargo-{tool}")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_come_last() {
        let (purpose, arguments) = STAGES[STAGES.len() - 1];
        assert_eq!((purpose, arguments[0]), ("tests", "nextest"));
    }

    #[test]
    fn every_stage_holds_to_the_lock_file() {
        for (purpose, arguments) in STAGES {
            assert!(arguments[0] == "fmt" || arguments.contains(&"--locked"), "{purpose}");
        }
    }
}
