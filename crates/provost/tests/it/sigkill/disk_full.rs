//! A disk that is full, or fails: nothing is taken any more, nothing is lost, and work goes on once there is
//! room.
//!
//! The small disk is a file system in memory, in a mount namespace of its own (unshare(1)), which goes away
//! with the last process in it. The failing one is a limit on how long files may become (setrlimit(2)).

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use base::Entropy;
use reqwest::Method;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use x509::{Crl, KeySpec, Name, PrivateKey, Serial, SigningRequest};

use super::client::{Answer, Authority, Client};
use super::server::{Place, Server};
use crate::program::PROVOST;

/// What to do where no disk can be mounted.
pub(super) const NOT_MOUNTED: &str = "a small disk is mounted with unshare(1) and mount(8): be root, or allow it with \
                                      `sysctl kernel.unprivileged_userns_clone=1`";
/// The size of the file system.
const KIBIBYTES: usize = 6 * 1024;
/// So many requests are more than fit into what is left.
const REQUESTS_MAX: usize = 2_000;

/// A small file system, for as long as its first process reads from us.
pub(super) struct Disk {
    holder: Child,
    _alive: ChildStdin,
    pub(super) at: PathBuf,
}

impl Disk {
    /// `None` where namespaces or mounting are not allowed.
    pub(super) fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let script =
            format!("mount -t tmpfs -o size={KIBIBYTES}k,mode=0700 tmpfs \"$1\" && echo mounted && cat");
        // In a user namespace of its own, which also those may mount in who are not root.
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let disk = Self { _alive: holder.stdin.take().unwrap(), holder, at: at.to_owned() };
        (line == "mounted\n").then_some(disk)
    }

    /// What starts a program that sees the file system.
    pub(super) fn inside(&self) -> Vec<OsString> {
        let target = self.holder.id().to_string();
        ["nsenter", "--user", "--preserve-credentials", "--mount", "--target", &target]
            .map(OsString::from)
            .to_vec()
    }

    /// The path of a file on it, as it is seen from outside.
    fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    pub(super) fn read(&self, path: &Path) -> Vec<u8> {
        std::fs::read(self.outside(path)).unwrap()
    }

    fn ballast(&self) -> PathBuf {
        self.outside(&self.at.join("ballast"))
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Lets nobody write to it any more, or again.
    pub(super) fn is_read_only(&self, is_so: bool) {
        let options = if is_so { "remount,ro" } else { "remount,rw" };
        let words = self.inside();
        let mut mount = Command::new(&words[0]);
        let ran = mount.args(&words[1..]).args(["mount", "-o", options]).arg(&self.at).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    /// Gives back so many bytes of what was filled.
    fn make_room(&self, bytes: u64) {
        let file = File::options().write(true).open(self.ballast()).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(bytes)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What a client has.
struct Taken {
    id: u64,
    csr: String,
    certificate: String,
}

/// A request that was refused, and with which status.
#[derive(Debug)]
struct Refused {
    status: u16,
    csr: String,
}

impl Refused {
    /// Once there is room, it is taken, whether or not its intent to be signed was stored the first time.
    fn submit_again(self, client: &Client, expected: u16) -> Taken {
        assert_eq!(self.status, expected);
        submit_text(client, self.csr).unwrap()
    }
}

/// Submits a new request and fetches its certificate.
fn submit(client: &Client, key: &PrivateKey, entropy: &Entropy) -> Result<Taken, Refused> {
    let name = Name::from_common_name(&format!("client {:016x}", entropy.number())).unwrap();
    submit_text(client, SigningRequest::build(key, &name, &[]).to_pem())
}

fn submit_text(client: &Client, csr: String) -> Result<Taken, Refused> {
    let answer = client.submit(Authority::Services, &csr).unwrap();
    if answer.status != 201 {
        return Err(Refused { status: answer.status, csr });
    }
    let id = answer.id();
    let certificate = client.certificate(Authority::Services, id).unwrap();
    assert_eq!(certificate.status, 200);
    Ok(Taken { id, csr, certificate: certificate.body })
}

/// Adds to what is taken until a request is refused.
fn submit_until_refused(
    client: &Client,
    key: &PrivateKey,
    entropy: &Entropy,
    taken: &mut Vec<Taken>,
) -> Refused {
    for _ in 0..REQUESTS_MAX {
        match submit(client, key, entropy) {
            Ok(one) => taken.push(one),
            Err(refused) => return refused,
        }
    }
    panic!("the disk never was full");
}

/// A person lets the pages of an origin use the service.
fn grant(client: &Client) -> Answer {
    let form = "origin=https%3A%2F%2Fpage.example&return_to=https%3A%2F%2Fpage.example%2F&grant=1";
    let body = ("application/x-www-form-urlencoded", form.to_owned());
    client.ask_as_admin(Method::POST, "/cors", Some(body)).unwrap()
}

fn check_all(client: &Client, taken: &[Taken]) {
    for Taken { id, csr, certificate } in taken {
        assert_eq!(&client.request(Authority::Services, *id).unwrap().body, csr);
        assert_eq!(&client.certificate(Authority::Services, *id).unwrap().body, certificate);
    }
    assert_eq!(client.revocation_list(Authority::Services).unwrap().status, 200);
    assert_eq!(client.ask(Method::GET, "/readyz", None).unwrap().status, 200);
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost_when_it_is_killed_then() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::mount(&directory.path().join("disk")).expect(NOT_MOUNTED);
    let place = Place { inside: disk.inside(), ..Place::new(&disk.at.join("data")) };
    let flags = ["--ca-services-auto-approve-count", "1000000"];
    let (server, _) = place.start(&flags);
    let (server_ca, admin) =
        (disk.read(&place.data.join("server-ca.pem")), disk.read(&place.data.join("admin.pem")));
    let connect = || Client::with(&place, &server_ca, &admin);
    let client = connect();
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let entropy = Entropy::seeded(3);
    let (mut taken, mut refused) = (Vec::new(), Vec::new());

    // At first with nothing left at all, then with a little, so that it ends in the middle of something.
    for room in [0, 200 * 1024, 70 * 1024] {
        let before = submit(&client, &key, &entropy).unwrap();
        disk.fill();
        disk.make_room(room);
        if room == 0 {
            // The first answer to the form of the pages: what signs it has to be stored before.
            let answer = grant(&client);
            assert_eq!(answer.status, 507, "{answer:?}");
            assert_eq!(answer.body, "the disk is full, so that the answer cannot be remembered");
        }
        refused.push(submit_until_refused(&client, &key, &entropy, &mut taken));
        taken.push(before);
        check_all(&client, &taken);
        // A revocation is smaller, and may fit; then it counts.
        let serial = Serial::random(&entropy);
        let revoked = client.revoke_serial(Authority::Services, &serial).unwrap();
        assert!([204, 507].contains(&revoked.status), "{revoked:?}");
        let list =
            Crl::from_pem(client.revocation_list(Authority::Services).unwrap().body.as_bytes()).unwrap();
        assert_eq!(list.contains(&serial), revoked.status == 204);
        disk.make_room(400 * 1024);
    }
    disk.fill();
    server.kill();
    disk.make_room(u64::MAX);
    let (server, _) = place.start(&flags);
    let client = connect();
    check_all(&client, &taken);
    taken.extend(refused.into_iter().map(|again| again.submit_again(&client, 507)));
    check_all(&client, &taken);
    assert_eq!(grant(&client).status, 302);
    server.stop();
}

/// What takes a house elsewhere says so where there is no room for it, and leaves nothing of it.
#[test]
fn a_full_disk_under_what_is_taken_elsewhere_is_told_and_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::mount(&directory.path().join("disk")).expect(NOT_MOUNTED);
    let place = Place { inside: disk.inside(), ..Place::new(&disk.at.join("data")) };
    place.start(&[]).0.stop();
    let (data, whole) = (place.data.to_str().unwrap(), directory.path().join("whole.tar"));
    let on_disk = |name: &str| disk.at.join(name).to_str().unwrap().to_owned();
    let ran = |words: &[&str]| {
        let inside = disk.inside();
        let mut command = Command::new(&inside[0]);
        command.args(&inside[1..]).arg(PROVOST).args(words);
        testkit::run(command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent"))
    };
    let whole = whole.to_str().unwrap();
    ran(&["backup", "--data", data, "--unencrypted", whole]).ok();
    disk.fill();
    // As much as it takes to look at what is there.
    disk.make_room(40 * 1024);
    let names = || {
        let entries = std::fs::read_dir(disk.outside(&disk.at)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let (copy, database, again) = (on_disk("out.tar"), on_disk("out.sqlite"), on_disk("again"));
    for words in [
        &["backup", "--data", data, "--unencrypted", &copy][..],
        &["ca", "export", "--data", data, &database],
        &["restore", "--data", &again, whole],
    ] {
        let refused = ran(words);
        let is_told =
            ["No space left on device", "disk is full"].iter().any(|told| refused.stderr.contains(told));
        assert!(refused.code.is_some_and(|code| code != 0) && is_told, "{words:?}: {refused:?}");
        assert_eq!(names(), before, "{words:?}");
    }
    disk.make_room(u64::MAX);
    ran(&["restore", "--data", &again, whole]).ok();
    place.start(&[]).0.stop();
}

/// A limit on the size of files (setrlimit(2), RLIMIT_FSIZE) is told as a full disk is, and survived likewise.
#[test]
fn a_limit_on_files_is_told_and_nothing_is_lost_when_it_is_killed_then() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new(&directory.path().join("data"));
    let flags = ["--ca-services-auto-approve-count", "1000000"];
    let (server, _) = place.start(&flags);
    let limit_files = |server: &Server, current| {
        let pid = Pid::from_raw(i32::try_from(server.id()).unwrap());
        prlimit(pid, Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    let client = Client::new(&place);
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let entropy = Entropy::seeded(4);
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for room in [0, 30_000, 100_000] {
        taken.push(submit(&client, &key, &entropy).unwrap());
        let log = std::fs::metadata(place.data.join("provost.db-wal")).unwrap().len();
        limit_files(&server, Some(log + room));
        refused.push(submit_until_refused(&client, &key, &entropy, &mut taken));
        check_all(&client, &taken);
        limit_files(&server, None);
    }
    taken.push(submit(&client, &key, &entropy).unwrap());
    limit_files(&server, Some(0));
    refused.push(submit_until_refused(&client, &key, &entropy, &mut taken));
    server.kill();
    let (server, _) = place.start(&flags);
    let client = Client::new(&place);
    check_all(&client, &taken);
    refused.into_iter().for_each(|again| drop(again.submit_again(&client, 507)));
    server.stop();
}
