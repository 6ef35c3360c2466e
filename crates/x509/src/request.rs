//! Certification signing requests, PKCS#10 (RFC 2986).

use std::fmt;
use std::sync::Arc;

use crate::der_reader::{Reader, tag};
use crate::der_writer::{Writer, sequence};
use crate::error::{KeyError, ParseError};
use crate::extension::{self, Extension};
use crate::key::PrivateKey;
use crate::name::Name;
use crate::oid;
use crate::pem;
use crate::public_key::{KeyKind, PublicKey};
use crate::signed::Signed;

const WHAT: &str = "signing request";
const LABEL: &str = "CERTIFICATE REQUEST";

/// A signing request whose own signature was verified: whoever made it has the private key. Cloning
/// shares it.
#[derive(Clone)]
pub struct SigningRequest(Arc<Inner>);

struct Inner {
    signed: Signed,
    subject: Name,
    public_key: PublicKey,
    extensions: Vec<Extension>,
}

impl SigningRequest {
    /// Reads PEM text with one block, `CERTIFICATE REQUEST` or `NEW CERTIFICATE REQUEST`, of at most
    /// [`pem::ONE_BYTES_MAX`] bytes. Text around the block is passed over.
    ///
    /// # Errors
    /// As [`SigningRequest::from_der`], and when there is no block, more than one, or one of another
    /// kind. A request in bare DER has no block.
    pub fn from_pem(text: &[u8]) -> Result<Self, ParseError> {
        let labels = [LABEL, "NEW CERTIFICATE REQUEST"];
        Self::from_der(&pem::read_one(text, &labels, pem::ONE_BYTES_MAX)?)
    }

    /// Reads DER.
    ///
    /// # Errors
    /// When it is malformed or not version 1, an extension comes twice, the key is of a kind or size that
    /// is not supported, or the request is not signed by the key it is for.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        let signed = Signed::parse(der.to_vec(), WHAT)?;
        let mut request = Reader::whole(signed.to_be_signed(), tag::SEQUENCE, WHAT)?;
        if request.number()? != 0 {
            return Err(ParseError::Version { what: WHAT });
        }
        let subject = Name::read(&mut request)?;
        let public_key = PublicKey::from_spki_der(request.expect(tag::SEQUENCE)?.der)?;
        let extensions = read_attributes(&mut request)?;
        request.finish()?;
        // Not the signature's fault.
        if let KeyKind::Other(algorithm) = public_key.kind() {
            return Err(KeyError::Unsupported { algorithm: algorithm.clone() }.into());
        }
        signed.verify(&public_key).map_err(ParseError::Signature)?;
        Ok(Self(Arc::new(Inner { signed, subject, public_key, extensions })))
    }

    /// Makes a request for the key's public half, signed by the key.
    #[must_use]
    pub fn build(key: &PrivateKey, subject: &Name, extensions: &[Extension]) -> Self {
        let to_be_signed = sequence(|request| {
            request.unsigned(&[0]);
            request.raw(subject.der());
            request.raw(key.public().spki());
            request.nested(tag::constructed(0), |attributes| {
                if !extensions.is_empty() {
                    write_extension_request(attributes, extensions);
                }
            });
        });
        Self(Arc::new(Inner {
            signed: Signed::sign(&to_be_signed, key),
            subject: subject.clone(),
            public_key: key.public().clone(),
            extensions: extensions.to_vec(),
        }))
    }

    /// Whom the certificate is for; may be empty.
    #[must_use]
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// The key it is for.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The extensions that are asked for, in the order of the request, each at most once.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }

    /// The extension that is asked for under this identifier.
    #[must_use]
    pub fn extension(&self, oid: &oid::ObjectIdentifier) -> Option<&Extension> {
        self.extensions().iter().find(|extension| extension.oid == *oid)
    }

    /// Its DER, as it was read.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.0.signed.der()
    }

    /// As PEM, `CERTIFICATE REQUEST`.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::write(LABEL, self.der())
    }
}

fn write_extension_request(attributes: &mut Writer, extensions: &[Extension]) {
    attributes.sequence(|attribute| {
        attribute.oid(&oid::EXTENSION_REQUEST);
        attribute.nested(tag::SET, |values| extension::write_all(values, extensions));
    });
}

/// The extensions in `[0] IMPLICIT SET OF Attribute`; other attributes, such as a challenge password,
/// are passed over.
fn read_attributes(request: &mut Reader<'_>) -> Result<Vec<Extension>, ParseError> {
    let mut attributes = request.inside(tag::constructed(0))?;
    let mut extensions = None;
    while !attributes.is_empty() {
        let mut attribute = attributes.inside(tag::SEQUENCE)?;
        let kind = attribute.oid()?;
        let mut values = attribute.inside(tag::SET)?;
        attribute.finish()?;
        if kind == oid::EXTENSION_REQUEST {
            // It has one value (RFC 2985 §5.4.2), and coming twice would make two lists.
            if extensions.replace(extension::read_all(&mut values)?).is_some() {
                return Err(ParseError::DuplicateExtension { oid: kind });
            }
            values.finish()?;
        }
    }
    Ok(extensions.unwrap_or_default())
}

impl PartialEq for SigningRequest {
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for SigningRequest {}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningRequest({:?}, {})", self.subject(), self.public_key().key_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SignatureError;
    use crate::extension::subject_alt_name_dns;
    use crate::key::KeySpec;

    fn key() -> PrivateKey {
        PrivateKey::generate(KeySpec::Ed25519).unwrap()
    }

    /// A request with this version and what `attributes` writes.
    fn request(version: u8, attributes: impl FnOnce(&mut Writer)) -> Result<SigningRequest, ParseError> {
        let key = key();
        let to_be_signed = sequence(|request| {
            request.unsigned(&[version]);
            request.raw(Name::empty().der());
            request.raw(key.public().spki());
            attributes(request);
        });
        SigningRequest::from_der(Signed::sign(&to_be_signed, &key).der())
    }

    #[test]
    fn is_read_as_it_was_built() {
        let name = Name::from_common_name("host").unwrap();
        let names = subject_alt_name_dns("host", true).unwrap();
        for extensions in [vec![], vec![names, extension::basic_constraints(true, None)]] {
            let built = SigningRequest::build(&key(), &name, &extensions);
            let read = SigningRequest::from_pem(built.to_pem().as_bytes()).unwrap();
            assert_eq!((&read, read.subject(), read.extensions()), (&built, &name, &extensions[..]));
            assert_eq!(read.public_key(), built.public_key());
        }
    }

    #[test]
    fn possession_must_be_proven() {
        let (owner, thief) = (key(), key());
        let to_be_signed = SigningRequest::build(&owner, &Name::empty(), &[]);
        let stolen = Signed::sign(to_be_signed.0.signed.to_be_signed(), &thief);
        assert_eq!(
            SigningRequest::from_der(stolen.der()).err(),
            Some(ParseError::Signature(SignatureError::Wrong))
        );
    }

    #[test]
    fn attributes_are_read_strictly() {
        let empty = extension::basic_constraints(false, None);
        let list =
            |writer: &mut Writer, extensions: &[Extension]| write_extension_request(writer, extensions);
        let wrap = |writer: &mut Writer, write: &dyn Fn(&mut Writer)| {
            writer.nested(tag::constructed(0), |all| write(all))
        };
        let twice = ParseError::DuplicateExtension { oid: oid::BASIC_CONSTRAINTS };
        let two_lists = ParseError::DuplicateExtension { oid: oid::EXTENSION_REQUEST };

        assert_eq!(request(0, |w| wrap(w, &|_| {})).unwrap().extensions(), []);
        assert_eq!(request(0, |w| wrap(w, &|all| list(all, &[]))).unwrap().extensions(), []);
        let challenge = |all: &mut Writer| {
            all.sequence(|attribute| {
                attribute.oid(&oid::ObjectIdentifier::new("1.2.840.113549.1.9.7").unwrap());
                attribute.nested(tag::SET, |values| values.element(tag::UTF8_STRING, b"secret"));
            });
            list(all, std::slice::from_ref(&empty));
        };
        assert_eq!(request(0, |w| wrap(w, &challenge)).unwrap().extensions(), std::slice::from_ref(&empty));
        assert_eq!(
            request(0, |w| wrap(w, &|all| list(all, &[empty.clone(), empty.clone()]))).err(),
            Some(twice)
        );
        let lists = |all: &mut Writer| [(); 2].iter().for_each(|()| list(all, std::slice::from_ref(&empty)));
        assert_eq!(request(0, |w| wrap(w, &lists)).err(), Some(two_lists));
        assert_eq!(request(1, |w| wrap(w, &|_| {})).err(), Some(ParseError::Version { what: WHAT }));
        assert_eq!(request(0, |_| {}).err(), Some(ParseError::Der { what: WHAT }));
        let after = request(0, |w| {
            wrap(w, &|_| {});
            w.unsigned(&[0]);
        });
        assert_eq!(after.err(), Some(ParseError::Der { what: WHAT }));
    }

    #[test]
    fn only_one_pem_block_is_taken() {
        let text = SigningRequest::build(&key(), &Name::empty(), &[]).to_pem();
        let new = text.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
        let (missing, several) =
            (pem::PemError::Missing { wanted: LABEL }, pem::PemError::Several { wanted: LABEL });
        assert!(SigningRequest::from_pem(new.as_bytes()).is_ok());
        assert!(SigningRequest::from_pem(format!("text\n{text}text").as_bytes()).is_ok());
        assert_eq!(SigningRequest::from_pem(text.repeat(2).as_bytes()).err(), Some(several.into()));
        let request = SigningRequest::from_pem(text.as_bytes()).unwrap();
        assert_eq!(SigningRequest::from_pem(request.der()).err(), Some(missing.into()));
        let long = " ".repeat(pem::ONE_BYTES_MAX);
        let too_long = pem::PemError::TooLong { bytes_max: pem::ONE_BYTES_MAX };
        assert_eq!(SigningRequest::from_pem((text + &long).as_bytes()).err(), Some(too_long.into()));
    }
}
