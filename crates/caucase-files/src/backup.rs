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

mod read;
mod write;

pub use read::{ReadError, Reader};
pub use write::{Recipient, WriteError, Writer};

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

#[cfg(test)]
mod tests;
