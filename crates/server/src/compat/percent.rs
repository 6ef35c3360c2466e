//! Percent-decoding of paths, as both dialects do it before anything else looks at them.

use std::borrow::Cow;

/// `%41` to `A`; what is no escape stays as it is; what is not UTF-8 becomes U+FFFD and so matches nothing.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
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
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
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
        }
    }
}
