//! PEM: DER in base64 between two lines that name it (RFC 7468).
//!
//! Strict where it matters (every BEGIN has its END, base64 is exact, the size is bounded), tolerant of
//! what programs really write: text outside the blocks, CRLF, lines of any length, headers in front of
//! an encrypted key (RFC 1421 §4.4), of which one says how it is.

use base::{Explain, Kind, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest text that is read for one certificate, key or signing request: 128 KiB.
pub const ONE_BYTES_MAX: usize = 128 * 1024;
/// The longest text that is read for several certificates: 16 MiB.
pub const SEVERAL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest text that is read for a revocation list, about two million entries: 128 MiB.
pub const LIST_BYTES_MAX: usize = 128 * 1024 * 1024;

const LABEL_BYTES_MAX: usize = 64;
/// More than the base64 of any private key: room for so much is made at once, so that growing leaves no
/// copies of it behind.
const KEY_BYTES_MAX: usize = 8 * 1024;

/// What stood between a BEGIN and an END line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What the lines call it, as in `CERTIFICATE`: printable ASCII, at most 64 characters.
    pub label: String,
    /// Whether headers stood in front of the base64, as they do in an old-style encrypted key.
    pub has_headers: bool,
    /// What the header `DEK-Info` says, where there is one: under what an old-style key is encrypted.
    pub dek_info: Option<String>,
    /// The decoded base64.
    pub der: Vec<u8>,
}

/// Why a text was not taken for PEM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The text is longer than is read.
    #[error("the PEM text is longer than {bytes_max} bytes")]
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// A BEGIN or END line without a proper name.
    #[error("a PEM BEGIN or END line is malformed")]
    Line,
    /// A block begins inside another.
    #[error("the PEM block `{label}` contains another BEGIN line")]
    Nested {
        /// The outer one.
        label: String,
    },
    /// A block does not end, or an END line does not belong to it.
    #[error("the PEM block `{label}` has no END line of its own")]
    Unfinished {
        /// The block.
        label: String,
    },
    /// An END line stands alone.
    #[error("a PEM END line has no BEGIN line")]
    Stray,
    /// What is in a block is not base64.
    #[error("the PEM block `{label}` is not base64")]
    Base64 {
        /// The block.
        label: String,
    },
    /// There is no block of the kind that was looked for.
    #[error("there is no PEM block `{wanted}`")]
    Missing {
        /// The kind.
        wanted: &'static str,
    },
    /// There is more than the one block that was looked for.
    #[error("there is more than one PEM block, `{wanted}` alone was expected")]
    Several {
        /// The kind.
        wanted: &'static str,
    },
    /// The block is of another kind, or has headers that its kind does not have.
    #[error("a PEM block `{wanted}` was expected, not `{found}`")]
    Unexpected {
        /// The kind that was looked for.
        wanted: &'static str,
        /// The kind that was there.
        found: String,
    },
}

impl Explain for PemError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLong { .. } => Kind::TooLarge,
            Self::Line
            | Self::Nested { .. }
            | Self::Unfinished { .. }
            | Self::Stray
            | Self::Base64 { .. }
            | Self::Missing { .. }
            | Self::Several { .. }
            | Self::Unexpected { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        matches!(self, Self::Missing { .. })
            .then(|| "DER is not read: convert it with `openssl … -inform DER`".into())
    }
}

/// All blocks of `text` in order; what stands outside them is passed over.
///
/// # Errors
/// When `text` is longer than `bytes_max`, or a block is broken.
pub fn read(text: &[u8], bytes_max: usize) -> Result<Vec<Block>, PemError> {
    if text.len() > bytes_max {
        return Err(PemError::TooLong { bytes_max });
    }
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(line) = next_line(&mut rest) {
        match boundary(line)? {
            Some(Boundary::Begin(label)) => blocks.push(read_block(label, &mut rest)?),
            Some(Boundary::End(_)) => return Err(PemError::Stray),
            None => {}
        }
    }
    Ok(blocks)
}

/// The DER of the only block in `text`, which must have one of `labels`; the first of them is the one
/// that errors name.
pub(crate) fn read_one(text: &[u8], labels: &[&'static str], bytes_max: usize) -> Result<Vec<u8>, PemError> {
    let wanted = labels[0];
    let mut blocks = read(text, bytes_max)?.into_iter();
    let block = blocks.next().ok_or(PemError::Missing { wanted })?;
    if blocks.next().is_some() {
        return Err(PemError::Several { wanted });
    }
    if !labels.contains(&block.label.as_str()) || block.has_headers {
        return Err(PemError::Unexpected { wanted, found: block.label });
    }
    Ok(block.der)
}

/// `der` as a PEM block: lines of 64 characters, a line feed at the end of each.
#[must_use]
pub fn write(label: &str, der: &[u8]) -> String {
    // Enough from the start, so that growing leaves no copies of a private key behind.
    let mut text = String::with_capacity(der.len().div_ceil(48) * 65 + 2 * label.len() + 32);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(48) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}

/// The base64 and the END line of the block whose BEGIN line was just read.
fn read_block(label: &str, rest: &mut &[u8]) -> Result<Block, PemError> {
    let mut base64 = String::with_capacity(rest.len().min(KEY_BYTES_MAX));
    let mut has_headers = false;
    let mut dek_info = None;
    let mut in_headers = false;
    while let Some(line) = next_line(rest) {
        match boundary(line)? {
            Some(Boundary::Begin(_)) => return Err(PemError::Nested { label: label.to_owned() }),
            Some(Boundary::End(end)) if end == label => {
                // It may be a private key: what it was decoded from is wiped.
                let base64 = Secret::new(base64);
                let der = STANDARD.decode(base64.expose()).ok().filter(|der| !der.is_empty());
                let der = der.ok_or_else(|| PemError::Base64 { label: label.to_owned() })?;
                return Ok(Block { label: label.to_owned(), has_headers, dek_info, der });
            }
            Some(Boundary::End(_)) => return Err(PemError::Unfinished { label: label.to_owned() }),
            None if line.contains(&b':') && (base64.is_empty() || in_headers) => {
                (has_headers, in_headers) = (true, true);
                let info = line.strip_prefix(b"DEK-Info:").and_then(|info| std::str::from_utf8(info).ok());
                dek_info = info.map(|info| info.trim().to_owned()).or(dek_info);
            }
            // An empty line ends the headers; one without a colon continues the header before it.
            None if in_headers => in_headers = !line.is_empty(),
            None => match std::str::from_utf8(line) {
                Ok(line) => base64.push_str(line),
                Err(_) => return Err(PemError::Base64 { label: label.to_owned() }),
            },
        }
    }
    Err(PemError::Unfinished { label: label.to_owned() })
}

/// Takes a line off the front of `text`, without its end and the blanks before that.
fn next_line<'a>(text: &mut &'a [u8]) -> Option<&'a [u8]> {
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let line = &text[..end];
    *text = text.get(end + 1..).unwrap_or_default();
    Some(line.trim_ascii_end())
}

enum Boundary<'a> {
    Begin(&'a str),
    End(&'a str),
}

/// What kind of line this is: one that begins or ends a block, or neither.
fn boundary(line: &[u8]) -> Result<Option<Boundary<'_>>, PemError> {
    let label = |name: &'static [u8]| line.strip_prefix(b"-----")?.strip_prefix(name);
    let (kind, label): (fn(_) -> _, _) = match (label(b"BEGIN "), label(b"END ")) {
        (Some(label), _) => (Boundary::Begin, label),
        (_, Some(label)) => (Boundary::End, label),
        _ => return Ok(None),
    };
    let label = label.strip_suffix(b"-----").ok_or(PemError::Line)?;
    let is_proper = !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && label.iter().all(|byte| (0x20..0x7f).contains(byte) && *byte != b'-' && *byte != b'`');
    match std::str::from_utf8(label) {
        Ok(label) if is_proper => Ok(Some(kind(label))),
        _ => Err(PemError::Line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Result<Vec<(String, usize)>, PemError> {
        Ok(read(text.as_bytes(), 1_000)?.into_iter().map(|block| (block.label, block.der.len())).collect())
    }

    #[test]
    fn reads_what_programs_write() {
        let table = [
            ("-----BEGIN A-----\nAAAA\n-----END A-----\n", vec![("A", 3)]),
            ("-----BEGIN A-----\r\nAAAA\r\nAAA=\r\n-----END A-----\r\n", vec![("A", 5)]),
            ("text\n-----BEGIN A B-----\nAAAA  \n\n-----END A B-----\ntext\n", vec![("A B", 3)]),
            (
                "-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN B-----\nAA==\n-----END B-----",
                vec![("A", 3), ("B", 1)],
            ),
            ("no block", vec![]),
            ("", vec![]),
        ];
        for (text, expected) in table {
            let expected = expected.into_iter().map(|(label, length)| (label.to_owned(), length)).collect();
            assert_eq!(labels(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_broken() {
        let a = || "A".to_owned();
        let table = [
            ("-----BEGIN A-----\nAAAA\n", PemError::Unfinished { label: a() }),
            ("-----BEGIN A-----\nAAAA\n-----END B-----\n", PemError::Unfinished { label: a() }),
            (
                "-----BEGIN A-----\n-----BEGIN A-----\nAAAA\n-----END A-----\n",
                PemError::Nested { label: a() },
            ),
            ("-----END A-----\n", PemError::Stray),
            ("-----BEGIN A\nAAAA\n-----END A-----\n", PemError::Line),
            ("-----BEGIN -----\nAAAA\n-----END -----\n", PemError::Line),
            ("-----BEGIN \u{e9}-----\nAAAA\n-----END \u{e9}-----\n", PemError::Line),
            ("-----BEGIN A-----\nAAA\n-----END A-----\n", PemError::Base64 { label: a() }),
            ("-----BEGIN A-----\nAAB=\n-----END A-----\n", PemError::Base64 { label: a() }),
            ("-----BEGIN A-----\nAA AA\n-----END A-----\n", PemError::Base64 { label: a() }),
            ("-----BEGIN A-----\nAA==AAAA\n-----END A-----\n", PemError::Base64 { label: a() }),
            ("-----BEGIN A-----\n-----END A-----\n", PemError::Base64 { label: a() }),
        ];
        for (text, expected) in table {
            assert_eq!(labels(text), Err(expected), "{text}");
        }
        assert_eq!(read(&[b' '; 11], 10), Err(PemError::TooLong { bytes_max: 10 }));
    }

    #[test]
    fn notices_headers() {
        let text =
            "-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END K-----\n";
        let blocks = read(text.as_bytes(), 1_000).unwrap();
        assert_eq!((blocks[0].has_headers, blocks[0].der.len()), (true, 3));
        let unexpected = PemError::Unexpected { wanted: "K", found: "K".into() };
        assert_eq!(read_one(text.as_bytes(), &["K"], 1_000), Err(unexpected));
    }

    #[test]
    fn one_means_one() {
        let block = |label: &str| write(label, &[1, 2, 3]);
        let one = |text: String| read_one(text.as_bytes(), &["A", "NEW A"], 1_000);
        assert_eq!(one(block("A")), Ok(vec![1, 2, 3]));
        assert_eq!(one(block("NEW A")), Ok(vec![1, 2, 3]));
        assert_eq!(one("x".into()), Err(PemError::Missing { wanted: "A" }));
        assert_eq!(one(block("A") + &block("B")), Err(PemError::Several { wanted: "A" }));
        assert_eq!(one(block("B")), Err(PemError::Unexpected { wanted: "A", found: "B".into() }));
    }

    #[test]
    fn writes_lines_of_64() {
        let text = write("A", &[0; 49]);
        let expected = format!("-----BEGIN A-----\n{}\nAA==\n-----END A-----\n", "A".repeat(64));
        assert_eq!(text, expected);
    }
}
