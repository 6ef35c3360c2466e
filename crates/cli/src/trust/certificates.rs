//! Certificates in files, before anybody is sent one: PEM, certificates and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base::hex;
use x509::{Certificate, has_private_key, pem};

use super::error::{BadCertificates, TrustCommandError};
use crate::input::{File, Input};

/// The largest file of certificates that is taken, in bytes: what a server takes in one go.
pub(super) const FILE_BYTES_MAX: usize = 8 << 20;

/// The SHA-256 of a certificate's DER: 64 hexadecimal digits, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint(String);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is what `openssl x509 -noout -fingerprint -sha256` prints: 64 hexadecimal digits")]
pub(super) struct BadFingerprint;

impl Fingerprint {
    pub(super) fn of(certificate: &Certificate) -> Self {
        Self(hex::encode(&certificate.fingerprint()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a part of a path.
    pub(super) fn segment(&self) -> Result<client::Segment, TrustCommandError> {
        let name = self.0.parse();
        name.map_err(|error| TrustCommandError::Asked(crate::error::CommandError::Name(error)))
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    /// Reads the whole line of openssl as well: `sha256 Fingerprint=AA:BB:…`.
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let text = text.trim();
        let text = match text.split_once('=') {
            Some((what, rest)) if what.eq_ignore_ascii_case("sha256 fingerprint") => rest,
            Some(_) => return Err(BadFingerprint),
            None => text,
        };
        let is_paired = text.len() == 64 || (text.len() == 95 && text.split(':').all(|pair| pair.len() == 2));
        let plain = text.split(':').collect::<String>().to_ascii_lowercase();
        let is_one = is_paired && hex::decode(&plain).is_some_and(|bytes| bytes.len() == 32);
        if is_one { Ok(Self(plain)) } else { Err(BadFingerprint) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The certificates in files, none twice.
pub(super) type Certificates = BTreeMap<Fingerprint, Certificate>;

/// Those in `files`.
pub(super) async fn read(input: &mut Input, files: &[File]) -> Result<Certificates, TrustCommandError> {
    let mut all = Certificates::new();
    if files.iter().filter(|file| **file == File::StandardInput).count() > 1 {
        return Err(TrustCommandError::Usage("standard input can be read once"));
    }
    for file in files {
        let text = input.read_up_to(file, FILE_BYTES_MAX as u64).await?;
        all.extend(find(&text, &file.to_string())?);
    }
    Ok(all)
}

/// Whether there are certificates in `text` and nothing else, but for blank lines and those that begin with `#`.
pub(super) fn are_all(text: &[u8]) -> bool {
    let mut is_inside = false;
    let between = text.split(|byte| *byte == b'\n').filter(|line| {
        let line = line.trim_ascii();
        let was_inside = is_inside;
        is_inside = line.starts_with(b"-----BEGIN ") || (is_inside && !line.starts_with(b"-----END "));
        !was_inside && !is_inside && !line.is_empty() && !line.starts_with(b"#")
    });
    between.count() == 0 && (text.trim_ascii().is_empty() || find(text, "").is_ok())
}

/// Them as PEM, and nothing else: whatever stands between them in a file stays here.
pub(super) fn as_pem(certificates: &Certificates) -> String {
    certificates.values().map(Certificate::to_pem).collect()
}

/// Those in `text`, which `what` has.
fn find(text: &[u8], what: &str) -> Result<Certificates, BadCertificates> {
    let what = what.to_owned();
    // Looked for before anything is taken apart, so that half a key is found as well.
    if has_private_key(text) {
        return Err(BadCertificates::PrivateKey(what));
    }
    let blocks = match pem::read(text, FILE_BYTES_MAX) {
        Ok(blocks) => blocks,
        Err(source) => return Err(BadCertificates::Pem { what, source }),
    };
    let mut found = Certificates::new();
    for (number, block) in (1..).zip(blocks) {
        if !["CERTIFICATE", "X509 CERTIFICATE"].contains(&block.label.as_str()) {
            return Err(BadCertificates::Other { what, label: crate::table::one_line(&block.label) });
        }
        match Certificate::from_anchor_der(&block.der) {
            Ok(certificate) => drop(found.insert(Fingerprint::of(&certificate), certificate)),
            Err(source) => return Err(BadCertificates::Certificate { what, number, source }),
        }
    }
    if found.is_empty() { Err(BadCertificates::None(what)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use x509::{CertificateTemplate, KeySpec, Name, PrivateKey, Serial, extension};

    use super::*;

    fn certificate(name: &str) -> (Certificate, PrivateKey) {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let template = CertificateTemplate {
            serial: Serial::from_decimal("1").unwrap(),
            issuer: Name::from_common_name(name).unwrap(),
            subject: Name::from_common_name(name).unwrap(),
            not_before: base::Timestamp::from_unix(1_800_000_000),
            not_after: base::Timestamp::from_unix(1_900_000_000),
            public_key: key.public().clone(),
            extensions: vec![extension::basic_constraints(true, None)],
        };
        (template.sign(&key), key)
    }

    #[test]
    fn what_is_more_than_certificates_is_told_from_them() {
        let (certificate, key) = certificate("a");
        let pem = certificate.to_pem();
        for (text, expected) in [
            (String::new(), true),
            (" \r\n".into(), true),
            (format!("# ours\r\n{}\n{pem}\n", pem.replace('\n', "\r\n")), true),
            ("# only words\n".into(), false),
            ("mine".into(), false),
            (format!("mine\n{pem}"), false),
            (format!("{pem}mine"), false),
            (format!("{pem}{}", key.to_pem().expose()), false),
            (pem.replace("END", "end"), false),
            (pem.replace("MI", "MM"), false),
        ] {
            assert_eq!(are_all(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn certificates_alone_are_taken() {
        let ((a, key), (b, _)) = (certificate("a"), certificate("b"));
        let (pem_a, pem_b) = (a.to_pem(), b.to_pem());
        let found =
            find(format!("# a\n{pem_a}{}\n{pem_b}", pem_a.replace('\n', "\r\n")).as_bytes(), "f").unwrap();
        let mut expected = [Fingerprint::of(&a), Fingerprint::of(&b)];
        expected.sort();
        assert!(found.keys().eq(expected.iter()));
        let said = as_pem(&found);
        assert!(said.contains(&pem_a) && said.contains(&pem_b) && said.len() == pem_a.len() + pem_b.len());

        let key = key.to_pem();
        let key = key.expose().as_str();
        for text in [
            format!("{pem_a}{key}"),
            format!("{key}{pem_a}"),
            format!("{pem_a}{}", &key[..40]),
            format!("{pem_a}-----begin rsa private key-----\r"),
            format!("{pem_a}AAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
            format!("{pem_a}PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\n"),
        ] {
            let refused = find(text.as_bytes(), "f").unwrap_err();
            assert_eq!(refused.to_string(), "there is a private key in f; nothing of it was sent", "{text}");
        }
        for (text, expected) in [
            (pem_a.replace("CERTIFICATE", "CERTIFICATE REQUEST"), "there is a `CERTIFICATE REQUEST` in f"),
            (pem::write("CERTIFICATE", b"0\x03\x02\x01\x00"), "certificate 1 in f cannot be read"),
            ("hello".into(), "there is no certificate in f"),
            (pem_a[..pem_a.len() - 30].into(), "f cannot be read"),
        ] {
            assert_eq!(find(text.as_bytes(), "f").unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn fingerprints_are_read_as_openssl_prints_them() {
        let plain = hex::encode(&[0xab; 32]);
        let colons = ["AB"; 32].join(":");
        for text in [
            plain.clone(),
            plain.to_uppercase(),
            colons.clone(),
            format!("sha256 Fingerprint={colons}\n"),
            format!("SHA256 Fingerprint={colons}"),
        ] {
            assert_eq!(text.parse(), Ok(Fingerprint(plain.clone())), "{text}");
        }
        for text in [
            "".to_owned(),
            "ab".to_owned(),
            format!("{plain}0"),
            format!("sha1 Fingerprint={colons}"),
            colons[..94].to_owned(),
            colons.replacen(':', "", 1),
            ["zz"; 32].join(":"),
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
        }
    }
}
