//! The headers of tar (POSIX.1-2001, `ustar`), as far as they are needed: regular files, mode 0600, of nobody and of no
//! time.
//!
//! A header follows from the name and the length alone. Reading one is writing it again and comparing: whatever else is
//! in it is refused.

/// How long a header is, and what contents are filled up to.
pub const BLOCK_BYTES: usize = 512;
/// The longest part of a name behind its last split.
const NAME_BYTES_MAX: usize = 100;
const PREFIX_BYTES_MAX: usize = 155;
/// The first length that eleven octal digits cannot say.
const OCTAL_END: u64 = 1 << 33;

/// A header of a tar file.
pub type Block = [u8; BLOCK_BYTES];

/// The header of the file `name` with `size` bytes; none for a name that is not fair.
#[must_use]
pub fn header(name: &str, size: u64) -> Option<Block> {
    if !is_fair(name) {
        return None;
    }
    let (prefix, rest) = split(name)?;
    let mut block = [0; BLOCK_BYTES];
    put(&mut block, 0, rest.as_bytes());
    put(&mut block, 100, b"0000600\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    if size < OCTAL_END {
        put(&mut block, 124, format!("{size:011o}").as_bytes());
    } else {
        // As GNU tar has it: 0x80, and the number with the highest byte first.
        block[124] = 0x80;
        put(&mut block, 128, &size.to_be_bytes());
    }
    put(&mut block, 136, b"00000000000\0");
    put(&mut block, 148, b"        ");
    block[156] = b'0';
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    Some(block)
}

/// The name and the length in a header, if it is one that [`header`] makes.
#[must_use]
pub fn parse(block: &Block) -> Option<(String, u64)> {
    let text = |from: usize, length: usize| {
        let field = &block[from..from + length];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
        std::str::from_utf8(&field[..end]).ok()
    };
    let (rest, prefix) = (text(0, NAME_BYTES_MAX)?, text(345, PREFIX_BYTES_MAX)?);
    let name = if prefix.is_empty() { rest.to_owned() } else { format!("{prefix}/{rest}") };
    let size = if block[124] == 0x80 {
        u64::from_be_bytes(block[128..136].try_into().ok()?)
    } else {
        u64::from_str_radix(text(124, 12)?, 8).ok()?
    };
    (header(&name, size)? == *block).then_some((name, size))
}

/// How many zeros follow contents of `size` bytes.
#[must_use]
pub fn padding(size: u64) -> usize {
    let over = (size % BLOCK_BYTES as u64) as usize;
    if over == 0 { 0 } else { BLOCK_BYTES - over }
}

/// Whether a name is a relative path of small words, and nothing that a file system reads anything else into.
fn is_fair(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'))
    };
    name.split('/').all(is_word)
}

/// A name in the two fields that there are for it: the first one empty where it fits into the second.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME_BYTES_MAX {
        return Some(("", name));
    }
    let (prefix, rest) = name.rsplit_once('/')?;
    (prefix.len() <= PREFIX_BYTES_MAX && rest.len() <= NAME_BYTES_MAX).then_some((prefix, rest))
}

fn put(block: &mut Block, at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let long = format!("blobs/{}/{}", "a".repeat(64), "b".repeat(64));
        for (name, size) in [
            ("a", 0),
            ("files/store.key", 64),
            (long.as_str(), 1),
            ("x", OCTAL_END - 1),
            ("x", OCTAL_END),
            ("x", u64::MAX),
        ] {
            let block = header(name, size).unwrap();
            assert_eq!(parse(&block), Some((name.to_owned(), size)), "{name} {size}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in
            ["", "/etc/passwd", "a//b", "../a", "a/../b", "./a", ".a", "a/", "A", "a b", "a\0b", "é", "a\\b"]
        {
            assert_eq!(header(name, 1), None, "{name:?}");
        }
        assert_eq!(header(&"a".repeat(101), 1), None);
        assert_eq!(header(&format!("{}/{}", "a".repeat(156), "b".repeat(3)), 1), None);
    }

    #[test]
    fn every_bit_of_a_header_counts() {
        for (name, size) in [("files/store.key", 64), ("x", OCTAL_END + 5)] {
            let block = header(name, size).unwrap();
            for bit in 0..BLOCK_BYTES * 8 {
                let mut other = block;
                other[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(parse(&other), None, "{name}, bit {bit}");
            }
        }
    }

    #[test]
    fn contents_are_filled_up() {
        for (size, expected) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), (u64::MAX, 1)] {
            assert_eq!(padding(size), expected, "{size}");
        }
    }
}
