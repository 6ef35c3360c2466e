//! The reference library of `certificate_transfer` in the framework's own testing, `ops-scenario`.

use std::process::Command;

use serde_json::Value;

use crate::Process;
use crate::witness::charms_python;

const SCENARIO: &str = include_str!("scenario.py");

/// What the reference library makes of `cases`, one after the other in one process; `juju/scenario.py` says what they are,
/// and what comes of them.
///
/// # Panics
/// When it cannot run one of them, with what it said.
#[must_use]
pub fn in_scenario(cases: &[Value]) -> Vec<Value> {
    let mut process = Process::spawn(Command::new(charms_python()).args(["-c", SCENARIO]));
    for case in cases {
        process.say(format!("{case}\n").as_bytes());
    }
    process.close_input();
    let ran = process.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let answers: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(answers.len(), cases.len(), "{}", ran.stderr);
    answers
}
