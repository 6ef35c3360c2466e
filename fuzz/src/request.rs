//! Signing requests.

use x509::{Extension, KeyUsage, Name, PublicKey, SigningRequest, extension, general_name};

use crate::resign::{KEY, resign};

const LABEL: &str = "CERTIFICATE REQUEST";

pub(crate) fn run(data: &[u8]) {
    if let Ok(request) = SigningRequest::from_pem(data) {
        look(&request);
    }
    let request = SigningRequest::from_der(data);
    if data.len() < 64 * 1024 {
        let from_pem = SigningRequest::from_pem(x509::pem::write(LABEL, data).as_bytes());
        match (&request, from_pem) {
            (Ok(request), Ok(from_pem)) => assert_eq!(request.der(), from_pem.der()),
            (Err(_), Err(_)) => {}
            (_, from_pem) => panic!("DER and PEM are read differently: {:?}", from_pem.err()),
        }
    }
    match request {
        Ok(request) => {
            assert_eq!(request.der(), data);
            look(&request);
        }
        // Most changes break the signature, and nothing else.
        Err(_) => {
            if let Some(Ok(request)) = resign(data).map(|again| SigningRequest::from_der(&again)) {
                look(&request);
            }
        }
    }
}

fn look(request: &SigningRequest) {
    let again = SigningRequest::from_pem(request.to_pem().as_bytes()).expect("what is written is read");
    assert_eq!(again.der(), request.der());
    look_at_name(request.subject());
    look_at_key(request.public_key());
    look_at_extensions(request.extensions());
    let ours = SigningRequest::build(&KEY, request.subject(), request.extensions());
    let again = SigningRequest::from_der(ours.der()).expect("what we make is read");
    assert_eq!((again.subject(), again.public_key()), (request.subject(), KEY.public()));
    assert_eq!(again.extensions(), request.extensions());
}

pub(crate) fn look_at_name(name: &Name) {
    assert_eq!(Name::from_der(name.der()).as_ref(), Ok(name));
    assert_eq!(name.is_empty(), name.to_string().is_empty());
    assert!(!name.to_string().contains(['\n', '\0']), "a name stays on its line");
    let _ = name.check();
    if let Some(common_name) = name.common_name() {
        // Only the empty one and the too long ones cannot be written.
        let again = Name::from_common_name(&common_name);
        assert!(
            again.is_ok_and(|again| again.common_name() == Some(common_name.clone()))
                || common_name.is_empty()
                || common_name.chars().count() > 64
        );
    }
}

pub(crate) fn look_at_key(key: &PublicKey) {
    let again = PublicKey::from_spki_der(key.spki()).expect("what was read is read again");
    assert_eq!((again.key_id(), again.kind()), (key.key_id(), key.kind()));
    assert!(!key.kind().to_string().is_empty());
    // Whatever it is, our signature is not its signature.
    let is_ours = key == KEY.public();
    assert_eq!(key.verify(KEY.signature_algorithm(), b"text", &KEY.sign(b"text")).is_ok(), is_ours);
    let statement = KEY.sign_statement(x509::Digest::Sha256, b"text").expect("Ed25519 signs with any digest");
    assert_eq!(key.verify_statement(x509::Digest::Sha256, b"text", &statement).is_ok(), is_ours);
}

pub(crate) fn look_at_extensions(extensions: &[Extension]) {
    for extension in extensions {
        let value = &extension.value;
        assert!(!extension.oid.to_string().is_empty());
        if let Ok(uses) = KeyUsage::from_der(value) {
            assert_eq!(KeyUsage::from_der(&uses.to_der()), Ok(uses));
            let _ = format!("{uses:?}");
        }
        if let Ok(purposes) = extension::parse_extended_key_usage(value) {
            let again = extension::extended_key_usage(&purposes, extension.critical);
            assert_eq!(extension::parse_extended_key_usage(&again.value).as_ref(), Ok(&purposes));
        }
        if let Ok(policies) = extension::parse_certificate_policies(value) {
            let again = extension::certificate_policies(&policies, extension.critical);
            assert_eq!(again.value, *value, "policies come through unharmed");
        }
        let _ = extension::BasicConstraints::parse(value);
        let _ = general_name::parse_all(value);
        let _ = extension::parse_subject_key_id(value);
        let _ = extension::parse_authority_key_id(value);
    }
}
