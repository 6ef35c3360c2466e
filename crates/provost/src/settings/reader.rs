//! Reads one setting after the other out of what was said, and collects what is wrong.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use super::config::{Config, Said, Value};
use super::key::{self, Default, Key, Kind};
use super::problem::{Origin, Problem};

/// Reads settings by name. Every method gives a value of the right type even where what was said is
/// wrong, so that reading goes on and all problems are found; [`Reader::problems`] then says that the
/// values are not to be used.
pub struct Reader<'a> {
    config: &'a Config,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Starts with the problems that `config` has already.
    pub fn new(config: &'a Config) -> Self {
        Self { config, problems: config.problems().to_vec() }
    }

    /// All problems so far.
    pub fn problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Adds a problem with what was said about `name`.
    pub fn wrong(&mut self, name: &str, what: impl Into<String>) {
        self.problems.push(Problem::new(self.config.origin(name), name, what));
    }

    /// Adds the problems of something that a setting names.
    pub fn all_wrong(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// What was said about `name`, else its default; `None` when it follows from something else.
    fn value(&self, name: &str) -> Option<(Value, Option<PathBuf>)> {
        if let Some(Said { value, from, .. }) = self.config.said(name) {
            return Some((value.clone(), from.clone()));
        }
        match known(name).default {
            Default::Is("[]") => Some((Value::List(Vec::new()), None)),
            Default::Is(literal) => Some((Value::Text(literal.trim_matches('"').to_owned()), None)),
            Default::Follows(..) => None,
        }
    }

    /// A text that `T` reads. `None` when nothing was said and nothing is the default, or when it is wrong.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        self.or_wrong(name, text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// A list of texts that `T` reads; `None` as for [`Reader::parsed`], and when only some can be read.
    pub fn parsed_list<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<Vec<T>> {
        let values = match self.value(name)? {
            (Value::List(values), _) => values,
            // One text is a list of one, where people would write it so.
            (value @ Value::Text(_), _) => vec![value],
            (other, _) => {
                self.wrong_type(name, &other);
                return None;
            }
        };
        let mut list = Vec::new();
        let mut complete = true;
        for value in values {
            let item = match value {
                Value::Text(text) => text.parse().map_err(|error: T::Err| error.to_string()),
                other => Err(format!("is a list of texts, and {} stands in it", other.type_name())),
            };
            let item = self.or_wrong(name, item);
            complete &= item.is_some();
            list.extend(item);
        }
        complete.then_some(list)
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            (Value::Text(text), _) => Some(text),
            (other, _) => {
                self.wrong_type(name, &other);
                None
            }
        }
    }

    /// A path. One that is relative and stands in a file starts from that file's directory.
    pub fn path(&mut self, name: &str) -> Option<PathBuf> {
        let text = self.text(name)?;
        if text.is_empty() {
            self.wrong(name, "is empty");
            return None;
        }
        let from = self.config.said(name).and_then(|said| said.from.clone());
        Some(from.unwrap_or_default().join(text))
    }

    /// A whole number in `range`.
    pub fn whole(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match self.value(name)?.0 {
            Value::Whole(number) => Some(i128::from(number)),
            Value::Text(text) => match text.parse::<i128>() {
                Ok(number) => Some(number),
                Err(_) => {
                    self.wrong(name, format!("`{text}` is not a whole number"));
                    return None;
                }
            },
            other => {
                self.wrong_type(name, &other);
                return None;
            }
        }?;
        let fitting = u64::try_from(number).ok().filter(|number| range.contains(number));
        if fitting.is_none() {
            let (min, max) = range.into_inner();
            self.wrong(name, format!("must be between {min} and {max}, not {number}"));
        }
        fitting
    }

    /// A number that is not negative and at most `max`.
    pub fn fraction(&mut self, name: &str, max: f64) -> Option<f64> {
        let number = match self.value(name)?.0 {
            #[expect(clippy::cast_precision_loss, reason = "numbers that lose are far above `max`")]
            Value::Whole(number) => number as f64,
            Value::Fraction(number) => number,
            Value::Text(text) => match text.parse::<f64>() {
                Ok(number) => number,
                Err(_) => {
                    self.wrong(name, format!("`{text}` is not a number"));
                    return None;
                }
            },
            other => {
                self.wrong_type(name, &other);
                return None;
            }
        };
        // Not a number is in no range.
        if (0.0..=max).contains(&number) {
            return Some(number);
        }
        self.wrong(name, format!("must be between 0 and {max}, not {number}"));
        None
    }

    /// A number above 0 and at most `max`.
    pub fn positive(&mut self, name: &str, max: f64) -> Option<f64> {
        let number = self.fraction(name, max)?;
        if number == 0.0 {
            self.wrong(name, "must be more than 0");
            return None;
        }
        Some(number)
    }

    /// One of the words of the setting.
    pub fn choice(&mut self, name: &str) -> Option<&'static str> {
        let Kind::Choice(words) = known(name).kind else { unreachable!("`{name}` is no choice") };
        let text = self.text(name)?;
        let word = words.iter().find(|word| **word == text).copied();
        if word.is_none() {
            self.wrong(name, format!("must be one of {}, not `{text}`", words.join(", ")));
        }
        word
    }

    /// Yes or no.
    pub fn switch(&mut self, name: &str) -> Option<bool> {
        match self.value(name)?.0 {
            Value::Switch(switch) => Some(switch),
            Value::Text(text) => match text.as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => {
                    self.wrong(name, format!("must be true or false, not `{text}`"));
                    None
                }
            },
            other => {
                self.wrong_type(name, &other);
                None
            }
        }
    }

    /// What `result` holds, or a problem with `name`.
    pub fn or_wrong<T>(&mut self, name: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|what| self.wrong(name, what)).ok()
    }

    /// The value of a variable of the environment that is no setting; one that is empty counts as not set.
    pub fn variable(&self, name: &str) -> Option<&OsString> {
        self.config.surroundings().variable(name)
    }

    /// Whether anybody said anything about `name`.
    pub fn is_said(&self, name: &str) -> bool {
        self.config.origin(name) != Origin::Default
    }

    fn wrong_type(&mut self, name: &str, value: &Value) {
        let expected = match known(name).kind {
            Kind::Text(_) | Kind::Choice(_) => "a text",
            Kind::Path(_) => "a path",
            Kind::Whole(_) => "a whole number",
            Kind::Days | Kind::Seconds => "a number",
            Kind::Switch => "true or false",
            Kind::List(_) => "a list of texts",
        };
        self.wrong(name, format!("must be {expected}, not {}", value.type_name()));
    }
}

fn known(name: &str) -> &'static Key {
    key::find(name).unwrap_or_else(|| unreachable!("`{name}` is not in the table of settings"))
}
