//! Reading one: nothing of it counts before its end was seen.

use std::io::{self, Read};

use base::{Sha512, Sha512Hasher};

use crate::END;
use crate::tar::{BLOCK_BYTES, Block, padding, parse};

/// Why a file is not read on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It ends before its end.
    #[error("it ends early, {bytes} bytes in")]
    Short {
        /// How far it goes.
        bytes: u64,
    },
    /// There is no header where one has to be.
    #[error("what is at byte {at} is not of such a file")]
    Header {
        /// Where.
        at: u64,
    },
    /// A part is longer than it may be.
    #[error("`{name}` has {bytes} bytes, more than it may have")]
    TooLong {
        /// The part's name.
        name: String,
        /// How many bytes it has.
        bytes: u64,
    },
    /// There is something behind the end, or where zeros have to be.
    #[error("there is something at byte {at} where nothing has to be")]
    Filling {
        /// Where.
        at: u64,
    },
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
}

/// A part, whose contents are read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name: a relative path of small words.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// Of all that is before it, when it is the last one.
    pub before: Option<Sha512>,
}

/// A file that is being read.
pub struct Reader<R> {
    from: R,
    /// Absent from the last part on.
    hash: Option<Sha512Hasher>,
    at: u64,
    /// How much of the part is left, and how many zeros follow.
    left: u64,
    padding: usize,
}

impl<R: Read> Reader<R> {
    /// Reads from `from`.
    pub fn new(from: R) -> Self {
        Self { from, hash: Some(Sha512Hasher::new()), at: 0, left: 0, padding: 0 }
    }

    /// How many bytes were read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next part, whatever is left of the one before. Nothing behind the last.
    ///
    /// # Errors
    /// [`ReadError`]; nothing can be read after one.
    pub fn next_part(&mut self) -> Result<Option<Part>, ReadError> {
        let mut rest = [0; 8 * 1024];
        while self.read(&mut rest)? > 0 {}
        if self.hash.is_none() {
            return self.end().map(|()| None);
        }
        let begins_at = self.at;
        let mut block: Block = [0; BLOCK_BYTES];
        // Not counted yet: it may be the last one's.
        self.fill(&mut block)?;
        let (name, size) = parse(&block).ok_or(ReadError::Header { at: begins_at })?;
        (self.left, self.padding) = (size, padding(size));
        let mut before = None;
        if name == END {
            before = self.hash.take().map(Sha512Hasher::finish);
        } else if let Some(hash) = &mut self.hash {
            hash.update(&block);
        }
        Ok(Some(Part { name, size, before }))
    }

    /// What comes next of the part, at most as much as `bytes` takes; 0 at its end.
    ///
    /// # Errors
    /// As for [`Self::next_part`].
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ReadError> {
        let room = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let count = self.some(&mut bytes[..room])?;
        if room > 0 && count == 0 {
            return Err(ReadError::Short { bytes: self.at });
        }
        self.count(&bytes[..count]);
        self.left -= count as u64;
        if self.left == 0 {
            self.skip_padding()?;
        }
        Ok(count)
    }

    /// All of the part, if it has no more than `bytes_max`.
    ///
    /// # Errors
    /// As for [`Self::next_part`].
    pub fn all(&mut self, part: &Part, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
        if part.size > bytes_max {
            return Err(ReadError::TooLong { name: part.name.clone(), bytes: part.size });
        }
        let mut all = Vec::new();
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.read(&mut chunk)? {
                0 => return Ok(all),
                count => all.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// The zeros behind a part, once.
    fn skip_padding(&mut self) -> Result<(), ReadError> {
        let mut zeros = [0; BLOCK_BYTES];
        let length = std::mem::take(&mut self.padding);
        self.zeros(&mut zeros[..length])?;
        self.count(&zeros[..length]);
        Ok(())
    }

    /// Two blocks of zeros, and nothing behind them.
    fn end(&mut self) -> Result<(), ReadError> {
        self.zeros(&mut [0; 2 * BLOCK_BYTES])?;
        match self.some(&mut [0])? {
            0 => Ok(()),
            _ => Err(ReadError::Filling { at: self.at - 1 }),
        }
    }

    fn zeros(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        let at = self.at;
        self.fill(bytes)?;
        match bytes.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(place) => Err(ReadError::Filling { at: at + place as u64 }),
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.some(&mut bytes[filled..])? {
                0 => return Err(ReadError::Short { bytes: self.at }),
                count => filled += count,
            }
        }
        Ok(())
    }

    fn some(&mut self, bytes: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            match self.from.read(bytes) {
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::Writer;

    fn written() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        writer.part("first", b"one").unwrap();
        writer.part("none", b"").unwrap();
        writer.part("whole", &[7; 1024]).unwrap();
        let copied = writer.copy("cut", 700, &b"short"[..]).unwrap();
        assert!(copied.cut.is_some());
        let copied = writer.copy("copied", 5, &b"whole"[..]).unwrap();
        assert!(copied.cut.is_none() && copied.digest == Sha512::of(b"whole"));
        writer.finish(|digest| digest.to_string().into_bytes()).unwrap()
    }

    /// The parts' names and contents, if all is as it was written.
    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut reader = Reader::new(bytes);
        let mut parts = Vec::new();
        while let Some(part) = reader.next_part().map_err(|error| error.to_string())? {
            let all = reader.all(&part, 2_000).map_err(|error| error.to_string())?;
            if part.before.is_some_and(|before| before.to_string().as_bytes() != all) {
                return Err("another digest".into());
            }
            parts.push((part.name, all));
        }
        Ok(parts)
    }

    #[test]
    fn what_is_written_is_read() {
        let parts = read(&written()).unwrap();
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["first", "none", "whole", "cut", "copied", END]);
        assert_eq!(parts[0].1, b"one");
        assert_eq!(parts[2].1, [7; 1024]);
        assert!(parts[3].1.starts_with(b"short\0") && parts[3].1.len() == 700);
    }

    #[test]
    fn every_byte_counts() {
        let whole = written();
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 1 << (at % 8);
            assert!(read(&other).is_err(), "a bit of byte {at}");
            assert!(read(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(read(&[&whole[..], b"\0"].concat()).is_err(), "something behind it");
    }

    #[test]
    fn what_is_not_read_is_passed_over() {
        let bytes = written();
        let mut reader = Reader::new(&bytes[..]);
        let mut names = Vec::new();
        while let Some(part) = reader.next_part().unwrap() {
            names.push(part.name);
        }
        assert_eq!(names.len(), 6);
    }

    #[test]
    fn a_promise_takes_no_memory() {
        let header = crate::tar::header("huge", u64::MAX).unwrap();
        let mut reader = Reader::new(&header[..]);
        let part = reader.next_part().unwrap().unwrap();
        assert!(matches!(reader.all(&part, u64::MAX), Err(ReadError::Short { bytes: 512 })));
    }
}
