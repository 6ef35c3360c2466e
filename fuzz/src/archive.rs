//! Files of `provost backup`, and what age encrypts.

use std::io::Read as _;

use archive::age::{Header, Identity, Key, MAGIC};
use archive::read::{ReadError, Reader};
use archive::write::Writer;
use archive::{END, record};

/// The one for whom the seeds are encrypted, and nothing else.
const IDENTITY: &str = "AGE-SECRET-KEY-1DK6JLEZAUWA0VU7TTLPERMTV57P4KHL5GPWVNXVSX7PD5HJS9RJS7T40N7";
/// How long a part may be.
const PART_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn run(data: &[u8]) {
    if data.starts_with(MAGIC) {
        let mut from = data;
        let Ok(header) = Header::read(&mut from) else { return };
        let key = Key::Identities(vec![Identity::parse(IDENTITY).expect("it is one")]);
        let Ok(mut opened) = header.open(&key, from) else { return };
        let mut clear = Vec::new();
        if opened.read_to_end(&mut clear).is_ok() {
            assert!(clear.len() < data.len());
        }
        return;
    }
    records(data);
    let Ok(parts) = parts(data) else { return };
    // There is one file with these parts.
    let mut writer = Writer::new(Vec::new());
    let mut end = Vec::new();
    for (name, bytes) in parts {
        if name == END {
            end = bytes;
        } else {
            writer.part(&name, &bytes).expect("its name was read");
        }
    }
    assert!(writer.finish(|_| end).expect("memory takes it") == data);
}

/// The parts of a file that is whole but for what its last part says.
fn parts(data: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
    let mut reader = Reader::new(data);
    let mut parts = Vec::new();
    while let Some(part) = reader.next_part()? {
        let bytes = reader.all(&part, PART_BYTES_MAX)?;
        assert_eq!(bytes.len() as u64, part.size);
        assert_eq!(part.before.is_some(), part.name == END);
        records(&bytes);
        parts.push((part.name, bytes));
    }
    Ok(parts)
}

/// What is read as records is written, and read again.
fn records(lines: &[u8]) {
    let Ok(found) = record::read(lines).collect::<Result<Vec<_>, _>>() else { return };
    let mut again = Vec::new();
    for (key, value) in &found {
        record::write(&mut again, key, value);
    }
    assert!(record::read(&again).collect::<Result<Vec<_>, _>>().as_ref() == Ok(&found));
}
