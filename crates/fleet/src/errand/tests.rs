use std::process::{Child, Command, Output, Stdio};

use base::Timestamp;

use super::*;
use crate::commands::OsCommands;
use crate::commands::tests::findings;
use crate::policy::Policy;
use crate::rollout::RolloutId;
use crate::run::{Cordon, Past, RunState};

fn rollout(plan: Plan) -> Rollout {
    let web = "web".parse().unwrap();
    let now = Timestamp::from_unix(7);
    Rollout::asked_for((web, RolloutId(42)), (plan, Policy::default()), "ada".into(), 1, now)
}

fn begun(boot_id: &str, attempt: u32) -> HostRun {
    let state = RunState::Begun { boot_id: Some(boot_id.into()), at: Timestamp::from_unix(7) };
    let past = Past { attempts: attempt, ..Past::default() };
    HostRun { place: 0, address: "10.0.0.1".parse().unwrap(), state, cordon: Cordon::None, past }
}

fn commands(os: &str, is_atomic: bool, table: &str) -> HostCommands {
    let commands = OsCommands::standard().with(table).unwrap();
    commands.of(&findings(os, is_atomic)).unwrap()
}

/// A host's `/run` in a folder of ours.
struct World {
    folder: tempfile::TempDir,
    restart: String,
}

impl World {
    fn new(restart: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), restart: restart.to_owned() }
    }

    fn script(&self, boot_id: &str, attempt: u32) -> String {
        let here = self.folder.path().display().to_string();
        let table = format!("[fedora]\nrestart = '''cd {here}; {}'''\n", self.restart);
        let restart = commands("fedora", false, &table);
        let within = Span::seconds(600);
        let text = restart.errand(&rollout(Plan::Restart), &begun(boot_id, attempt), within).unwrap();
        self.moved(&text)
    }

    /// What it has of the host's own folders, in ours.
    fn moved(&self, text: &str) -> String {
        let here = self.folder.path().display();
        let text = text.replace("/run/provost", &format!("{here}/run"));
        text.replace("/run/systemd", &format!("{here}/systemd"))
    }

    /// With a `systemd-run` that does this.
    fn with_systemd(&self, does: &str) {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt as _;

        let path = |name: &str| self.folder.path().join(name);
        std::fs::create_dir_all(path("systemd/system")).unwrap();
        std::fs::create_dir_all(path("bin")).unwrap();
        std::fs::write(path("bin/systemd-run"), format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(path("bin/systemd-run"), Permissions::from_mode(0o755)).unwrap();
    }

    fn begin(&self, boot_id: &str, attempt: u32) -> Child {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &self.script(boot_id, attempt)]).stdin(Stdio::null());
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
        shell.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn send(&self, boot_id: &str, attempt: u32) -> Output {
        self.begin(boot_id, attempt).wait_with_output().unwrap()
    }

    /// The same of an upgrade, begun in the boot with this id.
    fn upgrade(&self, boot_id: &str) -> Output {
        let here = self.folder.path().display().to_string();
        let table = format!("[fedora]\nupgrade = '''cd {here}; {}'''\n", self.restart);
        let upgrade = commands("fedora", false, &table);
        let text = upgrade.errand(&rollout(Plan::Upgrade), &begun(boot_id, 1), Span::seconds(600)).unwrap();
        let text = self.moved(&text);
        Command::new("sh").args(["-c", &text]).stdin(Stdio::null()).output().unwrap()
    }

    fn done(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("done")).unwrap_or_default().lines().count()
    }
}

/// Waits for a condition, for half a minute at most.
fn wait_for(condition: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it does not come");
        std::thread::yield_now();
    }
}

fn this_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

#[test]
fn what_is_sent_twice_is_done_once() {
    let world = World::new("echo done >>done");
    let boot = this_boot();
    let crowd: Vec<Child> = (0..6).map(|_| world.begin(&boot, 7)).collect();
    for sent in crowd {
        let sent = sent.wait_with_output().unwrap();
        assert!(sent.status.success(), "{sent:?}");
    }
    assert_eq!(world.done(), 1);
    assert!(world.send(&boot, 8).status.success());
    assert_eq!(world.done(), 2, "a host that is tried again is told anew");
    assert!(world.send("0a-1f", 9).status.success());
    assert_eq!(world.done(), 2, "a host that has restarted is not told any more");
    let left = std::fs::read_dir(world.folder.path().join("run")).unwrap().count();
    assert_eq!(left, 1, "what is over is cleared away");
}

#[test]
fn how_it_ended_is_told_to_all_who_ask() {
    let world = World::new("echo first; echo \"it does not\" >&2; exit 7");
    for _ in 0..2 {
        let sent = world.send(&this_boot(), 7);
        assert_eq!(sent.status.code(), Some(7));
        assert_eq!(String::from_utf8(sent.stderr).unwrap(), "first\nit does not\n");
    }
}

/// A connection that breaks takes whoever waits with it, and not what is done.
#[test]
fn who_is_cut_off_asks_again_and_is_told() {
    let world = World::new("echo began >began; while [ ! -e go ]; do sleep 0.05; done; echo done >>done");
    let mut first = world.begin(&this_boot(), 7);
    let path = |name: &str| world.folder.path().join(name);
    wait_for(|| path("began").exists());
    first.kill().unwrap();
    first.wait().unwrap();
    let second = world.begin(&this_boot(), 7);
    std::fs::write(path("go"), "").unwrap();
    assert!(second.wait_with_output().unwrap().status.success());
    assert_eq!(world.done(), 1);
}

#[test]
fn who_is_killed_is_not_waited_for() {
    let world = World::new("kill -9 $(cat run/*/pid); sleep 60");
    let sent = world.send(&this_boot(), 7);
    assert_eq!(sent.status.code(), Some(137), "{sent:?}");
    assert_eq!(String::from_utf8(sent.stderr).unwrap(), "it was killed before its end\n");
}

/// Where systemd ends what a user began who signs out, it is in a scope of its own; where that cannot be had it is done
/// without, and in either case once.
#[test]
fn it_outlives_the_session_of_who_sent_it() {
    for (does, scopes) in
        [("echo scope >>scopes; shift 2; exec \"$@\"", 1), ("exit 1", 0), ("shift 2; \"$@\"; exit 1", 0)]
    {
        let world = World::new("echo done >>done");
        world.with_systemd(&format!("cd {}; {does}", world.folder.path().display()));
        assert!(world.send(&this_boot(), 7).status.success());
        let told = std::fs::read_to_string(world.folder.path().join("scopes")).unwrap_or_default();
        assert_eq!((world.done(), told.lines().count()), (1, scopes), "{does}");
    }
}

/// An upgrade that restarts its host would otherwise begin anew in each boot.
#[test]
fn what_was_begun_in_another_boot_is_not_begun_again() {
    let world = World::new("echo done >>done");
    let sent = world.upgrade("0a-1f");
    assert_eq!(sent.status.code(), Some(1));
    let said = String::from_utf8(sent.stderr).unwrap();
    assert_eq!(said, "the host has restarted in the middle of its upgrade, and is not told again\n");
    assert_eq!(world.done(), 0);
    assert!(world.upgrade(&this_boot()).status.success());
    assert_eq!(world.done(), 1);
}

/// Who is aborted leaves what it began, and nobody restarts a host under that.
#[test]
fn what_another_began_is_not_disturbed() {
    let world = World::new("echo began >>began; while [ ! -e go ]; do sleep 0.05; done; echo done >>done");
    let path = |name: &str| world.folder.path().join(name);
    let first = world.begin(&this_boot(), 1);
    wait_for(|| path("began").exists());
    let second = world.send(&this_boot(), 2);
    let words = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(75));
    assert!(is_busy(75, words.trim()) && !is_busy(1, words.trim()) && !is_busy(75, "no"), "{words}");
    std::fs::write(path("go"), "").unwrap();
    assert!(first.wait_with_output().unwrap().status.success());
    assert_eq!(world.done(), 1);
    assert!(world.send(&this_boot(), 2).status.success());
    assert_eq!(world.done(), 2);
}

#[test]
fn each_operation_has_its_command() {
    let deploy = |version: &str| Plan::Deploy { version: version.parse().unwrap() };
    let (fedora, atomic) = (commands("fedora", false, ""), commands("fedora", true, ""));
    assert_eq!(fedora.of_plan(&Plan::Upgrade).as_deref(), Ok("dnf update -y"));
    assert!(fedora.of_plan(&Plan::Restart).unwrap().contains("systemctl reboot"));
    assert_eq!(fedora.of_plan(&deploy("41.1")), Err(NoErrand::NotAtomic));
    assert_eq!(atomic.of_plan(&deploy("41.1")).as_deref(), Ok("rpm-ostree deploy 41.1"));
    let bare = commands("arch", false, "[arch]\nlike = 'linux'\n");
    assert_eq!(bare.of_plan(&Plan::Upgrade), Err(NoErrand::NoCommand { kind: OperationKind::Upgrade }));
}
