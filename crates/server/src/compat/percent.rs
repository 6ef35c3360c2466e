//! Percent-decoding of paths, as both dialects do it before anything else looks at them.

use std::borrow::Cow;

/// `%41` to `A`; what is no escape stays as it is; each part that is not UTF-8 becomes U+FFFD, which nothing is called.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(String::from_utf8_lossy(&bytes(text)).into_owned())
}

/// The same, and nothing for what is not UTF-8: where things are called as whoever puts them there likes, two paths would
/// be one otherwise.
pub(super) fn decode_strictly(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    String::from_utf8(bytes(text)).ok().map(Cow::Owned)
}

fn bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(base::hex::decode).as_deref() {
            Some([escaped]) => {
                decoded.push(*escaped);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_that_are_no_escape_stay() {
        for (text, expected) in [
            ("%41", "A"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%", "%"),
            ("a%20b", "a b"),
            ("%é", "%é"),
            ("a", "a"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decode(text), expected);
            let strictly = decode_strictly(text);
            assert_eq!(strictly.as_deref(), (text != "%ff").then_some(expected));
        }
    }
}
