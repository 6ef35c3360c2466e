//! What a request is made to depend on: `If-Match` and `If-None-Match` (RFC 9110 §13.1).

use fleet::Expected;
use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use store::Version;

use super::refusal::Refusal;

/// What one of the two headers names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`: anything at all.
    Any,
    /// These, each with whether it is a weak one; without quotes.
    These(Vec<(bool, String)>),
}

/// Both headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Condition {
    matches: Option<Tags>,
    none_matches: Option<Tags>,
}

/// What is there now.
#[derive(Debug, Clone)]
pub(super) struct Current {
    /// Its entity tag, without quotes.
    pub(super) tag: String,
    /// Of its record.
    pub(super) version: Version,
}

impl Condition {
    /// What `headers` say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        Ok(Self { matches: tags(headers, &IF_MATCH)?, none_matches: tags(headers, &IF_NONE_MATCH)? })
    }

    /// Whether there is one that a writer has to look at what is there for.
    pub(super) fn is_there(&self) -> bool {
        self.matches.is_some() || self.none_matches.is_some()
    }

    /// Whether it depends on what exactly is there, and not only on whether something is.
    pub(super) fn names_tags(&self) -> bool {
        let named = |tags: &Option<Tags>| matches!(tags, Some(Tags::These(_)));
        named(&self.matches) || named(&self.none_matches)
    }

    /// Whether it is met by what is called `tag`, or by nothing where nothing is there.
    pub(super) fn is_met_by(&self, tag: Option<&str>) -> bool {
        match tag {
            Some(tag) => self.wants(Some(tag)) && !self.has(tag),
            None => self.matches.is_none(),
        }
    }

    /// This condition for what does not depend on the counts of a cluster, which its tag has behind a `-`.
    pub(super) fn without_counts(&self) -> Self {
        let own = |(is_weak, tag): &(bool, String)| {
            (*is_weak, tag.split_once('-').map_or(tag.as_str(), |(own, _)| own).to_owned())
        };
        let cut = |tags: &Option<Tags>| {
            tags.as_ref().map(|tags| match tags {
                Tags::Any => Tags::Any,
                Tags::These(tags) => Tags::These(tags.iter().map(own).collect()),
            })
        };
        Self { matches: cut(&self.matches), none_matches: cut(&self.none_matches) }
    }

    /// Whether what is called `tag`, if it has a name at all, is what `If-Match` wants.
    pub(super) fn wants(&self, tag: Option<&str>) -> bool {
        match &self.matches {
            None | Some(Tags::Any) => true,
            Some(Tags::These(tags)) => {
                tags.iter().any(|(is_weak, known)| !is_weak && tag == Some(known.as_str()))
            }
        }
    }

    /// Whether whoever reads has the representation called `tag` already.
    pub(super) fn has(&self, tag: &str) -> bool {
        match &self.none_matches {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|(_, known)| known == tag),
        }
    }

    /// Whether whoever reads says of the representation called `tag` that they have it, not of any.
    pub(super) fn names(&self, tag: &str) -> bool {
        matches!(&self.none_matches, Some(Tags::These(_))) && self.has(tag)
    }

    /// What whoever writes expects, given that `current` is there: what the room has to hold them to.
    pub(super) fn expected(&self, current: Option<&Current>) -> Result<Expected, Refusal> {
        match (self.is_met_by(current.map(|current| current.tag.as_str())), current) {
            (false, _) => Err(Refusal::not_as_expected()),
            (true, _) if !self.is_there() => Ok(Expected::Anything),
            (true, Some(current)) => Ok(Expected::At(current.version)),
            (true, None) => Ok(Expected::Absent),
        }
    }

    /// The same for what can only be done to something: where nothing is there, the room says so.
    pub(super) fn expected_there(&self, current: Option<&Current>) -> Result<Expected, Refusal> {
        Ok(match self.expected(current)? {
            Expected::Absent => Expected::Anything,
            expected => expected,
        })
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Refusal> {
    let mut found = None;
    for field in headers.get_all(name) {
        let bad = || Refusal::malformed(format!("`{name}` is neither `*` nor a list of entity tags"));
        let read = field.to_str().ok().and_then(read).ok_or_else(bad)?;
        found = Some(match (found, read) {
            (None, read) => read,
            (Some(Tags::These(mut all)), Tags::These(more)) => {
                all.extend(more);
                Tags::These(all)
            }
            (Some(_), _) => return Err(bad()),
        });
    }
    Ok(found)
}

/// `*`, or a list of `"…"` and `W/"…"`. Lists may have nothing in them, or nothing between two commas (RFC 9110
/// §5.6.1.2).
fn read(field: &str) -> Option<Tags> {
    if field.trim() == "*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    let mut rest = field.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (is_weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        if tag.bytes().any(|byte| byte <= b' ') {
            return None;
        }
        tags.push((is_weak, tag.to_owned()));
        rest = behind.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start_matches([' ', '\t', ',']);
        }
    }
    Some(Tags::These(tags))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use store::Revision;

    use super::*;

    fn condition(matches: Option<&str>, none_matches: Option<&str>) -> Result<Condition, ()> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(IF_MATCH, matches), (IF_NONE_MATCH, none_matches)] {
            if let Some(value) = value {
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
        }
        Condition::of(&headers).map_err(drop)
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for (field, is_fine) in [
            ("*", true),
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"a\", W/\"b\" ,\"\"", true),
            ("\"a\",", true),
            (" , \"a\",, \"b\"", true),
            ("", true),
            ("a", false),
            ("\"a", false),
            ("\"a\" \"b\"", false),
            ("\"a b\"", false),
            ("*, \"a\"", false),
            ("w/\"a\"", false),
        ] {
            assert_eq!(condition(Some(field), None).is_ok(), is_fine, "{field}");
        }
    }

    #[test]
    fn writers_are_held_to_what_they_saw() {
        let version = Version(Revision(7));
        let current = Current { tag: "7".into(), version };
        let (at, gone, anything) = (Ok(Expected::At(version)), Ok(Expected::Absent), Ok(Expected::Anything));
        for (matches, none_matches, there, absent) in [
            (None, None, anything, anything),
            (Some("*"), None, at, Err(())),
            (Some("\"7\""), None, at, Err(())),
            (Some("\"6\", \"7\""), None, at, Err(())),
            (Some("W/\"7\""), None, Err(()), Err(())),
            (Some("\"6\""), None, Err(()), Err(())),
            (Some(""), None, Err(()), Err(())),
            (None, Some(""), at, gone),
            (None, Some("*"), Err(()), gone),
            (None, Some("\"7\""), Err(()), gone),
            (None, Some("W/\"7\""), Err(()), gone),
            (None, Some("\"6\""), at, gone),
            (Some("\"7\""), Some("\"7\""), Err(()), Err(())),
        ] {
            let condition = condition(matches, none_matches).unwrap();
            let found = condition.expected(Some(&current)).map_err(drop);
            assert_eq!(found, there, "{matches:?} {none_matches:?}, there");
            assert_eq!(
                condition.expected(None).map_err(drop),
                absent,
                "{matches:?} {none_matches:?}, absent"
            );
        }
    }

    #[test]
    fn counts_are_nothing_that_is_written() {
        let version = Version(Revision(7));
        let current = Current { tag: "7".into(), version };
        for (field, is_met) in
            [("\"7-1f\"", true), ("\"7\"", true), ("*", true), ("\"6-1f\"", false), ("W/\"7-1f\"", false)]
        {
            let matches = condition(Some(field), None).unwrap().without_counts();
            assert_eq!(matches.expected(Some(&current)).is_ok(), is_met, "{field}");
            let none_matches = condition(None, Some(field)).unwrap().without_counts();
            assert_eq!(none_matches.expected(Some(&current)).is_ok(), field.contains('6'), "{field}");
        }
    }

    #[test]
    fn readers_say_what_they_have() {
        for (field, has) in [("*", true), ("\"7\"", true), ("W/\"7\"", true), ("\"6\"", false)] {
            assert_eq!(condition(None, Some(field)).unwrap().has("7"), has, "{field}");
        }
        assert!(!condition(Some("\"7\""), None).unwrap().has("7"));
    }
}
