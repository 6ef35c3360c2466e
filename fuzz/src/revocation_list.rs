//! Revocation lists.

use x509::{Crl, CrlTemplate};

use crate::request::look_at_name;
use crate::resign::KEY;

const LABEL: &str = "X509 CRL";

pub(crate) fn run(data: &[u8]) {
    if let Ok(list) = Crl::from_pem(data) {
        look(&list);
        assert_eq!(Crl::all_from_pem(data), Ok(vec![list]));
    }
    let list = Crl::from_der(data);
    let from_pem = Crl::from_pem(x509::pem::write(LABEL, data).as_bytes());
    assert_eq!(from_pem.ok().as_ref(), list.as_ref().ok());
    if let Ok(list) = list {
        assert_eq!(list.der(), data);
        look(&list);
    }
}

fn look(list: &Crl) {
    let again = Crl::from_pem(list.to_pem().as_bytes()).expect("what is written is read");
    assert_eq!(again.der(), list.der());
    look_at_name(list.issuer());
    assert!(list.entries().iter().all(|entry| list.contains(&entry.serial)));
    let _ = (list.authority_key_id(), list.verify_signature(KEY.public()));
    let template = CrlTemplate {
        issuer: list.issuer(),
        authority_key_id: KEY.public().key_id(),
        number: list.number(),
        this_update: list.this_update(),
        next_update: list.next_update(),
        revoked: list.entries(),
    };
    let again = Crl::from_der(template.sign(&KEY).der()).expect("what we sign is read");
    assert_eq!(again.verify_signature(KEY.public()), Ok(()));
    assert_eq!((again.number(), again.entries()), (list.number(), list.entries()));
    assert_eq!((again.this_update(), again.next_update()), (list.this_update(), list.next_update()));
}
