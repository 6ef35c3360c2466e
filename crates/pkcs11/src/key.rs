//! Keys in a token that is open.

use std::fmt;
use std::sync::PoisonError;

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use x509::{Digest, KeySpec, PublicKey, Scheme, oid};

use crate::Found;
use crate::error::Error;
use crate::open::Open;

/// 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// The name of a key in a token: its `CKA_ID`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base::hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

fn named(class: ObjectClass, id: KeyId) -> [Attribute; 3] {
    [Attribute::Class(class), Attribute::Token(true), Attribute::Id(id.0.to_vec())]
}

/// Makes a key pair. What is wrong with it afterwards is not kept.
pub(crate) fn make(open: &Open, spec: KeySpec, id: KeyId, label: &str) -> Result<PublicKey, Error> {
    let what = "the making of such a key";
    let cannot = |reason: &str| Error::Cannot { label: open.label.clone(), what, reason: reason.to_owned() };
    let both = || {
        vec![
            Attribute::Token(true),
            Attribute::Id(id.0.to_vec()),
            Attribute::Label(label.as_bytes().to_vec()),
        ]
    };
    let (mut public, mut private) = (both(), both());
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ]);
    let mechanism = match spec {
        KeySpec::Rsa { bits } => {
            public.extend([
                Attribute::ModulusBits(Ulong::from(u64::from(bits))),
                Attribute::PublicExponent(EXPONENT.to_vec()),
            ]);
            private.extend([Attribute::Decrypt(false), Attribute::Unwrap(false)]);
            Mechanism::RsaPkcsKeyPairGen
        }
        KeySpec::P256 | KeySpec::P384 => {
            let curve = if spec == KeySpec::P256 { oid::P256 } else { oid::P384 };
            let name = curve.as_bytes();
            let length = u8::try_from(name.len()).map_err(|_| cannot("the curve's name is too long"))?;
            public.push(Attribute::EcParams([&[6, length], name].concat()));
            Mechanism::EccKeyPairGen
        }
        KeySpec::Ed25519 => return Err(cannot("only RSA, P-256 and P-384 are asked of tokens")),
    };
    open.changing(|session| {
        let (public, private) = session
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(|fault| Error::doing(&open.label, what, &fault))?;
        let made = read(open, session, public).and_then(|key| {
            if is_kept(open, session, private)? { Ok(key) } else { Err(cannot("it would give the key away")) }
        });
        if made.is_err() {
            for object in [public, private] {
                // What is wrong is said already; what is left has its label.
                let _ = session.destroy_object(object);
            }
        }
        made
    })
}

/// Whether the token never gives this private key away.
fn is_kept(open: &Open, session: &Session, private: ObjectHandle) -> Result<bool, Error> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable];
    let told = session.get_attributes(private, &asked).map_err(|fault| open.failed(&fault))?;
    Ok(told.contains(&Attribute::Sensitive(true)) && told.contains(&Attribute::Extractable(false)))
}

/// The public key that `object` has the numbers of.
fn read(open: &Open, session: &Session, object: ObjectHandle) -> Result<PublicKey, Error> {
    let failed = |reason: String| Error::Failed { label: open.label.clone(), reason, is_lost: false };
    let asked = [
        AttributeType::KeyType,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
        AttributeType::EcPoint,
    ];
    let told = session.get_attributes(object, &asked).map_err(|fault| open.failed(&fault))?;
    let (mut modulus, mut exponent, mut point, mut kind) = (None, None, None, None);
    for attribute in told {
        match attribute {
            Attribute::KeyType(told) => kind = Some(told),
            Attribute::Modulus(told) => modulus = Some(told),
            Attribute::PublicExponent(told) => exponent = Some(told),
            Attribute::EcPoint(told) => point = Some(told),
            _ => {}
        }
    }
    let key = match (kind, modulus, exponent, point) {
        (Some(KeyType::RSA), Some(modulus), Some(exponent), _) => {
            PublicKey::from_rsa_numbers(&modulus, &exponent)
        }
        (Some(KeyType::EC), _, _, Some(point)) => PublicKey::from_uncompressed_point(bare_point(&point)),
        _ => {
            return Err(failed(
                "a key that is neither RSA nor of an elliptic curve, or does not say what".into(),
            ));
        }
    };
    key.map_err(|error| failed(format!("a public key that cannot be used: {error}")))
}

/// The point inside an OCTET STRING, which is how most modules write it; some leave that out.
fn bare_point(told: &[u8]) -> &[u8] {
    match told {
        [4, length, point @ ..] if usize::from(*length) == point.len() => point,
        bare => bare,
    }
}

/// The only private key called `id`.
fn private(open: &Open, session: &Session, id: KeyId) -> Result<Option<ObjectHandle>, Error> {
    let found =
        session.find_objects(&named(ObjectClass::PRIVATE_KEY, id)).map_err(|fault| open.failed(&fault))?;
    match *found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let reason = format!("{} private keys are called {id}", found.len());
            Err(Error::Failed { label: open.label.clone(), reason, is_lost: false })
        }
    }
}

pub(crate) fn find(open: &Open, id: KeyId) -> Result<Option<PublicKey>, Error> {
    open.session(|session| {
        let Some(private) = private(open, session, id)? else { return Ok(None) };
        let public =
            session.find_objects(&named(ObjectClass::PUBLIC_KEY, id)).map_err(|fault| open.failed(&fault))?;
        // A private key of RSA says its public numbers as well.
        let key = read(open, session, public.first().copied().unwrap_or(private))?;
        open.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(id, private);
        Ok(Some(key))
    })
}

pub(crate) fn list(open: &Open) -> Result<Vec<Found>, Error> {
    open.session(|session| {
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Token(true)];
        let objects = session.find_objects(&wanted).map_err(|fault| open.failed(&fault))?;
        let mut found = Vec::with_capacity(objects.len());
        for object in objects {
            let asked = [AttributeType::Id, AttributeType::Label];
            let told = session.get_attributes(object, &asked).map_err(|fault| open.failed(&fault))?;
            let (mut id, mut label) = (None, String::new());
            for attribute in told {
                match attribute {
                    Attribute::Id(told) => id = told.try_into().ok().map(KeyId),
                    Attribute::Label(told) => label = String::from_utf8_lossy(&told).into_owned(),
                    _ => {}
                }
            }
            found.push(Found { id, label });
        }
        Ok(found)
    })
}

pub(crate) fn remove(open: &Open, id: KeyId) -> Result<(), Error> {
    open.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    open.changing(|session| {
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            let found = session.find_objects(&named(class, id)).map_err(|fault| open.failed(&fault))?;
            for object in found {
                session
                    .destroy_object(object)
                    .map_err(|fault| Error::doing(&open.label, "the deletion of a key", &fault))?;
            }
        }
        Ok(())
    })
}

pub(crate) fn sign(open: &Open, id: KeyId, scheme: Scheme, digest: &[u8]) -> Result<Vec<u8>, Error> {
    open.session(|session| {
        let known = open.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        let key = match known {
            Some(key) => key,
            None => {
                let no_key = || Error::NoKey { label: open.label.clone(), id };
                let key = private(open, session, id)?.ok_or_else(no_key)?;
                open.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(id, key);
                key
            }
        };
        let signed = |mechanism: &Mechanism<'_>, what, message: &[u8]| {
            session.sign(mechanism, key, message).map_err(|fault| Error::doing(&open.label, what, &fault))
        };
        match scheme {
            Scheme::RsaPkcs1(of) => {
                let message = [digest_info(of), digest].concat();
                signed(&Mechanism::RsaPkcs, "signatures of RSA (CKM_RSA_PKCS)", &message)
            }
            Scheme::RsaPss { digest: of, salt_bytes } => {
                let (hash_alg, mgf) = match of {
                    Digest::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
                    Digest::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
                    Digest::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
                };
                let parameters = PkcsPssParams { hash_alg, mgf, s_len: Ulong::from(u64::from(salt_bytes)) };
                let what = "signatures of RSA-PSS with a salt as long as fits (CKM_RSA_PKCS_PSS)";
                signed(&Mechanism::RsaPkcsPss(parameters), what, digest)
            }
            Scheme::Ecdsa(_) => {
                let numbers = signed(&Mechanism::Ecdsa, "signatures of ECDSA (CKM_ECDSA)", digest)?;
                x509::ecdsa_der(&numbers).ok_or_else(|| Error::Failed {
                    label: open.label.clone(),
                    reason: format!("a signature of ECDSA of {} bytes", numbers.len()),
                    is_lost: false,
                })
            }
        }
    })
}

/// What stands before a digest in a signature of PKCS #1 v1.5 (RFC 8017 §9.2, note 1).
fn digest_info(digest: Digest) -> &'static [u8] {
    match digest {
        Digest::Sha256 => {
            &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20]
        }
        Digest::Sha384 => {
            &[0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2, 5, 0, 4, 0x30]
        }
        Digest::Sha512 => {
            &[0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40]
        }
    }
}
