//! A certificate that is over is asked for anew, with another key: a server that was asked with the old one may still have what
//! it made of that request, and hand it out again.
//!
//! ```text
//! .KEY.provost-key made ──► request ──► remembered (memory) ──► submitted ──► certificate ──► both take their places (pair)
//! ```
//! The new key waits beside the old one for as long as somebody has to approve its request. Old key and certificate stay what
//! they are until the new ones are there, and then are replaced together, as by a renewal.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;

use base::Timestamp;
use x509::{Certificate, PrivateKey};

use super::error::CaCommandError;
use super::key_file::{read, read_or_make};
use super::key_kind::KeyFormat;
use super::memory::Memory;
use super::renew::renewed_spec;
use crate::durable::sync_folder_of;
use crate::holder::renewal::succeed;
use crate::holder::{KeyMaker, Pair};

/// A certificate and its key, which are to be replaced by others that are asked for anew.
pub(super) struct Anew {
    pair: Pair,
    /// Where the new key is, while it waits for its certificate.
    key_path: PathBuf,
    memory: Memory,
}

impl Anew {
    pub(super) fn of(pair: Pair) -> Self {
        let mut name = OsString::from(".");
        name.push(pair.key.file_name().unwrap_or_default());
        name.push(".provost-key");
        let key_path = pair.key.with_file_name(name);
        Self { memory: Memory::beside(&pair.key), key_path, pair }
    }

    /// What is replaced.
    pub(super) fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Where the request is remembered.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The key that waits for its certificate, if one does.
    pub(super) fn waiting(&self) -> Result<Option<PrivateKey>, CaCommandError> {
        read(&self.key_path)
    }

    /// The key to ask with, as `over` is: one that waits for its certificate, or else a new one of the same kind, and whether
    /// it was made.
    pub(super) async fn key(
        &self,
        over: &Certificate,
        format: KeyFormat,
        keys: KeyMaker,
    ) -> Result<(PrivateKey, bool), CaCommandError> {
        // What was asked for with the key of `over` is answered, and that key has had its time.
        self.memory.forget_of(over.public_key())?;
        if self.waiting()?.is_some_and(|key| key.public() == over.public_key()) {
            self.remove_key()?;
        }
        read_or_make(&self.key_path, renewed_spec(over, None), format, keys).await
    }

    /// Has the certificate in `answer` take its place, together with `key`, for which it has to be.
    pub(super) fn keep(
        &self,
        answer: &[u8],
        key: &PrivateKey,
        format: KeyFormat,
        authorities: &[Certificate],
        now: Timestamp,
    ) -> Result<Certificate, CaCommandError> {
        let certificate = succeed(&self.pair, key, format.writer(), answer, authorities, now)?;
        self.end(&certificate)?;
        Ok(certificate)
    }

    /// Nothing waits any more: `there` is valid, wherever it came from. Where it is what was asked for, and whoever kept it was
    /// killed right behind that, it is remembered for what it is.
    pub(super) fn end(&self, there: &Certificate) -> Result<(), CaCommandError> {
        if self.key_path.symlink_metadata().is_err() {
            return Ok(());
        }
        let asked = self.memory.read()?.and_then(|known| known.request());
        match asked.filter(|asked| asked.public_key() == there.public_key()) {
            Some(asked) => self.memory.answered(&asked, there)?,
            None => self.memory.forget()?,
        }
        self.remove_key()
    }

    fn remove_key(&self) -> Result<(), CaCommandError> {
        match std::fs::remove_file(&self.key_path).and_then(|()| sync_folder_of(&self.key_path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(CaCommandError::unwritable(&self.key_path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The certificate in `answer`, if it is for `key` and over at `now`: it was issued long ago, and to nobody.
pub(super) fn over(answer: &[u8], key: &x509::PublicKey, now: Timestamp) -> Option<Certificate> {
    let certificate = Certificate::from_pem(answer).ok()?;
    (certificate.public_key() == key && certificate.not_after() < now).then_some(certificate)
}

#[cfg(test)]
mod tests {
    use base::Span;
    use client::compat::caucase::Authority;
    use x509::{CertificateTemplate, KeySpec, Name, Serial, SigningRequest, extension};

    use super::super::memory::Submitted;
    use super::*;
    use crate::holder::renewal::make_in_place;

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

    /// A new key waits for its certificate, however often it is asked for; one that was over before it was used, does not.
    #[tokio::test]
    async fn a_new_key_takes_the_place_of_one_that_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let [ca, old] = [(); 2].map(|()| PrivateKey::generate(KeySpec::P256).unwrap());
        let authorities = [certificate(&ca, &ca, 99)];
        let past = certificate(&old, &ca, 1);
        let pair = Pair { certificate: path("web.crt"), key: path("web.key") };
        pair.replace(Some(&old), &past, PrivateKey::to_pem).unwrap();
        let anew = Anew::of(pair.clone());
        let request =
            |key: &PrivateKey| SigningRequest::build(key, &Name::from_common_name("ca").unwrap(), &[]);
        let url = "http://ca".parse().unwrap();
        let remember = |key: &PrivateKey| {
            anew.memory().write(&Submitted::new(&url, Authority::Services, &request(key))).unwrap();
        };
        remember(&old);
        let format = KeyFormat::Pkcs1;
        let (key, is_new) = anew.key(&past, format, make_in_place).await.unwrap();
        assert!(is_new && key.public() != old.public() && anew.memory().read().unwrap().is_none());
        remember(&key);
        let (again, is_new) = anew.key(&past, format, make_in_place).await.unwrap();
        assert!(!is_new && again.public() == key.public() && anew.memory().read().unwrap().is_some());
        // What was made of it is over as well: another one.
        let late = certificate(&key, &ca, 2);
        let now = START + Span::days(3);
        assert_eq!(over(late.to_pem().as_bytes(), key.public(), now), Some(late.clone()));
        assert_eq!(over(late.to_pem().as_bytes(), old.public(), now), None, "somebody else's");
        assert_eq!(over(late.to_pem().as_bytes(), key.public(), START), None);
        assert!(anew.keep(late.to_pem().as_bytes(), &key, format, &authorities, now).is_err());
        assert_eq!(pair.load().unwrap().certificate, past, "nothing was replaced");
        let (third, is_new) = anew.key(&late, format, make_in_place).await.unwrap();
        assert!(is_new && third.public() != key.public() && anew.memory().read().unwrap().is_none());
        remember(&third);
        let good = certificate(&third, &ca, 9);
        anew.keep(good.to_pem().as_bytes(), &third, format, &authorities, now).unwrap();
        let loaded = pair.load().unwrap();
        assert!(loaded.certificate == good && loaded.key.public() == third.public());
        assert!(anew.waiting().unwrap().is_none() && anew.memory().read().unwrap().is_none());
    }

    /// Whoever is killed when the new pair is there and before that is remembered has it remembered by whoever comes next.
    #[tokio::test]
    async fn what_was_kept_last_is_remembered_by_whoever_comes_next() {
        let folder = tempfile::tempdir().unwrap();
        let [ca, old] = [(); 2].map(|()| PrivateKey::generate(KeySpec::P256).unwrap());
        let pair = Pair { certificate: folder.path().join("web.crt"), key: folder.path().join("web.key") };
        let past = certificate(&old, &ca, 1);
        pair.replace(Some(&old), &past, PrivateKey::to_pem).unwrap();
        let anew = Anew::of(pair.clone());
        let (key, _) = anew.key(&past, KeyFormat::Pkcs1, make_in_place).await.unwrap();
        let asked = SigningRequest::build(&key, &Name::from_common_name("asked").unwrap(), &[]);
        let url = "http://ca".parse().unwrap();
        anew.memory().write(&Submitted::new(&url, Authority::Services, &asked)).unwrap();
        let given = certificate(&key, &ca, 9);
        let now = START + Span::days(2);
        let authorities = [certificate(&ca, &ca, 99)];
        succeed(&pair, &key, PrivateKey::to_pem, given.to_pem().as_bytes(), &authorities, now).unwrap();
        anew.end(&given).unwrap();
        assert!(anew.waiting().unwrap().is_none());
        let known = anew.memory().read().unwrap().unwrap();
        assert!(known.was_given(&url, Authority::Services, &asked, &given));
        // What somebody else brought is none of that.
        anew.key(&past, KeyFormat::Pkcs1, make_in_place).await.unwrap();
        anew.end(&certificate(&old, &ca, 9)).unwrap();
        assert!(anew.waiting().unwrap().is_none() && anew.memory().read().unwrap().is_none());
    }
}
