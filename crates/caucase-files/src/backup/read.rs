//! Reading one.

use std::fmt;
use std::io::{self, Read};

use aws_lc_rs::cipher::{AES_256, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base::{Explain, Kind, Secret, hex};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use x509::{KeyId, PrivateKey};

use super::{
    BLOCK_BYTES, CIPHER, CIPHER_BLOCK_BYTES, CODE_BYTES, HEADER_BYTES_MAX, KEY_BYTES, KEY_CIPHER, MAGIC,
    PIECE_BYTES, VECTOR_BYTES,
};

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
