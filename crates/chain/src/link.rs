//! Links and anchors, as they are written and read.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use x509::{Digest, PrivateKey, PublicKey};

use crate::error::Malformed;
use crate::hash::{Hash, Head};

/// The most events of one link: with the link and an anchor they can go in one batch of a store's.
pub const EVENTS_MAX: usize = 96;

const LINK: &str = "provost-audit-link 1";
const ANCHOR: &str = "provost-audit-anchor 1";

/// An event as a link names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventMark {
    /// Its id in the history.
    pub id: String,
    /// The digest of its bytes, as they are stored.
    pub digest: Hash,
}

/// Some events, and what came before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number, from 1 on, without gaps.
    pub number: u64,
    /// The hash of the link before.
    pub previous: Hash,
    /// When it was made: milliseconds since 1970.
    pub at_milliseconds: i64,
    /// How many events it and all before it have.
    pub total: u64,
    /// Its events, in the order in which they were stored.
    pub events: Vec<EventMark>,
}

/// Up to where links and their events were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The last link that was dropped.
    pub head: Head,
    /// When: milliseconds since 1970.
    pub at_milliseconds: i64,
    /// How many events were dropped.
    pub total: u64,
}

/// A text and what it was signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The text of a link or of an anchor.
    pub text: String,
    /// The signature over it, base64.
    pub signature: String,
}

impl Signed {
    /// `text` signed with `key`, which is an Ed25519 key.
    #[must_use]
    pub fn new(text: String, key: &PrivateKey) -> Self {
        let signature = BASE64.encode(key.sign(text.as_bytes()));
        Self { text, signature }
    }

    /// Whether it was signed with `key`.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey) -> bool {
        BASE64.decode(&self.signature).is_ok_and(|signature| {
            key.verify_statement(Digest::Sha256, self.text.as_bytes(), &signature).is_ok()
        })
    }

    /// The hash of its text.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.text.as_bytes())
    }
}

/// Whether `id` is one that events get: when, in 20 digits, and 16 hexadecimal digits of chance. Nothing else is linked.
#[must_use]
pub fn is_event_id(id: &str) -> bool {
    let Some((at, chance)) = id.split_once('-') else { return false };
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    at.len() == 20
        && at.bytes().all(|byte| byte.is_ascii_digit())
        && chance.len() == 16
        && chance.bytes().all(is_hex)
}

/// When the event `id` says that it happened: milliseconds since 1970.
#[must_use]
pub fn moment_of(id: &str) -> Option<i64> {
    id.split_once('-')?.0.parse().ok()
}

impl Link {
    /// As it is hashed and signed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { number, previous, at_milliseconds, total, events } = self;
        let mut text =
            format!("{LINK}\nnumber {number}\nprevious {previous}\nat {at_milliseconds}\ntotal {total}\n");
        for EventMark { id, digest } in events {
            let _ = writeln!(text, "event {digest} {id}"); // to a String: cannot fail
        }
        text
    }

    /// Reads such a text. What is read is written the same way again.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = Lines::of(text)?;
        lines.is(LINK)?;
        let number = lines.number("number ")?;
        let previous = lines.hash("previous ")?;
        let at_milliseconds = lines.moment("at ")?;
        let total = lines.number("total ")?;
        let mut events = Vec::new();
        while let Some(line) = lines.next() {
            let mark = line.strip_prefix("event ").and_then(|mark| mark.split_once(' '));
            let mark = mark.and_then(|(digest, id)| Some((Hash::parse(digest)?, id)));
            let (digest, id) = mark.filter(|(_, id)| is_event_id(id)).ok_or(lines.malformed())?;
            if events.len() == EVENTS_MAX {
                return Err(lines.malformed());
            }
            events.push(EventMark { id: id.to_owned(), digest });
        }
        Ok(Self { number, previous, at_milliseconds, total, events })
    }
}

impl Anchor {
    /// As it is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { head: Head { number, hash }, at_milliseconds, total } = self;
        format!("{ANCHOR}\nnumber {number}\nhash {hash}\nat {at_milliseconds}\ntotal {total}\n")
    }

    /// Reads such a text.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = Lines::of(text)?;
        lines.is(ANCHOR)?;
        let head = Head { number: lines.number("number ")?, hash: lines.hash("hash ")? };
        let (at_milliseconds, total) = (lines.moment("at ")?, lines.number("total ")?);
        match lines.next() {
            None => Ok(Self { head, at_milliseconds, total }),
            Some(_) => Err(lines.malformed()),
        }
    }
}

/// The lines of a text that ends with the last of them.
struct Lines<'t> {
    lines: std::str::Split<'t, char>,
    at: usize,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Result<Self, Malformed> {
        let text = text.strip_suffix('\n').ok_or(Malformed { line: 1 })?;
        Ok(Self { lines: text.split('\n'), at: 0 })
    }

    fn malformed(&self) -> Malformed {
        Malformed { line: self.at }
    }

    fn next(&mut self) -> Option<&'t str> {
        self.at += 1;
        self.lines.next()
    }

    fn is(&mut self, expected: &str) -> Result<(), Malformed> {
        if self.next() == Some(expected) { Ok(()) } else { Err(self.malformed()) }
    }

    fn value<T>(&mut self, name: &str, read: impl FnOnce(&'t str) -> Option<T>) -> Result<T, Malformed> {
        let value = self.next().and_then(|line| line.strip_prefix(name)).and_then(read);
        value.ok_or(self.malformed())
    }

    /// A number in the one way in which it is written.
    fn number(&mut self, name: &str) -> Result<u64, Malformed> {
        self.value(name, |text| text.parse().ok().filter(|number: &u64| number.to_string() == text))
    }

    fn moment(&mut self, name: &str) -> Result<i64, Malformed> {
        self.value(name, |text| text.parse().ok().filter(|number: &i64| number.to_string() == text))
    }

    fn hash(&mut self, name: &str) -> Result<Hash, Malformed> {
        self.value(name, Hash::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let mark = |id: &str, bytes: &[u8]| EventMark { id: id.into(), digest: Hash::of(bytes) };
        Link {
            number: 51,
            previous: Hash::of(b"0"),
            at_milliseconds: 1_700_000_000_999,
            total: 4_802,
            events: vec![
                mark("00000001700000000123-910a2dec89025cc1", b"1"),
                mark("00000001700000000124-0badc0de0badc0de", b"2"),
            ],
        }
    }

    /// As the documentation of this crate has it: others check it with other means.
    #[test]
    fn golden_bytes() {
        let documented: String = include_str!("lib.rs")
            .lines()
            .skip_while(|line| *line != "//! provost-audit-link 1")
            .take_while(|line| !line.contains("```"))
            .map(|line| format!("{}\n", line.trim_start_matches("//! ")))
            .collect();
        assert_eq!(link().text(), documented);
        assert_eq!(Link::parse(&documented), Ok(link()));
        let anchor =
            Anchor { head: Head { number: 50, hash: Hash::NONE }, at_milliseconds: -5, total: 4_800 };
        let zeros = "0".repeat(64);
        let text = format!("provost-audit-anchor 1\nnumber 50\nhash {zeros}\nat -5\ntotal 4800\n");
        assert_eq!(anchor.text(), text);
        assert_eq!(Anchor::parse(&text), Ok(anchor));
    }

    #[test]
    fn a_text_is_read_in_one_way_only() {
        let text = link().text();
        for (line, from, to) in [
            (1, "link 1", "link 2"),
            (2, "number 51", "number 051"),
            (2, "number 51", "number +51"),
            (3, "previous 5", "previous F"),
            (4, "at 1", "at -0"),
            (5, "total 4802", "total 4802 "),
            (6, "-910a", "_910a"),
            (6, "event 6", "event  6"),
            (7, "0badc0de\n", "0badc0de\n\n"),
            (7, "0badc0de\n", "0badc0de\r\n"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            let read = Link::parse(&changed);
            assert!(read.is_err_and(|error| error.line >= line), "{to}");
        }
        assert_eq!(Link::parse(text.trim_end()), Err(Malformed { line: 1 }));
        assert!(Anchor::parse(&text).is_err() && Link::parse("").is_err());
    }
}
