//! Damage that SQLite does not see by itself, or sees only when it comes by: looked for before the file is opened.
//!
//! SQLite's log has a checksum in each frame, and what comes behind one that does not fit counts as never written: so a
//! power cut in the middle of a commit is mended. A bit that flipped later looks the same, and would take all that was
//! answered since with it, unseen. What tells the two apart: each commit was on the disk before the next one began, so at
//! most the last one can have been cut. When whole commits follow behind what does not fit, or when nothing fits at all
//! from the header on, the log was damaged.
//!
//! Source: <https://www.sqlite.org/walformat.html>, <https://www.sqlite.org/fileformat2.html>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::open::PAGE_BYTES;
use super::place;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// What a log begins with; its last bit says in which order the checksums' words are.
const MAGIC: u32 = 0x377f_0682;
/// What a rollback journal begins with that is to be played back.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Why the database at `path`, which nobody has open, is damaged; nothing when it is not, as far as can be seen from
/// without.
pub(super) fn of(path: &Path, database: &File) -> io::Result<Option<String>> {
    let log = match File::open(super::open::beside(path, "-wal")) {
        Ok(log) => Some(log),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let has_log = match &log {
        Some(log) => log.metadata()?.len() > 0,
        None => false,
    };
    match log {
        Some(log) if has_log => of_log(BufReader::with_capacity(1 << 18, log)),
        _ if is_half_laid_out(path)? => Ok(None),
        _ => of_length(database),
    }
}

/// Whether whoever made the file was killed while its tables were written: SQLite takes that back when it opens it. There is
/// no other time when a file of ours has a rollback journal.
fn is_half_laid_out(path: &Path) -> io::Result<bool> {
    match File::open(super::open::beside(path, "-journal")) {
        Ok(journal) => Ok(place::beginning::<8>(&journal)? == JOURNAL_MAGIC),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the file has all the pages that its header counts. With a log, its pages may be there alone.
fn of_length(database: &File) -> io::Result<Option<String>> {
    let header = place::beginning::<100>(database)?;
    let (Some(version), Some(pages), Some(valid_for)) =
        (word(&header, 24), word(&header, 28), word(&header, 92))
    else {
        return Ok(None);
    };
    let (expected, bytes) = (u64::from(pages) * PAGE_BYTES as u64, database.metadata()?.len());
    // Otherwise the count is not kept.
    let is_kept = version == valid_for;
    Ok((is_kept && bytes < expected).then(|| format!("it was cut off: it has {bytes} bytes of {expected}")))
}

fn of_log(mut log: impl Read) -> io::Result<Option<String>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? {
        // Cut before its first frame.
        return Ok(None);
    }
    let magic = word(&header, 0).unwrap_or_default();
    let order: fn([u8; 4]) -> u32 = if magic & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
    let mut sum = add((0, 0), &header[..24], order);
    let is_header =
        magic & !1 == MAGIC && (word(&header, 24), word(&header, 28)) == (Some(sum.0), Some(sum.1));
    let mut frame = vec![0; FRAME_HEADER_BYTES + PAGE_BYTES];
    let (mut fits, mut behind) = (is_header, 0);
    while fill(&mut log, &mut frame)? {
        if !is_header {
            return Ok(Some("its log (-wal) has a damaged header".to_owned()));
        }
        let is_of_this_log = frame[8..16] == header[16..24];
        let is_commit = word(&frame, 4).is_some_and(|pages| pages != 0);
        if fits {
            let next = add(add(sum, &frame[..8], order), &frame[FRAME_HEADER_BYTES..], order);
            fits = is_of_this_log && (word(&frame, 16), word(&frame, 20)) == (Some(next.0), Some(next.1));
            sum = next;
        }
        if !fits && is_of_this_log && is_commit {
            behind += 1;
        }
    }
    // The first of them may be the end of a commit that was cut.
    Ok((behind > 1).then(|| format!("its log (-wal) is damaged, and {behind} commits stand behind that")))
}

/// The checksum over `bytes`, whose length is a multiple of eight.
fn add(sum: (u32, u32), bytes: &[u8], order: fn([u8; 4]) -> u32) -> (u32, u32) {
    bytes.chunks_exact(8).fold(sum, |(first, second), pair| {
        let word = |at: usize| order([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]);
        let first = first.wrapping_add(word(0)).wrapping_add(second);
        (first, second.wrapping_add(word(4)).wrapping_add(first))
    })
}

/// The big-endian word at `at`.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Whether there was enough for all of `bytes`.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
