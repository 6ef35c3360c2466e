//! Digests.

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 of `bytes` (FIPS 180-4).
///
/// # Panics
/// Never: SHA-256 gives 32 bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_example() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(crate::hex::encode(&sha256(b"abc")), expected);
    }
}
