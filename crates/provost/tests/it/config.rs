//! Settings: where they come from, what is wrong with them, and their reference.

use std::path::Path;

use serde_json::Value;

use crate::program::{provost, provost_in};

/// `provost config check` in a directory where `provost.toml` has this `text`.
fn check(text: &str, variables: &[(&str, &str)], flags: &[&str]) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("provost.toml"), text).unwrap();
    let arguments = [&["config", "check", "--config", "provost.toml"], flags].concat();
    let ran = provost_in(dir.path(), variables, &arguments);
    (ran.code.unwrap(), ran.stdout, ran.stderr)
}

/// The value and the origin of a setting, as `provost config check --json` shows them.
fn held(json: &str, name: &str) -> (Value, String) {
    let json: Value = serde_json::from_str(json).unwrap();
    let setting = &json["settings"][name];
    (setting["value"].clone(), setting["origin"].as_str().unwrap().to_owned())
}

#[test]
fn good_settings_are_shown_with_their_origin() {
    let text = "netloc = \"ca.example:3000\"\n[ca.services]\ncrt_validity_days = 0.0005\n";
    let (code, stdout, stderr) = check(text, &[], &["--data", "/srv/data"]);
    assert_eq!(code, 0);
    let line = |name: &str| stdout.lines().find(|line| line.starts_with(name)).unwrap();
    let words = |name: &str| line(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words("data "), ["data", "/srv/data", "--data"]);
    assert_eq!(words("netloc "), ["netloc", "ca.example:3000", "provost.toml:1"]);
    assert_eq!(words("base_port "), ["base_port", "3000", "default"]);
    assert_eq!(words("cors.key_store "), ["cors.key_store", "/srv/data/cors.key", "default"]);
    assert_eq!(words("cors.whitelist "), ["cors.whitelist", "none", "default"]);
    assert_eq!(
        stderr,
        "note: provost.toml:3: ca.services.crt_validity_days: below 61 seconds the revocation list is made again at \
         each request\n"
    );
    assert!(!Path::new("/srv/data").exists(), "a check makes nothing");
}

#[test]
fn flags_come_before_variables_before_the_file() {
    let text = "[history]\nkeep_count = 1\n[ca.users]\nmax_csr = 1\n[ca.services]\nmax_csr = 1\n";
    let variables = [("PROVOST_CA_USERS_MAX_CSR", "2"), ("PROVOST_CA_SERVICES_MAX_CSR", "2")];
    let (code, stdout, stderr) = check(text, &variables, &["--json", "--ca-services-max-csr", "3"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(held(&stdout, "history.keep_count"), (1.into(), "provost.toml:2".to_owned()));
    assert_eq!(held(&stdout, "ca.users.max_csr"), (2.into(), "PROVOST_CA_USERS_MAX_CSR".to_owned()));
    assert_eq!(held(&stdout, "ca.services.max_csr"), (3.into(), "--ca-services-max-csr".to_owned()));
    assert_eq!(held(&stdout, "ca.key_bits"), (2048.into(), "default".to_owned()));
}

#[test]
fn the_file_is_named_or_in_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let named = dir.path().join("named.toml");
    std::fs::write(&named, "netloc = \"named\"").unwrap();
    std::fs::write(dir.path().join("provost.toml"), "netloc = \"found\"").unwrap();
    let (data, named) = (dir.path().to_str().unwrap(), named.to_str().unwrap());
    let netloc = |variables: &[(&str, &str)], flags: &[&str]| {
        let ran = provost_in(dir.path(), variables, &[&["config", "check", "--json"], flags].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        held(&ran.stdout, "netloc").0
    };
    assert_eq!(netloc(&[], &["--data", data]), "found");
    assert_eq!(netloc(&[("PROVOST_DATA", data)], &[]), "found");
    assert_eq!(netloc(&[("PROVOST_DATA", data), ("PROVOST_CONFIG", named)], &[]), "named");
    assert_eq!(netloc(&[("PROVOST_CONFIG", "missing.toml")], &["--config", named]), "named");

    let ran = provost_in(dir.path(), &[], &["config", "check", "--config", "missing.toml"]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.stderr.starts_with("error: missing.toml: could not be read: No such file"), "{}", ran.stderr);
}

/// It would be read too late to count.
#[test]
fn a_file_in_the_data_directory_names_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let told = |text: &str, variables: &[(&str, &str)], flags: &[&str]| {
        std::fs::write(dir.path().join("provost.toml"), text).unwrap();
        let ran = provost_in(dir.path(), variables, &[&["config", "check"], flags].concat());
        (ran.code.unwrap(), ran.stderr)
    };
    let expected = format!(
        "error: {data}/provost.toml:2: data: this file was found in the data directory {data}, and cannot name another\n\
         hint: name it with --data or PROVOST_DATA, or keep the file elsewhere and name it with --config\n"
    );
    let other = "# mine\ndata = \"/srv/other\"\n";
    assert_eq!(told(other, &[], &["--data", data]), (78, expected.clone()));
    assert_eq!(told(other, &[("PROVOST_DATA", data)], &[]), (78, expected));
    for same in [".", data] {
        assert_eq!(told(&format!("data = {same:?}\n"), &[], &["--data", data]), (0, String::new()));
    }
    assert_eq!(told(other, &[], &["--config", "provost.toml", "--data", data]), (0, String::new()));
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = "netloc = \"::1\"\ncolour = \"blue\"\n\n[ca.services]\ncrt_validity_days = -3\nmax_crs = 5\n\
                [log]\nformat = true\n";
    let variables = [("PROVOST_LOG_LEVL", "info"), ("PROVOST_CA_KEY_BITS", "lots")];
    let (code, stdout, stderr) = check(text, &variables, &["--base-port", "65535"]);
    assert_eq!((code, stdout.as_str()), (78, ""));
    assert_eq!(
        stderr,
        "error: --base-port: port 65535 leaves no port above it for HTTPS\n\
         error: PROVOST_LOG_LEVL: no setting has this name\n\
         hint: is `PROVOST_LOG_LEVEL` meant?\n\
         error: PROVOST_CA_KEY_BITS: `lots` is not a whole number\n\
         error: provost.toml:1: netloc: has an IPv6 address without brackets: write [::1]\n\
         error: provost.toml:2: colour: no setting has this name\n\
         error: provost.toml:5: ca.services.crt_validity_days: must be between 0 and 36500, not -3\n\
         error: provost.toml:6: ca.services.max_crs: no setting has this name\n\
         hint: is `ca.services.max_csr` meant?\n\
         error: provost.toml:8: log.format: must be a text, not true or false\n"
    );

    let (code, stdout, _) = check(text, &variables, &["--json"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, 78);
    assert_eq!(json["ok"], false);
    let problem = &json["problems"].as_array().unwrap()[5];
    assert_eq!(problem["origin"], "provost.toml:6");
    assert_eq!(problem["key"], "ca.services.max_crs");
    assert_eq!(problem["hint"], "is `ca.services.max_csr` meant?");
}

/// What prevents nothing is told with what does: nobody has to mend the one to hear of the other.
#[test]
fn notes_are_told_with_what_is_wrong() {
    let text = "netloc = \"a b\"\nbase_port = 0\n[cors]\nwhitelist = [\"https://bad.example/path\", \"nonsense\"]\n\
                [ca]\nthreshold_days = 32\n";
    let (code, stdout, stderr) = check(text, &[], &["--json"]);
    assert_eq!(code, 78);
    let form = "write scheme://host[:port], nothing after it";
    assert_eq!(
        stderr,
        format!(
            "error: provost.toml:1: netloc: `a b` is not a host name: only letters, digits, `-` and `.` may stand in it\n\
             error: provost.toml:2: base_port: must be between 1 and 65535, not 0\n\
             note: provost.toml:4: cors.whitelist: `https://bad.example/path` matches no page: {form}\n\
             note: provost.toml:4: cors.whitelist: `nonsense` matches no page: {form}\n\
             note: provost.toml:6: ca.threshold_days: is more than a third of the services' validity; that third (31d 0h) is \
             used\n"
        )
    );
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((json["problems"].as_array().unwrap().len(), json["notes"].as_array().unwrap().len()), (2, 3));
    assert_eq!(json["notes"][1]["origin"], "provost.toml:4");
    assert_eq!(json["notes"][1]["key"], "cors.whitelist");
}

/// Whoever runs without the flag tomorrow would find out then.
#[test]
fn what_a_flag_overrides_is_checked_all_the_same() {
    let (code, _, stderr) =
        check("netloc = \"a b\"\nbase_port = 0\n", &[], &["--netloc", "a.example", "--base-port", "1"]);
    assert_eq!(code, 78);
    assert_eq!(
        stderr,
        "error: provost.toml:1: netloc: `a b` is not a host name: only letters, digits, `-` and `.` may stand in it\n\
         error: provost.toml:2: base_port: must be between 1 and 65535, not 0\n"
    );
}

#[test]
fn a_file_that_cannot_be_made_is_noted() {
    let (code, _, stderr) = check("[server]\nkey_file = \"/no/where/server.pem\"\n", &[], &[]);
    let note = "server.key_file: /no/where/server.pem cannot be made: there is no such directory";
    assert_eq!((code, stderr), (0, format!("note: provost.toml:2: {note}\n")));
}

#[test]
fn broken_toml_is_told_by_line() {
    let (code, _, stderr) = check("netloc = \"ca\"\nbind = [\"::1\"\nlog = 3\n", &[], &["--data", ""]);
    assert_eq!(code, 78);
    let expected = "error: --data: is empty\n\
                    error: provost.toml:3: missing comma between array elements, expected `,`\n";
    assert_eq!(stderr, expected);
}

/// `provost up` goes the same way.
#[test]
fn up_refuses_what_the_check_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ran = provost(&["up", "--data", data.to_str().unwrap(), "--netloc", "a b"]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.stderr.starts_with("error: --netloc: `a b` is not a host name"), "{}", ran.stderr);
    assert!(!data.exists());
}

/// To bring it in step: `provost config reference > docs/provost.toml`.
#[test]
fn the_reference_in_the_documentation_is_in_step() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/provost.toml");
    let ran = provost(&["config", "reference"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(ran.stdout, std::fs::read_to_string(committed).unwrap());
}

#[test]
fn the_reference_is_a_file_that_changes_nothing() {
    let reference = provost(&["config", "reference"]).stdout;
    let (code, stdout, stderr) = check(&reference, &[], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.lines().all(|line| line.ends_with("default")), "{stdout}");
}
