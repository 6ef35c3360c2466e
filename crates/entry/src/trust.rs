//! Whose signatures count: a list of certificates of which nothing but the public key counts (networkcache contract,
//! 4.3 and 4.4).
//!
//! Dates, names, usage, the certificate's own signature and its size are passed over: some of the certificates that
//! nodes trust expired long ago, and they are still in use.
//!
//! An empty list has two opposite meanings to its users: one checks nothing then, the other believes nobody. Here it is
//! a list by which nothing is verified; whoever wants the first meaning asks [`TrustList::is_empty`] and says so.

use base::{Explain, Kind, sha256};
use x509::ParseError;
use x509::bare::BareKey;
use x509::pem::{self, PemError};

use crate::base64::decode_leniently;
use crate::entry::Entry;
use crate::signature::{SigningKey, VerifyingKey};

const BEGIN: &str = "-----BEGIN ";
const LABEL: &str = "CERTIFICATE";

/// Why a trust list was not taken at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Somebody would publish it.
    #[error("there is a private key among the certificates to be trusted")]
    PrivateKey,
    /// Longer than is read.
    #[error("the certificates to be trusted are longer than {} bytes", pem::SEVERAL_BYTES_MAX)]
    TooLarge,
}

impl Explain for TrustError {
    fn kind(&self) -> Kind {
        match self {
            Self::PrivateKey => Kind::Invalid,
            Self::TooLarge => Kind::TooLarge,
        }
    }

    fn help(&self) -> Option<String> {
        matches!(self, Self::PrivateKey).then(|| {
            "give the certificate instead; if the key was ever published, everybody can sign in its owner's name".into()
        })
    }
}

/// Why a piece of a trust list is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// Text, but no block.
    #[error("there is no line that begins with `-----BEGIN CERTIFICATE-----`")]
    NoBlock,
    /// The PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Another kind of block.
    #[error("it is a PEM block `{label}`, not a certificate")]
    Label {
        /// What it calls itself.
        label: String,
    },
    /// What is in the block.
    #[error(transparent)]
    Certificate(#[from] ParseError),
    /// Nobody signs entries with such a key.
    #[error("its key is neither RSA nor on the curve P-256")]
    Key,
}

impl Explain for PieceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Pem(source) => source.kind(),
            Self::Certificate(source) => source.kind(),
            Self::NoBlock | Self::Label { .. } | Self::Key => Kind::Invalid,
        }
    }
}

/// A certificate whose owner is believed.
pub struct Trusted {
    key: VerifyingKey,
    fingerprint: [u8; 32],
}

impl Trusted {
    /// The SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// What two certificates over one key have in common.
    pub(crate) fn key_bytes(&self) -> &[u8] {
        self.key.bytes()
    }

    /// The length of the modulus if it is an RSA key; `None` for a key on P-256.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<u32> {
        match &self.key {
            VerifyingKey::Rsa { key, .. } => Some(key.bits()),
            VerifyingKey::EcP256(_) => None,
        }
    }
}

impl std::fmt::Debug for Trusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trusted({})", base::hex::encode(&self.fingerprint))
    }
}

/// Certificates whose owners are believed, in order.
#[derive(Debug, Default)]
pub struct TrustList {
    trusted: Vec<Trusted>,
    skipped: Vec<(usize, PieceError)>,
}

impl TrustList {
    /// Reads certificates as a configuration option has them: PEM, cut at every `-----BEGIN `, so that text before,
    /// between and behind them does not matter. A piece that is not a certificate over a fitting key is passed over, and
    /// is among [`TrustList::skipped`].
    ///
    /// # Errors
    /// When there is a private key in it, or it is longer than [`pem::SEVERAL_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        Self::from_texts([text])
    }

    /// As [`TrustList::parse`], of several texts, one behind the other.
    ///
    /// # Errors
    /// As [`TrustList::parse`]; the bound is one on all of them together.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, TrustError> {
        let mut list = Self::default();
        let (mut bytes, mut number) = (0_usize, 0);
        for text in texts {
            bytes = bytes.saturating_add(text.len());
            if bytes > pem::SEVERAL_BYTES_MAX {
                return Err(TrustError::TooLarge);
            }
            if has_private_key(text) {
                return Err(TrustError::PrivateKey);
            }
            let pieces = pieces(text);
            if pieces.is_empty() && !text.trim().is_empty() {
                list.skipped.push((number, PieceError::NoBlock));
                number += 1;
            }
            for piece in pieces {
                match read_piece(piece) {
                    Ok(trusted) => list.trusted.push(trusted),
                    Err(error) => list.skipped.push((number, error)),
                }
                number += 1;
            }
        }
        Ok(list)
    }

    /// Whether nobody is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trusted.is_empty()
    }

    /// The certificates, in order.
    #[must_use]
    pub fn trusted(&self) -> &[Trusted] {
        &self.trusted
    }

    /// The pieces that were passed over: which, counted from 0, and why.
    #[must_use]
    pub fn skipped(&self) -> &[(usize, PieceError)] {
        &self.skipped
    }

    /// Whose signature the entry bears: the first certificate, as an index into [`TrustList::trusted`], that it verifies
    /// with. `None` when it is nobody's here, or there is none.
    #[must_use]
    pub fn verified_by(&self, entry: &Entry) -> Option<usize> {
        self.verified_text_by(entry.text(), entry.signature())
    }

    /// As [`TrustList::verified_by`], of a text and a signature in base64. That is read as old readers do: characters
    /// outside of the alphabet are passed over. Of a wrong padding they die; here it is nobody's.
    #[must_use]
    pub fn verified_text_by(&self, text: &str, signature: &str) -> Option<usize> {
        if signature.is_empty() || self.trusted.is_empty() {
            return None;
        }
        let signature = decode_leniently(signature).ok()?;
        self.trusted.iter().position(|trusted| trusted.key.verifies(text, &signature))
    }

    /// Whether a writer's own entries would be believed: one of the certificates, whatever else it says, is over the
    /// public half of this key.
    ///
    /// # Errors
    /// When none is.
    pub fn check_signer(&self, signer: &SigningKey) -> Result<(), NoMatchingCertificate> {
        let ours = signer.public_key();
        let is_ours = |trusted: &Trusted| matches!(&trusted.key, VerifyingKey::Rsa { public_key, .. } if *public_key == ours);
        if self.trusted.iter().any(is_ours) { Ok(()) } else { Err(NoMatchingCertificate) }
    }
}

/// A writer who would not believe itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no matching certificate for private key: what it signs could never be downloaded again, and would be uploaded for ever"
)]
pub struct NoMatchingCertificate;

impl Explain for NoMatchingCertificate {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some("add the certificate of the signing key to `signature-certificate-list`".into())
    }
}

/// Whether a private key begins anywhere in it, however far it is indented.
fn has_private_key(text: &str) -> bool {
    pieces(text).iter().any(|piece| piece.lines().next().is_some_and(|line| line.contains("PRIVATE KEY")))
}

/// What stands from each `-----BEGIN ` to the next. An indented block loses the blanks before its first line by that,
/// and is refused for those before the others, as it was before us.
fn pieces(text: &str) -> Vec<&str> {
    let mut begins: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    begins.push(text.len());
    begins.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

/// One piece: a block, and whatever stands behind it.
fn read_piece(piece: &str) -> Result<Trusted, PieceError> {
    // What stands behind the block may be anything, also what looks like the end of another one.
    let end = piece
        .find("-----END ")
        .map_or(piece.len(), |at| at + piece[at..].find('\n').unwrap_or(piece.len() - at));
    let mut blocks = pem::read(&piece.as_bytes()[..end], pem::SEVERAL_BYTES_MAX)?.into_iter();
    let block = blocks.next().ok_or(PieceError::NoBlock)?;
    if block.label != LABEL || block.has_headers {
        return Err(PieceError::Label { label: block.label });
    }
    let key = VerifyingKey::new(BareKey::in_certificate(&block.der)?).ok_or(PieceError::Key)?;
    Ok(Trusted { key, fingerprint: sha256(&block.der) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector;

    fn list(text: &str) -> TrustList {
        TrustList::parse(text).unwrap()
    }

    fn entry() -> Entry {
        Entry::parse(vector::ENTRY.as_bytes()).unwrap()
    }

    #[test]
    fn the_vector_is_verified_by_its_certificate_alone() {
        let both = list(&format!("{}{}", vector::SLAPCACHE_CERTIFICATE, vector::CERTIFICATE));
        assert_eq!((both.trusted().len(), both.skipped()), (2, &[][..]));
        assert_eq!(both.verified_by(&entry()), Some(1));
        assert_eq!(list(vector::CERTIFICATE).verified_by(&entry()), Some(0));
        assert_eq!(list(vector::SLAPCACHE_CERTIFICATE).verified_by(&entry()), None);
        assert_eq!(list("").verified_by(&entry()), None);
        // The contract's 19.4: RSA-1024, its own signature with SHA-1, serial number of nine octets.
        let slapcache = &both.trusted()[0];
        assert_eq!(slapcache.rsa_bits(), Some(1024));
        assert_eq!(
            base::hex::encode(slapcache.fingerprint()),
            "5195fa910fc531beec6544e71858bd725af78fb9ca43fb8782fa2388b485c2ad"
        );
    }

    #[test]
    fn one_other_character_and_it_is_nobodys() {
        let trust = list(vector::CERTIFICATE);
        let (text, signature) = (entry().text().to_owned(), entry().signature().to_owned());
        let verified = |text: &str, signature: &str| trust.verified_text_by(text, signature) == Some(0);
        assert!(verified(&text, &signature));
        assert!(!verified(&text.replace("1.5", "1.6"), &signature));
        assert!(!verified(&(text.clone() + " "), &signature));
        assert!(!verified(&text, &signature.replacen('h', "i", 1)));
        for (case, signature, expected) in [
            ("empty", String::new(), false),
            ("in lines", signature.replace('/', "/\r\n"), true),
            ("with other characters in it", format!(" {}* ", signature.replace('X', "X-_.")), true),
            ("without padding", signature.trim_end_matches('=').to_owned(), false),
            ("with more behind the padding", signature.clone() + "AAAA", true),
            ("not ASCII", format!("é{signature}"), false),
            ("cut", signature[4..].to_owned(), false),
        ] {
            assert_eq!(verified(&text, &signature), expected, "{case}");
        }
    }

    #[test]
    fn text_around_certificates_does_not_matter() {
        let (ours, theirs) = (vector::CERTIFICATE, vector::SLAPCACHE_CERTIFICATE);
        let indented: String = ours.lines().map(|line| format!("  {line}\n")).collect();
        let public_key = x509::pem::write("PUBLIC KEY", b"x");
        for (case, text, trusted, skipped) in [
            ("nothing", String::new(), 0, 0),
            ("blanks", " \n".to_owned(), 0, 0),
            ("words", "words".to_owned(), 0, 1),
            ("text around", format!("# us\n{ours}# them, -----END\n{theirs}end"), 2, 0),
            ("CRLF", ours.replace('\n', "\r\n"), 1, 0),
            ("no line feed in the end", ours.trim_end().to_owned(), 1, 0),
            ("no line feed between", format!("{}{theirs}", ours.trim_end()), 2, 0),
            ("indented", indented, 0, 1),
            ("one broken", format!("{}{theirs}", ours.replace("MIICGjCC", "MIIC!jCC")), 1, 1),
            ("one cut", format!("{}\n{theirs}", &ours[..300]), 1, 1),
            ("a public key", format!("{public_key}{theirs}"), 1, 1),
            ("another block", format!("{}{theirs}", x509::pem::write("X", b"x")), 1, 1),
            ("no certificate in it", x509::pem::write("CERTIFICATE", b"x"), 0, 1),
            ("a key on P-256", vector::CERTIFICATE_EC.to_owned(), 1, 0),
            ("an Ed25519 key", vector::CERTIFICATE_ED25519.to_owned(), 0, 1),
        ] {
            let list = list(&text);
            assert_eq!((list.trusted().len(), list.skipped().len()), (trusted, skipped), "{case}: {list:?}");
        }
    }

    #[test]
    fn a_private_key_is_refused() {
        for key in [vector::KEY_PKCS1, vector::KEY_PKCS8, vector::KEY_EC] {
            let text = format!("{}{key}", vector::CERTIFICATE);
            let indented: String = text.lines().map(|line| format!("\t{line}\n")).collect();
            for text in [text, indented] {
                assert_eq!(TrustList::parse(&text).unwrap_err(), TrustError::PrivateKey);
            }
        }
    }

    #[test]
    fn a_writer_must_believe_itself() {
        let signer = SigningKey::from_pem(vector::KEY_PKCS8).unwrap();
        let own = list(&format!("{}{}", vector::SLAPCACHE_CERTIFICATE, vector::KEY_CERTIFICATE));
        assert_eq!(own.check_signer(&signer), Ok(()));
        assert_eq!(own.verified_text_by("a", &signer.sign("a")), Some(1));
        for others in ["", vector::CERTIFICATE, vector::CERTIFICATE_EC] {
            let error = list(others).check_signer(&signer).unwrap_err();
            assert!(error.to_string().contains("no matching certificate for private key"));
        }
    }

    #[test]
    fn ecdsa_with_sha_1_verifies() {
        let list = list(vector::CERTIFICATE_EC);
        assert_eq!(list.verified_text_by("message", vector::SIGNATURE_OF_MESSAGE_EC), Some(0));
        assert_eq!(list.verified_text_by("massage", vector::SIGNATURE_OF_MESSAGE_EC), None);
        assert_eq!(list.trusted()[0].rsa_bits(), None);
    }
}
