//! What Keystone judges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use identity::Role;
use identity::sign_in::{KeystoneConfig, MethodConfig, Outcome, Roles, Service};
use serde_json::{Value, json};
use testkit::{Keystone, StandIn, StandInReply};

use crate::certificates::Authority;
use crate::world::{Request, World, basic, hash, login};

fn config(url: &str) -> KeystoneConfig {
    KeystoneConfig {
        service: Service::new(url.parse().unwrap()),
        domain: "Default".into(),
        roles: Roles::everybody(Role::Administrator),
    }
}

fn token(token: &str) -> Request {
    Request::of("/api/v0/hosts").with("x-auth-token", token)
}

#[tokio::test]
async fn keystone_judges_passwords() {
    let world = World::new();
    let keystone = Keystone::http(&world.in_seconds(3_600));
    keystone.set_password("alice", "sec:ret");
    let stack = world.stack(vec![MethodConfig::KeystonePassword(config(&keystone.url()))]);

    let Outcome::SignedIn(alice) = login("alice", "sec:ret").outcome(&stack).await else { panic!("denied") };
    assert_eq!(alice.principal.name(), "Keystone user alice of Default");
    let subject_token = &alice.headers["x-subject-token"];
    assert!(subject_token.to_str().unwrap().starts_with("gAAAAA-") && subject_token.is_sensitive());
    assert_eq!(alice.headers.len(), 1);

    let asked = &keystone.asked()[0];
    assert_eq!((asked.method.as_str(), asked.headers["content-type"].as_str()), ("POST", "application/json"));
    let user = json!({"name": "alice", "password": "sec:ret", "domain": {"name": "Default"}});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body, json!({"auth": {"identity": identity}}));

    assert_eq!(login("alice", "wrong").said(&stack).await, "denied");
    assert_eq!(login("bob", "secret").said(&stack).await, "denied");
    assert_eq!(keystone.asked().len(), 3);
    assert_eq!(token("t").said(&stack).await, "denied");
    assert_eq!(Request::of("/").said(&stack).await, "denied");
    assert_eq!(keystone.asked().len(), 3, "without a password nobody is asked");
}

#[tokio::test]
async fn keystone_judges_tokens() {
    let world = World::new();
    let keystone = Keystone::http(&world.in_seconds(3_600));
    keystone.set_token("good", "alice");
    let roles = Roles { others: None, ..Roles::everybody(Role::Reader) };
    let mut by_role = config(&keystone.url());
    by_role.roles = roles.clone();
    by_role.roles.groups.insert("admin".into(), Role::Administrator);
    let mut by_user = config(&keystone.url());
    by_user.roles = roles;
    by_user.roles.users.insert("alice".into(), Role::Operator);
    let elsewhere = KeystoneConfig { domain: "Elsewhere".into(), ..by_user.clone() };

    let said = async |config: &KeystoneConfig, shown: &str| {
        let stack = world.stack(vec![MethodConfig::KeystoneToken(config.clone())]);
        token(shown).said(&stack).await
    };
    assert_eq!(said(&config(&keystone.url()), "good").await, "Keystone user alice of Default: administrator");
    let asked: Value = serde_json::from_slice(&keystone.asked()[0].body).unwrap();
    let identity = json!({"methods": ["token"], "token": {"id": "good"}});
    assert_eq!(asked, json!({"auth": {"identity": identity}}));
    assert_eq!(said(&config(&keystone.url()), "bad").await, "denied");
    assert_eq!(said(&by_user, "good").await, "Keystone user alice of Default: operator");
    assert_eq!(said(&elsewhere, "good").await, "denied", "an alice of another domain is not meant");
    assert_eq!(said(&by_role, "good").await, "denied");
    keystone.set_roles(&["member", "admin"]);
    assert_eq!(said(&by_role, "good").await, "Keystone user alice of Default: administrator");
}

#[tokio::test]
async fn answers_are_remembered_for_a_moment_and_never_beyond_the_tokens_end() {
    let world = World::new();
    for (ends_in, cache_seconds, times) in [
        // Asked at 0, 4, 8 and 12 seconds.
        (3_600, 10, 2),
        (3_600, 60, 1),
        (3_600, 600, 1),
        (3_600, 0, 4),
        (7, 60, 3),
        (0, 60, 4),
        (-5, 60, 4),
    ] {
        let keystone = Keystone::http(&world.in_seconds(ends_in));
        keystone.set_password("alice", "secret");
        let mut config = config(&keystone.url());
        config.service.cache_seconds = cache_seconds;
        let stack = world.stack(vec![MethodConfig::KeystonePassword(config)]);
        for _ in 0..4 {
            assert_eq!(
                login("alice", "secret").said(&stack).await,
                "Keystone user alice of Default: administrator"
            );
            world.pass(4);
        }
        assert_eq!(keystone.asked().len(), times, "ends in {ends_in} s, remembered for {cache_seconds} s");
    }
}

#[tokio::test]
async fn guesses_at_keystone_are_slowed() {
    let world = World::new();
    let keystone = Keystone::http(&world.in_seconds(3_600));
    let stack = world.stack(vec![
        MethodConfig::KeystonePassword(config(&keystone.url())),
        MethodConfig::KeystoneToken(config(&keystone.url())),
    ]);
    for expected in ["denied", "denied", "denied", "denied", "denied", "denied for 1 s", "denied for 1 s"] {
        assert_eq!(login("alice", "guess").said(&stack).await, expected);
    }
    assert_eq!(keystone.asked().len(), 6);
    // Nobody guesses tokens; they end.
    for asked in 7..27 {
        assert_eq!(token("guess").said(&stack).await, "denied");
        assert_eq!(keystone.asked().len(), asked);
    }
}

/// However many ask at once, no guess is looked at before the one before it is counted.
#[tokio::test]
async fn guesses_at_keystone_do_not_slip_through_together() {
    let world = World::new();
    let keystone = Keystone::http(&world.in_seconds(3_600));
    let stack = world.stack(vec![MethodConfig::KeystonePassword(config(&keystone.url()))]);
    let guesses: Vec<_> = (0..64).map(|n| login("alice", &format!("guess {n}"))).collect();
    futures_util::future::join_all(guesses.iter().map(|guess| guess.said(&stack))).await;
    assert_eq!(keystone.asked().len(), 6);
}

/// Only 401 says that a password is wrong: neither a URL that leads nowhere nor a user without a role does.
#[tokio::test]
async fn whom_keystone_does_not_call_wrong_is_not_slowed() {
    let world = World::new();
    let keystone = Keystone::http(&world.in_seconds(3_600));
    keystone.set_password("alice", "secret");
    let mut nobody = config(&keystone.url());
    nobody.roles = Roles { others: None, ..Roles::everybody(Role::Reader) };
    let reply = StandInReply { status: 404, headers: Vec::new(), body: String::new() };
    let elsewhere = StandIn::http(move |_| Some(reply.clone()));
    for config in [nobody, config(&elsewhere.url("/v2.0/tokens"))] {
        let stack = world.stack(vec![MethodConfig::KeystonePassword(config)]);
        for _ in 0..10 {
            assert_eq!(login("alice", "secret").said(&stack).await, "denied");
        }
    }
    assert_eq!((keystone.asked().len(), elsewhere.asked().len()), (10, 10));
}

/// Who is known by something else may not guess at passwords beside it, and who is right with the second of two
/// services was not wrong.
#[tokio::test]
async fn a_wrong_guess_beside_something_right_counts() {
    let world = World::new();
    let keystone = Keystone::http(&world.in_seconds(3_600));
    keystone.set_token("good", "alice");
    keystone.set_password("alice", "other");
    let basic = || MethodConfig::Basic(basic(&[("alice", &hash("secret"))]));
    let stack = world.stack(vec![basic(), MethodConfig::KeystoneToken(config(&keystone.url()))]);
    for _ in 0..10 {
        let guess = login("alice", "guess").with("x-auth-token", "good");
        assert_eq!(guess.said(&stack).await, "Keystone user alice of Default: administrator");
    }
    assert_eq!(world.compared(), 6);
    assert_eq!(login("alice", "secret").said(&stack).await, "denied for 1 s");
    // Another house, where nobody has guessed yet.
    let world = World::new();
    let stack = world.stack(vec![basic(), MethodConfig::KeystonePassword(config(&keystone.url()))]);
    for _ in 0..10 {
        let said = login("alice", "other").said(&stack).await;
        assert_eq!(said, "Keystone user alice of Default: administrator");
    }
}

/// Without success, the next method is asked: whether Keystone is gone, says that it is ill, or is no Keystone.
#[tokio::test]
async fn the_next_method_stands_in_for_a_keystone_that_is_gone() {
    let world = World::new();
    let gone = {
        let stand_in = StandIn::http(|_| None);
        stand_in.url("/v3/auth/tokens")
    };
    let reply = |status, headers: &[(&'static str, &str)]| {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let reply = StandInReply { status, headers, body: "no JSON".into() };
        StandIn::http(move |_| Some(reply.clone()))
    };
    let subject_token = ("X-Subject-Token", "t");
    let elsewhere = format!("{gone}/elsewhere");
    let stand_ins = [
        reply(500, &[subject_token]),
        reply(503, &[]),
        reply(429, &[]),
        reply(201, &[]),
        reply(401, &[subject_token]),
        reply(302, &[("Location", &elsewhere)]),
        reply(404, &[]),
    ];
    let urls = stand_ins.iter().map(|stand_in| stand_in.url("/v3/auth/tokens")).chain([gone]);
    for url in urls {
        let stack = world.stack(vec![
            MethodConfig::KeystonePassword(config(&url)),
            MethodConfig::Basic(basic(&[("alice", &hash("secret"))])),
        ]);
        assert_eq!(login("alice", "secret").said(&stack).await, "user alice: administrator", "{url}");
    }
    // Nor are passwords wrong because nobody looked at them.
    let stack = world.stack(vec![
        MethodConfig::Basic(basic(&[("bob", &hash("secret"))])),
        MethodConfig::KeystonePassword(config(&stand_ins[0].url("/"))),
    ]);
    for _ in 0..30 {
        assert_eq!(login("alice", "secret").said(&stack).await, "unavailable");
    }
    assert_eq!(login("bob", "secret").said(&stack).await, "user bob: administrator");
    // Whoever offers nothing that Keystone would judge is answered without it.
    assert_eq!(token("t").said(&stack).await, "denied");
    // Wrong guesses at whom another method knows count all the same.
    for n in 0..6 {
        assert_eq!(login("bob", "guess").said(&stack).await, "unavailable, guessed", "{n}");
    }
    // They are not looked at for a while, which is not told while it could not be told of others.
    let before = world.compared();
    assert_eq!(login("bob", "secret").said(&stack).await, "unavailable, guessed");
    assert_eq!(world.compared(), before);
}

/// Neither what is answered nor how long it takes tells whom the method before an absent Keystone knows.
#[tokio::test]
async fn users_are_not_known_from_others_while_keystone_is_away() {
    let world = World::new();
    let ill = StandIn::http(|_| Some(StandInReply { status: 500, headers: Vec::new(), body: String::new() }));
    let stack = world.stack(vec![
        MethodConfig::Basic(basic(&[("bob", &hash("secret"))])),
        MethodConfig::KeystonePassword(config(&ill.url("/v3/auth/tokens"))),
    ]);
    let mut told = Vec::new();
    for (user, source) in [("bob", "192.0.2.1"), ("mallory", "192.0.2.2")] {
        let mut all = Vec::new();
        for _ in 0..10 {
            let before = world.compared();
            let outcome = login(user, "guess").from(source).outcome(&stack).await;
            assert!(matches!(outcome, Outcome::Unavailable { .. }), "{user}: {outcome:?}");
            all.push(world.compared() - before);
        }
        told.push(all);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
}

/// Everybody would wait for it, one after the other.
#[tokio::test(start_paused = true)]
async fn a_keystone_that_is_silent_is_not_waited_for_by_everybody() {
    let world = World::new();
    let answers = Arc::new(AtomicBool::new(false));
    let flag = answers.clone();
    let keystone = StandIn::http(move |_| {
        let headers = vec![("X-Subject-Token", "t".to_owned())];
        flag.load(Ordering::SeqCst).then(|| StandInReply { status: 201, headers, body: String::new() })
    });
    let method = || MethodConfig::KeystoneToken(config(&keystone.url("/v3/auth/tokens")));
    let stack = world.stack(vec![method(), MethodConfig::Basic(basic(&[("alice", &hash("secret"))]))]);
    let both = login("alice", "secret").with("x-auth-token", "t");
    let waited = async |request: &Request, expected: &str| {
        let began = tokio::time::Instant::now();
        assert_eq!(request.said(&stack).await, expected);
        began.elapsed().as_secs_f64() > 4.0
    };
    let alice = "user alice: administrator";
    assert!(waited(&both, alice).await);
    for _ in 0..3 {
        assert!(!waited(&both, alice).await);
        assert!(!waited(&token("t"), "unavailable").await);
    }
    // Time may have run out before it heard even that.
    assert!(keystone.asked().len() <= 1);
    world.pass(10);
    let (first, second) = (token("other"), token("t"));
    let (first, second) =
        futures_util::future::join(waited(&first, "unavailable"), waited(&second, "unavailable")).await;
    assert!(first && !second, "one asks again");
    world.pass(10);
    answers.store(true, Ordering::SeqCst);
    tokio::time::resume(); // or it would be five seconds later before the answer is there
    for request in [token("t"), both] {
        assert!(!waited(&request, "a Keystone user without a name: administrator").await);
    }
}

/// The clock of the runtime stands still until everybody waits; then it runs to the next deadline.
#[tokio::test(start_paused = true)]
async fn a_keystone_that_is_silent_is_waited_for_five_seconds() {
    let world = World::new();
    let silent = StandIn::http(|_| None);
    let stack = world.stack(vec![
        MethodConfig::KeystoneToken(config(&silent.url("/v3/auth/tokens"))),
        MethodConfig::Basic(basic(&[("alice", &hash("secret"))])),
    ]);
    let began = tokio::time::Instant::now();
    let request = login("alice", "secret").with("x-auth-token", "t");
    assert_eq!(request.said(&stack).await, "user alice: administrator");
    let took = began.elapsed().as_secs_f64();
    assert!((4.9..6.0).contains(&took), "{took} s");
}

#[tokio::test]
async fn somebody_without_a_name_is_somebody_still() {
    let world = World::new();
    let reply =
        StandInReply { status: 200, headers: vec![("X-Subject-Token", "t".into())], body: String::new() };
    let keystone = StandIn::http(move |_| Some(reply.clone()));
    let stack = world.stack(vec![MethodConfig::KeystoneToken(config(&keystone.url("/")))]);
    for _ in 0..2 {
        assert_eq!(token("t").said(&stack).await, "a Keystone user without a name: administrator");
    }
    assert_eq!(keystone.asked().len(), 2, "nobody says when the token ends, so nothing is remembered");
}

#[tokio::test]
async fn keystones_certificate_is_verified_unless_told_otherwise() {
    let world = World::new();
    let authority = Authority::new("their authority", &world.clock);
    let keystone = Keystone::https(&authority.server_pem("127.0.0.1"), &world.in_seconds(3_600));
    keystone.set_token("good", "alice");
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &Authority| {
        let path = directory.path().join(name);
        std::fs::write(&path, authority.certificate.to_pem()).unwrap();
        Some(path)
    };
    let right = file("right.pem", &authority);
    let wrong = file("wrong.pem", &Authority::new("their authority", &world.clock));
    for (verify, ca_file, expected) in [
        (true, right.clone(), true),
        (true, wrong.clone(), false),
        (true, None, false), // the system does not know it
        (false, None, true),
        (false, wrong, true),
    ] {
        let mut config = config(&keystone.url());
        config.service.verify = verify;
        config.service.ca_file.clone_from(&ca_file);
        let stack = world.stack(vec![MethodConfig::KeystoneToken(config)]);
        let said = token("good").said(&stack).await;
        assert_eq!(said != "unavailable", expected, "{verify} {ca_file:?}: {said}");
    }
    // TLS has the same clock as everybody.
    let mut config = config(&keystone.url());
    config.service.ca_file = right;
    let stack = world.stack(vec![MethodConfig::KeystoneToken(config)]);
    world.pass(400 * 86_400);
    assert_eq!(token("good").said(&stack).await, "unavailable", "its certificate has ended");
}
