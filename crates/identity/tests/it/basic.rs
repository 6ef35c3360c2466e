//! Names and passwords.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use identity::Role;
use identity::sign_in::{BasicConfig, MethodConfig, Outcome, Stack, Work};
use serde_json::json;
use testkit::{Process, witness};

use crate::world::{World, basic, hash, login};

fn stack(world: &World, config: BasicConfig) -> Stack {
    world.stack(vec![MethodConfig::Basic(config)])
}

/// Hashes that PyPI's bcrypt made, which the original's `passhash` and its server use, let their owners in.
#[tokio::test]
async fn hashes_of_others_are_good() {
    const MAKE: &str = r#"
import bcrypt, json, sys
users = {}
for name, version, password in json.load(sys.stdin):
    salt = bcrypt.gensalt(4)
    # It makes salts of two versions, and hashes with those of three.
    made = bcrypt.hashpw(password.encode(), b"$" + version.encode() + salt[3:])
    users[name] = {"hash": made.decode()}
json.dump(users, sys.stdout)
"#;
    let passwords = [
        ("simple", "secret"),
        ("empty", ""),
        ("colons", "a:b::c"),
        ("unicode", "pässwörd ☃"),
        ("longest", "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"),
    ];
    let mut users = Vec::new();
    for version in ["2a", "2b", "2y"] {
        for (name, password) in passwords {
            users.push((format!("{name}-{version}"), version, password));
        }
    }
    let mut python = Process::spawn(Command::new(witness("python")).args(["-c", MAKE]));
    python.say(json!(users).to_string().as_bytes());
    let made = python.wait();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json");
    fs::write(&file, made.ok()).unwrap();

    let world = World::new();
    let stack = stack(&world, BasicConfig { file: Some(file), ..basic(&[]) });
    for (name, _, password) in &users {
        assert_eq!(login(name, password).said(&stack).await, format!("user {name}: administrator"));
        assert_eq!(
            login(name, &format!("{}x", &password[..password.len().min(9)])).said(&stack).await,
            "denied"
        );
        // A right one in between, so that nobody is slowed.
        assert_eq!(login(name, password).said(&stack).await, format!("user {name}: administrator"));
    }
}

#[tokio::test]
async fn the_file_comes_before_the_configuration_and_is_followed() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json");
    let inline = basic(&[("alice", &hash("inline")), ("bob", &hash("b"))]);
    let stack = stack(&world, BasicConfig { file: Some(file.clone()), role: Role::Reader, ..inline });
    let check = async |user: &str, password: &str, expected: &str| {
        // Each from a source of its own, so that nobody is slowed.
        let source = format!("198.51.100.{}", world.compared() % 250);
        let said = login(user, password).from(&source).said(&stack).await;
        assert_eq!(said, expected, "{user} {password}");
    };
    // The file is not there: the rest stays in force.
    check("alice", "inline", "user alice: administrator").await;
    check("carol", "c", "denied").await;

    let users = json!({
        "alice": {"hash": hash("file"), "role": "operator"},
        "carol": {"hash": hash("c")},
        "dave": {"hash": "none"},
    });
    fs::write(&file, users.to_string()).unwrap();
    check("alice", "file", "user alice: operator").await;
    check("alice", "inline", "denied").await;
    check("bob", "b", "user bob: administrator").await;
    check("carol", "c", "user carol: reader").await;
    check("dave", "none", "denied").await;

    fs::write(&file, users.to_string().replace("operator", "registrar")).unwrap();
    check("alice", "file", "user alice: registrar").await;

    fs::write(&file, "{").unwrap();
    check("carol", "c", "denied").await;
    check("alice", "inline", "user alice: administrator").await;
}

#[tokio::test]
async fn the_cache_never_outlives_a_password_change() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json");
    let set = |password: &str| {
        fs::write(&file, json!({"alice": {"hash": hash(password)}}).to_string()).unwrap();
    };
    let stack = stack(&world, BasicConfig { file: Some(file.clone()), ..basic(&[]) });
    set("one");
    for _ in 0..3 {
        assert_eq!(login("alice", "one").said(&stack).await, "user alice: administrator");
    }
    assert_eq!(world.compared(), 1, "the second and third were remembered");
    set("two");
    assert_eq!(login("alice", "one").said(&stack).await, "denied", "at once");
    assert_eq!(login("alice", "two").said(&stack).await, "user alice: administrator");
    // Back to the old password, under another salt.
    set("one");
    let before = world.compared();
    assert_eq!(login("alice", "one").said(&stack).await, "user alice: administrator");
    assert_eq!(world.compared(), before + 1);
    fs::write(&file, "{}").unwrap();
    assert_eq!(login("alice", "one").said(&stack).await, "denied", "gone is gone");
}

#[tokio::test]
async fn right_passwords_are_remembered_for_a_minute_and_wrong_ones_never() {
    let world = World::new();
    let config = |cache_seconds| BasicConfig { cache_seconds, ..basic(&[("alice", &hash("secret"))]) };
    let remembering = stack(&world, config(600));
    let alice = login("alice", "secret");
    for (pass, compared) in [(0, 1), (59, 1), (1, 2), (60, 3)] {
        world.pass(pass);
        assert_eq!(alice.said(&remembering).await, "user alice: administrator");
        assert_eq!(world.compared(), compared, "after {pass} s");
    }
    for compared in 4..=6 {
        assert_eq!(login("alice", "wrong").said(&remembering).await, "denied");
        assert_eq!(world.compared(), compared);
    }
    let forgetting = stack(&world, config(0));
    for compared in 7..=8 {
        alice.said(&forgetting).await;
        assert_eq!(world.compared(), compared);
    }
}

#[tokio::test]
async fn a_herd_with_one_password_is_compared_once() {
    let world = World::new();
    let stack = stack(&world, basic(&[("alice", &hash("secret"))]));
    let alice = login("alice", "secret");
    let said = futures_util::future::join_all((0..64).map(|_| alice.said(&stack))).await;
    assert!(said.iter().all(|said| said == "user alice: administrator"), "{said:?}");
    assert_eq!(world.compared(), 1);
    // Two hundred machines that start at once, without anything being remembered.
    let forgetting = BasicConfig { cache_seconds: 0, ..basic(&[("alice", &hash("secret"))]) };
    let stack = world.stack(vec![MethodConfig::Basic(forgetting)]);
    let machines: Vec<_> = (0..200).map(|n| alice.clone().from(&format!("198.51.100.{n}"))).collect();
    let said = futures_util::future::join_all(machines.iter().map(|machine| machine.said(&stack))).await;
    assert!(said.iter().all(|said| said == "user alice: administrator"), "{said:?}");
    assert_eq!(world.compared(), 2);
    alice.said(&stack).await;
    assert_eq!(world.compared(), 3, "whoever asks later asks anew");
}

#[tokio::test]
async fn whoever_guesses_is_slowed() {
    let world = World::new();
    let stack = stack(&world, basic(&[("alice", &hash("secret"))]));
    let (wrong, right) = (login("alice", "wrong"), login("alice", "secret"));
    for expected in ["denied", "denied", "denied", "denied", "denied", "denied for 1 s"] {
        assert_eq!(wrong.said(&stack).await, expected);
    }
    let before = world.compared();
    assert_eq!(right.said(&stack).await, "denied for 1 s", "otherwise a guess could be told from its answer");
    assert_eq!(wrong.said(&stack).await, "denied for 1 s", "and asking meanwhile costs nothing");
    assert_eq!(world.compared(), before);
    assert_eq!(right.clone().from("192.0.2.2").said(&stack).await, "user alice: administrator");
    world.pass(1);
    assert_eq!(wrong.said(&stack).await, "denied for 2 s");
    world.pass(2);
    assert_eq!(right.said(&stack).await, "user alice: administrator");
    assert_eq!(wrong.said(&stack).await, "denied", "a right one sets the count back");
    // Whoever offers nothing does not guess.
    for _ in 0..20 {
        assert_eq!(crate::world::Request::of("/").said(&stack).await, "denied");
    }
}

#[tokio::test]
async fn many_guesses_at_once_do_not_slip_through() {
    let world = World::new();
    let stack = stack(&world, basic(&[("alice", &hash("secret"))]));
    let guesses: Vec<_> = (0..100).map(|n| login("alice", &format!("guess {n}"))).collect();
    futures_util::future::join_all(guesses.iter().map(|guess| guess.said(&stack))).await;
    assert_eq!(world.compared(), 6, "one after the other, until there is a wait");
}

#[tokio::test]
async fn too_many_at_once_come_back_later() {
    let world = World::new();
    let stack = stack(&world, basic(&[("alice", &hash("secret"))]));
    // Each as another user: otherwise they wait because they guess.
    let many: Vec<_> = (0..200).map(|n| login(&format!("user {n}"), "guess")).collect();
    let mut many = Box::pin(futures_util::future::join_all(many.iter().map(|one| one.said(&stack))));
    assert!(many.as_mut().now_or_never().is_none());
    // Whoever comes from elsewhere meanwhile has the next turn, and is right.
    let fresh = login("alice", "secret").from("203.0.113.1");
    let fresh = async {
        assert_eq!(fresh.said(&stack).await, "user alice: administrator");
        world.compared()
    };
    let (compared, said) = futures_util::future::join(fresh, many).await;
    assert!(compared <= 3, "{compared}");
    let busy = said.iter().filter(|said| *said == "busy for 2 s").count();
    assert_eq!(busy, 200 - 33, "one has a turn, and 32 wait");
    assert!(said.iter().all(|said| said.starts_with("busy") || said.starts_with("denied")), "{said:?}");
}

#[tokio::test]
async fn unknown_users_take_as_long_as_known_ones() {
    let world = World::new();
    let alone = stack(&world, basic(&[("alice", &hash("secret"))]));
    assert_eq!(login("mallory", "secret").said(&alone).await, "denied");
    assert_eq!(world.compared(), 1, "with somebody's hash, though nothing comes of it");
    let followed = world.stack(vec![
        MethodConfig::Basic(basic(&[("alice", &hash("secret"))])),
        MethodConfig::Basic(basic(&[("bob", &hash("secret"))])),
    ]);
    assert_eq!(login("bob", "secret").said(&followed).await, "user bob: administrator");
    assert_eq!(world.compared(), 2, "the next method may know them");
    assert_eq!(login("alice", "wrong").said(&followed).await, "denied");
    let of_known = world.compared() - 2;
    assert_eq!(login("mallory", "wrong").said(&followed).await, "denied");
    assert_eq!(world.compared() - 2, 2 * of_known, "nobody knew them in the end");
}

/// A comparison goes on after whoever wanted it has hung up, and so does its turn: hanging up and asking again
/// must not start more of them than may run at once.
#[tokio::test]
async fn who_hangs_up_does_not_free_a_turn() {
    let begun: Arc<Mutex<Vec<Work>>> = Arc::default();
    let mut world = World::new();
    world.ground.compute_at_once = 1;
    let queue = begun.clone();
    world.ground.compute = Arc::new(move |work| {
        queue.lock().unwrap().push(work);
        std::future::pending().boxed()
    });
    let stack = stack(&world, basic(&[("alice", &hash("secret"))]));
    let alice = login("alice", "secret");
    for _ in 0..10 {
        assert!(alice.said(&stack).now_or_never().is_none());
        assert_eq!(begun.lock().unwrap().len(), 1);
    }
    let work = begun.lock().unwrap().pop().unwrap();
    assert!(work());
    assert!(alice.said(&stack).now_or_never().is_none());
    assert_eq!(begun.lock().unwrap().len(), 1, "the next one's turn");
}

/// Somebody with an account of their own does not get further guesses at another's by signing in.
#[tokio::test]
async fn signing_in_oneself_does_not_help_to_guess_at_others() {
    let world = World::new();
    let users = [("admin", hash("secret")), ("mallory", hash("own"))];
    let stack = stack(&world, basic(&users.each_ref().map(|(name, hash)| (*name, hash.as_str()))));
    let mut looked_at = 0;
    for guess in 0..100 {
        assert_eq!(login("mallory", "own").said(&stack).await, "user mallory: administrator");
        let before = world.compared();
        login("admin", &format!("guess {guess}")).said(&stack).await;
        looked_at += world.compared() - before;
    }
    assert_eq!(looked_at, 6);
}

/// A header that a proxy garbles is not a way to somebody else's count: the proxy has its own.
#[tokio::test]
async fn whoever_comes_from_nowhere_is_counted_at_the_proxy() {
    let world = World::new();
    let stack = stack(&world, basic(&[("alice", &hash("secret"))]));
    for _ in 0..6 {
        login("alice", "wrong").without_source().said(&stack).await;
    }
    assert_eq!(login("alice", "secret").from("127.0.0.1").said(&stack).await, "denied for 1 s");
}

/// A user who is renamed is not let in under the old name for as long as a right password is remembered.
#[tokio::test]
async fn who_was_renamed_is_nobody_under_the_old_name() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json");
    let hash = hash("secret");
    let stack = stack(&world, BasicConfig { file: Some(file.clone()), ..basic(&[]) });
    for (name, alice, bob) in
        [("alice", "user alice: administrator", "denied"), ("bob", "denied", "user bob: administrator")]
    {
        fs::write(&file, json!({name: {"hash": hash}}).to_string()).unwrap();
        assert_eq!(login("alice", "secret").said(&stack).await, alice);
        assert_eq!(login("bob", "secret").said(&stack).await, bob);
    }
}

#[tokio::test]
async fn who_has_shown_something_is_told_from_who_has_not() {
    let world = World::new();
    let stack = stack(&world, basic(&[("alice", &hash("secret"))]));
    for (request, expected) in [(login("alice", "wrong"), true), (crate::world::Request::of("/"), false)] {
        let Outcome::Denied(denied) = request.outcome(&stack).await else { panic!("nobody is let in") };
        assert_eq!(denied.offered, expected);
    }
}

/// Two interfaces with the same users: who guesses at both is slowed as if there was one, and who is right is compared
/// once.
#[tokio::test]
async fn stacks_of_one_house_count_together() {
    let world = World::new();
    let hash = hash("secret");
    let one = stack(&world, basic(&[("alice", &hash)]));
    let two = stack(&world, basic(&[("alice", &hash), ("bob", &hash)]));
    let alice = login("alice", "secret");
    assert_eq!(alice.said(&one).await, "user alice: administrator");
    assert_eq!(alice.said(&two).await, "user alice: administrator");
    assert_eq!(world.compared(), 1);
    // Who is remembered by one is nobody to another that does not know them.
    assert_eq!(login("bob", "secret").said(&two).await, "user bob: administrator");
    assert_eq!(login("bob", "secret").said(&one).await, "denied");
    let wrong = login("alice", "wrong").from("192.0.2.77");
    for (n, expected) in [(0, "denied"), (1, "denied"), (2, "denied"), (3, "denied"), (4, "denied")] {
        assert_eq!(wrong.said(if n % 2 == 0 { &one } else { &two }).await, expected);
    }
    assert_eq!(wrong.said(&two).await, "denied for 1 s");
    assert_eq!(wrong.said(&one).await, "denied for 1 s");
}
