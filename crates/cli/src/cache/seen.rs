//! What was seen of signers before, so that a server that keeps something back is noticed (rollback).
//!
//! ```text
//! ~/.local/state/provost/cache-seen/SHA-256-OF-THE-KEY
//!     # file-urlmd5:f213fcd8e97aa729f685b8cb71b976a7
//!     SIGNER SEQUENCE                                   a line for each signer: the highest that was seen
//! ```
//! Each key has a file of its own, replaced as a whole by one process at a time. Losing them loses the memory and
//! nothing else; one that says something else is not passed over, as whoever could spoil it would undo the memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base::{Explain, Kind, hex, sha256};
use entry::SignerId;

use super::place::Place;
use crate::connection::own_folder;
use crate::table::one_line;

/// The longest file that is read, in bytes: some thousands of signers of one key.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What was seen is not known.
#[derive(Debug, thiserror::Error)]
#[error("what was seen of signers before cannot be read from {}", path.display())]
pub(crate) struct SeenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Explain for SeenError {
    fn kind(&self) -> Kind {
        match self.source.kind() {
            io::ErrorKind::InvalidData => Kind::Invalid,
            _ => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        Some(format!(
            "`rm {}` forgets it: what the server keeps back of before is not noticed then",
            self.path.display()
        ))
    }
}

/// The memory of this user.
#[derive(Debug)]
pub(crate) struct Seen {
    /// `None` for somebody without a home, who remembers nothing.
    folder: Option<PathBuf>,
}

impl Seen {
    pub(crate) fn of_user() -> Self {
        Self { folder: own_folder("XDG_STATE_HOME", ".local/state").map(|own| own.join("cache-seen")) }
    }

    fn file(&self, key: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(hex::encode(&sha256(key.as_bytes()))))
    }

    /// Whether there is nowhere to remember anything.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.folder.is_none()
    }

    /// The highest sequence of each signer that was seen under `key`.
    pub(crate) fn under(&self, key: &str) -> Result<BTreeMap<SignerId, u64>, SeenError> {
        let Some(file) = self.file(key) else { return Ok(BTreeMap::new()) };
        read(&file).map_err(|source| SeenError { path: file, source })
    }

    /// Remembers these, where they are higher than before.
    pub(crate) fn remember(&self, key: &str, now: &BTreeMap<SignerId, u64>) -> io::Result<()> {
        let (Some(folder), Some(file)) = (&self.folder, self.file(key)) else { return Ok(()) };
        if now.is_empty() {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        // Until it is dropped: of two that see different things at once, neither forgets the other's.
        let lock = File::create(folder.join(".lock"))?;
        lock.lock()?;
        let before = read(&file)?;
        let mut all = before.clone();
        for (signer, sequence) in now {
            let held = all.entry(*signer).or_insert(0);
            *held = (*held).max(*sequence);
        }
        if all == before {
            return Ok(());
        }
        let mut text = format!("# {}\n", one_line(key));
        for (signer, sequence) in all {
            text += &format!("{signer} {sequence}\n");
        }
        let mut place = Place::beside(&file)?;
        place.write(text.as_bytes())?;
        place.keep()
    }
}

fn read(file: &Path) -> io::Result<BTreeMap<SignerId, u64>> {
    let mut text = String::new();
    match File::open(file) {
        Ok(file) => file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    parse(&text)
}

/// Each line is a signer and a sequence, but the first, which is for people. The last one, too, has its end, or some of
/// it is missing.
fn parse(text: &str) -> io::Result<BTreeMap<SignerId, u64>> {
    let bad = |at: usize| {
        let what = format!("line {} is not `SIGNER SEQUENCE`", at + 1);
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    let mut all = BTreeMap::new();
    for (at, line) in text.split_inclusive('\n').enumerate().skip(1) {
        let pair = line.strip_suffix('\n').and_then(|line| line.split_once(' '));
        let pair =
            pair.and_then(|(signer, sequence)| Some((SignerId::parse(signer)?, sequence.parse().ok()?)));
        let (signer, sequence) = pair.ok_or_else(|| bad(at))?;
        all.insert(signer, sequence);
    }
    match text.starts_with("# ") && text.ends_with('\n') {
        true => Ok(all),
        false => Err(bad(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_is_remembered_for_each_key() {
        let directory = tempfile::tempdir().unwrap();
        let seen = Seen { folder: Some(directory.path().join("a/b")) };
        let signer = |digit: &str| SignerId::parse(&digit.repeat(64)).unwrap();
        let all = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|(who, n)| (signer(who), *n)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(seen.under("key").unwrap(), all(&[]));
        for (now, expected) in [
            (&[][..], &[][..]),
            (&[("1", 5)], &[("1", 5)]),
            (&[("1", 4), ("2", 7)], &[("1", 5), ("2", 7)]),
            (&[("1", 6)], &[("1", 6), ("2", 7)]),
        ] {
            seen.remember("key", &all(now)).unwrap();
            assert_eq!(seen.under("key").unwrap(), all(expected));
        }
        assert_eq!(seen.under("other\n").unwrap(), all(&[]));
        seen.remember("other\n", &all(&[("3", 1)])).unwrap();
        assert_eq!(seen.under("other\n").unwrap(), all(&[("3", 1)]));
        let nobody = Seen { folder: None };
        nobody.remember("key", &all(&[("1", 1)])).unwrap();
        assert_eq!(nobody.under("key").unwrap(), all(&[]));
    }

    #[test]
    fn what_is_spoilt_is_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let seen = Seen { folder: Some(directory.path().to_owned()) };
        let signer = "1".repeat(64);
        let now = BTreeMap::from([(SignerId::parse(&signer).unwrap(), 5)]);
        seen.remember("key", &now).unwrap();
        let file = seen.file("key").unwrap();
        let whole = std::fs::read_to_string(&file).unwrap();
        for (text, expected) in [
            (format!("{whole}ab 3\n"), "line 3 is not `SIGNER SEQUENCE`"),
            (format!("{whole}{signer} x\n"), "line 3 is not `SIGNER SEQUENCE`"),
            (whole[..whole.len() - 1].to_owned(), "line 2 is not `SIGNER SEQUENCE`"),
            (String::new(), "line 1 is not `SIGNER SEQUENCE`"),
            ("junk\n".to_owned(), "line 1 is not `SIGNER SEQUENCE`"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = seen.under("key").unwrap_err();
            assert_eq!((error.source.to_string().as_str(), error.kind()), (expected, Kind::Invalid));
            assert!(error.help().unwrap().contains(file.to_str().unwrap()));
            assert!(seen.remember("key", &now).is_err());
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(seen.under("key").unwrap(), BTreeMap::new());
    }

    #[test]
    fn many_remember_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path();
        let signer = |at: u64| SignerId::parse(&format!("{at:064x}")).unwrap();
        std::thread::scope(|scope| {
            for at in 0..8 {
                scope.spawn(move || {
                    let seen = Seen { folder: Some(folder.to_owned()) };
                    for sequence in 1..=5 {
                        seen.remember("key", &BTreeMap::from([(signer(at), sequence)])).unwrap();
                    }
                });
            }
        });
        let seen = Seen { folder: Some(folder.to_owned()) };
        assert_eq!(seen.under("key").unwrap(), (0..8).map(|at| (signer(at), 5)).collect());
    }
}
