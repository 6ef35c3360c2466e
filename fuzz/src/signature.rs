//! Signatures of entries, and who is believed: a signature on the first line, and then certificates; or a private key.

use entry::{SigningKey, TrustList};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (signature, certificates) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(trust) = TrustList::parse(certificates) {
        assert!(!certificates.contains("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(trust.is_empty(), trust.trusted().is_empty());
        assert!(trust.skipped().is_sorted_by_key(|(number, _)| *number));
        let by = trust.verified_text_by("message", signature);
        assert!(by.is_none_or(|index| index < trust.trusted().len()));
        assert_eq!(trust.verified_text_by("message", ""), None);
    }
    if let Ok(key) = SigningKey::from_pem(certificates) {
        let signature = key.sign("message");
        assert!(signature.is_ascii() && !signature.is_empty());
    }
}
