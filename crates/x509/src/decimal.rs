//! Numbers of 160 bits as decimal text.

/// How many bytes such a number has.
pub(crate) const BYTES: usize = 20;

/// `number`, big-endian, in decimal without leading zeros.
pub(crate) fn to_text(number: &[u8; BYTES]) -> String {
    let mut rest = *number;
    let mut digits = Vec::with_capacity(49);
    while rest.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_u16;
        for byte in &mut rest {
            let value = remainder << 8 | u16::from(*byte);
            // Both fit a byte: `value` is below 10 × 256.
            (*byte, remainder) = ((value / 10) as u8, value % 10);
        }
        digits.push(b'0' + remainder as u8);
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

/// The number that `text` spells, big-endian; `None` when it is empty, holds anything but digits,
/// begins with a zero that is not all of it, or needs more than 160 bits.
pub(crate) fn from_text(text: &str) -> Option<[u8; BYTES]> {
    let has_extra_zero = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || has_extra_zero || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut number = [0; BYTES];
    for digit in text.bytes() {
        let mut carry = u16::from(digit - b'0');
        for byte in number.iter_mut().rev() {
            let value = u16::from(*byte) * 10 + carry;
            (*byte, carry) = ((value & 0xff) as u8, value >> 8);
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut one = [0; BYTES];
        one[19] = 1;
        let mut big = [0; BYTES];
        big[11] = 1;
        let table = [
            ("0", [0; BYTES]),
            ("1", one),
            ("18446744073709551616", big),
            ("1461501637330902918203684832716283019655932542975", [0xff; BYTES]),
        ];
        for (text, number) in table {
            assert_eq!(to_text(&number), text);
            assert_eq!(from_text(text), Some(number));
        }
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in [
            "",
            "01",
            "00",
            "+1",
            "-1",
            " 1",
            "1_0",
            "0x1",
            "١",
            "1461501637330902918203684832716283019655932542976",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(from_text(&"9".repeat(10_000)), None);
    }
}
