//! A machine boots with our user-data, and is a host that is ready: real cloud-init on a real sshd host, with nobody there.

use serde_json::{Value, json};
use testkit::{Face, HostPlan, Hosts, cloud_init_on, http, wait_for};

use crate::commctl::Operator;
use crate::houses::{ended_without_a_fault, plan};
use crate::sign_in::{everybody, files};

#[test]
fn a_machine_that_boots_with_our_user_data_is_ready_with_nobody_there() {
    let hosts = Hosts::start(vec![HostPlan::new().os("fedora", "41")]);
    let host = &hosts[0];
    // As Debian's own file has it.
    let sudoers = host.path("/etc/sudoers");
    let rules = std::fs::read_to_string(&sudoers).unwrap();
    std::fs::write(&sudoers, format!("{rules}@includedir /etc/sudoers.d\n")).unwrap();

    let directory = files(&everybody(), &[]);
    let sign_in = directory.path().join("sign-in.json");
    let house = plan(Face::Up)
        .host(hosts.gateway().as_str())
        .option("fleet-sign-in", sign_in.to_str().unwrap())
        .option("fleet-investigate", "true")
        .option("fleet-profile", "containers")
        .option("fleet-flannel-etcd-url", "http://198.18.255.254:2379")
        .start();
    let client = http::anybody();
    let ask = |method: &str, path: &str| {
        let asked = client.request(method.parse().unwrap(), house.https_url(path)).body("{}");
        let asked = asked.basic_auth("administrator", Some("secret"));
        let answer = asked.header("Accept", "application/json").send().unwrap();
        serde_json::from_str::<Value>(&answer.text().unwrap()).unwrap_or_default()
    };
    ask("PUT", "/api/v0/cluster/web");

    // What the operator does, once for all machines.
    let operator = Operator::new();
    let ca = house.data().join("server-ca.pem");
    let user_data = operator.run_with(
        "secret\n",
        &[
            "user-data",
            "-e",
            &house.https_url(""),
            "-c",
            "web",
            "-u",
            "registrar",
            "-p",
            "-r",
            "fleet",
            "-s",
            "~fleet/.ssh/id_rsa",
            "-a",
            "~fleet/.ssh/authorized_keys",
            "--ca-file",
            ca.to_str().unwrap(),
        ],
    );
    let booted = cloud_init_on(host, user_data.ok());
    assert_eq!(booted.code, Some(0), "{booted:?}");
    assert!(booted.stderr.contains("INFO cloudinit.commissaire: registered with https://"), "{booted:?}");

    let shown = wait_for("the host to be ready", || {
        let shown = ask("GET", &format!("/v1/hosts/{}", host.address()));
        assert_ne!(shown["status"], "failed", "{shown}");
        (shown["status"] == "disassociated").then_some(shown)
    });
    assert_eq!((&shown["facts"]["os"], &shown["cluster"]), (&json!("fedora"), &json!("web")), "{shown}");
    let installs = |line: &String| line.starts_with("dnf install -y") && line.ends_with("docker");
    assert!(host.recorded().iter().any(installs), "{:?}", host.recorded());
    let members = ask("GET", "/api/v0/cluster/web/hosts");
    assert_eq!(members, json!([host.address()]));
    ended_without_a_fault(house);
}
