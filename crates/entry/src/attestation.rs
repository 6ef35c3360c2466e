//! Provost's own signature, inside the text of an entry, where old readers see one more member and pass it over.
//!
//! The outer signature is RSA with SHA-1 and says nothing about the key that the entry is filed under, nor about time.
//! This one is Ed25519 (RFC 8032) and binds all of it. It is a member of the entry's object:
//!
//! ```text
//! "provost": {
//!     "v": 1,                    the version of this format
//!     "key": "file-urlmd5:…",    what the entry is filed under, decoded from percent-encoding
//!     "size": 12345,             how many bytes the object has
//!     "created": 1763740800,     seconds since 1970-01-01T00:00:00Z
//!     "expires": 1795276800,     the last second at which the entry counts; may be left out
//!     "signer": "9f86d0…",       SHA-256 of the DER of the signer's SubjectPublicKeyInfo (RFC 8410), 64 lower-case digits
//!     "sequence": 7,             grows with every entry that this signer signs, under whatever key; from 1 on
//!     "revokes": ["ab12…"],      the entries that this one withdraws; may be left out
//!     "sig": "base64…"           the signature: 64 bytes, RFC 4648 §4 with padding
//! }
//! ```
//! Numbers are integers from 0 to 2⁵³ − 1, written without a point. Members that are not in this list may stand there,
//! are signed as the others are, and are passed over; a higher `v` means that they must not be, and that readers of this
//! version do not take the attestation.
//!
//! **What is signed:** the bytes of [`CONTEXT`], which end in a line feed, and behind them the canonical form (RFC 8785)
//! in UTF-8 of the entry's whole object, without the member `sig` of the member `provost`. What has no canonical form with
//! all readers cannot be signed: see [`canonical`].
//!
//! ```sh
//! { printf 'provost cache entry v1\n'; jcs < entry-without-sig.json; } > message
//! openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in message -sigfile sig
//! ```
//! **How it stands to the outer signature:** the text is finished, with `sig` in it, and then the outer signature is made
//! over the text's bytes. Each counts alone; whoever verifies the outer one has verified that this member was meant.
//!
//! **Withdrawal:** an entry with `revokes`, under the same key and by the same signer, as an ordinary entry of its own. It
//! names each entry that it withdraws by the SHA-512 of that entry's text (its UTF-8), 128 lower-case digits. Its own
//! `sha512` is that of [`WITHDRAWAL`], for which no object need be there. It has no other metadata, so that old readers,
//! who ask for some, do not take it for an answer. It does not expire.

use base::{Explain, Kind, Sha512, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509::{Digest, KeyKind, PrivateKey, PublicKey};

use crate::canonical::{CanonicalError, canonical};
use crate::entry::Statement;
use crate::value::{Int, Object, Value};

/// What the signed bytes begin with, so that a signature made for something else is never one of these.
pub const CONTEXT: &str = "provost cache entry v1\n";
/// What a withdrawal's `sha512` is of.
pub const WITHDRAWAL: &str = "This entry withdraws others; it stands for no object.\n";
/// The member that it is in.
pub const MEMBER: &str = "provost";
/// How many entries one can withdraw.
pub const REVOKES_MAX: usize = 1000;

/// Why the member `provost` was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Something of it is missing, or of the wrong kind.
    #[error("the member `{name}` of `provost` is missing or not what it should be")]
    Member {
        /// Which; `provost` itself if it is no object.
        name: &'static str,
    },
    /// Made by a later version.
    #[error("the attestation is of a version that is not known here")]
    Version,
    /// It cannot have been signed.
    #[error("the entry has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// Signed by another key, or changed since.
    #[error("the attestation's signature does not verify")]
    Wrong,
}

impl Explain for AttestationError {
    fn kind(&self) -> Kind {
        match self {
            Self::Canonical(source) => source.kind(),
            Self::Member { .. } | Self::Version | Self::Wrong => Kind::Invalid,
        }
    }
}

/// Which key signed: the SHA-256 of its SubjectPublicKeyInfo.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignerId([u8; 32]);

impl SignerId {
    /// That of this key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        Self(base::sha256(key.spki()))
    }

    /// The one that `text` spells: 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        base::hex::decode(text)?.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for SignerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&base::hex::encode(&self.0))
    }
}

impl std::fmt::Debug for SignerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignerId({self})")
    }
}

/// What the member `provost` says, besides who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// What the entry is filed under.
    pub key: String,
    /// How many bytes the object has.
    pub size: u64,
    /// When it was signed.
    pub created: Timestamp,
    /// The last second at which it counts.
    pub expires: Option<Timestamp>,
    /// The signer's counter.
    pub sequence: u64,
    /// The digests of the texts of the entries that it withdraws.
    pub revokes: Vec<Sha512>,
}

/// The member `provost` of an entry. Whether its signature is right is for [`Attestation::verify`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What it says.
    pub claims: Claims,
    /// Who says so.
    pub signer: SignerId,
    signature: Vec<u8>,
}

impl Attestation {
    /// The one in a statement; `None` when there is none.
    ///
    /// # Errors
    /// When it is malformed or of another version.
    pub fn read(statement: &Statement) -> Result<Option<Self>, AttestationError> {
        let missing = |name| AttestationError::Member { name };
        let Some(member) = statement.get(MEMBER) else { return Ok(None) };
        let member = member.as_object().ok_or(missing(MEMBER))?;
        let number = |name| member.get(name).and_then(whole).ok_or(missing(name));
        let text = |name| member.get(name).and_then(Value::as_str).ok_or(missing(name));
        if number("v")? != 1 {
            return Err(AttestationError::Version);
        }
        let claims = Claims {
            key: text("key")?.to_owned(),
            size: number("size")?,
            created: moment(number("created")?),
            expires: member.get("expires").map(|_| number("expires").map(moment)).transpose()?,
            sequence: Some(number("sequence")?).filter(|number| *number > 0).ok_or(missing("sequence"))?,
            revokes: match member.get("revokes") {
                Some(revokes) => read_revokes(revokes).ok_or(missing("revokes"))?,
                None => Vec::new(),
            },
        };
        let signer = SignerId::parse(text("signer")?).ok_or(missing("signer"))?;
        let signature = STANDARD.decode(text("sig")?).ok().filter(|bytes| bytes.len() == 64);
        Ok(Some(Self { claims, signer, signature: signature.ok_or(missing("sig"))? }))
    }

    /// Whether the owner of `key` signed this statement. The key must be the one that `signer` names, and Ed25519.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(&self, statement: &Statement, key: &PublicKey) -> Result<(), AttestationError> {
        if *key.kind() != KeyKind::Ed25519 || SignerId::of(key) != self.signer {
            return Err(AttestationError::Wrong);
        }
        let message = message(statement.members())?;
        // Ed25519 has a digest of its own; the one named here is for other kinds of keys.
        key.verify_statement(Digest::Sha512, message.as_bytes(), &self.signature)
            .map_err(|_| AttestationError::Wrong)
    }

    /// Whether this is the entry of a withdrawal.
    #[must_use]
    pub fn is_withdrawal(&self) -> bool {
        !self.claims.revokes.is_empty()
    }
}

/// Puts an attestation by `signer`, an Ed25519 key, into an object: `object` is the whole entry but for the member
/// `provost`, which stands last.
///
/// # Errors
/// When the key is of another kind ([`AttestationError::Wrong`]), a number is too large for JSON, or something in the
/// object has no canonical form.
pub fn attest(mut object: Object, claims: &Claims, signer: &PrivateKey) -> Result<Object, AttestationError> {
    if *signer.public().kind() != KeyKind::Ed25519 {
        return Err(AttestationError::Wrong);
    }
    let seconds =
        |at: Timestamp, name| u64::try_from(at.as_unix()).map_err(|_| AttestationError::Member { name });
    let mut member = Object::new();
    member.insert("v", Value::Int(Int::from(1_u64)));
    member.insert("key", Value::text(&claims.key));
    member.insert("size", Value::Int(Int::from(claims.size)));
    member.insert("created", Value::Int(Int::from(seconds(claims.created, "created")?)));
    if let Some(expires) = claims.expires {
        member.insert("expires", Value::Int(Int::from(seconds(expires, "expires")?)));
    }
    member.insert("signer", Value::text(&SignerId::of(signer.public()).to_string()));
    member.insert("sequence", Value::Int(Int::from(claims.sequence)));
    if !claims.revokes.is_empty() {
        let revokes = claims.revokes.iter().map(|digest| Value::text(&digest.to_string())).collect();
        member.insert("revokes", Value::List(revokes));
    }
    object.insert(MEMBER, Value::Object(member.clone()));
    let signature = signer.sign(message(&object)?.as_bytes());
    member.insert("sig", Value::text(&STANDARD.encode(signature)));
    object.insert(MEMBER, Value::Object(member));
    Ok(object)
}

/// What is signed of an entry's object.
fn message(object: &Object) -> Result<String, CanonicalError> {
    let mut signed = object.clone();
    if let Some(member) = object.get(MEMBER).and_then(Value::as_object) {
        signed.insert(MEMBER, Value::Object(member.without("sig")));
    }
    Ok(format!("{CONTEXT}{}", canonical(&signed)?))
}

/// An integer from 0 to 2⁵³ − 1.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().filter(|number| *number < 1 << 53)
}

fn moment(seconds: u64) -> Timestamp {
    Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn read_revokes(value: &Value) -> Option<Vec<Sha512>> {
    let digests = value.as_list().filter(|items| (1..=REVOKES_MAX).contains(&items.len()))?;
    digests.iter().map(|digest| Sha512::parse(digest.as_str()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::json::read;
    use crate::new::{self, New};
    use crate::python;
    use x509::KeySpec;

    fn claims() -> Claims {
        Claims {
            key: "file-urlmd5:ä".into(),
            size: 5,
            created: Timestamp::from_unix(1000),
            expires: Some(Timestamp::from_unix(2000)),
            sequence: 7,
            revokes: Vec::new(),
        }
    }

    fn signer() -> PrivateKey {
        PrivateKey::generate(KeySpec::Ed25519).unwrap()
    }

    fn signed(signer: &PrivateKey, claims: &Claims) -> Entry {
        let mut metadata = Object::new();
        metadata.insert("url", Value::text("http://é"));
        metadata.insert("n", Value::Float(1.0));
        let new = New { sha512: Sha512::of(b"hello"), metadata, attestation: Some((claims, signer)) };
        new.sign(None).unwrap()
    }

    fn verify(text: &str, key: &PublicKey) -> Result<(), AttestationError> {
        let entry = Entry::new(text.to_owned(), String::new()).unwrap();
        let attestation = Attestation::read(entry.statement())?.unwrap();
        attestation.verify(entry.statement(), key)
    }

    #[test]
    fn what_is_signed_is_read_and_verifies_in_any_spelling() {
        let signer = signer();
        let entry = signed(&signer, &claims());
        let attestation = Attestation::read(entry.statement()).unwrap().unwrap();
        assert_eq!((&attestation.claims, attestation.signer), (&claims(), SignerId::of(signer.public())));
        assert_eq!(verify(entry.text(), signer.public()), Ok(()));
        // Printed by somebody else, with names in another order and a number written otherwise.
        let printed = python::dumps_indented(&read(entry.text()).unwrap()).replace("\"n\": 1.0", "\"n\": 1");
        assert_ne!(printed, entry.text());
        assert_eq!(verify(&printed, signer.public()), Ok(()));
    }

    #[test]
    fn whatever_is_changed_it_does_not_verify() {
        let (signer, other) = (signer(), signer());
        let text = signed(&signer, &claims()).text().to_owned();
        assert_eq!(verify(&text, other.public()), Err(AttestationError::Wrong));
        for (from, to) in [
            ("http", "ftp"),
            ("\"n\": 1.0", "\"n\": 1.1"),
            ("\"n\": 1.0", "\"m\": 1.0"),
            ("\"n\": 1.0", "\"n\": 1.0, \"o\": 1"),
            ("\"sha512\": \"9b", "\"sha512\": \"9c"),
            ("\"size\": 5", "\"size\": 6"),
            ("file-urlmd5", "file-urlmd6"),
            ("\"created\": 1000", "\"created\": 1001"),
            ("\"expires\": 2000", "\"expires\": 2001"),
            ("\"expires\": 2000, ", ""),
            ("\"sequence\": 7", "\"sequence\": 8"),
            ("\"v\": 1,", "\"v\": 1, \"more\": 1,"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert_eq!(verify(&changed, signer.public()), Err(AttestationError::Wrong), "{from} to {to}");
        }
        let twice = text.replacen('{', "{\"url\": \"http://elsewhere\", ", 1);
        assert_eq!(verify(&twice, signer.public()), Err(CanonicalError::Repeated.into()));
    }

    #[test]
    fn what_is_malformed_is_named() {
        let text = signed(&signer(), &claims()).text().to_owned();
        let read = |text: &str| {
            let entry = Entry::new(text.to_owned(), String::new()).unwrap();
            Attestation::read(entry.statement()).map(|held| held.is_some())
        };
        assert_eq!(read(&format!("{{\"sha512\": \"{}\"}}", Sha512::of(b""))), Ok(false));
        for (from, to, name) in [
            ("\"key\": ", "\"kex\": ", "key"),
            ("\"size\": 5", "\"size\": 5.0", "size"),
            ("\"size\": 5", "\"size\": -5", "size"),
            ("\"size\": 5", "\"size\": 9007199254740992", "size"),
            ("\"created\": 1000", "\"created\": \"1000\"", "created"),
            ("\"expires\": 2000", "\"expires\": null", "expires"),
            ("\"sequence\": 7", "\"sequence\": 0", "sequence"),
            ("\"signer\": \"", "\"signer\": \"00", "signer"),
            ("\"sig\": \"", "\"sig\": \"AAAA", "sig"),
            ("\"v\": 1,", "\"v\": 1, \"revokes\": [],", "revokes"),
            ("\"v\": 1,", "\"v\": 1, \"revokes\": [\"00\"],", "revokes"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert_eq!(read(&changed), Err(AttestationError::Member { name }), "{from} to {to}");
        }
        assert_eq!(read(&text.replace("\"v\": 1,", "\"v\": 2,")), Err(AttestationError::Version));
    }

    #[test]
    fn only_ed25519_attests() {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        assert_eq!(attest(Object::new(), &claims(), &key).unwrap_err(), AttestationError::Wrong);
        let before = Claims { created: Timestamp::from_unix(-1), ..claims() };
        let error = attest(Object::new(), &before, &signer()).unwrap_err();
        assert_eq!(error, AttestationError::Member { name: "created" });
    }

    #[test]
    fn a_withdrawal_is_an_entry_without_metadata() {
        let signer = signer();
        let withdrawn = signed(&signer, &claims());
        let entry = new::withdrawal(&claims(), [&withdrawn], &signer, None).unwrap();
        let attestation = Attestation::read(entry.statement()).unwrap().unwrap();
        assert_eq!(attestation.claims.revokes, [Sha512::of(withdrawn.text().as_bytes())]);
        assert!(attestation.is_withdrawal() && attestation.claims.expires.is_none());
        assert_eq!(attestation.verify(entry.statement(), signer.public()), Ok(()));
        assert_eq!(entry.statement().sha512(), Sha512::of(WITHDRAWAL.as_bytes()));
        assert_eq!(entry.statement().members().len(), 2);
    }
}
