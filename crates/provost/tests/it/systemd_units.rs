//! The units in `integrations/systemd`, as systemd's own tool reads them. It needs no systemd that runs.

use std::path::Path;
use std::process::Command;

use testkit::{Ran, run};

use crate::program::{PROVOST, provost};

const UNITS: [&str; 2] = ["provost.service", "provost-ca-watch@.service"];

/// The unit as it is installed.
fn text(unit: &str) -> String {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations/systemd").join(unit);
    std::fs::read_to_string(ours).unwrap()
}

/// `systemd-analyze` with `arguments`, about a unit of ours that may have been `changed`; the program is the one that was built.
fn analyze(unit: &str, changed: impl FnOnce(String) -> String, arguments: &[&str]) -> Ran {
    let text = text(unit);
    let installed = "ExecStart=/usr/bin/provost ";
    assert!(text.contains(installed), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(unit);
    std::fs::write(&file, changed(text.replace(installed, &format!("ExecStart={PROVOST} ")))).unwrap();
    let found = Command::new("systemd-analyze").arg("--version").output();
    assert!(
        found.is_ok(),
        "this test needs the witness `systemd-analyze`; install it with: cargo xtask witnesses"
    );
    run(Command::new("systemd-analyze").args(arguments).arg(&file).current_dir(folder.path()))
}

/// Nothing in them is unknown, misspelt or missing.
#[test]
fn units_are_understood() {
    for unit in UNITS {
        let ran = analyze(unit, |text| text, &["verify", "--man=no"]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""), "{unit}");
        let misspelt = |text: String| text.replace("ProtectHome=", "ProtectHomes=");
        let ran = analyze(unit, misspelt, &["verify", "--man=no"]);
        assert!(ran.stderr.contains("'ProtectHomes'"), "{unit}: {ran:?}");
    }
}

/// What could be reached from the services, should somebody get into them: below 2.5 of 10, by systemd's measure.
#[test]
fn units_are_hardened() {
    let measured = ["security", "--offline=true", "--no-pager", "--threshold=25"];
    for unit in UNITS {
        let ran = analyze(unit, |text| text, &measured);
        assert_eq!(ran.code, Some(0), "{unit}: {}", ran.stdout);
        let open = |text: String| text.replace("SystemCallFilter=", "#").replace("ProtectSystem=strict", "");
        let ran = analyze(unit, open, &measured);
        assert_eq!(ran.code, Some(1), "{unit}: {}", ran.stdout);
    }
}

/// A server that was called wrongly, or whose settings are wrong, is not started again and again.
#[test]
fn what_another_start_would_not_change_is_not_tried_again() {
    let unit = text("provost.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    let codes: Vec<i32> = line.split(' ').map(|code| code.parse().unwrap()).collect();
    let wrongly_called = provost(&["up", "--no-such-option"]).code.unwrap();
    let wrongly_set = provost(&["up", "--netloc", "a:b"]).code.unwrap();
    assert_eq!(codes, [wrongly_called, wrongly_set]);
}
