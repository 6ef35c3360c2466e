use std::process::{Child, Command, Output, Stdio};

use base::Timestamp;

use super::*;
use crate::commands::OsCommands;
use crate::commands::tests::findings;
use crate::policy::Policy;
use crate::rollout::RolloutId;
use crate::run::Cordon;

fn rollout(plan: Plan) -> Rollout {
    let web = "web".parse().unwrap();
    let now = Timestamp::from_unix(7);
    Rollout::asked_for((web, RolloutId(42)), (plan, Policy::default()), "ada".into(), 1, now)
}

fn begun(boot_id: &str, at: i64) -> HostRun {
    let state = RunState::Begun { boot_id: Some(boot_id.into()), at: Timestamp::from_unix(at) };
    HostRun { place: 0, address: "10.0.0.1".parse().unwrap(), state, cordon: Cordon::None }
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

    fn script(&self, boot_id: &str, at: i64) -> String {
        let here = self.folder.path().display().to_string();
        let table = format!("[fedora]\nrestart = '''cd {here}; {}'''\n", self.restart);
        let restart = commands("fedora", false, &table);
        let text = restart.errand(&rollout(Plan::Restart), &begun(boot_id, at), Span::seconds(600)).unwrap();
        text.replace("/run/provost", &format!("{here}/run"))
    }

    fn begin(&self, boot_id: &str, at: i64) -> Child {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &self.script(boot_id, at)]).stdin(Stdio::null());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn send(&self, boot_id: &str, at: i64) -> Output {
        self.begin(boot_id, at).wait_with_output().unwrap()
    }

    fn done(&self) -> usize {
        std::fs::read_to_string(self.folder.path().join("done")).unwrap_or_default().lines().count()
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
    while !path("began").exists() {
        std::thread::yield_now();
    }
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

#[test]
fn each_operation_has_its_command() {
    let deploy = |version: &str| Plan::Deploy { version: version.parse().unwrap() };
    let (fedora, atomic) = (commands("fedora", false, ""), commands("fedora", true, ""));
    assert_eq!(fedora.of_plan(&Plan::Upgrade).as_deref(), Ok("dnf update -y"));
    assert!(fedora.of_plan(&Plan::Restart).unwrap().contains("systemctl reboot"));
    assert_eq!(fedora.of_plan(&deploy("41.1")), Err(NoErrand::NotAtomic));
    assert_eq!(atomic.of_plan(&deploy("41.1")).as_deref(), Ok("rpm-ostree deploy 41.1"));
    assert!(matches!(atomic.of_plan(&deploy("--reboot")), Err(NoErrand::Version { .. })));
    let bare = commands("arch", false, "[arch]\nlike = 'linux'\n");
    assert_eq!(bare.of_plan(&Plan::Upgrade), Err(NoErrand::NoCommand { kind: OperationKind::Upgrade }));
}
