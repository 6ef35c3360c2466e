//! `provost config reference`: a configuration file that says nothing, and explains everything.

use std::fmt::Write as _;

use super::key::{Default, KEYS, Key};

/// The text of the file. Every setting is commented out, with its default where it has one.
pub fn reference() -> String {
    let mut text = String::from(
        "# The settings of Provost, as `provost config reference` prints them.\n\
         #\n\
         # Provost reads the file that --config or PROVOST_CONFIG names, else provost.toml in the data\n\
         # directory, if there is one. Flags come before environment variables, variables before this file.\n\
         # An empty variable says nothing; a list in a variable is separated by commas or spaces.\n\
         # Relative paths start from the directory of this file. `provost config check` says what is wrong\n\
         # and what holds. Every setting below is commented out and shows its default.\n",
    );
    let mut table = "";
    for key in KEYS {
        if key.place().0 != table {
            table = key.place().0;
            let _ = write!(text, "\n[{table}]\n"); // writing to a String cannot fail
        }
        text.push_str(&entry(key));
    }
    text
}

fn entry(key: &Key) -> String {
    let (_, name) = key.place();
    let mut text = String::from("\n");
    for (line, words) in key.docs.iter().enumerate() {
        let stop = if line == 0 && !words.ends_with('.') { "." } else { "" };
        let _ = writeln!(text, "# {words}{stop}");
    }
    if let Default::Follows(words, _) = key.default {
        let _ = writeln!(text, "# Default: {words}.");
    }
    let _ = writeln!(text, "# {} or {}", key.flag(), key.variable());
    let (Default::Is(value) | Default::Follows(_, value)) = key.default;
    let _ = writeln!(text, "#{name} = {value}");
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Settings, Surroundings, shown};
    use super::*;

    /// What it shows as defaults are the defaults, and its examples are right.
    #[test]
    fn uncommented_it_says_what_holds_anyway() {
        let is_setting =
            |line: &&str| line.starts_with('[') || (line.starts_with('#') && !line.starts_with("# "));
        let text = reference();
        let text: String = text
            .lines()
            .filter(is_setting)
            .map(|line| format!("{}\n", line.trim_start_matches('#')))
            .collect();
        let settings = |text: &str| {
            let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
            config.read_text(Path::new("/provost.toml"), text);
            Settings::from(&config).unwrap()
        };
        let (silent, said) = (shown(&settings("")), shown(&settings(&text)));
        for (key, (silent, said)) in KEYS.iter().zip(silent.iter().zip(&said)) {
            // What follows from other settings is shown by an example, which may be another value.
            if matches!(key.default, Default::Is(_)) {
                assert_eq!(silent, said);
            }
        }
    }
}
