use std::io::Write as _;

use base::Entropy;
use x509::{KeySpec, PrivateKey};

use super::*;

fn key() -> PrivateKey {
    PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).unwrap()
}

fn backup(text: &[u8], readers: &[&PrivateKey]) -> Vec<u8> {
    let recipients: Vec<_> = readers.iter().map(|key| Recipient::new(key.public()).unwrap()).collect();
    let mut writer = Writer::new(Vec::new(), &recipients, &Entropy::seeded(1)).unwrap();
    writer.write_all(text).unwrap();
    writer.finish().unwrap()
}

fn read(bytes: &[u8], key: &PrivateKey) -> Result<Vec<u8>, ReadError> {
    let mut reader = Reader::open(bytes, key)?;
    let mut text = Vec::new();
    while let Some(block) = reader.next_block()? {
        text.extend_from_slice(block);
    }
    Ok(text)
}

#[test]
fn each_of_several_keys_reads_what_was_written() {
    let (one, two) = (key(), key());
    let text: Vec<u8> = (0..2 * BLOCK_BYTES + 5).map(|at| (at / 7) as u8).collect();
    for length in [0, 1, 15, 16, 17, PIECE_BYTES, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, text.len()] {
        let bytes = backup(&text[..length], &[&one, &two]);
        assert!(read(&bytes, &two).unwrap() == text[..length], "{length}");
    }
    let bytes = backup(b"text", &[&one, &two]);
    assert_eq!(read(&bytes, &one).unwrap(), b"text");
    let refused = read(&bytes, &key()).unwrap_err();
    assert!(matches!(refused, ReadError::NotForThisKey));
    assert!(refused.to_string().starts_with("Given private key is not a good candidate"));
}

/// One that the Python original made, and what its `iterdump` says of the same database.
#[test]
fn the_originals_are_read() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds");
    let file = |name: &str| std::fs::read(format!("{seeds}/{name}")).unwrap();
    let key = PrivateKey::from_pem(&String::from_utf8(file("backup.key.pem")).unwrap()).unwrap();
    let text = read(&file("backup/whole"), &key).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), String::from_utf8(file("dump/whole")).unwrap());
}

#[test]
fn only_rsa_can_read_and_somebody_must() {
    for spec in [KeySpec::P256, KeySpec::P384, KeySpec::Ed25519] {
        assert!(Recipient::new(PrivateKey::generate(spec).unwrap().public()).is_none());
    }
    let nobody = Writer::new(Vec::new(), &[], &Entropy::seeded(1));
    assert!(matches!(nobody, Err(WriteError::NoRecipient)));
    let curve = PrivateKey::generate(KeySpec::P256).unwrap();
    assert!(matches!(read(&backup(b"text", &[&key()]), &curve), Err(ReadError::NotForThisKey)));
    // One key, of two certificates: the original refuses a backup that names it twice.
    let twice = key();
    assert_eq!(read(&backup(b"text", &[&twice, &twice]), &twice).unwrap(), b"text");
}

/// Whatever is cut off or changed, and wherever: nothing of it is given out.
#[test]
fn whatever_is_changed_is_noticed() {
    let key = key();
    let whole = backup(b"BEGIN TRANSACTION;\0COMMIT;\0", &[&key]);
    assert_eq!(read(&whole, &key).unwrap(), b"BEGIN TRANSACTION;\0COMMIT;\0");
    let header_end = whole.len() - 64;
    for length in 0..whole.len() {
        assert!(read(&whole[..length], &key).is_err(), "cut off at {length}");
    }
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        // Of the header's hexadecimal digits, capitals are as good.
        let same = at < header_end && flipped[at].eq_ignore_ascii_case(&whole[at]);
        assert!(read(&flipped, &key).is_err() || same, "changed at {at}");
    }
    assert!(read(&[&whole[..], &[0; 16]].concat(), &key).is_err(), "something follows");
    assert!(matches!(read(b"SQLite format 3\0", &key), Err(ReadError::NotABackup)));
    assert!(matches!(read(b"", &key), Err(ReadError::NotABackup)));
    let long = [&MAGIC[..], &[0xff; 4]].concat();
    assert!(matches!(read(&long, &key), Err(ReadError::HeaderTooLong { bytes: u32::MAX })));
}

#[test]
fn blocks_stay_where_they_are() {
    let key = key();
    let text = vec![7; 3 * BLOCK_BYTES];
    let whole = backup(&text, &[&key]);
    let blocks = whole.len() - (3 * (BLOCK_BYTES + CODE_BYTES) + CIPHER_BLOCK_BYTES);
    for end in [1, 2] {
        let cut = &whole[..blocks + end * (BLOCK_BYTES + CODE_BYTES)];
        assert!(read(cut, &key).is_err(), "{end} blocks are not all of them");
    }
    let mut damaged = whole.clone();
    damaged[blocks + BLOCK_BYTES + CODE_BYTES + 100] ^= 1;
    let mut reader = Reader::open(&damaged[..], &key).unwrap();
    assert_eq!(reader.next_block().unwrap().unwrap().len(), BLOCK_BYTES);
    assert!(matches!(reader.next_block(), Err(ReadError::Block { number: 2 })));
}

#[test]
fn ciphers_that_are_not_known_are_named() {
    let key = key();
    let whole = backup(b"text", &[&key]);
    let changed = |from: &str, to: &str| {
        let header = u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
        let text = std::str::from_utf8(&whole[12..12 + header]).unwrap().replacen(from, to, 1);
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        let bytes = [MAGIC, &length[..], text.as_bytes(), &whole[12 + header..]].concat();
        read(&bytes, &key).unwrap_err().to_string()
    };
    for (from, to, expected) in [
        (CIPHER, "TESTS_INTERNAL_USE_ONLY", "enciphered with \"TESTS_INTERNAL_USE_ONLY\""),
        (KEY_CIPHER, "rot13", "sealed with \"rot13\""),
        (r#""parameter": ""#, r#""parameter": "0"#, "first vector"),
        ("{", "[", "damaged"),
        (r#"{"id""#, r#"{"more": 1, "id""#, "damaged"),
    ] {
        let said = changed(from, to);
        assert!(said.contains(expected), "{said}");
    }
}
