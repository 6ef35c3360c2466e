//! Signing in to a house by the methods that its configuration names.

use std::time::Duration;

use ca::{AuthorityName, Revoke};
use http::HeaderMap;
use identity::sign_in::{Attempt, BasicConfig, Config, MethodConfig, Outcome, Roles, Stack, UserConfig};
use identity::{Permit, Role};
use x509::{Certificate, KeySpec, Name};

use crate::house::{Ground, certificate_of};

async fn said(stack: &Stack, authorization: Option<&str>, certificate: Option<&Certificate>) -> String {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert(http::header::AUTHORIZATION, value.parse().unwrap());
    }
    let attempt = Attempt {
        path: "/api/v0/hosts",
        headers: &headers,
        certificate,
        source: None,
        peer: None,
        recent: None,
    };
    match stack.sign_in(&attempt).await {
        Outcome::SignedIn(who) => format!("{}: {}", who.principal, who.principal.role()),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_house_knows_its_users_and_compares_passwords() {
    let ground = Ground::new();
    let (house, _certificates) = ground.build().await;
    let alice = UserConfig {
        name: "alice".into(),
        hash: bcrypt::hash("secret", 4).unwrap().parse().unwrap(),
        role: Role::Operator,
    };
    let basic = BasicConfig { users: vec![alice], file: None, role: Role::Reader, cache_seconds: 60 };
    let methods =
        vec![MethodConfig::Basic(basic), MethodConfig::UsersAuthority(Roles::everybody(Role::Reader))];
    let stack = house.sign_in_methods(Config { methods, open_paths: Vec::new() }).ok().unwrap();

    assert_eq!(said(&stack, Some("Basic YWxpY2U6c2VjcmV0"), None).await, "user alice: operator");
    let name = Name::from_common_name("somebody").unwrap();
    let pem = house.make_administrator(&name, KeySpec::Rsa { bits: 2048 }).await.unwrap();
    let certificate = Certificate::from_pem(&certificate_of(pem.expose())).unwrap();
    let known = format!("user certificate {} (CN=somebody): reader", certificate.serial());
    assert_eq!(said(&stack, None, Some(&certificate)).await, known);
    assert_eq!(said(&stack, Some("Basic YWxpY2U6d3Jvbmc="), Some(&certificate)).await, known);

    let users = house.authority(AuthorityName::Users);
    users.revoke(Permit::<Revoke>::house(), &certificate).await.unwrap();
    assert!(said(&stack, None, Some(&certificate)).await.starts_with("Denied"));
    assert!(house.stop(Duration::from_secs(5)).await.unwrap());
}
