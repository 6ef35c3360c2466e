//! Making one.

use std::fmt;
use std::io::{self, Write};

use aws_lc_rs::cipher::{AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use base::{Entropy, Explain, Kind, Secret, hex};
use x509::{KeyId, PublicKey};

use super::{
    BLOCK_BYTES, CIPHER, CIPHER_BLOCK_BYTES, HEADER_BYTES_MAX, KEY_BYTES, KEY_CIPHER, MAGIC, PIECE_BYTES,
    VECTOR_BYTES,
};

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
