//! What opens a file, and for whom it is sealed.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base::{Entropy, Secret};

use super::{bech32, hkdf};

const KEY_BYTES: usize = 32;
const IDENTITY_PREFIX: &str = "age-secret-key-";
const RECIPIENT_PREFIX: &str = "age";
const X25519_INFO: &[u8] = b"age-encryption.org/v1/X25519";

/// What a file is sealed with or opened by.
#[derive(Debug, Clone)]
pub enum Key {
    /// A passphrase; 2 to the power of `log_n` is how often it is worked over when it seals.
    Passphrase {
        /// The passphrase.
        passphrase: Secret<String>,
        /// 18 takes a second and 256 MiB.
        log_n: u8,
    },
    /// Those who may open it.
    Recipients(Vec<Recipient>),
    /// One of whom may open it.
    Identities(Vec<Identity>),
}

/// What is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No recipient.
    #[error("it is no recipient of age's, which begins with `age1`")]
    Recipient,
    /// No identity.
    #[error("it is no identity of age's, which begins with `AGE-SECRET-KEY-1`")]
    Identity,
}

/// For whom a file may be sealed: `age1…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient([u8; KEY_BYTES]);

impl Recipient {
    /// The recipient that `text` is.
    ///
    /// # Errors
    /// [`KeyError::Recipient`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = bech32::decode(RECIPIENT_PREFIX, text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(KeyError::Recipient)
    }

    /// As it is written.
    #[must_use]
    pub fn to_text(&self) -> String {
        bech32::encode(RECIPIENT_PREFIX, &self.0)
    }

    /// The file's key for this recipient: the share that goes with it, and the key, wrapped.
    pub(super) fn wrap(&self, file_key: &[u8; 16], entropy: &Entropy) -> Option<([u8; KEY_BYTES], Vec<u8>)> {
        let ephemeral = Identity(Secret::new(entropy.bytes()));
        let share = ephemeral.recipient().0;
        let shared = ephemeral.shared(&self.0)?;
        let key = hkdf(shared.expose(), &[share, self.0].concat(), X25519_INFO);
        Some((share, wrap(&key, file_key)))
    }
}

/// Who opens files that were sealed for its recipient: `AGE-SECRET-KEY-1…`.
#[derive(Debug, Clone)]
pub struct Identity(Secret<[u8; KEY_BYTES]>);

impl Identity {
    /// A new one.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> Self {
        Self(Secret::new(entropy.bytes()))
    }

    /// The identity that `text` is.
    ///
    /// # Errors
    /// [`KeyError::Identity`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = bech32::decode(IDENTITY_PREFIX, text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| Self(Secret::new(bytes))).ok_or(KeyError::Identity)
    }

    /// All identities in a file of age's: one in each line that is neither empty nor a comment.
    ///
    /// # Errors
    /// [`KeyError::Identity`], also when there is none.
    pub fn all(text: &str) -> Result<Vec<Self>, KeyError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let all: Vec<Self> = lines.map(Self::parse).collect::<Result<_, _>>()?;
        if all.is_empty() { Err(KeyError::Identity) } else { Ok(all) }
    }

    /// As it is written.
    #[must_use]
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(bech32::encode(IDENTITY_PREFIX, self.0.expose()).to_uppercase())
    }

    /// For whom files are sealed that this opens.
    ///
    /// # Panics
    /// Never: every 32 bytes are a key of X25519.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        let public = self.private().compute_public_key().expect("it has a public key");
        Recipient(public.as_ref().try_into().expect("one of X25519 has 32 bytes"))
    }

    fn private(&self) -> PrivateKey {
        PrivateKey::from_private_key(&X25519, self.0.expose()).expect("32 bytes are a key of X25519")
    }

    fn shared(&self, public: &[u8; KEY_BYTES]) -> Option<Secret<Vec<u8>>> {
        // Refuses points that would share zeros with everybody.
        agree(&self.private(), UnparsedPublicKey::new(&X25519, public), (), |shared| {
            Ok(Secret::new(shared.to_vec()))
        })
        .ok()
    }

    /// The file's key, if it was wrapped for this.
    pub(super) fn unwrap(&self, share: &[u8; KEY_BYTES], wrapped: &[u8]) -> Option<Secret<[u8; 16]>> {
        let shared = self.shared(share)?;
        unwrap(&hkdf(shared.expose(), &[*share, self.recipient().0].concat(), X25519_INFO), wrapped)
    }
}

/// Wraps a file's key under a key that is used for nothing else.
pub(super) fn wrap(key: &[u8; KEY_BYTES], file_key: &[u8; 16]) -> Vec<u8> {
    let mut wrapped = file_key.to_vec();
    let key = sealing(key);
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut wrapped).expect("16 bytes are few enough");
    wrapped
}

/// The file's key that [`wrap`] wrapped.
pub(super) fn unwrap(key: &[u8; KEY_BYTES], wrapped: &[u8]) -> Option<Secret<[u8; 16]>> {
    let mut bytes = Secret::new(wrapped.to_vec());
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let opened = sealing(key).open_in_place(nonce, Aad::empty(), bytes.expose_mut()).ok()?;
    Some(Secret::new(<[u8; 16]>::try_from(&*opened).ok()?))
}

/// ChaCha20-Poly1305 under `key`.
pub(super) fn sealing(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(
        UnboundKey::new(&CHACHA20_POLY1305, key).expect("32 bytes are a key of ChaCha20-Poly1305"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the example in age's README, and the one that belongs to it.
    #[test]
    fn keys_are_written_as_age_does() {
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        assert_eq!(Recipient::parse(recipient).unwrap().to_text(), recipient);
        let identity = Identity::generate(&Entropy::seeded(1));
        let text = identity.to_text();
        assert!(text.expose().starts_with("AGE-SECRET-KEY-1"));
        let file = format!("# created: today\n# public key: x\n{}\n\n", text.expose());
        assert_eq!(Identity::all(&file).unwrap()[0].recipient(), identity.recipient());
        assert!(Identity::all("# nothing\n").is_err());
        assert!(Recipient::parse(text.expose()).is_err());
        assert!(Identity::parse(recipient).is_err());
        assert!(Recipient::parse("age1").is_err());
    }
}
