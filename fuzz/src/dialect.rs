//! What caucase's clients and web pages send.

use ca::Statement;
use server::fuzzing::{self, Envelope};
use x509::Digest;

use crate::resign::KEY;

/// The longest text that is put on a page here; to escape more takes long and shows nothing new.
const TEXT_BYTES_MAX: usize = 512;

/// Envelopes, and the payloads in them.
pub(crate) fn envelope(data: &[u8]) {
    match fuzzing::envelope(data) {
        Some(Envelope::Signed(statement)) => {
            assert_is_payload(&statement.text, data);
            let _ = statement.verify(KEY.public());
            open_sealed(&statement);
            read_payload(&statement.text);
        }
        Some(Envelope::Unsigned(text)) => {
            assert_is_payload(&text, data);
            read_payload(&text);
        }
        None => {}
    }
    if let Ok(text) = std::str::from_utf8(data) {
        read_payload(text);
        let digest = Digest::Sha512;
        let signature = KEY
            .sign_statement(digest, &ca::signed_text(text, digest))
            .expect("Ed25519 signs with any digest");
        let statement = open_sealed(&Statement { text: text.to_owned(), digest, signature });
        assert!(statement.verify(KEY.public()).is_ok(), "what was signed and sealed verifies");
    }
}

/// The text is kept verbatim. What else is in the envelope may be such that it cannot be read here.
fn assert_is_payload(text: &str, envelope: &[u8]) {
    if let Ok(envelope) = serde_json::from_slice::<serde_json::Value>(envelope) {
        assert_eq!(envelope["payload"].as_str(), Some(text));
    }
}

/// What is sealed is opened again as it was.
fn open_sealed(statement: &Statement) -> Statement {
    match fuzzing::envelope(fuzzing::seal(statement).as_bytes()) {
        Some(Envelope::Signed(again)) => {
            assert_eq!((&again.text, again.digest), (&statement.text, statement.digest));
            assert_eq!(again.signature, statement.signature);
            again
        }
        other => panic!("a statement was sealed, not {other:?}"),
    }
}

fn read_payload(text: &str) {
    if let Some((certificate, request, csr)) = fuzzing::renewal(text) {
        let payload: serde_json::Value = serde_json::from_str(text).expect("it was read as JSON");
        assert_eq!(payload["renew_csr_pem"].as_str(), Some(csr.as_str()), "the text is kept verbatim");
        assert!(
            x509::SigningRequest::from_pem(csr.as_bytes()).is_ok_and(|again| again.der() == request.der())
        );
        assert!(!certificate.der().is_empty());
    }
    let _ = fuzzing::revocation(text);
}

/// Paths, queries, forms and cookies.
pub(crate) fn web(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    fuzzing::route(&text);
    for (name, value) in fuzzing::fields(&text).into_iter().take(16) {
        let again = fuzzing::fields(&format!("{}={}", escape(&name), escape(&value)));
        assert_eq!(again, [(name, value)], "a field that is written is read again");
    }
    if let Some(cookie) = fuzzing::cookie(&text) {
        let sent = cookie.split(';').next().expect("there is always a first part").to_owned();
        assert_eq!(fuzzing::cookie(&sent), Some(cookie), "a cookie that is set is sent back");
    }
    if text.len() <= TEXT_BYTES_MAX {
        assert_is_no_markup(&text);
    }
}

/// Nothing that was sent becomes markup of the page that shows it.
fn assert_is_no_markup(text: &str) {
    let (page, empty) = (fuzzing::form(text, text), fuzzing::form("", ""));
    for sign in ['<', '>', '"', '\''] {
        let count = |page: &str| page.matches(sign).count();
        assert_eq!(count(&page), count(&empty));
    }
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
