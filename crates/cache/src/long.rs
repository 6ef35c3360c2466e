//! Entries as bytes: the text, a NUL, and the signature. A text is JSON, and so without a NUL; a signature is base64.

use entry::Entry;

/// These bytes.
pub(crate) fn to_bytes(entry: &Entry) -> Vec<u8> {
    [entry.text().as_bytes(), b"\0", entry.signature().as_bytes()].concat()
}

/// The text and the signature.
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<(String, String)> {
    let mut text = String::from_utf8(bytes).ok()?;
    let (end, _) = text.char_indices().rfind(|(_, character)| *character == '\0')?;
    let signature = text.split_off(end + 1);
    text.truncate(end);
    Some((text, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = format!("{{\"sha512\": \"{}\", \"n\": \"\\u0000é\"}}", base::Sha512::of(b""));
        for signature in ["", "YQ=="] {
            let entry = Entry::new(text.clone(), signature.to_owned()).unwrap();
            assert_eq!(from_bytes(to_bytes(&entry)), Some((text.clone(), signature.to_owned())));
        }
        assert_eq!(from_bytes(b"{}".to_vec()), None);
        assert_eq!(from_bytes(b"\xff\0".to_vec()), None);
    }
}
