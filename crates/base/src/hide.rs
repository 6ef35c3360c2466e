//! Secrets kept out of what others say, who may repeat them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A secret of fewer characters is part of many a word that has nothing to do with it.
const LONG: usize = 8;

/// `text` with `instead` wherever it has `secret`: as it is, and as it is written in JSON, in a URL, or in base64. A short
/// one counts only where it stands by itself: within a longer word nobody can tell it from that word.
#[must_use]
pub fn hide(text: &str, secret: &str, instead: &str) -> String {
    let mut text = text.to_owned();
    if secret.is_empty() {
        return text;
    }
    let is_long = secret.chars().count() >= LONG;
    for form in forms(secret) {
        text = replaced(&text, &form, instead, is_long);
    }
    text
}

/// How a secret may be written, the longest first: it may have others in it.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let quoted = Zeroizing::new(serde_json::Value::from(secret).to_string());
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    let mut forms: Vec<Zeroizing<String>> = [
        secret.to_owned(),
        escaped.replace('/', "\\/"),
        escaped,
        percent(secret, |byte| format!("%{byte:02X}")),
        percent(secret, |byte| format!("%{byte:02x}")),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ]
    .map(Zeroizing::new)
    .into();
    forms.sort_by(|a, b| (b.len(), a.as_str()).cmp(&(a.len(), b.as_str())));
    forms.dedup();
    forms
}

/// As it stands in a URL (RFC 3986 §2.1), where `escaped` is what becomes of a byte that may not stand there.
fn percent(secret: &str, escaped: impl Fn(u8) -> String) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let written = |byte| if plain(byte) { char::from(byte).to_string() } else { escaped(byte) };
    secret.bytes().map(written).collect()
}

fn replaced(text: &str, form: &str, instead: &str, is_long: bool) -> String {
    let is_of_words = form.contains(char::is_alphanumeric);
    // Where it does not begin or end with a part of a word, what stands there makes no longer word of it.
    let is_one_word = |left: Option<char>, right: Option<char>| {
        let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        if is_of_words { is_part(left) && is_part(right) } else { is_part(left) || is_part(right) }
    };
    let (starts, ends) = (form.chars().next(), form.chars().next_back());
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(form) {
        let (before, behind) = (&rest[..at], &rest[at + form.len()..]);
        let is_within_a_word = is_one_word(before.chars().next_back().or(out.chars().next_back()), starts)
            || is_one_word(ends, behind.chars().next());
        out.push_str(before);
        if is_long || !is_within_a_word {
            out.push_str(instead);
            rest = behind;
        } else {
            let first = form.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[at..at + first]);
            rest = &rest[at + first..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_hidden_however_it_is_written() {
        for (text, secret, expected) in [
            ("bearer s3cret-token: no", "s3cret-token", "bearer (…): no"),
            ("xs3cret-tokenx s3cret-token", "s3cret-token", "x(…)x (…)"),
            (r#"{"t":"a\"b\\c/defgh"}"#, r#"a"b\c/defgh"#, r#"{"t":"(…)"}"#),
            (r#"{"t":"a\"b\\c\/defgh"}"#, r#"a"b\c/defgh"#, r#"{"t":"(…)"}"#),
            ("?t=a%2Fb%3Dc%26defg", "a/b=c&defg", "?t=(…)"),
            ("?t=a%2fb%3dc%26defg", "a/b=c&defg", "?t=(…)"),
            ("basic czNjcmV0LXRva2Vu.", "s3cret-token", "basic (…)."),
            ("basic Pz8/Pz8/Pz8.", "????????", "basic (…)."),
            ("basic Pz8_Pz8_Pz8.", "????????", "basic (…)."),
            ("nothing of it", "s3cret-token", "nothing of it"),
        ] {
            assert_eq!(hide(text, secret, "(…)"), expected, "{text}");
        }
    }

    #[test]
    fn a_short_secret_tears_no_words() {
        for (text, secret, expected) in [
            ("a cat sat, a", "a", "(…) cat sat, (…)"),
            ("/a is not /api", "/a", "(…) is not /api"),
            ("token \"no\", nobody", "no", "token \"(…)\", nobody"),
            ("at proxy.internal/s3cr3t, x/s3cr3tx", "/s3cr3t", "at proxy.internal(…), x/s3cr3tx"),
            ("a/b, /", "/", "a/b, (…)"),
            ("xx x", "x", "xx (…)"),
            ("ééé é", "é", "ééé (…)"),
            ("abc", "", "abc"),
            ("", "", ""),
        ] {
            assert_eq!(hide(text, secret, "(…)"), expected, "{text}");
        }
    }
}
