//! Commands that change something: what is sent, what is said, what is kept to oneself.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use testkit::{Asked, Heard, Process, Recorder, Reply, StandIn, StandInReply};

use super::{Operator, cluster, host, operation};

/// A server to which everything is new and fine.
fn server() -> Recorder {
    Recorder::start(|asked: &Heard| {
        let created = |document: serde_json::Value| Reply::json(201, &document.to_string());
        let path = asked.path.as_str();
        match asked.method.as_str() {
            "DELETE" => Reply::json(204, ""),
            "GET" => Reply::json(200, &cluster("web").to_string()),
            _ if path.contains("/operations/") => Reply::json(200, &operation("paused", 1).to_string()),
            _ if path.contains("/hosts/") => created(host("10.0.0.1", "new")),
            _ if path.contains("/clusters/") => created(cluster("web")),
            _ if path.contains("/networks/") => {
                created(json!({"name": "n", "kind": "flannel_etcd", "options": {}}))
            }
            _ => created(json!({"name": "n", "kind": "trivial", "options": {}})),
        }
    })
}

#[test]
fn every_change_is_sent_as_it_was_meant_and_said() {
    let server = server();
    let operator = Operator::of(&server.url());
    operator.write("key", "KEY\n");
    operator.write("token", "hunter2\n");
    for (line, sent, condition, said) in [
        (
            "host add 10.0.0.1",
            "PUT /v1/hosts/10.0.0.1 {}",
            None,
            "added host 10.0.0.1; `provost host status 10.0.0.1 --watch` shows how far it is",
        ),
        (
            "host add fe80::1%eth0 --key key --remote-user fedora --cluster web --label a=1 --label b=",
            "PUT /v1/hosts/fe80::1%25eth0 {\"cluster\":\"web\",\"labels\":{\"a\":\"1\",\"b\":\"\"},\
             \"remote_user\":\"fedora\",\"ssh_private_key\":\"KEY\\n\"}",
            None,
            "added host fe80::1%eth0; `provost host status fe80::1%eth0 --watch` shows how far it is",
        ),
        (
            "host label 10.0.0.1 a=1 b-",
            r#"PATCH /v1/hosts/10.0.0.1 {"labels":{"a":"1","b":null}}"#,
            None,
            "host 10.0.0.1 has no labels now",
        ),
        (
            "host remove 10.0.0.1 --if-match 7",
            "DELETE /v1/hosts/10.0.0.1",
            Some("\"7\""),
            "forgot host 10.0.0.1",
        ),
        (
            "cluster create web --network flat",
            r#"PUT /v1/clusters/web {"network":"flat"}"#,
            None,
            "made cluster web; `provost cluster add-host web ADDRESS` adds hosts",
        ),
        (
            "cluster delete web --if-match \"7\"",
            "DELETE /v1/clusters/web",
            Some("\"7\""),
            "deleted cluster web",
        ),
        (
            "cluster delete web --force --if-match 7",
            "DELETE /v1/clusters/web?force=true",
            Some("\"7\""),
            "deleted cluster web",
        ),
        (
            "cluster add-host web 10.0.0.1",
            "PUT /v1/clusters/web/hosts/10.0.0.1",
            None,
            "host 10.0.0.1 is in cluster web now",
        ),
        (
            "cluster remove-host web 10.0.0.1",
            "DELETE /v1/clusters/web/hosts/10.0.0.1",
            None,
            "host 10.0.0.1 is in no cluster now",
        ),
        (
            "operation pause web 7",
            "POST /v1/clusters/web/operations/7/pause {}",
            None,
            "the restart of cluster web (operation 7) is now paused: 1 of 2 done",
        ),
        (
            "operation skip web 10.0.0.1 7",
            "POST /v1/clusters/web/operations/7/hosts/10.0.0.1/skip {}",
            None,
            "the restart of cluster web (operation 7) goes on without host 10.0.0.1; paused: 1 of 2 done",
        ),
        (
            "network create n --kind flannel_server --option address=a:1 --option-file token=token",
            r#"PUT /v1/networks/n {"kind":"flannel_server","options":{"address":"a:1","token":"hunter2"}}"#,
            None,
            "made network n; `provost cluster create NAME --network n` uses it",
        ),
        ("network delete n", "DELETE /v1/networks/n", None, "deleted network n"),
        (
            "container-manager create n --kind openshift --option server_url=https://a",
            r#"PUT /v1/container-managers/n {"kind":"openshift","options":{"server_url":"https://a"}}"#,
            None,
            "made container manager n; `provost cluster create NAME --container-manager n` uses it",
        ),
        (
            "container-manager delete n",
            "DELETE /v1/container-managers/n",
            None,
            "deleted container manager n",
        ),
    ] {
        let ran = operator.run(line);
        assert_eq!((ran.ok(), ran.stderr.trim_end()), ("", said), "{line}");
        let heard = server.heard();
        assert_eq!((heard.len(), heard[0].line().as_str()), (1, sent), "{line}");
        assert_eq!(heard[0].header("if-match"), condition, "{line}");

        // The same, only looked at: without the server, and without what nobody may see.
        let ran = operator.run(&format!("{line} --dry-run --server http://127.0.0.1:1"));
        let request = sent.split(" {").next().unwrap();
        assert_eq!((ran.ok().lines().next(), ran.stderr.as_str()), (Some(request), ""), "{line}");
        assert!(!ran.stdout.contains("KEY") && !ran.stdout.contains("hunter2"), "{line}: {}", ran.stdout);

        // JSON is what the server answered, which to a deletion is nothing.
        let ran = operator.run(&format!("{line} --json"));
        assert_eq!(ran.ok().is_empty(), sent.starts_with("DELETE"), "{line}");
        if !ran.stdout.is_empty() {
            let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            assert!(document.is_object(), "{line}: {document}");
        }
        assert_eq!(server.heard().len(), 1);
    }
}

#[test]
fn keys_come_from_standard_input_too() {
    let server = server();
    let operator = Operator::of(&server.url());
    operator.run_with("KEY", "host add a --key -").ok();
    assert_eq!(server.heard()[0].body, r#"{"ssh_private_key":"KEY"}"#);
    let ran = operator.run("host add a --key nowhere");
    assert_eq!((ran.code, server.heard().len()), (Some(66), 0));
    assert!(ran.stderr.starts_with("error: could not read nowhere: "), "{}", ran.stderr);

    // No server is missing, but a file: sysexits.h calls that 66.
    operator.write("folder/in-it", "");
    for line in [
        "host add a --key folder",
        "host list --client-config nowhere",
        "host list --ca nowhere",
        "host list --certificate nowhere",
        "host list --user ada --password-file nowhere",
        "host list --token-file nowhere",
        "host list --kubeconfig nowhere",
        "network create n --kind flannel_etcd --option-file token=nowhere",
    ] {
        let ran = operator.run(line);
        assert_eq!((ran.code, server.heard().len()), (Some(66), 0), "{line}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: could not read "), "{line}: {}", ran.stderr);
    }
}

#[test]
fn what_cannot_be_meant_is_not_sent() {
    let server = server();
    let operator = Operator::of(&server.url());
    for (line, code) in [
        ("network create n --kind flannel_etcd --option token=hunter2", 65),
        ("network create n --kind flannel_etcd --option a=1 --option a=2", 65),
        ("host label a b=1 b-", 65),
        ("host label a", 2),
        ("host label a b", 2),
        ("cluster set web", 2),
        ("cluster set web --container-manager kube --no-container-manager", 2),
        ("network create n", 2),
        ("host show ..", 2),
        ("host list --interval 5", 2),
        ("host list --watch --interval 0", 2),
        ("cluster restart web --dry-run --wait", 2),
        ("cluster restart web --failures 101", 2),
        ("cluster restart web --soak 90s", 2),
        ("cluster restart web --host-limit 0", 2),
        ("operation hosts web 7 --state reborn", 2),
    ] {
        let ran = operator.run(line);
        assert_eq!((ran.code, ran.stdout.as_str(), server.heard().len()), (Some(code), "", 0), "{line}");
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

/// Making one must not change one that is there.
#[test]
fn a_cluster_that_is_there_is_not_made_again() {
    let server = Recorder::start(|_| Reply::json(412, ""));
    let ran = Operator::of(&server.url()).run("cluster create web");
    let said = "error: cluster `web` is there already\nhint: `provost cluster set` changes it\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(75), said));
    assert_eq!(server.heard()[0].header("if-none-match"), Some("*"));
}

/// A cluster of which somebody else changes something at the same moment, once.
#[test]
fn a_cluster_is_changed_as_it_is_and_not_as_it_was() {
    let server = StandIn::http(|asked: &Asked| {
        let mut now = cluster("web");
        now["container_manager"] = json!("kube");
        Some(match (asked.method.as_str(), asked.headers.get("if-match").map(String::as_str)) {
            ("PUT", Some("\"2\"")) => StandInReply::json(200, &now),
            ("PUT", _) => StandInReply::json(412, &json!({})),
            _ => StandInReply::json(200, &now).with("ETag", "\"2\""),
        })
    });
    let operator = Operator::of(&server.url(""));
    let ran = operator.run("cluster set web --network flat");
    assert_eq!(ran.ok(), "");
    assert_eq!(ran.stderr, "cluster web has network default and kube container manager now\n");
    let put = server.asked().pop().unwrap();
    assert_eq!(put.body, br#"{"container_manager":"kube","network":"flat"}"#);

    let ran = operator.run("cluster set web --no-container-manager --if-match 1");
    assert_eq!(ran.code, Some(75), "{}", ran.stderr);
    let put = server.asked().pop().unwrap();
    assert_eq!(
        (put.headers["if-match"].as_str(), &put.body[..]),
        ("\"1\"", &br#"{"network":"default"}"#[..])
    );
}

#[test]
fn credentials_are_for_the_one_who_asks() {
    let credentials = json!({"address": "a", "ssh_private_key": "KEY", "remote_user": "fedora"});
    let server = Recorder::start(move |_| Reply::json(200, &credentials.to_string()));
    let operator = Operator::of(&server.url());
    assert_eq!(operator.run("host credentials a").ok(), "KEY\n");
    let ran = operator.run("host credentials a --out key");
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("", "wrote key, which lets fedora into a\n"));
    let file = operator.home().join("key");
    assert_eq!(std::fs::read(&file).unwrap(), b"KEY\n");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = operator.run("host credentials a --out key");
    assert_eq!(ran.code, Some(69));
    assert!(ran.stderr.ends_with("hint: remove it first, or name another one\n"), "{}", ran.stderr);
    assert_eq!(server.heard()[0].line(), "GET /v1/hosts/a/credentials");
}

/// The real program is commctl's; here it is enough that its arguments are right and nothing is left.
#[test]
fn ssh_gets_the_key_and_the_user() {
    let credentials = json!({"address": "a", "ssh_private_key": "KEY\n", "remote_user": "fedora"});
    let pinned = json!({"fingerprint": "SHA256:x", "public_key": "ssh-ed25519 AAAA", "since": "t"});
    let known = json!({"address": "a", "pinned": pinned});
    let server = Recorder::start(move |asked: &Heard| {
        let is_key = asked.path.ends_with("/host-key");
        Reply::json(200, &if is_key { &known } else { &credentials }.to_string())
    });
    let operator = Operator::of(&server.url());
    // Behind the key: `-o UserKnownHostsFile="…"`.
    let script = "#!/bin/sh\ncat \"$2\"; eval \"cat ${4#*=}\"; shift 4; echo \"$@\"; exit 7\n";
    let ssh = operator.write("bin/ssh", script);
    std::fs::set_permissions(ssh, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir(operator.home().join("tmp")).unwrap();
    let mut command = operator.command("host ssh a -- -p 22 uptime --json");
    command.env("PATH", format!("{}:/usr/bin:/bin", operator.home().join("bin").display()));
    command.env("TMPDIR", operator.home().join("tmp"));
    let ran = Process::spawn(&mut command).wait();
    let expected = "KEY\na ssh-ed25519 AAAA\n-o HostKeyAlias=a -o GlobalKnownHostsFile=/dev/null \
                    -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -l fedora a -p 22 uptime --json\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), expected));
    assert_eq!(std::fs::read_dir(operator.home().join("tmp")).unwrap().count(), 0);
}

/// Two names are meant by those who write `--user`: before a password is asked for, it is said whose.
#[test]
fn who_one_is_here_is_told_from_who_one_is_on_the_host() {
    let server = Recorder::start(|_| Reply::json(201, &host("a", "new").to_string()));
    let operator = Operator::of(&server.url());
    let said = "note: `--user admin` is who you are here, to Provost; whom it is to be on the host, `--remote-user` says";
    for (line, is_told) in [
        ("host add a --user admin", true),
        ("host add a --user admin --remote-user admin", false),
        ("host add a", false),
    ] {
        assert_eq!(operator.run(line).stderr.lines().any(|line| line == said), is_told, "{line}");
    }
}
