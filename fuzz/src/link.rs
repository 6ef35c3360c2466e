//! Links and anchors of a history: what is read is written the same way again, and nothing else is read.

use chain::{Anchor, Head, Link, Signed, Walk};
use x509::{KeySpec, PrivateKey};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(link) = Link::parse(text) {
        assert_eq!(link.text(), text);
    }
    if let Ok(anchor) = Anchor::parse(text) {
        assert_eq!(anchor.text(), text);
    }
    if let Ok(head) = text.parse::<Head>() {
        assert_eq!(head.to_string().parse(), Ok(head));
    }
    // The first line for a signature: nothing that somebody else signed is believed.
    let (signature, text) = text.split_once('\n').unwrap_or(("", text));
    let signed = Signed { text: text.to_owned(), signature: signature.to_owned() };
    let key = KEY.with(|key| key.public().clone());
    assert!(!signed.is_by(&key));
    let mut walk = Walk::begin(key, None, None).expect("nothing is to be believed yet");
    assert!(walk.link(&signed).is_err());
}

thread_local! {
    static KEY: PrivateKey = PrivateKey::generate(KeySpec::Ed25519).expect("a key");
}
