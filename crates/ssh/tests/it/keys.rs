//! Keys that sign in, in all formats; and host keys.

use std::process::Command as Process;

use base::{Clock, Explain, Kind, Secret};
use ssh::{Command, Error, HostKey, KeyError, Remote, Sessions, Target, UserKey};
use testkit::{HostPlan, run};

use crate::{One, quick};

/// Runs `script` in a folder of its own, and gives the file `key` that it made.
fn made_by(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    run(Process::new("sh").args(["-ec", script]).current_dir(folder.path())).ok();
    std::fs::read_to_string(folder.path().join("key")).unwrap()
}

fn parsed(text: &str) -> Result<UserKey, KeyError> {
    UserKey::parse(&Secret::new(text.to_owned()))
}

#[tokio::test]
async fn keys_of_every_type_and_format_sign_in() {
    let one = One::new();
    let keygen = "ssh-keygen -q -N '' -C me@here -f key";
    for script in [
        format!("{keygen} -t ed25519"),
        format!("{keygen} -t rsa -b 2048"),
        format!("{keygen} -t rsa -b 3072 -m PEM"),
        format!("{keygen} -t rsa -b 2048 -m PKCS8"),
        format!("{keygen} -t ecdsa -b 256"),
        format!("{keygen} -t ecdsa -b 384 -m PEM"),
        format!("{keygen} -t ecdsa -b 521 -m PKCS8"),
        "openssl genpkey -algorithm ed25519 -out key".to_owned(),
        "openssl ecparam -name prime256v1 -genkey -out key".to_owned(),
        "openssl genrsa -traditional -out key 2048".to_owned(),
        // As it comes out of a form: other line ends, blanks around.
        format!("{keygen} -t ed25519; sed -i 's/$/ \\r/; 1i\\\\' key"),
    ] {
        let text = made_by(&script);
        let key = parsed(&text).unwrap_or_else(|error| panic!("{script}: {error}"));
        one.host().authorize("root", &key.authorized_key());
        let target = Target { key, ..one.target("root") };
        let output = one.sessions.run(&target, &Command::new("echo in")).await;
        let output = output.unwrap_or_else(|error| panic!("{script}: {error}"));
        assert_eq!(output.stdout.text(), "in\n", "{script}");
    }
    assert_eq!(one.sessions.open_count(), 11, "no two keys share a connection");
}

#[test]
fn what_cannot_sign_in_says_why() {
    let keygen = "ssh-keygen -q -C me@here -f key";
    let check = |script: &str, expected: &str| {
        let error = parsed(&made_by(script)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{script}");
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.help().is_some());
    };
    let encrypted = "the private key is protected by a passphrase";
    check(&format!("{keygen} -N secret -t ed25519"), encrypted);
    check(&format!("{keygen} -N secret -t rsa -m PEM"), encrypted);
    check(&format!("{keygen} -N secret -t ecdsa -m PEM"), encrypted);
    check(&format!("{keygen} -N secret -t rsa -m PKCS8"), encrypted);
    let public = "this is a public key, not the private key";
    check(&format!("{keygen} -N '' -t ed25519; mv key.pub key"), public);
    check("openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out key", public);
    let unreadable = "this is not a private key in OpenSSH or PEM format";
    check("echo hello >key", unreadable);
    check(": >key", unreadable);
    check(&format!("{keygen} -N '' -t ed25519; sed -i 3d key"), unreadable);
    check("openssl req -x509 -newkey ed25519 -nodes -subj /CN=x -keyout /dev/null -out key", unreadable);
    let x25519 = parsed(&made_by("openssl genpkey -algorithm x25519 -out key")).unwrap_err();
    assert!(matches!(x25519, KeyError::Unsupported(_)), "{x25519}");
}

#[tokio::test]
async fn the_first_meeting_gives_the_key_and_another_is_refused() {
    let one = One::planned(HostPlan::new().rsa_host_key());
    let first = one.sessions.meet(&one.target("root")).await.unwrap();
    assert_eq!(first.to_string(), one.host().host_key("ed25519"));
    // As ssh-keygen prints it.
    let printed =
        run(Process::new("ssh-keygen").arg("-lf").arg(one.host().path("/etc/ssh/host_ed25519.pub")));
    assert!(printed.ok().contains(&first.fingerprint()), "{printed:?}");
    // The host has three keys; whichever is pinned, it does not look changed.
    for key_type in ["ed25519", "ecdsa", "rsa"] {
        let key: HostKey = one.host().host_key(key_type).parse().unwrap();
        let sessions = Sessions::new(quick(), Clock::system());
        assert_eq!(sessions.meet(&one.target("root").pinned(key.clone())).await.unwrap(), key);
        // A connection that proved another key is no way around.
        let pinned = one.target("root").pinned(key.clone());
        assert_eq!(one.sessions.meet(&pinned).await.unwrap(), key);
    }
    let pinned = one.target("root").pinned(first.clone());
    one.host().change_host_key();
    let error = one.sessions.run(&pinned, &Command::new("id")).await.unwrap_err();
    let Error::HostKeyChanged { pinned: known, offered, .. } = &error else { panic!("{error}") };
    assert_eq!((**known).clone(), first);
    assert_eq!(offered.to_string(), one.host().host_key("ed25519"));
    assert!(
        error.to_string().contains(&first.fingerprint())
            && error.to_string().contains(&offered.fingerprint())
    );
    assert_eq!((error.kind(), error.may_pass()), (Kind::Conflict, false));
    // Accepted, it works.
    let accepted = one.target("root").pinned((**offered).clone());
    assert!(one.sessions.run(&accepted, &Command::new("id")).await.unwrap().is_success());
}

#[tokio::test]
async fn wrong_keys_and_users_are_refused_and_share_nothing() {
    let one = One::new();
    assert_eq!(one.say("root", "id -un").await, "root\n");
    let stranger = parsed(&made_by("ssh-keygen -q -N '' -t ed25519 -f key")).unwrap();
    let wrong_key = Target { key: stranger, ..one.target("root") };
    for target in [wrong_key, one.target("nobody-knows"), one.target("nobody")] {
        let error = one.sessions.run(&target, &Command::new("id")).await.unwrap_err();
        let Error::Unauthorized { user, offers, fingerprint, .. } = &error else { panic!("{error}") };
        assert_eq!((user.as_str(), &offers[..]), (target.user.as_str(), &["publickey".to_owned()][..]));
        assert_eq!(*fingerprint, target.key.fingerprint());
        assert_eq!((error.kind(), error.may_pass()), (Kind::Forbidden, false));
    }
    // A file that claims the right public key and has another private one does not get in, connection or no.
    assert_eq!(one.sessions.open_count(), 1);
}
