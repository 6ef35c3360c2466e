//! Writing one: part after part, and the end.

use std::io::{self, Read, Write};

use base::{Sha512, Sha512Hasher};

use crate::END;
use crate::tar::{BLOCK_BYTES, header, padding};

/// How much is copied at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// A file that is being written. Without [`Self::finish`] it is none.
pub struct Writer<W> {
    out: W,
    hash: Sha512Hasher,
    chunk: Vec<u8>,
}

/// What became of something that was copied.
#[derive(Debug)]
pub struct Copied {
    /// Of the bytes that are in the file now.
    pub digest: Sha512,
    /// Why there are zeros from some place on, if there are.
    pub cut: Option<io::Error>,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, hash: Sha512Hasher::new(), chunk: vec![0; CHUNK_BYTES] }
    }

    /// A part that is in memory.
    ///
    /// # Errors
    /// Those of writing; [`io::ErrorKind::InvalidInput`] for a name that is not fair.
    pub fn part(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin(name, bytes.len() as u64)?;
        self.put(bytes)?;
        self.fill_up(bytes.len() as u64)
    }

    /// A part of `size` bytes from `source`. Where that has less or cannot be read to its end, zeros follow: what was
    /// begun has its length.
    ///
    /// # Errors
    /// As for [`Self::part`].
    pub fn copy(&mut self, name: &str, size: u64, mut source: impl Read) -> io::Result<Copied> {
        self.begin(name, size)?;
        let (mut left, mut cut, mut digest) = (size, None, Sha512Hasher::new());
        let mut chunk = std::mem::take(&mut self.chunk);
        while left > 0 {
            let room = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            let read = if cut.is_some() { Ok(0) } else { source.read(&mut chunk[..room]) };
            let count = match read {
                Ok(count) if count > 0 => count,
                Ok(_) => {
                    cut.get_or_insert_with(|| io::ErrorKind::UnexpectedEof.into());
                    chunk[..room].fill(0);
                    room
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    cut = Some(error);
                    continue;
                }
            };
            digest.update(&chunk[..count]);
            self.put(&chunk[..count])?;
            left -= count as u64;
        }
        self.chunk = chunk;
        self.fill_up(size)?;
        Ok(Copied { digest: digest.finish(), cut })
    }

    /// The last part: what `end` says, given the SHA-512 of all that is before it. Gives back what was written to.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self, end: impl FnOnce(Sha512) -> Vec<u8>) -> io::Result<W> {
        let Self { mut out, hash, .. } = self;
        let bytes = end(hash.finish());
        let size = bytes.len() as u64;
        out.write_all(&header(END, size).expect("its name is fair"))?;
        out.write_all(&bytes)?;
        out.write_all(&[0; BLOCK_BYTES][..padding(size)])?;
        // How a tar file ends.
        out.write_all(&[0; 2 * BLOCK_BYTES])?;
        Ok(out)
    }

    fn begin(&mut self, name: &str, size: u64) -> io::Result<()> {
        let header = header(name, size).ok_or(io::ErrorKind::InvalidInput)?;
        self.put(&header)
    }

    fn fill_up(&mut self, size: u64) -> io::Result<()> {
        self.put(&[0; BLOCK_BYTES][..padding(size)])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }
}
