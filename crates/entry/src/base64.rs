//! Base64 as Python's `base64.b64decode` reads it, which is how old readers decode a signature.

/// Why a text is not base64, even leniently; Python raises in these cases, and an old reader dies of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotBase64;

/// The bytes that `text` says, whatever stands between its characters.
///
/// A character outside the alphabet (RFC 4648 §4) is passed over; the first proper padding ends it, and `=` elsewhere
/// is passed over too. What is left without its padding, and any character outside ASCII, is an error.
pub(crate) fn decode_leniently(text: &str) -> Result<Vec<u8>, NotBase64> {
    if !text.is_ascii() {
        return Err(NotBase64);
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    // The bits of up to three characters that wait for the fourth, how many those are, and the `=` behind them.
    let (mut bits, mut waiting, mut padding) = (0_u32, 0, 0);
    for byte in text.bytes() {
        if byte == b'=' {
            if waiting >= 2 {
                padding += 1;
                if waiting + padding == 4 {
                    return Ok(bytes);
                }
            }
            continue;
        }
        let Some(six) = six_bits(byte) else { continue };
        padding = 0;
        bits = bits << 6 | six;
        waiting += 1;
        // The second character completes a byte, the third and the fourth one each.
        match waiting {
            2 => bytes.push((bits >> 4) as u8),
            3 => bytes.push((bits >> 2) as u8),
            4 => {
                bytes.push(bits as u8);
                (bits, waiting) = (0, 0);
            }
            _ => {}
        }
    }
    if waiting == 0 { Ok(bytes) } else { Err(NotBase64) }
}

/// Whether `text` is base64 as everybody reads it (RFC 4648 §4), with its padding; line breaks may stand in it.
pub(crate) fn is_proper(text: &str) -> bool {
    let (mut characters, mut padding) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' => padding += 1,
            _ if six_bits(byte).is_some() && padding == 0 => characters += 1,
            _ => return false,
        }
    }
    (characters + padding).is_multiple_of(4) && padding <= 2
}

fn six_bits(byte: u8) -> Option<u32> {
    let six = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(six.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with what `base64.b64decode` of Python 3.11 said to it.
    pub(crate) const PYTHON: &[(&str, Option<&[u8]>)] = &[
        ("", Some(b"")),
        ("aGVsbG8=", Some(b"hello")),
        ("aGVs\nbG8=\n", Some(b"hello")),
        ("aGVs bG8 =", Some(b"hello")),
        ("a*G-V_s.bG8=", Some(b"hello")),
        ("aGVsbG8", None),
        ("aGVsbG8=x", Some(b"hello")),
        ("aGVsbG8==", Some(b"hello")),
        ("aGVsbG8=aGVs", Some(b"hello")),
        ("aA==", Some(b"h")),
        ("aA=", None),
        ("aA=A", None),
        ("aA=A=", Some(b"h\x00")),
        ("aB==", Some(b"h")),
        ("a", None),
        ("a===", None),
        ("=", Some(b"")),
        ("====", Some(b"")),
        ("=aA==", Some(b"h")),
        ("aGVsbG8é=", None),
        ("!!!!", Some(b"")),
    ];

    #[test]
    fn decodes_as_python_does() {
        for (text, expected) in PYTHON {
            assert_eq!(decode_leniently(text).ok().as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn what_is_proper_is_what_everybody_reads() {
        for (text, expected) in [
            ("", true),
            ("aGVsbG8=", true),
            ("aGVs\r\nbG8=\n", true),
            ("aA==", true),
            ("aGVs", true),
            ("aGVs bG8=", false),
            ("aGVsbG8", false),
            ("aA=", false),
            ("aA=A", false),
            ("a===", false),
            ("====", false),
            ("aG_-", false),
            ("é", false),
        ] {
            assert_eq!(is_proper(text), expected, "{text}");
            assert!(!expected || decode_leniently(text).is_ok(), "{text}");
        }
    }
}
