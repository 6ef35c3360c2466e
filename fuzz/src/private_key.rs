//! Private keys. Whatever is accepted can sign: the program would panic otherwise, in the middle of its work.

use x509::PrivateKey;

pub(crate) fn run(data: &[u8]) {
    if let Ok(key) = PrivateKey::from_pkcs8_der(data) {
        look(&key);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = PrivateKey::from_pem(text)
    {
        look(&key);
    }
    // Those under a passphrase that are made with one round.
    for block in x509::pem::read(data, x509::pem::ONE_BYTES_MAX).unwrap_or_default() {
        if block.has_headers
            && let Ok(key) = PrivateKey::from_block(&block, Some(b"secret"))
        {
            look(&key);
        }
    }
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"] {
        if let Ok(key) = PrivateKey::from_pem(&x509::pem::write(label, data)) {
            look(&key);
        }
    }
}

fn look(key: &PrivateKey) {
    for again in
        [PrivateKey::from_pem(key.to_pem().expose()), PrivateKey::from_pkcs8_der(key.to_pkcs8_der().expose())]
    {
        assert_eq!(again.expect("what is written is read").public(), key.public());
    }
    let signature = key.sign(b"text");
    assert_eq!(key.public().verify(key.signature_algorithm(), b"text", &signature), Ok(()));
    for digest in [x509::Digest::Sha256, x509::Digest::Sha384, x509::Digest::Sha512] {
        if let Ok(signature) = key.sign_statement(digest, b"text") {
            assert_eq!(key.public().verify_statement(digest, b"text", &signature), Ok(()));
        }
    }
    assert!(format!("{key:?}").starts_with("PrivateKey(.., "), "the secret half is not shown");
}
