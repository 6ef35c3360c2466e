//! What is behind the header: chunks of 64 KiB, each sealed under its number and whether it is the last.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use base::{Entropy, Secret};

use super::header::written;
use super::hkdf;
use super::keys::{Key, sealing};

const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 16;

/// What is written to this is sealed, and written on. Without [`Self::finish`] nobody opens it.
pub struct Sealed<W> {
    out: W,
    key: LessSafeKey,
    number: u64,
    /// The chunk that is coming together.
    chunk: Vec<u8>,
}

impl<W: Write> Sealed<W> {
    /// Writes the header to `out`.
    ///
    /// # Errors
    /// Those of writing; [`io::ErrorKind::InvalidInput`] for a key that does not seal.
    pub fn new(mut out: W, key: &Key, entropy: &Entropy) -> io::Result<Self> {
        let file_key = Secret::new(entropy.bytes::<16>());
        let header = written(key, &file_key, entropy).ok_or(io::ErrorKind::InvalidInput)?;
        out.write_all(&header)?;
        let nonce: [u8; NONCE_BYTES] = entropy.bytes();
        out.write_all(&nonce)?;
        let key = sealing(&hkdf(file_key.expose(), &nonce, b"payload"));
        Ok(Self { out, key, number: 0, chunk: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES) })
    }

    /// Writes the last chunk. Gives back what was written to.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.out)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = nonce(self.number, is_last);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.chunk);
        sealed.map_err(|_| io::Error::other("a chunk could not be sealed"))?;
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only what comes behind it shows that a chunk is not the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads what was sealed. Nothing of a chunk is given before it is known to be right.
pub struct Opened<R> {
    from: R,
    key: LessSafeKey,
    number: u64,
    /// What was read ahead, sealed.
    ahead: Vec<u8>,
    clear: Vec<u8>,
    given: usize,
    is_over: bool,
}

impl<R: Read> Opened<R> {
    pub(super) fn new(mut from: R, file_key: &[u8; 16]) -> io::Result<Self> {
        let mut nonce = [0; NONCE_BYTES];
        from.read_exact(&mut nonce)?;
        let key = sealing(&hkdf(file_key, &nonce, b"payload"));
        let mut opened =
            Self { from, key, number: 0, ahead: Vec::new(), clear: Vec::new(), given: 0, is_over: false };
        opened.ahead = opened.sealed()?;
        Ok(opened)
    }

    /// The next chunk as it stands there; a short one, or none, at the end.
    fn sealed(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + TAG_BYTES);
        (&mut self.from).take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut chunk)?;
        Ok(chunk)
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.ahead);
        if chunk.len() == CHUNK_BYTES + TAG_BYTES {
            self.ahead = self.sealed()?;
        }
        let is_last = self.ahead.is_empty();
        let opened = self.key.open_in_place(nonce(self.number, is_last), Aad::empty(), &mut chunk);
        let length = opened.map_err(|_| damaged(self.number))?.len();
        // An empty chunk says something only where there is nothing else.
        if length == 0 && self.number > 0 {
            return Err(damaged(self.number));
        }
        chunk.truncate(length);
        (self.clear, self.given, self.is_over) = (chunk, 0, is_last);
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.given == self.clear.len() && !self.is_over {
            self.next_chunk()?;
        }
        let count = bytes.len().min(self.clear.len() - self.given);
        bytes[..count].copy_from_slice(&self.clear[self.given..][..count]);
        self.given += count;
        Ok(count)
    }
}

/// What is said of a chunk that does not open: it is cut off, or something else.
fn damaged(number: u64) -> io::Error {
    let at = number.saturating_mul(CHUNK_BYTES as u64);
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the encrypted file is damaged or cut off behind byte {at} of what it holds"),
    )
}

fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}
