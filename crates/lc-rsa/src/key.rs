//! An RSA key of aws-lc, and what must be tidied up behind its functions.

use std::ptr::NonNull;

use aws_lc_sys::{
    ERR_clear_error, RSA, RSA_bits, RSA_free, RSA_private_key_from_bytes, RSA_public_key_from_bytes,
};

/// A key, public or private, freed when dropped: aws-lc overwrites what it frees. Never null, and nobody
/// else has the pointer.
pub(crate) struct Key(NonNull<RSA>);

// SAFETY: aws-lc ties no key to a thread, and this is the only pointer to it.
unsafe impl Send for Key {}
// SAFETY: a key is never changed once it is a `Key`; aws-lc's rsa.h promises that those of its functions which
// do not change a key may be used on several threads at once, signing and verifying among them.
unsafe impl Sync for Key {}

impl Key {
    /// From the DER of an RSAPublicKey (RFC 8017 §A.1.1).
    pub(crate) fn public(der: &[u8]) -> Option<Self> {
        // SAFETY: the pointer and the length describe `der`, which is only read, and only during the call.
        let key = unsafe { RSA_public_key_from_bytes(der.as_ptr(), der.len()) };
        Self::taken(key)
    }

    /// From the DER of an RSAPrivateKey (RFC 8017 §A.1.2), whose numbers are checked against each other.
    pub(crate) fn private(der: &[u8]) -> Option<Self> {
        // SAFETY: as in `public`.
        let key = unsafe { RSA_private_key_from_bytes(der.as_ptr(), der.len()) };
        Self::taken(key)
    }

    /// A new object of aws-lc's that is ours to free, or null when it failed.
    pub(crate) fn taken(key: *mut RSA) -> Option<Self> {
        let key = NonNull::new(key).map(Self);
        if key.is_none() {
            forget_errors();
        }
        key
    }

    /// For aws-lc's functions that do not change the key, and no longer than this lives.
    pub(crate) fn as_ptr(&self) -> *mut RSA {
        self.0.as_ptr()
    }

    /// The length of the modulus.
    pub(crate) fn bits(&self) -> u32 {
        // SAFETY: the key is alive, and only read.
        unsafe { RSA_bits(self.as_ptr()) }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the object is ours (see `taken`), and nobody else has the pointer.
        unsafe { RSA_free(self.0.as_ptr()) }
    }
}

/// Empties this thread's error queue, so that what failed here is not reported by a later call.
pub(crate) fn forget_errors() {
    // SAFETY: takes nothing, and touches only memory that belongs to this thread.
    unsafe { ERR_clear_error() }
}
