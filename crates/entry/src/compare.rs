//! How Python compares what JSON can say: what filters and sorted lists of old clients rest on (networkcache contract,
//! 8.2).
//!
//! ```text
//! numbers, and true and false as 1 and 0   by exact value, however large
//! texts                                    by code points
//! arrays                                   the first differing pair decides, else the length
//! objects                                  equal or not, without an order; null likewise
//! different kinds                          unequal, without an order
//! ```
//! `NaN` equals nothing and stands in no order to any number. Within arrays and objects it equals itself, for Python
//! looks there whether two are the same thing before it compares them, and its `json` has one `NaN` only.

use std::cmp::Ordering;

use crate::value::{Int, Object, Value};

/// The two have no order: Python raises a `TypeError`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unordered;

/// `left == right`.
#[must_use]
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => objects_equal(left, right),
        _ => numbers(left, right) == Some(Some(Ordering::Equal)),
    }
}

/// How `left` stands to `right` in `<`, `<=`, `>` and `>=`: `None` when all four are false, as with `NaN`.
///
/// # Errors
/// When Python raises a `TypeError`.
pub fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, Unordered> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(Some(left.cmp(right))),
        (Value::List(left), Value::List(right)) => {
            match left.iter().zip(right).find(|(left, right)| !same(left, right)) {
                Some((left, right)) => order(left, right),
                None => Ok(Some(left.len().cmp(&right.len()))),
            }
        }
        _ => numbers(left, right).ok_or(Unordered),
    }
}

/// Whether two are the same thing, or equal.
fn same(left: &Value, right: &Value) -> bool {
    let is_nan = |value: &Value| matches!(value, Value::Float(number) if number.is_nan());
    (is_nan(left) && is_nan(right)) || equal(left, right)
}

fn objects_equal(left: &Object, right: &Object) -> bool {
    left.len() == right.len()
        && left
            .iter_by_name()
            .zip(right.iter_by_name())
            .all(|((left_name, left), (right_name, right))| left_name == right_name && same(left, right))
}

/// How two numbers stand to each other, if both are: `Some(None)` when one of them is none, so to speak.
fn numbers(left: &Value, right: &Value) -> Option<Option<Ordering>> {
    enum Number<'a> {
        Digits(&'a str),
        Float(f64),
    }
    fn number(value: &Value) -> Option<Number<'_>> {
        match value {
            Value::Bool(false) => Some(Number::Digits("0")),
            Value::Bool(true) => Some(Number::Digits("1")),
            Value::Int(number) => Some(Number::Digits(number.digits())),
            Value::Float(number) => Some(Number::Float(*number)),
            Value::Null | Value::Text(_) | Value::List(_) | Value::Object(_) => None,
        }
    }
    Some(match (number(left)?, number(right)?) {
        (Number::Digits(left), Number::Digits(right)) => Some(integers(left, right)),
        (Number::Float(left), Number::Float(right)) => left.partial_cmp(&right),
        (Number::Digits(left), Number::Float(right)) => integer_and_float(left, right),
        (Number::Float(left), Number::Digits(right)) => integer_and_float(right, left).map(Ordering::reverse),
    })
}

/// Two integers, as [`Int`] spells them.
fn integers(left: &str, right: &str) -> Ordering {
    let magnitudes = |left: &str, right: &str| left.len().cmp(&right.len()).then_with(|| left.cmp(right));
    match (left.strip_prefix('-'), right.strip_prefix('-')) {
        (None, None) => magnitudes(left, right),
        (Some(left), Some(right)) => magnitudes(right, left),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
    }
}

/// An integer and a float, exactly: 2⁵³ + 1 is not 2⁵³.
fn integer_and_float(left: &str, right: f64) -> Option<Ordering> {
    if right.is_nan() {
        return None;
    }
    if right.is_infinite() {
        return Some(if right > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    // Rust writes all the digits of a float's whole part.
    let whole = Int::parse(&format!("{:.0}", right.trunc()))?;
    let fraction = 0.0_f64.partial_cmp(&right.fract())?;
    Some(integers(left, whole.digits()).then(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::read;

    /// What the four orders and equality say to two texts: `<`, `>`, `=`, `!` (no order), or `-` (none of them).
    fn sign(left: &str, right: &str) -> char {
        let (left, right) = (read(left).unwrap(), read(right).unwrap());
        let is_equal = equal(&left, &right);
        match order(&left, &right) {
            Err(Unordered) => {
                if is_equal {
                    '≡'
                } else {
                    '!'
                }
            }
            Ok(None) => {
                if is_equal {
                    '?'
                } else {
                    '-'
                }
            }
            Ok(Some(Ordering::Less)) => {
                if is_equal {
                    '?'
                } else {
                    '<'
                }
            }
            Ok(Some(Ordering::Greater)) => {
                if is_equal {
                    '?'
                } else {
                    '>'
                }
            }
            Ok(Some(Ordering::Equal)) => {
                if is_equal {
                    '='
                } else {
                    '?'
                }
            }
        }
    }

    #[test]
    fn compares_as_python_does() {
        for (left, right, expected) in [
            ("1", "1.0", '='),
            ("true", "1", '='),
            ("false", "-0.0", '='),
            ("true", "2", '<'),
            ("9007199254740993", "9007199254740992.0", '>'),
            ("9007199254740992", "9007199254740992.0", '='),
            ("-9007199254740993", "-9007199254740992.0", '<'),
            ("-1", "-1.5", '>'),
            ("-2", "-1.5", '<'),
            ("1", "0.5", '>'),
            ("0", "-5e-324", '>'),
            ("10", "9", '>'),
            ("-10", "-9", '<'),
            ("1e400", "99999999999999999999999999999999999999", '>'),
            ("NaN", "NaN", '-'),
            ("1", "NaN", '-'),
            ("[NaN]", "[NaN]", '='),
            ("[NaN, 1]", "[NaN, 2]", '<'),
            ("{\"a\": NaN}", "{\"a\": NaN}", '≡'),
            ("\"a\"", "\"b\"", '<'),
            (r#""\uffff""#, r#""\ud83d\ude00""#, '<'),
            (r#""\ud83d""#, r#""\ud83d\ude00""#, '<'),
            ("[1, 2]", "[1, 2.0]", '='),
            ("[1]", "[1, \"a\"]", '<'),
            ("[1, null]", "[2, \"a\"]", '<'),
            ("[1, null]", "[1, \"a\"]", '!'),
            ("[1, null]", "[1, null]", '='),
            ("[{}]", "[{}]", '='),
            ("[{}]", "[{\"a\": 1}]", '!'),
            ("null", "null", '≡'),
            ("{}", "{}", '≡'),
            ("{\"a\": 1, \"b\": 2}", "{\"b\": 2.0, \"a\": true}", '≡'),
            ("1", "\"1\"", '!'),
            ("[]", "{}", '!'),
            ("null", "false", '!'),
        ] {
            assert_eq!(sign(left, right), expected, "{left} and {right}");
            let mirrored = match expected {
                '<' => '>',
                '>' => '<',
                same => same,
            };
            assert_eq!(sign(right, left), mirrored, "{right} and {left}");
        }
    }
}
