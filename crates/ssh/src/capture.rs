//! What a command says, within bounds.

use std::collections::VecDeque;

/// How much of one stream is kept: its beginning and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Bytes from the beginning.
    pub head_bytes: usize,
    /// Bytes before the end.
    pub tail_bytes: usize,
}

impl Keep {
    /// `bytes` of each, the beginning and the end.
    #[must_use]
    pub const fn ends(bytes: usize) -> Self {
        Self { head_bytes: bytes, tail_bytes: bytes }
    }
}

impl Default for Keep {
    /// 64 KiB of each.
    fn default() -> Self {
        Self::ends(64 * 1024)
    }
}

/// The beginning and the end of what was said, and how much lay between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    cut: u64,
}

impl Captured {
    /// All of `bytes`; for transports that have bounded them already.
    #[must_use]
    pub fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self { head: bytes.into(), ..Self::default() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], keep: Keep) {
        let room = keep.head_bytes.saturating_sub(self.head.len());
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        // Of more than the tail holds, only its end can remain.
        let skipped = rest.len().saturating_sub(keep.tail_bytes);
        let rest = &rest[skipped..];
        let pushed_out = (self.tail.len() + rest.len()).saturating_sub(keep.tail_bytes);
        self.tail.drain(..pushed_out);
        self.tail.extend(rest);
        self.cut += (skipped + pushed_out) as u64;
    }

    /// How many bytes were said and not kept.
    #[must_use]
    pub fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// How many bytes were said in all.
    #[must_use]
    pub fn said_bytes(&self) -> u64 {
        self.cut + (self.head.len() + self.tail.len()) as u64
    }

    /// What was said, if all of it was kept.
    #[must_use]
    pub fn all(&self) -> Option<Vec<u8>> {
        (self.cut == 0).then(|| self.kept())
    }

    /// What was kept, without a sign of what was cut.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        let (one, two) = self.tail.as_slices();
        [&self.head, one, two].concat()
    }

    /// What was kept, as text, with `[… 123 bytes left out …]` on a line of its own where something was cut. What is
    /// not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        if self.cut == 0 {
            return String::from_utf8_lossy(&self.kept()).into_owned();
        }
        let (one, two) = self.tail.as_slices();
        let tail = [one, two].concat();
        format!(
            "{}\n[… {} bytes left out …]\n{}",
            String::from_utf8_lossy(&self.head),
            self.cut,
            String::from_utf8_lossy(&tail)
        )
    }

    /// The last line of what was kept that is not blank.
    pub(crate) fn last_line(&self) -> Option<String> {
        let (one, two) = self.tail.as_slices();
        let last = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
        };
        if self.cut == 0 {
            return last(&self.kept());
        }
        last(&[one, two].concat()).or_else(|| last(&self.head))
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.said_bytes() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_ends_and_counts_the_rest() {
        let check = |pieces: &[&str], head: usize, tail: usize, expected: &str, cut: u64| {
            let mut captured = Captured::default();
            for piece in pieces {
                captured.push(piece.as_bytes(), Keep { head_bytes: head, tail_bytes: tail });
            }
            assert_eq!(String::from_utf8(captured.kept()).unwrap(), expected, "{pieces:?}");
            assert_eq!(captured.cut_bytes(), cut, "{pieces:?}");
            let said: usize = pieces.iter().map(|piece| piece.len()).sum();
            assert_eq!(captured.said_bytes(), said as u64, "{pieces:?}");
        };
        check(&[], 2, 2, "", 0);
        check(&["abc"], 2, 2, "abc", 0);
        check(&["abcd"], 2, 2, "abcd", 0);
        check(&["abcde"], 2, 2, "abde", 1);
        check(&["a", "b", "c", "d", "e", "f"], 2, 2, "abef", 2);
        check(&["abcdefgh", "i"], 2, 2, "abhi", 5);
        check(&["abc", "d"], 0, 2, "cd", 2);
        check(&["abc", "d"], 2, 0, "ab", 2);
    }

    #[test]
    fn the_text_says_what_is_missing() {
        let mut captured = Captured::default();
        captured.push(b"abcdef", Keep::ends(2));
        assert_eq!(captured.text(), "ab\n[… 2 bytes left out …]\nef");
        assert_eq!(captured.all(), None);
        assert_eq!(Captured::whole("abc").text(), "abc");
    }

    #[test]
    fn the_last_line_is_one_that_was_said() {
        for (said, expected) in
            [("", None), ("abcdef\n", Some("ef")), ("a\nb\n", Some("b")), ("ab\n\n\n\n\n", Some("ab"))]
        {
            let mut captured = Captured::default();
            captured.push(said.as_bytes(), Keep { head_bytes: 2, tail_bytes: 3 });
            assert_eq!(captured.last_line().as_deref(), expected, "{said:?}");
        }
    }
}
