//! Which bytes of an artifact are wanted (RFC 9110 §14).

use std::ops::Range;

use http::HeaderMap;
use http::header::{IF_RANGE, RANGE};

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: nothing else was asked for, or nothing that is understood.
    All,
    /// These bytes.
    Some(Range<u64>),
    /// Bytes that it does not have.
    None,
}

/// What `headers` ask for of an artifact of `size` bytes, whose entity tag is `tag`. Of several ranges all is sent,
/// which is always right (§14.2).
pub(super) fn wanted(headers: &HeaderMap, size: u64, tag: &str) -> Wanted {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return Wanted::All };
    // Somebody who has a part of something else has to begin anew (§13.1.5).
    if headers.get(IF_RANGE).is_some_and(|said| said.as_bytes() != tag.as_bytes()) {
        return Wanted::All;
    }
    let Some((unit, range)) = range.split_once('=') else { return Wanted::All };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Wanted::All;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::All };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More than anything has.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => Wanted::All,
        (Some(_), None) if !last.is_empty() => Wanted::All,
        (Some(first), last) if first < size => {
            Wanted::Some(first..last.map_or(size, |last| last.saturating_add(1).min(size)))
        }
        (Some(_), _) => Wanted::None,
        // The last so many bytes.
        (None, Some(0)) if first.is_empty() => Wanted::None,
        (None, Some(_)) if first.is_empty() && size == 0 => Wanted::None,
        (None, Some(count)) if first.is_empty() => Wanted::Some(size.saturating_sub(count)..size),
        (None, _) => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood_is_sent() {
        for (range, size, expected) in [
            ("bytes=0-", 10, Wanted::Some(0..10)),
            ("bytes=3-", 10, Wanted::Some(3..10)),
            ("bytes=3-5", 10, Wanted::Some(3..6)),
            ("Bytes=3-99", 10, Wanted::Some(3..10)),
            ("bytes=-3", 10, Wanted::Some(7..10)),
            ("bytes=-99", 10, Wanted::Some(0..10)),
            ("bytes=10-", 10, Wanted::None),
            ("bytes=0-", 0, Wanted::None),
            ("bytes=-0", 10, Wanted::None),
            ("bytes=-1", 0, Wanted::None),
            ("bytes=99999999999999999999-", 10, Wanted::None),
            ("bytes=5-3", 10, Wanted::All),
            ("bytes=0-1,4-5", 10, Wanted::All),
            ("bytes=-", 10, Wanted::All),
            ("bytes=a-", 10, Wanted::All),
            ("bytes=1-b", 10, Wanted::All),
            ("bytes=+1-", 10, Wanted::All),
            ("lines=1-2", 10, Wanted::All),
            ("bytes", 10, Wanted::All),
        ] {
            let headers = [(RANGE, range.parse().unwrap())].into_iter().collect();
            assert_eq!(wanted(&headers, size, "\"d\""), expected, "{range} of {size}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 10, "\"d\""), Wanted::All);
    }

    #[test]
    fn a_part_of_something_else_is_of_no_use() {
        for (tag, expected) in
            [("\"d\"", Wanted::Some(3..10)), ("\"e\"", Wanted::All), ("W/\"d\"", Wanted::All)]
        {
            let headers = [(RANGE, "bytes=3-".parse().unwrap()), (IF_RANGE, tag.parse().unwrap())]
                .into_iter()
                .collect();
            assert_eq!(wanted(&headers, 10, "\"d\""), expected, "{tag}");
        }
    }
}
