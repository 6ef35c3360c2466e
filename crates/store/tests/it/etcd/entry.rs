//! Who gets in: certificates, users, tokens that end.

use std::time::{Duration, Instant};

use base::{Explain, Kind};
use testkit::{EtcdPlan, openssl_ok};

use super::*;

fn refused(settings: &EtcdSettings) -> String {
    let error = try_connect(settings).err().expect("it does not get in");
    let said = format!("{} {error:?}", base::report(&error));
    assert!(!said.contains("hunter2"), "{said}");
    said
}

#[test]
fn certificates_are_looked_at_on_both_sides() {
    let server = EtcdPlan::new(1).tls().start();
    let good = settings(&server);
    put(&connect(&good), "/a", "1").unwrap();
    let mut named = good.clone();
    named.identity = Some(identity(&server, "named"));
    assert!(get(&connect(&named), "/a").unwrap().is_some());

    let quick = EtcdSettings { deadline: Duration::from_secs(1), ..good.clone() };
    let said = refused(&EtcdSettings { identity: None, ..quick.clone() });
    assert!(said.contains("ertificate"), "{said}");
    let said = refused(&EtcdSettings {
        authorities: quick.identity.map(|shown| shown.certificates),
        ..good.clone()
    });
    assert!(said.contains("UnknownIssuer") || said.contains("certificate"), "{said}");
    let plain = server.endpoint(0).replace("https", "http");
    let said = refused(&EtcdSettings { deadline: Duration::from_secs(1), ..EtcdSettings::new([plain]) });
    assert!(said.contains("HTTPS") || said.contains("out of reach"), "{said}");
}

/// It says so itself, in a word that only those know who have read about TLS.
#[test]
fn who_has_no_certificate_is_told_what_is_missing() {
    let server = EtcdPlan::new(1).tls().start();
    let good = EtcdSettings { deadline: Duration::from_secs(1), ..settings(&server) };
    let stranger = tempfile::tempdir().unwrap();
    let request =
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stranger -keyout key.pem -out cert.pem";
    openssl_ok(stranger.path(), &request.split(' ').collect::<Vec<_>>());
    let read = |name: &str| std::fs::read(stranger.path().join(name)).unwrap();
    let of_stranger = EtcdIdentity { certificates: read("cert.pem"), key: Secret::new(read("key.pem")) };
    let authorities = good.identity.as_ref().map(|shown| shown.certificates.clone());
    for (settings, expected) in [
        (EtcdSettings { identity: None, ..good.clone() }, "name it as `certificate_file`"),
        (EtcdSettings { identity: Some(of_stranger), ..good.clone() }, "name it as `certificate_file`"),
        (EtcdSettings { authorities, ..good.clone() }, "of an authority in `ca_file`"),
    ] {
        let error = try_connect(&settings).err().expect("it does not get in");
        let help = error.help().unwrap_or_default();
        assert!(help.contains(expected), "{}: {help}", base::report(&error));
    }
}

#[test]
fn only_the_right_password_gets_in() {
    let server = testkit::Etcd::start(1);
    let mut settings = settings(&server);
    settings.user = user("root", "hunter2");
    // As long as etcd lets everybody in, nobody has to sign in.
    let early = connect(&settings);
    put(&early, "/a", "1").unwrap();
    server.enable_auth("hunter2");
    // Now it has to, and so it does.
    put(&early, "/a", "2").unwrap();
    assert_eq!(get(&connect(&settings), "/a").unwrap().unwrap().0, "2");

    settings.user = user("root", "hunter22");
    let said = refused(&settings);
    assert!(said.contains("authentication failed"), "{said}");
    settings.user = None;
    let said = refused(&settings);
    assert!(said.contains("user name is empty"), "{said}");
    let error = try_connect(&settings).err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable, "an operator can put it right");

    server.etcdctl(&["--user=root:hunter2", "user", "add", "guest:hunter2"]).ok();
    // etcd's users have changed since it signed in, which is nothing to it.
    put(&early, "/a", "3").unwrap();
    settings.user = user("guest", "hunter2");
    let said = refused(&settings);
    assert!(said.contains("permission denied"), "{said}");
}

/// Who may do no more than is needed: neither what has the namespace's name nor what a neighbour has whose name begins alike.
#[test]
fn a_role_for_the_namespace_is_enough_also_for_following() {
    let server = testkit::Etcd::start(1);
    server.enable_auth("hunter2");
    let as_root = |words: &[&str]| {
        server.etcdctl(&[&["--user=root:hunter2"], words].concat()).ok();
    };
    as_root(&["role", "add", "house"]);
    as_root(&["role", "grant-permission", "house", "readwrite", "--prefix=true", "/house/"]);
    as_root(&["user", "add", "house:hunter3"]);
    as_root(&["user", "grant-role", "house", "house"]);
    let mut settings = settings(&server);
    settings.namespace = store::Prefix::new("/house").unwrap();
    settings.user = user("house", "hunter3");
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    as_root(&["put", "/house2/ca", "a neighbour's"]);
    put(&store, "/a", "1").unwrap();
    follower.wait_for("/a");
    assert_eq!(follower.keys(), ["/a"]);
}

/// A password that was changed in etcd, and then where we read it, needs no restart; in between we are told why.
#[test]
fn a_changed_password_is_read_again() {
    let server = testkit::Etcd::start(1);
    let add = |root: &[&str], password: &str| {
        let as_root = |words: &[&str]| {
            server.etcdctl(&[root, words].concat()).ok();
        };
        as_root(&["user", "add", &format!("house:{password}")]);
        as_root(&["user", "grant-role", "house", "root"]);
    };
    server.enable_auth("hunter2");
    let root = ["--user=root:hunter2"];
    add(&root, "hunter2");
    let file = Arc::new(Mutex::new("hunter2".to_owned()));
    let read = file.clone();
    let password = EtcdPassword::read(move || Ok(Secret::new(read.lock().unwrap().clone())));
    let mut settings = settings(&server);
    settings.user = Some(EtcdUser { name: "house".into(), password });
    let store = connect(&settings);
    put(&store, "/a", "1").unwrap();
    server.etcdctl(&[root[0], "user", "delete", "house"]).ok();
    add(&root, "hunter3");
    let error = get(&store, "/a").unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.kind() == Kind::Unavailable, "{error}");
    *file.lock().unwrap() = "hunter3".into();
    assert_eq!(get(&store, "/a").unwrap().unwrap().0, "1");
}

#[test]
fn tokens_end_and_nobody_notices() {
    let plan = EtcdPlan::new(1);
    let rsa = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "jwt.key.pem"];
    openssl_ok(plan.directory(), &rsa);
    openssl_ok(plan.directory(), &["pkey", "-in", "jwt.key.pem", "-pubout", "-out", "jwt.pub.pem"]);
    let path = |name: &str| plan.directory().join(name).display().to_string();
    let (public, private) = (path("jwt.pub.pem"), path("jwt.key.pem"));
    let option = format!("--auth-token=jwt,pub-key={public},priv-key={private},sign-method=RS256,ttl=1s");
    let mut server = plan.option(option).start();
    server.enable_auth("hunter2");
    let mut settings = settings(&server);
    settings.user = user("root", "hunter2");
    let store = connect(&settings);
    let follower = Follower::from_now(&store);
    let begun = Instant::now();
    let mut count = 0;
    // Three lives of a token.
    while begun.elapsed() < Duration::from_secs(3) {
        put(&store, "/a", count.to_string()).unwrap();
        count += 1;
    }
    // A watch that begins again needs a new one too.
    server.kill(0);
    server.restart(0);
    wait_until("commits to go on", || put(&store, "/end", "").is_ok());
    follower.wait_for("/end");
    assert!(follower.keys().len() > count);
}

#[test]
fn a_restarted_member_that_has_forgotten_our_token_gives_another() {
    let mut server = testkit::Etcd::start(1);
    server.enable_auth("hunter2");
    let mut settings = settings(&server);
    settings.user = user("root", "hunter2");
    let store = connect(&settings);
    put(&store, "/a", "1").unwrap();
    server.kill(0);
    server.restart(0);
    assert_eq!(value(&store, "/a").as_deref(), Some("1"));
    put(&store, "/a", "2").unwrap();
}

/// etcd's gateway does not take a client certificate with a common name once users have to sign in and
/// certificates have to be shown, as it could not tell them apart from users of that name.
#[test]
fn a_named_certificate_and_a_user_do_not_go_together() {
    let server = EtcdPlan::new(1).tls().start();
    server.enable_auth("hunter2");
    let mut settings = settings(&server);
    settings.user = user("root", "hunter2");
    connect(&settings);
    settings.identity = Some(identity(&server, "named"));
    let said = refused(&settings);
    assert!(said.contains("CommonName"), "{said}");
}
