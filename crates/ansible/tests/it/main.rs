//! The real `ansible-playbook`, on real sshd hosts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use ansible::{Ansible, Error, Host, KnownKey, Play, Playbook, Reason, Report, Settings};
use base::{Entropy, Secret};
use serde_json::json;
use testkit::{HostPlan, Hosts, wait_until};

/// How long a play may take that is not about being late.
const LONG: Duration = Duration::from_secs(120);

/// Ansible in a folder of its own, and hosts.
struct World {
    folder: tempfile::TempDir,
    ansible: Ansible,
    hosts: Hosts,
}

impl World {
    fn new(hosts: usize) -> Self {
        Self::with((0..hosts).map(|_| HostPlan::new()).collect())
    }

    fn with(plans: Vec<HostPlan>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ansible = Ansible::new(settings(folder.path()), Entropy::system()).unwrap();
        Self { folder, ansible, hosts: Hosts::start(plans) }
    }

    fn host(&self, number: usize) -> Host {
        let host = &self.hosts[number];
        Host {
            name: host.address().to_owned(),
            address: host.address().to_owned(),
            port: 22,
            user: "root".to_owned(),
            key: Secret::new(self.hosts.key()),
            known: KnownKey::Unknown,
            variables: Vec::new(),
        }
    }

    fn hosts(&self) -> Vec<Host> {
        (0..self.hosts.all().len()).map(|number| self.host(number)).collect()
    }

    fn playbook(&self, tasks: &str) -> Playbook {
        let path = self.folder.path().join("test.yml");
        let text = format!("- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}");
        fs::write(&path, text).unwrap();
        Playbook { name: "test.yml".to_owned(), path }
    }

    fn play(&self, tasks: &str) -> Play {
        Play::new(self.playbook(tasks), self.hosts(), LONG)
    }

    async fn run(&self, play: &Play) -> Result<Report, Error> {
        self.ansible.begin(play).await?.report().await
    }

    /// Whether nothing is left of any run.
    fn is_tidy(&self) -> bool {
        let own = self.folder.path().join("own");
        let runs = fs::read_dir(&own).unwrap().flatten();
        let is_run = |name: std::ffi::OsString| name.to_string_lossy().starts_with("run-");
        !runs.map(|entry| entry.file_name()).any(is_run) && processes(&own).is_empty()
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        program: testkit::witness("ansible-playbook"),
        folder: folder.join("own"),
        config: None,
        connect: Duration::from_secs(3),
        runs_max: 2,
        relay: None,
        said_mib_max: ansible::SAID_MIB_MAX,
    }
}

/// Processes of the runs in `folder`.
fn processes(folder: &Path) -> Vec<String> {
    let mark = format!("PROVOST_ANSIBLE_RUN={}/", folder.display());
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    let has = |path: &Path| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).split('\0').any(|variable| variable.starts_with(&mark))
    };
    processes.filter(|path| has(path)).map(|path| path.display().to_string()).collect()
}

#[tokio::test]
async fn results_come_back_host_by_host() {
    let world = World::new(3);
    world.hosts[1].stop_sshd();
    let tasks = "  - {ansible.builtin.raw: hostname, register: named, tags: [name]}\n\
                 \x20 - ansible.builtin.raw: test $(hostname) != {{ loser }}\n\
                 \x20   name: not to lose\n\
                 \x20 - ansible.builtin.set_stats: {per_host: true, data: {name: '{{ named.stdout | trim }}'}}\n";
    let mut play = world.play(tasks).with("loser", world.hosts[2].name());
    let report = world.run(&play).await.unwrap();
    let of = |number: usize| &report.hosts[world.hosts[number].address()];
    assert_eq!(of(0).results["name"], world.hosts[0].name());
    assert!(of(0).trouble.is_none());
    assert_eq!(of(0).proved.as_deref().unwrap(), key(&world.hosts[0].host_key("ed25519")));
    assert_eq!((of(1).trouble.as_ref().unwrap().reason.clone(), &of(1).proved), (Reason::Refused, &None));
    let trouble = of(2).trouble.as_ref().unwrap();
    assert_eq!(
        (trouble.task.as_str(), &trouble.reason),
        ("not to lose", &Reason::Failed { status: Some(1) })
    );

    // What is done is told while it runs, and can be left out later.
    play.hosts.truncate(1);
    let mut run = world.ansible.begin(&play).await.unwrap();
    let done = run.next().await.unwrap().unwrap();
    assert_eq!((done.host.as_str(), done.tag.as_str()), (world.hosts[0].address(), "name"));
    assert_eq!(run.next().await.unwrap(), None);
    drop(run);
    play.skip_tags = vec!["name".to_owned()];
    let report = world.run(&play).await.unwrap();
    let trouble = report.hosts.values().next().unwrap().trouble.clone().unwrap();
    assert!(trouble.said.contains("'named' is undefined"), "{trouble:?}");
    assert!(world.is_tidy());
}

/// The type and the key of a line in a file of host keys, without the comment.
fn key(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_host_key_that_changed_is_refused_and_told() {
    let world = World::new(1);
    let tasks = "  - ansible.builtin.raw: touch /tmp/was-here\n";
    let mut play = world.play(tasks);
    let first = world.run(&play).await.unwrap().hosts[world.hosts[0].address()].proved.clone().unwrap();
    play.hosts[0].known = KnownKey::Pinned(first.clone());
    let again = world.run(&play).await.unwrap();
    assert!(again.hosts[world.hosts[0].address()].trouble.is_none());
    fs::remove_file(world.hosts[0].path("/tmp/was-here")).unwrap();
    world.hosts[0].change_host_key();
    let report = world.run(&play).await.unwrap();
    let host = &report.hosts[world.hosts[0].address()];
    assert_eq!(host.trouble.as_ref().unwrap().reason, Reason::HostKeyChanged);
    assert_eq!(host.proved.as_deref().unwrap(), key(&world.hosts[0].host_key("ed25519")));
    assert_ne!(host.proved.as_deref(), Some(first.as_str()));
    assert!(!world.hosts[0].path("/tmp/was-here").exists(), "nobody signed in");
}

#[tokio::test]
async fn values_are_never_templates_and_files_are_private() {
    let world = World::new(1);
    let evil = world.folder.path().join("evil");
    let attack = format!("{{{{ lookup('pipe', 'touch {}') }}}}", evil.display());
    let tasks = "  - ansible.builtin.set_stats:\n      per_host: true\n      data:\n\
                 \x20       text: '{{ text }}'\n\
                 \x20       nested: '{{ nested.list[0] }}'\n\
                 \x20       truth: '{{ truth }}'\n\
                 \x20       mode: \"{{ lookup('pipe', 'stat -c %a ' ~ file ~ '; cat ' ~ file) }}\"\n\
                 \x20       on_host: '{{ on_host }}'\n";
    let mut play =
        world.play(tasks).with("text", attack.clone()).with("nested", json!({"list": [attack.clone()]}));
    play = play.with("truth", "true").with_file("file", Secret::new(b"hunter2".to_vec()));
    play.hosts[0].variables.push(("on_host", attack.clone().into()));
    let report = world.run(&play).await.unwrap();
    let results = &report.hosts[world.hosts[0].address()].results;
    for name in ["text", "nested", "on_host"] {
        assert_eq!(results[name], attack.as_str(), "{name}");
    }
    assert_eq!((&results["truth"], &results["mode"]), (&json!("true"), &json!("600\nhunter2")));
    assert!(!evil.exists());
}

#[tokio::test]
async fn who_is_late_is_ended_with_everything_it_began() {
    let world = World::new(1);
    let mut play =
        world.play("  - {ansible.builtin.raw: 'true', name: first}\n  - ansible.builtin.raw: sleep 1000\n");
    play.deadline = Duration::from_secs(8);
    let late = world.run(&play).await.unwrap_err();
    assert!(matches!(&late, Error::Overdue { last, .. } if last == "first"), "{late}");
    assert!(world.is_tidy(), "{:?}", processes(world.folder.path()));
    // Dropping one in the middle does the same.
    let mut run = world.ansible.begin(&play).await.unwrap();
    let begun = tokio::time::timeout(Duration::from_secs(3), run.next()).await;
    assert!(begun.is_err() && !world.is_tidy());
    drop(run);
    assert!(world.is_tidy());
}

#[tokio::test]
async fn what_was_left_behind_is_cleared_at_the_next_start() {
    let world = World::new(1);
    let play = world.play("  - ansible.builtin.raw: sleep 1000\n");
    let run = world.ansible.begin(&play).await.unwrap();
    wait_until("ssh to run", || processes(world.folder.path()).len() > 2 || !world.is_tidy());
    // As if it had been killed: nobody drops anything.
    std::mem::forget(run);
    assert!(!world.is_tidy());
    Ansible::new(settings(world.folder.path()), Entropy::system()).unwrap();
    // Whoever is killed takes a moment to go.
    wait_until("everything to be cleared", || world.is_tidy());
}

#[tokio::test]
async fn what_is_wrong_with_ansible_is_told() {
    let world = World::new(1);
    let mut play = world.play("  - no_such_module: x\n");
    let wrong = world.run(&play).await.unwrap_err();
    assert!(matches!(&wrong, Error::Playbook { said, .. } if said.contains("no_such_module")), "{wrong}");
    fs::write(&play.playbook.path, "- hosts: [\n").unwrap();
    let wrong = world.run(&play).await.unwrap_err();
    assert!(matches!(&wrong, Error::Playbook { said, .. } if said.contains("YAML")), "{wrong}");
    play.playbook.path = "/nonexistent.yml".into();
    let wrong = world.run(&play).await.unwrap_err();
    assert!(matches!(&wrong, Error::Playbook { said, .. } if said.contains("could not be found")), "{wrong}");
    let other = Settings { program: "/nonexistent/ansible-playbook".into(), ..settings(world.folder.path()) };
    let none = Ansible::new(other, Entropy::system()).unwrap().begin(&play).await.unwrap_err();
    assert!(matches!(none, Error::Start { .. }), "{none}");
    assert!(world.is_tidy());
}

/// No more at once than allowed; the others wait for their turn, and lose no time of their own.
#[tokio::test]
async fn playbooks_wait_for_their_turn() {
    let world = World::new(1);
    let play = world.play("  - ansible.builtin.raw: sleep 1000\n");
    let (one, _two) = (world.ansible.begin(&play).await.unwrap(), world.ansible.begin(&play).await.unwrap());
    let third = tokio::time::timeout(Duration::from_millis(500), world.ansible.begin(&play)).await;
    assert!(third.is_err());
    drop(one);
    world.ansible.begin(&play).await.unwrap();
}

/// Megabytes are read and not kept; the end is told.
#[tokio::test]
async fn whoever_talks_much_fills_no_memory() {
    let world = World::new(1);
    let tasks = "  - ansible.builtin.raw: 'yes | head -c 20000000; echo the end; exit 3'\n    name: talk\n";
    let report = world.run(&world.play(tasks)).await.unwrap();
    let trouble = report.hosts[world.hosts[0].address()].trouble.clone().unwrap();
    assert_eq!((trouble.said.as_str(), trouble.reason), ("the end", Reason::Failed { status: Some(3) }));
}
