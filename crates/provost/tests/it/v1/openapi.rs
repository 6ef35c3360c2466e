//! The description of the interface, and somebody else's program that holds us to it.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use testkit::{run, wait_until, witness};

use super::Asker;
use crate::houses::ended_without_a_fault;
use crate::program::provost;
use crate::sign_in::{everybody, files, house};

/// To bring it in step: `provost openapi > docs/openapi.json`.
#[test]
fn the_committed_description_is_in_step() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let ran = provost(&["openapi"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(
        ran.stdout == std::fs::read_to_string(committed).unwrap(),
        "run `provost openapi > docs/openapi.json`"
    );
}

/// schemathesis makes requests that fit the description and others that do not, for every route, and compares every
/// answer with what is described. It waits for the end of each answer, which event streams may not have for hours: it
/// reads along with an operation that has ended. What comes of one that goes on is looked at in `events`.
#[test]
fn schemathesis_finds_nothing() {
    let directory = files(&everybody(), &[]);
    let house = house(directory.path(), &[("fleet-trusted-proxies", "127.0.0.0/8")]);
    let admin = Asker::user(&house, Some("administrator"));
    admin.put("/networks/web", &json!({"kind": "flannel_etcd", "options": {"token": "hunter2"}}), 201);
    admin.put("/container-managers/web", &json!({"kind": "trivial"}), 201);
    admin.put("/clusters/web", &json!({"network": "web", "container_manager": "web"}), 201);
    for n in 0..3 {
        let host = json!({"cluster": "web", "labels": {"rack": format!("b{n}")}});
        admin.put(&format!("/hosts/10.0.0.{n}"), &host, 201);
    }
    let restart = json!({"kind": "restart", "policy": {"start_at": "2099-01-01T00:00:00Z"}});
    let start = || {
        let started = admin.says("POST", "/clusters/web/operations", &[], &restart, 201);
        started.document["id"].to_string()
    };
    let write = |name: &str, operation: &str| {
        let config = directory.path().join(name);
        std::fs::write(&config, config_with(operation)).unwrap();
        config
    };
    let ended = start();
    admin.says("POST", &format!("/clusters/web/operations/{ended}/abort"), &[], &json!({}), 200);
    wait_until("the operation to end", || {
        let path = format!("/clusters/web/operations/{ended}");
        admin.says("GET", &path, &[], &json!(null), 200).document["finished_at"].is_string()
    });

    let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/witness/schemathesis_hooks.py");
    // First what leaves everything there, so that it is found.
    let finds_nothing = |config: &Path, which: &[&str]| {
        let mut schemathesis = Command::new(witness("schemathesis"));
        schemathesis.current_dir(directory.path()).env("HOME", directory.path());
        schemathesis.env("SCHEMATHESIS_HOOKS", hooks).env("PYTHONDONTWRITEBYTECODE", "1");
        schemathesis.arg("--config-file").arg(config).args(["run", &house.https_url("/v1/openapi.json")]);
        schemathesis.arg("--tls-verify").arg(house.data().join("server-ca.pem"));
        schemathesis.args(["--auth", "administrator:secret", "--checks", "all"]).args(which);
        let ran = run(&mut schemathesis);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    };
    finds_nothing(&write("ended.toml", &ended), &["--include-path-regex", "/events$"]);
    // Only now: the events of one that goes on for years have no end, and any number may be tried.
    let waiting = write("waiting.toml", &start());
    finds_nothing(&waiting, &["--exclude-path-regex", "/events$", "--exclude-method", "DELETE"]);
    finds_nothing(&waiting, &["--exclude-path-regex", "/events$"]);
    ended_without_a_fault(house);
}

/// How schemathesis tries, with an operation that is there.
fn config_with(operation: &str) -> String {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/witness/schemathesis.toml");
    let config = std::fs::read_to_string(config).unwrap();
    let known = format!(
        "[dictionaries.operations]\nvalues = [\"{operation}\"]\n\n\
         [parameters]\n\"path.id\" = {{ dictionary = \"operations\", probability = 0.6 }}\n"
    );
    assert!(config.contains("[parameters]\n"));
    config.replace("[parameters]\n", &known)
}
