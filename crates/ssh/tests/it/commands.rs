//! Commands, sudo, secrets.

use base::{Explain, Kind, Secret};
use ssh::{Command, End, Error};
use testkit::HostPlan;

use crate::One;

#[tokio::test]
async fn a_command_says_ends_and_reads() {
    let one = One::new();
    let output = one.run("root", &Command::new("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!((output.stdout.text().as_str(), output.stderr.text().as_str()), ("out\n", "err\n"));
    assert_eq!(output.end, End::Exit(3));
    let output = one.run("root", &Command::new("tr a-z A-Z").stdin("it's me")).await.unwrap();
    assert_eq!(output.stdout.text(), "IT'S ME");
    let output = one.run("root", &Command::new("kill -TERM $$")).await.unwrap();
    assert!(matches!(output.end, End::Signal(_) | End::Exit(143)), "{:?}", output.end);
    // A command that needs no input is not kept waiting for some.
    assert_eq!(one.say("root", "cat").await, "");
    // What is not quoted here is not touched on the way.
    assert_eq!(one.say("root", r#"printf '%s' "it's \$HOME"'"\n'"#).await, r#"it's $HOME"\n"#);
    // 200 KiB of input that nobody reads.
    let unread = Command::new("exit 5").stdin(vec![b'x'; 200 << 10]);
    assert_eq!(one.run("root", &unread).await.unwrap().end, End::Exit(5));
    // 8 MiB there and back.
    let much = vec![b'y'; 8 << 20];
    let output = one.run("root", &Command::new("wc -c").stdin(much)).await.unwrap();
    assert_eq!(output.stdout.text().trim(), (8 << 20).to_string());
}

#[tokio::test]
async fn who_is_not_root_becomes_root_by_sudo() {
    let one = One::new();
    assert_eq!(one.say("root", "id -un").await, "root\n");
    assert_eq!(one.say("admin", "id -un").await, "root\n");
    let own = one.run("admin", &Command::new("id -un").as_user()).await.unwrap();
    assert_eq!(own.stdout.text(), "admin\n");
    // Status, both streams and input come through sudo unharmed.
    let output = one.run("admin", &Command::new("cat; echo err >&2; exit 9").stdin("in")).await.unwrap();
    assert_eq!((output.stdout.text().as_str(), output.stderr.text().as_str()), ("in", "err\n"));
    assert_eq!(output.end, End::Exit(9));
    for user in ["clerk", "guest"] {
        let error = one.run(user, &Command::new("id")).await.unwrap_err();
        assert!(matches!(&error, Error::SudoRefused { said, .. } if said.contains("password")), "{error}");
        assert_eq!(error.kind(), Kind::Forbidden);
        assert!(error.help().unwrap().contains("NOPASSWD"));
        let own = one.run(user, &Command::new("id -un").as_user()).await.unwrap();
        assert_eq!(own.stdout.text(), format!("{user}\n"));
    }
    // A command's own words are no refusal of sudo's.
    let output = one.run("admin", &Command::new("echo 'sudo: a password is required' >&2; exit 1")).await;
    assert_eq!(output.unwrap().end, End::Exit(1));
}

#[tokio::test]
async fn a_host_without_sudo_says_so() {
    let one = One::planned(HostPlan::new().without_sudo());
    let error = one.run("admin", &Command::new("id")).await.unwrap_err();
    assert!(matches!(error, Error::SudoMissing { .. }), "{error}");
    assert_eq!(one.say("root", "id -un").await, "root\n");
}

#[tokio::test]
async fn a_hidden_script_is_seen_by_nobody_and_reads_nothing() {
    let one = One::new();
    let script = "cat; tr '\\0' '\\n' </proc/$$/cmdline; tr '\\0' ' ' </proc/$PPID/cmdline\necho \"it's\" done # hunter2";
    for user in ["root", "admin"] {
        let command = Command::hidden(Secret::new(script.to_owned()));
        let output = one.run(user, &command).await.unwrap();
        assert!(output.is_success(), "{output:?}");
        let said = output.stdout.text();
        assert!(said.ends_with("it's done\n") && !said.contains("hunter2"), "{said}");
    }
    let command = Command::hidden(Secret::new("exit 4".to_owned()));
    assert_eq!(one.run("admin", &command).await.unwrap().end, End::Exit(4));
}

#[tokio::test]
async fn what_is_left_running_does_not_keep_a_command_from_ending() {
    let one = One::new();
    let begun = std::time::Instant::now();
    let output = one.run("root", &Command::new("sleep 300 & echo begun")).await.unwrap();
    assert_eq!(output.stdout.text(), "begun\n");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    assert_eq!(one.host().sh("pidof sleep >/dev/null; echo $?").stdout, "0\n", "it still runs");
}

#[tokio::test]
async fn a_reboot_that_a_command_asks_for_happens() {
    let one = One::new();
    let (before, key) = (one.host().boot_id(), one.host().host_key("ed25519"));
    assert_eq!(one.say("root", "cat /proc/sys/kernel/random/boot_id").await.trim(), before);
    let boots = one.host().boots();
    one.say("admin", "(sleep 0.3; systemctl reboot) >/dev/null 2>&1 &").await;
    crate::until("the host to boot", || one.host().boots() > boots).await;
    one.host().wait_until_up();
    assert_ne!(one.host().boot_id(), before);
    let after = one.say("root", "cat /proc/sys/kernel/random/boot_id").await;
    assert_eq!(after.trim(), one.host().boot_id());
    assert_eq!(one.host().host_key("ed25519"), key);
    assert_eq!(one.host().recorded(), ["systemctl reboot"]);
}
