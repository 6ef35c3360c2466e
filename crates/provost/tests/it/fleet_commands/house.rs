//! The commands against a real server: what one says, another shows.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Face, House, Plan, Process, Ran};

use crate::program::PROVOST;

fn house() -> House {
    Plan::new(PROVOST, Face::Up).start()
}

/// A command with nothing but the data directory in its environment, as whoever started the server would type it.
fn command(house: &House, line: &str) -> Command {
    let mut command = Command::new(PROVOST);
    command.args(line.split(' ')).current_dir(house.directory()).env_clear();
    command.env("HOME", "/nonexistent").env("PROVOST_DATA", house.data());
    command
}

#[track_caller]
fn run(house: &House, line: &str) -> Ran {
    testkit::run(&mut command(house, line))
}

#[track_caller]
fn json(house: &House, line: &str) -> Value {
    let ran = run(house, &format!("{line} --json"));
    serde_json::from_str(ran.ok()).unwrap_or_else(|error| panic!("{line}: {error}: {}", ran.stdout))
}

/// After the first start, without a word about servers, certificates or names.
#[test]
fn on_the_machine_itself_it_simply_works() {
    let mut house = house();
    let ran = run(&house, "host list");
    assert_eq!(ran.ok(), "");
    assert!(ran.stderr.starts_with("there are no hosts; `provost host add ADDRESS`"), "{}", ran.stderr);
    for filter in ["--status failed", "--cluster nope", "--label a=b"] {
        let ran = run(&house, &format!("host list {filter}"));
        assert_eq!((ran.ok(), ran.stderr.as_str()), ("", "no host matches what was asked for\n"), "{filter}");
    }

    let file: PathBuf = house.data().join("client.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("server = \"{}\"\n", house.https_url(""))), "{text}");
    assert!(text.contains("ca = \"server-ca.pem\"\ncertificate = \"admin.pem\"\n"), "{text}");

    // It is there again after each start, and a start does not depend on it.
    std::fs::write(&file, "older").unwrap();
    house.stop();
    house.start();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    house.stop();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    house.start();
    let said = house.stop().stderr;
    assert!(said.contains("the file for commands on this machine is not up to date"), "{said}");
}

#[test]
fn a_fleet_is_looked_after() {
    let house = house();
    std::fs::write(house.directory().join("token"), "hunter2\n").unwrap();
    let key = key_file(&house);
    for line in [
        "network create flat --kind flannel_etcd --option-file token=token --option mtu=9000",
        "container-manager create kube --kind trivial",
        "cluster create web --network flat",
    ] {
        run(&house, line).ok();
    }
    run(&house, &format!("host add 10.0.0.1 --key {key} --remote-user fedora --label rack=a1")).ok();
    run(&house, "host add 10.0.0.2 --cluster web").ok();
    for (line, said) in [
        (
            "network create flat --kind flannel_etcd --option-file token=token --option mtu=9000",
            "network flat",
        ),
        ("container-manager create kube --kind trivial", "container manager kube"),
        ("host add 10.0.0.2", "host 10.0.0.2"),
    ] {
        let again = run(&house, line);
        assert_eq!(again.ok(), "");
        assert_eq!(again.stderr, format!("{said} is there already, and the same\n"));
    }

    // Hosts, by what is said of them.
    let addresses = |line: &str| -> Vec<String> {
        let hosts = json(&house, line);
        hosts.as_array().unwrap().iter().map(|host| host["address"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(addresses("host list"), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(addresses("host list --label rack=a1"), ["10.0.0.1"]);
    assert_eq!(addresses("host list --cluster web"), ["10.0.0.2"]);
    run(&house, "host label 10.0.0.1 rack- row=7").ok();
    assert_eq!(json(&house, "host show 10.0.0.1")["labels"], json!({"row": "7"}));
    assert!(run(&house, "host show 10.0.0.1").ok().contains("\nlabels   row=7\n"));
    assert_eq!(json(&house, "host status 10.0.0.1")["container_manager"]["state"], "unmanaged");
    assert!(!run(&house, "host status 10.0.0.1").ok().contains("version"));
    let kept = run(&house, "host credentials 10.0.0.1");
    assert_eq!(kept.ok(), std::fs::read_to_string(&key).unwrap());

    // The cluster, changed without losing what is not spoken of.
    assert_eq!(run(&house, "cluster create web").code, Some(75));
    run(&house, "cluster set web --container-manager kube").ok();
    let cluster = json(&house, "cluster show web");
    assert_eq!((&cluster["network"], &cluster["container_manager"]), (&json!("flat"), &json!("kube")));
    assert_eq!(json(&house, "cluster hosts web"), json!(["10.0.0.2"]));
    run(&house, "cluster remove-host web 10.0.0.2").ok();
    assert_eq!(json(&house, "cluster hosts web"), json!([]));

    // Versions, as `show` tells them.
    let shown = run(&house, "host show 10.0.0.1");
    let version = shown.ok().lines().find_map(|line| line.strip_prefix("version  ")).unwrap().to_owned();
    run(&house, "host label 10.0.0.1 row=8").ok();
    let version = version.trim_matches('"');
    let late = run(&house, &format!("host remove 10.0.0.1 --if-match {version}"));
    assert_eq!(late.code, Some(75), "{}", late.stderr);
    assert_eq!(addresses("host list").len(), 2);

    // Secrets are not shown, and what is not there is said.
    let network = run(&house, "network show flat").ok().to_owned();
    assert!(network.contains("mtu=9000") && network.contains("token=********"), "{network}");
    let missing = run(&house, "host show nobody");
    assert_eq!(missing.code, Some(66));
    assert!(missing.stderr.starts_with("error: ") && missing.stderr.contains("nobody"), "{}", missing.stderr);

    let used = run(&house, "network delete flat");
    assert_eq!(used.code, Some(75), "{}", used.stderr);
    let expected = "error: the network `flat` is in use by the cluster `web`\n\
                    hint: give it another network first, or delete it\n";
    assert_eq!(used.stderr, expected);

    run(&house, "cluster delete web").ok();
    run(&house, "host remove 10.0.0.1").ok();
    run(&house, "container-manager delete kube").ok();
    assert_eq!(addresses("host list"), ["10.0.0.2"]);
}

/// The path of a new private key file.
fn key_file(house: &House) -> String {
    let path = house.directory().join("ssh-key").to_str().unwrap().to_owned();
    testkit::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path])).ok();
    path
}

#[test]
fn a_change_is_seen_and_a_restart_survived() {
    let mut house = house();
    let watching = Process::spawn(&mut command(&house, "host list --json --watch --interval 0.2"));
    assert_eq!(watching.wait_for_stdout(|said| said.contains('\n')), Ok("[]\n".to_owned()));
    run(&house, "host add a").ok();
    watching.wait_for_stdout(|said| said.contains("\"address\":\"a\"")).unwrap();
    house.stop();
    watching.wait_for_stderr(|said| said.contains("trying again")).unwrap();
    house.start();
    watching.wait_for_stderr(|said| said.contains("the server answers again")).unwrap();
    run(&house, "host add b").ok();
    let said =
        watching.wait_for_stdout(|said| said.contains("\"address\":\"b\"") && said.ends_with('\n')).unwrap();
    let counts: Vec<usize> = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap().as_array().unwrap().len())
        .collect();
    // The hosts may be looked at meanwhile: then the same are shown again, as they are now.
    assert!(counts.is_sorted() && counts[0] == 0 && counts.ends_with(&[2]), "{said}");
    watching.terminate();
    assert_eq!(watching.wait().code, Some(143));
}

/// Planned, started, read along with across a restart of the server, steered by somebody else, and ended.
#[test]
fn an_operation_is_followed_to_its_end() {
    let mut house = house();
    run(&house, "cluster create web").ok();
    for n in 1..=3 {
        run(&house, &format!("host add 10.0.0.{n} --cluster web")).ok();
    }
    let plan = run(&house, "cluster restart web --canary 1 --batch 2 --dry-run");
    let table = "GROUP  ADDRESS   NOTE\n1      10.0.0.1  canary\n2      10.0.0.2\n2      10.0.0.3\n";
    assert_eq!(plan.ok(), table);
    assert!(plan.stderr.ends_with("; nothing was started\n"), "{}", plan.stderr);
    assert_eq!(json(&house, "operation list web"), json!([]));

    let start = "cluster restart web --batch 50% --start-at 2099-01-01T00:00:00Z --wait --json";
    let waiting = Process::spawn(&mut command(&house, start));
    let says = |words: &str| waiting.wait_for_stderr(|said| said.contains(words)).map(drop);
    says("scheduled: 0 of 3 done, goes on at 2099-01-01T00:00:00Z\n").unwrap();
    let second = run(&house, "cluster upgrade web");
    assert_eq!(second.code, Some(75));
    let hint = "hint: wait for it to end, or end it with `provost operation abort web`; ";
    assert!(second.stderr.contains(hint), "{}", second.stderr);
    run(&house, "operation pause web").ok();
    says("\npaused: 0 of 3 done\n").unwrap();
    house.stop();
    says("trying again").unwrap();
    house.start();
    says("the server answers again").unwrap();
    run(&house, "operation skip web 10.0.0.2").ok();
    says("\npaused: 0 of 3 done, 1 skipped\n").unwrap();
    let hosts = run(&house, "operation hosts web --state skipped");
    assert!(hosts.ok().contains("\n10.0.0.2  skipped  "), "{}", hosts.stdout);
    run(&house, "operation abort web").ok();
    let ran = waiting.wait();
    assert_eq!(ran.code, Some(75), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("error: the restart of cluster web was aborted\n"), "{}", ran.stderr);
    let ended: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&ended["phase"], &ended["policy"]["batch"]), (&json!("aborted"), &json!("50%")));
    assert_eq!(json(&house, "operation list web"), json!([ended]));
    assert_eq!(json(&house, "operation show web"), ended);

    // Whoever comes late is told how it ended, and it can be taken up again.
    let watched = run(&house, &format!("operation watch web {} --json", ended["id"]));
    assert_eq!(watched.code, Some(75));
    assert_eq!(serde_json::from_str::<Value>(&watched.stdout).unwrap(), ended);
    let retried = json(&house, "operation retry web");
    assert_eq!((&retried["phase"], &retried["id"]), (&json!("scheduled"), &ended["id"]));
    assert_eq!(run(&house, "operation retry web").code, Some(75));
}

/// Hash of the password `secret`; cost 4.
const SECRET: &str = "$2b$04$XefwdWd2iOAQz0h4H8wNaenxzfdyMoZjlvOxSexEPLLyCudnLi5DK";

/// Whichever doors there are, commands on the machine itself find one.
#[test]
fn every_kind_of_door_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let users = json!({"bob": {"hash": SECRET, "role": "operator"}});
    let sign_in = json!({"authentication-plugins": [{"name": "httpbasicauth", "users": users}]});
    let file = directory.path().join("sign-in.json");
    std::fs::write(&file, sign_in.to_string()).unwrap();
    for doors in ["both", "https", "http"] {
        let plan = Plan::new(PROVOST, Face::Up).option("fleet-sign-in", file.to_str().unwrap());
        let house = plan.option("server-doors", doors).start();
        std::fs::write(house.directory().join("secret"), "secret\n").unwrap();
        let ran = run(&house, "host list --json --user bob --password-file secret");
        assert_eq!(ran.ok(), "[]\n", "{doors}");
    }
}

/// Who may only look is told so, and whoever is nobody as well.
#[test]
fn people_sign_in_with_their_passwords() {
    let directory = tempfile::tempdir().unwrap();
    let users =
        json!({"ada": {"hash": SECRET, "role": "reader"}, "bob": {"hash": SECRET, "role": "operator"}});
    let sign_in = json!({"authentication-plugins": [{"name": "httpbasicauth", "users": users}]});
    let file = directory.path().join("sign-in.json");
    std::fs::write(&file, sign_in.to_string()).unwrap();
    let plan = Plan::new(PROVOST, Face::Up).option("fleet-sign-in", file.to_str().unwrap());
    let house = plan.start();
    std::fs::write(house.directory().join("secret"), "secret\n").unwrap();
    std::fs::write(house.directory().join("other"), "other\n").unwrap();
    for (line, code) in [
        ("host add 10.0.0.1 --user bob --password-file secret", 0),
        ("host list --user ada --password-file secret", 0),
        ("host add 10.0.0.2 --user ada --password-file secret", 77),
        ("host remove 10.0.0.1 --user ada --password-file secret", 77),
        ("host credentials 10.0.0.1 --user ada --password-file secret", 77),
        ("host list --user ada --password-file other", 77),
        ("host list --user eve --password-file secret", 77),
    ] {
        let ran = run(&house, line);
        assert_eq!(ran.code, Some(code), "{line}: {}", ran.stderr);
        assert_eq!(ran.stderr.starts_with("error: "), code != 0, "{line}: {}", ran.stderr);
    }
    // Who asks is the user, and not the certificate that the server left as well.
    assert_eq!(json(&house, "host list --user ada --password-file secret")[0]["address"], "10.0.0.1");
}
