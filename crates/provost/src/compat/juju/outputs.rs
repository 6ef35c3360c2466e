//! Where a requirer puts what it is to trust: a file, and the machine's own trust store (contract, section 9.4).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use base::{Timestamp, report};
use trust::on_host::TRUST_STORES;
use trust::{Certificates, Level};
use x509::Certificate;

use super::{CharmError, tools};

/// The file beside the charm that says where there are bundles of ours: a JSON list of paths.
const BUNDLES: &str = "bundles.json";
/// And the one that is there while the machine's trust store has not taken up what was put into its folder.
const BEHIND: &str = "trust-store-is-behind";

/// Where it is to be.
pub struct Outputs<'a> {
    pub charm: &'a Path,
    pub application: &'a str,
    pub bundle: Option<&'a Path>,
    pub trust_store: bool,
    pub now: Timestamp,
}

/// A machine's own trust store: a folder for anchors, and the program that takes them up.
struct TrustStore<'a> {
    folder: &'a Path,
    ending: &'a str,
    program: &'a str,
    /// So that those that are gone are left out, too.
    arguments: &'a [&'a str],
    /// What the program appends to without clearing it: one that was killed has left there what may be withdrawn since.
    unfinished: Option<&'a Path>,
}

impl Outputs<'_> {
    /// Makes them hold exactly these. What is right already is not touched. Why the bundle is not as it is to be, if an
    /// operator has to see to that.
    pub fn put(&self, certificates: &Certificates) -> Result<Option<CharmError>, CharmError> {
        // Neither waits for the other: what was withdrawn leaves each that can be written.
        let (bundle, store) = (self.put_bundle(certificates), self.put_store(certificates));
        store?;
        bundle
    }

    fn put_store(&self, certificates: &Certificates) -> Result<(), CharmError> {
        let wanted = if self.trust_store { self.anchors(certificates) } else { BTreeMap::new() };
        // The first whose folder is there is the machine's.
        for known in TRUST_STORES {
            let arguments: Vec<&str> = known.arguments.iter().copied().chain(known.fresh).collect();
            let folder = Path::new(known.folder);
            let store = TrustStore {
                folder,
                ending: known.ending,
                program: known.program,
                arguments: &arguments,
                unfinished: known.unfinished.map(Path::new),
            };
            if store.folder.is_dir() {
                return self.put_anchors(&store, &wanted);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        tools::log(Level::Error, "this machine has no trust store that is known here");
        Ok(())
    }

    /// Where it cannot be written, the one that was written before stays and has what it is to have: it goes when the new
    /// one is there.
    fn put_bundle(&self, certificates: &Certificates) -> Result<Option<CharmError>, CharmError> {
        let record = self.charm.join(BUNDLES);
        let before = bundles(&record)?;
        let text = bundle_of(certificates);
        let mut here = Vec::new();
        let mut trouble = Vec::new();
        if let Some(bundle) = self.bundle {
            let was_here = before.iter().any(|path| path == bundle);
            // On record before it is there, so that it does not stay for ever if this is killed in between.
            if !was_here {
                write_bundles(&record, before.iter().map(PathBuf::as_path).chain([bundle]))?;
            }
            let done = replace(bundle, text.as_bytes());
            if was_here || done.is_ok() || std::fs::read(bundle).is_ok_and(|there| there == text.as_bytes()) {
                here.push(bundle);
            }
            trouble.extend(done.err());
        }
        let is_put = trouble.is_empty();
        for path in before.iter().filter(|path| Some(path.as_path()) != self.bundle) {
            let done = match self.bundle {
                Some(bundle) if is_put && is_one_file(path, bundle) => Ok(()),
                Some(_) if !is_put => replace(path, text.as_bytes()).inspect(|()| here.push(path)),
                _ => remove_bundle(path),
            };
            if let Err(error) = done {
                here.push(path);
                trouble.push(error);
            }
        }
        for error in &trouble {
            tools::log(Level::Error, &report(error));
        }
        write_bundles(&record, here.into_iter())?;
        match trouble.into_iter().next() {
            // It may pass: the hook is sent again before long.
            Some(error) if !is_for_operator(&error) => Err(error),
            trouble => Ok(trouble),
        }
    }

    /// What the trust store is to have: a file for each certificate, once, under a name that stays the same.
    fn anchors(&self, certificates: &Certificates) -> BTreeMap<String, String> {
        let mut anchors = BTreeMap::new();
        for text in certificates {
            match self.anchor(text) {
                Ok(certificate) => {
                    let fingerprint = base::hex::encode(&certificate.fingerprint()[..16]);
                    anchors.insert(format!("{}{fingerprint}", self.prefix()), certificate.to_pem());
                }
                Err(why) => {
                    let which = trust::fingerprint(text);
                    tools::log(Level::Warning, &format!("{which} is not installed: {why}"));
                }
            }
        }
        anchors
    }

    /// The certificate in `text`, if a whole machine may trust it: old providers hand leaves on as well.
    fn anchor(&self, text: &str) -> Result<Certificate, String> {
        let certificate = Certificate::from_pem(text.as_bytes()).map_err(|error| base::report(&error))?;
        if !certificate.is_ca() {
            return Err("it is not that of a certificate authority".to_owned());
        }
        if certificate.not_after() < self.now {
            return Err(format!("it expired at {}", certificate.not_after()));
        }
        Ok(certificate)
    }

    /// How the names of our own files begin: others are never touched.
    fn prefix(&self) -> String {
        format!("provost-trust-{}-", self.application)
    }

    fn put_anchors(
        &self,
        store: &TrustStore<'_>,
        wanted: &BTreeMap<String, String>,
    ) -> Result<(), CharmError> {
        let folder = store.folder;
        let unreadable = |source| CharmError::File { path: folder.to_owned(), source };
        let (mut less, mut other) = (Vec::new(), Vec::new());
        for file in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = file.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // One that was killed has left it, and some trust whatever lies there.
            let left = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
            let whose = Path::new(left.unwrap_or(name)).file_stem().and_then(|name| name.to_str());
            let whose = whose.unwrap_or_default();
            if self.is_ours(whose) && (left.is_some() || !wanted.contains_key(whose)) {
                less.push(path);
            }
        }
        for (name, text) in wanted {
            let path = folder.join(format!("{name}.{}", store.ending));
            if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                continue;
            }
            other.push((path, text));
        }
        let behind = self.charm.join(BEHIND);
        if less.is_empty() && other.is_empty() && !behind.exists() {
            return Ok(());
        }
        // Whatever happens from here on, it is made good the next time.
        replace(&behind, b"")?;
        less.iter().try_for_each(|path| remove(path))?;
        other.iter().try_for_each(|(path, text)| replace(path, text.as_bytes()))?;
        take_up(store)?;
        remove(&behind)
    }

    /// Whether we made a file of this name, without its ending, for this application.
    fn is_ours(&self, name: &str) -> bool {
        let fingerprint = name.strip_prefix(&self.prefix()).unwrap_or_default();
        fingerprint.len() == 32 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

fn take_up(store: &TrustStore<'_>) -> Result<(), CharmError> {
    let program = store.program;
    store.unfinished.map_or(Ok(()), remove)?;
    let output = Command::new(program).args(store.arguments).output();
    let said = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            said.lines().last().unwrap_or_default().to_owned()
        }
        Err(error) => error.to_string(),
    };
    Err(CharmError::Program { program: program.to_owned(), said })
}

/// Where there are bundles of ours, or may be.
fn bundles(record: &Path) -> Result<Vec<PathBuf>, CharmError> {
    let unreadable = |source| CharmError::File { path: record.to_owned(), source };
    match std::fs::read(record) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| unreadable(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(unreadable(source)),
    }
}

/// Whether nothing mends it but somebody who gives another path, or makes room at that one.
fn is_for_operator(error: &CharmError) -> bool {
    use io::ErrorKind as Kind;
    let (CharmError::File { source, .. } | CharmError::Removal { source, .. }) = error else { return false };
    matches!(
        source.kind(),
        Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::AlreadyExists
            | Kind::NotFound
            | Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::InvalidInput
            | Kind::InvalidFilename
    )
}

fn write_bundles<'p>(record: &Path, paths: impl Iterator<Item = &'p Path>) -> Result<(), CharmError> {
    let paths: Vec<&Path> = paths.collect();
    if paths.is_empty() {
        return remove(record);
    }
    let text = serde_json::to_vec(&paths).expect("options are UTF-8, and so are paths that they name");
    replace(record, &text)
}

/// Whether two paths lead to the same file.
fn is_one_file(one: &Path, other: &Path) -> bool {
    let of = |path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    of(one).is_some_and(|file| of(other) == Some(file))
}

/// Removes a bundle of ours, and what one that was killed has left beside it. A folder that somebody has there by now is
/// theirs, and ours is gone.
fn remove_bundle(path: &Path) -> Result<(), CharmError> {
    let is_gone = |error: &CharmError| {
        let CharmError::Removal { source, .. } = error else { return false };
        matches!(source.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory)
    };
    for path in [unfinished(path).as_deref(), Some(path)].into_iter().flatten() {
        remove(path).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
    }
    // Gone for good, before it is forgotten that it was there.
    match path.parent().map(File::open) {
        Some(Ok(folder)) => {
            folder.sync_all().map_err(|source| CharmError::Removal { path: path.to_owned(), source })
        }
        Some(Err(_)) | None => Ok(()),
    }
}

/// The file beside `path` in which it is prepared.
fn unfinished(path: &Path) -> Option<PathBuf> {
    let mut hidden = OsString::from(".");
    hidden.push(path.file_name()?);
    hidden.push(".new");
    Some(path.with_file_name(hidden))
}

/// All of them, in order, each with the end of its last line.
fn bundle_of(certificates: &Certificates) -> String {
    certificates.iter().flat_map(|text| [text.strip_suffix('\n').unwrap_or(text), "\n"]).collect()
}

/// Puts `bytes` into the file at `path`, in one step, for everybody to read; one that is there keeps its owner, its group
/// and its mode, and is not touched when it has them already.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), CharmError> {
    let there = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file);
    if there.is_some() && std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let write = || {
        let unfinished = unfinished(path)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // What an earlier hook left when it was killed.
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let fill = || {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(bytes)?;
            if let Some(there) = &there {
                fchown(&file, Some(there.uid()), Some(there.gid()))?;
            }
            let mode = there.as_ref().map_or(0o644, |there| there.mode() & 0o777);
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)
        };
        if let Err(error) = fill() {
            // Nobody may ever come back to this path.
            drop(std::fs::remove_file(&unfinished));
            return Err(error);
        }
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| CharmError::File { path: path.to_owned(), source })
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) -> Result<(), CharmError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CharmError::Removal { path: path.to_owned(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outputs<'a>(charm: &'a Path, bundle: Option<&'a Path>) -> Outputs<'a> {
        let now = Timestamp::from_unix(1_800_000_000);
        Outputs { charm, application: "a", bundle, trust_store: true, now }
    }

    /// A program that fails is run again, whatever the files are.
    #[test]
    fn a_trust_store_takes_up_what_it_missed() {
        let directory = tempfile::tempdir().unwrap();
        let (charm, folder) = (directory.path().join("charm"), directory.path().join("anchors"));
        std::fs::create_dir_all(&charm).unwrap();
        std::fs::create_dir(&folder).unwrap();
        let ran = directory.path().join("ran");
        let unfinished = directory.path().join("bundle.new");
        let store = |program| TrustStore {
            folder: &folder,
            ending: "crt",
            program,
            arguments: &["-c", "x", "y"],
            unfinished: Some(&unfinished),
        };
        let outputs = outputs(&charm, None);
        let name = format!("provost-trust-a-{}", "0".repeat(32));
        let wanted = BTreeMap::from([(name.clone(), "text".to_owned())]);
        assert!(outputs.put_anchors(&store("/bin/false"), &wanted).is_err());
        assert_eq!(std::fs::read(folder.join(format!("{name}.crt"))).unwrap(), b"text");
        let script = directory.path().join("program");
        std::fs::write(&script, format!("#!/bin/sh\necho \"$@\" >> {}\n", ran.display())).unwrap();
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let program = script.to_str().unwrap();
        // As those leave it that were killed.
        std::fs::write(&unfinished, "withdrawn since").unwrap();
        std::fs::write(folder.join(format!(".{name}.crt.new")), "withdrawn since").unwrap();
        let times = || std::fs::read_to_string(&ran).unwrap_or_default().lines().count();
        for (wanted, expected) in [(&wanted, 1), (&wanted, 1), (&BTreeMap::new(), 2), (&BTreeMap::new(), 2)] {
            outputs.put_anchors(&store(program), wanted).unwrap();
            assert_eq!(times(), expected);
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert!(!unfinished.exists(), "what was left there is not taken up");
    }

    #[test]
    fn only_authorities_that_live_are_anchors() {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str, what: &str, days: &str| {
            let line = format!(
                "openssl req -x509 -newkey ed25519 -nodes -keyout key -subj /CN={name} -days {days} -addext \
                 basicConstraints=critical,CA:{what} -out {name} 2>/dev/null && cat {name}"
            );
            let made = Command::new("sh").args(["-c", &line]).current_dir(directory.path()).output().unwrap();
            String::from_utf8(made.stdout).unwrap()
        };
        let (ca, leaf) = (make("ca", "TRUE", "36500"), make("leaf", "FALSE", "36500"));
        let mut outputs = outputs(directory.path(), None);
        assert!(outputs.anchor(&ca).is_ok());
        assert_eq!(outputs.anchor(&leaf).unwrap_err(), "it is not that of a certificate authority");
        assert!(outputs.anchor("nonsense").is_err());
        outputs.now = Timestamp::from_unix(8_000_000_000);
        assert!(outputs.anchor(&ca).unwrap_err().starts_with("it expired at "));
    }

    #[test]
    fn a_bundle_has_each_on_lines_of_its_own() {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Certificates>();
        assert_eq!(bundle_of(&set(&[])), "");
        assert_eq!(bundle_of(&set(&["b", "a\n"])), "a\nb\n");
    }

    #[test]
    fn only_our_own_anchors_are_touched() {
        let outputs = outputs(Path::new(""), None);
        let hex = "0123456789abcdef".repeat(2);
        for (name, expected) in [
            (format!("provost-trust-a-{hex}"), true),
            (format!("provost-trust-a-b-{hex}"), false),
            (format!("provost-trust-b-{hex}"), false),
            ("provost-trust-a-mine".to_owned(), false),
            (format!("provost-trust-a-{hex}0"), false),
            (String::new(), false),
        ] {
            assert_eq!(outputs.is_ours(&name), expected, "{name}");
        }
    }

    #[test]
    fn a_bundle_follows_its_option() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("a/first"), directory.path().join("second"));
        let put = |bundle: Option<&Path>, texts: &[&str]| {
            let set = texts.iter().map(|text| (*text).to_owned()).collect();
            assert!(outputs(directory.path(), bundle).put_bundle(&set).unwrap().is_none());
        };
        put(Some(&first), &["b", "a"]);
        assert_eq!(std::fs::read_to_string(&first).unwrap(), "a\nb\n");
        assert_eq!(first.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        std::fs::set_permissions(&first, std::fs::Permissions::from_mode(0o640)).unwrap();
        let before = first.metadata().unwrap().modified().unwrap();
        put(Some(&first), &["a", "b"]);
        assert_eq!(first.metadata().unwrap().modified().unwrap(), before);
        put(Some(&first), &[]);
        assert_eq!(std::fs::read_to_string(&first).unwrap(), "");
        assert_eq!(first.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        put(Some(&second), &["a"]);
        assert!(!first.exists() && second.exists());
        put(None, &["a"]);
        assert!(!second.exists());
    }

    /// Whatever an option says: the bundle that there is stays, and is right, until there is another one.
    #[test]
    fn a_bundle_that_cannot_be_put_is_made_good() {
        let directory = tempfile::tempdir().unwrap();
        let (good, next) = (directory.path().join("good"), directory.path().join("next"));
        let (folder, below) = (directory.path().join("folder"), directory.path().join("file/below"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let put = |bundle: Option<&Path>, texts: &[&str]| {
            let set = texts.iter().map(|text| (*text).to_owned()).collect();
            outputs(directory.path(), bundle).put_bundle(&set).unwrap().map(|error| report(&error))
        };
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        for wrong in [&folder, &below, &PathBuf::from("/proc/nothing/x.pem"), &PathBuf::from("/")] {
            // There never was one.
            let why = put(Some(wrong), &["a"]).unwrap();
            assert!(why.contains(&wrong.display().to_string()), "{why}");
            assert_eq!(put(None, &["a"]), None);
            // There is one: what is withdrawn leaves it, and it is not taken away.
            assert_eq!(put(Some(&good), &["a", "b"]), None);
            assert!(put(Some(wrong), &["b"]).is_some());
            assert_eq!(read(&good).as_deref(), Some("b\n"));
            // The option is put right, to another one.
            assert_eq!(put(Some(&next), &["b"]), None);
            assert_eq!((read(&good), read(&next).as_deref()), (None, Some("b\n")));
            assert_eq!(put(None, &[]), None);
            assert!(!next.exists());
            let left: Vec<_> =
                std::fs::read_dir(directory.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
            assert_eq!(left.len(), 2, "{left:?}");
        }
        // Killed before it was said that it is there, and in the middle of the next.
        std::fs::write(directory.path().join(BUNDLES), json!([good]).to_string()).unwrap();
        std::fs::write(&good, "a\n").unwrap();
        std::fs::write(directory.path().join(".good.new"), "a").unwrap();
        assert_eq!(put(None, &["b"]), None);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
        // What somebody has where ours was is theirs.
        put(Some(&good), &["a"]);
        std::fs::remove_file(&good).unwrap();
        std::fs::create_dir(&good).unwrap();
        assert!(put(Some(&good), &["a"]).is_some());
        assert_eq!(put(Some(&next), &["a"]), None);
        assert!(good.is_dir());
        // Another way to the same file.
        let same = folder.join("../next");
        assert_eq!(put(Some(&same), &["b"]), None);
        assert_eq!(read(&next).as_deref(), Some("b\n"));
        assert_eq!(put(None, &["b"]), None);
        assert!(!next.exists());
    }
}
