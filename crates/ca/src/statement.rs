//! Signed statements: how a holder proves possession of a key without TLS, and how one CA certificate
//! vouches for the next.

use core::net::IpAddr;

use identity::Principal;
use x509::{Certificate, Digest, PublicKey};

use crate::error::StatementError;

/// A text and somebody's signature over it.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text, exactly as received: the signature covers these very bytes.
    pub text: String,
    /// Which digest was signed with.
    pub digest: Digest,
    /// The signature.
    pub signature: Vec<u8>,
}

/// The bytes that are signed: the text, the digest's name, one space (caucase contract, section 3.1).
#[must_use]
pub fn signed_text(text: &str, digest: Digest) -> Vec<u8> {
    [text.as_bytes(), digest.name().as_bytes(), b" "].concat()
}

impl Statement {
    /// Checks the signature with `key`.
    ///
    /// # Errors
    /// [`StatementError::Signature`] when somebody else signed, or something else was signed.
    pub fn verify(&self, key: &PublicKey) -> Result<(), StatementError> {
        key.verify_statement(self.digest, &signed_text(&self.text, self.digest), &self.signature)
            .map_err(StatementError::Signature)
    }

    /// Proves that whoever made the statement holds `certificate`.
    ///
    /// # Errors
    /// As [`Statement::verify`].
    pub fn by(&self, certificate: Certificate) -> Result<ByHolder, StatementError> {
        self.verify(certificate.public_key())?;
        Ok(ByHolder { certificate, from: None })
    }
}

/// A certificate whose holder was proven to be asking. Whether it is still good is looked at next.
#[derive(Debug, Clone)]
pub struct ByHolder {
    certificate: Certificate,
    from: Option<IpAddr>,
}

impl ByHolder {
    /// The same, who asks from this address: for the history.
    #[must_use]
    pub fn asking_from(self, address: IpAddr) -> Self {
        Self { from: Some(address), ..self }
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn principal(&self) -> Principal {
        Principal::holder_of(&self.certificate, self.from)
    }
}
