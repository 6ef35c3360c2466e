//! What is to be trusted comes to hosts, and goes: real sshd hosts with Debian's own tools, and `curl`, which says whom it
//! trusts.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Secret, Span, Timestamp};
use engine::handing_on::{Delivered, DeliveryError, deliver, deliver_each, withdraw};
use ssh::{Address, Sessions, Target, UserKey};
use testkit::{Host, HostPlan, Hosts, Process, wait_until};
use trust::Anchor;
use trust::on_host::{Amiss, FilePlace, OnHost};
use x509::{Certificate, CertificateTemplate, KeySpec, KeyUsage, Name, PrivateKey, Serial, extension};

const FOLDER: &str = "/usr/local/share/ca-certificates";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An authority, and what it signs.
struct Authority {
    key: PrivateKey,
    certificate: Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let extensions = vec![
            extension::basic_constraints(true, None),
            extension::key_usage(KeyUsage::KEY_CERT_SIGN, true),
        ];
        let certificate = signed(name, name, &key, &key, extensions);
        Self { key, certificate }
    }

    fn anchor(&self) -> Anchor {
        Anchor::from(&self.certificate)
    }

    /// An HTTPS server at `address` with a certificate of this authority, and its URL.
    fn serve(&self, folder: &Path, address: &str) -> (Process, String) {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let names = extension::subject_alt_name_address(address.parse().unwrap(), false);
        let issuer = self.certificate.subject().common_name().unwrap();
        let certificate = signed("server", &issuer, &self.key, &key, vec![names]);
        let file = folder.join("server.pem");
        std::fs::write(&file, format!("{}{}", certificate.to_pem(), key.to_pem().expose().as_str())).unwrap();
        let mut command = std::process::Command::new("openssl");
        command.args(["s_server", "-www", "-accept", &format!("{address}:0"), "-cert"]).arg(&file);
        let server = Process::spawn(&mut command);
        let said = server.wait_for_stdout(|said| said.contains("ACCEPT") && said.ends_with('\n')).unwrap();
        let at = said.lines().find_map(|line| line.strip_prefix("ACCEPT ")).unwrap().to_owned();
        (server, format!("https://{at}/"))
    }
}

pub(crate) fn signed(
    subject: &str,
    issuer: &str,
    signer: &PrivateKey,
    key: &PrivateKey,
    extensions: Vec<x509::Extension>,
) -> Certificate {
    let now: Timestamp = Clock::system().now();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: Name::from_common_name(issuer).unwrap(),
        subject: Name::from_common_name(subject).unwrap(),
        not_before: now - Span::days(1),
        not_after: now + Span::days(30),
        public_key: key.public().clone(),
        extensions,
    };
    template.sign(signer)
}

/// A bundle of these.
fn bundle_of(authorities: &[&Authority]) -> Vec<Anchor> {
    let mut bundle: Vec<Anchor> = authorities.iter().map(|authority| authority.anchor()).collect();
    bundle.sort();
    bundle
}

struct World {
    folder: tempfile::TempDir,
    remote: Arc<Sessions>,
    hosts: Hosts,
}

impl World {
    fn new(plans: Vec<HostPlan>) -> Self {
        let limits = ssh::Limits { connect: Duration::from_secs(3), ..ssh::Limits::default() };
        let settings = ssh::Settings { limits, ..ssh::Settings::default() };
        let remote = Arc::new(Sessions::new(settings, Clock::system()));
        Self { folder: tempfile::tempdir().unwrap(), remote, hosts: Hosts::start(plans) }
    }

    /// A Debian with a trust store of its own, in which few others are: they are not what this is about.
    fn debian() -> Self {
        let world = Self::new(vec![HostPlan::new().own_trust().down_for(0.0)]);
        world.say("ls /usr/share/ca-certificates/mozilla/A*.crt | cut -d/ -f5- | head -n 4 >/etc/ca-certificates.conf");
        world.say("update-ca-certificates --fresh");
        world
    }

    /// Puts a program in front of the system's one of that name.
    fn replace(&self, program: &str, script: &str) {
        let path = self.host().folder().join("local/bin").join(program);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Takes it away again.
    fn restore(&self, program: &str) {
        std::fs::remove_file(self.host().folder().join("local/bin").join(program)).unwrap();
    }

    /// Which files of ours are in the folder.
    fn own(&self) -> String {
        self.say(&format!("cd {FOLDER}; ls -A"))
    }

    fn host(&self) -> &Host {
        &self.hosts[0]
    }

    fn target(&self, user: &str) -> Target {
        let key = UserKey::parse(&Secret::new(self.hosts.key())).unwrap();
        let target = Target::new(Address::new(self.host().address(), 22), user, key);
        target.pinned(self.host().host_key("ed25519").parse().unwrap())
    }

    async fn deliver(&self, places: &OnHost, bundle: &[Anchor]) -> Result<Delivered, DeliveryError> {
        deliver(&*self.remote, &self.target("admin"), places, bundle).await
    }

    /// Whether something was changed, and whether somebody else had changed something.
    async fn delivered(&self, places: &OnHost, bundle: &[Anchor]) -> (bool, bool) {
        let delivered = self.deliver(places, bundle).await.unwrap();
        (delivered.changed, delivered.drift)
    }

    async fn withdrawn(&self, places: &OnHost) -> (bool, bool) {
        let delivered = withdraw(&*self.remote, &self.target("admin"), places).await.unwrap();
        (delivered.changed, delivered.drift)
    }

    fn say(&self, script: &str) -> String {
        self.host().sh(script).ok().trim().to_owned()
    }

    /// Whether `curl` on the host trusts who answers at `url`, by the system's bundle and by its hashed links.
    fn trusts(&self, url: &str) -> bool {
        let curl = |options: &str| self.host().sh(&format!("curl -sS -o /dev/null {options} {url}")).code;
        let by_bundle = curl("");
        let nobody = self.host().path("/tmp/nobody.pem");
        std::fs::write(nobody, Authority::new("nobody").certificate.to_pem()).unwrap();
        let by_links = curl("--cacert /tmp/nobody.pem --capath /etc/ssl/certs");
        assert_eq!(by_bundle, by_links, "the bundle and the links are of one mind");
        assert!(matches!(by_bundle, Some(0 | 60)), "{by_bundle:?}");
        by_bundle == Some(0)
    }

    /// Which of these the host's bundle has.
    fn trusted(&self, among: &[Anchor]) -> Vec<Anchor> {
        let text = std::fs::read_to_string(self.host().path(BUNDLE)).unwrap();
        among.iter().filter(|anchor| text.contains(anchor.pem())).cloned().collect()
    }
}

fn in_store() -> OnHost {
    OnHost { system_store: true, ..OnHost::default() }
}

fn file_of(anchor: &Anchor) -> String {
    format!("{FOLDER}/provost-{}.crt", anchor.fingerprint())
}

#[tokio::test]
async fn a_host_trusts_what_is_handed_on_and_then_no_longer() {
    let world = World::debian();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (_old_server, of_old) = old.serve(world.folder.path(), &world.hosts.gateway());
    let (_new_server, of_new) = new.serve(world.folder.path(), &world.hosts.gateway());
    let trusts = || [world.trusts(&of_old), world.trusts(&of_new)];
    let before = world.say(&format!("ls {FOLDER} /etc/ssl/certs; cat {BUNDLE}"));
    world.say(&format!("echo theirs >{FOLDER}/provost-theirs.txt"));
    assert_eq!(trusts(), [false, false]);

    let places = in_store();
    // Who has nothing is not touched.
    assert_eq!(world.delivered(&places, &[]).await, (false, false));
    let delivered = world.deliver(&places, &bundle_of(&[&old])).await.unwrap();
    assert_eq!((delivered.changed, delivered.drift), (true, false));
    assert_eq!(delivered.store.unwrap().name, "debian");
    assert_eq!(trusts(), [true, false]);
    assert_eq!(world.delivered(&places, &bundle_of(&[&old, &new])).await, (true, false));
    assert_eq!(trusts(), [true, true]);
    assert_eq!(world.delivered(&places, &bundle_of(&[&old, &new])).await, (false, false));
    let text =
        std::fs::read_to_string(world.host().folder().join(file_of(&old.anchor()).replace("/usr/", "")))
            .unwrap();
    assert_eq!(text, old.anchor().pem());
    assert_eq!(world.delivered(&places, &bundle_of(&[&new])).await, (true, false));
    assert_eq!(trusts(), [false, true]);
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(trusts(), [false, false]);
    assert_eq!(world.withdrawn(&places).await, (false, false));

    world.say(&format!("rm {FOLDER}/provost-theirs.txt"));
    assert_eq!(world.say(&format!("ls {FOLDER} /etc/ssl/certs; cat {BUNDLE}")), before);
    assert_eq!(world.host().sh("ls -A /var/lib/provost-trust").code, Some(2), "nothing of ours is left");
}

#[tokio::test]
async fn what_somebody_changed_in_a_store_is_mended() {
    let world = World::debian();
    let (a, b, stranger) = (Authority::new("a"), Authority::new("b"), Authority::new("stranger"));
    let (places, bundle) = (in_store(), bundle_of(&[&a, &b]));
    let all = bundle_of(&[&a, &b, &stranger]);
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    let own = world.own();
    let (of_a, of_stranger) = (file_of(&a.anchor()), file_of(&stranger.anchor()));
    std::fs::write(world.host().path("/tmp/stranger.pem"), stranger.certificate.to_pem()).unwrap();
    for edit in [
        format!("rm {of_a}"),
        format!("echo more >>{of_a}"),
        format!("cp /tmp/stranger.pem {of_a}; update-ca-certificates"),
        format!("ln -sf /tmp/stranger.pem {of_a}; update-ca-certificates"),
        format!("rm {of_a}; mkdir {of_a}"),
        format!("cp /tmp/stranger.pem {of_stranger}; update-ca-certificates"),
        format!("head -n 30 {BUNDLE} >/tmp/short; cp /tmp/short {BUNDLE}"),
        format!("rm {FOLDER}/*; update-ca-certificates --fresh"),
    ] {
        world.say(&edit);
        assert_eq!(world.delivered(&places, &bundle).await, (true, true), "{edit}");
        assert_eq!((world.trusted(&all), world.own()), (bundle.clone(), own.clone()), "{edit}");
        assert_eq!(world.delivered(&places, &bundle).await, (false, false), "{edit}");
    }
    // A file of somebody else's with the same certificate stays, and is trusted for their sake.
    world.say(&format!("cp {of_a} {FOLDER}/theirs.crt; update-ca-certificates"));
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((world.own(), world.trusted(&all)), ("theirs.crt".to_owned(), vec![a.anchor()]));
}

#[tokio::test]
async fn a_store_that_did_not_take_them_up_is_told_again() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (places, bundle) = (in_store(), bundle_of(&[&a]));
    world.replace("update-ca-certificates", "echo 'there is no room' >&2; exit 4");
    for _ in 0..2 {
        let failed = world.deliver(&places, &bundle).await.unwrap_err();
        let DeliveryError::Amiss(Amiss::Program { status: 4, words, .. }) = &failed else {
            panic!("{failed}")
        };
        assert_eq!(words, "there is no room");
    }
    world.replace("update-ca-certificates", "");
    let failed = world.deliver(&places, &bundle).await.unwrap_err();
    assert!(matches!(failed, DeliveryError::Amiss(Amiss::NotTaken { count: 1, .. })), "{failed}");
    world.restore("update-ca-certificates");
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!(world.trusted(&bundle), bundle);

    world.replace("update-ca-certificates", "");
    for _ in 0..2 {
        let failed = world.deliver(&places, &bundle_of(&[&b])).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::NotTaken { .. })), "{failed}");
        let failed = withdraw(&*world.remote, &world.target("admin"), &places).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::StillTrusted { count: 1, .. })), "{failed}");
    }
    world.restore("update-ca-certificates");
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((world.trusted(&bundle), world.own()), (vec![], String::new()));
    // One that was killed in the middle left what the next would append to.
    world.say(&format!("cat >{BUNDLE}.new <<'end'\n{}end\n", a.anchor().pem()));
    assert_eq!(world.delivered(&places, &bundle_of(&[&b])).await, (true, false));
    assert_eq!(world.trusted(&bundle_of(&[&a, &b])), bundle_of(&[&b]));
}

#[tokio::test]
async fn each_file_has_what_is_said_for_it() {
    let world = World::debian();
    let (a, b, c) = (Authority::new("a"), Authority::new("b"), Authority::new("c"));
    let (store, one, other) = (bundle_of(&[&a]), bundle_of(&[&b, &a]), bundle_of(&[&c]));
    let files = ["/etc/one.pem", "/etc/other.pem", "/etc/none.pem"].map(|path| FilePlace::new(path).unwrap());
    let places = OnHost { system_store: true, java: false, files: files.to_vec() };
    let deliver = async |contents: &[&[Anchor]]| {
        let target = world.target("admin");
        let done = deliver_each(&*world.remote, &target, &places, &store, contents, &[]).await.unwrap();
        (done.changed, done.drift)
    };
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap();
    assert_eq!(deliver(&[&one, &other, &[]]).await, (true, false));
    assert_eq!(read("/etc/one.pem"), text(&one));
    assert_eq!((read("/etc/other.pem"), read("/etc/none.pem")), (text(&other), String::new()));
    assert_eq!(
        world.trusted(&bundle_of(&[&a, &b, &c])),
        store,
        "what is in a file only is not trusted by all"
    );
    assert_eq!(deliver(&[&one, &other, &[]]).await, (false, false));
    assert_eq!(deliver(&[&one, &one, &[]]).await, (true, false));
    assert_eq!((read("/etc/one.pem"), read("/etc/other.pem")), (text(&one), text(&one)));
    world.say("echo more >>/etc/other.pem");
    assert_eq!(deliver(&[&one, &one, &[]]).await, (true, true));
    assert_eq!(read("/etc/other.pem"), text(&one));
}

/// Whoever read a file knows that it went; and one that cannot be removed is not forgotten.
#[tokio::test]
async fn files_that_go_are_gone_and_their_hooks_are_run() {
    let world = World::debian();
    let a = Authority::new("a");
    let bundle = bundle_of(&[&a]);
    let file = |path: &str| FilePlace::new(path).unwrap();
    let hooked = file("/etc/hooked.pem").with_hook("ls /etc/hooked.pem >>/var/log/hook 2>&1 || :").unwrap();
    let both = OnHost { files: vec![file("/etc/stays.pem"), hooked.clone()], ..OnHost::default() };
    let one = OnHost { files: vec![file("/etc/stays.pem")], ..OnHost::default() };
    let deliver = async |places: &OnHost, drops: &[FilePlace]| {
        let (target, contents) = (world.target("admin"), vec![&bundle[..]; places.files.len()]);
        deliver_each(&*world.remote, &target, places, &bundle, &contents, drops).await
    };
    let done = |changed| Delivered { changed, drift: false, store: None };
    assert_eq!(deliver(&both, &[]).await.unwrap(), done(true));
    let ran = || world.say("cat /var/log/hook");
    assert_eq!(ran(), "/etc/hooked.pem");
    assert_eq!(deliver(&one, std::slice::from_ref(&hooked)).await.unwrap(), done(true));
    assert!(ran().contains("cannot access '/etc/hooked.pem'"), "{}", ran());
    assert!(world.host().path("/etc/stays.pem").exists());
    // What was never there, or has gone, is no reason to do anything.
    assert_eq!(deliver(&one, std::slice::from_ref(&hooked)).await.unwrap(), done(false));

    // Listed or not, what cannot be removed is tried again, and told of.
    deliver(&both, &[]).await.unwrap();
    world.replace(
        "rm",
        "case \"$*\" in */etc/hooked.pem*) echo 'rm: not permitted' >&2; exit 1;; esac; exec /bin/rm \"$@\"",
    );
    for drops in [&[][..], std::slice::from_ref(&hooked), &[]] {
        let Err(DeliveryError::Amiss(Amiss::NotRemoved { words })) = deliver(&one, drops).await else {
            panic!("it is there still");
        };
        assert_eq!(words, "rm: not permitted");
        assert!(world.host().path("/etc/hooked.pem").exists());
    }
    world.restore("rm");
    assert_eq!(deliver(&one, &[]).await.unwrap(), done(true));
    assert!(!world.host().path("/etc/hooked.pem").exists());
}

#[tokio::test]
async fn files_are_as_they_are_to_be_and_hooks_run_when_bytes_change() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let (bundle, other) = (bundle_of(&[&a, &b]), bundle_of(&[&b]));
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let path = "/srv/it's an app/cas.pem";
    let hook = r#"echo "$(wc -c <"/srv/it's an app/cas.pem")" >>/var/log/hook; ! cat /tmp/fail >&2"#;
    let hooked = FilePlace::new(path).unwrap().with_owner("guest").unwrap().with_group("adm").unwrap();
    let hooked = hooked.with_mode("0640").unwrap().with_hook(hook).unwrap();
    let plain = FilePlace::new("/etc/cas.pem").unwrap();
    let places = OnHost { files: vec![hooked.clone(), plain.clone()], ..OnHost::default() };
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap();
    let ran = || world.say("touch /var/log/hook; wc -l </var/log/hook").parse::<u32>().unwrap();
    let stat = || world.say("stat -c '%a %U:%G' \"/srv/it's an app/cas.pem\" /etc/cas.pem");

    let delivered = world.deliver(&places, &bundle).await.unwrap();
    assert_eq!((delivered.changed, delivered.drift, delivered.store), (true, false, None));
    assert_eq!((read(path), read("/etc/cas.pem"), ran()), (text(&bundle), text(&bundle), 1));
    assert_eq!(stat(), "640 guest:adm\n644 root:root");
    assert_eq!(world.delivered(&places, &bundle).await, (false, false));
    world.say("chmod 666 /srv/*/cas.pem; chown root /srv/*/cas.pem");
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!((stat().as_str(), ran()), ("640 guest:adm\n644 root:root", 1));
    for (times, edit) in [
        (2, "cd /srv/*/ && echo more >>cas.pem"),
        (3, "rm /srv/*/cas.pem"),
        (4, "cd /srv/*/ && ln -sf /etc/passwd cas.pem"),
    ] {
        world.say(edit);
        assert_eq!(world.delivered(&places, &bundle).await, (true, true), "{edit}");
        assert_eq!((read(path), ran()), (text(&bundle), times), "{edit}");
    }
    assert!(!read("/etc/passwd").contains("CERTIFICATE"), "what a link points to is not written to");

    // A hook that failed is owed, whatever becomes of the bytes.
    world.say("echo 'no such service' >/tmp/fail");
    for times in [5, 6] {
        let failed = world.deliver(&places, &other).await.unwrap_err();
        let DeliveryError::Amiss(Amiss::Hook { path: of, status: 1, words }) = &failed else {
            panic!("{failed}")
        };
        assert_eq!((of.as_str(), words.as_str(), ran()), (path, "no such service", times));
        assert_eq!((read(path), read("/etc/cas.pem")), (text(&other), text(&other)));
    }
    world.say("rm /tmp/fail");
    assert_eq!(world.delivered(&places, &other).await, (true, false));
    assert_eq!(ran(), 7);
    assert_eq!(world.delivered(&places, &other).await, (false, false));

    // A folder is in the way of a file, and what is right is done all the same.
    world.say("rm /etc/cas.pem; mkdir /etc/cas.pem");
    let failed = world.deliver(&places, &bundle).await.unwrap_err();
    assert!(
        matches!(&failed, DeliveryError::Amiss(Amiss::NotWritten { what, .. }) if what == "/etc/cas.pem"),
        "{failed}"
    );
    assert_eq!((read(path), ran()), (text(&bundle), 8));
    world.say("rmdir /etc/cas.pem");
    // The empty set is a set: the file stays.
    assert_eq!(world.delivered(&places, &[]).await, (true, false));
    assert_eq!((read(path), ran()), (String::new(), 9));
    // What is not asked for any more goes.
    let fewer = OnHost { files: vec![hooked], ..OnHost::default() };
    assert_eq!(world.delivered(&fewer, &bundle).await, (true, false));
    assert!(!world.host().path("/etc/cas.pem").exists());
    world.say("echo theirs >/etc/cas.pem");
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((read("/etc/cas.pem").as_str(), ran()), ("theirs\n", 11));
    assert!(!world.host().path(path).exists() && !world.host().path("/var/lib/provost-trust").exists());
    assert_eq!(world.withdrawn(&places).await, (false, false));
}

/// Each program that a delivery runs is once the one at which the host, or all that is at work on it, is killed.
#[tokio::test]
async fn a_delivery_that_kill_9_ends_anywhere_leaves_the_old_or_the_new_and_the_next_mends_it() {
    let world = World::debian();
    let [a, b, c, common] = ["a", "b", "c", "common"].map(Authority::new);
    let sets = [&a, &b, &c].map(|one| bundle_of(&[one, &common]));
    let all = bundle_of(&[&a, &b, &c, &common]);
    let file = FilePlace::new("/etc/cas.pem").unwrap().with_hook("cp /etc/cas.pem /tmp/hooked").unwrap();
    let places = OnHost { system_store: true, files: vec![file], ..OnHost::default() };
    let text = |bundle: &[Anchor]| bundle.iter().map(Anchor::pem).collect::<String>();
    let read = |path: &str| std::fs::read_to_string(world.host().path(path)).unwrap_or_default();
    assert_eq!(world.delivered(&places, &sets[0]).await, (true, false));

    let programs =
        ["cp", "mv", "rm", "mkdir", "chmod", "sync", "sed", "ln", "find", "openssl", "cmp", "sha256sum"];
    let arm = |at: usize| std::fs::write(world.host().path("/etc/kill-at"), at.to_string()).unwrap();
    let calls = || read("/etc/killed").lines().count();
    for program in programs {
        world.replace(
            program,
            &format!(
                "exec 8>/etc/kill-lock; /usr/bin/flock 8; echo {program} >>/etc/killed\n\
                 number=$(/usr/bin/wc -l </etc/killed); exec 8>&-\n\
                 if [ \"$number\" -eq \"$(cat /etc/kill-at)\" ]; then\n\
                 # All that is at work; or the whole host, which boots again.\n\
                 if [ -e /etc/kill-host ]; then kill -TERM 1; sleep 100; fi\n\
                 kill -9 $(pidof -o $$ sh) 2>/dev/null; exit 1\n\
                 fi\n\
                 PATH=/usr/sbin:/usr/bin:/sbin:/bin exec {program} \"$@\""
            ),
        );
    }
    let (mut at, mut mended) = (0, [0, 0]);
    for round in 0.. {
        let [old, new, next] = [0, 1, 2].map(|more| &sets[(2 * round + more) % 3]);
        // All of them take minutes; these are of either kind, and at all stages.
        at += 3;
        let kills_host = at % 2 == 0;
        let mark = world.host().path("/etc/kill-host");
        if kills_host {
            std::fs::write(mark, "").unwrap()
        } else {
            drop(std::fs::remove_file(mark))
        }
        std::fs::write(world.host().path("/etc/killed"), "").unwrap();
        arm(at);
        let boots = world.host().boots();
        let ended = world.deliver(&places, new).await;
        if calls() < at {
            assert!(ended.map(|done| done.changed).unwrap(), "it was not interrupted");
            break;
        }
        assert!(ended.is_err(), "{at}");
        if kills_host {
            wait_until("the host to boot", || world.host().boots() > boots);
            world.host().wait_until_up();
        }
        arm(0);
        let last = read("/etc/killed").lines().nth(at - 1).unwrap_or_default().to_owned();
        let trusted = world.trusted(&all);
        assert!([old, new].contains(&&trusted), "{at}, {last}: {trusted:?}");
        assert!([text(old), text(new)].contains(&read("/etc/cas.pem")), "{at}, {last}");
        mended[usize::from(trusted == *new)] += 1;
        // Not the one that was interrupted: that one has come and gone in the meantime.
        let delivered = world.deliver(&places, next).await;
        assert!(delivered.is_ok_and(|delivered| !delivered.drift), "{at}, {last}: nobody else was at it");
        assert_eq!(world.trusted(&all), *next, "{at}, {last}");
        let names: Vec<String> =
            next.iter().map(|anchor| format!("provost-{}.crt", anchor.fingerprint())).collect();
        let mut own: Vec<String> = world.own().lines().map(str::to_owned).collect();
        own.sort_by_key(|name| names.iter().position(|known| known == name));
        assert_eq!(own, names, "{at}, {last}");
        assert_eq!((read("/etc/cas.pem"), read("/tmp/hooked")), (text(next), text(next)), "{at}, {last}");
        assert_eq!(
            world.say("ls -A /etc/ /var/lib/provost-trust | grep -e provost-new -e begun -e owed; true"),
            ""
        );
    }
    assert!(at > 30 && mended.iter().all(|times| *times > 0), "{at}, {mended:?}");
}

/// As `update-ca-trust(8)` says: what is in the anchors' folder, and not on the block list, comes into one file, for
/// authorities only.
const UPDATE_CA_TRUST: &str = r##"[ "$*" = extract ] || exit 2
cd /etc/pki/ca-trust && mkdir -p extracted/pem && : >extracted/pem/new
for file in source/anchors/*; do
    [ -f "$file" ] || continue
    print=$(openssl x509 -in "$file" -noout -fingerprint) || { echo "p11-kit: $file: cannot parse" >&2; continue; }
    openssl x509 -in "$file" -noout -ext basicConstraints 2>/dev/null | grep -q CA:TRUE || continue
    blocked=
    for other in source/blocklist/*; do
        [ -f "$other" ] && [ "$(openssl x509 -in "$other" -noout -fingerprint)" = "$print" ] && blocked=1
    done
    [ -n "$blocked" ] || { echo "# $print"; openssl x509 -in "$file"; echo; } >>extracted/pem/new
done
mv extracted/pem/new extracted/pem/tls-ca-bundle.pem"##;

/// With a stand-in for `update-ca-trust`, which Debian does not have.
#[tokio::test]
async fn a_store_as_fedora_has_it() {
    let world = World::new(vec![HostPlan::new().os("fedora", "40").own_trust()]);
    let (a, b, leaf) = (Authority::new("a"), Authority::new("b"), {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        signed("leaf", "leaf", &key, &key, vec![extension::basic_constraints(false, None)])
    });
    world.say("mkdir -p /etc/pki/ca-trust/source/anchors /etc/pki/ca-trust/source/blocklist");
    world.replace("update-ca-trust", UPDATE_CA_TRUST);
    let (_server, url) = a.serve(world.folder.path(), &world.hosts.gateway());
    let bundle = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
    let trusts =
        || world.host().sh(&format!("curl -sS -o /dev/null --cacert {bundle} {url}")).code == Some(0);
    let (places, both) = (in_store(), bundle_of(&[&a, &b]));
    assert!(!trusts());
    let delivered = world.deliver(&places, &both).await.unwrap();
    assert_eq!((delivered.changed, delivered.store.unwrap().name), (true, "fedora"));
    assert!(trusts());
    assert_eq!(world.own(), "", "nothing is put where Debian would have it");
    assert_eq!(world.delivered(&places, &both).await, (false, false));
    assert_eq!(world.delivered(&places, &bundle_of(&[&b])).await, (true, false));
    assert!(!trusts());
    // The block list wins over anchors, and leaves are left out: neither is claimed to be trusted.
    let path = format!("/etc/pki/ca-trust/source/anchors/provost-{}.pem", b.anchor().fingerprint());
    world.say(&format!("cp {path} /etc/pki/ca-trust/source/blocklist/; update-ca-trust extract"));
    for bundle in [bundle_of(&[&b]), vec![Anchor::from(&leaf)]] {
        let failed = world.deliver(&places, &bundle).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::NotTaken { count: 1, .. })), "{failed}");
    }
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(world.say("ls -A /etc/pki/ca-trust/source/anchors"), "");
}

#[tokio::test]
async fn two_thousand_certificates_are_trusted() {
    let world = World::debian();
    let bundle: std::collections::BTreeSet<Anchor> = (0..2000)
        .map(|number| {
            let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
            let name = format!("authority {number}");
            Anchor::from(&signed(&name, &name, &key, &key, vec![extension::basic_constraints(true, None)]))
        })
        .collect();
    let bundle: Vec<Anchor> = bundle.into_iter().collect();
    let places = OnHost { files: vec![FilePlace::new("/etc/cas.pem").unwrap()], ..in_store() };
    assert_eq!(world.delivered(&places, &bundle).await, (true, false));
    assert_eq!(world.trusted(&bundle).len(), 2000);
    assert_eq!(world.delivered(&places, &bundle).await, (false, false));
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!((world.trusted(&bundle), world.own()), (vec![], String::new()));
}

/// As Debian's ca-certificates-java does: it is told of links that came and went, and keeps what they name. `keytool`
/// tells what it keeps in its own words.
const JKS_KEYSTORE: &str = r#"touch /etc/keystore
while read -r line; do
    link=${line#?}
    grep -v " debian:${link##*/}\$" /etc/keystore >/etc/keystore.new
    case $line in +*)
        echo "$(openssl x509 -in "$link" -noout -fingerprint -sha256 | sed 's/.*=//') debian:${link##*/}" >>/etc/keystore.new
    esac
    mv /etc/keystore.new /etc/keystore
done
mkdir -p /etc/ssl/certs/java && cp /etc/keystore /etc/ssl/certs/java/cacerts"#;
const KEYTOOL: &str = r#"[ "$*" = "-list -keystore /etc/ssl/certs/java/cacerts -storepass changeit" ] || exit 1
echo 'Keystore type: JKS'
while read -r print alias; do
    printf '%s, Nov 22, 2026, trustedCertEntry,\nCertificate fingerprint (SHA-256): %s\n' "$alias" "$print"
done </etc/ssl/certs/java/cacerts"#;

/// With stand-ins for Java, whose own package takes as much room as all other witnesses. `update-ca-certificates` is the
/// real one, which tells Java nothing of what is gone when it makes all links anew.
#[tokio::test]
async fn javas_keystore_follows() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let both = bundle_of(&[&a, &b]);
    let places = OnHost { java: true, ..in_store() };
    world.say("rm -rf /etc/ssl/certs/java");
    let failed = world.deliver(&places, &both).await.unwrap_err();
    assert!(matches!(failed, DeliveryError::Amiss(Amiss::NoKeystore { .. })), "{failed}");
    world.replace("keytool", KEYTOOL);
    world.replace("jks-keystore", JKS_KEYSTORE);
    world
        .say("cp /usr/local/bin/jks-keystore /etc/ca-certificates/update.d/; update-ca-certificates --fresh");
    let keeps = || {
        let text = std::fs::read_to_string(world.host().path("/etc/ssl/certs/java/cacerts")).unwrap();
        [&a, &b].map(|one| text.contains(&format!("debian:provost-{}.pem", one.anchor().fingerprint())))
    };
    assert_eq!(world.delivered(&places, &both).await, (true, false));
    assert_eq!(keeps(), [true, true]);
    assert_eq!(world.delivered(&places, &both).await, (false, false));
    assert_eq!(world.delivered(&places, &bundle_of(&[&b])).await, (true, false));
    assert_eq!(keeps(), [false, true]);
    // What Java lost is noticed.
    world.say(": >/etc/ssl/certs/java/cacerts");
    assert!(world.delivered(&places, &bundle_of(&[&b])).await.0);
    assert_eq!(keeps(), [false, true]);
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(keeps(), [false, false]);
}
