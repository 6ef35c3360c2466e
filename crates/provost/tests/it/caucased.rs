//! `caucased` by its own name (caucase 0.9.17, section "caucased").

use crate::program::{Ran, called};

/// `caucased` with `options` in an empty directory that it must leave empty.
fn refused(options: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let options: Vec<_> = options.split_whitespace().collect();
    let ran = called("caucased", dir.path(), &[("PROVOST_NONSENSE", "1")], &options);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{options:?}");
    ran
}

#[test]
fn wrong_usage_ends_with_2() {
    for options in [
        "",
        "--netloc",
        "--netloc localhost:8000 --nonsense",
        "--netloc localhost:8000 --service 3",
        "--netloc localhost:8000 stray",
        "--netloc localhost:8000 --cors-whitelist",
        "--netloc localhost:8000 --key-len 1000",
        "--netloc localhost:65535",
        "--netloc localhost:8000 --threshold soon",
        "--netloc localhost:8000 --backup-period 0",
    ] {
        let ran = refused(options);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{options}");
        assert!(ran.stderr.starts_with("error: "), "{options}: {}", ran.stderr);
    }
}

#[test]
fn help_and_version_end_with_0() {
    for (options, expected) in
        [("--help", "--lock-auto-approve-count"), ("--vers", "0.9.17\n"), ("--hel", "--netloc")]
    {
        let ran = refused(options);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{options}");
        assert!(ran.stdout.contains(expected), "{options}: {}", ran.stdout);
    }
}

#[test]
fn every_problem_is_told_by_option() {
    let ran = refused("--netl ::1 --user-crt 0 --service-max-c many");
    assert_eq!(
        ran.stderr,
        "error: --netloc: has an IPv6 address without brackets: write [::1]\n\
         error: --service-max-csr: `many` is not a whole number\n\
         error: --user-crt-validity: must be more than 0\n"
    );
}

#[test]
fn a_database_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _store = store::Sqlite::open(&dir.path().join("ca.sqlite")).unwrap();
    let netloc = format!("127.0.0.1:{}", testkit::free_pair());
    let ran = called("caucased", dir.path(), &[], &["--netloc", &netloc, "--db", "ca.sqlite"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("error: ca.sqlite is in use by another process\n"), "{}", ran.stderr);
}
