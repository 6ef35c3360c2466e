//! The methods one after the other.

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Response;
use identity::Role;
use identity::sign_in::{
    Attempt, Away, BuildError, Config, Method, MethodConfig, Offer, OpenPath, Roles, Stack, Verdict,
};

use crate::world::{Request, World, basic, hash, login};

/// A method that says the same to everybody.
struct Says(fn() -> Verdict);

impl Method for Says {
    fn name(&self) -> &'static str {
        "says"
    }

    fn judge<'a>(&'a self, _: &'a Attempt<'a>, _: &'a Offer) -> BoxFuture<'a, Verdict> {
        std::future::ready((self.0)()).boxed()
    }
}

#[tokio::test]
async fn without_methods_everybody_is_denied() {
    let world = World::new();
    let stack = world.stack(Vec::new());
    assert_eq!(login("alice", "secret").said(&stack).await, "denied");
}

#[tokio::test]
async fn the_first_method_that_succeeds_says_who_it_is() {
    let world = World::new();
    let mut second = basic(&[("alice", &hash("second")), ("bob", &hash("b"))]);
    second.users[0].role = Role::Reader;
    let stack = world
        .stack(vec![MethodConfig::Basic(basic(&[("alice", &hash("first"))])), MethodConfig::Basic(second)]);
    for (user, password, expected) in [
        ("alice", "first", "user alice: administrator"),
        ("alice", "second", "user alice: reader"),
        ("bob", "b", "user bob: administrator"),
        ("alice", "b", "denied"),
    ] {
        assert_eq!(login(user, password).said(&stack).await, expected, "{user} {password}");
    }
}

#[tokio::test]
async fn a_method_that_answers_stops_the_chain() {
    let world = World::new();
    let respond = || {
        let response = Response::builder().status(302).header("location", "/login");
        Verdict::Respond(response.body(Bytes::from_static(b"this way")).unwrap())
    };
    let of = |methods: Vec<fn() -> Verdict>| {
        let methods = methods.into_iter().map(|says| Box::new(Says(says)) as Box<dyn Method>);
        Stack::of(methods.collect(), Vec::new(), &world.clock)
    };
    let said = async |methods| Request::of("/").said(&of(methods)).await;
    assert_eq!(
        said(vec![|| Verdict::Failure, respond, || panic!("is not asked")]).await,
        "responds 302 Found"
    );
    assert_eq!(said(vec![|| Verdict::Failure, || Verdict::Failure]).await, "denied");
    // Whoever might be let in by a store that is away is not told that they are nobody.
    assert_eq!(said(vec![|| Verdict::Unavailable(Away::Service), || Verdict::Failure]).await, "unavailable");
    assert_eq!(said(vec![|| Verdict::Unavailable(Away::Service), respond]).await, "responds 302 Found");
}

#[tokio::test]
async fn open_paths_are_compared_as_they_are() {
    let world = World::new();
    let open = |path: &str, role| OpenPath { path: path.to_owned(), role };
    let open_paths =
        vec![open("/api/v0/secrets", Role::Administrator), open("/api/v0/host", Role::Registrar)];
    let stack = world.open_stack(Vec::new(), open_paths);
    for (path, expected) in [
        ("/api/v0/secrets", "anybody: administrator"),
        ("/api/v0/host", "anybody: registrar"),
        ("/api/v0/secrets/", "denied"),
        ("/api/v0/secrets/a", "denied"),
        ("/API/v0/secrets", "denied"),
        ("/api/v0/secret", "denied"),
    ] {
        assert_eq!(Request::of(path).said(&stack).await, expected, "{path}");
    }
}

/// Nobody has to sign in there, and who does is not less for it.
#[tokio::test]
async fn who_signs_in_where_nobody_has_to_stays_who_he_is() {
    let world = World::new();
    let mut config = basic(&[("root", &hash("r")), ("reader", &hash("l"))]);
    config.users[1].role = Role::Reader;
    let open = |path: &str, role| OpenPath { path: path.to_owned(), role };
    let open_paths = vec![open("/api/v0/hosts", Role::Operator), open("/api/v0/host", Role::Registrar)];
    let stack = world.open_stack(vec![MethodConfig::Basic(config)], open_paths);
    for (user, password, hosts, host) in [
        ("root", "r", "user root: administrator", "user root: administrator"),
        ("reader", "l", "user reader: operator", "user reader: registrar"),
        ("root", "wrong", "anybody: operator", "anybody: registrar"),
        ("nobody", "r", "anybody: operator", "anybody: registrar"),
    ] {
        assert_eq!(login(user, password).said(&stack).await, hosts, "{user} {password}");
        assert_eq!(login(user, password).to("/api/v0/host").said(&stack).await, host, "{user} {password}");
    }
    assert_eq!(Request::of("/api/v0/hosts").said(&stack).await, "anybody: operator");
    // Guesses are counted there as well, and nobody is kept out for them.
    for _ in 0..20 {
        assert_eq!(login("root", "guess").said(&stack).await, "anybody: operator");
    }
    assert_eq!(login("root", "r").said(&stack).await, "anybody: operator");
    assert!(login("root", "r").to("/elsewhere").said(&stack).await.starts_with("denied for "));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let world = World::new();
    let users = || MethodConfig::UsersAuthority(Roles::everybody(Role::Administrator));
    let methods = vec![users(), MethodConfig::Basic(basic(&[])), users()];
    let built = Stack::build(Config { methods, open_paths: Vec::new() }, &world.ground);
    let errors: Vec<String> = built.err().unwrap().iter().map(BuildError::to_string).collect();
    let expected = "the sign-in method `users-authority` needs that authority, and there is none";
    assert_eq!(errors, [expected, expected]);
}
