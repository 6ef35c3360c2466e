//! Keys that live somewhere else: in a token, which signs with them and never gives them away.
//!
//! What a room needs of one, in its own words; who brings it knows how it is asked. A key is on record by the token's name
//! and its own, and is looked for when it is to sign: that a token is away is nobody's business who only reads.
//!
//! A key is made before the record that names it is stored. Whoever dies in between leaves a key that nobody uses; it has
//! the authority's name and the day in its label, and is told of at the next start ([`Authority::unused_token_keys`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base::{Entropy, Explain, Kind, Timestamp};
use futures_util::future::BoxFuture;
use x509::{
    Certificate, CertificateTemplate, Crl, CrlTemplate, Digest, KeyError, KeySpec, PublicKey, Scheme,
    SignatureError,
};

use crate::error::IssueError;
use crate::issuer::Issuer;
use crate::record::KeyRecord;
use crate::service::Authority;
use crate::statement::{Statement, signed_text};

/// What a key is called in a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenKeyId(pub [u8; 16]);

impl TokenKeyId {
    pub(crate) fn random(entropy: &Entropy) -> Self {
        Self(entropy.bytes())
    }

    /// Reads what `Display` writes.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        base::hex::decode(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for TokenKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base::hex::encode(&self.0))
    }
}

impl fmt::Debug for TokenKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeyId({self})")
    }
}

/// Why a key in a token could not be made or used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct TokenError {
    /// What sort of thing went wrong.
    pub kind: Kind,
    /// What, to which token.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether it would be the same for whoever tries again, until somebody has done something about it.
    pub is_for_people: bool,
}

impl Explain for TokenError {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn help(&self) -> Option<String> {
        self.help.clone()
    }
}

/// Somewhere else where keys are made and used. Every wait has an end.
pub trait Token: Send + Sync {
    /// What it is called: the label that the operator gave it.
    fn name(&self) -> &str;

    /// Whether new CA keys are made there; else only what is there already is used.
    fn makes_keys(&self) -> bool;

    /// Makes a key called `id`, and `label` for people.
    fn make(
        &self,
        spec: KeySpec,
        id: TokenKeyId,
        label: String,
    ) -> BoxFuture<'_, Result<PublicKey, TokenError>>;

    /// The public half of that key, where the private one is there.
    fn find(&self, id: TokenKeyId) -> BoxFuture<'_, Result<Option<PublicKey>, TokenError>>;

    /// Signs a digest.
    fn sign(
        &self,
        id: TokenKeyId,
        scheme: Scheme,
        digest: Vec<u8>,
    ) -> BoxFuture<'_, Result<Vec<u8>, TokenError>>;

    /// Deletes that key, if it is there.
    fn remove(&self, id: TokenKeyId) -> BoxFuture<'_, Result<(), TokenError>>;

    /// What is there, and what it is called for people.
    fn list(&self) -> BoxFuture<'_, Result<Vec<(TokenKeyId, String)>, TokenError>>;
}

/// The statements that were signed in a token, by their text: whoever asks for them again does not ask the token.
#[derive(Default)]
pub(crate) struct Said(Mutex<HashMap<String, Statement>>);

/// More than an authority ever has to say: a statement for each pair of CA certificates and each dialect.
const SAID_MAX: usize = 64;

/// A key in a token.
#[derive(Clone)]
pub(crate) struct TokenKey {
    /// Where it is said to be.
    name: String,
    id: TokenKeyId,
    public: PublicKey,
    /// The one that the settings name, if any.
    token: Option<Arc<dyn Token>>,
    said: Arc<Said>,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({} in {})", self.id, self.name)
    }
}

impl TokenKey {
    pub(crate) fn new(
        name: String,
        id: TokenKeyId,
        public: PublicKey,
        token: Option<Arc<dyn Token>>,
        said: Arc<Said>,
    ) -> Self {
        Self { name, id, public, token, said }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn record(&self) -> KeyRecord {
        KeyRecord::InToken { token: self.name.clone(), token_key: self.id.to_string() }
    }

    pub(crate) fn token_name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> TokenKeyId {
        self.id
    }

    fn token(&self) -> Result<&Arc<dyn Token>, TokenError> {
        let reason = match &self.token {
            Some(token) if token.name() == self.name => return Ok(token),
            Some(other) => format!(
                "a CA key is in the PKCS#11 token `{}`, and the settings name the token `{}`",
                self.name,
                other.name()
            ),
            None => {
                format!("a CA key is in the PKCS#11 token `{}`, and the settings name no token", self.name)
            }
        };
        let help = Some("set `ca.token.module`, `ca.token.label` and `ca.token.pin_file`".to_owned());
        Err(TokenError { kind: Kind::Unavailable, reason, help, is_for_people: false })
    }

    fn refused(&self, what: &str, error: &dyn fmt::Display) -> TokenError {
        let reason = format!(
            "{what} that the PKCS#11 token `{}` made with the key {} is wrong: {error}",
            self.name, self.id
        );
        TokenError { kind: Kind::Internal, reason, help: None, is_for_people: false }
    }

    async fn signature(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.token()?.sign(self.id, scheme, scheme.digest().of(message)).await
    }

    pub(crate) async fn sign_certificate(
        &self,
        template: CertificateTemplate,
    ) -> Result<Certificate, IssueError> {
        let unsigned = template.for_signature_by(&self.public).map_err(IssueError::Key)?;
        let signature = self.signature(unsigned.scheme(), unsigned.to_be_signed()).await?;
        let wrong = |error: SignatureError| self.refused("the signature of a certificate", &error);
        Ok(unsigned.signed(&signature).map_err(wrong)?)
    }

    pub(crate) async fn sign_list(&self, template: CrlTemplate<'_>) -> Result<Crl, IssueError> {
        let unsigned = template.for_signature_by(&self.public).map_err(IssueError::Key)?;
        let signature = self.signature(unsigned.scheme(), unsigned.to_be_signed()).await?;
        let wrong = |error: SignatureError| self.refused("the signature of a revocation list", &error);
        Ok(unsigned.signed(&signature).map_err(wrong)?)
    }

    pub(crate) async fn sign_statement(&self, text: String) -> Result<Statement, IssueError> {
        if let Some(said) = self.said.0.lock().unwrap_or_else(PoisonError::into_inner).get(&text) {
            return Ok(said.clone());
        }
        let scheme = self.public.statement_scheme().map_err(IssueError::Key)?;
        let digest: Digest = scheme.digest();
        let signature = self.signature(scheme, &signed_text(&text, digest)).await?;
        let statement = Statement { text, digest, signature };
        statement
            .verify(&self.public)
            .map_err(|error| self.refused("the signature of a statement", &error))?;
        let mut said = self.said.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= SAID_MAX {
            said.clear();
        }
        said.insert(statement.text.clone(), statement.clone());
        Ok(statement)
    }

    /// Whether the token has the key.
    async fn is_there(&self) -> Result<(), TokenError> {
        let found = self.token()?.find(self.id).await?;
        let reason = match found {
            Some(public) if public == self.public => return Ok(()),
            Some(_) => format!(
                "the key {} in the PKCS#11 token `{}` is not that of the CA certificate on record",
                self.id, self.name
            ),
            None => format!(
                "the PKCS#11 token `{}` has no key {}, which a CA certificate has",
                self.name, self.id
            ),
        };
        let help = Some("put back the token that has it, or a copy of it".to_owned());
        Err(TokenError { kind: Kind::Unavailable, reason, help, is_for_people: false })
    }

    /// Deletes the key, which was just made and could not be stored: nobody has a record of it. That it cannot be done does
    /// no harm: it is told of at the next start.
    pub(crate) async fn remove(&self) {
        let removed = match self.token() {
            Ok(token) => token.remove(self.id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(token = %self.name, key = %self.id, %error, "a key that nobody uses is left in the token");
        }
    }
}

/// A key that was left in a token when the record of its CA certificate went. Who deletes it is for people to say: a
/// record may be of a copy of this house, restored to try something, whose original needs the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLeft {
    /// The token's label.
    pub token: String,
    /// The key's name in it, 32 hexadecimal digits.
    pub key: String,
}

impl KeyLeft {
    /// Where the key of that record stays.
    pub(crate) fn of(record: &KeyRecord) -> Option<Self> {
        match record {
            KeyRecord::Sealed { .. } => None,
            KeyRecord::InToken { token, token_key } => {
                Some(Self { token: token.clone(), key: token_key.clone() })
            }
        }
    }

    /// The command that deletes it, to be said with `privkey`, and again with `pubkey`.
    #[must_use]
    pub fn deleted_by(&self) -> String {
        let Self { token, key } = self;
        format!(
            "pkcs11-tool --module MODULE --login --token-label '{token}' --delete-object --type privkey --id {key}"
        )
    }

    /// Tells the operator.
    pub(crate) fn tell(&self) {
        let hint = format!("unless another house uses it: {}", self.deleted_by());
        let Self { token, key } = self;
        tracing::warn!(
            token,
            key,
            hint,
            "the CA certificate of a key in the token is gone, and the key stays"
        );
    }
}

impl Authority {
    /// A key for the next CA certificate in `token`, of which is seen that it can sign all that it will have to.
    pub(crate) async fn make_in_token(
        &self,
        token: &Arc<dyn Token>,
        now: Timestamp,
    ) -> Result<TokenKey, IssueError> {
        let id = TokenKeyId::random(&self.ground.entropy);
        let label = format!("{} {now}", self.label());
        let public = token.make(self.profile.issuer_key, id, label).await?;
        let token = (token.name().to_owned(), Some(token.clone()));
        let key = TokenKey::new(token.0, id, public, token.1, self.said.clone());
        // Said to nobody. That it cannot vouch for its successor would show years from now.
        match key.sign_statement(format!("the key {id} can sign statements")).await {
            Ok(_) => Ok(key),
            Err(error) => {
                key.remove().await;
                Err(error)
            }
        }
    }

    /// How the labels begin of the keys that this authority makes in tokens.
    fn label(&self) -> String {
        format!("provost: {}", self.profile.issuer_common_name)
    }

    /// Looks whether the keys are where they are said to be, of all CA certificates that count. An authority that is to be
    /// retired, because its token is lost, is opened without.
    ///
    /// # Errors
    /// [`IssueError::Token`] when one is not.
    pub async fn find_token_keys(&self) -> Result<(), IssueError> {
        for issuer in self.issuers().await?.iter() {
            if let Some(key) = issuer.in_token() {
                key.is_there().await?;
            }
        }
        Ok(())
    }

    /// Whether a CA certificate that is valid has that key.
    ///
    /// # Errors
    /// [`IssueError`] when they cannot be read.
    pub async fn needs_token_key(&self, id: TokenKeyId) -> Result<bool, IssueError> {
        let issuers = self.read_issuers(self.now()).await?.issuers;
        Ok(issuers.iter().filter_map(Issuer::in_token).any(|key| key.id() == id))
    }

    /// Keys in the token that have this authority's name in their label, and that no CA certificate on record has:
    /// what is left where something ended between the making of a key and its certificate.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn unused_token_keys(&self) -> Result<Vec<(TokenKeyId, String)>, IssueError> {
        let Some(token) = &self.ground.token else { return Ok(Vec::new()) };
        // First what is there, so that what is made meanwhile is on record when that is read.
        let mut found = token.list().await?;
        let label = format!("{} ", self.label());
        found.retain(|(_, text)| text.starts_with(&label));
        if found.is_empty() {
            return Ok(found);
        }
        let recorded = self.tables.issuer.all().await?;
        found.retain(|(id, _)| {
            let id = id.to_string();
            !recorded.iter().any(|(_, loaded)| {
                matches!(&loaded.record.key, KeyRecord::InToken { token_key, .. } if *token_key == id)
            })
        });
        Ok(found)
    }
}

impl From<TokenError> for IssueError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// What cannot be done with a key that is in a token.
pub(crate) fn only_in_token(token: &str) -> String {
    format!("its key is in the PKCS#11 token `{token}`, which never gives it away")
}

/// What to do instead.
pub(crate) const HELP_WITHOUT_KEYS: &str =
    "`provost backup` copies the records; the keys stay in the token, which is copied by its maker's means";

/// That a key could not be read is a fault of its own.
pub(crate) fn record_id(text: &str) -> Result<TokenKeyId, KeyError> {
    TokenKeyId::from_hex(text).ok_or(KeyError::Malformed)
}
