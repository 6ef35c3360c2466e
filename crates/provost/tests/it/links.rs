//! `provost links`.

use std::path::Path;

use crate::program::{PROVOST, Ran, provost};

/// The names that this version serves.
const SERVED: [&str; 15] = [
    "caucased",
    "caucased-manage",
    "caucase",
    "caucase-updater",
    "caucase-probe",
    "caucase-rerequest",
    "caucase-key-id",
    "networkcache-upload",
    "networkcache-download",
    "generate-signature-key",
    "slapcache-conf",
    "slapcache-upload",
    "slapcache-download",
    "commctl",
    "commissaire-server",
];

fn links(directory: &Path, flags: &[&str]) -> Ran {
    provost(&[&["links", directory.to_str().unwrap()], flags].concat())
}

#[test]
fn links_are_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let program = Path::new(PROVOST).canonicalize().unwrap();
    let said = |line: &dyn Fn(&str, &str) -> String| -> String {
        let link = |name: &&str| dir.path().join(name).display().to_string();
        SERVED.iter().map(|name| line(&link(name), &program.display().to_string())).collect()
    };

    let ran = links(dir.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert_eq!(ran.stderr, said(&|link, program| format!("made {link} -> {program}\n")));
    for name in SERVED {
        assert_eq!(std::fs::read_link(dir.path().join(name)).unwrap(), program);
    }

    let ran = links(dir.path(), &[]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stderr, said(&|link, program| format!("{link} -> {program} is already there\n")));
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut served = SERVED;
    served.sort_unstable();
    assert_eq!(names, served, "only names that are served");
}

#[test]
fn other_files_are_replaced_only_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("caucased");
    for theirs in ["a file", "a link"] {
        let _ = std::fs::remove_file(&link);
        match theirs {
            "a file" => std::fs::write(&link, "#!/bin/sh").unwrap(),
            _ => std::os::unix::fs::symlink("/bin/true", &link).unwrap(),
        }
        let ran = links(dir.path(), &[]);
        assert_eq!(ran.code, Some(75), "{theirs}");
        let expected = format!("error: one file was left as found: {}\nhint: ", link.display());
        assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
        assert_ne!(std::fs::read_link(&link).ok().as_deref(), Some(Path::new(PROVOST)));

        let ran = links(dir.path(), &["--force"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.starts_with("replaced "), "{}", ran.stderr);
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new(PROVOST).canonicalize().unwrap());
    }
}

#[test]
fn a_directory_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("caucased")).unwrap();
    assert_eq!(links(dir.path(), &["--force"]).code, Some(75));
    assert!(dir.path().join("caucased").is_dir());
}

#[test]
fn there_must_be_somewhere_to_put_them() {
    let ran = links(Path::new("/nonexistent/bin"), &[]);
    assert_eq!(ran.code, Some(66));
    let expected =
        "error: /nonexistent/bin is not a directory\nhint: run `mkdir -p /nonexistent/bin` first\n";
    assert_eq!(ran.stderr, expected);
}
