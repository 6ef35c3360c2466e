//! The language in which `networkcache-download` is told which entries are wanted (networkcache contract, 8.2).
//!
//! ```text
//! os=="debian"   version>=1.5   timestamp>>0
//! ```
//! A name, an operator, and a value in JSON. The name is everything before the operator, blanks included; the operator
//! is the first that is found, where at each place `<<`, `>>`, `<=`, `>=`, `<`, `>`, `==` are tried in this order.
//!
//! `==`, `<`, `<=`, `>` and `>=` keep what compares so ([`crate::compare`]). `<<` keeps those with the lowest value below
//! the one that is given, `>>` those with the highest above it. What lacks the name is dropped first.

use std::cmp::Ordering;

use base::{Explain, Kind};

use crate::compare::{Unordered, equal, order};
use crate::json::{self, JsonError};
use crate::python;
use crate::value::{Object, Value};

/// In the order in which they are tried.
const OPERATORS: [(&str, Operator); 7] = [
    ("<<", Operator::Lowest),
    (">>", Operator::Highest),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Below),
    (">", Operator::Above),
    ("==", Operator::Equal),
];

/// How much of a value a warning shows, in characters.
const SHOWN_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Lowest,
    Highest,
    AtMost,
    AtLeast,
    Below,
    Above,
    Equal,
}

impl Operator {
    fn sign(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator)| *operator == self).map_or("", |(sign, _)| *sign)
    }

    /// Whether a value that stands so to the other is one that this asks for.
    fn takes(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Lowest | Self::Below => order == Some(Ordering::Less),
            Self::Highest | Self::Above => order == Some(Ordering::Greater),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Equal => order == Some(Ordering::Equal),
        }
    }
}

/// Why a criterion was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no operator in it. The words are the original's.
    #[error("Could not parse criterion: missing or invalid separator ({criterion})")]
    Separator {
        /// As it was given.
        criterion: String,
    },
    /// What stands behind the operator is not JSON.
    #[error("Could not parse criterion: the value is not JSON ({criterion})")]
    Value {
        /// As it was given.
        criterion: String,
        /// What is wrong with it.
        source: JsonError,
    },
}

impl Explain for FilterError {
    fn kind(&self) -> Kind {
        match self {
            Self::Separator { .. } => Kind::Invalid,
            Self::Value { source, .. } => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Separator { .. } => {
                Some("compare with one of == < <= > >= << >>, as in os==\"debian\"".into())
            }
            Self::Value { .. } => Some("text stands in double quotes, as in os==\"debian\"".into()),
        }
    }
}

#[derive(Debug, Clone)]
struct Criterion {
    name: String,
    operator: Operator,
    value: Value,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    criteria: Vec<Criterion>,
}

impl Filter {
    /// Reads criteria, to be applied from left to right.
    ///
    /// # Errors
    /// When one has no operator, or its value is not JSON within the bounds of [`crate::json`].
    pub fn parse<'a>(criteria: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        let criteria = criteria.into_iter().map(Criterion::parse).collect::<Result<_, _>>()?;
        Ok(Self { criteria })
    }

    /// Which of these are wanted, in their order. `warn` is told, in the original's words, of each value that cannot be
    /// compared with what was asked for; what it stands in is dropped.
    pub fn apply<'a, T>(
        &self,
        items: impl IntoIterator<Item = &'a T>,
        members: impl Fn(&'a T) -> &'a Object,
        warn: &mut dyn FnMut(&str),
    ) -> Vec<&'a T> {
        let mut kept: Vec<&T> = items.into_iter().collect();
        for criterion in &self.criteria {
            let held = kept.into_iter().filter_map(|item| Some((item, members(item).get(&criterion.name)?)));
            kept = criterion.keep(held, warn);
            if kept.is_empty() {
                break;
            }
        }
        kept
    }
}

impl Criterion {
    fn parse(text: &str) -> Result<Self, FilterError> {
        let found = text.char_indices().find_map(|(at, _)| {
            let (sign, operator) = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
            Some((&text[..at], *operator, &text[at + sign.len()..]))
        });
        let criterion = || text.to_owned();
        let (name, operator, value) =
            found.ok_or_else(|| FilterError::Separator { criterion: criterion() })?;
        let value =
            json::read(value).map_err(|source| FilterError::Value { criterion: criterion(), source })?;
        Ok(Self { name: name.to_owned(), operator, value })
    }

    fn keep<'s, 'a: 's, T>(
        &'s self,
        held: impl Iterator<Item = (&'a T, &'a Value)>,
        warn: &mut dyn FnMut(&str),
    ) -> Vec<&'a T> {
        let seeks_extreme = matches!(self.operator, Operator::Lowest | Operator::Highest);
        let mut best: &'s Value = &self.value;
        let mut kept = Vec::new();
        for (item, value) in held {
            if self.operator == Operator::Equal {
                if equal(value, &self.value) {
                    kept.push(item);
                }
                continue;
            }
            match order(value, best) {
                Err(Unordered) => warn(&format!(
                    "Comparison failed: {} {} {} (TypeError)",
                    shown(value),
                    self.operator.sign(),
                    shown(best)
                )),
                Ok(order) if self.operator.takes(order) => {
                    if seeks_extreme {
                        best = value;
                        kept.clear();
                    }
                    kept.push(item);
                }
                // As good as the best one so far, if there is one.
                Ok(Some(Ordering::Equal)) if seeks_extreme && !kept.is_empty() => kept.push(item),
                Ok(_) => {}
            }
        }
        kept
    }
}

/// As Python's `repr`, cut when it is long.
fn shown(value: &Value) -> String {
    let shown = python::repr(value);
    match shown.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(texts: &[&str]) -> Vec<Object> {
        texts.iter().map(|text| json::read(text).unwrap().as_object().unwrap().clone()).collect()
    }

    /// What is kept of [`ITEMS`], by their `n`, and how many warnings there were.
    fn kept(criteria: &[&str]) -> (String, usize) {
        let items = objects(ITEMS);
        let mut warnings = 0;
        let filter = Filter::parse(criteria.iter().copied()).unwrap();
        let kept = filter.apply(&items, |item| item, &mut |_| warnings += 1);
        (kept.iter().filter_map(|item| item.get("n")?.as_str()).collect(), warnings)
    }

    const ITEMS: &[&str] = &[
        r#"{"n": "a", "x": 1}"#,
        r#"{"n": "b", "x": 2}"#,
        r#"{"n": "c", "x": "text"}"#,
        r#"{"n": "d", "x": null}"#,
        r#"{"n": "e", "x": [1, 2]}"#,
        r#"{"n": "f", "x": {"k": 1}}"#,
        r#"{"n": "g", "x": 2.0}"#,
        r#"{"n": "h", "x": true}"#,
        r#"{"n": "i"}"#,
        r#"{"n": "j", "x": NaN, " x": 1}"#,
    ];

    #[test]
    fn keeps_what_the_original_keeps() {
        // Each as networkcache-download 0.30 kept it, and as often as it warned.
        for (criteria, expected) in [
            (&[][..], ("abcdefghij", 0)),
            (&["x==1"], ("ah", 0)),
            (&["x== 1 "], ("ah", 0)),
            (&[" x==1"], ("j", 0)),
            (&["x==[1,2]"], ("e", 0)),
            (&["x=={\"k\":1}"], ("f", 0)),
            (&["x==null"], ("d", 0)),
            (&["x==NaN"], ("", 0)),
            (&["x<2"], ("ah", 4)),
            (&["x<=2"], ("abgh", 4)),
            (&["x>\"tex\""], ("c", 8)),
            (&["x>=null"], ("", 9)),
            (&["x<NaN"], ("", 4)),
            (&["x<[1,\"a\"]"], ("", 9)),
            (&["x<<2"], ("ah", 4)),
            (&["x<<9"], ("ah", 4)),
            (&["x<<1"], ("", 4)),
            (&["x>>0"], ("bg", 4)),
            (&["x>>2"], ("", 4)),
            (&["x<<null"], ("", 9)),
            (&["y==1", "x<null"], ("", 0)),
            (&["x>0", "n>\"a\"", "x<<9"], ("h", 4)),
            (&["x=>1"], ("", 0)),
        ] {
            let (names, warnings) = kept(criteria);
            assert_eq!((names.as_str(), warnings), expected, "{criteria:?}");
        }
    }

    #[test]
    fn warnings_are_the_originals() {
        let items = objects(&[r#"{"x": "it's"}"#, r#"{"x": {"k": [true, null, 1.5, NaN]}}"#]);
        let mut warnings = Vec::new();
        let filter = Filter::parse(["x>=1"]).unwrap();
        assert!(
            filter.apply(&items, |item| item, &mut |warning| warnings.push(warning.to_owned())).is_empty()
        );
        assert_eq!(
            warnings,
            [
                "Comparison failed: \"it's\" >= 1 (TypeError)",
                "Comparison failed: {'k': [True, None, 1.5, nan]} >= 1 (TypeError)"
            ]
        );
    }

    #[test]
    fn the_first_operator_splits() {
        for (text, name, sign, value) in [
            ("a<<3", "a", "<<", "3"),
            ("a=<3", "a=", "<", "3"),
            ("==1", "", "==", "1"),
            ("a b==\"==\"", "a b", "==", "\"==\""),
            ("é>=-Infinity", "é", ">=", "-Infinity"),
            ("a=b==1", "a=b", "==", "1"),
        ] {
            let criterion = Criterion::parse(text).unwrap();
            let parts = (criterion.name.as_str(), criterion.operator.sign(), python::dumps(&criterion.value));
            assert_eq!(parts, (name, sign, value.to_owned()), "{text}");
        }
        for (text, expected) in [
            ("", "Could not parse criterion: missing or invalid separator ()"),
            ("a", "Could not parse criterion: missing or invalid separator (a)"),
            ("a=1", "Could not parse criterion: missing or invalid separator (a=1)"),
            ("a==b", "Could not parse criterion: the value is not JSON (a==b)"),
            ("a<<=3", "Could not parse criterion: the value is not JSON (a<<=3)"),
            ("a==1==2", "Could not parse criterion: the value is not JSON (a==1==2)"),
            ("a==", "Could not parse criterion: the value is not JSON (a==)"),
        ] {
            assert_eq!(Filter::parse([text]).unwrap_err().to_string(), expected);
        }
    }
}
