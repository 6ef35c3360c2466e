//! What a host says of what it trusts.
//!
//! It says whatever it likes: each line is of a known form or the answer is none, and nothing of it is run.

use std::collections::{BTreeMap, BTreeSet};

use base::{Explain, Kind};

use super::{HOST_ANSWER_BYTES_MAX, TRUST_STORES, TrustStore};

const BEGINS: &str = "provost-trust-begins";
const ENDS: &str = "provost-trust-ends";
/// What a host calls a file that we put there and did not list.
const STRAY: &str = "stray";

/// What is told of a store since it was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Memory {
    /// It was never seen to be right, or is to have nothing.
    #[default]
    None,
    /// Its folder is as it was left.
    Kept,
    /// Somebody changed our files.
    Drift,
}

/// What there is of a trust store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StoreSeen {
    pub(super) has_folder: bool,
    pub(super) has_program: bool,
    pub(super) has_keystore: bool,
    /// Our files, and the digest of each.
    pub(super) own: BTreeMap<String, String>,
    /// Those whose certificates the system trusts.
    pub(super) taken: BTreeSet<String>,
    /// Those whose certificates are in Java's keystore.
    pub(super) keys: BTreeSet<String>,
    /// Those that were taken away and are still trusted.
    pub(super) left: BTreeSet<String>,
    /// Whether something was taken away, and not seen to be gone.
    pub(super) is_behind: bool,
    pub(super) memory: Memory,
    /// Whether it was begun with, and not seen to be right since.
    pub(super) is_begun: bool,
}

/// What there is of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlaceSeen {
    /// Its SHA-256; `none` where it is not there, `odd` where it is no file.
    pub(super) digest: String,
    /// Its owner and its group, by name.
    pub(super) names: [String; 2],
    /// And by number.
    pub(super) numbers: [String; 2],
    /// In octal digits.
    pub(super) mode: String,
    /// Whether its hook is to be run.
    pub(super) is_owed: bool,
    /// What its digest was when it was written; `none` where it never was.
    pub(super) was: String,
    /// Of a keystore, the digest of the certificates of which it was made, with the password that it is to have.
    pub(super) made: String,
}

/// What a host could not write, or remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A store.
    Store(&'static TrustStore),
    /// The file of this number.
    Place(usize),
    /// A file that we put there and did not list.
    Stray,
}

/// What went wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// The program of a store failed.
    Program { store: &'static TrustStore, status: u32, words: String },
    /// The hook of the file of this number failed.
    Hook { place: usize, status: u32, words: String },
    /// Something could not be written, or removed.
    Cannot { what: Part, words: String },
    /// The keystore of this number could not be made.
    Keystore { place: usize, words: String },
    /// Where the file of this number is to be, there is something that is not ours.
    Theirs { place: usize },
}

/// What a host says of what it trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What its operating system is, and what that is like.
    pub(super) systems: Vec<String>,
    pub(super) has_keytool: bool,
    pub(super) stores: BTreeMap<String, StoreSeen>,
    pub(super) places: Vec<PlaceSeen>,
    /// Files that were put there before and are not asked for.
    pub(super) strays: Vec<String>,
    /// Whether somebody was killed who was at work on files.
    pub(super) is_begun: bool,
    pub(super) told: Vec<Told>,
}

/// Why a host's answer says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSeen {
    /// It is longer than any honest one.
    #[error("the host answered with more than {HOST_ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// It does not begin, or breaks off.
    #[error("the host's answer is not whole: its login may print or run something else")]
    NotWhole,
    /// Something in it has no meaning.
    #[error("the host's answer has a line that makes no sense: `{line}`")]
    Nonsense {
        /// The beginning of it.
        line: String,
    },
}

impl Explain for NotSeen {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }
}

impl Seen {
    /// Reads an answer, with whatever a login printed before it.
    ///
    /// # Errors
    /// [`NotSeen`].
    pub fn read(answer: &[u8]) -> Result<Self, NotSeen> {
        if answer.len() > HOST_ANSWER_BYTES_MAX {
            return Err(NotSeen::TooLong);
        }
        let text = String::from_utf8_lossy(answer);
        let mut lines = text.lines().skip_while(|line| *line != BEGINS).skip(1);
        let mut seen = Self::default();
        loop {
            let line = lines.next().ok_or(NotSeen::NotWhole)?;
            if line == ENDS {
                return Ok(seen);
            }
            let nonsense =
                || NotSeen::Nonsense { line: line.chars().filter(|c| !c.is_control()).take(100).collect() };
            seen.take(line).ok_or_else(nonsense)?;
        }
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        match (word, words.as_slice()) {
            ("system", words) => self.systems = words.iter().map(|word| (*word).to_owned()).collect(),
            ("keytool", _) => self.has_keytool = true,
            ("begun", [""]) => self.is_begun = true,
            ("begun", [name]) => self.stores.get_mut(*name)?.is_begun = true,
            ("stray", _) => self.strays.push(rest.to_owned()),
            ("store", [name, folder, program, keystore]) => {
                let [has_folder, has_program, has_keystore] =
                    [folder, program, keystore].map(|is| *is == "1");
                let seen = StoreSeen { has_folder, has_program, has_keystore, ..StoreSeen::default() };
                self.stores.insert((*name).to_owned(), seen);
            }
            ("own", [name, file, digest]) => {
                drop(self.stores.get_mut(*name)?.own.insert((*file).to_owned(), (*digest).to_owned()));
            }
            ("taken", [name, file]) => drop(self.stores.get_mut(*name)?.taken.insert((*file).to_owned())),
            ("key", [name, file]) => drop(self.stores.get_mut(*name)?.keys.insert((*file).to_owned())),
            ("left", [name, file]) => drop(self.stores.get_mut(*name)?.left.insert((*file).to_owned())),
            ("behind", [name]) => self.stores.get_mut(*name)?.is_behind = true,
            ("kept", [name]) => self.stores.get_mut(*name)?.memory = Memory::Kept,
            ("drift", [name]) => self.stores.get_mut(*name)?.memory = Memory::Drift,
            ("place", [number, digest, owner, group, uid, gid, mode, owed, was, made]) => {
                if number.parse::<usize>().ok()? != self.places.len() {
                    return None;
                }
                self.places.push(PlaceSeen {
                    digest: (*digest).to_owned(),
                    names: [*owner, *group].map(str::to_owned),
                    numbers: [*uid, *gid].map(str::to_owned),
                    mode: (*mode).to_owned(),
                    is_owed: *owed == "1",
                    was: (*was).to_owned(),
                    made: (*made).to_owned(),
                });
            }
            ("program", [name, status, words @ ..]) => self.told.push(Told::Program {
                store: self.store(name)?,
                status: status.parse().ok()?,
                words: words.join(" "),
            }),
            ("hook", [number, status, words @ ..]) => self.told.push(Told::Hook {
                place: self.number(number)?,
                status: status.parse().ok()?,
                words: words.join(" "),
            }),
            ("theirs", [number]) => self.told.push(Told::Theirs { place: self.number(number)? }),
            ("keystore", [number, words @ ..]) => {
                self.told.push(Told::Keystore { place: self.number(number)?, words: words.join(" ") })
            }
            ("cannot", [what, words @ ..]) => {
                let what = match (*what, self.number(what)) {
                    (_, Some(place)) => Part::Place(place),
                    (STRAY, None) => Part::Stray,
                    (store, None) => Part::Store(self.store(store)?),
                };
                self.told.push(Told::Cannot { what, words: words.join(" ") });
            }
            _ => return None,
        }
        Some(())
    }

    /// The store of this name, of which was told before.
    fn store(&self, name: &str) -> Option<&'static TrustStore> {
        TRUST_STORES.iter().find(|store| store.name == name && self.stores.contains_key(name))
    }

    /// The number of a file, of which was told before.
    fn number(&self, number: &str) -> Option<usize> {
        number.parse().ok().filter(|number| *number < self.places.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let read = |text: &str| Seen::read(text.as_bytes());
        let whole = "Welcome\nprovost-trust-begins\nsystem debian \nstore debian 1 1 0\nown debian a b\nkept debian\n\
                     place 0 none - - - - - 1 none -\nhook 0 3 no such service\nbegun\nprovost-trust-ends\nbye\n";
        let seen = read(whole).unwrap();
        assert!(seen.is_begun && seen.places[0].is_owed);
        assert_eq!(seen.stores["debian"].own, [("a".to_owned(), "b".to_owned())].into());
        assert_eq!(seen.stores["debian"].memory, Memory::Kept);
        assert_eq!(seen.told, [Told::Hook { place: 0, status: 3, words: "no such service".into() }]);
        for cut in ["", "provost-trust-begins\n", whole.split_once("provost-trust-ends").unwrap().0] {
            assert_eq!(read(cut), Err(NotSeen::NotWhole), "{cut}");
        }
        for line in [
            "nonsense",
            "own debian a b",
            "store a 1",
            "place 1 none - - - - - 0 none -",
            "place 0 none - - - - - 0 none",
            "hook x 3",
            "hook 0 3",
            "theirs 0",
            "cannot 0 it is full",
            "cannot debian it is full",
            "begun debian",
            "theirs x",
            "keystore x y",
            "taken a b",
        ] {
            let answer = format!("provost-trust-begins\n{line}\nprovost-trust-ends\n");
            assert!(matches!(read(&answer), Err(NotSeen::Nonsense { .. })), "{line}");
        }
        assert_eq!(Seen::read(&vec![b'\n'; HOST_ANSWER_BYTES_MAX + 1]), Err(NotSeen::TooLong));
    }
}
