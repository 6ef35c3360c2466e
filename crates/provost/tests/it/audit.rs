//! Every change to the fleet is in the history with who, what and from where, and so is what was refused.

use reqwest::blocking::Client;
use serde_json::json;
use store::Event;
use testkit::{House, http};

use crate::fleet::history;
use crate::houses::ended_without_a_fault;
use crate::sign_in::{everybody, files, house};

/// Where everybody comes from, as the proxy says.
const FROM: &str = "203.0.113.9";

/// The status of the answer to `user`, who comes from `from` through a proxy.
fn ask(house: &House, client: &Client, user: (&str, &str), from: &str, asked: (&str, &str, &str)) -> u16 {
    let (method, path, body) = asked;
    let url = house.https_url(&format!("/api/v0{path}"));
    let request = client.request(method.parse().unwrap(), url).header("X-Forwarded-For", from);
    let request = if user.0.is_empty() { request } else { request.basic_auth(user.0, Some(user.1)) };
    request.body(body.to_owned()).send().unwrap().status().as_u16()
}

/// What an event says: what, about what, and the facts.
fn words(event: &Event) -> String {
    let facts: Vec<String> = event.facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("{}: {} ({})", event.what, event.about, facts.join(", "))
}

#[test]
fn every_change_is_in_the_history() {
    let directory = files(&everybody(), &[]);
    let mut house = house(directory.path(), &[("fleet-trusted-proxies", "127.0.0.1")]);
    let client = http::anybody();
    let host = r#"{"ssh_priv_key": "a2V5", "status": "active"}"#;
    let mut expected = Vec::new();
    // Each route that changes something, and then the same again where that changes nothing.
    for (user, method, path, body, status, told) in [
        (
            "operator",
            "PUT",
            "/network/n",
            r#"{"options": {"token": "hunter2"}}"#,
            201,
            "network created: network n ()",
        ),
        ("operator", "PUT", "/network/n", r#"{"options": {"token": "hunter2"}}"#, 201, ""),
        ("operator", "PUT", "/network/n", r#"{"options": {"token": "other"}}"#, 409, ""),
        (
            "operator",
            "PUT",
            "/containermanager/m",
            r#"{"type": "trivial"}"#,
            201,
            "container manager created: container manager m ()",
        ),
        (
            "operator",
            "PUT",
            "/cluster/web",
            r#"{"network": "n"}"#,
            201,
            "cluster created: cluster web (container_manager , network n)",
        ),
        ("operator", "PUT", "/cluster/web", r#"{"network": "n"}"#, 201, ""),
        (
            "operator",
            "PUT",
            "/cluster/web",
            r#"{"network": "n", "container_manager": "m"}"#,
            201,
            "cluster changed: cluster web (container_manager m, network n)",
        ),
        ("operator", "PUT", "/host/10.0.0.1", host, 201, "host added: host 10.0.0.1 ()"),
        ("operator", "PUT", "/host/10.0.0.1", host, 201, ""),
        (
            "operator",
            "PUT",
            "/host",
            r#"{"address": "10.0.0.2", "ssh_priv_key": "a2V5", "cluster": "web"}"#,
            201,
            "host added: host 10.0.0.2 (cluster web)",
        ),
        ("registrar", "PUT", "/host", host, 201, "host registered itself: host 203.0.113.9 ()"),
        ("operator", "PUT", "/host/10.0.0.3", host, 201, "host added: host 10.0.0.3 ()"),
        (
            "operator",
            "PUT",
            "/cluster/web/hosts/10.0.0.1",
            "",
            200,
            "cluster's hosts changed: cluster web (joined 10.0.0.1)",
        ),
        ("operator", "PUT", "/cluster/web/hosts/10.0.0.1", "", 200, ""),
        (
            "administrator",
            "PUT",
            "/cluster/web/hosts",
            r#"{"old": ["10.0.0.1", "10.0.0.2"], "new": ["10.0.0.1", "10.0.0.3"]}"#,
            200,
            "cluster's hosts changed: cluster web (joined 10.0.0.3, left 10.0.0.2)",
        ),
        (
            "operator",
            "PUT",
            "/cluster/web/deploy",
            r#"{"version": "7.2.6"}"#,
            201,
            "deploy started: cluster web (state in_process, version 7.2.6)",
        ),
        ("operator", "PUT", "/cluster/web/restart", "", 409, ""),
        (
            "operator",
            "DELETE",
            "/cluster/web/hosts/10.0.0.1",
            "",
            200,
            "cluster's hosts changed: cluster web (left 10.0.0.1)",
        ),
        ("operator", "DELETE", "/cluster/web/hosts/10.0.0.1", "", 200, ""),
        ("operator", "DELETE", "/host/10.0.0.3", "", 200, "host deleted: host 10.0.0.3 (cluster web)"),
        ("operator", "DELETE", "/host/203.0.113.9", "", 200, "host deleted: host 203.0.113.9 ()"),
        ("operator", "DELETE", "/host/203.0.113.9", "", 404, ""),
        ("operator", "DELETE", "/cluster/web", "", 200, "cluster deleted: cluster web ()"),
        (
            "operator",
            "PUT",
            "/cluster/db",
            "",
            201,
            "cluster created: cluster db (container_manager , network default)",
        ),
        ("operator", "PUT", "/cluster/db/upgrade", "", 201, "upgrade started: cluster db (state finished)"),
        ("operator", "PUT", "/cluster/db/restart", "", 201, "restart started: cluster db (state finished)"),
        ("operator", "DELETE", "/network/n", "", 200, "network deleted: network n ()"),
        (
            "operator",
            "DELETE",
            "/containermanager/m",
            "",
            200,
            "container manager deleted: container manager m ()",
        ),
    ] {
        let found = ask(&house, &client, (user, "secret"), FROM, (method, path, body));
        assert_eq!(found, status, "{method} {path} {body}");
        if !told.is_empty() {
            expected.push((format!("user {user}"), told.to_owned()));
        }
    }
    house.stop();
    let history = history(&house);
    let told: Vec<&Event> = history.iter().filter(|event| event.by.starts_with("user ")).collect();
    assert!(
        told.iter().all(|event| event.from.as_deref() == Some(FROM) && !words(event).contains("hunter2")),
        "{told:#?}"
    );
    // Those of one millisecond are in no order.
    let mut told: Vec<_> = told.iter().map(|event| (event.by.clone(), without_ids(&words(event)))).collect();
    told.retain(|(by, _)| !by.starts_with("user certificate"));
    // A cluster that goes takes its operation with it.
    for what in [
        "deploy told to abort: cluster web (operation N)",
        "deploy aborted: cluster web (done 0, failed 0, operation N, skipped 0)",
    ] {
        expected.push(("user operator".to_owned(), what.to_owned()));
    }
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

/// With `N` for the id of an operation, which is another each time.
fn without_ids(words: &str) -> String {
    match words.split_once("operation ") {
        Some((before, after)) => {
            format!("{before}operation N{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => words.to_owned(),
    }
}

#[test]
fn what_was_refused_is_in_the_history() {
    let directory = files(&everybody(), &[]);
    let mut house = house(directory.path(), &[("fleet-trusted-proxies", "127.0.0.1")]);
    let client = http::anybody();
    for (user, from, asked, status, times) in [
        // Passwords that are wrong, of users who are there or not. The sixth of one user is not even looked at.
        (("operator", "wrong"), "198.51.100.7", ("GET", "/hosts", ""), 403, 7),
        (("nobody", "hunter2"), "198.51.100.7", ("GET", "/hosts", ""), 403, 1),
        (("operator", "wrong"), "2001:db8::1", ("DELETE", "/host/a", ""), 403, 1),
        (("operator", "wrong"), "2001:db8::2", ("GET", "/nothing", ""), 403, 1),
        // Who shows nothing has not tried.
        (("", ""), "198.51.100.8", ("GET", "/hosts", ""), 403, 3),
        (("reader", "secret"), FROM, ("PUT", "/cluster/web", "{}"), 403, 3),
        (("reader", "secret"), FROM, ("GET", "/host/10.0.0.1/creds", ""), 403, 1),
        (("registrar", "secret"), FROM, ("GET", "/hosts", ""), 403, 1),
        (("registrar", "secret"), FROM, ("PUT", "/host", r#"{"address": "10.0.0.1"}"#), 403, 1),
        // Seeing a network without its secrets is what a reader is for.
        (("reader", "secret"), FROM, ("GET", "/network/default", ""), 200, 1),
    ] {
        for _ in 0..times {
            assert_eq!(ask(&house, &client, user, from, asked), status, "{user:?} {asked:?}");
        }
    }
    house.stop();
    let history = history(&house);
    let refused = history.iter().filter(|event| event.what.ends_with("refused"));
    let mut told: Vec<String> = refused
        .map(|event| {
            let from = event.from.as_deref().unwrap_or("nowhere");
            format!("{} × {}: {} by {} from {from}", event.facts["times"], event.what, event.about, event.by)
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "1 × requests refused: add a host by user registrar from 203.0.113.9",
            "1 × requests refused: see a host's credentials by user reader from 203.0.113.9",
            "1 × requests refused: see the hosts by user registrar from 203.0.113.9",
            "2 × sign-ins refused: the house by nobody who is known from 2001:db8::2",
            "3 × requests refused: create or change a cluster by user reader from 203.0.113.9",
            "8 × sign-ins refused: the house by nobody who is known from 198.51.100.7",
        ]
    );
    let all = format!("{history:?}");
    assert!(!all.contains("hunter2") && !all.contains("user nobody"), "what was offered is nobody's to know");
    house.start();
    ended_without_a_fault(house);
}

/// Nobody can say whether it is a user of Keystone's, which nobody is blamed for; but it is a wrong guess at one of ours.
#[test]
fn who_guesses_while_keystone_is_away_is_in_the_history() {
    let mut sign_in = everybody();
    let keystone = format!("http://127.0.0.1:{}/", testkit::free_pair());
    let plugins = sign_in["authentication-plugins"].as_array_mut().unwrap();
    plugins.push(json!({"name": "keystonepasswordauth", "url": keystone}));
    let directory = files(&sign_in, &[]);
    let mut house = house(directory.path(), &[("fleet-trusted-proxies", "127.0.0.1")]);
    let client = http::anybody();
    for (user, from, status, times) in [
        (("operator", "wrong"), "198.51.100.7", 403, 3),
        (("somebody", "secret"), "198.51.100.8", 403, 7),
        (("operator", "secret"), "198.51.100.8", 200, 1),
    ] {
        for _ in 0..times {
            assert_eq!(ask(&house, &client, user, from, ("GET", "/hosts", "")), status, "{user:?}");
        }
    }
    house.stop();
    let history = history(&house);
    let refused: Vec<_> = history
        .iter()
        .filter(|event| event.what.ends_with("refused"))
        .map(|event| (event.facts["times"].as_str(), event.from.as_deref()))
        .collect();
    assert_eq!(refused, [("3", Some("198.51.100.7"))]);
}
