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
fn the_programs_of_a_certificates_holder_answer_as_theirs_do() {
    for name in ["caucase", "caucase-updater", "caucase-probe", "caucase-rerequest", "caucase-key-id"] {
        let ran = called(name, &nowhere(), &[], &["--version"]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "0.9.17\n", ""));
        let ran = called(name, &nowhere(), &[], &["--help"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}");
        assert!(ran.stdout.contains(&format!("Usage: {name} ")), "{}", ran.stdout);
        let ran = called(name, &nowhere(), &[], &["--nonsense"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(ran.stderr.contains("unexpected argument '--nonsense'"), "{}", ran.stderr);
    }
}

#[test]
fn names_that_are_not_served_say_so() {
    for name in ["commissaire-storage-service", "commissaire-watcher-service"] {
        let ran = called(name, &nowhere(), &[], &["--version"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(ran.stderr.starts_with(&format!("{name}: ")), "{}", ran.stderr);
        assert!(ran.stderr.ends_with("; this version of Provost does not serve it yet\n"), "{}", ran.stderr);
    }
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

/// Whoever makes links for the old names gets a manual page and completions for each.
#[test]
fn every_link_has_a_manual_page_and_completions() {
    let [links, pages, completions] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let path = |dir: &tempfile::TempDir| dir.path().to_str().unwrap().to_owned();
    assert_eq!(provost(&["links", &path(&links)]).code, Some(0));
    let ran = provost(&["man", &path(&pages)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    let ran = provost(&["completions", "bash", &path(&completions)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);

    let links = std::fs::read_dir(links.path()).unwrap().map(|link| link.unwrap().file_name());
    let names: Vec<_> = links.map(|name| name.into_string().unwrap()).chain(["provost".to_owned()]).collect();
    assert_eq!(names.len(), 16);
    for name in names {
        assert!(pages.path().join(format!("{name}.1")).is_file(), "{name}");
        let file = completions.path().join(format!("{name}.bash"));
        let said = ran.stderr.lines().filter(|line| *line == format!("wrote {}", file.display()));
        assert_eq!(said.count(), 1, "{name}: {}", ran.stderr);
        // bash takes it, and knows from then on what completes the name.
        let script = format!("source '{}' && complete -p {name}", file.display());
        let taken = std::process::Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        assert!(taken.status.success() && taken.stderr.is_empty(), "{name}: {taken:?}");
    }
}

#[test]
fn manual_pages_and_completions_need_a_directory() {
    for arguments in [&["man", "/nonexistent/man1"][..], &["completions", "zsh", "/nonexistent/man1"]] {
        let ran = provost(arguments);
        assert_eq!(ran.code, Some(66));
        assert_eq!(
            ran.stderr,
            "error: /nonexistent/man1 is not a directory\nhint: run `mkdir -p /nonexistent/man1` first\n"
        );
    }
    // None can be made where a file is.
    let ran = provost(&["man", "/dev/null"]);
    assert_eq!(ran.stderr, "error: /dev/null is not a directory\nhint: name a directory\n");
}
