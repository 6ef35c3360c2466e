//! A pair that is replaced while the power goes, or the disk is full: another process does it, and is killed before each
//! of its changes on the disk, one after the other.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};

use base::{Entropy, report};
use x509::{Certificate, KeySpec, Name, PrivateKey};

use super::witness::{certificate, mode, names};
use super::*;
use crate::durable::power;

/// What the other process is to do, where this is it.
const ERRAND: &str = "PROVOST_TEST_HOLDER_ERRAND";

/// Where key and certificate are, and whether the key is another one, too.
#[derive(Debug, Clone, Copy)]
struct Layout {
    certificate: &'static str,
    key: &'static str,
    is_key_new: bool,
}

const LAYOUTS: [Layout; 5] = [
    Layout { certificate: "one", key: "one", is_key_new: true },
    Layout { certificate: "one", key: "one", is_key_new: false },
    Layout { certificate: "crt", key: "key", is_key_new: true },
    Layout { certificate: "a/crt", key: "b/key", is_key_new: true },
    Layout { certificate: "crt", key: "key", is_key_new: false },
];

impl Layout {
    fn pair(self, folder: &Path) -> Pair {
        Pair { certificate: folder.join(self.certificate), key: folder.join(self.key) }
    }

    /// Whose keys and certificates they are: the old ones, and the new ones, which lie ready in `ready`.
    fn set_up(self, folder: &Path) -> [Certificate; 2] {
        for name in ["a", "b", "ready"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let old_key = PrivateKey::generate(KeySpec::P256).unwrap();
        let new_key =
            if self.is_key_new { PrivateKey::generate(KeySpec::P256).unwrap() } else { old_key.clone() };
        let name = Name::from_common_name("holder").unwrap();
        let entropy = Entropy::seeded(1);
        let (old, new) =
            (certificate(&old_key, &name, 0, &entropy), certificate(&new_key, &name, 1, &entropy));
        let pair = self.pair(folder);
        pair.replace(Some(&old_key), &old, PrivateKey::to_pem).unwrap();
        let ready = Pair::in_one(&folder.join("ready/pair"));
        ready.replace(Some(&new_key), &new, PrivateKey::to_pem).unwrap();
        assert_eq!(mode(&pair.key), 0o600);
        [old, new]
    }

    /// What the other process does: says at the end that it is done, or why not.
    fn replace(self, folder: &Path) -> Result<(), PairError> {
        let ready = Pair::in_one(&folder.join("ready/pair")).load()?;
        let new_key = self.is_key_new.then_some(&ready.key);
        self.pair(folder).replace(new_key, &ready.certificate, PrivateKey::to_pem)
    }
}

/// Does what the environment says, where it does, and ends this process.
fn run_errand() {
    let Ok(errand) = std::env::var(ERRAND) else { return };
    let words: Vec<&str> = errand.split(' ').collect();
    let [what, layout, before, folder] = words[..] else { panic!("{errand}") };
    let (layout, folder) = (LAYOUTS[layout.parse::<usize>().unwrap()], Path::new(folder));
    power::cut_before(before.parse().unwrap());
    let done = match what {
        "replace" => layout.replace(folder),
        "recover" => layout.pair(folder).recover().map(drop),
        "append" => append_certificate(&folder.join("f.pem"), &ready(folder)[0]).map(drop),
        "store-file" => {
            Collection::at(&folder.join("f.pem")).store(&ready(folder)).map(drop).map_err(Into::into)
        }
        "store-folder" => {
            Collection::at(&folder.join("d")).store(&ready(folder)).map(drop).map_err(Into::into)
        }
        other => panic!("{other}"),
    };
    println!("{}", done.map_or_else(|error| report(&error), |()| "done".into()));
    std::process::exit(0);
}

/// The command that runs `test` of this module in another process, where it calls [`run_errand`].
fn errand(test: &str, what: &str, layout: usize, before: usize, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", &format!("holder::power_cut::{test}")]);
    command.env(ERRAND, format!("{what} {layout} {before} {}", folder.display()));
    command
}

/// Whether it came to its end; otherwise it was killed.
fn is_done(ran: &Output) -> bool {
    let said = String::from_utf8_lossy(&ran.stdout);
    let is_killed = |status: ExitStatus| status.signal() == Some(9);
    assert!(is_killed(ran.status) || ran.status.success() && said.contains("done"), "{ran:?}");
    !is_killed(ran.status)
}

/// Whenever somebody is killed, and whenever whoever tidies up behind them is, there is the old pair or the new one.
#[test]
fn whoever_is_killed_leaves_a_pair() {
    run_errand();
    for (index, layout) in LAYOUTS.into_iter().enumerate() {
        let (mut kept, mut replaced, mut torn) = (0, 0, 0);
        for before in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let [old, new] = layout.set_up(folder);
            let run = |what: &str, before: usize| {
                let mut command = errand("whoever_is_killed_leaves_a_pair", what, index, before, folder);
                is_done(&command.output().unwrap())
            };
            let is_done = run("replace", before);
            torn += usize::from(layout.pair(folder).load().is_err());
            // Each of those is killed a little later than the one before, on what that one left.
            assert!((1..100).any(|before| run("recover", before)));
            let pair = layout.pair(folder);
            assert_eq!(pair.recover().unwrap(), Recovered::Nothing);
            let loaded = pair.load().unwrap_or_else(|error| panic!("{layout:?} {before}: {error}"));
            match loaded.certificate {
                certificate if certificate == new => replaced += 1,
                certificate => {
                    assert_eq!(certificate, old);
                    assert!(!is_done);
                    kept += 1;
                }
            }
            assert_eq!(mode(&loaded.key_path), 0o600);
            let left = |folder: &Path| names(folder).into_iter().any(|name| name.starts_with('.'));
            assert!(!left(folder) && !left(&folder.join("a")) && !left(&folder.join("b")));
            if is_done {
                break;
            }
        }
        println!(
            "{layout:?}: killed, then the old pair {kept} times, the new one {replaced} times, {torn} torn before"
        );
        assert!(kept > 3 && replaced > 1, "{kept} {replaced}");
        assert_eq!(
            torn > 0,
            layout.is_key_new && layout.key != layout.certificate,
            "two files are torn in between"
        );
    }
}

/// The certificates that lie ready for what another process is to do.
fn ready(folder: &Path) -> Vec<Certificate> {
    Collection::at(&folder.join("ready.pem")).load().items
}

/// Nothing is ever half written, and whoever comes next does all of it and leaves nothing behind.
#[test]
fn whoever_is_killed_leaves_whole_files() {
    run_errand();
    let name = Name::from_common_name("holder").unwrap();
    let entropy = Entropy::seeded(1);
    let keys = [0; 3].map(|_| PrivateKey::generate(KeySpec::P256).unwrap());
    let [first, second, third] = keys.each_ref().map(|key| certificate(key, &name, 0, &entropy));
    let key = keys[0].to_pem();
    for what in ["append", "store-file", "store-folder"] {
        let mut killed = 0;
        for before in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let (file, in_folder) = (folder.join("f.pem"), folder.join("d"));
            let new = [first.clone(), second.clone()];
            Collection::at(&folder.join("ready.pem")).store(&new).unwrap();
            match what {
                "append" => std::fs::write(&file, key.expose()).unwrap(),
                "store-file" => assert!(Collection::at(&file).store(std::slice::from_ref(&third)).unwrap()),
                _ => assert!(Collection::at(&in_folder).store(&[second.clone(), third.clone()]).unwrap()),
            }
            let run = |before| {
                let mut command = errand("whoever_is_killed_leaves_whole_files", what, 0, before, folder);
                is_done(&command.output().unwrap())
            };
            let is_done = run(before);
            if what == "store-folder" {
                // Whoever is trusted then and now is trusted at any moment, and nobody is half there.
                let held = Collection::<Certificate>::at(&in_folder).load();
                assert!(held.unreadable.is_empty() && held.items.contains(&second), "{held:?}");
                run(0);
                assert_eq!(Collection::<Certificate>::at(&in_folder).load().items.len(), 2);
                assert!(!Collection::at(&in_folder).store(&new).unwrap());
                assert_eq!(names(&in_folder).len(), 2);
            } else {
                let both = first.to_pem() + &second.to_pem();
                let [old, new] = match what {
                    "append" => [key.expose().clone(), key.expose().clone() + &first.to_pem()],
                    _ => [third.to_pem(), both],
                };
                let found = std::fs::read_to_string(&file).unwrap();
                assert!(found == new || !is_done && found == old, "{before}: {found}");
                run(0);
                assert_eq!(std::fs::read_to_string(&file).unwrap(), new);
                let is_tidy = names(folder) == ["f.pem", "ready.pem"];
                // What is done already is not done again, and nothing but the next writing looks for remains.
                assert!(is_tidy || found == new, "{before}: {:?}", names(folder));
            }
            if is_done {
                break;
            }
            killed += 1;
        }
        println!("{what}: killed {killed} times");
        assert!(killed > 5);
    }
}

/// A disk that is full, in a mount namespace of its own (unshare(1)): the pair stays what it was, and nothing is left on
/// the disk of what could not be written; when there is room, it is replaced.
#[test]
fn a_full_disk_leaves_the_old_pair() {
    run_errand();
    for (index, layout) in LAYOUTS.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let [_, new] = layout.set_up(folder);
        let disk = folder.join("disk");
        std::fs::create_dir(&disk).unwrap();
        let is_one_written = layout.key == layout.certificate || !layout.is_key_new;
        let lefts = if is_one_written { "0" } else { "4096 0" };
        // Room for the first of two files and not for the second, then for none, then for both.
        let script = "lefts=$1; shift; cd \"$1\"; shift; mount -t tmpfs -o size=64k,mode=0700 tmpfs disk && echo mounted || exit
            cp -Rp a b ready disk; for name in one key crt; do test ! -e $name || cp -p $name disk; done
            find disk ! -type d ! -path '*ready*' -exec sha256sum {} + > before
            for left in $lefts; do
                head -c 64k /dev/zero > disk/ballast 2>/dev/null
                truncate -s -$left disk/ballast
                \"$@\" | grep -v '^running\\|^$'
                rm disk/ballast; sha256sum --quiet -c before || exit; find disk -name '.*'
            done
            \"$@\" | grep -v '^running\\|^$'
            cp -Rp disk/. .";
        let replace = errand("a_full_disk_leaves_the_old_pair", "replace", index, 0, &disk);
        let mut inside = Command::new("unshare");
        inside
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(lefts)
            .arg(folder);
        inside.arg(replace.get_program()).args(replace.get_args());
        inside.envs(replace.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = inside.output().unwrap();
        let said = String::from_utf8(ran.stdout).unwrap();
        let needed = "unshare(1) has to be allowed to mount a file system in memory: `sysctl -w kernel.unprivileged_userns_clone=1`";
        let said = said.strip_prefix("mounted\n");
        let said = said.unwrap_or_else(|| panic!("{needed}: {}", String::from_utf8_lossy(&ran.stderr)));
        let lines: Vec<&str> = said.lines().collect();
        let full = |line: &str| {
            line.starts_with("could not write ") && line.ends_with("No space left on device (os error 28)")
        };
        let (last, before) = lines.split_last().unwrap();
        assert!(
            before.len() == lefts.split(' ').count() && before.iter().all(|line| full(line)),
            "{layout:?}: {said}"
        );
        assert_eq!(*last, "done", "{layout:?}");
        let pair = layout.pair(folder);
        assert_eq!(pair.recover().unwrap(), Recovered::Nothing);
        assert_eq!(pair.load().unwrap().certificate, new);
    }
}

/// A certificate whose name cannot be another file's, for it is a mount of its own as in containers: the key gets its place
/// back, and the old pair stays.
#[test]
fn what_cannot_take_its_place_leaves_the_old_pair() {
    run_errand();
    for name in ["crt", "key"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let layout = 2;
        let [old, _] = LAYOUTS[layout].set_up(folder);
        let script =
            "mount --bind \"$1\" \"$1\" && echo mounted || exit; shift; \"$@\" | grep -v '^running\\|^$'";
        let replace = errand("what_cannot_take_its_place_leaves_the_old_pair", "replace", layout, 0, folder);
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        inside.arg(folder.join(name)).arg(replace.get_program()).args(replace.get_args());
        inside.envs(replace.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = inside.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        let expected = format!(
            "mounted\ncould not write {}: Device or resource busy (os error 16)\n",
            folder.join(name).display()
        );
        assert_eq!(said, expected, "{}", String::from_utf8_lossy(&ran.stderr));
        let pair = LAYOUTS[layout].pair(folder);
        assert_eq!(pair.load().unwrap().certificate, old, "{name}");
        assert_eq!(mode(&pair.key), 0o600);
        if name == "crt" {
            assert!(!pair.has_remains());
        } else {
            // Nothing was changed, and it can still be finished.
            assert_eq!(pair.recover().unwrap(), Recovered::Finished);
        }
    }
}
