//! By which name the program is called, and its help.

use crate::program::{called, nowhere, provost};

#[test]
fn it_knows_its_version() {
    let ran = provost(&["--version"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("provost {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn any_other_name_is_provost() {
    let ran = called("provost-1.2", &nowhere(), &[], &["--version"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("provost {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn caucased_answers_as_caucased() {
    let ran = called("caucased", &nowhere(), &[], &["--version"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "0.9.17\n", ""));
}

#[test]
fn names_that_are_not_served_say_so() {
    for name in ["caucase", "networkcache-upload", "commissaire-watcher-service"] {
        let ran = called(name, &nowhere(), &[], &["--version"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(ran.stderr.starts_with(&format!("{name}: ")), "{}", ran.stderr);
        assert!(ran.stderr.ends_with("; this version of Provost does not serve it yet\n"), "{}", ran.stderr);
    }
    let ran = called("caucased-manage", &nowhere(), &[], &["--db", "x"]);
    assert_eq!(ran.code, Some(2));
    let expected = "restoring, importing and exporting are not in this version; your database is unchanged\n";
    assert!(ran.stderr.ends_with(expected), "{}", ran.stderr);
}

#[test]
fn help_names_every_way_to_say_a_setting() {
    let ran = provost(&["up", "--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for words in ["--ca-users-max-csr <N>", "[env: PROVOST_CA_USERS_MAX_CSR]", "[file: ca.users.max_csr]"] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [&["nonsense"][..], &["up", "--nonsense"], &["links"], &[]] {
        let ran = provost(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_command_line() {
    let ran = provost(&["completions", "bash"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("--ca-key-bits"), "{}", ran.stdout);

    for words in ["container-manager", "--no-container-manager", "--if-match", "--client-config"] {
        assert!(ran.stdout.contains(words), "{words}");
    }

    let page = provost(&["man"]);
    assert!(page.stdout.contains(".TH provost 1"), "{}", page.stdout);
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(provost(&["man", dir.path().to_str().unwrap()]).code, Some(0));
    let page = std::fs::read_to_string(dir.path().join("provost-up.1")).unwrap();
    assert!(page.contains("PROVOST_CA_USERS_MAX_CSR"), "{page}");
    for page in ["provost-host-list.1", "provost-fleet-cluster-restart.1"] {
        let page = std::fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(page.contains("PROVOST_SERVER"), "{page}");
    }
}
