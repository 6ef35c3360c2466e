//! Certificates, signing requests and revocation lists (RFC 5280, RFC 2986): read strictly, written
//! exactly.
//!
//! What is read keeps its bytes. A subject, an extension or a policy's qualifier that goes from a
//! signing request into a certificate is copied, never decoded and encoded again, so that what we do
//! not understand comes through unharmed. What is written is DER, byte for byte as the caller ordered.
//!
//! ```text
//! pem ──► der_reader ──► SigningRequest ─┐
//!                        Certificate     ├─► Extension, Name, Serial, KeyId, PublicKey
//!                        Crl            ─┘
//! PrivateKey + CertificateTemplate, CrlTemplate ──► der_writer ──► pem
//! ```
//!
//! Units: whole seconds, both ends of a validity included (RFC 5280 §4.1.2.5).
//!
//! **Invariant:** nothing here reads a clock, waits, or touches a file or a socket; no input makes it
//! panic, and none makes it recurse.

mod algorithm;
mod attribute;
pub mod bare;
mod certificate;
mod chain;
mod crl;
mod decimal;
mod der_reader;
mod der_writer;
mod encrypted;
mod error;
pub mod extension;
pub mod general_name;
mod internet_name;
mod key;
mod key_marks;
mod key_usage;
mod name;
mod number;
pub mod oid;
pub mod pem;
mod policy;
mod public_key;
mod request;
mod scheme;
mod signed;
pub mod strict;
mod time;
mod unsigned;

pub use algorithm::Digest;
pub use certificate::{Certificate, CertificateTemplate};
pub use chain::{VerifyError, verify};
pub use crl::{Crl, CrlTemplate, RevokedEntry};
pub use error::{BadName, KeyError, NameError, ParseError, SignatureError};
pub use extension::Extension;
pub use general_name::GeneralName;
pub use key::{KeySpec, PrivateKey};
pub use key_marks::has_private_key;
pub use key_usage::KeyUsage;
pub use name::Name;
pub use number::{KeyId, Serial};
pub use oid::ObjectIdentifier;
pub use policy::Policy;
pub use public_key::{KeyKind, PublicKey};
pub use request::SigningRequest;
pub use scheme::{Scheme, ecdsa_der};
pub use unsigned::Unsigned;
