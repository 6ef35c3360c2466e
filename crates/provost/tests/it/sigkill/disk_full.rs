//! A disk that is full: nothing is taken any more, nothing is lost, and work goes on once there is room.
//!
//! The data directory is on a small file system in memory, in a mount namespace of its own (unshare(1)). It
//! goes away with the last process in it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use base::Entropy;
use reqwest::Method;
use x509::{KeySpec, Name, PrivateKey, SigningRequest};

use super::client::{Authority, Client};
use super::server::Place;

/// The size of the file system.
const KIBIBYTES: usize = 6 * 1024;
/// So many requests are more than fit into what is left.
const REQUESTS_MAX: usize = 2_000;

/// A small file system, for as long as its first process reads from us.
struct Disk {
    holder: Child,
    _alive: ChildStdin,
    at: PathBuf,
}

impl Disk {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir(at).unwrap();
        let script =
            format!("mount -t tmpfs -o size={KIBIBYTES}k,mode=0700 tmpfs \"$1\" && echo mounted && cat");
        // As a user who may do this there; root needs no such trick, but it does no harm.
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "mounted\n", "unshare(1) and mount(8) must be allowed here");
        Self { _alive: holder.stdin.take().unwrap(), holder, at: at.to_owned() }
    }

    /// What starts a program that sees the file system.
    fn inside(&self) -> Vec<std::ffi::OsString> {
        let target = self.holder.id().to_string();
        ["nsenter", "--user", "--preserve-credentials", "--mount", "--target", &target]
            .map(std::ffi::OsString::from)
            .to_vec()
    }

    /// The path of a file on it, as it is seen from outside.
    fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    fn read(&self, path: &Path) -> Vec<u8> {
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

/// Submits a request and fetches its certificate; or the status with which the request was refused.
fn submit(client: &Client, key: &PrivateKey, entropy: &Entropy) -> Result<Taken, u16> {
    let name = Name::from_common_name(&format!("client {:016x}", entropy.number())).unwrap();
    let csr = SigningRequest::build(key, &name, &[]).to_pem();
    let answer = client.submit(Authority::Services, &csr).unwrap();
    if answer.status != 201 {
        return Err(answer.status);
    }
    let id = answer.id();
    let certificate = client.certificate(Authority::Services, id).unwrap();
    assert_eq!(certificate.status, 200);
    Ok(Taken { id, csr, certificate: certificate.body })
}

/// Adds to what is taken until a request is refused; with which status.
fn submit_until_refused(client: &Client, key: &PrivateKey, entropy: &Entropy, taken: &mut Vec<Taken>) -> u16 {
    for _ in 0..REQUESTS_MAX {
        match submit(client, key, entropy) {
            Ok(one) => taken.push(one),
            Err(status) => return status,
        }
    }
    panic!("the disk never was full");
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
    let disk = Disk::mount(&directory.path().join("disk"));
    let place = Place { inside: disk.inside(), ..Place::new(&disk.at.join("data")) };
    let flags = ["--ca-services-auto-approve-count", "1000000"];
    let (server, _) = place.start(&flags);
    let (server_ca, admin) =
        (disk.read(&place.data.join("server-ca.pem")), disk.read(&place.data.join("admin.pem")));
    let connect = || Client::with(&place, &server_ca, &admin);
    let client = connect();
    let key = PrivateKey::generate(KeySpec::P256).unwrap();
    let entropy = Entropy::seeded(3);
    let mut taken = Vec::new();

    // At first with nothing left at all, then with a little, so that it ends in the middle of something.
    for room in [0, 200 * 1024, 70 * 1024] {
        let before = submit(&client, &key, &entropy).unwrap();
        disk.fill();
        disk.make_room(room);
        assert_eq!(submit_until_refused(&client, &key, &entropy, &mut taken), 507, "{room}");
        taken.push(before);
        check_all(&client, &taken);
        // There is no room for a revocation either.
        let revoked = client.revoke(Authority::Services, &taken[0].certificate).unwrap();
        assert_eq!(revoked.status, 507, "{revoked:?}");
        disk.make_room(400 * 1024);
    }
    server.kill();
    let (server, _) = place.start(&flags);
    let client = connect();
    check_all(&client, &taken);
    assert_eq!(submit_until_refused(&client, &key, &entropy, &mut taken), 507);
    server.stop();
}
