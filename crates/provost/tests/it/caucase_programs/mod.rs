//! The programs of a certificate's holder under their own names, beside the stock ones, with our server and with the stock
//! one: both say the same and leave the same, and what one writes the other goes on with.

mod alike;
mod bad_input;
mod small;
mod switching;
mod updater;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::{Caucase, Caucased, Face, House, openssl, openssl_ok};

use crate::houses::plan;
use crate::program::provost;

/// Our programs, in a folder of their own.
struct Ours(TempDir);

impl Ours {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ran = provost(&["links", directory.path().to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        Self(directory)
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    /// A client of the server at `url` with these programs.
    fn client(&self, url: &str) -> Caucase {
        Caucase::at(url).by(self.folder())
    }
}

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Ours.
    Us(Face),
    /// PyPI's.
    Them,
}

/// A server of the dialect.
enum Server {
    Ours(House),
    Stock(Caucased),
}

impl By {
    /// Starts one that approves so many requests of services by itself, and the first one of a user, with more `options`,
    /// each with its value.
    #[track_caller]
    fn start(self, automatic: &str, options: &[(&str, &str)]) -> Server {
        let fixed = [("service-auto-approve-count", automatic), ("user-auto-approve-count", "1")];
        let all = fixed.iter().chain(options);
        match self {
            Self::Us(face) => {
                let plan = all.fold(plan(face), |plan, (name, value)| plan.option(name, value));
                Server::Ours(plan.start())
            }
            Self::Them => {
                let words: Vec<_> =
                    all.flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]).collect();
                Server::Stock(Caucased::start(&words.iter().map(String::as_str).collect::<Vec<_>>()))
            }
        }
    }
}

impl Server {
    fn url(&self) -> String {
        match self {
            Self::Ours(house) => house.http_url(""),
            Self::Stock(server) => server.url(),
        }
    }
}

/// Makes `NAME.pem` with the key and the certificate of the first user, who is approved by itself.
#[track_caller]
fn become_user(client: &Caucase, name: &str) -> PathBuf {
    client.make_request(name);
    let id = client.submit("user", &format!("{name}.csr.pem"));
    let file = format!("{name}.pem");
    std::fs::rename(client.path(&format!("{name}.key.pem")), client.path(&file)).unwrap();
    client.run(&["--mode", "user", "--get-crt", &id, &file]).ok();
    client.path(&file)
}

/// What is in a folder: each file's mode and what its blocks are; links and folders as well.
fn snapshot(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            for (inside, what) in snapshot(&entry.path()) {
                found.insert(format!("{name}/{inside}"), what);
            }
            continue;
        }
        let Ok(metadata) = entry.path().metadata() else {
            found.insert(name, "a link to nothing".to_owned());
            continue;
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let begins = text.lines().filter_map(|line| line.strip_prefix("-----BEGIN "));
        let blocks: Vec<_> = begins.map(|label| label.trim_end_matches('-').to_owned()).collect();
        let link = if entry.file_type().unwrap().is_symlink() { "link " } else { "" };
        found.insert(name, format!("{link}{mode:04o} {}", blocks.join(", ")));
    }
    found
}

/// What every file in a folder says.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

/// The certificate in `certificate` is good by the CA certificates and revocation lists in these files, and belongs to the
/// only key in `key`.
#[track_caller]
fn is_good(client: &Caucase, certificate: &str, key: &str, authorities: &str, lists: &str) {
    let folder = client.directory();
    let verify = ["verify", "-crl_check", "-CAfile", authorities, "-CRLfile", lists, certificate];
    openssl(folder, &verify).ok();
    let of_key = openssl_ok(folder, &["pkey", "-in", key, "-pubout"]);
    let of_certificate = openssl_ok(folder, &["x509", "-in", certificate, "-noout", "-pubkey"]);
    assert_eq!(of_key, of_certificate, "{certificate} {key}");
}
