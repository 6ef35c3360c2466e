//! Connections are kept, shared, bounded, and led through others.

use std::time::Duration;

use base::{Clock, Span, Timestamp};
use ssh::{Address, Command, Error, Remote, Sessions, Settings, Step};
use testkit::{HostPlan, Hosts};

use crate::{One, at_once, key, quick, shared, target};

/// How often somebody signed in.
fn sign_ins(hosts: &Hosts, at: usize) -> usize {
    hosts[at].sshd_log().matches("Accepted publickey").count()
}

#[tokio::test]
async fn many_commands_share_one_connection() {
    let one = One::new();
    let (target, command) = (one.target("root"), Command::new("echo $$"));
    let outputs = at_once(40, |_| one.sessions.run(&target, &command)).await;
    assert!(outputs.iter().all(|output| output.as_ref().unwrap().is_success()));
    assert_eq!((sign_ins(&one.hosts, 0), one.sessions.open_count()), (1, 1));
    // Another user is another connection.
    one.say("admin", "true").await;
    assert_eq!((sign_ins(&one.hosts, 0), one.sessions.open_count()), (2, 2));
    one.sessions.forget(&target);
    one.say("root", "true").await;
    assert_eq!(sign_ins(&one.hosts, 0), 3);
    one.sessions.close();
    crate::until("nothing to be open", || one.sessions.open_count() == 0).await;
    crate::until("sshd to see it", || one.host().sh("pgrep -f '[s]shd: root@'").code != Some(0)).await;
}

#[tokio::test]
async fn idle_connections_are_closed_and_used_ones_are_not() {
    let hosts = Hosts::start(vec![HostPlan::new()]);
    let clock = Clock::manual(Timestamp::from_unix(1_000_000));
    let sessions = Sessions::new(Settings { idle: Span::seconds(60), ..quick() }, clock.clone());
    let target = target(&hosts, 0, "root");
    sessions.meet(&target).await.unwrap();
    clock.advance(Span::seconds(59));
    sessions.close_idle();
    assert_eq!(sessions.open_count(), 1);
    let command = Command::new("sleep 2");
    let run = sessions.run(&target, &command);
    let wait = async {
        crate::until("the command to run", || hosts[0].sh("pidof sleep").code == Some(0)).await;
        clock.advance(Span::seconds(600));
        sessions.close_idle();
        assert_eq!(sessions.open_count(), 1, "somebody uses it");
    };
    let (outcome, ()) = tokio::join!(run, wait);
    assert!(outcome.unwrap().is_success());
    clock.advance(Span::seconds(61));
    sessions.close_idle();
    assert_eq!(sessions.open_count(), 0);
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed_and_all_get_their_turn() {
    let hosts = Hosts::alike(6);
    let settings = Settings { open_max: 2, making_max: 1, ..quick() };
    let sessions = Sessions::new(settings, Clock::system());
    let targets: Vec<_> = (0..6).map(|at| target(&hosts, at, "root")).collect();
    let command = Command::new("sleep 0.1; hostname");
    for _ in 0..2 {
        let outputs = at_once(6, |at| {
            let (sessions, target, command) = (&sessions, &targets[at], &command);
            async move {
                let output = sessions.run(target, command).await;
                assert!(sessions.open_count() <= 2);
                output
            }
        })
        .await;
        for (at, output) in outputs.into_iter().enumerate() {
            assert_eq!(output.unwrap().stdout.text().trim(), hosts[at].name());
        }
    }
    // Who waits too long is told for what.
    let limits = ssh::Limits { queue: Duration::from_millis(300), ..quick().limits };
    let sessions = Sessions::new(Settings { open_max: 1, limits, ..quick() }, Clock::system());
    let long = Command::new("sleep 2");
    let run = sessions.run(&targets[0], &long);
    let other = async {
        crate::until("the command to run", || hosts[0].sh("pidof sleep").code == Some(0)).await;
        sessions.meet(&targets[1]).await.unwrap_err()
    };
    let (outcome, error) = tokio::join!(run, other);
    assert!(outcome.unwrap().is_success());
    assert!(matches!(error, Error::TimedOut { step: Step::Queue, .. }), "{error}");
}

#[tokio::test]
async fn commands_that_nobody_waits_for_any_more_block_nobody() {
    let one = One::new();
    let (target, command) = (one.target("root"), Command::new("echo begun; sleep 30"));
    for _ in 0..12 {
        let waited =
            tokio::time::timeout(Duration::from_millis(100), one.sessions.run(&target, &command)).await;
        assert!(waited.is_err(), "nobody waits so long");
    }
    assert_eq!(one.say("root", "echo here").await, "here\n");
    one.sessions.close_idle();
    crate::until("only one connection to be open", || one.sessions.open_count() == 1).await;
}

#[tokio::test]
async fn a_server_with_few_channels_serves_all() {
    let one = One::planned(HostPlan::new().sshd("MaxSessions 2"));
    let (target, command) = (one.target("root"), Command::new("sleep 0.1"));
    let outputs = at_once(12, |_| one.sessions.run(&target, &command)).await;
    assert!(outputs.into_iter().all(|output| output.unwrap().is_success()));
    assert_eq!(sign_ins(&one.hosts, 0), 1);
}

#[tokio::test]
async fn a_connection_lost_while_idle_is_made_anew() {
    let one = One::new();
    one.say("root", "true").await;
    one.host().reboot();
    assert_eq!(one.say("root", "echo again").await, "again\n");
    one.host().reboot();
    one.sessions.meet(&one.target("root")).await.unwrap();
}

#[tokio::test]
async fn a_host_is_reached_through_another() {
    let hosts = Hosts::start(vec![
        HostPlan::new(),
        HostPlan::new().sshd("ListenAddress 127.0.0.1:2222").sshd("ListenAddress 0.0.0.0:22"),
        HostPlan::new().sshd("AllowTcpForwarding no"),
    ]);
    let sessions = Sessions::new(quick(), Clock::system());
    let through =
        |jump, at| ssh::Target { jump: shared(target(&hosts, jump, "root")), ..target(&hosts, at, "admin") };
    let far = through(0, 1);
    let output = sessions.run(&far, &Command::new("hostname; echo $SUDO_USER")).await.unwrap();
    assert_eq!(output.stdout.text(), format!("{}\nadmin\n", hosts[1].name()));
    let outputs = at_once(20, |_| sessions.run(&far, &FAST)).await;
    assert!(outputs.into_iter().all(|output| output.unwrap().is_success()));
    assert_eq!((sign_ins(&hosts, 0), sign_ins(&hosts, 1), sessions.open_count()), (1, 1, 2));
    let from = format!("from {} ", hosts[0].address());
    assert!(hosts[1].sshd_log().contains(&from), "it came from the jump");
    // An address that only the jump has.
    let mut inner = through(1, 1);
    inner.address = Address::new("127.0.0.1", 2222);
    assert!(sessions.run(&inner, &FAST).await.unwrap().is_success());
    // 3 does not forward; nobody listens at 9; the jump does not let us in.
    let error = sessions.meet(&through(2, 0)).await.unwrap_err();
    assert!(matches!(&error, Error::Jump { .. }) && error.at().host == hosts[2].address(), "{error}");
    let mut nobody = through(0, 1);
    nobody.address.port = 9;
    let error = sessions.meet(&nobody).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let stranger = ssh::Target { user: "nobody".to_owned(), ..target(&hosts, 0, "root") };
    let error = sessions.meet(&ssh::Target { jump: shared(stranger), ..far.clone() }).await.unwrap_err();
    let Error::Jump { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(**source, Error::Unauthorized { .. }), "{source}");
    // The jump goes, and comes back.
    hosts[0].reboot();
    assert!(sessions.run(&far, &Command::new("true")).await.unwrap().is_success());
    let _ = key(&hosts);
}

static FAST: std::sync::LazyLock<Command> = std::sync::LazyLock::new(|| Command::new("true"));
