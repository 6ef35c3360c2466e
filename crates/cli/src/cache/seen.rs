//! What was seen of signers before, so that a server that keeps something back is noticed (rollback).
//!
//! ```text
//! ~/.local/state/provost/cache-seen/SHA-256-OF-THE-KEY
//!     # file-urlmd5:f213fcd8e97aa729f685b8cb71b976a7
//!     SIGNER SEQUENCE                                   a line for each signer: the highest that was seen
//! ```
//! Each key has a file of its own, replaced as a whole. Losing them loses the memory and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use base::{hex, sha256};
use entry::SignerId;

use super::place::Place;
use crate::connection::own_folder;
use crate::table::one_line;

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

    /// The highest sequence of each signer that was seen under `key`.
    pub(crate) fn under(&self, key: &str) -> io::Result<BTreeMap<SignerId, u64>> {
        let Some(file) = self.file(key) else { return Ok(BTreeMap::new()) };
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Remembers these, where they are higher than before.
    pub(crate) fn remember(&self, key: &str, now: &BTreeMap<SignerId, u64>) -> io::Result<()> {
        let Some(file) = self.file(key).filter(|_| !now.is_empty()) else { return Ok(()) };
        let mut all = self.under(key)?;
        for (signer, sequence) in now {
            let held = all.entry(*signer).or_insert(0);
            *held = (*held).max(*sequence);
        }
        let mut text = format!("# {}\n", one_line(key));
        for (signer, sequence) in all {
            text += &format!("{signer} {sequence}\n");
        }
        std::fs::create_dir_all(file.parent().expect("it is in a folder"))?;
        let mut place = Place::beside(&file)?;
        place.write(text.as_bytes())?;
        place.keep()
    }
}

fn parse(text: &str) -> BTreeMap<SignerId, u64> {
    let line = |line: &str| {
        let (signer, sequence) = line.split_once(' ')?;
        Some((SignerId::parse(signer)?, sequence.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
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
        assert_eq!(parse("junk\n# x\nab 3\n"), all(&[]));
    }
}
