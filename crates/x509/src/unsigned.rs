//! What lacks only its signature.

use std::fmt;

use crate::error::SignatureError;
use crate::public_key::PublicKey;
use crate::scheme::Scheme;
use crate::signed::Signed;

/// A certificate or a revocation list (`T`) that lacks only its signature, which is made somewhere else.
pub struct Unsigned<'t, T> {
    key: PublicKey,
    scheme: Scheme,
    to_be_signed: Vec<u8>,
    finish: Box<dyn FnOnce(Signed) -> T + Send + 't>,
}

impl<'t, T> Unsigned<'t, T> {
    /// What `key` is to sign as `scheme` says; `finish` makes a `T` of it when it is signed.
    pub(crate) fn new(
        (key, scheme): (&PublicKey, Scheme),
        to_be_signed: Vec<u8>,
        finish: impl FnOnce(Signed) -> T + Send + 't,
    ) -> Self {
        Self { key: key.clone(), scheme, to_be_signed, finish: Box::new(finish) }
    }

    /// How it is to be signed.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What is to be signed.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// The whole, with the signature that came back.
    ///
    /// # Errors
    /// When it is not the signature of that key over this.
    pub fn signed(self, signature: &[u8]) -> Result<T, SignatureError> {
        let algorithm = self.scheme.algorithm().map_err(|_| SignatureError::Malformed)?;
        let signed = Signed::put_together(&self.to_be_signed, algorithm, signature);
        signed.verify(&self.key)?;
        Ok((self.finish)(signed))
    }
}

impl<T> fmt::Debug for Unsigned<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsigned").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
