//! Whom to believe, and how much is asked of what they say.

use x509::{KeyKind, PublicKey};

use crate::attestation::SignerId;
use crate::trust::TrustList;

/// Somebody whose attestations are believed.
#[derive(Debug, Clone)]
pub struct Signer {
    /// What people call them.
    pub name: String,
    pub(crate) key: PublicKey,
    pub(crate) id: SignerId,
}

impl Signer {
    /// The owner of this key; `None` when it is not Ed25519.
    #[must_use]
    pub fn new(name: &str, key: PublicKey) -> Option<Self> {
        let id = SignerId::of(&key);
        (*key.kind() == KeyKind::Ed25519).then(|| Self { name: name.to_owned(), key, id })
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> SignerId {
        self.id
    }
}

/// What is asked of entries by one root of trust.
#[derive(Debug, Default)]
pub struct Policy {
    /// Whose attestations are believed. A key that is listed twice counts once.
    pub signers: Vec<Signer>,
    /// Whose outer signatures are believed, where `takes_weak` says that they are.
    pub certificates: TrustList,
    /// Whether an outer signature, RSA with SHA-1, is enough.
    pub takes_weak: bool,
    /// How many different signers must have said the same bytes; 0 is 1.
    pub signers_min: usize,
    /// Whether an attestation must say when it expires.
    pub needs_expiry: bool,
}
