//! A CA certificate and its key.

use base::{Entropy, Timestamp};
use x509::{
    Certificate, CertificateTemplate, Crl, CrlTemplate, Extension, KeyId, KeyUsage, Name, PrivateKey,
    PublicKey, Serial, extension, oid,
};

use crate::authority::Profile;
use crate::error::IssueError;
use crate::rollover::{BACK_DATED, Dated};
use crate::statement::{Statement, signed_text};
use crate::token::TokenKey;

/// A CA key: here, or in a token. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) enum IssuerKey {
    Here(PrivateKey),
    InToken(TokenKey),
}

impl IssuerKey {
    fn public(&self) -> &PublicKey {
        match self {
            Self::Here(key) => key.public(),
            Self::InToken(key) => key.public(),
        }
    }

    /// Signs a certificate; with a key that is here, at once.
    pub(crate) async fn sign_certificate(
        &self,
        template: CertificateTemplate,
    ) -> Result<Certificate, IssueError> {
        match self {
            Self::Here(key) => Ok(template.sign(key)),
            Self::InToken(key) => key.sign_certificate(template).await,
        }
    }

    /// Signs a revocation list.
    pub(crate) async fn sign_list(&self, template: CrlTemplate<'_>) -> Result<Crl, IssueError> {
        match self {
            Self::Here(key) => Ok(template.sign(key)),
            Self::InToken(key) => key.sign_list(template).await,
        }
    }

    /// Signs a statement.
    pub(crate) async fn sign_statement(&self, text: String) -> Result<Statement, IssueError> {
        match self {
            Self::Here(key) => {
                let digest = key.statement_digest();
                let signature =
                    key.sign_statement(digest, &signed_text(&text, digest)).map_err(IssueError::Key)?;
                Ok(Statement { text, digest, signature })
            }
            Self::InToken(key) => key.sign_statement(text).await,
        }
    }
}

/// A CA certificate and the key it signs with. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Issuer {
    certificate: Certificate,
    key_id: KeyId,
    key: IssuerKey,
}

impl Issuer {
    /// Puts a certificate and its key together; `None` when they do not match.
    pub(crate) fn new(certificate: Certificate, key: IssuerKey) -> Option<Self> {
        if certificate.public_key() != key.public() {
            return None;
        }
        let key_id = certificate.subject_key_id().unwrap_or_else(|| certificate.public_key().key_id());
        Some(Self { certificate, key_id, key })
    }

    /// The CA certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its subject key identifier, which names its revocation list.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    pub(crate) fn key(&self) -> &IssuerKey {
        &self.key
    }

    /// Its key, where that is in a token.
    pub(crate) fn in_token(&self) -> Option<&TokenKey> {
        match &self.key {
            IssuerKey::Here(_) => None,
            IssuerKey::InToken(key) => Some(key),
        }
    }
}

impl Dated for Issuer {
    fn not_before(&self) -> Timestamp {
        self.certificate.not_before()
    }
    fn not_after(&self) -> Timestamp {
        self.certificate.not_after()
    }
}

/// Makes the next CA certificate of an authority: self-signed by `key`, subject and extensions as in the
/// one before (which may have been imported), or from the profile when it is the first
/// (caucase contract, section 6.1).
pub(crate) async fn next(
    profile: &Profile,
    before: Option<&Issuer>,
    key: IssuerKey,
    entropy: &Entropy,
    now: Timestamp,
) -> Result<Issuer, IssueError> {
    let subject = match before {
        Some(before) => before.certificate.subject().clone(),
        None => Name::from_common_name(&profile.issuer_common_name).map_err(IssueError::IssuerName)?,
    };
    let key_id = key.public().key_id();
    let mut extensions = vec![extension::subject_key_id(key_id), extension::authority_key_id(key_id)];
    match before {
        Some(before) => extensions.extend(
            before
                .certificate
                .extensions()
                .iter()
                .filter(|held| held.oid != oid::SUBJECT_KEY_ID && held.oid != oid::AUTHORITY_KEY_ID)
                .cloned(),
        ),
        None => extensions.extend(first_extensions(profile)),
    }
    let not_before = now - BACK_DATED;
    let template = CertificateTemplate {
        serial: Serial::random(entropy),
        issuer: subject.clone(),
        subject,
        not_before,
        not_after: (not_before + profile.issuer_life).min(Timestamp::MAX),
        public_key: key.public().clone(),
        extensions,
    };
    let certificate = key.sign_certificate(template).await?;
    Ok(Issuer { certificate, key_id, key })
}

fn first_extensions(profile: &Profile) -> Vec<Extension> {
    let mut extensions = vec![
        extension::basic_constraints(true, Some(0)),
        extension::key_usage(KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN, true),
    ];
    extensions.extend(profile.issuer_extensions.iter().cloned());
    extensions
}
