//! What is kept, and for how long: the language of retention. Decisions only.
//!
//! ```text
//! keep newest 3 for pypi:*
//! keep newest 100 overall or younger 30d for slapos-*
//! keep used 90d for file-urlmd5:* where url=="http://example.invalid/a"
//! keep all for 'slapos-generic-upgrade-key'
//! ```
//! A rule says what to keep and for which keys: `*` stands for any characters, `?` for one. Criteria behind `where` look
//! at what stands in an entry, in the language of `networkcache-download` ([`entry::Filter`]), with `and` between them.
//! The first rule that fits an entry decides about it. What no rule fits is kept, so that no rules remove nothing.
//!
//! | words | what is kept |
//! |---|---|
//! | `all`, `nothing` | that |
//! | `newest N` | the last N of each key, of those that the rule decides about |
//! | `newest N overall` | the last N of all keys together |
//! | `younger AGE` | what came within that time |
//! | `used AGE` | whose artifact came or was read within that time |
//!
//! When an artifact was read is known within an hour, and never held against it: it may stay for an hour longer.
//!
//! An age is a whole number and one of `h`, `d`, `w`. With `or` between them, what any of them keeps is kept.

mod parse;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use base::{Span, Timestamp};
use entry::{Filter, Object};

pub use parse::RetentionError;

/// Which entries are kept. `Default` keeps everything.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    rules: Vec<Rule>,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep(Vec<Reason>);

#[derive(Debug, Clone)]
struct Rule {
    /// As it was written.
    text: String,
    keep: Keep,
    keys: Pattern,
    criteria: Option<Filter>,
}

/// One way to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    All,
    Newest(usize),
    NewestOverall(usize),
    Younger(Span),
    Used(Span),
}

/// Which keys: `*` stands for any characters, `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// An entry, as far as a rule looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its place among those of its key.
    pub(crate) place: u64,
    /// When it came.
    pub(crate) at: Timestamp,
    /// When its artifact came or was last read; the entry's own time where there is none.
    pub(crate) used_at: Timestamp,
    /// Which rule decides about it.
    pub(crate) rule: Option<usize>,
}

/// The last entries of all keys together, for each rule that asks for them.
#[derive(Debug, Default)]
pub(crate) struct Overall {
    /// As many as the rule keeps at most, the oldest on top.
    newest: Vec<BinaryHeap<Reverse<Age>>>,
}

/// What comes later is larger.
type Age = (Timestamp, String, u64);

impl Retention {
    /// The rules, as they were written.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.text.as_str())
    }

    /// Whether it never removes anything.
    #[must_use]
    pub fn keeps_everything(&self) -> bool {
        self.rules.iter().all(|rule| rule.keep.0.contains(&Reason::All))
    }

    /// Which rule decides about an entry of `key`; `members` says what stands in it, when that is asked.
    pub(crate) fn rule(&self, key: &str, members: impl Fn() -> Option<Object>) -> Option<usize> {
        let fits = |rule: &Rule| {
            rule.keys.fits(key)
                && rule.criteria.as_ref().is_none_or(|criteria| match members() {
                    // What cannot be read is not what somebody asked for.
                    Some(members) => !criteria.apply([&members], |members| members, &mut |_| {}).is_empty(),
                    None => false,
                })
        };
        self.rules.iter().position(fits)
    }

    /// Whether any rule asks for the last entries of all keys together.
    pub(crate) fn looks_at_all_keys(&self) -> bool {
        self.rules.iter().any(|rule| rule.overall().is_some())
    }

    /// The entries of `key` with these `facts`, which lie in the order in which they came: which of them stay.
    pub(crate) fn kept(&self, key: &str, facts: &[Facts], overall: &Overall, now: Timestamp) -> Vec<bool> {
        // How many later ones the same rule decides about.
        let mut later = vec![0; self.rules.len()];
        let mut kept: Vec<bool> = facts
            .iter()
            .rev()
            .map(|facts| {
                let Some(number) = facts.rule else { return true };
                let later_ones = later[number];
                later[number] += 1;
                self.rules[number].keep.0.iter().any(|reason| match *reason {
                    Reason::All => true,
                    Reason::Newest(count) => later_ones < count,
                    Reason::NewestOverall(count) => overall.has((number, count), key, facts),
                    Reason::Younger(age) => facts.at + age > now,
                    Reason::Used(age) => facts.used_at + age > now,
                })
            })
            .collect();
        kept.reverse();
        kept
    }
}

impl Keep {
    /// Everything.
    pub(crate) fn all() -> Self {
        Self(vec![Reason::All])
    }

    /// Whether it keeps everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.contains(&Reason::All)
    }

    /// Whether it keeps what came at `at` and was last used at `used_at`. How many there are does not count.
    pub(crate) fn keeps(&self, at: Timestamp, used_at: Timestamp, now: Timestamp) -> bool {
        self.0.iter().any(|reason| match *reason {
            Reason::All => true,
            Reason::Newest(_) | Reason::NewestOverall(_) => false,
            Reason::Younger(age) => at + age > now,
            Reason::Used(age) => used_at + age > now,
        })
    }
}

impl fmt::Display for Keep {
    /// As it can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (number, reason) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(" or ")?;
            }
            match reason {
                Reason::All => f.write_str("all")?,
                Reason::Newest(count) => write!(f, "newest {count}")?,
                Reason::NewestOverall(count) => write!(f, "newest {count} overall")?,
                Reason::Younger(age) => write!(f, "younger {}h", age.as_seconds() / 3600)?,
                Reason::Used(age) => write!(f, "used {}h", age.as_seconds() / 3600)?,
            }
        }
        Ok(())
    }
}

impl Rule {
    fn overall(&self) -> Option<usize> {
        self.keep.0.iter().find_map(|reason| match reason {
            Reason::NewestOverall(count) => Some(*count),
            _ => None,
        })
    }
}

impl Overall {
    /// Counts an entry in.
    pub(crate) fn add(&mut self, retention: &Retention, key: &str, facts: &Facts) {
        self.newest.resize_with(retention.rules.len(), BinaryHeap::new);
        let Some(number) = facts.rule else { return };
        let Some(count) = retention.rules[number].overall() else { return };
        let newest = &mut self.newest[number];
        newest.push(Reverse(age(key, facts)));
        if newest.len() > count {
            newest.pop();
        }
    }

    /// Whether an entry is one of the last `count`; what came since they were counted is.
    fn has(&self, (number, count): (usize, usize), key: &str, facts: &Facts) -> bool {
        let Some(newest) = self.newest.get(number).filter(|newest| newest.len() >= count) else {
            return true;
        };
        newest.peek().is_none_or(|Reverse(oldest)| *oldest <= age(key, facts))
    }
}

fn age(key: &str, facts: &Facts) -> Age {
    (facts.at, key.to_owned(), facts.place)
}

impl Pattern {
    /// The pattern that `text` is: any text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether `key` is one of these.
    #[must_use]
    pub fn fits(&self, key: &str) -> bool {
        let (pattern, key): (Vec<char>, Vec<char>) = (self.0.chars().collect(), key.chars().collect());
        let (mut at, mut of_key) = (0, 0);
        // Where to go on when what stands behind the last `*` does not fit: the `*` takes one character more.
        let mut star: Option<(usize, usize)> = None;
        while of_key < key.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, of_key));
                    at += 1;
                }
                Some(&character) if character == '?' || character == key[of_key] => {
                    at += 1;
                    of_key += 1;
                }
                _ => match star {
                    Some((star_at, taken)) => {
                        at = star_at + 1;
                        of_key = taken + 1;
                        star = Some((star_at, taken + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|character| *character == '*')
    }

    /// What all these keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        let end = self.0.find(['*', '?']).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_unix(day * DAY)
    }

    fn facts(retention: &Retention, key: &str, days: &[(i64, i64)]) -> Vec<Facts> {
        let rule = || retention.rule(key, || None);
        let facts = days.iter().zip(0..);
        facts
            .map(|((came, used), place)| Facts { place, at: at(*came), used_at: at(*used), rule: rule() })
            .collect()
    }

    #[test]
    fn patterns_fit_whole_keys() {
        for (pattern, key, expected) in [
            ("*", "", true),
            ("pypi:*", "pypi:pytz=2016.10", true),
            ("pypi:*", "file:pypi:", false),
            ("a", "ab", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*-key", "slapos-upgrade-testing-key", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab-ab-a", false),
            ("é?", "éü", true),
        ] {
            assert_eq!(Pattern::new(pattern).fits(key), expected, "{pattern} {key}");
        }
        // A pattern that is slow where each `*` tries all that is left.
        assert!(!Pattern::new(&"*a".repeat(50)).fits(&"b".repeat(10_000)));
        assert_eq!(Pattern::new("pypi:*=1?").prefix(), "pypi:");
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let now = at(100);
        // When each came, and when its artifact was last used.
        let days = [(10, 10), (20, 95), (30, 30), (99, 99)];
        for (rules, expected) in [
            (&[][..], [true, true, true, true]),
            (&["keep newest 2 for a*"], [false, false, true, true]),
            (&["keep newest 2 for b*"], [true, true, true, true]),
            (&["keep all for a*", "keep nothing for *"], [true, true, true, true]),
            (&["keep nothing for *", "keep all for a*"], [false, false, false, false]),
            (&["keep younger 30d for *"], [false, false, false, true]),
            (&["keep used 1w for *"], [false, true, false, true]),
            (&["keep used 1w or newest 2 for *"], [false, true, true, true]),
            (&["keep younger 240h for *"], [false, false, false, true]),
        ] {
            let retention = Retention::parse(rules.iter().copied()).unwrap();
            let facts = facts(&retention, "abc", &days);
            assert_eq!(retention.kept("abc", &facts, &Overall::default(), now), expected, "{rules:?}");
        }
    }

    #[test]
    fn the_newest_of_all_keys() {
        let retention = Retention::parse(["keep newest 3 overall for a*"]).unwrap();
        let mut overall = Overall::default();
        let keys = [("a1", [(1, 1), (5, 5)]), ("a2", [(2, 2), (4, 4)]), ("a3", [(5, 5), (3, 3)])];
        for (key, days) in &keys {
            facts(&retention, key, days).iter().for_each(|facts| overall.add(&retention, key, facts));
        }
        for (key, expected) in [("a1", [false, true]), ("a2", [false, true]), ("a3", [true, false])] {
            let (_, days) = keys.iter().find(|(name, _)| *name == key).unwrap();
            let facts = facts(&retention, key, days);
            assert_eq!(retention.kept(key, &facts, &overall, at(100)), expected, "{key}");
        }
    }

    /// Entries that come between counting and removing stay.
    #[test]
    fn what_comes_while_it_is_counted_stays() {
        let retention = Retention::parse(["keep newest 2 overall for *"]).unwrap();
        let mut overall = Overall::default();
        let mut check = |counted: Option<(&str, i64)>, days: &[(i64, i64)], expected: &[bool]| {
            if let Some((key, day)) = counted {
                overall.add(&retention, key, &facts(&retention, key, &[(day, day)])[0]);
            }
            let facts = facts(&retention, "a", days);
            assert_eq!(retention.kept("a", &facts, &overall, at(100)), expected, "{counted:?} {days:?}");
        };
        check(None, &[(5, 5)], &[true]);
        check(Some(("b", 9)), &[(3, 3)], &[true]);
        check(Some(("c", 8)), &[(3, 3), (9, 9)], &[false, true]);
    }
}
