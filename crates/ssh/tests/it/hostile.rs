//! What listens there is no sshd, or not a good one.

use std::time::Duration;

use ssh::{Address, Command, Error, Remote, Sessions, Step, Target};
use testkit::Hosts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{One, key, quick, soon};

/// What is said of a peer that does `act` with each connection.
async fn asked<F>(hosts: &Hosts, act: impl Fn(TcpStream) -> F) -> Error
where
    F: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = Target::new(Address::new("127.0.0.1", port), "root", key(hosts));
    let sessions = Sessions::new(quick(), base::Clock::system());
    let serve = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            act(stream).await;
        }
    };
    let command = Command::new("id");
    let error = tokio::select! {
        outcome = soon(Duration::from_secs(10), sessions.run(&target, &command)) => outcome.unwrap_err(),
        () = serve => unreachable!("it serves for ever"),
    };
    assert_eq!(sessions.open_count(), 0, "nothing of it is kept");
    assert!(!error.may_have_begun());
    error
}

#[tokio::test]
async fn peers_that_do_not_speak_ssh_are_told_apart() {
    let hosts = Hosts::start(vec![]);
    // Accepts and says nothing.
    let error = asked(&hosts, async |stream| drop((stream, std::future::pending::<()>().await))).await;
    assert!(matches!(error, Error::TimedOut { step: Step::Handshake, .. }), "{error}");
    // Greets, and says nothing more.
    let error = asked(&hosts, async |mut stream| {
        stream.write_all(b"SSH-2.0-mute\r\n").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    assert!(matches!(error, Error::TimedOut { step: Step::Handshake, .. }), "{error}");
    // Hangs up at once.
    let error = asked(&hosts, async |stream| drop(stream)).await;
    assert!(matches!(error, Error::Closed { step: Step::Handshake, .. }), "{error}");
    // Closes its half, and reads on.
    let error = asked(&hosts, async |mut stream| {
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(matches!(error, Error::Closed { step: Step::Handshake, .. }), "{error}");
    // Greets, and closes its half.
    let error = asked(&hosts, async |mut stream| {
        stream.write_all(b"SSH-2.0-half\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(matches!(error, Error::Closed { step: Step::Handshake, .. }), "{error}");
    for garbage in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[b'x'; 100_000][..],
        &b"SSH-1.5-old\r\n"[..],
        &b"hello\r\n".repeat(5_000)[..],
        b"SSH-2.0-garbage\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"SSH-2.0-garbage\r\n\0\0\0\x0c\x0a\x14aaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        let error = asked(&hosts, async |mut stream: TcpStream| {
            // It may hang up before all is written.
            let _ = stream.write_all(garbage).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let is_told = matches!(
            error,
            Error::Protocol { step: Step::Handshake, .. } | Error::Closed { step: Step::Handshake, .. }
        );
        assert!(is_told, "{:?}: {error}", &garbage[..16]);
    }
    // Says one byte after the other, for ever.
    let error = asked(&hosts, async |mut stream| {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(matches!(error, Error::TimedOut { .. } | Error::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn who_does_not_listen_and_who_is_not_there_are_told_apart() {
    let one = One::new();
    one.host().stop_sshd();
    let error = one.run("root", &Command::new("id")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    let away = |host: &str| Target::new(Address::new(host, 22), "root", key(&one.hosts));
    let nobody = one.host().address().replace(".10", ".250");
    let error = soon(Duration::from_secs(8), one.sessions.meet(&away(&nobody))).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { step: Step::Connect, .. } | Error::NoRoute { .. }), "{error}");
    let error = one.sessions.meet(&away("no-such-host.invalid")).await.unwrap_err();
    assert!(
        matches!(error, Error::NoSuchName { .. } | Error::TimedOut { step: Step::Connect, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn sshd_that_ends_in_the_middle_of_a_command_is_told() {
    let one = One::new();
    let (target, command) = (one.target("root"), Command::new("echo begun; sleep 60"));
    let run = one.sessions.run(&target, &command);
    let stop = async {
        crate::until("the command to run", || one.host().sh("pidof sleep").code == Some(0)).await;
        one.host().crash();
    };
    let (outcome, ()) = soon(Duration::from_secs(20), async { tokio::join!(run, stop) }).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Closed { step: Step::Run, .. }), "{error}");
    assert!(error.may_have_begun() && error.may_pass());
    one.host().wait_until_up();
    assert_eq!(one.say("root", "echo back").await, "back\n");
}

#[tokio::test]
async fn a_user_who_may_not_run_commands_is_told_so() {
    let plan = testkit::HostPlan::new().sshd("ForceCommand echo go away; exit 1");
    let one = One::planned(plan);
    // sshd does not tell that it ran something else; for root it looks like the command's own end.
    assert!(!one.run("root", &Command::new("id")).await.unwrap().is_success());
    let error = one.run("admin", &Command::new("id")).await.unwrap_err();
    assert!(matches!(error, Error::SudoRefused { .. }), "{error}");
}
