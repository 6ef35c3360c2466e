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
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::open::PAGE_BYTES;
use super::place;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// What a log begins with; its last bit says in which order the checksums' words are.
const MAGIC: u32 = 0x377f_0682;
/// What a rollback journal begins with that is to be played back.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// A journal that is larger tells of more than one page, if its sectors are of the usual size.
const ONE_PAGE_JOURNAL_BYTES: u64 = 2 * PAGE_BYTES as u64;

/// What stands beside the file that SQLite would play back into it, whatever either holds: nothing in a journal says whose it
/// is, and a file becomes as long as it was when the journal was begun. With that of a first opening it becomes empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    /// None that is played back.
    None,
    /// Whoever made the file was killed while its tables were written: what there is of them goes, and nothing else is in it.
    OfLayout,
    /// Whoever made the file was killed while it was told that it has a log: no more than that is taken back.
    OfSwitch,
    /// Another file's.
    Stray,
}

impl Journal {
    /// What is beside the database at `path`. A file of ours has a journal only until it has been opened once, before it has
    /// a log.
    pub(super) fn beside(path: &Path, database: &File) -> io::Result<Self> {
        let journal = match File::open(super::open::beside(path, "-journal")) {
            Ok(journal) => journal,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::None),
            Err(error) => return Err(error),
        };
        let begun = place::beginning::<28>(&journal)?;
        let bytes = database.metadata()?.len();
        // To an empty file SQLite plays nothing back.
        if !begun.starts_with(&JOURNAL_MAGIC) || bytes == 0 {
            return Ok(Self::None);
        }
        let has_log = match std::fs::metadata(super::open::beside(path, "-wal")) {
            Ok(log) => log.len() > 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let (records, pages, sector) = (word(&begun, 8), word(&begun, 16), word(&begun, 20));
        let page = place::beginning::<PAGE_BYTES>(database)?;
        // Neither told yet that it has a log, nor changed since it was made.
        let is_new = page.get(18..20) == Some(&[1, 1]) && word(&page, 24) == Some(1);
        if !has_log && is_new && pages == Some(0) {
            return Ok(Self::OfLayout);
        }
        let length = pages.map(|pages| u64::from(pages) * PAGE_BYTES as u64);
        let has_our_pages = word(&begun, 24) == Some(PAGE_BYTES as u32);
        let is_of_one_page = records == Some(1) && journal.metadata()?.len() < ONE_PAGE_JOURNAL_BYTES;
        if has_log || !has_our_pages || !is_of_one_page || length != Some(bytes) {
            return Ok(Self::Stray);
        }
        let mut first = [0; 4 + PAGE_BYTES];
        match journal.read_exact_at(&mut first, u64::from(sector.unwrap_or_default())) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Self::Stray),
            read => read?,
        }
        let is_first = word(&first, 0) == Some(1) && is_same_but_for_its_log(&first[4..], &page);
        Ok(if is_first { Self::OfSwitch } else { Self::Stray })
    }
}

/// Whether two first pages are the same, but for whether there is a log (at 18 and 19), and the counters that each change of
/// the file brings with it (at 24 and at 92).
fn is_same_but_for_its_log(one: &[u8], other: &[u8]) -> bool {
    let same = |range: std::ops::Range<usize>| one.get(range.clone()) == other.get(range);
    same(0..18) && same(20..24) && same(28..92) && same(100..PAGE_BYTES)
}

/// Why the database at `path`, which nobody has open, is damaged; nothing when it is not, as far as can be seen from
/// without.
pub(super) fn of(path: &Path, database: &File, journal: Journal) -> io::Result<Option<String>> {
    match journal {
        Journal::None | Journal::OfSwitch => {}
        Journal::OfLayout => return Ok(None),
        Journal::Stray => return Ok(Some(stray(path))),
    }
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
        _ => of_length(database),
    }
}

/// What is wrong, and what to do: the file itself may be whole.
pub(super) fn stray(path: &Path) -> String {
    let journal = super::open::beside(path, "-journal");
    format!("{} is not of this file, and would overwrite it: move it away", journal.display())
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
