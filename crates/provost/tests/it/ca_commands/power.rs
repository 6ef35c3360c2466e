//! The power goes before each write of a renewal, one after the other: whoever looks then finds a key and a certificate that
//! belong together, and where both have files of their own and only one of them has its new name, the next command of ours has
//! them so.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Mutex;

use testkit::{DiskCall, Face, House, Strace, openssl};

use super::Holder;
use crate::houses::{ended_without_a_fault, plan};
use crate::program::PROVOST;

/// As many are killed at the same time; most of it is waiting for the server.
const AT_ONCE: usize = 4;

/// A way to renew what is in two files, or in one.
struct Way {
    command: &'static str,
    certificate: &'static str,
    key: &'static str,
}

/// In the holder's folder: the first word is a link to the program. The updater of old is ended by a hook that fails, and that is
/// no failure of its own.
const WAYS: [Way; 4] = [
    Way { command: "provost ca renew --force two.crt two.key", certificate: "two.crt", key: "two.key" },
    Way { command: "provost ca renew --force one.pem", certificate: "one.pem", key: "one.pem" },
    Way { command: "provost ca watch --config watch.toml --once", certificate: "two.crt", key: "two.key" },
    Way {
        command: "caucase-updater --ca-url SERVER --cas-ca cas.crt.pem --ca cas.crt.pem --crl cas.crl.pem \
                  --crt one.pem --threshold 94 --on-renew false",
        certificate: "one.pem",
        key: "one.pem",
    },
];

impl Way {
    fn is_one_file(&self) -> bool {
        self.certificate == self.key
    }

    fn command(&self, holder: &Holder, server: &str) -> Command {
        let mut words = self.command.split(' ').map(|word| if word == "SERVER" { server } else { word });
        let mut command = Command::new(holder.path(words.next().unwrap()));
        command.args(words).env("HOME", "/nonexistent").env("PROVOST_SERVER", server);
        command.env("PATH", "/usr/sbin:/usr/bin:/bin");
        command
    }

    /// Looks at all that is written of the pair.
    fn strace(&self, holder: &Holder) -> Strace {
        let names =
            [self.certificate, self.key].map(|name| [name.to_owned(), format!(".{name}.provost-next")]);
        let names: Vec<&str> = names.as_flattened().iter().map(String::as_str).collect();
        Strace::of(holder.folder(), &names)
    }

    /// Whether key and certificate belong together, and whom this holder trusts stands for it.
    fn is_usable(&self, holder: &Holder) -> bool {
        let said = |words: &[&str]| {
            let ran = openssl(holder.folder(), words);
            (ran.code == Some(0)).then_some(ran.stdout)
        };
        let of_certificate = said(&["x509", "-in", self.certificate, "-noout", "-pubkey"]);
        of_certificate.is_some()
            && of_certificate == said(&["pkey", "-in", self.key, "-pubout"])
            && said(&["verify", "-CAfile", "cas.crt.pem", self.certificate]).is_some()
    }
}

/// A holder that has all that `one` has.
fn like(one: &Holder, server: &str) -> Holder {
    let holder = Holder::of(server);
    for entry in std::fs::read_dir(one.folder()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), holder.folder().join(entry.file_name())).unwrap();
        }
    }
    for name in ["provost", "caucase-updater"] {
        symlink(PROVOST, holder.path(name)).unwrap();
    }
    holder
}

/// Whether the key has its new name and the certificate not yet.
fn is_between_names(calls: &[DiskCall]) -> bool {
    calls.iter().filter(|call| call.name.starts_with("rename") && call.is_done).count() == 1
}

#[test]
fn the_power_goes_at_each_write_of_a_renewal() {
    let house: House = plan(Face::Up).option("service-auto-approve-count", "9").start();
    let server = house.http_url("");
    let first = Holder::of(&server);
    first.run("request --key two.key --key-type p256 --name two --out two.crt").ok();
    first.run("request --key one.pem --key-type p256 --name one --out one.pem").ok();
    let watched = format!(
        "[[certificate]]\nname = \"two\"\nserver = \"{server}\"\nca = \"cas.crt.pem\"\ncertificate = \"two.crt\"\nkey = \
         \"two.key\"\nthreshold = \"8035195s\"\njitter = \"0\"\n"
    );
    std::fs::write(first.path("watch.toml"), watched).unwrap();
    let mut all: Vec<(&Way, DiskCall)> = Vec::new();
    for way in &WAYS {
        let holder = like(&first, &server);
        let before = holder.read(way.certificate);
        let calls = way.strace(&holder).watch(&way.command(&holder, &server));
        assert!(way.is_usable(&holder) && holder.read(way.certificate) != before, "{}", way.command);
        let names = |name: &str| calls.iter().filter(|call| call.name.starts_with(name)).count();
        let files = if way.is_one_file() { 1 } else { 2 };
        assert!(
            names("rename") == files
                && names("openat") >= files
                && names("write") >= files
                && names("fsync") > files,
            "{}: {calls:#?}",
            way.command
        );
        all.extend(calls.into_iter().map(|call| (way, call)));
    }
    let kills = all.len();
    let (all, torn) = (Mutex::new(all), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || all.lock().unwrap().pop();
                while let Some((way, call)) = next() {
                    let holder = like(&first, &server);
                    let calls = way.strace(&holder).cut_before(&way.command(&holder, &server), &call);
                    if way.is_usable(&holder) {
                        // Whoever comes next has nothing to mend, and mends nothing.
                        let again = holder.run(&format!("renew {} {}", way.certificate, way.key));
                        again.ok();
                        assert!(way.is_usable(&holder), "{}, before {}: {again:?}", way.command, call.line);
                        continue;
                    }
                    let (what, line) = (way.command, &call.line);
                    assert!(
                        !way.is_one_file() && is_between_names(&calls),
                        "{what}, before {line}: {calls:#?}"
                    );
                    torn.lock().unwrap().push(what);
                    let again = holder.run(&format!("renew {} {}", way.certificate, way.key));
                    again.ok();
                    assert!(way.is_usable(&holder), "{what}, before {line}: {again:?}");
                }
            });
        }
    });
    println!("killed {kills} times");
    let mut torn = torn.into_inner().unwrap();
    torn.sort_unstable();
    // Each of those with two files once: a test that finds no such moment has not looked there.
    let mut two: Vec<&str> = WAYS.iter().filter(|way| !way.is_one_file()).map(|way| way.command).collect();
    two.sort_unstable();
    assert_eq!(torn, two);
    ended_without_a_fault(house);
}
