//! Signed JSON (caucase contract, section 3.1): the signature covers the very text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use x509::{Certificate, Digest, KeyKind, PrivateKey};

/// What somebody said, and with which key. Unread and unbelieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Statement {
    /// A JSON document, as text.
    pub(super) payload: String,
    digest: String,
    signature: String,
}

impl Statement {
    /// `payload`, as the holder of `key` says it: RSA with a salt of the greatest length that fits, elliptic curves and
    /// Ed25519 as our own servers take them.
    pub(super) fn sign(payload: &Value, key: &PrivateKey) -> Self {
        let payload = payload.to_string();
        let digest = digest_of(key);
        let signature = key
            .sign_statement(digest, said(&payload, digest.name()).as_bytes())
            .expect("the digest is the one of the key");
        // As the original ends it.
        let signature = format!("{}\n", STANDARD.encode(signature));
        Self { payload, digest: digest.name().to_owned(), signature }
    }

    /// Whether the holder of this certificate said it.
    pub(super) fn is_signed_by(&self, signer: &Certificate) -> bool {
        let Some(digest) = Digest::from_name(&self.digest) else { return false };
        let compact: String = self.signature.chars().filter(|one| !one.is_ascii_whitespace()).collect();
        let Ok(signature) = STANDARD.decode(compact) else { return false };
        let said = said(&self.payload, &self.digest);
        signer.public_key().verify_statement(digest, said.as_bytes(), &signature).is_ok()
    }
}

/// What only somebody says whom TLS has shown to be a user: `payload` is a JSON document.
pub(super) fn unsigned(payload: &str) -> Value {
    json!({"payload": payload, "digest": null})
}

/// The bytes that are signed.
fn said(payload: &str, digest: &str) -> String {
    format!("{payload}{digest} ")
}

/// The digest that goes with a key: an elliptic curve has one of its own.
fn digest_of(key: &PrivateKey) -> Digest {
    match key.public().kind() {
        KeyKind::EcP384 => Digest::Sha384,
        _ => Digest::Sha256,
    }
}
