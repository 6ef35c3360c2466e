//! Fifty hosts at once.

use std::time::Instant;

use base::Clock;
use ssh::{Command, Error, Remote, Sessions};
use testkit::Hosts;

use crate::{at_once, quick, target};

#[tokio::test]
async fn fifty_hosts_at_once_with_some_that_misbehave() {
    let hosts = Hosts::alike(50);
    let sessions = Sessions::new(quick(), Clock::system());
    let targets: Vec<_> = (0..50).map(|at| target(&hosts, at, "admin")).collect();
    let command = Command::new("hostname; cat /proc/sys/kernel/random/boot_id");
    for _ in 0..2 {
        let outputs = at_once(50, |at| sessions.run(&targets[at], &command)).await;
        for (at, output) in outputs.into_iter().enumerate() {
            let expected = format!("{}\n{}\n", hosts[at].name(), hosts[at].boot_id());
            assert_eq!(output.unwrap().stdout.text(), expected);
        }
    }
    assert_eq!(sessions.open_count(), 50);
    // A tenth each is frozen, cut off and without sshd; nobody else waits for them.
    for at in 0..15 {
        match at % 3 {
            0 => hosts[at].freeze(),
            1 => hosts[at].cut_off(),
            _ => hosts[at].stop_sshd(),
        }
    }
    let begun = Instant::now();
    let outputs = at_once(50, |at| sessions.run(&targets[at], &command)).await;
    assert!(begun.elapsed().as_secs() < 25, "{:?}", begun.elapsed());
    for (at, output) in outputs.into_iter().enumerate() {
        match (at, output) {
            (15.., output) => assert!(output.unwrap().is_success()),
            (_, output) if at % 3 == 2 => {
                assert!(matches!(output, Err(Error::Refused { .. })), "{at}: {output:?}")
            }
            (_, output) => assert!(
                matches!(output, Err(Error::TimedOut { .. } | Error::NoRoute { .. } | Error::Closed { .. })),
                "{at}: {output:?}"
            ),
        }
    }
    (0..15).filter(|at| at % 3 == 0).for_each(|at| hosts[at].thaw());
}
