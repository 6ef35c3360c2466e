//! Signing in to the fleet (commissaire contract, section 7), with the methods of a file, against the real program.

use std::path::Path;

use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use testkit::{Face, House, Keystone, Kubernetes, http, openssl_ok, wait_until};

use crate::commctl::Operator;
use crate::fleet::history;
use crate::houses::{ended_without_a_fault, plan};
use crate::program::provost_in;

/// Of the password `secret`, and of `changed`; cost 4.
const SECRET: &str = "$2b$04$XefwdWd2iOAQz0h4H8wNaenxzfdyMoZjlvOxSexEPLLyCudnLi5DK";
const CHANGED: &str = "$2b$04$Ev1pvnpjXEJKgx3ObNAZIu9UoL24im4m7yQ3kPp8JO0S5hNPcoUVK";

/// A file for `fleet.sign_in`, and what stands beside it. The paths in it start from its directory.
pub fn files(sign_in: &Value, others: &[(&str, String)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("sign-in.json"), sign_in.to_string()).unwrap();
    for (name, text) in others {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// A house where people sign in as the file in `directory` says.
pub fn house(directory: &Path, options: &[(&str, &str)]) -> House {
    let file = directory.join("sign-in.json");
    let plan = plan(Face::Up).option("fleet-sign-in", file.to_str().unwrap());
    options.iter().fold(plan, |plan, (name, value)| plan.option(name, value)).start()
}

/// One user of each role, whose passwords are `secret`.
pub fn everybody() -> Value {
    let user = |role: &str| json!({"hash": SECRET, "role": role});
    let users = json!({
        "reader": user("reader"), "operator": user("operator"), "administrator": user("administrator"),
        "registrar": user("registrar"),
    });
    json!({"authentication-plugins": [{"name": "httpbasicauth", "users": users}]})
}

fn ask(client: &Client, method: &str, url: &str, login: Option<(&str, &str)>, body: &str) -> Response {
    let mut asked = client.request(method.parse().unwrap(), url).body(body.to_owned());
    if let Some((user, password)) = login {
        asked = asked.basic_auth(user, Some(password));
    }
    asked.send().unwrap()
}

/// The status for a user with the password `secret`.
fn status(house: &House, user: &str, method: &str, path: &str, body: &str) -> u16 {
    let url = house.https_url(&format!("/api/v0{path}"));
    ask(&http::anybody(), method, &url, Some((user, "secret")), body).status().as_u16()
}

#[test]
fn each_role_may_do_what_it_is_for() {
    let directory = files(&everybody(), &[]);
    let mut house = house(directory.path(), &[]);
    let key = r#"{"ssh_priv_key": "a2V5"}"#;
    let roles = ["registrar", "reader", "operator", "administrator"];
    for (method, path, body, expected) in [
        ("PUT", "/cluster/web", "{}", [403, 403, 201, 201]),
        ("PUT", "/host/10.0.0.1", key, [403, 403, 201, 201]),
        ("PUT", "/network/n", r#"{"type": "flannel_etcd"}"#, [403, 403, 201, 201]),
        ("GET", "/clusters", "", [403, 200, 200, 200]),
        ("GET", "/cluster/web", "", [403, 200, 200, 200]),
        ("GET", "/host/10.0.0.1", "", [403, 200, 200, 200]),
        ("GET", "/host/10.0.0.1/creds", "", [403, 403, 200, 200]),
        // Nobody has looked at the host yet, so it does not join.
        ("PUT", "/cluster/web/hosts/10.0.0.1", "", [403, 403, 405, 405]),
        ("PUT", "/cluster/web/restart", "", [403, 403, 201, 201]),
        // Under the address that one comes from; a registrar names no other.
        ("PUT", "/host", key, [201, 403, 201, 201]),
        ("PUT", "/host", r#"{"address": "10.0.0.9", "ssh_priv_key": "a2V5"}"#, [403, 403, 201, 201]),
        ("DELETE", "/host/10.0.0.1", "", [403, 403, 200, 404]),
        ("GET", "/nothing", "", [404; 4]),
    ] {
        let found = roles.map(|role| status(&house, role, method, path, body));
        assert_eq!(found, expected, "{method} {path} {body}");
    }
    house.stop();
    let changed: Vec<_> = history(&house).into_iter().filter(|event| event.about == "cluster web").collect();
    let by: Vec<_> = changed.iter().map(|event| (event.by.as_str(), event.from.as_deref())).collect();
    assert_eq!(
        by[..2],
        [("user operator", Some("127.0.0.1")), ("user operator", Some("127.0.0.1"))],
        "{changed:?}"
    );
}

#[test]
fn a_changed_password_counts_at_once() {
    let users = |hash: &str| json!({"alice": {"hash": hash}}).to_string();
    let plugins = json!({"authentication_plugins": [{"name": "httpbasicauth", "filepath": "users.json"}]});
    let directory = files(&plugins, &[("users.json", users(SECRET))]);
    let house = house(directory.path(), &[]);
    let (client, url) = (http::anybody(), house.https_url("/api/v0/hosts"));
    let says = |password: &str| ask(&client, "GET", &url, Some(("alice", password)), "").status().as_u16();
    assert_eq!((says("secret"), says("secret"), says("changed")), (200, 200, 403));
    std::fs::write(directory.path().join("users.json"), users(CHANGED)).unwrap();
    assert_eq!((says("secret"), says("changed")), (403, 200));
    std::fs::write(directory.path().join("users.json"), "{}").unwrap();
    assert_eq!(says("changed"), 403);
    std::fs::remove_file(directory.path().join("users.json")).unwrap();
    assert_eq!(says("changed"), 403);
    std::fs::write(directory.path().join("users.json"), users(SECRET)).unwrap();
    assert_eq!(says("secret"), 200);
    ended_without_a_fault(house);
}

#[test]
fn whoever_guesses_is_slowed_by_where_they_come_from() {
    let directory = files(&everybody(), &[]);
    let house = house(directory.path(), &[("fleet-trusted-proxies", "127.0.0.1")]);
    let (client, url) = (http::anybody(), house.https_url("/api/v0/hosts"));
    let guess = |password: &str, from: &str| {
        let asked = client.get(&url).basic_auth("operator", Some(password)).header("X-Forwarded-For", from);
        let answer = asked.header("Accept", "application/json").send().unwrap();
        let retry = http::header(&answer, "retry-after").map(|seconds| seconds.parse::<u32>().unwrap());
        (answer.status().as_u16(), retry, answer.text().unwrap())
    };
    for n in 1..=5 {
        let (status, retry, _) = guess("wrong", "192.0.2.1");
        assert_eq!((status, retry), (403, None), "guess {n}");
    }
    let (status, retry, problem) = guess("wrong", "192.0.2.1");
    assert_eq!((status, retry), (403, Some(1)));
    assert!(problem.contains("the next attempt is looked at in 1 s"), "{problem}");
    // Right or wrong, nothing of theirs is looked at now; somebody else's is.
    let (status, retry, _) = guess("secret", "192.0.2.1");
    assert!((status, retry) == (403, Some(1)) || (status, retry) == (200, None), "{status} {retry:?}");
    assert_eq!(guess("secret", "192.0.2.2").0, 200);
    // Nor are certificates slowed.
    let admin = http::holder_of(&house.administrator());
    let asked = admin.get(&url).basic_auth("operator", Some("wrong")).header("X-Forwarded-For", "192.0.2.1");
    assert_eq!(asked.send().unwrap().status(), 200);
    // And it passes.
    wait_until("they are let in again", || guess("secret", "192.0.2.1").0 == 200);
    ended_without_a_fault(house);
}

/// An authority of its own in `directory`, and what it issued: `alice.pem` and `bob.pem`, key and certificate. Once
/// more in `alice1.pem` and `bob1.pem`, of version 1.
fn foreign_authority(directory: &Path) {
    let own = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Foreign"];
    openssl_ok(directory, &[&["req", "-x509", "-newkey", "rsa:2048", "-nodes"], &own[..]].concat());
    std::fs::write(directory.join("extensions"), "basicConstraints=CA:FALSE\n").unwrap();
    for name in ["alice", "bob"] {
        testkit::key_and_request(directory, name, &["-subj", &format!("/CN={name}")]);
        let csr = format!("{name}.csr.pem");
        let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "extensions"];
        let certificate = openssl_ok(directory, &[&["x509", "-req", "-in", &csr], &signed[..]].concat());
        let key = std::fs::read_to_string(directory.join(format!("{name}.key.pem"))).unwrap();
        let certificate1 = openssl_ok(directory, &[&["x509", "-req", "-in", &csr], &signed[..4]].concat());
        std::fs::write(directory.join(format!("{name}1.pem")), key.clone() + &certificate1).unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), key + &certificate).unwrap();
    }
}

/// The statuses by TLS 1.2 and 1.3 for whoever has the certificate in `file`: rustls presents none of version 1, Python's
/// OpenSSL does.
fn with_certificate(directory: &Path, file: &str, method: &str, url: &str) -> String {
    let script = r#"
import ssl, sys, urllib.error, urllib.request

def status(version):
    context = ssl._create_unverified_context()
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(sys.argv[1])
    asked = urllib.request.Request(sys.argv[3], method=sys.argv[2], data=b"{}" if sys.argv[2] == "PUT" else None)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        return opener.open(asked, timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code

print(status(ssl.TLSVersion.TLSv1_2), status(ssl.TLSVersion.TLSv1_3))
"#;
    let mut python = std::process::Command::new("/usr/bin/python3");
    python.args(["-c", script, file, method, url]).current_dir(directory);
    testkit::run(&mut python).ok().to_owned()
}

#[test]
fn certificates_of_another_authority_let_in_by_name_and_nowhere_else() {
    let plugin = json!({"name": "httpauthclientcert", "role": "none", "roles": {"alice": "reader"}});
    let sign_in = json!({"tls-clientverifyfile": "ca.pem", "authentication-plugins": [plugin]});
    let directory = files(&sign_in, &[]);
    foreign_authority(directory.path());
    let house = house(directory.path(), &[]);
    let url = |path: &str| house.https_url(path);
    let [alice, bob] = ["alice.pem", "bob.pem"].map(|file| http::holder_of(&directory.path().join(file)));
    assert_eq!(ask(&alice, "GET", &url("/api/v0/hosts"), None, "").status(), 200);
    assert_eq!(ask(&alice, "PUT", &url("/api/v0/cluster/web"), None, "{}").status(), 403);
    assert_eq!(ask(&bob, "GET", &url("/api/v0/hosts"), None, "").status(), 403);
    // OpenSSL makes certificates of version 1 unless it is told otherwise.
    let text = openssl_ok(directory.path(), &["x509", "-in", "alice1.pem", "-noout", "-text"]);
    assert!(text.contains("Version: 1 "), "{text}");
    for (file, method, path, status) in [
        ("alice1.pem", "GET", "/api/v0/hosts", "200"),
        ("alice1.pem", "PUT", "/api/v0/cluster/web", "403"),
        ("bob1.pem", "GET", "/api/v0/hosts", "403"),
        ("alice1.pem", "GET", "/cas/csr", "401"),
    ] {
        let said = with_certificate(directory.path(), file, method, &url(path));
        assert_eq!(said, format!("{status} {status}\n"), "{file} {method} {path}");
    }
    // They are no users of the certificate authorities.
    assert_eq!(ask(&alice, "GET", &url("/cas/csr"), None, "").status(), 401);
    let admin = http::holder_of(&house.administrator());
    assert_eq!(ask(&admin, "PUT", &url("/api/v0/cluster/web"), None, "{}").status(), 201);
    assert_eq!(ask(&admin, "GET", &url("/cas/csr"), None, "").status(), 200);
    // Taken out of the file, the authority counts no longer, on connections that are open as well.
    std::fs::write(directory.path().join("ca.pem"), "").unwrap();
    assert_eq!(ask(&alice, "GET", &url("/api/v0/hosts"), None, "").status(), 403);
    let again = http::holder_of(&directory.path().join("alice.pem"));
    assert!(again.get(url("/api/v0/hosts")).send().is_err(), "the handshake fails");
    ended_without_a_fault(house);
}

#[test]
fn a_path_can_look_after_itself() {
    let mut sign_in = everybody();
    sign_in["self-auths"] = json!(["/api/v0/networks", {"path": "/api/v0/host", "role": "registrar"}]);
    let directory = files(&sign_in, &[]);
    let house = house(directory.path(), &[]);
    let client = http::anybody();
    for (method, path, expected) in [
        ("GET", "/api/v0/networks", 200),
        ("GET", "/api/v0/network%73", 200),
        ("GET", "/api/v0/networks?a=b", 200),
        ("GET", "/api/v0/networks/", 403),
        // As clients write it whose endpoint ends with a slash.
        ("GET", "//api/v0/networks", 200),
        ("GET", "/api/v0/network/default", 403),
        ("PUT", "/api/v0/host", 201),
        ("PUT", "/api/v0/host/10.0.0.1", 403),
        ("GET", "/api/v0/hosts", 403),
    ] {
        let answer = ask(&client, method, &house.https_url(path), None, r#"{"ssh_priv_key": "a2V5"}"#);
        assert_eq!(answer.status(), expected, "{method} {path}");
    }
    ended_without_a_fault(house);
}

/// What Keystone says of the token reaches whoever asked.
#[test]
fn keystone_judges_and_its_token_comes_back() {
    let keystone = Keystone::http("2099-11-07T01:58:43.578929Z");
    keystone.set_password("alice", "secret");
    let plugin = json!({"name": "keystonepasswordauth", "url": keystone.url()});
    let directory = files(&json!({"authentication-plugins": [plugin]}), &[]);
    let house = house(directory.path(), &[]);
    let (client, url) = (http::anybody(), house.https_url("/api/v0/cluster/web"));
    for (password, status) in [("secret", 404), ("wrong", 403)] {
        let answer = ask(&client, "GET", &url, Some(("alice", password)), "");
        assert_eq!(answer.status(), status, "{password}");
        assert_eq!(http::header(&answer, "x-subject-token").is_some(), status == 404, "{password}");
    }
    ended_without_a_fault(house);
}

/// The status for whoever has this header.
fn with_header(house: &House, method: &str, path: &str, (name, value): (&str, &str)) -> u16 {
    let asked = http::anybody().request(method.parse().unwrap(), house.https_url(path)).header(name, value);
    asked.body("{}").send().unwrap().status().as_u16()
}

#[test]
fn keystones_tokens_let_in_by_role() {
    let keystone = Keystone::http("2099-11-07T01:58:43.578929Z");
    keystone.set_token("good", "alice");
    keystone.set_token("other", "bob");
    let plugin = json!({"name": "keystonetokenauth", "url": keystone.url(), "role": "none",
        "roles": {"alice": "operator"}, "group_roles": {"auditor": "reader"}, "cache_seconds": 0});
    let directory = files(&json!({"authentication-plugins": [plugin]}), &[]);
    let house = house(directory.path(), &[]);
    let says = |token: &str, method: &str| {
        with_header(&house, method, "/api/v0/cluster/web", ("X-Auth-Token", token))
    };
    assert_eq!((says("good", "PUT"), says("good", "GET")), (201, 200));
    assert_eq!((says("other", "GET"), says("bad", "GET")), (403, 403));
    let asked: Value = serde_json::from_slice(&keystone.asked()[0].body).unwrap();
    assert_eq!(asked["auth"]["identity"]["token"]["id"], "good");
    keystone.set_roles(&["auditor"]);
    assert_eq!((says("other", "GET"), says("other", "PUT")), (200, 403));
    ended_without_a_fault(house);
}

/// By what an OpenShift, and by what a Kubernetes, says of a bearer token: in the order of the file.
#[test]
fn bearer_tokens_are_judged_by_those_who_made_them() {
    let cluster = Kubernetes::http();
    cluster.set_token("alices", "alice", &["staff"], &[]);
    cluster.set_token("hosts", "system:serviceaccount:fleet:node", &["system:nodes"], &["provost"]);
    let plugins = json!([
        {"name": "openshiftbearertokenauth", "openshift_endpoint": cluster.user(), "role": "none",
         "group_roles": {"staff": "operator"}},
        {"name": "tokenreview", "url": cluster.reviews(), "token_file": "reviewer", "audiences": "provost",
         "group_roles": {"system:nodes": "registrar"}},
    ]);
    let token = Kubernetes::REVIEWER.to_owned();
    let directory = files(&json!({"authentication-plugins": plugins}), &[("reviewer", token)]);
    let house = house(directory.path(), &[]);
    for (value, method, path, expected) in [
        ("Bearer alices", "PUT", "/api/v0/cluster/web", 201),
        ("bearer: alices", "GET", "/api/v0/cluster/web", 200),
        ("Bearer hosts", "PUT", "/api/v0/host", 201),
        ("Bearer hosts", "GET", "/api/v0/hosts", 403),
        ("Bearer nobodys", "GET", "/api/v0/hosts", 403),
    ] {
        assert_eq!(
            with_header(&house, method, path, ("Authorization", value)),
            expected,
            "{value} {method} {path}"
        );
    }
    ended_without_a_fault(house);
}

/// The same by our own settings, without a file.
#[test]
fn a_kubernetes_judges_tokens_where_the_settings_say_so() {
    let cluster = Kubernetes::http();
    for (token, name) in [("alices", "alice"), ("bobs", "bob")] {
        cluster.set_token(token, name, &["staff"], &[Kubernetes::AUDIENCE]);
    }
    let directory = files(&json!({}), &[("reviewer", Kubernetes::REVIEWER.to_owned())]);
    let reviewer = directory.path().join("reviewer");
    let mut house = plan(Face::Up)
        .option("fleet-token-review-url", &cluster.reviews())
        .option("fleet-token-review-token-file", reviewer.to_str().unwrap())
        .option("fleet-token-review-roles", "alice=operator")
        .option("fleet-token-review-group-roles", "staff=reader")
        .start();
    let says = |token: &str, method: &str| {
        let value = format!("Bearer {token}");
        with_header(&house, method, "/api/v0/cluster/web", ("Authorization", &value))
    };
    assert_eq!((says("alices", "PUT"), says("bobs", "GET"), says("bobs", "PUT")), (201, 200, 403));
    assert_eq!(says("nobodys", "GET"), 403);
    // We may no longer ask.
    std::fs::write(&reviewer, "expired").unwrap();
    wait_until("nobody is remembered any more", || says("alices", "GET") == 403);
    // Nobody can say, so it is not the token that is refused: no failed attempt, however often.
    let answer = http::anybody().get(house.https_url("/v1/hosts")).bearer_auth("alices").send().unwrap();
    assert_eq!((answer.status().as_u16(), http::header(&answer, "www-authenticate")), (503, None));
    let problem: Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
    assert_eq!(problem["detail"], "who asks could not be looked up for now");
    // It does not heal by itself, so the log says what somebody has to do.
    let ran = house.stop();
    let errors: Vec<_> = ran.stderr.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(!ran.stderr.contains("panicked") && !errors.is_empty(), "{}", ran.stderr);
    assert!(errors.iter().all(|line| line.contains("system:auth-delegator")), "{errors:?}");
}

/// What the tool says to 403, whatever the reason.
const INCORRECT: &str = "The provided credentials were incorrect.";

/// The operators' tool against our own server, on the machine itself without TLS.
#[test]
fn commctl_signs_in_by_password() {
    let directory = files(&everybody(), &[]);
    let house = house(directory.path(), &[]);
    let operator = Operator::new();
    let sign_in = |user: &str, password: &str| {
        let endpoint = house.http_url("");
        operator.configure(&json!({"endpoint": endpoint, "username": user, "password": password}));
    };
    let key = operator.write("key", "-----KEY-----\n");
    sign_in("operator", "secret");
    let host = format!("host create 10.0.0.1 {key} -c web");
    for (typed, code, shown) in [
        ("cluster create web", 0, "name: web"),
        ("cluster list", 0, "- web"),
        ("cluster get web", 0, "network: default"),
        (&host, 0, "address: 10.0.0.1"),
        ("host list", 0, "address: 10.0.0.1"),
        ("host list web", 0, "- 10.0.0.1"),
        ("host get 10.0.0.1", 0, "address: 10.0.0.1"),
        ("host get 10.0.0.2", 0, "No object found.\n"),
        ("network create n", 0, "name: n"),
        ("network list", 0, "- n"),
        ("network get n", 0, "type: flannel_etcd"),
        ("network delete n", 0, ""),
        ("network get n", 0, "No object found.\n"),
        ("host delete 10.0.0.1", 0, ""),
        ("cluster delete web", 0, ""),
        ("cluster list", 0, "Success\n"),
    ] {
        let ran = operator.type_in(typed);
        assert!(ran.code == Some(code) && ran.stdout.contains(shown), "{typed}: {ran:#?}");
        assert_eq!(ran.stderr.is_empty(), code == 0, "{typed}: {ran:#?}");
    }
    sign_in("reader", "secret");
    assert_eq!(operator.type_in("cluster list").code, Some(0));
    let refused = operator.type_in("cluster create other");
    assert!(refused.code == Some(2) && refused.stderr.contains(INCORRECT), "{refused:#?}");
    sign_in("reader", "wrong");
    let refused = operator.type_in("cluster list");
    assert!(refused.code == Some(2) && refused.stderr.contains(INCORRECT), "{refused:#?}");
    ended_without_a_fault(house);
}

#[test]
fn what_is_wrong_with_the_file_is_told_by_the_check_and_at_the_start() {
    let sign_in = json!({
        "listen-port": 8000,
        "authentication-plugins": [{"name": "httpbasicauht"}, {"name": "httpbasicauth", "role": "root"}],
        "self-auth": [],
    });
    let directory = files(&sign_in, &[("provost.toml", "[fleet]\nsign_in = \"sign-in.json\"\n".to_owned())]);
    let expected = "error: sign-in.json: self-auth: nothing in such a file has this name\n\
         hint: is `self-auths` meant?\n\
         error: sign-in.json: authentication-plugins: there is no authentication plugin `httpbasicauht`\n\
         hint: is `httpbasicauth` meant?\n\
         error: sign-in.json: authentication-plugins: httpbasicauth: role: `root` is no role; there are registrar, \
         reader, publisher, operator and administrator\n";
    for arguments in
        [["config", "check", "--config", "provost.toml"], ["up", "--data=data", "--config", "provost.toml"]]
    {
        let ran = provost_in(directory.path(), &[], &arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(78), expected), "{arguments:?}");
    }
    std::fs::remove_file(directory.path().join("sign-in.json")).unwrap();
    let ran = provost_in(directory.path(), &[], &["config", "check", "--config", "provost.toml"]);
    let missing =
        "error: provost.toml:2: fleet.sign_in: sign-in.json: No such file or directory (os error 2)\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(78), missing));
}
