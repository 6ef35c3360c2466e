//! Which revocation lists whoever trusts an authority is to have (caucase contract, section 7.1, *updateCRL*).

use base::{Explain, Kind, Timestamp};
use x509::pem::PemError;
use x509::{Certificate, Crl, pem};

const LABEL: &str = "X509 CRL";

/// The lists of an answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableLists {
    /// It is no text of lists.
    #[error("the revocation lists are not readable")]
    Unreadable(#[source] PemError),
    /// None of it was said by anybody who is trusted.
    #[error("none of the revocation lists is signed by a CA certificate that is trusted")]
    Foreign,
}

impl Explain for UnusableLists {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreadable(_) | Self::Foreign => Kind::Invalid,
        }
    }
}

/// What is held, and whether it has to be written.
#[derive(Debug, Clone)]
pub struct Lists {
    /// One for each CA key that signed one, in the order of the answer; behind them what it left out.
    pub lists: Vec<Crl>,
    /// Whether that is anything else than what was held.
    pub is_new: bool,
}

impl Lists {
    /// What is to be held by whoever holds `held`, trusts `authorities` and was given the PEM text `answer`: of every
    /// authority that is trusted the latest list of which anybody knows, those of the answer first.
    ///
    /// The answer comes over plain HTTP. So a list that nobody signed who is trusted, or that cannot be read, says nothing;
    /// one that was true once does not take the place of what came after it, and none goes for being left out, as long as
    /// its authority is trusted. The original takes whatever it is given.
    ///
    /// # Errors
    /// When the answer is no PEM, or there is no list in it that is signed by one of the authorities.
    pub fn chosen(held: &[Crl], answer: &[u8], authorities: &[Certificate]) -> Result<Self, UnusableLists> {
        let is_signed = |list: &Crl| {
            list.authority_key_id().is_some()
                && authorities.iter().any(|one| list.verify_signature(one.public_key()).is_ok())
        };
        let blocks = pem::read(answer, pem::LIST_BYTES_MAX).map_err(UnusableLists::Unreadable)?;
        let answered = blocks.iter().filter(|block| block.label == LABEL);
        let answered = answered.filter_map(|block| Crl::from_der(&block.der).ok()).filter(is_signed);
        let mut lists: Vec<Crl> = Vec::new();
        let mut count = 0;
        for list in
            answered.inspect(|_| count += 1).chain(held.iter().filter(|list| is_signed(list)).cloned())
        {
            match lists.iter_mut().find(|other| other.authority_key_id() == list.authority_key_id()) {
                Some(other) if age(other) < age(&list) => *other = list,
                Some(_) => {}
                None => lists.push(list),
            }
        }
        if count == 0 {
            return Err(UnusableLists::Foreign);
        }
        let is_new = lists.len() != held.len()
            || lists.iter().any(|list| !held.iter().any(|known| known.der() == list.der()));
        Ok(Self { lists, is_new })
    }
}

/// Which of two lists of an authority is the later one. A server that was restored from a backup counts from an earlier
/// number on, and not from an earlier time.
fn age(list: &Crl) -> (Timestamp, u64) {
    (list.this_update(), list.number())
}

#[cfg(test)]
mod tests {
    use std::slice;

    use base::Span;
    use x509::{CertificateTemplate, CrlTemplate, KeySpec, Name, PrivateKey, Serial, extension};

    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_700_000_000);

    struct Ca {
        key: PrivateKey,
        certificate: Certificate,
    }

    impl Ca {
        fn new(name: &str) -> Self {
            let key = PrivateKey::generate(KeySpec::P256).unwrap();
            let name = Name::from_common_name(name).unwrap();
            let template = CertificateTemplate {
                serial: Serial::from_decimal("1").unwrap(),
                issuer: name.clone(),
                subject: name,
                not_before: START,
                not_after: START + Span::days(100),
                public_key: key.public().clone(),
                extensions: vec![extension::subject_key_id(key.public().key_id())],
            };
            let certificate = template.sign(&key);
            Self { key, certificate }
        }

        fn list(&self, number: u64, day: i64) -> Crl {
            let template = CrlTemplate {
                issuer: self.certificate.subject(),
                this_update: START + Span::days(day),
                next_update: START + Span::days(day + 10),
                number,
                authority_key_id: self.key.public().key_id(),
                revoked: &[],
            };
            template.sign(&self.key)
        }
    }

    fn pem(lists: &[&Crl]) -> Vec<u8> {
        lists.iter().map(|list| list.to_pem()).collect::<String>().into_bytes()
    }

    #[test]
    fn the_latest_list_of_everybody_who_is_trusted_is_held() {
        let (a, b, x) = (Ca::new("a"), Ca::new("b"), Ca::new("x"));
        let trusted = [a.certificate.clone(), b.certificate.clone()];
        let (a1, a2, b1, x1) = (a.list(1, 0), a.list(2, 1), b.list(1, 0), x.list(1, 0));
        let chosen = |held: &[&Crl], answer: &[&Crl]| {
            let held: Vec<Crl> = held.iter().map(|list| (*list).clone()).collect();
            let chosen = Lists::chosen(&held, &pem(answer), &trusted).unwrap();
            (chosen.lists, chosen.is_new)
        };
        let lists =
            |lists: &[&Crl], is_new| (lists.iter().map(|one| (*one).clone()).collect::<Vec<_>>(), is_new);
        assert_eq!(chosen(&[], &[&a1, &b1]), lists(&[&a1, &b1], true));
        assert_eq!(chosen(&[&b1, &a1], &[&a1, &b1]), lists(&[&a1, &b1], false));
        assert_eq!(chosen(&[&a1], &[&a2]), lists(&[&a2], true));
        // What was true once does not come back, and nothing goes for being left out.
        assert_eq!(chosen(&[&a2], &[&a1]), lists(&[&a2], false));
        assert_eq!(chosen(&[&a1, &b1], &[&a2]), lists(&[&a2, &b1], true));
        assert_eq!(chosen(&[], &[&a1, &a2]), lists(&[&a2], true));
        // A server that was restored counts anew.
        assert_eq!(chosen(&[&a.list(9, 0)], &[&a2]), lists(&[&a2], true));
        // Nobody is heard who is not trusted; what is held of them goes.
        assert_eq!(chosen(&[&a1], &[&a1, &x1]), lists(&[&a1], false));
        assert_eq!(chosen(&[&a1, &x1], &[&a1]), lists(&[&a1], true));
    }

    #[test]
    fn what_is_no_list_of_theirs_changes_nothing() {
        let (a, x) = (Ca::new("a"), Ca::new("x"));
        let chosen = |answer: &[u8]| {
            Lists::chosen(&[a.list(1, 0)], answer, slice::from_ref(&a.certificate)).unwrap_err()
        };
        assert!(matches!(chosen(b""), UnusableLists::Foreign));
        assert!(matches!(chosen(b"<html>"), UnusableLists::Foreign));
        assert!(matches!(chosen(&pem(&[&x.list(9, 0)])), UnusableLists::Foreign));
        assert!(matches!(
            chosen(
                &[
                    pem(&[&x.list(9, 0)]).as_slice(),
                    b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"
                ]
                .concat()
            ),
            UnusableLists::Foreign
        ));
        assert!(matches!(chosen(b"-----BEGIN X509 CRL-----\n"), UnusableLists::Unreadable(_)));
    }
}
