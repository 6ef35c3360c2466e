//! Backups: a text, here the SQL of a whole database, that each of several private keys can read.
//!
//! ```text
//! offset 0      8 bytes   `caucase` and NUL
//!        8      4 bytes   H, the header's length, little-endian
//!        12     H bytes   the header: JSON; which cipher, its first vector, and for each reader the keys, sealed
//!        12+H   the rest  AES-256-CBC, PKCS#7
//! ```
//! What is enciphered: the text in blocks of 10,485,760 bytes, the last one shorter, and after each of them 32 bytes, the
//! HMAC-SHA-256 of *all of the text so far*. So blocks can be neither changed nor dropped nor put in another order, and each
//! is believed as soon as it is there: a backup of any length passes in the memory that one block takes.
//!
//! Sealed with RSA-OAEP (SHA-1, no label; what SHA-1 is there for, nobody needs to be unable to collide) for each reader:
//! the key of the HMAC, then that of the cipher, 32 bytes each. An elliptic curve cannot do that, so who has one is no reader.
//!
//! Source: the contract of caucase, section 9.
//!
//! **Invariant:** nothing of a block is given out before its code was compared, in a time that says nothing.

use std::fmt;
use std::io::{self, Read, Write};

use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, StreamingDecryptingKey, StreamingEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base::{Entropy, Explain, Kind, Secret, hex};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use x509::{KeyId, PrivateKey, PublicKey};

/// How a backup begins.
pub const MAGIC: &[u8; 8] = b"caucase\0";

/// How much of the text one code is after.
pub const BLOCK_BYTES: usize = 10 * 1024 * 1024;

/// The cipher and the length of a block, in one name.
const CIPHER: &str = "aes256_cbc_pkcs7_hmac_10M_sha256";
/// How the keys are sealed.
const KEY_CIPHER: &str = "rsa_oaep_sha1_mgf1_sha1";

const CODE_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
const VECTOR_BYTES: usize = 16;
const CIPHER_BLOCK_BYTES: usize = 16;

/// The longest header that is read or written: that of some ten thousand readers.
pub const HEADER_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// How much is enciphered or deciphered at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Somebody who will be able to read a backup.
pub struct Recipient {
    id: KeyId,
    key: OaepPublicEncryptingKey,
}

impl Recipient {
    /// Whoever has the private half of `key`; `None` when nothing can be sealed with it: only RSA can, of 2048 to 8192 bits.
    #[must_use]
    pub fn new(key: &PublicKey) -> Option<Self> {
        let rsa = PublicEncryptingKey::from_der(key.spki()).ok()?;
        Some(Self { id: key.key_id(), key: OaepPublicEncryptingKey::new(rsa).ok()? })
    }

    /// What the key is called.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    fn seal(&self, keys: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut sealed = vec![0; self.key.ciphertext_size()];
        Ok(self.key.encrypt(&OAEP_SHA1_MGF1SHA1, keys, &mut sealed, None)?.to_vec())
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.id)
    }
}

/// A backup was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nobody would be able to read it.
    #[error("nobody could read the backup")]
    NoRecipient,
    /// More could read it than fit into its header.
    #[error("{count} keys are more than fit into a backup's header")]
    Recipients {
        /// How many.
        count: usize,
    },
    /// The cryptography library gives up.
    #[error("could not encipher the backup")]
    Cipher,
    /// The file system refuses.
    #[error("could not write the backup")]
    Io(#[from] io::Error),
}

impl Explain for WriteError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoRecipient => Kind::Conflict,
            Self::Recipients { .. } => Kind::TooLarge,
            Self::Cipher => Kind::Internal,
            Self::Io(source) if source.kind() == io::ErrorKind::StorageFull => Kind::Full,
            Self::Io(_) => Kind::Unavailable,
        }
    }
}

/// Writes a backup: takes the text in pieces of any length, [`Writer::finish`] ends it.
pub struct Writer<W> {
    to: W,
    cipher: StreamingEncryptingKey,
    authenticator: Context,
    /// How much of the block that is being written there is.
    in_block: usize,
    /// Deciphered bytes never pass through here, so it needs no wiping.
    enciphered: Vec<u8>,
}

impl<W> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("backup::Writer")
    }
}

impl<W: Write> Writer<W> {
    /// Begins a backup that `recipients` can read, with new keys out of `entropy`.
    ///
    /// # Errors
    /// When there is no recipient or there are too many, or `to` does not take the header.
    pub fn new(mut to: W, recipients: &[Recipient], entropy: &Entropy) -> Result<Self, WriteError> {
        if recipients.is_empty() {
            return Err(WriteError::NoRecipient);
        }
        let keys = Secret::new(entropy.bytes::<{ 2 * KEY_BYTES }>());
        let vector = entropy.bytes::<VECTOR_BYTES>();
        let header = header(recipients, keys.expose(), &vector)?;
        let length = u32::try_from(header.len()).ok().filter(|length| *length <= HEADER_BYTES_MAX);
        let length = length.ok_or(WriteError::Recipients { count: recipients.len() })?;
        to.write_all(MAGIC)?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(header.as_bytes())?;

        let (authenticating, enciphering) = keys.expose().split_at(KEY_BYTES);
        let cipher = UnboundCipherKey::new(&AES_256, enciphering).and_then(|key| {
            let context = EncryptionContext::Iv128(FixedLength::from(&vector));
            StreamingEncryptingKey::less_safe_cbc_pkcs7(key, context)
        });
        Ok(Self {
            to,
            cipher: cipher.map_err(|_| WriteError::Cipher)?,
            authenticator: Context::with_key(&Key::new(HMAC_SHA256, authenticating)),
            in_block: 0,
            enciphered: vec![0; PIECE_BYTES + CIPHER_BLOCK_BYTES],
        })
    }

    fn encipher(&mut self, text: &[u8]) -> io::Result<()> {
        for piece in text.chunks(PIECE_BYTES) {
            let done = self.cipher.update(piece, &mut self.enciphered).map_err(io::Error::other)?;
            self.to.write_all(done.written())?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let code = self.authenticator.clone().sign();
        self.in_block = 0;
        self.encipher(code.as_ref())
    }

    /// Ends the backup and gives back what it was written to. Nothing is flushed or synced there.
    ///
    /// # Errors
    /// When its end is not taken.
    pub fn finish(mut self) -> Result<W, WriteError> {
        if self.in_block > 0 {
            self.end_block()?;
        }
        let (_, end) = self.cipher.finish(&mut self.enciphered).map_err(|_| WriteError::Cipher)?;
        self.to.write_all(end.written())?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let taken = &text[..text.len().min(BLOCK_BYTES - self.in_block)];
        self.authenticator.update(taken);
        self.encipher(taken)?;
        self.in_block += taken.len();
        if self.in_block == BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The header, as Python's `json` would write it. There is nothing in it that JSON would have to escape.
fn header(recipients: &[Recipient], keys: &[u8], vector: &[u8]) -> Result<String, WriteError> {
    let mut readers = Vec::with_capacity(recipients.len());
    let mut seen = std::collections::HashSet::new();
    for recipient in recipients.iter().filter(|recipient| seen.insert(recipient.id)) {
        let sealed = recipient.seal(keys).map_err(|_| WriteError::Cipher)?;
        readers.push(format!(
            r#"{{"id": "{}", "cipher": {{"name": "{KEY_CIPHER}"}}, "key": "{}"}}"#,
            hex::encode(recipient.id.as_bytes()),
            hex::encode(&sealed),
        ));
    }
    Ok(format!(
        r#"{{"cipher": {{"name": "{CIPHER}", "parameter": "{}"}}, "key_list": [{}]}}"#,
        hex::encode(vector),
        readers.join(", "),
    ))
}

/// A backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It begins with something else.
    #[error("this is no backup: it does not begin like one")]
    NotABackup,
    /// It ends before its header does.
    #[error("the backup is cut off in its header")]
    HeaderCutOff,
    /// Its header is longer than any.
    #[error("the backup's header claims {bytes} bytes, more than any has")]
    HeaderTooLong {
        /// How many it claims.
        bytes: u32,
    },
    /// Its header says something else than it should.
    #[error("the backup's header is damaged: {what}")]
    Header {
        /// What is wrong.
        what: String,
    },
    /// It is enciphered in a way that is not known.
    #[error("the backup is enciphered with {name:?}, which is not known")]
    Cipher {
        /// The cipher's name.
        name: String,
    },
    /// Its keys are sealed in a way that is not known.
    #[error("the backup's keys are sealed with {name:?}, which is not known")]
    KeyCipher {
        /// The cipher's name.
        name: String,
    },
    /// It was not made for this key.
    #[error("Given private key is not a good candidate for restoring this backup")]
    NotForThisKey,
    /// What is sealed for this key is not what was written.
    #[error("the backup is damaged: what it says for this key cannot be opened")]
    Sealed,
    /// A block is not what was written.
    #[error("the backup is damaged or cut off: block {number} is not what was written")]
    Block {
        /// Which, from 1.
        number: u64,
    },
    /// It ends in the middle of something.
    #[error("the backup is damaged or cut off: its end is not what was written")]
    End,
    /// The file system refuses.
    #[error("could not read the backup")]
    Io(#[source] io::Error),
}

impl Explain for ReadError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotABackup
            | Self::HeaderCutOff
            | Self::HeaderTooLong { .. }
            | Self::Header { .. }
            | Self::Cipher { .. }
            | Self::KeyCipher { .. }
            | Self::Sealed
            | Self::Block { .. }
            | Self::End => Kind::Invalid,
            Self::NotForThisKey => Kind::Forbidden,
            Self::Io(_) => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotForThisKey => {
                Some("`caucase-key-id --backup` lists the keys that can read it".to_owned())
            }
            Self::HeaderCutOff | Self::Block { .. } | Self::End | Self::Sealed | Self::Header { .. } => {
                Some("copy it again from where it was made, or take another one".to_owned())
            }
            Self::NotABackup
            | Self::HeaderTooLong { .. }
            | Self::Cipher { .. }
            | Self::KeyCipher { .. }
            | Self::Io(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    cipher: CipherHeader,
    key_list: Vec<ReaderHeader>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CipherHeader {
    name: String,
    parameter: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReaderHeader {
    id: String,
    cipher: KeyCipherHeader,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyCipherHeader {
    name: String,
}

/// Reads a backup, block by block. After an error there is nothing more to be had from it.
pub struct Reader<R> {
    from: R,
    /// Absent once the end was seen.
    cipher: Option<StreamingDecryptingKey>,
    authenticator: Context,
    /// Deciphered and not yet given out: up to a block and its code, and a piece of what comes next.
    clear: Secret<Vec<u8>>,
    /// How many bytes at the front of `clear` were given out.
    given: usize,
    /// How many blocks were believed.
    blocks: u64,
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("backup::Reader")
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header and opens what is sealed for `key`.
    ///
    /// # Errors
    /// When it is no backup, in a cipher that is not known, damaged, or not for this key.
    pub fn open(mut from: R, key: &PrivateKey) -> Result<Self, ReadError> {
        let header = read_header(&mut from)?;
        if header.cipher.name != CIPHER {
            return Err(ReadError::Cipher { name: header.cipher.name });
        }
        let vector = hex::decode(&header.cipher.parameter)
            .and_then(|bytes| <[u8; VECTOR_BYTES]>::try_from(bytes).ok())
            .ok_or_else(|| ReadError::Header { what: "its first vector is not 16 bytes".to_owned() })?;
        let keys = open_sealed(&header.key_list, key)?;
        let (authenticating, enciphering) = keys.expose().split_at(KEY_BYTES);
        let cipher = UnboundCipherKey::new(&AES_256, enciphering).and_then(|key| {
            StreamingDecryptingKey::cbc_pkcs7(key, DecryptionContext::Iv128(FixedLength::from(&vector)))
        });
        Ok(Self {
            from,
            cipher: Some(cipher.map_err(|_| ReadError::Sealed)?),
            authenticator: Context::with_key(&Key::new(HMAC_SHA256, authenticating)),
            clear: Secret::new(Vec::new()),
            given: 0,
            blocks: 0,
        })
    }

    /// The next block of the text, believed; `None` after the last one.
    ///
    /// # Errors
    /// When the backup is damaged or cut off, or cannot be read.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let clear = self.clear.expose_mut();
        clear.drain(..std::mem::take(&mut self.given));
        while self.cipher.is_some() && self.clear.expose().len() < BLOCK_BYTES + CODE_BYTES {
            self.decipher()?;
        }
        let clear = self.clear.expose();
        if clear.is_empty() {
            return Ok(None);
        }
        let signed = clear.len().min(BLOCK_BYTES + CODE_BYTES);
        self.blocks += 1;
        let damaged = ReadError::Block { number: self.blocks };
        // There is no block without any of the text.
        let length = signed.checked_sub(CODE_BYTES).filter(|length| *length > 0);
        let Some(length) = length else { return Err(damaged) };
        self.authenticator.update(&clear[..length]);
        let code = self.authenticator.clone().sign();
        if !bool::from(code.as_ref().ct_eq(&clear[length..signed])) {
            return Err(damaged);
        }
        self.given = signed;
        Ok(Some(&self.clear.expose()[..length]))
    }

    /// Reads and deciphers one more piece, or the end.
    fn decipher(&mut self) -> Result<(), ReadError> {
        let mut piece = vec![0; PIECE_BYTES];
        let read = read_full(&mut self.from, &mut piece).map_err(ReadError::Io)?;
        let mut output = Secret::new(vec![0; PIECE_BYTES + CIPHER_BLOCK_BYTES]);
        if let Some(cipher) = &mut self.cipher
            && read > 0
        {
            let done = cipher.update(&piece[..read], output.expose_mut()).map_err(|_| ReadError::End)?;
            append(&mut self.clear, done.written());
        }
        if read < PIECE_BYTES
            && let Some(cipher) = self.cipher.take()
        {
            let end = cipher.finish(output.expose_mut()).map_err(|_| ReadError::End)?;
            append(&mut self.clear, end.written());
        }
        Ok(())
    }
}

/// The header, if it is one.
fn read_header(from: &mut impl Read) -> Result<Header, ReadError> {
    let cut_off = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::HeaderCutOff,
        _ => ReadError::Io(source),
    };
    let mut magic = [0; MAGIC.len()];
    let read = read_full(from, &mut magic).map_err(ReadError::Io)?;
    if magic[..read] != MAGIC[..read] || read == 0 {
        return Err(ReadError::NotABackup);
    }
    if read < magic.len() {
        return Err(ReadError::HeaderCutOff);
    }
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(cut_off)?;
    let bytes = u32::from_le_bytes(length);
    if bytes > HEADER_BYTES_MAX {
        return Err(ReadError::HeaderTooLong { bytes });
    }
    let mut header = Vec::new();
    from.take(bytes.into()).read_to_end(&mut header).map_err(ReadError::Io)?;
    if header.len() < bytes as usize {
        return Err(ReadError::HeaderCutOff);
    }
    serde_json::from_slice(&header).map_err(|error| ReadError::Header { what: error.to_string() })
}

/// The two keys, out of what is sealed for `key`.
fn open_sealed(readers: &[ReaderHeader], key: &PrivateKey) -> Result<Secret<Vec<u8>>, ReadError> {
    let id = key.public().key_id();
    let mut ours = readers.iter().filter(|reader| KeyId::from_hex(&reader.id) == Some(id));
    let reader = ours.next().ok_or(ReadError::NotForThisKey)?;
    if ours.next().is_some() {
        return Err(ReadError::Header { what: "it names this key twice".to_owned() });
    }
    if reader.cipher.name != KEY_CIPHER {
        return Err(ReadError::KeyCipher { name: reader.cipher.name.clone() });
    }
    let sealed = hex::decode(&reader.key).ok_or(ReadError::Sealed)?;
    let rsa = PrivateDecryptingKey::from_pkcs8(key.to_pkcs8_der().expose());
    let rsa = rsa.ok().and_then(|key| OaepPrivateDecryptingKey::new(key).ok());
    let rsa = rsa.ok_or(ReadError::NotForThisKey)?;
    let mut opened = Secret::new(vec![0; rsa.min_output_size()]);
    let length = rsa
        .decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, opened.expose_mut(), None)
        .map_err(|_| ReadError::Sealed)?
        .len();
    if length != 2 * KEY_BYTES {
        return Err(ReadError::Sealed);
    }
    opened.expose_mut().truncate(length);
    Ok(opened)
}

/// Appends to what must be wiped: where it has to grow, what it was copied from is wiped at once.
fn append(held: &mut Secret<Vec<u8>>, more: &[u8]) {
    let needed = held.expose().len() + more.len();
    if needed > held.expose().capacity() {
        let mut larger = Secret::new(Vec::with_capacity(needed.max(2 * held.expose().capacity())));
        larger.expose_mut().extend_from_slice(held.expose());
        *held = larger;
    }
    held.expose_mut().extend_from_slice(more);
}

/// Fills `bytes`, unless `from` ends before; how much there was.
fn read_full(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use x509::KeySpec;

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
        for length in
            [0, 1, 15, 16, 17, PIECE_BYTES, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, text.len()]
        {
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
}
