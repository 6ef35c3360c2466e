//! What hosts are asked and told, over either transport: Provost's own SSH, and the real `ansible-playbook`. On real sshd
//! hosts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ansible::Ansible;
use base::{Clock, Entropy, Secret};
use engine::handing_on::{deliver, withdraw};
use engine::{Hands, Playbooks};
use fleet::bootstrap::Profile;
use fleet::{OsCommands, Playbook, Templates};
use ssh::{Address, Command, End, Error, Output, Remote, Sessions, Target, Upload, UserKey};
use testkit::{Host, HostPlan, Hosts, wait_until};
use trust::Anchor;
use trust::on_host::{FilePlace, OnHost};
use x509::{KeySpec, PrivateKey, extension};

use crate::host_trust::signed;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Ssh,
    Ansible,
}

/// Each of these twice, over either transport.
macro_rules! on_both_transports {
    ($($name:ident)*) => {
        mod over_ssh {
            $(#[tokio::test] async fn $name() { super::$name(super::Transport::Ssh).await })*
        }
        mod by_ansible {
            $(#[tokio::test] async fn $name() { super::$name(super::Transport::Ansible).await })*
        }
    };
}

on_both_transports! {
    commands_end_as_they_do
    secrets_are_not_seen_on_the_host
    files_arrive_whole
    whoever_is_late_or_away_is_told_of
    a_restart_is_one
    certificates_are_handed_on
    many_are_looked_at_together
}

struct World {
    folder: tempfile::TempDir,
    hands: Hands,
    hosts: Hosts,
}

impl World {
    fn new(transport: Transport, plans: Vec<HostPlan>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (remote, playbooks): (Arc<dyn Remote>, _) = match transport {
            Transport::Ssh => {
                let limits = ssh::Limits { connect: Duration::from_secs(3), ..ssh::Limits::default() };
                let settings = ssh::Settings { limits, ..ssh::Settings::default() };
                (Arc::new(Sessions::new(settings, Clock::system())), None)
            }
            Transport::Ansible => {
                let settings = ansible::Settings {
                    program: testkit::witness("ansible-playbook"),
                    folder: folder.path().join("own"),
                    config: None,
                    connect: Duration::from_secs(3),
                    runs_max: 1,
                    relay: None,
                    said_mib_max: ansible::SAID_MIB_MAX,
                };
                let ansible = Ansible::new(settings, Entropy::system()).unwrap();
                let playbooks = Arc::new(Playbooks::new(ansible, Some(folder.path().to_owned())).unwrap());
                (playbooks.clone(), Some(playbooks))
            }
        };
        let hands = Hands {
            remote,
            playbooks,
            port: 22,
            jump: None,
            profile: Profile::None,
            commands: OsCommands::standard(),
            templates: Templates::default(),
            etcd: None,
            investigates: false,
            operates: false,
            watch_period: None,
            hosts_max: 1,
            host_limit: Duration::from_secs(60),
        };
        Self { folder, hands, hosts: Hosts::start(plans) }
    }

    fn host(&self) -> &Host {
        &self.hosts[0]
    }

    /// The host, and `user`, who has met it.
    async fn target(&self, user: &str) -> Target {
        let key = UserKey::parse(&Secret::new(self.hosts.key())).unwrap();
        let target = Target::new(Address::new(self.host().address(), 22), user, key);
        let proved = self.hands.remote.meet(&target).await.unwrap();
        let expected: ssh::HostKey = self.host().host_key("ed25519").parse().unwrap();
        assert_eq!(proved, expected);
        target.pinned(proved)
    }

    async fn run(&self, target: &Target, command: &Command) -> Output {
        self.hands.remote.run(target, command).await.unwrap()
    }
}

/// Standard output, standard error without what Ansible takes off its end, and how it ended.
fn said(output: &Output) -> (String, String, End) {
    let text = |captured: &ssh::Captured| captured.text().trim_end_matches('\n').to_owned();
    (text(&output.stdout), text(&output.stderr), output.end.clone())
}

async fn commands_end_as_they_do(transport: Transport) {
    let world = World::new(transport, vec![HostPlan::new()]);
    let (root, admin) = (world.target("root").await, world.target("admin").await);
    for (target, command, out, err, status) in [
        (&root, Command::new("echo \"{{ x }} $HOME\"; echo no >&2; exit 3"), "{{ x }} /root", "no", 3),
        (&root, Command::new("cat; echo '☺'").stdin("one\ntwo"), "one\ntwo☺", "", 0),
        (&admin, Command::new("id -un"), "root", "", 0),
        (&admin, Command::new("id -un").as_user(), "admin", "", 0),
        (&admin, Command::hidden(Secret::new("read x; echo \"<$x>\"; exit 4".into())), "<>", "", 4),
        (&root, Command::new("no-such-program"), "", "sh: 1: no-such-program: not found", 127),
    ] {
        let output = world.run(target, &command).await;
        assert_eq!(said(&output), (out.to_owned(), err.to_owned(), End::Exit(status)), "{command:?}");
    }
    // What is left of megabytes is bounded, and has the end.
    let much = world.run(&root, &Command::new("yes | head -c 3000000; echo the end")).await;
    assert!(much.stdout.kept().len() <= 2 * 64 * 1024 && much.stdout.text().ends_with("the end\n"));
    // Whoever may not use sudo is told so, and how to change it.
    for (user, command) in [("guest", Command::new("id")), ("clerk", Command::new("id"))] {
        let refused = world.hands.remote.run(&world.target(user).await, &command).await.unwrap_err();
        assert!(matches!(&refused, Error::SudoRefused { user: of, .. } if of == user), "{refused}");
    }
}

async fn secrets_are_not_seen_on_the_host(transport: Transport) {
    let world = World::new(transport, vec![HostPlan::new()]);
    let target = world.target("admin").await;
    // The pattern does not find itself.
    let look = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; tr '\\0' ' ' <$p/environ; done 2>/dev/null | \
                grep -c 'hunter[2]'; cat >/dev/null";
    let fed = world.run(&target, &Command::new(look).stdin("hunter2")).await;
    assert_eq!(said(&fed).0, "0");
    let hidden = Command::hidden(Secret::new(format!("secret=hunter2; {look}")));
    assert_eq!(said(&world.run(&target, &hidden).await).0, "0");
    assert!(!world.host().sshd_log().contains("hunter2"));
}

async fn files_arrive_whole(transport: Transport) {
    let world = World::new(transport, vec![HostPlan::new().disk("/small", 64)]);
    let target = world.target("admin").await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (mode, owner) in [(0o600, None), (0o640, Some("admin:adm"))] {
        let mut upload = Upload::new("/etc/it's", bytes.clone()).unwrap().mode(mode).unwrap();
        if let Some(owner) = owner {
            upload = upload.owner(owner).unwrap();
        }
        world.hands.remote.put(&target, &upload).await.unwrap();
        assert_eq!(std::fs::read(world.host().path("/etc/it's")).unwrap(), bytes);
        let stat = world.host().sh("stat -c '%a %U:%G' \"/etc/it's\"");
        assert_eq!(stat.ok().trim(), format!("{mode:o} {}", owner.unwrap_or("root:root")));
    }
    for (path, size) in [("/small/file", 100_000), ("/nowhere/file", 1)] {
        let upload = Upload::new(path, vec![0; size]).unwrap();
        let refused = world.hands.remote.put(&target, &upload).await.unwrap_err();
        assert!(matches!(&refused, Error::Upload { path: of, .. } if of == path), "{refused}");
    }
}

async fn whoever_is_late_or_away_is_told_of(transport: Transport) {
    let world = World::new(transport, vec![HostPlan::new()]);
    let target = world.target("root").await;
    let late = Command::new("sleep 1000").deadline(Duration::from_secs(2));
    match world.hands.remote.run(&target, &late).await {
        // The one tells so, the other ends it there: both in time.
        Err(Error::Overdue { .. }) => assert!(transport == Transport::Ssh),
        Ok(output) => assert_eq!(output.end, End::Exit(137)),
        Err(other) => panic!("{other}"),
    }
    wait_until("nobody to sleep on", || world.host().sh("pidof sleep").code != Some(0));
    world.host().stop_sshd();
    let refused = world.hands.remote.run(&target, &Command::new("true")).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }) || transport == Transport::Ssh, "{refused}");
    world.host().reboot();
    world.host().change_host_key();
    let changed = world.hands.remote.run(&target, &Command::new("true")).await.unwrap_err();
    let Error::HostKeyChanged { offered, .. } = &changed else { panic!("{changed}") };
    assert_eq!(**offered, world.host().host_key("ed25519").parse().unwrap());
}

/// The command of an operation goes through the playbook for it, which an operator may have replaced.
async fn a_restart_is_one(transport: Transport) {
    let world = World::new(transport, vec![HostPlan::new()]);
    let target = world.target("admin").await;
    let restarts = world.hands.remote_for(Playbook::Restart);
    let (boot, boots) = (world.host().boot_id(), world.host().boots());
    let command = "nohup sh -c 'sleep 2 && systemctl reboot' >/dev/null 2>&1 &";
    let ended = restarts.run(&target, &Command::new(command)).await.unwrap();
    assert!(ended.is_success(), "{ended:?}");
    wait_until("the host to boot", || world.host().boots() > boots);
    world.host().wait_until_up();
    assert_ne!(world.host().boot_id(), boot);

    let theirs = "- hosts: all\n  gather_facts: false\n  tasks:\n  - name: theirs\n    ansible.builtin.raw: \
                  echo instead of {{ commissaire_restart_command }} >/tmp/theirs; echo busy >&2; exit 5\n";
    std::fs::write(world.folder.path().join("restart.yml"), theirs).unwrap();
    let ended = restarts.run(&target, &Command::new("reboot")).await;
    if transport == Transport::Ansible {
        let ended = ended.unwrap();
        assert_eq!((ended.end, ended.stderr.text()), (End::Exit(5), "busy".to_owned()));
        let text = std::fs::read_to_string(world.host().path("/tmp/theirs")).unwrap();
        assert_eq!(text, "instead of reboot\n");
        // One that is for other hosts has restarted nothing.
        std::fs::write(world.folder.path().join("restart.yml"), theirs.replace("all", "nobody")).unwrap();
        let ended = restarts.run(&target, &Command::new("reboot")).await;
        assert!(matches!(&ended, Err(Error::Cannot { said, .. }) if said.contains("no task")), "{ended:?}");
    }
}

/// A bundle of almost 200 KiB, which is more than an argument of a command may be.
async fn certificates_are_handed_on(transport: Transport) {
    let world = World::new(transport, vec![HostPlan::new()]);
    let target = world.target("admin").await;
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let ca = || vec![extension::basic_constraints(true, None)];
    let named = |number: u32| format!("authority {number}");
    let signed = |number| signed(&named(number), &named(number), &key, &key, ca());
    let bundle: BTreeSet<Anchor> = (0..500).map(|number| Anchor::from(&signed(number))).collect();
    let bundle: Vec<Anchor> = bundle.into_iter().collect();
    let text: String = bundle.iter().map(Anchor::pem).collect();
    assert!(text.len() > 128 << 10, "{}", text.len());
    let files = vec![FilePlace::new("/etc/cas.pem").unwrap().with_hook("echo once >>/tmp/hook").unwrap()];
    let places = OnHost { files, ..OnHost::default() };
    for changed in [true, false] {
        let delivered = deliver(&*world.hands.remote, &target, &places, &bundle).await.unwrap();
        assert_eq!((delivered.changed, delivered.drift.is_any()), (changed, false));
    }
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap();
    assert_eq!((read("/etc/cas.pem"), read("/tmp/hook").as_str()), (text, "once\n"));
    assert!(withdraw(&*world.hands.remote, &target, &places).await.unwrap().changed);
    assert!(!world.host().path("/etc/cas.pem").exists());
}

/// What one does is no other's fault: neither who is away, nor who has another key, nor who hangs.
async fn many_are_looked_at_together(transport: Transport) {
    let hangs = HostPlan::new().sshd("ForceCommand sleep 1000");
    let plans = vec![HostPlan::new(), HostPlan::new(), hangs, HostPlan::new(), HostPlan::new()];
    let world = World::new(transport, plans);
    let key = UserKey::parse(&Secret::new(world.hosts.key())).unwrap();
    let target = |host: &Host| {
        let target = Target::new(Address::new(host.address(), 22), "root", key.clone());
        target.pinned(host.host_key("ed25519").parse().unwrap())
    };
    let targets: Vec<Target> = world.hosts.all().iter().map(target).collect();
    world.hosts[1].stop_sshd();
    world.hosts[3].change_host_key();
    world.hosts[3].reboot();
    world.hosts[3].wait_until_up();
    let begun = std::time::Instant::now();
    let answers = world.hands.check(&targets).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let is_well = |answer: &Result<Output, Error>| answer.as_ref().is_ok_and(Output::is_success);
    assert!(is_well(&answers[0]) && is_well(&answers[4]), "{answers:?}");
    assert!(matches!(&answers[1], Err(Error::Refused { .. })), "{:?}", answers[1]);
    assert!(matches!(&answers[2], Err(Error::Overdue { .. })), "{:?}", answers[2]);
    assert!(matches!(&answers[3], Err(Error::HostKeyChanged { .. })), "{:?}", answers[3]);

    let theirs = "- hosts: nobody\n  gather_facts: false\n  tasks:\n  - ansible.builtin.raw: 'true'\n";
    std::fs::write(world.folder.path().join("check.yml"), theirs).unwrap();
    let answers = world.hands.check(&targets[..1]).await;
    assert_eq!(is_well(&answers[0]), transport == Transport::Ssh, "what does nothing shows nothing");
}
