//! What can be wrong with certificates, requests, lists and keys. Every message is one line of plain
//! text about what was sent, fit to be sent back.

use base::{Explain, Kind};

use crate::oid::ObjectIdentifier;
use crate::pem::PemError;

/// Why bytes were not taken for a certificate, a signing request or a revocation list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The PEM around it.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A part is not DER, or not of the shape that the standard gives it.
    #[error("the {what} is malformed")]
    Der {
        /// Which part.
        what: &'static str,
    },
    /// A certificate that is not X.509 v3, a request that is not v1, or a list that is not v2.
    #[error("the {what} has an unsupported version")]
    Version {
        /// Which of the three.
        what: &'static str,
    },
    /// A serial number that is zero, negative or longer than 20 octets (RFC 5280 §4.1.2.2).
    #[error("a serial number is not positive or is longer than 20 octets")]
    Serial,
    /// The same extension twice (RFC 5280 §4.2).
    #[error("the extension {oid} appears twice")]
    DuplicateExtension {
        /// Which extension.
        oid: ObjectIdentifier,
    },
    /// An extension that must be there is not.
    #[error("the {what} has no {extension} extension")]
    MissingExtension {
        /// Where.
        what: &'static str,
        /// Which.
        extension: &'static str,
    },
    /// A revocation list says that whoever does not understand this must not use it.
    #[error("the critical extension {oid} is not understood")]
    CriticalExtension {
        /// Which extension.
        oid: ObjectIdentifier,
    },
    /// The algorithm beside the signature is not the one that was signed (RFC 5280 §4.1.1.2).
    #[error("the {what} names two different signature algorithms")]
    Algorithms {
        /// Where.
        what: &'static str,
    },
    /// The public key in it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A signing request that was not signed by the key it is for.
    #[error("the signing request's own signature is not good")]
    Signature(#[source] SignatureError),
}

impl Explain for ParseError {
    fn kind(&self) -> Kind {
        match self {
            Self::Pem(source) => source.kind(),
            Self::Key(source) => source.kind(),
            Self::Der { .. }
            | Self::Version { .. }
            | Self::Serial
            | Self::DuplicateExtension { .. }
            | Self::MissingExtension { .. }
            | Self::CriticalExtension { .. }
            | Self::Algorithms { .. }
            | Self::Signature(_) => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Pem(source) => source.help(),
            Self::Key(source) => source.help(),
            _ => None,
        }
    }
}

/// Why a key was not taken, made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The PEM around it.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A private key under a passphrase.
    #[error("the private key is encrypted")]
    Encrypted,
    /// A private key under another passphrase, or a damaged one: they cannot be told apart.
    #[error("the passphrase is not the private key's")]
    Passphrase,
    /// Not the DER of a key, or one whose numbers do not fit together.
    #[error("the key is malformed")]
    Malformed,
    /// An RSA key of a size that is not made, or not taken.
    #[error("RSA keys of {bits} bits are not supported")]
    Size {
        /// The length of the modulus.
        bits: u64,
    },
    /// A key of another kind.
    #[error("keys of the kind {algorithm} are not supported")]
    Unsupported {
        /// The object identifier of its algorithm, or of its curve.
        algorithm: String,
    },
    /// The key cannot sign with this digest.
    #[error("the key does not sign with {digest}")]
    Digest {
        /// The digest's name.
        digest: &'static str,
    },
    /// The cryptography library failed.
    #[error("the key could not be generated")]
    Generate,
}

impl Explain for KeyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Pem(source) => source.kind(),
            Self::Encrypted
            | Self::Passphrase
            | Self::Malformed
            | Self::Size { .. }
            | Self::Unsupported { .. }
            | Self::Digest { .. } => Kind::Invalid,
            Self::Generate => Kind::Internal,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Pem(source) => source.help(),
            Self::Encrypted => Some("remove the passphrase, as with `openssl pkey`".into()),
            Self::Size { .. } => {
                Some("RSA keys are read from 2048 to 8192 bits, and made of 2048, 3072, 4096 or 8192".into())
            }
            _ => None,
        }
    }
}

/// Why a signature was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// An algorithm that is not known here, or no longer safe.
    #[error("the signature algorithm {algorithm} is not supported")]
    Unsupported {
        /// Its object identifier.
        algorithm: String,
    },
    /// The algorithm identifier is malformed.
    #[error("the signature algorithm is malformed")]
    Malformed,
    /// The algorithm is one for another kind of key.
    #[error("the signature algorithm does not fit the key")]
    Mismatch,
    /// It was not made by this key over this message.
    #[error("the signature does not verify")]
    Wrong,
}

impl Explain for SignatureError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unsupported { .. } | Self::Malformed | Self::Mismatch | Self::Wrong => Kind::Invalid,
        }
    }
}

/// Why a text cannot stand as a name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An empty common name.
    #[error("a common name cannot be empty")]
    Empty,
    /// Over 64 characters, ub-common-name (RFC 5280 §A.1).
    #[error("a common name cannot have more than 64 characters")]
    TooLong,
    /// A host name or an address with characters that an IA5String cannot hold.
    #[error("a host name or address in a certificate cannot have characters outside ASCII")]
    NotAscii,
}

impl Explain for NameError {
    fn kind(&self) -> Kind {
        match self {
            Self::Empty | Self::TooLong | Self::NotAscii => Kind::Invalid,
        }
    }
}

/// A name that a certificate cannot carry, and the rule that says so: `dNSName "a..b" is not a host name
/// (RFC 5280 §4.2.1.6)`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(String);

/// How much of a value is shown, in characters.
const SHOWN_MAX: usize = 80;

impl BadName {
    /// `kind` is what it is called; `rule` follows it in the sentence.
    pub(crate) fn new(kind: &str, rule: &str) -> Self {
        Self(format!("{kind} {rule}"))
    }

    /// With the value in between: on one line, and cut when it is long.
    pub(crate) fn with_value(kind: &str, value: &str, rule: &str) -> Self {
        let shown: String = value.chars().take(SHOWN_MAX).collect();
        let rest = if shown.len() < value.len() { "…" } else { "" };
        Self(format!("{kind} \"{}{rest}\" {rule}", shown.escape_debug()))
    }
}

impl Explain for BadName {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
