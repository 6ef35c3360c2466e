//! Retention as somebody wrote it.

use std::str::FromStr;

use base::{Explain, Kind, Span};
use entry::{Filter, FilterError};

use super::{Keep, Pattern, Reason, Retention, Rule};

/// The most that `newest` may ask for: the last of all keys together are held in memory.
const NEWEST_MAX: usize = 100_000;
/// The longest age, in hours: a century.
const HOURS_MAX: u32 = 876_000;

/// Why a rule was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// It does not begin with what is kept.
    #[error("a rule begins with `keep`: `{0}`")]
    NoKeep(String),
    /// It does not say for which keys.
    #[error("a rule says for which keys: `{0}`")]
    NoKeys(String),
    /// One of its words means nothing.
    #[error("`{0}` is not something to keep")]
    Reason(String),
    /// A number is not one.
    #[error("`{0}` is not a number from 1 to {NEWEST_MAX}")]
    Count(String),
    /// An age is not one.
    #[error("`{0}` is not an age of at most a century")]
    Age(String),
    /// Nothing stands behind `where`.
    #[error("a rule says what is looked for behind `where`: `{0}`")]
    NoCriteria(String),
    /// What stands behind `where` was not understood.
    #[error(transparent)]
    Criterion(#[from] FilterError),
}

impl Explain for RetentionError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoCriteria(_) => Some("write it as in `keep all for * where os==\"debian\"`".into()),
            Self::NoKeep(_) | Self::NoKeys(_) => Some("write it as in `keep newest 3 for pypi:*`".into()),
            Self::Reason(_) => Some(
                "there are `all`, `newest 3`, `newest 3 overall`, `younger 30d` and `used 90d`, with `or` between them; \
                 and `nothing`, which stands alone"
                    .into(),
            ),
            Self::Count(_) => None,
            Self::Age(_) => Some("an age is a whole number and one of h, d and w, as in 30d".into()),
            Self::Criterion(source) => source.help(),
        }
    }
}

impl Retention {
    /// Reads rules, the first one first.
    ///
    /// # Errors
    /// [`RetentionError`] of the first one that is not understood.
    pub fn parse<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, RetentionError> {
        let rules = rules.into_iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

impl FromStr for Keep {
    type Err = RetentionError;

    /// What stands between `keep` and `for`: `younger 30d or used 90d`.
    fn from_str(text: &str) -> Result<Self, RetentionError> {
        let text = text.trim();
        if text == "nothing" {
            return Ok(Self(Vec::new()));
        }
        text.split(" or ").map(|reason| self::reason(reason.trim())).collect::<Result<_, _>>().map(Self)
    }
}

fn rule(text: &str) -> Result<Rule, RetentionError> {
    let rest = text.trim().strip_prefix("keep ").ok_or_else(|| RetentionError::NoKeep(text.to_owned()))?;
    let (keep, rest) = rest.split_once(" for ").ok_or_else(|| RetentionError::NoKeys(text.to_owned()))?;
    let (keys, criteria) = match rest.split_once(" where ") {
        Some((keys, criteria)) => (keys, Some(Filter::parse(criteria_of(criteria))?)),
        None => (rest, None),
    };
    let keys = keys.trim();
    if keys.ends_with(" where") {
        return Err(RetentionError::NoCriteria(text.to_owned()));
    }
    if keys.is_empty() {
        return Err(RetentionError::NoKeys(text.to_owned()));
    }
    Ok(Rule { text: text.trim().to_owned(), keep: keep.parse()?, keys: Pattern::new(keys), criteria })
}

/// What stands between ` and `, but not inside of a quoted text.
fn criteria_of(text: &str) -> Vec<&str> {
    const AND: &str = " and ";
    let (mut criteria, mut from) = (Vec::new(), 0);
    let mut quote: Option<char> = None;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if character == '\\' => is_escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if at >= from && text[at..].starts_with(AND) => {
                criteria.push(text[from..at].trim());
                from = at + AND.len();
            }
            None => {}
        }
    }
    criteria.push(text[from..].trim());
    criteria
}

fn reason(text: &str) -> Result<Reason, RetentionError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["all"] => Ok(Reason::All),
        ["newest", count] => self::count(count).map(Reason::Newest),
        ["newest", count, "overall"] => self::count(count).map(Reason::NewestOverall),
        ["younger", age] => self::age(age).map(Reason::Younger),
        ["used", age] => self::age(age).map(Reason::Used),
        _ => Err(RetentionError::Reason(text.to_owned())),
    }
}

fn count(text: &str) -> Result<usize, RetentionError> {
    let count = text.parse().ok().filter(|count| (1..=NEWEST_MAX).contains(count));
    count.ok_or_else(|| RetentionError::Count(text.to_owned()))
}

fn age(text: &str) -> Result<Span, RetentionError> {
    let hours = || {
        let unit = text.chars().next_back()?;
        let hours_each = match unit {
            'h' => 1,
            'd' => 24,
            'w' => 168,
            _ => return None,
        };
        let number: u32 = text[..text.len() - 1].parse().ok()?;
        number.checked_mul(hours_each).filter(|hours| (1..=HOURS_MAX).contains(hours))
    };
    let hours = hours().ok_or_else(|| RetentionError::Age(text.to_owned()))?;
    Ok(Span::seconds(i64::from(hours) * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_said() {
        for (text, expected) in [
            ("", "a rule begins with `keep`: ``"),
            ("newest 3 for a", "a rule begins with `keep`: `newest 3 for a`"),
            ("keep newest 3", "a rule says for which keys: `keep newest 3`"),
            ("keep some for *", "`some` is not something to keep"),
            ("keep newest 0 for *", "`0` is not a number from 1 to 100000"),
            ("keep younger 3 for *", "`3` is not an age of at most a century"),
            ("keep younger 1000000w for *", "`1000000w` is not an age of at most a century"),
            ("keep younger é for *", "`é` is not an age of at most a century"),
            ("keep newest -1 for *", "`-1` is not a number from 1 to 100000"),
        ] {
            let error = Retention::parse([text]).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(error.help().is_some() || matches!(error, RetentionError::Count(_)));
        }
        assert!(matches!(Retention::parse(["keep all for * where a"]), Err(RetentionError::Criterion(_))));
        for rule in ["keep all for * where", "keep all for *  where  "] {
            assert!(matches!(Retention::parse([rule]), Err(RetentionError::NoCriteria(_))), "{rule}");
        }
    }

    #[test]
    fn criteria_look_at_what_stands_in_an_entry() {
        let retention = Retention::parse([r#"keep newest 1 for * where os=="debian" and n>2"#]).unwrap();
        for (text, expected) in [
            (r#"{"os": "debian", "n": 3}"#, Some(0)),
            (r#"{"os": "debian", "n": 2}"#, None),
            (r#"{"os": "fedora", "n": 3}"#, None),
            (r#"{"n": 3}"#, None),
        ] {
            let members = || entry::json::read(text).ok()?.as_object().cloned();
            assert_eq!(retention.rule("a", members), expected, "{text}");
        }
        assert_eq!(retention.rule("a", || None), None);
    }

    #[test]
    fn a_text_may_have_and_in_it() {
        for (text, expected) in [
            (r#"a=="b" and n>2"#, vec![r#"a=="b""#, "n>2"]),
            (r#"name=="a and b" and n>2"#, vec![r#"name=="a and b""#, "n>2"]),
            (r#"name=='a and "b' and n>2"#, vec![r#"name=='a and "b'"#, "n>2"]),
            (r#"name=="a\" and b""#, vec![r#"name=="a\" and b""#]),
        ] {
            assert_eq!(criteria_of(text), expected, "{text}");
        }
        assert!(Retention::parse([r#"keep all for * where name=="a and b""#]).is_ok());
        let error = Retention::parse(["keep nothing or newest 3 for *"]).unwrap_err();
        assert!(error.help().unwrap().contains("stands alone"));
    }

    #[test]
    fn a_keep_alone() {
        assert!("all".parse::<Keep>().unwrap().is_all());
        assert!(!"nothing".parse::<Keep>().unwrap().is_all());
        assert!("younger 1d or everything".parse::<Keep>().is_err());
        for text in ["all", "nothing", "newest 3 or newest 4 overall", "younger 24h or used 168h"] {
            assert_eq!(text.parse::<Keep>().unwrap().to_string(), text);
        }
    }
}
