//! What whoever asks takes for an answer: `Accept` (RFC 9110 §12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// One media range.
pub(crate) struct Range {
    /// In lower case, without parameters: `application/json`, `text/*`.
    pub(crate) kind: String,
    /// Whether it weighs anything; `q=0` means: not this (RFC 9110 §12.4.2).
    pub(crate) is_wanted: bool,
}

/// All that `headers` name, in their order.
pub(crate) fn ranges(headers: &HeaderMap) -> Vec<Range> {
    if !headers.contains_key(ACCEPT) {
        return Vec::new();
    }
    let fields = headers.get_all(ACCEPT).into_iter();
    let texts: Vec<_> = fields.map(|field| String::from_utf8_lossy(field.as_bytes())).collect();
    let ranges = texts.iter().flat_map(|text| text.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weighs_nothing = |part: &str| {
            part.split_once('=').is_some_and(|(name, weight)| {
                name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>() == Ok(0.0)
            })
        };
        Range { kind, is_wanted: !parts.any(weighs_nothing) }
    });
    ranges.filter(|range| !range.kind.is_empty()).collect()
}
