//! Every command that asks a server: the requests it makes, and what it prints.

use serde_json::json;
use testkit::{Recorder, Reply};

use super::{Operator, answering, lines};

#[test]
fn every_command_asks_what_the_original_asks() {
    let server = answering(200, r#"{"name": "x"}"#);
    let operator = Operator::of(&server);
    let key = operator.write("key", "-----KEY-----\n");
    for (typed, asked) in [
        (
            "cluster create web",
            r#"PUT /api/v0/cluster/web {"container_manager":"","network":"default","type":"kubernetes"}"#,
        ),
        (
            "cluster create web -t host_only -n n -c cm",
            r#"PUT /api/v0/cluster/web {"container_manager":"cm","network":"n","type":"host_only"}"#,
        ),
        (
            "cluster create --type=host_only --netw n --container-man cm web",
            r#"PUT /api/v0/cluster/web {"container_manager":"cm","network":"n","type":"host_only"}"#,
        ),
        ("cluster delete web", "DELETE /api/v0/cluster/web {}"),
        ("cluster get web", "GET /api/v0/cluster/web"),
        ("cluster list", "GET /api/v0/clusters"),
        ("cluster deploy start web 7.2.6", r#"PUT /api/v0/cluster/web/deploy {"version":"7.2.6"}"#),
        ("cluster deploy status web", "GET /api/v0/cluster/web/deploy"),
        ("cluster restart start web", "PUT /api/v0/cluster/web/restart {}"),
        ("cluster restart status web", "GET /api/v0/cluster/web/restart"),
        ("cluster upgrade start web", "PUT /api/v0/cluster/web/upgrade {}"),
        ("cluster upgrade start web 7.2.6", "PUT /api/v0/cluster/web/upgrade {}"),
        ("cluster upgrade status web", "GET /api/v0/cluster/web/upgrade"),
        (
            "container_manager create cm",
            r#"PUT /api/v0/containermanager/cm {"options":{},"type":"openshift"}"#,
        ),
        (
            r#"container_manager create cm -t trivial -o a=1 -o {"b":2,"a":3} --options a=4=5"#,
            r#"PUT /api/v0/containermanager/cm {"options":{"a":"4=5","b":2},"type":"trivial"}"#,
        ),
        ("container-manager get cm", "GET /api/v0/containermanager/cm"),
        ("container_manager delete cm", "DELETE /api/v0/containermanager/cm {}"),
        ("container_manager list", "GET /api/v0/containermanagers"),
        (
            &format!("host create 10.0.0.1 {key}"),
            r#"PUT /api/v0/host/10.0.0.1 {"ssh_priv_key":"LS0tLS1LRVktLS0tLQo="}"#,
        ),
        (
            &format!("host create localhost {key} -c web"),
            r#"PUT /api/v0/host/127.0.0.1 {"cluster":"web","ssh_priv_key":"LS0tLS1LRVktLS0tLQo="}"#,
        ),
        ("host delete localhost", "DELETE /api/v0/host/127.0.0.1 {}"),
        ("host get 10.0.0.1", "GET /api/v0/host/10.0.0.1"),
        ("host get fe80::1%eth0", "GET /api/v0/host/fe80::1%25eth0"),
        ("host status 10.0.0.1", "GET /api/v0/host/10.0.0.1/status"),
        ("host list", "GET /api/v0/hosts"),
        ("host list web", "GET /api/v0/cluster/web/hosts"),
        ("host join 10.0.0.1 web", "PUT /api/v0/cluster/web/hosts/10.0.0.1 {}"),
        ("host unjoin 10.0.0.1 web", "DELETE /api/v0/cluster/web/hosts/10.0.0.1 {}"),
        ("network create n", r#"PUT /api/v0/network/n {"options":{},"type":"flannel_etcd"}"#),
        (
            r#"network create n -t flannel_server -o {"address":"10.0.0.9:8080"}"#,
            r#"PUT /api/v0/network/n {"options":{"address":"10.0.0.9:8080"},"type":"flannel_server"}"#,
        ),
        ("network delete n", "DELETE /api/v0/network/n {}"),
        ("network get n", "GET /api/v0/network/n"),
        ("network list", "GET /api/v0/networks"),
        ("network list whatever", "GET /api/v0/networks"),
    ] {
        let ran = operator.type_in(typed);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "name: x\n"), "{typed}: {}", ran.stderr);
        let warned = typed == "cluster upgrade start web 7.2.6";
        assert_eq!(ran.stderr.contains("`7.2.6` is ignored"), warned, "{}", ran.stderr);
        assert_eq!(ran.stderr.is_empty(), !warned, "{}", ran.stderr);
        assert_eq!(lines(&server), [asked], "{typed}");
    }
}

#[test]
fn requests_say_who_asks_and_what_in() {
    let server = answering(200, "");
    let operator = Operator::of(&server);
    for typed in ["cluster list", "cluster create a", "cluster delete a"] {
        operator.type_in(typed).ok();
        let heard = server.heard();
        assert_eq!(heard[0].header("authorization"), Some("Basic dTpw"));
        assert_eq!(heard[0].header("content-type"), Some("application/json"));
    }
}

#[test]
fn several_are_deleted_one_after_the_other() {
    let server = Recorder::start(|heard| match heard.path.rsplit('/').next() {
        Some("b") => Reply::Answer(404, "text/html", "Not Found".to_owned()),
        Some("c") => Reply::Answer(500, "text/html", "Internal Server Error".to_owned()),
        _ => Reply::json(200, "[]"),
    });
    let operator = Operator::of(&server);
    let ran = operator.type_in("cluster delete a b");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "- Success\n- No object found.\n"));
    assert_eq!(lines(&server), ["DELETE /api/v0/cluster/a {}", "DELETE /api/v0/cluster/b {}"]);

    let ran = operator.type_in("network delete a c d");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), "- Success\n"), "what was done is said");
    assert!(ran.stderr.contains("Unable to DELETE the object at /api/v0/network/c: 500\n"), "{}", ran.stderr);
    assert_eq!(lines(&server), ["DELETE /api/v0/network/a {}", "DELETE /api/v0/network/c {}"]);

    let ran = operator.type_in("container_manager delete a");
    assert_eq!(ran.ok(), "Success\n");
}

/// commissaire, section 12.4.
#[test]
fn answers_end_as_in_the_original() {
    for (status, media_type, body, code, stdout, error) in [
        (200, "application/json", "[]", 0, "Success\n", ""),
        (200, "application/json", r#"["b", "a"]"#, 0, "- b\n- a\n", ""),
        (201, "application/json", "{}", 0, "- Created web\n", ""),
        (204, "", "", 0, "No instance\n", ""),
        (404, "text/html", "Not Found", 0, "No object found.\n", ""),
        (
            403,
            "text/html",
            "Forbidden",
            2,
            "",
            "commctl cluster: error: The provided credentials were incorrect.\n",
        ),
        (
            500,
            "text/html",
            "Internal Server Error",
            2,
            "",
            "commctl cluster: error: Unable to GET the object at /api/v0/cluster/web: 500\n",
        ),
        (
            409,
            "application/problem+json",
            r#"{"title": "Conflict", "detail": "a restart is running"}"#,
            2,
            "",
            "commctl cluster: error: Unable to GET the object at /api/v0/cluster/web: 409\nhint: a restart is running\n",
        ),
        (
            200,
            "text/html",
            "<html>",
            2,
            "",
            "commctl cluster: error: the answer to the GET of /api/v0/cluster/web is not JSON\n",
        ),
    ] {
        let body = body.to_owned();
        let server = Recorder::start(move |_| Reply::Answer(status, media_type, body.clone()));
        let ran = Operator::of(&server).type_in("cluster get web");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), stdout), "{status}: {}", ran.stderr);
        assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
        let usage = "Usage: commctl cluster <COMMAND>\n";
        assert_eq!(ran.stderr.starts_with(usage), !error.is_empty(), "{}", ran.stderr);
    }
}

#[test]
fn results_come_in_other_formats_when_asked() {
    let server = answering(200, r#"[{"status": "active", "address": "10.0.0.1"}]"#);
    let operator = Operator::of(&server);
    for (format, expected) in [
        ("yaml", "- address: 10.0.0.1\n  status: active\n"),
        ("json", "[\n  {\n    \"address\": \"10.0.0.1\",\n    \"status\": \"active\"\n  }\n]\n"),
        ("table", "ADDRESS   STATUS\n10.0.0.1  active\n"),
        ("name", "10.0.0.1\n"),
    ] {
        assert_eq!(operator.run(&["--output", format, "host", "list"]).ok(), expected);
    }
}

#[test]
fn wrong_usage_asks_nobody() {
    let server = answering(200, "");
    let operator = Operator::of(&server);
    for typed in [
        "",
        "nonsense",
        "cluster",
        "cluster create",
        "cluster create web -t mesos",
        "cluster deploy start web",
        "cluster get ..",
        "cluster delete",
        "container_manager create cm -o a",
        "container_manager create cm -o {",
        "host create 10.0.0.1",
        "host create 10.0.0.1 /nonexistent/key",
        "host get host.invalid",
        "host ssh",
        "host ssh -oProxyCommand=x",
        "network create n -o []",
        "network create n -t flannel",
        "passhash -r 3",
        "passhash -p a -f b",
        "user-data",
        "user-data -e localhost:8000",
        "--output xml host list",
    ] {
        let ran = operator.type_in(typed);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{typed}");
        let subject = typed.split(' ').next().filter(|word| !word.is_empty() && *word != "nonsense");
        let who =
            subject.filter(|word| !word.starts_with('-')).map_or_else(String::new, |word| format!(" {word}"));
        let who = if typed.ends_with("host list") { " host" } else { &who };
        let (usage, error) = ran.stderr.split_once(&format!("commctl{who}: error: ")).unwrap();
        assert!(usage.contains("Usage: commctl") && !error.trim().is_empty(), "{typed}: {}", ran.stderr);
        assert_eq!(lines(&server), [""; 0], "{typed}");
    }
    let ran = operator.type_in("host create 10.0.0.1 /nonexistent/key");
    let expected =
        "commctl host: error: could not read /nonexistent/key: No such file or directory (os error 2)\n";
    assert!(ran.stderr.ends_with(expected), "{}", ran.stderr);
}

#[test]
fn what_is_no_private_key_is_not_sent() {
    let server = answering(201, "{}");
    let operator = Operator::of(&server);
    let public = operator.write("key.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@here\n");
    for (file, words) in [
        ("-", "there is no private key in standard input: it is empty"),
        ("/dev/null", "there is no private key in /dev/null: it is empty"),
        (&public, "is a public key, not the private one"),
    ] {
        let ran = operator.run(&["host", "create", "10.0.0.1", file]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{file}");
        assert!(ran.stderr.contains(words), "{file}: {}", ran.stderr);
    }
    assert_eq!(lines(&server), [""; 0]);
}

#[test]
fn help_is_for_standard_output() {
    let operator = Operator::new();
    for (typed, words) in [("-h", "passhash"), ("host -h", "unjoin"), ("cluster create --help", "--network")]
    {
        let ran = operator.type_in(typed);
        assert!(ran.ok().contains(words), "{}", ran.stdout);
    }
}

#[test]
fn a_key_may_come_from_standard_input() {
    let server = answering(201, "{}");
    let operator = Operator::of(&server);
    let ran = operator.run_with("KEY\n", &["host", "create", "10.0.0.1", "-"]);
    assert_eq!(ran.ok(), "- Created 10.0.0.1\n");
    assert_eq!(lines(&server), [r#"PUT /api/v0/host/10.0.0.1 {"ssh_priv_key":"S0VZCg=="}"#]);
}

#[test]
fn redirections_are_not_followed() {
    let server = Recorder::start(|_| Reply::Answer(302, "text/html", String::new()));
    let operator = Operator::of(&server);
    operator.configure(&json!({"endpoint": [server.url()], "username": "u", "password": "p"}));
    let ran = operator.type_in("host list");
    assert!(ran.stderr.contains("Unable to GET the object at /api/v0/hosts: 302"), "{}", ran.stderr);
}
