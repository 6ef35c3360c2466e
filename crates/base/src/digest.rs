//! Digests.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, SHA512, digest};
use aws_lc_rs::hmac;

use crate::hex;

/// A SHA-512 (FIPS 180-4): the name of the bytes that have it. Shown as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha512([u8; Self::BYTES]);

impl Sha512 {
    /// How many bytes it has.
    pub const BYTES: usize = 64;
    /// How many digits it is written with.
    pub const DIGITS: usize = 2 * Self::BYTES;

    /// That of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Sha512Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The one that these bytes are, as [`Sha512::as_bytes`] gave them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The one that `text` spells: exactly 128 hexadecimal digits, all of them lower-case, so that each has one name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::DIGITS || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        hex::decode(text)?.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha512({self})")
    }
}

/// Takes bytes as they come, for their [`Sha512`].
#[derive(Clone)]
pub struct Sha512Hasher(Context);

impl Sha512Hasher {
    /// Nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA512))
    }

    /// Takes these.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// That of all that came.
    ///
    /// # Panics
    /// Never: SHA-512 gives 64 bytes.
    #[must_use]
    pub fn finish(self) -> Sha512 {
        Sha512(self.0.finish().as_ref().try_into().expect("SHA-512 gives 64 bytes"))
    }
}

impl Default for Sha512Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha512Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha512Hasher")
    }
}

/// SHA-256 of `bytes` (FIPS 180-4).
///
/// # Panics
/// Never: SHA-256 gives 32 bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// HMAC with SHA-256 of `message` (RFC 2104): who has `key` can make it, and see that who made it has it too.
///
/// # Panics
/// Never: it has 32 bytes.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().try_into().expect("HMAC with SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1, 2 and 6: a short key, a text, and a key that is longer than a block.
    #[test]
    fn the_standards_authentication_codes() {
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(crate::hex::encode(&hmac_sha256(key, message)), expected);
        }
    }

    #[test]
    fn the_standards_example() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(crate::hex::encode(&sha256(b"abc")), expected);
    }

    #[test]
    fn artifacts_are_named_by_all_of_their_bytes() {
        // The empty object's name (networkcache contract, 19.1), and how the vector's begins and ends.
        let empty = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                     47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
        assert_eq!(Sha512::of(b"").to_string(), empty);
        let mut hasher = Sha512Hasher::new();
        hasher.update(b"he");
        hasher.update(b"llo");
        let hello = hasher.finish();
        assert_eq!(hello, Sha512::of(b"hello"));
        assert!(hello.to_string().starts_with("9b71d224") && hello.to_string().ends_with("bcdec043"));
    }

    #[test]
    fn each_has_one_name() {
        let name = Sha512::of(b"hello").to_string();
        assert_eq!(Sha512::parse(&name), Some(Sha512::of(b"hello")));
        for wrong in [&name[1..], &format!("{name}0"), &name.to_uppercase(), &name.replace('9', "g"), ""] {
            assert_eq!(Sha512::parse(wrong), None, "{wrong}");
        }
    }
}
