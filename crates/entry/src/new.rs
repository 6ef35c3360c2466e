//! New entries: their text, as Python's `json.dumps` would write it, and their signatures (networkcache contract, 4.1).

use base::{Explain, Kind, Sha512};
use x509::PrivateKey;

use crate::attestation::{self, AttestationError, Claims, MEMBER, REVOKES_MAX, WITHDRAWAL};
use crate::entry::{Entry, EntryError};
use crate::python;
use crate::signature::SigningKey;
use crate::value::{Object, Value};

/// Why an entry was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NewError {
    /// Nothing is said about the bytes. The words are the original's.
    #[error("metadata should not be empty")]
    Empty,
    /// A name that is not for the caller to say.
    #[error("`{name}` is no name for metadata: it is put in by whoever makes the entry")]
    Reserved {
        /// Which.
        name: &'static str,
    },
    /// It would withdraw nothing, or too much.
    #[error("an entry withdraws from 1 to {REVOKES_MAX} others")]
    Revokes,
    /// The attestation.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// It would not be taken.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

impl Explain for NewError {
    fn kind(&self) -> Kind {
        match self {
            Self::Empty | Self::Reserved { .. } | Self::Revokes => Kind::Invalid,
            Self::Attestation(source) => source.kind(),
            Self::Entry(source) => source.kind(),
        }
    }
}

/// What is to be said about some bytes.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Which bytes.
    pub sha512: Sha512,
    /// What is said, in order; not empty.
    pub metadata: Object,
    /// What Provost says inside the text, and the Ed25519 key that signs it.
    pub attestation: Option<(&'a Claims, &'a PrivateKey)>,
}

impl New<'_> {
    /// The entry, signed by `signer` if there is one: the outer signature, which old readers know.
    ///
    /// # Errors
    /// When the metadata is empty or has one of the names `sha512` and `provost`, the attestation cannot be made, or the
    /// entry would be refused at the door: it is larger than what is taken there.
    pub fn sign(self, signer: Option<&SigningKey>) -> Result<Entry, NewError> {
        if self.metadata.is_empty() {
            return Err(NewError::Empty);
        }
        for name in ["sha512", MEMBER] {
            if self.metadata.get(name).is_some() {
                return Err(NewError::Reserved { name });
            }
        }
        sign(self.sha512, &self.metadata, self.attestation, signer)
    }
}

/// The entry by which `attester` withdraws some of its own under the key that `claims` names. The entry's size and
/// expiry are its own; those of `claims`, and what it says of revocation, are passed over. `signer`, if there is one,
/// makes the outer signature too: with it entries are withdrawn that only that key signed.
///
/// # Errors
/// When there is nothing to withdraw, too much, or the attestation cannot be made.
pub fn withdrawal<'a>(
    claims: &Claims,
    withdrawn: impl IntoIterator<Item = &'a Entry>,
    attester: &PrivateKey,
    signer: Option<&SigningKey>,
) -> Result<Entry, NewError> {
    let revokes: Vec<Sha512> = withdrawn.into_iter().map(Entry::text_digest).collect();
    if !(1..=REVOKES_MAX).contains(&revokes.len()) {
        return Err(NewError::Revokes);
    }
    let size = u64::try_from(WITHDRAWAL.len()).unwrap_or(u64::MAX);
    let claims = Claims { size, expires: None, revokes, ..claims.clone() };
    sign(Sha512::of(WITHDRAWAL.as_bytes()), &Object::new(), Some((&claims, attester)), signer)
}

fn sign(
    sha512: Sha512,
    metadata: &Object,
    attestation: Option<(&Claims, &PrivateKey)>,
    signer: Option<&SigningKey>,
) -> Result<Entry, NewError> {
    let mut object = Object::new();
    object.insert("sha512", Value::text(&sha512.to_string()));
    object.extend(metadata);
    if let Some((claims, attester)) = attestation {
        object = attestation::attest(object, claims, attester)?;
    }
    let mut text = String::new();
    python::write_object(&mut text, &object);
    let signature = signer.map(|signer| signer.sign(&text)).unwrap_or_default();
    Ok(Entry::new(text, signature)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::read;
    use crate::trust::TrustList;
    use crate::vector;

    fn metadata(text: &str) -> Object {
        read(text).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn the_text_is_what_python_writes() {
        // The vector's own (19.2).
        let metadata = metadata("{\"url\": \"http://example.invalid/é.tar.gz\", \"n\": 1.5, \"v\": [4, 10]}");
        let new = New { sha512: Sha512::of(b"hello"), metadata, attestation: None };
        let vector = Entry::parse(vector::ENTRY.as_bytes()).unwrap();
        let signer = SigningKey::from_pem(vector::KEY_PKCS1).unwrap();
        let (signed, unsigned) = (new.clone().sign(Some(&signer)).unwrap(), new.sign(None).unwrap());
        assert_eq!((signed.text(), unsigned.text()), (vector.text(), vector.text()));
        assert_eq!(unsigned.signature(), "");
        let trust = TrustList::parse(vector::KEY_CERTIFICATE).unwrap();
        assert_eq!((trust.verified_by(&signed), trust.verified_by(&unsigned)), (Some(0), None));
    }

    #[test]
    fn some_metadata_is_refused() {
        let error = |text: &str| {
            let new = New { sha512: Sha512::of(b""), metadata: metadata(text), attestation: None };
            new.sign(None).unwrap_err().to_string()
        };
        assert_eq!(error("{}"), "metadata should not be empty");
        assert!(error("{\"a\": 1, \"sha512\": 1}").starts_with("`sha512` is no name for metadata"));
        assert!(error("{\"provost\": 1}").starts_with("`provost` is no name for metadata"));
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
        assert_eq!(error(&long), "the entry is longer than 1048576 bytes");
    }
}
