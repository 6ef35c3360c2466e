//! What was said, as a configuration file that says the same.

use std::fmt::Write as _;
use std::path::Path;

use toml_edit::{Array, value};

use super::config::{Config, Said, Value};
use super::key::{KEYS, Key, Kind};
use super::problem::Origin;

/// The settings that somebody said, or that follow from what was, in the order of the table; each with where it was
/// said. Paths are absolute as far as it is known where they start.
pub fn written(config: &Config) -> String {
    let mut text = String::new();
    let mut table = "";
    for (key, said) in spoken_of(config) {
        let (own, name) = key.place();
        if own != table {
            table = own;
            let _ = write!(text, "\n[{table}]\n"); // writing to a String cannot fail
        }
        let _ = writeln!(text, "# {}", place_of(said));
        let _ = writeln!(text, "{name} = {}", toml(key, said));
    }
    text
}

/// The settings that were said, and how.
pub fn spoken_of(config: &Config) -> impl Iterator<Item = (&'static Key, &Said)> {
    KEYS.iter().filter_map(|key| Some((key, config.said(key.name)?)))
}

/// Where it was said. What nobody said is not our default, or it would not have to be written.
pub fn place_of(said: &Said) -> String {
    match &said.origin {
        Origin::Default => "the original's default".to_owned(),
        origin => origin.to_string(),
    }
}

/// A value as TOML writes it. One that is of the wrong type stays so: whoever reads it says what is wrong.
pub fn toml(key: &Key, said: &Said) -> String {
    let is_path = matches!(key.kind, Kind::Path(_));
    let written = match (&said.value, &said.from) {
        (Value::Text(text), Some(from)) if is_path => value(absolute(from, text)),
        (Value::Text(text), _) if matches!(key.kind, Kind::List(_)) => {
            value(Array::from_iter([text.as_str()]))
        }
        (Value::Text(text), _) => match (key.kind, text.parse::<i64>()) {
            (Kind::Whole(_), Ok(number)) => value(number),
            _ => value(text.as_str()),
        },
        (Value::Whole(number), _) => value(*number),
        (Value::Fraction(number), _) => value(*number),
        (Value::Switch(switch), _) => value(*switch),
        (Value::List(items), _) => {
            let texts = items.iter().filter_map(|item| match item {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            });
            value(Array::from_iter(texts))
        }
        (Value::Other(name), _) => value(*name),
    };
    written.to_string().trim().to_owned()
}

fn absolute(from: &Path, text: &str) -> String {
    from.join(text).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Surroundings, shown};
    use super::*;

    #[test]
    fn it_says_the_same() {
        let surroundings = || Surroundings { variables: Vec::new(), root: true };
        let mut config = Config::empty(surroundings());
        for (key, value, from) in [
            ("base_port", Value::Text("3000".to_owned()), None),
            ("bind", Value::Text("::1".to_owned()), None),
            ("server.tls_file", Value::Text("a \"b\".pem".to_owned()), Some("/etc/x")),
            ("ca.api", Value::Switch(false), None),
            ("fleet.trusted_proxies", Value::List(vec![Value::Text("10.0.0.0/8".to_owned())]), None),
        ] {
            let origin = Origin::Member("a.conf".into(), key.to_owned());
            config.say(key, Said { value, origin, from: from.map(Into::into) });
        }
        let text = written(&config);
        assert!(text.starts_with("# a.conf: base_port\nbase_port = 3000\n"), "{text}");
        let mut again = Config::empty(surroundings());
        again.read_text(Path::new("/srv/provost.toml"), &text);
        assert_eq!(
            shown(&Settings::from(&again).unwrap()),
            shown(&Settings::from(&config).unwrap()),
            "{text}"
        );
    }
}
