//! Deadlines, and how much is kept.

use std::time::Duration;

use ssh::{Command, Error, Keep, Step};

use crate::{One, soon};

#[tokio::test]
async fn megabytes_are_bounded_and_counted() {
    let one = One::new();
    let command = Command::new("head -c 50000000 /dev/zero | tr '\\0' x; echo end; echo oops >&2")
        .keep(Keep::ends(1000));
    let output = one.run("root", &command).await.unwrap();
    assert_eq!(output.stdout.said_bytes(), 50_000_004);
    assert_eq!(output.stdout.cut_bytes(), 50_000_004 - 2_000);
    assert!(output.stdout.text().ends_with("xend\n"));
    assert_eq!(output.last_words(), "oops");
}

#[tokio::test]
async fn what_never_ends_is_ended_at_its_deadline_here_and_there() {
    let one = One::new();
    let limit = Duration::from_secs(1);
    for user in ["root", "admin"] {
        for text in [
            "echo begun; sleep 1234",
            "echo begun; yes > /dev/null",
            "trap '' TERM HUP; echo begun; while :; do sleep 1; done",
        ] {
            let command = Command::new(text).deadline(limit);
            let error = soon(Duration::from_secs(5), one.run(user, &command)).await.unwrap_err();
            let Error::Overdue { stdout, .. } = &error else { panic!("{text}: {error}") };
            assert!(!stdout.is_empty(), "{text}");
            assert!(error.may_have_begun());
        }
    }
    // The connection is still good.
    assert_eq!(one.say("root", "echo here").await, "here\n");
    let ended = || one.host().sh("pidof sleep yes timeout").code != Some(0);
    crate::until("nothing to be left there", ended).await;
}

#[tokio::test]
async fn who_prints_without_end_is_not_listened_to_any_more() {
    let one = One::new();
    let command = Command::new("yes").deadline(Duration::from_secs(60)).say_at_most(1);
    let error = soon(Duration::from_secs(10), one.run("root", &command)).await.unwrap_err();
    assert!(error.to_string().ends_with("said more than 1 MiB"), "{error}");
    assert_eq!(one.say("root", "echo here").await, "here\n");
    let ended = || one.host().sh("pidof yes").code != Some(0);
    crate::until("nothing to be left there", ended).await;
}

#[tokio::test]
async fn a_frozen_host_is_noticed_within_the_deadline() {
    let one = One::new();
    assert_eq!(one.say("root", "echo here").await, "here\n");
    one.host().freeze();
    let limit = Duration::from_secs(2);
    // On a connection that stands: nothing has begun, a new one is tried, and that one's greeting never comes.
    let error = soon(Duration::from_secs(20), one.run("root", &Command::new("id").deadline(limit))).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::TimedOut { step: Step::Handshake, .. }), "{error}");
    one.host().thaw();
    assert_eq!(one.say("root", "echo here").await, "here\n");
    // In the middle of a command.
    let command = Command::new("echo begun; sleep 60").deadline(Duration::from_secs(30));
    let target = one.target("root");
    let run = ssh::Remote::run(&one.sessions, &target, &command);
    let freeze = async {
        crate::until("the command to run", || one.host().sh("pidof sleep").code == Some(0)).await;
        one.host().freeze();
    };
    let (outcome, ()) = soon(Duration::from_secs(15), async { tokio::join!(run, freeze) }).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Closed { step: Step::Run, .. }), "{error}");
    one.host().thaw();
}

#[tokio::test]
async fn a_host_that_is_cut_off_is_noticed() {
    let one = One::new();
    assert_eq!(one.say("root", "echo here").await, "here\n");
    one.host().cut_off();
    let error = soon(Duration::from_secs(20), one.run("root", &Command::new("id"))).await.unwrap_err();
    let is_away = matches!(error, Error::TimedOut { step: Step::Connect, .. } | Error::NoRoute { .. });
    assert!(is_away && error.may_pass() && !error.may_have_begun(), "{error}");
    one.host().reconnect();
    one.host().wait_until_up();
    assert_eq!(one.say("root", "echo here").await, "here\n");
    let slow = one.host().slow(200);
    if let Err(said) = slow {
        // A kernel without netem cannot show this.
        assert!(said.contains("qdisc"), "{said}");
        return;
    }
    assert_eq!(one.say("root", "echo here").await, "here\n");
}
