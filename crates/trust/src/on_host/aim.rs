//! What is to be on a host, and what is lacking.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base::{Explain, Kind, hex, sha256};

use super::seen::{Memory, PlaceSeen, StoreSeen, Told};
use super::{FilePlace, HOOK_SECONDS, OnHost, Seen, TRUST_STORES, TrustStore};
use crate::Anchor;

/// What a host calls a file that we put there and did not list.
const STRAY: &str = "stray";
/// How the names of our files in a trust store begin.
const PREFIX: &str = "provost-";

/// What is to be on a host: a bundle, sorted and without one twice, and where.
#[derive(Debug, Clone, Copy)]
pub struct Aim<'a> {
    places: &'a OnHost,
    bundle: &'a [Anchor],
    /// What is in each of the files, where that is not the bundle.
    contents: &'a [&'a [Anchor]],
    /// The files that are to go, where we put them there, and not only what is in them.
    drops: &'a [FilePlace],
    /// Whether the files in `places` are to go, too.
    is_withdrawal: bool,
    /// How long the hook of one file may take, in seconds.
    hook_seconds: u64,
}

/// What is to be done on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What somebody else changed of what we had left there.
    pub drift: Drift,
    /// What the host is told.
    pub order: String,
}

/// What somebody else changed on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Whether its trust store was.
    pub store: bool,
    /// The paths of the files that were.
    pub files: BTreeSet<String>,
}

impl Drift {
    /// Whether anything was changed.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.store || !self.files.is_empty()
    }

    /// Whether any of what is to be at `places` was.
    #[must_use]
    pub fn is_of(&self, places: &OnHost) -> bool {
        (self.store && places.system_store)
            || places.files.iter().any(|file| self.files.contains(file.path()))
    }
}

/// A part of a host, which may be as it is to be whatever the others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// The trust store of its operating system.
    Store,
    /// Java's.
    Keystore,
    /// The file at this path.
    File(String),
}

impl Spot {
    /// Whether anything is to be there, of what is to be at `places`.
    #[must_use]
    pub fn is_of(&self, places: &OnHost) -> bool {
        match self {
            Self::Store => places.system_store,
            Self::Keystore => places.system_store && places.java,
            Self::File(path) => places.files.iter().any(|file| file.path() == path),
        }
    }
}

/// A part of a host that is not as it is to be, where all that is not named so is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub at: Spot,
    /// Why it is not.
    pub why: Amiss,
}

/// Why a host is not as it is to be. What is in here of its words is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Amiss {
    /// Its operating system has no trust store that is known here.
    #[error("there is no trust store that is known here (its system is `{system}`); looked for {looked_for}")]
    NoStore {
        /// What it says that it is.
        system: String,
        /// Which programs and folders were looked for.
        looked_for: String,
    },
    /// Nothing on it makes a keystore for Java.
    #[error("there is no keystore for Java at {keystore}, or no `keytool` to read it with")]
    NoKeystore {
        /// Where it should be.
        keystore: &'static str,
    },
    /// A file of ours that is to go could not be removed.
    #[error("a file that was put there and is to go could not be removed: {words}")]
    NotRemoved {
        /// The host's words.
        words: String,
    },
    /// Something could not be written.
    #[error("{what} could not be written: {words}")]
    NotWritten {
        /// A file or a folder.
        what: String,
        /// The host's words.
        words: String,
    },
    /// The program that takes certificates up failed.
    #[error("`{program}` failed there (exit status {status}): {words}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Its exit status.
        status: u32,
        /// Its last words.
        words: String,
    },
    /// It ended well, and did not take all of them up.
    #[error("{count} of the certificates were put into {folder}, and are not trusted: {first}, for one")]
    NotTaken {
        /// Where they are.
        folder: &'static str,
        /// How many there are.
        count: usize,
        /// The fingerprint of the first.
        first: String,
        /// In which they are not.
        bundle: &'static str,
    },
    /// It ended well, and what was taken away is still trusted.
    #[error("{count} of the certificates that were taken away are still in {bundle}: {first}, for one")]
    StillTrusted {
        /// In which they are.
        bundle: &'static str,
        /// How many there are.
        count: usize,
        /// The fingerprint of the first.
        first: String,
    },
    /// Where a file is to be, there is another one, which we did not put there.
    #[error("there is a file at {path} already that was not put there by this house")]
    Theirs {
        /// Where it is.
        path: String,
    },
    /// A keystore could not be made of the certificates.
    #[error("no keystore could be made for {path}: {words}")]
    NotMade {
        /// Where it is to be.
        path: String,
        /// The host's words, or `keytool`'s.
        words: String,
    },
    /// Files are not as they were made a moment before.
    #[error("{what} is not as it was made a moment before")]
    Changed {
        /// A file or a folder.
        what: String,
    },
    /// The file is as it is to be, and its hook failed.
    #[error("{path} is as it is to be, and its hook failed (exit status {status}): {words}")]
    Hook {
        /// Of which file.
        path: String,
        /// Its exit status.
        status: u32,
        /// Its last words.
        words: String,
    },
}

impl Amiss {
    /// Whether something may be left of what is to go: not where nothing could be put, or was.
    #[must_use]
    pub fn may_leave(&self) -> bool {
        !matches!(
            self,
            Self::NoStore { .. } | Self::NoKeystore { .. } | Self::Theirs { .. } | Self::NotMade { .. }
        )
    }

    /// Whether there is nothing to be done about it before a person has decided about a file.
    #[must_use]
    pub fn is_for_a_person(&self) -> bool {
        matches!(self, Self::Theirs { .. } | Self::NotMade { .. })
    }
}

impl Explain for Amiss {
    fn kind(&self) -> Kind {
        match self {
            Self::NoStore { .. } | Self::NoKeystore { .. } | Self::Theirs { .. } => Kind::Conflict,
            Self::NotWritten { .. }
            | Self::NotRemoved { .. }
            | Self::NotMade { .. }
            | Self::Program { .. }
            | Self::NotTaken { .. }
            | Self::StillTrusted { .. }
            | Self::Changed { .. }
            | Self::Hook { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoStore { .. } => Some(
                "have the certificates put into a file there, and point what is to trust them at it".into(),
            ),
            Self::NoKeystore { .. } => Some("install Java there, with its package of CA certificates".into()),
            Self::NotTaken { bundle, .. } => Some(format!(
                "see whether they are blocked there, or are no authorities': such are left out of {bundle}"
            )),
            Self::StillTrusted { .. } => Some("see who else put them there".into()),
            Self::Hook { status: 137, .. } => Some(format!("it may take {HOOK_SECONDS} s")),
            Self::Theirs { path } => Some(format!(
                "move it away; or say `adopt` with the file (`--file {path},adopt`), and it is replaced now and removed \
                 when it is not wanted any more"
            )),
            Self::Changed { .. } => Some("see what else looks after it".into()),
            Self::NotWritten { .. }
            | Self::NotRemoved { .. }
            | Self::NotMade { .. }
            | Self::Program { .. }
            | Self::Hook { .. } => None,
        }
    }
}

impl<'a> Aim<'a> {
    /// To have `bundle` in all of `places`.
    #[must_use]
    pub fn deliver(places: &'a OnHost, bundle: &'a [Anchor]) -> Self {
        Self { places, bundle, contents: &[], drops: &[], is_withdrawal: false, hook_seconds: HOOK_SECONDS }
    }

    /// The same, with something else in the files: each has what stands for it here, in their order, sorted and none twice.
    #[must_use]
    pub fn with_contents(self, contents: &'a [&'a [Anchor]]) -> Self {
        Self { contents, ..self }
    }

    /// The same, with files that are to go if we put them there, and whose hooks are run then. Whatever else we put there
    /// and is not asked for goes as well, but by what hook is not known there any more.
    #[must_use]
    pub fn with_drops(self, drops: &'a [FilePlace]) -> Self {
        Self { drops, ..self }
    }

    /// To have nothing of ours on it: no certificate, and none of the files in `places` that we put there.
    #[must_use]
    pub fn withdraw(places: &'a OnHost) -> Self {
        Self { is_withdrawal: true, ..Self::deliver(places, &[]) }
    }

    /// The same, with another limit to how long a hook may take: [`HOOK_SECONDS`], where nothing is said.
    #[must_use]
    pub fn with_hook_seconds(self, hook_seconds: u64) -> Self {
        Self { hook_seconds, ..self }
    }

    /// How long all hooks may take together, in seconds.
    #[must_use]
    pub fn hooks_seconds(&self) -> u64 {
        // Some are for a host that is slow to end one.
        (self.hook_seconds + 5).saturating_mul(u64::try_from(self.listed()).unwrap_or(u64::MAX))
    }

    /// How many files there are that are to be there or to go.
    fn listed(&self) -> usize {
        self.places.files.len() + self.drops.len()
    }

    /// The file of this number: those in its places come first.
    fn file(&self, number: usize) -> Option<&'a FilePlace> {
        self.places.files.iter().chain(self.drops).nth(number)
    }

    /// Whether the file of this number is to go.
    fn is_drop(&self, number: usize) -> bool {
        self.is_withdrawal || number >= self.places.files.len()
    }

    /// What the host is asked.
    #[must_use]
    pub fn look(&self) -> String {
        format!("look\n{}end\n", self.known())
    }

    /// What is to be done on a host that answered so; `None` where all is well, or as well as it can be. What it has no
    /// store for is done without: whatever else is to be put there does not wait for it, and least of all what is to go.
    #[must_use]
    pub fn due(&self, seen: &Seen) -> Option<Due> {
        let chosen = self.store(seen).unwrap_or(None);
        let mut used = String::new();
        for store in &TRUST_STORES {
            let Some(there) = seen.stores.get(store.name) else { continue };
            let wanted = self.wanted(store, chosen);
            let memory = if wanted.is_empty() { Memory::None } else { Memory::Kept };
            let is_known = there.memory == memory;
            let is_right = is_known && !there.is_behind && self.lacks(store, (seen, there), &wanted).is_ok();
            // Whoever was interrupted may have got as far as the program, or not.
            if is_right && (!seen.is_begun || wanted.is_empty()) {
                continue;
            }
            // Writing into a String cannot fail.
            let _ = writeln!(used, "use {}", store.name);
            for (name, digest) in wanted {
                let _ = writeln!(used, "want {name} {digest}");
            }
        }
        let are_files_right = seen.places.len() == self.listed()
            && self.files_seen(seen).all(|(number, there)| self.is_right(number, there));
        if used.is_empty() && are_files_right && seen.strays.is_empty() && !seen.is_begun {
            return None;
        }
        let mut order = format!(
            "make\nseconds {}\n{}{used}contents\n{}certificates\n",
            self.hook_seconds,
            self.known(),
            self.contents()
        );
        let files = (0..self.places.files.len()).flat_map(|number| self.content(number));
        let all: BTreeSet<&Anchor> = self.bundle.iter().chain(files).collect();
        for anchor in all {
            let _ = write!(order, "{PREFIX}{}\n{}", anchor.fingerprint(), anchor.pem());
        }
        order.push_str("end\n");
        Some(Due { drift: self.drift(seen), order })
    }

    /// Which trust store has the certificates on a host that answered so, if any is to.
    ///
    /// # Errors
    /// [`Amiss::NoStore`].
    pub fn store(&self, seen: &Seen) -> Result<Option<&'static TrustStore>, Amiss> {
        if !self.places.system_store || self.bundle.is_empty() {
            return Ok(None);
        }
        let there = |store: &TrustStore| seen.stores.get(store.name).filter(|there| there.has_program);
        let by_name = TRUST_STORES.iter().find(|store| store.is_of(&seen.systems) && there(store).is_some());
        let by_folder =
            || TRUST_STORES.iter().find(|store| there(store).is_some_and(|there| there.has_folder));
        let store = by_name.or_else(by_folder).ok_or_else(|| Amiss::NoStore {
            system: seen.systems.first().cloned().unwrap_or_default(),
            looked_for: TRUST_STORES
                .map(|store| format!("`{}` for {}", store.program, store.folder))
                .join(", "),
        })?;
        Ok(Some(store))
    }

    /// What a host that answered so has nothing for.
    #[must_use]
    pub fn without(&self, seen: &Seen) -> Option<Refused> {
        match self.store(seen) {
            Err(why) => Some(Refused { at: Spot::Store, why }),
            Ok(Some(store)) if self.places.java => {
                let has_keystore = seen.stores.get(store.name).is_some_and(|there| there.has_keystore);
                let why = Amiss::NoKeystore { keystore: store.keystore };
                (!has_keystore || !seen.has_keytool).then_some(Refused { at: Spot::Keystore, why })
            }
            Ok(_) => None,
        }
    }

    /// Whether a host that answered so, after it was told what to do, is as it is to be: which parts of it are not. Of each
    /// the gravest is said.
    ///
    /// # Errors
    /// Where it cannot be told of which part that is.
    pub fn judge(&self, seen: &Seen) -> Result<Vec<Refused>, Amiss> {
        let chosen = self.store(seen).unwrap_or(None);
        let path = |place: usize| self.file(place).map_or("a file", FilePlace::path).to_owned();
        let named = |name: &str| TRUST_STORES.iter().find(|store| store.name == name);
        let mut refused: Vec<Refused> = Vec::new();
        let refuse = |refused: &mut Vec<Refused>, at: Spot, why: Amiss| {
            if refused.iter().all(|other| other.at != at) {
                refused.push(Refused { at, why });
            }
        };
        for told in &seen.told {
            let (at, why) = match told {
                Told::Theirs { place } => {
                    let path = path(*place);
                    (Spot::File(path.clone()), Amiss::Theirs { path })
                }
                Told::Keystore { place, words } => {
                    let (path, words) = (path(*place), words.clone());
                    (Spot::File(path.clone()), Amiss::NotMade { path, words })
                }
                Told::Cannot { what, words } if what == STRAY => {
                    return Err(Amiss::NotRemoved { words: words.clone() });
                }
                Told::Cannot { what, words } => match (named(what), what.parse().ok()) {
                    (Some(store), _) => {
                        let (what, words) = (store.folder.to_owned(), words.clone());
                        (Spot::Store, Amiss::NotWritten { what, words })
                    }
                    (None, Some(number)) if self.is_drop(number) => {
                        (Spot::File(path(number)), Amiss::NotRemoved { words: words.clone() })
                    }
                    (None, number) => {
                        let (what, words) = (path(number.unwrap_or(usize::MAX)), words.clone());
                        (Spot::File(what.clone()), Amiss::NotWritten { what, words })
                    }
                },
                Told::Program { store, status, words } => {
                    let program = named(store).map_or("", |store| store.program);
                    (Spot::Store, Amiss::Program { program, status: *status, words: words.clone() })
                }
                Told::Hook { .. } => continue,
            };
            refuse(&mut refused, at, why);
        }
        for store in &TRUST_STORES {
            if let Some(there) = seen.stores.get(store.name)
                && let Err(why) = self.lacks(store, (seen, there), &self.wanted(store, chosen))
            {
                let is_java = matches!(&why, Amiss::NotTaken { bundle, .. } if *bundle == store.keystore);
                refuse(&mut refused, if is_java { Spot::Keystore } else { Spot::Store }, why);
            }
        }
        for told in &seen.told {
            if let Told::Hook { place, status, words } = told {
                let (path, words) = (path(*place), words.clone());
                refuse(&mut refused, Spot::File(path.clone()), Amiss::Hook { path, status: *status, words });
            }
        }
        for (number, there) in self.files_seen(seen) {
            if !self.is_right(number, there) {
                let what = path(number);
                refuse(&mut refused, Spot::File(what.clone()), Amiss::Changed { what });
            }
        }
        // What may be left of what is to go is graver than that there is nothing to put it into.
        if let Some(Refused { at, why }) = self.without(seen) {
            refuse(&mut refused, at, why);
        }
        // What failed is not seen to be right, which says nothing of the rest.
        let is_explained = refused.iter().any(|refused| refused.why.may_leave());
        let is_odd = seen.places.len() != self.listed() || !seen.strays.is_empty() || seen.is_begun;
        if is_odd && !is_explained {
            return Err(Amiss::Changed { what: "what was put there".into() });
        }
        Ok(refused)
    }

    /// What the host is told of stores and files, whatever is to be done.
    fn known(&self) -> String {
        let mut known = String::new();
        for store in &TRUST_STORES {
            let _ = writeln!(known, "{}", store.line());
        }
        if self.places.java && self.places.system_store {
            known.push_str("java\n");
        }
        for (number, place) in self.places.files.iter().chain(self.drops).enumerate() {
            let done = if self.is_drop(number) { "drop" } else { "put" };
            let _ = writeln!(known, "{}content {number}\n{done}", place.lines());
        }
        known
    }

    /// What the files are to have.
    fn contents(&self) -> String {
        let mut told = String::new();
        for number in 0..self.places.files.len() {
            let _ = writeln!(told, "content {number}");
            for anchor in self.content(number) {
                let _ = writeln!(told, "member {PREFIX}{}", anchor.fingerprint());
            }
        }
        told
    }

    /// The files that `store` is to have, and the digest of each.
    fn wanted(&self, store: &TrustStore, chosen: Option<&TrustStore>) -> BTreeMap<String, String> {
        if chosen.is_none_or(|chosen| chosen.name != store.name) {
            return BTreeMap::new();
        }
        let file = |anchor: &Anchor| {
            let name = format!("{PREFIX}{}.{}", anchor.fingerprint(), store.ending);
            (name, hex::encode(&sha256(anchor.pem().as_bytes())))
        };
        self.bundle.iter().map(file).collect()
    }

    /// What `store` lacks to be as it is to be.
    fn lacks(
        &self,
        store: &TrustStore,
        (seen, there): (&Seen, &StoreSeen),
        wanted: &BTreeMap<String, String>,
    ) -> Result<(), Amiss> {
        let fingerprint = |name: &String| name[PREFIX.len().min(name.len())..].chars().take(64).collect();
        if there.own != *wanted {
            return Err(Amiss::Changed { what: store.folder.to_owned() });
        }
        let asks_java = self.places.java && there.has_keystore && seen.has_keytool;
        let missing =
            |name: &&String| !there.taken.contains(*name) || asks_java && !there.keys.contains(*name);
        let mut missing = wanted.keys().filter(missing);
        if let Some(first) = missing.next() {
            let bundle = if there.taken.contains(first) { store.keystore } else { store.bundle };
            let (folder, first) = (store.folder, fingerprint(first));
            return Err(Amiss::NotTaken { folder, count: missing.count() + 1, first, bundle });
        }
        match there.left.first() {
            Some(first) => {
                let (bundle, count, first) = (store.bundle, there.left.len(), fingerprint(first));
                Err(Amiss::StillTrusted { bundle, count, first })
            }
            None => Ok(()),
        }
    }

    /// What is to be in a file.
    fn content(&self, number: usize) -> &'a [Anchor] {
        self.contents.get(number).copied().unwrap_or(self.bundle)
    }

    /// The digest of that.
    fn digest(&self, number: usize) -> String {
        let text: String = self.content(number).iter().map(Anchor::pem).collect();
        hex::encode(&sha256(text.as_bytes()))
    }

    /// What there is of each of the files.
    fn files_seen<'s>(&self, seen: &'s Seen) -> impl Iterator<Item = (usize, &'s PlaceSeen)> + use<'s> {
        seen.places.iter().take(self.listed()).enumerate()
    }

    fn is_right(&self, number: usize, there: &PlaceSeen) -> bool {
        let Some(place) = self.file(number) else { return true };
        if there.is_owed {
            return false;
        }
        if self.is_drop(number) {
            return there.was == "none";
        }
        let is = |wanted: &str, at: usize| there.names[at] == wanted || there.numbers[at] == wanted;
        let digest = self.digest(number);
        // The same certificates make another keystore each time: it is as it was left, and was made of these.
        let has_content = match place.keystore() {
            Some(_) => there.digest == there.was && there.made == digest,
            None => there.digest == digest && there.was == digest,
        };
        has_content
            && is(place.owner(), 0)
            && is(place.group(), 1)
            && there.mode == format!("{:o}", place.mode())
    }

    /// What somebody else changed of what we had left there. Nothing where we were interrupted: that may have been us.
    fn drift(&self, seen: &Seen) -> Drift {
        if seen.is_begun {
            return Drift::default();
        }
        let store = |there: &StoreSeen| match there.memory {
            Memory::None => false,
            Memory::Drift => true,
            Memory::Kept => there.own.keys().any(|name| !there.taken.contains(name)),
        };
        let place = |(number, there): (usize, &PlaceSeen)| {
            // What is to go may have been left as it was for something else than the bundle.
            let file = self.places.files.get(number)?;
            let is_drift =
                there.was != "none" && ![&there.was, &self.digest(number)].contains(&&there.digest);
            is_drift.then(|| file.path().to_owned())
        };
        Drift {
            store: seen.stores.values().any(store),
            files: self.files_seen(seen).filter_map(place).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::tests::authority;

    /// What a host says with these lines, and what is due there.
    fn due(places: &OnHost, bundle: &[Anchor], lines: &str) -> Option<Due> {
        Aim::deliver(places, bundle).due(&seen(lines))
    }

    fn seen(lines: &str) -> Seen {
        let answer = format!("provost-trust-begins\n{lines}provost-trust-ends\n");
        Seen::read(answer.as_bytes()).unwrap()
    }

    const STORE: OnHost = OnHost { system_store: true, java: false, files: Vec::new() };

    #[test]
    fn a_store_is_chosen_by_what_the_system_is_and_by_what_it_has() {
        let bundle = [Anchor::from(&authority("a"))];
        let used = |lines: &str| {
            let order = due(&STORE, &bundle, lines).unwrap().order;
            order.lines().find_map(|line| line.strip_prefix("use ")).unwrap().to_owned()
        };
        let check = |lines: &str, expected: &str| assert_eq!(used(lines), expected, "{lines}");
        check("system debian \nstore debian 0 1 0\n", "debian");
        check("system fedora \nstore fedora 1 1 0\nstore debian 1 1 0\n", "fedora");
        check("system ubuntu debian\nstore fedora 1 1 0\nstore debian 1 1 0\n", "debian");
        check("system suse \nstore suse 1 1 0\nstore debian 0 1 0\n", "suse");
        check("system gentoo \nstore suse 0 1 0\nstore debian 1 1 0\n", "debian");
        for lines in
            ["system arch \n", "system debian \nstore debian 1 0 0\n", "system arch \nstore debian 0 1 0\n"]
        {
            let without = Aim::deliver(&STORE, &bundle).without(&seen(lines)).unwrap();
            let Amiss::NoStore { system, looked_for } = without.why else { panic!("{lines}") };
            assert!(
                lines.contains(&system)
                    && looked_for.contains("`update-ca-trust` for /etc/pki/ca-trust/source/anchors")
            );
        }
        // Who is to have nothing, and has nothing, needs no store.
        assert_eq!(due(&STORE, &[], "system arch \n"), None);
    }

    /// What a host has no store for keeps nothing else from being done, and is said of nothing else.
    #[test]
    fn what_cannot_be_done_is_done_without() {
        let bundle = [Anchor::from(&authority("a"))];
        let file = FilePlace::new("/etc/a.pem").unwrap();
        let places = OnHost { java: true, files: vec![file], ..STORE };
        let aim = Aim::deliver(&places, &bundle);
        let place = "place 0 none - - - - - 0 none -\n";
        let order = |lines: &str| aim.due(&seen(lines)).unwrap().order;
        // No store at all: what was put there once goes all the same.
        let old = "provost-00.crt";
        let nowhere = format!("system arch \nstore debian 0 0 0\nown debian {old} 00\nkept debian\n{place}");
        let told = order(&nowhere);
        assert!(told.contains("use debian\ncontents") && told.contains("path /etc/a.pem"), "{told}");
        assert!(matches!(aim.without(&seen(&nowhere)).unwrap(), Refused { at: Spot::Store, .. }));
        // A store, and no Java.
        let without_java = format!("system debian \nstore debian 1 1 0\n{place}");
        assert!(order(&without_java).contains("use debian\nwant provost-"));
        let digest = hex::encode(&sha256(bundle[0].pem().as_bytes()));
        let name = format!("provost-{}.crt", bundle[0].fingerprint());
        let done = format!(
            "system debian \nstore debian 1 1 0\nown debian {name} {digest}\ntaken debian {name}\nkept debian\n\
             place 0 {digest} root root 0 0 644 0 {digest} -\n"
        );
        let refused = aim.judge(&seen(&done)).unwrap();
        assert!(matches!(&refused[..], [Refused { at: Spot::Keystore, why: Amiss::NoKeystore { .. } }]));
        assert_eq!(aim.due(&seen(&done)), None, "there is nothing more to be done");
        // A hook that fails is its file's trouble.
        let hook = done.replace("\nplace", "\nhook 0 3 no\nplace");
        let refused = aim.judge(&seen(&hook)).unwrap();
        assert!(matches!(&refused[0].at, Spot::File(path) if path == "/etc/a.pem"), "{refused:?}");
        assert_eq!(refused.iter().filter(|refused| refused.at.is_of(&STORE)).count(), 0);
    }

    #[test]
    fn what_is_as_it_was_left_is_left_alone() {
        let bundle = [Anchor::from(&authority("a"))];
        let name = format!("provost-{}.crt", bundle[0].fingerprint());
        let digest = hex::encode(&sha256(bundle[0].pem().as_bytes()));
        let store = format!("system debian \nstore debian 1 1 0\nown debian {name} {digest}\n");
        let taken = format!("taken debian {name}\n");
        let check = |lines: String, expected: Option<bool>| {
            let due = due(&STORE, &bundle, &lines);
            assert_eq!(due.map(|due| due.drift.is_any()), expected, "{lines}");
        };
        check(format!("{store}{taken}kept debian\n"), None);
        // Somebody else made the bundle without it; or changed our files.
        check(format!("{store}kept debian\n"), Some(true));
        check(format!("{store}{taken}drift debian\n"), Some(true));
        // Never seen to be right; interrupted, by which nobody else is to blame; not yet gone.
        check(format!("{store}{taken}"), Some(false));
        check(format!("{store}{taken}drift debian\nbegun\n"), Some(false));
        check(format!("{store}{taken}kept debian\nbehind debian\n"), Some(false));
        check(format!("{store}{taken}kept debian\nstray /etc/x\n"), Some(false));
        // Where nothing is to be, what was left goes.
        assert!(due(&OnHost::default(), &bundle, &format!("{store}{taken}kept debian\n")).is_some());
    }

    #[test]
    fn what_somebody_changed_is_told_by_its_path() {
        let bundle = [Anchor::from(&authority("a"))];
        let digest = hex::encode(&sha256(bundle[0].pem().as_bytes()));
        let files = ["/etc/a.pem", "/etc/b.pem"].map(|path| FilePlace::new(path).unwrap());
        let places = OnHost { files: files.to_vec(), ..OnHost::default() };
        let place = |number: usize, is: &str| format!("place {number} {is} root root 0 0 644 0 {digest} -\n");
        let drift = |a: &str, b: &str| {
            let due = due(&places, &bundle, &format!("system debian \n{}{}", place(0, a), place(1, b)));
            due.map(|due| due.drift)
        };
        let of = |paths: &[&str]| {
            Some(Drift { store: false, files: paths.iter().map(|path| (*path).to_owned()).collect() })
        };
        let other = hex::encode(&sha256(b"theirs"));
        assert_eq!(drift(&digest, &digest), None);
        assert_eq!(drift(&other, &digest), of(&["/etc/a.pem"]));
        assert_eq!(drift(&digest, &other), of(&["/etc/b.pem"]));
        // One that is gone was changed as well.
        assert_eq!(drift("none", &other), of(&["/etc/a.pem", "/etc/b.pem"]));
    }

    #[test]
    fn an_order_has_all_of_it_and_nothing_that_a_shell_would_run() {
        let bundle = [Anchor::from(&authority("a"))];
        let file = FilePlace::new("/etc/it's").unwrap().with_hook("echo '$HOME'").unwrap();
        let places = OnHost { files: vec![file], ..STORE };
        let lines = "system debian \nstore debian 1 1 0\nplace 0 none - - - - - 0 none -\n";
        let order = due(&places, &bundle, lines).unwrap().order;
        assert!(order.starts_with("make\n") && order.ends_with("-----END CERTIFICATE-----\nend\n"));
        assert!(order.contains(
            "path /etc/it's\nowner root\ngroup root\nmode 0644\nhook echo '$HOME'\ncontent 0\nput\n"
        ));
        let script = crate::on_host::host_script(&order);
        assert!(script.contains(&format!("'\n{order}---- provost: what is asked ends here ----\n}}\n#")));
    }
}
