//! A certificate takes the place of the one before it, and its key of the key before it.

use base::{Secret, Span, Timestamp};
use client::compat::caucase::{Authority, Server};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use x509::{
    Certificate, KeyError, KeyKind, KeySpec, PrivateKey, PublicKey, SigningRequest, VerifyError, verify,
};

use super::error::HolderError;
use super::pair::{LoadedPair, Pair};

/// Makes private keys: it takes from milliseconds to seconds.
pub(crate) type KeyMaker = fn(KeySpec) -> BoxFuture<'static, Result<PrivateKey, KeyError>>;

/// Whether a certificate is to be renewed at `now`: no more than `threshold` of its life is left.
pub(crate) fn is_due(certificate: &Certificate, threshold: Span, now: Timestamp) -> bool {
    due_at(certificate, threshold) <= now
}

/// When a certificate is to be renewed at the earliest.
pub(crate) fn due_at(certificate: &Certificate, threshold: Span) -> Timestamp {
    certificate.not_after() - threshold
}

/// The key that takes the place of the one in `certificate`: of the same kind, and of `rsa_bits` where that is RSA.
pub(crate) fn spec_of(certificate: &Certificate, rsa_bits: u32) -> KeySpec {
    match certificate.public_key().kind() {
        KeyKind::EcP256 => KeySpec::P256,
        KeyKind::EcP384 => KeySpec::P384,
        KeyKind::Ed25519 => KeySpec::Ed25519,
        KeyKind::Rsa { .. } | KeyKind::UnfitRsa { .. } | KeyKind::EcP521 | KeyKind::Other(_) => {
            KeySpec::Rsa { bits: rsa_bits }
        }
    }
}

/// Renews `pair`, of which `current` is what is in it, and gives the new certificate, which is on disk with its key.
///
/// The server's answer comes over plain HTTP: it is kept if it is for the new key and one of `authorities` stands for it.
///
/// # Errors
/// When the server does not answer or refuses, answers with something else, or a file cannot be written. Then the old pair
/// is there, and as good as before.
pub(crate) async fn renew(
    server: &Server,
    authority: Authority,
    pair: &Pair,
    current: &LoadedPair,
    authorities: &[Certificate],
    rsa_bits: u32,
    now: Timestamp,
) -> Result<Certificate, HolderError> {
    let key = make_in_place(spec_of(&current.certificate, rsa_bits)).await?;
    renew_with(server, authority, pair, current, authorities, &key, PrivateKey::to_pem, now).await
}

/// The same with `key`, in the form in which `write` writes it.
///
/// # Errors
/// As [`renew`].
#[expect(clippy::too_many_arguments, reason = "all of it differs from one renewal to the next")]
pub(crate) async fn renew_with(
    server: &Server,
    authority: Authority,
    pair: &Pair,
    current: &LoadedPair,
    authorities: &[Certificate],
    key: &PrivateKey,
    write: fn(&PrivateKey) -> Secret<String>,
    now: Timestamp,
) -> Result<Certificate, HolderError> {
    let request = SigningRequest::build(key, current.certificate.subject(), &[]);
    let answer = server.renew(authority, &current.certificate, &current.key, &request).await?;
    succeed(pair, key, write, &answer, authorities, now)
}

/// Has `key` and the certificate in `answer` take the place of what is in `pair`: that is renewed, or was asked for anew.
///
/// # Errors
/// When the answer is not what was asked for, or a file cannot be written. Then what is there is as good as before.
pub(crate) fn succeed(
    pair: &Pair,
    key: &PrivateKey,
    write: fn(&PrivateKey) -> Secret<String>,
    answer: &[u8],
    authorities: &[Certificate],
    now: Timestamp,
) -> Result<Certificate, HolderError> {
    let certificate = checked(answer, key.public(), authorities, now)?;
    pair.replace(Some(key), &certificate, write)?;
    Ok(certificate)
}

/// Makes a key where nothing else is to be done meanwhile.
pub(crate) fn make_in_place(spec: KeySpec) -> BoxFuture<'static, Result<PrivateKey, KeyError>> {
    async move { PrivateKey::generate(spec) }.boxed()
}

/// The certificate in an answer, if it is for `key` and one of `authorities` stands for it at `now`.
///
/// One whose first second is not there yet has just been made by a server whose clock is ahead of this one.
pub(crate) fn checked(
    answer: &[u8],
    key: &PublicKey,
    authorities: &[Certificate],
    now: Timestamp,
) -> Result<Certificate, HolderError> {
    let certificate = Certificate::from_pem(answer).map_err(HolderError::NoCertificate)?;
    if certificate.public_key() != key {
        return Err(HolderError::OtherKey);
    }
    let until = certificate.not_after();
    verify(&certificate, authorities, now.max(certificate.not_before())).map_err(|error| match error {
        VerifyError::Expired if until < now => HolderError::Over(until),
        error => HolderError::Unverified(error),
    })?;
    Ok(certificate)
}

#[cfg(test)]
mod tests {
    use x509::{CertificateTemplate, Name, Serial, extension};

    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_700_000_000);

    fn certificate(key: &PrivateKey, issuer: &PrivateKey, days: i64) -> Certificate {
        let name = Name::from_common_name("ca").unwrap();
        let template = CertificateTemplate {
            serial: Serial::from_decimal("1").unwrap(),
            issuer: name.clone(),
            subject: name,
            not_before: START,
            not_after: START + Span::days(days),
            public_key: key.public().clone(),
            extensions: vec![extension::basic_constraints(true, None)],
        };
        template.sign(issuer)
    }

    #[test]
    fn a_certificate_is_due_when_the_threshold_is_left() {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let one = certificate(&key, &key, 93);
        for (day, expected) in [(0, false), (61, false), (62, true), (93, true), (94, true)] {
            assert_eq!(is_due(&one, Span::days(31), START + Span::days(day)), expected, "{day}");
        }
    }

    #[test]
    fn keys_follow_those_of_their_kind() {
        for spec in [KeySpec::P256, KeySpec::P384, KeySpec::Ed25519, KeySpec::Rsa { bits: 2048 }] {
            let key = PrivateKey::generate(spec).unwrap();
            assert_eq!(spec_of(&certificate(&key, &key, 1), 2048), spec);
        }
    }

    #[test]
    fn only_what_was_asked_for_is_kept() {
        let [ca, other, key] = [(); 3].map(|()| PrivateKey::generate(KeySpec::P256).unwrap());
        let authorities = [certificate(&ca, &ca, 9)];
        let read = |one: &Certificate, day| {
            checked(one.to_pem().as_bytes(), key.public(), &authorities, START + Span::days(day))
        };
        let good = certificate(&key, &ca, 5);
        assert_eq!(read(&good, 1).unwrap(), good);
        // The server's clock is ahead of this one.
        assert_eq!(read(&good, -1).unwrap(), good);
        assert!(matches!(read(&good, 6), Err(HolderError::Over(_))));
        assert!(matches!(read(&certificate(&other, &ca, 5), 1), Err(HolderError::OtherKey)));
        assert!(matches!(
            read(&certificate(&key, &other, 5), 1),
            Err(HolderError::Unverified(VerifyError::Signature))
        ));
        assert!(matches!(
            checked(b"", key.public(), &authorities, START),
            Err(HolderError::NoCertificate(_))
        ));
    }
}
