//! Which texts have secrets in them, so that they are secrets as a whole: for whoever keeps such a text, and for whoever
//! sends it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::names_a_secret;

/// As people write it: with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Texts of fewer bytes are no base64 of anything that has a secret in it.
const ENCODED_BYTES_MIN: usize = 16;

/// Whether there are secrets in a text: a URL with a password, a private key (RFC 7468 §10), or JSON or YAML with a
/// member that [`names_a_secret`], as a kubeconfig is; or any of these in base64.
#[must_use]
pub fn tells_a_secret(text: &str) -> bool {
    tells_in_clear(text) || decoded(text).is_some_and(|text| tells_in_clear(&text))
}

/// What a text says that is base64, in lines or not.
fn decoded(text: &str) -> Option<String> {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if bytes.len() < ENCODED_BYTES_MIN {
        return None;
    }
    String::from_utf8(BASE64.decode(bytes).ok()?).ok()
}

fn tells_in_clear(text: &str) -> bool {
    let has_json = || match serde_json::from_str(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => has_secrets(&value),
        _ => has_secret_members(text),
    };
    has_url_password(text) || text.contains("PRIVATE KEY-----") || has_json()
}

/// Whether there are secrets in a value, at any depth.
fn has_secrets(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(name, value)| names_a_secret(name) || has_secrets(value))
        }
        Value::Array(items) => items.iter().any(has_secrets),
        Value::String(text) => tells_a_secret(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a text has members as YAML does that name a secret: `token: …`, at the beginning of a line, behind the dash of
/// a list, or within braces. Whether it is YAML otherwise does not matter: half of a file tells as much.
fn has_secret_members(text: &str) -> bool {
    text.split(['\n', '\r', '{', ',', '[']).filter_map(member).any(names_a_secret)
}

/// The name of the member that begins with `text`, if one does.
fn member(text: &str) -> Option<&str> {
    let mut text = text.trim();
    while let Some(item) = text.strip_prefix("- ").or_else(|| text.strip_prefix("? ")) {
        text = item.trim_start();
    }
    if let Some(quote @ ('"' | '\'')) = text.chars().next() {
        let (name, behind) = text[1..].split_once(quote)?;
        return behind.trim_start().starts_with(':').then_some(name);
    }
    let (name, _) = text
        .split_once(": ")
        .or_else(|| text.split_once(":\t"))
        .or_else(|| text.split_once(':').filter(|(_, behind)| behind.is_empty()))?;
    let name = name.trim_end();
    // People write whole sentences before a colon.
    (!name.contains(char::is_whitespace)).then_some(name)
}

/// Whether a URL with a password in it stands anywhere in `text`: `scheme://user:password@…` (RFC 3986 §3.2.1).
fn has_url_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, separator)| {
        let behind = &text[at + separator.len()..];
        let authority =
            behind.split(|c: char| c.is_whitespace() || "/?#".contains(c)).next().unwrap_or_default();
        let user = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        user.is_some_and(|(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_texts() {
        let kubeconfig =
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    server: https://k:6443\n";
        let user = |members: &str| format!("{kubeconfig}users:\n- name: u\n  user:\n    {members}\n");
        for (text, expected) in [
            (kubeconfig, false),
            (&user("client-certificate-data: LS0t"), false),
            (&user("token: S"), true),
            (&user("client-key-data: LS0t"), true),
            (&user("password: |\n      S"), true),
            (&user("password:\tS"), true),
            (&user("\"token\": S"), true),
            (&user("'token' : S"), true),
            (&user("{username: u, password: S}"), true),
            (&user("- token: S").replace('\n', "\r\n"), true),
            ("- - token: S", true),
            ("token:", true),
            ("token: S", true),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII", true),
            (r#"{"token":"S"}"#, true),
            (r#"{"\u0074oken":"S"}"#, true),
            (r#" {"a":1,"x":[{"password":"S"}]}"#, true),
            (r#"[{"a":"{\"key\":1}"}]"#, true),
            (r#"{"a":"users:\n- token: S"}"#, true),
            (r#"{"a":"https://user:S@h"}"#, true),
            // Half of it tells as much.
            (r#"{"url":"u","token":"S"#, true),
            (r#"{"url":"u"}"#, false),
            (r#""token""#, false),
            ("token", false),
            ("- token", false),
            // `{"token":"S","a":1}`, with padding and without; and `{"a":"token of love"}`.
            ("eyJ0b2tlbiI6IlMiLCJhIjoxfQ==", true),
            (" eyJ0b2tlbiI6\nIlMiLCJhIjoxfQ ", true),
            ("eyJhIjoidG9rZW4gb2YgbG92ZSJ9", false),
            ("a=b", false),
            ("key:8080", false),
            ("where to find the key: in the shed", false),
            ("", false),
        ] {
            assert_eq!(tells_a_secret(text), expected, "{text}");
        }
    }

    #[test]
    fn passwords_are_found_in_urls() {
        for (text, expected) in [
            ("https://user:pw@h", true),
            ("https://user:pw@h:6443/x?a=b", true),
            ("HTTPS://user:p@w@h", true),
            ("redis://:pw@h/0", true),
            ("http://a:1,http://user:pw@b:2", true),
            ("at https://user:pw@h", true),
            ("https://h", false),
            ("https://h:6443", false),
            ("https://[::1]:6443/", false),
            ("https://user@h:6443", false),
            ("https://user:@h", false),
            ("https://h:6443/a@b", false),
            ("https://h:6443?a@b", false),
            ("https://h:6443 a@b", false),
            ("user:pw@h", false),
            ("://", false),
            ("", false),
        ] {
            assert_eq!(has_url_password(text), expected, "{text}");
        }
    }
}
