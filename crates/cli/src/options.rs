//! `NAME=VALUE` at the command: labels, and the options of networks and container managers.

use base::{names_a_secret, tells_a_secret};
use clap::Args;
use serde_json::{Map, Value};

use crate::error::CommandError;
use crate::input::{File, Input};

/// A name and what it is to be.
pub(crate) type Pair = (String, String);

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is written NAME=VALUE".to_owned()),
    }
}

/// Adds `name` to what was said before, once.
pub(crate) fn once<V>(
    all: &mut impl Extend<(String, V)>,
    is_there: bool,
    name: String,
    value: V,
) -> Result<(), CommandError> {
    if is_there {
        return Err(CommandError::Twice(name));
    }
    all.extend([(name, value)]);
    Ok(())
}

/// The options of a network or a container manager.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// An option; repeatable
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    plain: Vec<Pair>,
    /// An option whose value is in a file, `-` for standard input: for secrets; repeatable
    #[arg(long = "option-file", value_name = "NAME=FILE", value_parser = pair)]
    files: Vec<Pair>,
}

impl Options {
    /// Those that come from files.
    pub(crate) fn named_with_files(&self) -> Vec<String> {
        self.files.iter().map(|(name, _)| name.clone()).collect()
    }

    /// All of them. A line end at the end of a file is not part of the value.
    pub(crate) async fn read(self, input: &mut Input) -> Result<Map<String, Value>, CommandError> {
        let mut options = Map::new();
        for (name, value) in self.plain {
            if names_a_secret(&name) || tells_a_secret(&value) {
                return Err(CommandError::Open(name));
            }
            let is_there = options.contains_key(&name);
            once(&mut options, is_there, name, Value::String(value))?;
        }
        for (name, file) in self.files {
            let Ok(file) = file.parse::<File>();
            let mut text = input.text(&file).await?;
            if text.ends_with('\n') {
                text.pop();
            }
            let is_there = options.contains_key(&name);
            once(&mut options, is_there, name, Value::String(text))?;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_a_name() {
        for (text, expected) in [
            ("a=b", Some(("a", "b"))),
            ("a=b=c", Some(("a", "b=c"))),
            ("a=", Some(("a", ""))),
            ("=b", None),
            ("a", None),
        ] {
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(pair(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn secrets_come_from_files_and_nothing_comes_twice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let path = file.path().to_str().unwrap();
        let read = |plain: &[(&str, &str)], files: &[&str]| {
            let _guard = runtime.enter();
            let plain = plain.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let files = files.iter().map(|name| ((*name).to_owned(), path.to_owned())).collect();
            let options = Options { plain, files };
            let read = runtime.block_on(options.read(&mut Input::new()));
            read.map(|options| Value::Object(options).to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(read(&[("a", "1")], &["token"]), Ok(r#"{"a":"1","token":"hunter2"}"#.to_owned()));
        assert_eq!(read(&[("a", "1"), ("a", "2")], &[]), Err("`a` is said twice".to_owned()));
        assert_eq!(read(&[("a", "1")], &["a"]), Err("`a` is said twice".to_owned()));
        for name in ["token", "password", "tls_key", "client-secret"] {
            assert!(read(&[(name, "x")], &[]).unwrap_err().contains("is a secret"), "{name}");
        }
        for (value, is_secret) in [
            (r#"{"token":"S","x":{"password":"D"}}"#, true),
            (r#"[{"a":"{\"key\":1}"}]"#, true),
            ("https://user:S@h", true),
            ("users:\n- user:\n    token: S", true),
            (r#"{"a":1}"#, false),
            ("https://user@h:6443", false),
            ("a=b", false),
        ] {
            let refused =
                read(&[("auth", value)], &[]).is_err_and(|error| error.contains("`auth` is a secret"));
            assert_eq!(refused, is_secret, "{value}");
        }
    }
}
