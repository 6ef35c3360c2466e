//! Records under keys: a JSON object in each line, `{"key":…,"text":…}`, or `"base64"` where the value is no UTF-8.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    key: std::borrow::Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    text: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Adds the record to `lines`.
pub fn write(lines: &mut Vec<u8>, key: &str, value: &[u8]) {
    let text = std::str::from_utf8(value).ok();
    let line = Line {
        key: key.into(),
        text: text.map(Into::into),
        base64: text.is_none().then(|| STANDARD.encode(value)),
    };
    serde_json::to_writer(&mut *lines, &line).expect("texts have a JSON form, and memory takes them");
    lines.push(b'\n');
}

/// The records in `lines`.
///
/// # Errors
/// The number of the first line that is none, from 1 on.
pub fn read(lines: &[u8]) -> impl Iterator<Item = Result<(String, Vec<u8>), usize>> {
    // The last line has its end too.
    let rest = match lines.strip_suffix(b"\n") {
        Some(rest) => Some(rest),
        None if lines.is_empty() => None,
        None => Some(lines),
    };
    let is_whole = lines.is_empty() || lines.ends_with(b"\n");
    let each = rest.into_iter().flat_map(|rest| rest.split(|byte| *byte == b'\n'));
    let count = rest.map_or(0, |rest| rest.split(|byte| *byte == b'\n').count());
    each.enumerate().map(move |(number, line)| {
        let is_ended = is_whole || number + 1 < count;
        is_ended.then(|| parse(line)).flatten().ok_or(number + 1)
    })
}

fn parse(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let value = match (line.text, line.base64) {
        (Some(text), None) => text.into_owned().into_bytes(),
        (None, Some(base64)) => STANDARD.decode(base64).ok()?,
        _ => return None,
    };
    Some((line.key.into_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let records = [
            ("/a", &b"{\"v\":1,\"is\":\"x\\n\"}"[..]),
            ("/b\"\\\u{1F600}", b""),
            ("/c", b"\xff\0\n"),
            ("/d", b"line\nline\r\n"),
        ];
        let mut lines = Vec::new();
        for (key, value) in records {
            write(&mut lines, key, value);
        }
        assert!(lines.starts_with(br#"{"key":"/a","text":"{\"v\":1,\"is\":\"x\\n\"}"}"#));
        let found: Vec<_> = read(&lines).collect::<Result<_, _>>().unwrap();
        let expected: Vec<_> =
            records.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect();
        assert_eq!(found, expected);
        assert_eq!(read(b"").count(), 0);
    }

    #[test]
    fn what_is_no_record_is_named_by_its_line() {
        let good = r#"{"key":"/a","text":"x"}"#;
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"key":"/a"}"#,
            r#"{"text":"x"}"#,
            r#"{"key":"/a","text":"x","base64":"eA=="}"#,
            r#"{"key":"/a","base64":"?"}"#,
            r#"{"key":"/a","text":"x","more":1}"#,
            r#"{"key":"/a","key":"/b","text":"x"}"#,
            r#"{"key":"/a","text":"x"} x"#,
        ] {
            let lines = format!("{good}\n{bad}\n{good}\n");
            let wrong: Vec<_> = read(lines.as_bytes()).filter_map(Result::err).collect();
            assert_eq!(wrong, [2], "{bad}");
        }
        let wrong: Vec<_> = read(good.as_bytes()).filter_map(Result::err).collect();
        assert_eq!(wrong, [1], "a line without its end");
    }
}
