//! Bech32 (BIP 173) without its limit on length, as age writes its keys.

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// `bytes` behind `prefix`, which is lower-case.
pub(super) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut values = Vec::with_capacity(bytes.len() * 8 / 5 + 7);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            values.push((held >> bits & 31) as u8);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        values.push((held << (5 - bits) & 31) as u8);
    }
    let sum = sum(prefix, values.iter().copied().chain([0; 6])) ^ 1;
    values.extend((0..6).rev().map(|place| (sum >> (5 * place) & 31) as u8));
    let letters = values.iter().map(|value| char::from(ALPHABET[usize::from(*value)]));
    format!("{prefix}1{}", letters.collect::<String>())
}

/// What `text` holds, if it is one with this prefix; in small letters or in capitals.
pub(super) fn decode(prefix: &str, text: &str) -> Option<Vec<u8>> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase())
        && text.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let letters = text.strip_prefix(prefix)?.strip_prefix('1')?;
    let value = |letter| ALPHABET.iter().position(|known| *known == letter).map(|place| place as u8);
    let values: Vec<u8> = letters.bytes().map(value).collect::<Option<_>>()?;
    if values.len() < 6 || sum(prefix, values.iter().copied()) != 1 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for value in &values[..values.len() - 6] {
        held = held << 5 | u32::from(*value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (bits < 5 && held == 0).then_some(bytes)
}

/// The polynomial over the prefix and the values.
fn sum(prefix: &str, values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    high.chain([0]).chain(low).chain(values).fold(1, |sum: u32, value| {
        let shifted = (sum & 0x01ff_ffff) << 5 ^ u32::from(value);
        (0..5).filter(|bit| sum >> (25 + bit) & 1 == 1).fold(shifted, |sum, bit| sum ^ GENERATOR[bit])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 5, 20, 31, 32, 33] {
            let bytes: Vec<u8> = (0..length).map(|number: u8| number.wrapping_mul(37) + 1).collect();
            let text = encode("age", &bytes);
            assert_eq!(decode("age", &text), Some(bytes.clone()), "{text}");
            assert_eq!(decode("age", &text.to_uppercase()), Some(bytes));
            for at in 4..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'q' { b'p' } else { b'q' };
                assert_eq!(decode("age", &String::from_utf8(other).unwrap()), None);
            }
        }
    }

    /// Examples of BIP 173.
    #[test]
    fn it_is_the_one_of_bitcoin() {
        assert_eq!(decode("a", "A12UEL5L"), Some(vec![]));
        assert_eq!(encode("a", &[]), "a12uel5l");
        assert!(decode("split", "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w").is_some());
        assert_eq!(decode("split", "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3x"), None);
        assert_eq!(decode("a", "A12uEL5L"), None, "mixed");
    }
}
