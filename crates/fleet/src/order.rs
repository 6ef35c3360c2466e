//! How people order names: digits as the numbers they are, so that `10.0.0.9` comes before `10.0.0.10`.

use std::cmp::Ordering;

/// Compares two names; only equal ones are equal.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(l), Some(r)) = (left.chars().next(), right.chars().next()) {
        let order = if l.is_ascii_digit() && r.is_ascii_digit() {
            let (number, rest) = number(left);
            let (other, other_rest) = self::number(right);
            (left, right) = (rest, other_rest);
            // Without leading zeros, the longer of two numbers is the larger.
            number.len().cmp(&other.len()).then_with(|| number.cmp(other))
        } else {
            (left, right) = (&left[l.len_utf8()..], &right[r.len_utf8()..]);
            l.cmp(&r)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    // Those that differ in leading zeros only, and those that begin with the other, are told apart here.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The number that `text` begins with, without leading zeros, and what follows it.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_do() {
        let sorted = [
            "",
            "-",
            "0",
            "00",
            "01",
            "1",
            "2",
            "10",
            "10.0.0.9",
            "10.0.0.10",
            "10.0.0.10a",
            "A",
            "a",
            "a1b",
            "a1c",
            "a2",
            "a10",
            "ab",
            "é",
            "éa",
        ];
        for (place, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(natural(a, b), place.cmp(&other), "{a:?} and {b:?}");
            }
        }
    }
}
