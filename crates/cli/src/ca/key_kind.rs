//! Which kinds of keys are made, and how they are written.

use base::Secret;
use clap::ValueEnum;
use x509::{KeyKind, KeySpec, PrivateKey};

use crate::holder::LoadedPair;

/// What kind of key to make.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyType {
    /// RSA of 2048 bits, which every server and every program knows
    #[default]
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RSA of 3072 bits
    #[value(name = "rsa-3072")]
    Rsa3072,
    /// RSA of 4096 bits
    #[value(name = "rsa-4096")]
    Rsa4096,
    /// ECDSA on P-256; caucase's own server does not renew it
    P256,
    /// ECDSA on P-384; caucase's own server does not renew it
    P384,
    /// Ed25519; caucase's own server does not renew it
    Ed25519,
}

impl KeyType {
    /// As it is said on a command line, and as [`kind_name`] calls such keys.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn spec(self) -> KeySpec {
        match self {
            Self::Rsa2048 => KeySpec::Rsa { bits: 2048 },
            Self::Rsa3072 => KeySpec::Rsa { bits: 3072 },
            Self::Rsa4096 => KeySpec::Rsa { bits: 4096 },
            Self::P256 => KeySpec::P256,
            Self::P384 => KeySpec::P384,
            Self::Ed25519 => KeySpec::Ed25519,
        }
    }
}

/// How a key is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyFormat {
    /// RSA keys as PKCS#1 (`RSA PRIVATE KEY`), as caucase does; others as PKCS#8
    #[default]
    Pkcs1,
    /// PKCS#8 (`PRIVATE KEY`) for every kind
    Pkcs8,
}

impl KeyFormat {
    /// How the key of `pair` is written.
    pub(super) fn of(pair: &LoadedPair) -> Self {
        if pair.is_pkcs8 { Self::Pkcs8 } else { Self::Pkcs1 }
    }

    pub(super) fn write(self, key: &PrivateKey) -> Secret<String> {
        self.writer()(key)
    }

    /// What writes keys so.
    pub(super) fn writer(self) -> fn(&PrivateKey) -> Secret<String> {
        match self {
            Self::Pkcs1 => PrivateKey::to_pem,
            Self::Pkcs8 => PrivateKey::to_pkcs8_pem,
        }
    }
}

/// What a kind of key is called.
pub(super) fn kind_name(kind: &KeyKind) -> String {
    match kind {
        KeyKind::Rsa { bits } | KeyKind::UnfitRsa { bits } => format!("rsa-{bits}"),
        KeyKind::EcP256 => "p256".into(),
        KeyKind::EcP384 => "p384".into(),
        KeyKind::EcP521 => "p521".into(),
        KeyKind::Ed25519 => "ed25519".into(),
        KeyKind::Other(oid) => oid.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_they_are_wanted() {
        for (kind, format, begin) in [
            (KeyType::Rsa2048, KeyFormat::Pkcs1, "-----BEGIN RSA PRIVATE KEY-----\n"),
            (KeyType::Rsa2048, KeyFormat::Pkcs8, "-----BEGIN PRIVATE KEY-----\n"),
            (KeyType::Ed25519, KeyFormat::Pkcs1, "-----BEGIN PRIVATE KEY-----\n"),
            (KeyType::P256, KeyFormat::Pkcs8, "-----BEGIN PRIVATE KEY-----\n"),
        ] {
            let key = PrivateKey::generate(kind.spec()).unwrap();
            let written = format.write(&key);
            assert!(written.expose().starts_with(begin), "{kind:?} {format:?}");
            assert!(PrivateKey::from_pem(written.expose()).unwrap().public() == key.public());
            assert_eq!(kind_name(key.public().kind()), kind.name());
        }
    }
}
