//! Those who ask for certificates, and the keys they have.

use std::collections::VecDeque;

use ca::{ByHolder, Statement, signed_text};
use x509::{Certificate, Digest, Extension, KeyKind, KeySpec, Name, PrivateKey, SigningRequest};

/// RSA keys take a while to make: some are made before, and go round.
pub struct Pool(VecDeque<PrivateKey>);

impl Pool {
    /// `count` RSA keys of 2048 bits.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn of(count: usize) -> Self {
        let made = || PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).expect("an RSA key can be made");
        Self(std::iter::repeat_with(made).take(count).collect())
    }

    /// Adds an RSA key that nobody has had, which is the next.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn add(&mut self) {
        self.0.extend(Self::of(1).0);
        self.0.rotate_right(1);
    }

    /// A key of this kind: one that was not used for as long as possible, if it is RSA.
    ///
    /// # Panics
    /// When no key can be made.
    pub fn key(&mut self, spec: KeySpec) -> PrivateKey {
        if !matches!(spec, KeySpec::Rsa { .. }) {
            return PrivateKey::generate(spec).expect("a key on a curve can be made");
        }
        let key = self.0.pop_front().expect("the pool has keys");
        self.0.push_back(key.clone());
        key
    }
}

/// Somebody with a key and a request.
#[derive(Clone)]
pub struct Asker {
    key: PrivateKey,
    /// What is asked for.
    pub csr: SigningRequest,
    /// The same in PEM.
    pub text: String,
}

impl Asker {
    /// Whoever has `key` and is called `name`.
    ///
    /// # Panics
    /// When `name` is no common name.
    #[must_use]
    pub fn new(key: PrivateKey, name: &str, extensions: &[Extension]) -> Self {
        let subject = Name::from_common_name(name).expect("a short name is a common name");
        let csr = SigningRequest::build(&key, &subject, extensions);
        Self { text: csr.to_pem(), key, csr }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Proves to hold `certificate`.
    ///
    /// # Panics
    /// When the key is another's.
    #[must_use]
    pub fn prove(&self, certificate: &Certificate) -> ByHolder {
        let text = "whatever a dialect says".to_owned();
        let digest = match self.key.public().kind() {
            KeyKind::EcP384 => Digest::Sha384,
            _ => Digest::Sha256,
        };
        let signature = self.key.sign_statement(digest, &signed_text(&text, digest));
        let statement = Statement { text, digest, signature: signature.expect("the key can sign") };
        statement.by(certificate.clone()).expect("it is the key of the certificate")
    }
}
