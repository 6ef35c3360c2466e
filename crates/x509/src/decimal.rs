//! Numbers of 160 bits as decimal text.

use std::fmt::Write as _;

/// How many bytes such a number has.
pub(crate) const BYTES: usize = 20;

/// What is split off at a time: nine digits, as many as fit 32 bits.
const NINE_DIGITS: u64 = 1_000_000_000;

/// `number`, big-endian, in decimal without leading zeros.
pub(crate) fn to_text(number: &[u8; BYTES]) -> String {
    let (parts, _) = number.as_chunks::<4>();
    let mut rest: Vec<u32> = parts.iter().map(|part| u32::from_be_bytes(*part)).collect();
    // The last nine digits first.
    let mut nines = Vec::with_capacity(6);
    while rest.iter().any(|part| *part != 0) {
        let mut remainder = 0;
        for part in &mut rest {
            let value = remainder << 32 | u64::from(*part);
            // The quotient fits 32 bits: the remainder is below what is divided by.
            (*part, remainder) = ((value / NINE_DIGITS) as u32, value % NINE_DIGITS);
        }
        nines.push(remainder);
    }
    let mut text = nines.pop().unwrap_or(0).to_string();
    for nine in nines.iter().rev() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{nine:09}");
    }
    text
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
        let mut billion = [0; BYTES];
        billion[16..].copy_from_slice(&1_000_000_000_u32.to_be_bytes());
        let table = [
            ("0", [0; BYTES]),
            ("1", one),
            ("18446744073709551616", big),
            ("1000000000", billion),
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
