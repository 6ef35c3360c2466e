//! Certificates.

use x509::{Certificate, CertificateTemplate};

use crate::request::{look_at_extensions, look_at_key, look_at_name};
use crate::resign::KEY;

const LABEL: &str = "CERTIFICATE";

pub(crate) fn run(data: &[u8]) {
    if let Ok(certificate) = Certificate::from_pem(data) {
        look(&certificate);
        assert_eq!(Certificate::all_from_pem(data), Ok(vec![certificate]));
    }
    let certificate = Certificate::from_der(data);
    if data.len() < 64 * 1024 {
        let from_pem = Certificate::from_pem(x509::pem::write(LABEL, data).as_bytes());
        assert_eq!(from_pem.ok().as_ref(), certificate.as_ref().ok());
    }
    // What clients show may be of version 1 as well, and is nobody's authority then.
    match (Certificate::from_holder_der(data), &certificate) {
        (holder, Ok(certificate)) => assert_eq!(holder.as_ref(), Ok(certificate)),
        (Ok(holder), Err(_)) => assert!(holder.extensions().is_empty() && !holder.is_ca()),
        (Err(_), Err(_)) => {}
    }
    if let Ok(certificate) = certificate {
        assert_eq!(certificate.der(), data);
        look(&certificate);
    }
}

fn look(certificate: &Certificate) {
    let again = Certificate::from_pem(certificate.to_pem().as_bytes()).expect("what is written is read");
    assert_eq!(again.der(), certificate.der());
    look_at_name(certificate.subject());
    look_at_name(certificate.issuer());
    look_at_key(certificate.public_key());
    look_at_extensions(certificate.extensions());
    let serial = certificate.serial();
    assert_eq!(x509::Serial::from_hex(&serial.hex()), Some(serial));
    assert_eq!(x509::Serial::from_decimal(&serial.to_string()), Some(serial));
    let _ = (certificate.subject_key_id(), certificate.authority_key_id(), certificate.fingerprint());
    for now in [certificate.not_before(), certificate.not_after()] {
        // A certificate is its own anchor only when it is a CA that signed itself.
        let verified = x509::verify(certificate, std::slice::from_ref(certificate), now);
        if verified.is_ok() {
            assert!(certificate.is_ca() && certificate.subject() == certificate.issuer());
            assert_eq!(certificate.verify_signature(certificate.public_key()), Ok(()));
        }
    }
    copy(certificate);
}

/// Everything in it goes into another one, and comes out of that as it was.
fn copy(certificate: &Certificate) {
    let template = CertificateTemplate {
        serial: certificate.serial(),
        issuer: certificate.issuer().clone(),
        subject: certificate.subject().clone(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        public_key: certificate.public_key().clone(),
        extensions: certificate.extensions().to_vec(),
    };
    let again = Certificate::from_der(template.sign(&KEY).der()).expect("what we sign is read");
    assert_eq!(again.verify_signature(KEY.public()), Ok(()));
    assert_eq!(again.serial(), certificate.serial());
    assert_eq!((again.issuer(), again.subject()), (certificate.issuer(), certificate.subject()));
    let dates = |of: &Certificate| (of.not_before(), of.not_after());
    assert_eq!(dates(&again), dates(certificate));
    assert_eq!(again.public_key(), certificate.public_key());
    assert_eq!(again.extensions(), certificate.extensions());
}
