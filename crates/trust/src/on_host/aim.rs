//! What is to be on a host, and what is lacking.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base::{hex, sha256};

use super::amiss::{Amiss, Refused, Spot};
use super::seen::{Memory, Part, PlaceSeen, StoreSeen, Told};
use super::{FilePlace, HOOK_SECONDS, OnHost, Seen, TRUST_STORES, TrustStore};
use crate::Anchor;

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

    /// Its path.
    fn path(&self, number: usize) -> String {
        self.file(number).map(FilePlace::path).unwrap_or_default().to_owned()
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
            if is_right && (!there.is_begun || wanted.is_empty()) {
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
        let is_begun = seen.is_begun || seen.stores.values().any(|there| there.is_begun);
        if used.is_empty() && are_files_right && seen.strays.is_empty() && !is_begun {
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
        let changed = |what: &str| Amiss::Changed { what: what.to_owned() };
        if seen.places.len() != self.listed() || seen.is_begun {
            return Err(changed("what was put there"));
        }
        let chosen = self.store(seen).unwrap_or(None);
        let mut refused: Vec<Refused> = Vec::new();
        let mut refuse = |one: Refused| {
            if refused.iter().all(|other| other.at != one.at) {
                refused.push(one);
            }
        };
        for told in seen.told.iter().filter(|told| !matches!(told, Told::Hook { .. })) {
            refuse(self.refused(told)?);
        }
        for store in &TRUST_STORES {
            if let Some(there) = seen.stores.get(store.name)
                && let Err(why) = self.lacks(store, (seen, there), &self.wanted(store, chosen))
            {
                let is_java = matches!(&why, Amiss::NotTaken { bundle, .. } if *bundle == store.keystore);
                refuse(Refused { at: if is_java { Spot::Keystore } else { Spot::Store }, why });
            }
        }
        for told in seen.told.iter().filter(|told| matches!(told, Told::Hook { .. })) {
            refuse(self.refused(told)?);
        }
        for (number, there) in self.files_seen(seen) {
            if !self.is_right(number, there) {
                let what = self.path(number);
                refuse(Refused { at: Spot::File(what.clone()), why: changed(&what) });
            }
        }
        // What may be left of what is to go is graver than that there is nothing to put it into.
        if let Some(one) = self.without(seen) {
            refuse(one);
        }
        let is_store = |one: &Refused| matches!(one.at, Spot::Store | Spot::Keystore);
        // What failed is not seen to be right, which says nothing of the rest.
        if !refused.iter().any(is_store)
            && let Some(store) = TRUST_STORES
                .iter()
                .find(|store| seen.stores.get(store.name).is_some_and(|there| there.is_begun))
        {
            refused.push(Refused { at: Spot::Store, why: changed(store.folder) });
        }
        let is_explained = refused.iter().any(|refused| refused.why.may_leave());
        if !seen.strays.is_empty() && !is_explained {
            return Err(changed("what was put there"));
        }
        Ok(refused)
    }

    /// What is not as it is to be where a host told this.
    fn refused(&self, told: &Told) -> Result<Refused, Amiss> {
        let of_file = |place: &usize, why: &dyn Fn(String) -> Amiss| {
            let path = self.path(*place);
            Ok(Refused { at: Spot::File(path.clone()), why: why(path) })
        };
        match told {
            Told::Theirs { place } => of_file(place, &|path| Amiss::Theirs { path }),
            Told::Keystore { place, words } => {
                of_file(place, &|path| Amiss::NotMade { path, words: words.clone() })
            }
            Told::Hook { place, status, words } => {
                of_file(place, &|path| Amiss::Hook { path, status: *status, words: words.clone() })
            }
            Told::Cannot { what: Part::Place(place), words } if self.is_drop(*place) => {
                of_file(place, &|_| Amiss::NotRemoved { words: words.clone() })
            }
            Told::Cannot { what: Part::Place(place), words } => {
                of_file(place, &|what| Amiss::NotWritten { what, words: words.clone() })
            }
            Told::Cannot { what: Part::Stray, words } => Err(Amiss::NotRemoved { words: words.clone() }),
            Told::Cannot { what: Part::Store(store), words } => {
                let (what, words) = (store.folder.to_owned(), words.clone());
                Ok(Refused { at: Spot::Store, why: Amiss::NotWritten { what, words } })
            }
            Told::Program { store, status, words } => {
                let (program, status, words) = (store.program, *status, words.clone());
                Ok(Refused { at: Spot::Store, why: Amiss::Program { program, status, words } })
            }
        }
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

    /// What somebody else changed of what we had left there. Nothing of what we were interrupted at: that may have been us.
    fn drift(&self, seen: &Seen) -> Drift {
        let store = |there: &StoreSeen| match there.memory {
            _ if there.is_begun => false,
            Memory::None => false,
            Memory::Drift => true,
            Memory::Kept => there.own.keys().any(|name| !there.taken.contains(name)),
        };
        let place = |(number, there): (usize, &PlaceSeen)| {
            // What is to go may have been left as it was for something else than the bundle.
            let file = self.places.files.get(number)?;
            let is_drift = !seen.is_begun
                && there.was != "none"
                && ![&there.was, &self.digest(number)].contains(&&there.digest);
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
        let hook = format!("{done}hook 0 3 no\n");
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
        check(format!("{store}{taken}drift debian\nbegun debian\n"), Some(false));
        check(format!("{store}{taken}drift debian\nbegun\n"), Some(true));
        check(format!("{store}{taken}kept debian\nbegun\n"), Some(false));
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
        // Whoever was killed at work on files may have changed one.
        let lines = format!("system debian \n{}{}begun\n", place(0, &other), place(1, &digest));
        assert_eq!(due(&places, &bundle, &lines).map(|due| due.drift), of(&[]));
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
