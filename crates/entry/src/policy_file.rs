//! How people write down whom to believe: TOML.
//!
//! ```toml
//! [[root]]                          # what one root believes is believed; there may be several
//! name = "releases"
//! keys = ["file-urlmd5:*"]          # for which keys it speaks, `*` stands for anything; left out: for all
//! signers_min = 2                   # how many of its signers must have said the same bytes; left out: 1
//! weak = false                      # whether an old signature, RSA with SHA-1, is enough; left out: no
//! expires = true                    # whether whoever attests must say until when; left out: no
//!
//! [[root.signer]]                   # a person or a machine, with all keys it has
//! name = "anna"
//! public_keys = """                 # Ed25519, PEM, one or more: whose attestations are theirs
//! -----BEGIN PUBLIC KEY-----
//! MCowBQYDK2VwAyEA…
//! -----END PUBLIC KEY-----
//! """
//! certificates = """                # PEM, one or more: whose old signatures are theirs; they count where `weak` is true
//! -----BEGIN CERTIFICATE-----
//! …
//! """
//! ```
//! Of a certificate only the key counts, as with old readers. No key may be two signers'. What is not known is refused, and
//! so is a private key. There are no paths in it: whom to believe is one file, which can be sent and signed as a whole.

use std::collections::BTreeSet;

use base::{Explain, Kind};
use serde::Deserialize;
use x509::pem;
use x509::{KeyError, PublicKey};

use crate::policy::{KeyPattern, Policy, Signer, Trust};
use crate::trust::{PieceError, TrustError, TrustList};

/// The longest file that is read: 1 MiB.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Why a file does not say whom to believe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than is read.
    #[error("it is longer than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not TOML, or with other members.
    #[error("line {line}: {what}")]
    Form {
        /// Where.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It trusts nobody.
    #[error("it has no [[root]]")]
    NoRoot,
    /// Two have the same name, or one has none.
    #[error("each root, and each signer of a root, has a name of its own; `{name}` is not")]
    Name {
        /// The name.
        name: String,
    },
    /// As many as that never sign.
    #[error("root `{root}` asks for {signers_min} signers and has {signers}")]
    Signers {
        /// Which root.
        root: String,
        /// How many it asks for.
        signers_min: usize,
        /// How many there are.
        signers: usize,
    },
    /// Nothing can be this signer's.
    #[error("signer `{signer}` has no key")]
    NoKey {
        /// Which signer.
        signer: String,
    },
    /// One of the public keys.
    #[error("a public key of signer `{signer}`")]
    Key {
        /// Which signer.
        signer: String,
        /// What is wrong.
        #[source]
        source: BadKey,
    },
    /// The certificates.
    #[error("the certificates of signer `{signer}`")]
    Certificates {
        /// Which signer.
        signer: String,
        /// What is wrong.
        #[source]
        source: TrustError,
    },
    /// One of the certificates.
    #[error("a certificate of signer `{signer}`")]
    Certificate {
        /// Which signer.
        signer: String,
        /// What is wrong.
        #[source]
        source: PieceError,
    },
    /// Nobody could tell who signed.
    #[error("signer `{signer}` of root `{root}` has a key that stands there twice")]
    Repeated {
        /// Which root.
        root: String,
        /// Which signer.
        signer: String,
    },
}

/// What is wrong with a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The PEM.
    #[error(transparent)]
    Pem(#[from] pem::PemError),
    /// Another kind of block.
    #[error("it is a PEM block `{label}`, not a public key")]
    Label {
        /// What it calls itself.
        label: String,
    },
    /// What is in the block.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Another algorithm.
    #[error("only Ed25519 keys attest")]
    Kind,
}

impl Explain for PolicyError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooLarge => Kind::TooLarge,
            Self::Certificates { source, .. } => source.kind(),
            Self::Certificate { source, .. } => source.kind(),
            Self::Form { .. }
            | Self::NoRoot
            | Self::Name { .. }
            | Self::Signers { .. }
            | Self::NoKey { .. }
            | Self::Key { .. }
            | Self::Repeated { .. } => Kind::Invalid,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoRoot => Some("`provost cache sign-key` prints a root that believes the new key".into()),
            Self::Key { source: BadKey::Label { label }, .. } if label.contains("PRIVATE KEY") => Some(
                "give the public key instead; whoever has read this one can sign in its owner's name".into(),
            ),
            Self::Certificates { source, .. } => source.help(),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    root: Vec<Root>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    name: String,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default = "one")]
    signers_min: usize,
    #[serde(default)]
    weak: bool,
    #[serde(default)]
    expires: bool,
    #[serde(default)]
    signer: Vec<Keys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    name: String,
    #[serde(default)]
    public_keys: String,
    #[serde(default)]
    certificates: String,
}

fn one() -> usize {
    1
}

impl Trust {
    /// Reads a file of the form that [`crate::policy_file`] tells of.
    ///
    /// # Errors
    /// With the first thing that is wrong with it; nothing is passed over.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(PolicyError::TooLarge);
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or("");
            let line = 1 + before.matches('\n').count();
            PolicyError::Form { line, what: error.message().replace('\n', ", ") }
        })?;
        if file.root.is_empty() {
            return Err(PolicyError::NoRoot);
        }
        names_differ(file.root.iter().map(|root| root.name.as_str()))?;
        let policies = file.root.into_iter().map(read_root).collect::<Result<_, _>>()?;
        Ok(Self { policies })
    }
}

fn names_differ<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), PolicyError> {
    let mut before = BTreeSet::from([""]);
    for name in names {
        if !before.insert(name) {
            return Err(PolicyError::Name { name: name.to_owned() });
        }
    }
    Ok(())
}

fn read_root(root: Root) -> Result<Policy, PolicyError> {
    names_differ(root.signer.iter().map(|signer| signer.name.as_str()))?;
    let (signers_min, signers) = (root.signers_min, root.signer.len());
    if !(1..=signers).contains(&signers_min) {
        return Err(PolicyError::Signers { root: root.name, signers_min, signers });
    }
    let signers = root.signer.iter().map(read_signer).collect::<Result<Vec<_>, _>>()?;
    let mut before = BTreeSet::new();
    for signer in &signers {
        let attesting = signer.ids().map(|id| id.to_string().into_bytes());
        let outer = signer.certificates().trusted().iter().map(|trusted| trusted.key_bytes().to_vec());
        for key in attesting.chain(outer) {
            if !before.insert(key) {
                return Err(PolicyError::Repeated { root: root.name, signer: signer.name.clone() });
            }
        }
    }
    Ok(Policy {
        name: root.name,
        keys: root.keys.iter().map(|pattern| KeyPattern::new(pattern)).collect(),
        signers,
        signers_min,
        takes_weak: root.weak,
        needs_expiry: root.expires,
    })
}

fn read_signer(keys: &Keys) -> Result<Signer, PolicyError> {
    let signer = || keys.name.clone();
    let of_key = |source: BadKey| PolicyError::Key { signer: signer(), source };
    let public_keys = read_public_keys(&keys.public_keys).map_err(of_key)?;
    let certificates = TrustList::parse(&keys.certificates)
        .map_err(|source| PolicyError::Certificates { signer: signer(), source })?;
    if let Some((_, source)) = certificates.skipped().first() {
        return Err(PolicyError::Certificate { signer: signer(), source: source.clone() });
    }
    if public_keys.is_empty() && certificates.is_empty() {
        return Err(PolicyError::NoKey { signer: signer() });
    }
    Signer::new(&keys.name, public_keys, certificates).ok_or_else(|| of_key(BadKey::Kind))
}

fn read_public_keys(text: &str) -> Result<Vec<PublicKey>, BadKey> {
    let blocks = pem::read(text.as_bytes(), pem::SEVERAL_BYTES_MAX)?;
    if blocks.is_empty() && !text.trim().is_empty() {
        return Err(pem::PemError::Missing { wanted: "PUBLIC KEY" }.into());
    }
    blocks
        .into_iter()
        .map(|block| match block.label.as_str() {
            "PUBLIC KEY" => Ok(PublicKey::from_spki_der(&block.der)?),
            _ => Err(BadKey::Label { label: block.label }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector;
    use base::report;
    use x509::{KeySpec, PrivateKey};

    fn public_pem(spec: KeySpec) -> String {
        x509::pem::write("PUBLIC KEY", PrivateKey::generate(spec).unwrap().public().spki())
    }

    #[test]
    fn a_root_is_read() {
        let (anna, bert) = (public_pem(KeySpec::Ed25519), public_pem(KeySpec::Ed25519));
        let text = format!(
            "[[root]]\nname = \"all\"\nsigners_min = 2\nweak = true\nexpires = true\nkeys = [\"a*\", \"b\"]\n\
             [[root.signer]]\nname = \"anna\"\npublic_keys = \"\"\"\n{anna}{bert}\"\"\"\n\
             [[root.signer]]\nname = \"carl\"\ncertificates = \"\"\"\n{}\"\"\"\n",
            vector::CERTIFICATE,
        );
        let trust = Trust::parse(&text).unwrap();
        let [policy] = &trust.policies[..] else { panic!("{trust:?}") };
        assert_eq!((policy.name.as_str(), policy.signers_min), ("all", 2));
        assert!(policy.takes_weak && policy.needs_expiry);
        assert_eq!(["a1", "b", "c"].map(|key| policy.speaks_for(key)), [true, true, false]);
        let [anna, carl] = &policy.signers[..] else { panic!("{policy:?}") };
        assert_eq!((anna.ids().count(), anna.certificates().is_empty()), (2, true));
        assert_eq!((carl.ids().count(), carl.certificates().trusted().len()), (0, 1));
        assert_eq!(trust.ids().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let (ed25519, p256) = (public_pem(KeySpec::Ed25519), public_pem(KeySpec::P256));
        let private = PrivateKey::generate(KeySpec::Ed25519).unwrap().to_pem();
        let root = |rest: &str| format!("[[root]]\nname = \"r\"\n{rest}");
        let signer = |name: &str, member: &str, value: &str| {
            format!("[[root.signer]]\nname = \"{name}\"\n{member} = '''\n{value}'''\n")
        };
        let anna = signer("anna", "public_keys", &ed25519);
        for (text, expected) in [
            (String::new(), "it has no [[root]]"),
            ("a = 1".into(), "line 1: unknown field `a`, expected `root`"),
            ("\n[[root]]\nname = 1".into(), "line 3: invalid type: integer `1`, expected a string"),
            ("\n[[root]".into(), "line 2: "),
            (root(""), "root `r` asks for 1 signers and has 0"),
            (root(&format!("signers_min = 2\n{anna}")), "root `r` asks for 2 signers and has 1"),
            (root(&format!("signers_min = 0\n{anna}")), "root `r` asks for 0 signers and has 1"),
            (
                root(&anna) + &root(&anna),
                "each root, and each signer of a root, has a name of its own; `r` is not",
            ),
            (
                root(&format!("{anna}{anna}")),
                "each root, and each signer of a root, has a name of its own; `anna` is not",
            ),
            (root(&signer("", "public_keys", &ed25519)), "each root, and each signer of a root, has"),
            (root(&signer("x", "public_keys", " ")), "signer `x` has no key"),
            (root(&signer("x", "public_keys", "y")), "a public key of signer `x`: "),
            (
                root(&signer("x", "public_keys", &p256)),
                "a public key of signer `x`: only Ed25519 keys attest",
            ),
            (
                root(&signer("x", "public_keys", private.expose())),
                "a public key of signer `x`: it is a PEM block `PRIVATE KEY`, not a public key",
            ),
            (
                root(&signer("x", "certificates", vector::KEY_PKCS8)),
                "the certificates of signer `x`: there is a private key among the certificates to be trusted",
            ),
            (root(&signer("x", "certificates", &ed25519)), "a certificate of signer `x`: it is a PEM block"),
            (
                root(&(anna.clone() + &signer("bert", "public_keys", &ed25519))),
                "signer `bert` of root `r` has a key that stands there twice",
            ),
            (
                root(
                    &(signer("x", "certificates", vector::CERTIFICATE)
                        + &signer("y", "certificates", vector::CERTIFICATE)),
                ),
                "signer `y` of root `r` has a key that stands there twice",
            ),
            (" ".repeat(FILE_BYTES_MAX + 1), "it is longer than 1048576 bytes"),
        ] {
            let said = report(&Trust::parse(&text).unwrap_err()).to_string();
            assert!(said.starts_with(expected), "{said}\n{text}");
        }
    }
}
