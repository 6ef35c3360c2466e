//! By which name the program was called, and what settings are called there.
//!
//! Messages name a setting as the configuration file does, between backticks, or by our own flag for it. Whoever called
//! the program by an old name knows neither: they are told what stands for it there.

use crate::caucased;
use crate::compat::commissaire::server as commissaire_server;
use crate::settings::{KEYS, Key, Problem};

/// By which name the program was called, and so what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// `provost up`.
    Provost,
    /// `caucased`.
    Caucased,
    /// `commissaire-server`.
    Commissaire,
}

impl Face {
    /// `text` in the words of this face.
    pub fn words(self, text: &str) -> String {
        if self == Self::Provost {
            return text.to_owned();
        }
        KEYS.iter().filter(|key| text.contains(key.name) || text.contains(&key.flag())).fold(
            text.to_owned(),
            |text, key| {
                let Some((word, before_value)) = self.word(key) else { return text };
                text.replace(&format!("`{}`", key.name), &format!("`{word}`"))
                    .replace(&format!("{} ", key.flag()), &format!("{word}{before_value}"))
            },
        )
    }

    /// The same of something that is wrong, or worth knowing.
    pub fn problem(self, problem: &Problem) -> Problem {
        let name = |key: &String| {
            let found = KEYS.iter().find(|known| known.name == key).and_then(|known| self.word(known));
            found.map_or_else(|| key.clone(), |(word, _)| word)
        };
        Problem {
            origin: problem.origin.clone(),
            key: problem.key.as_ref().map(name),
            what: self.words(&problem.what),
            hint: problem.hint.as_deref().map(|hint| self.words(hint)),
        }
    }

    /// What stands for a setting, and what stands between that and its value; nothing where nothing does.
    fn word(self, key: &Key) -> Option<(String, char)> {
        match self {
            Self::Provost => None,
            Self::Caucased => Some((caucased::option(key.name)?, ' ')),
            // What it has no option for, our own variables say.
            Self::Commissaire => Some(match commissaire_server::option(key.name) {
                Some(option) => (option, ' '),
                None => (key.variable(), '='),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Origin;

    #[test]
    fn settings_are_called_what_they_are_called_there() {
        let text = "name an address with `bind`, for example --bind 0.0.0.0, or another with --data DIR, not `binds`";
        for (face, expected) in [
            (Face::Provost, text),
            (
                Face::Caucased,
                "name an address with `--bind`, for example --bind 0.0.0.0, or another with --data DIR, not `binds`",
            ),
            (
                Face::Commissaire,
                "name an address with `--listen-interface`, for example --listen-interface 0.0.0.0, or another with \
                 PROVOST_DATA=DIR, not `binds`",
            ),
        ] {
            assert_eq!(face.words(text), expected);
        }
    }

    #[test]
    fn problems_are_about_what_is_called_so_there() {
        let problem = Problem::new(Origin::Default, "base_port", "`netloc` has one").hint("see `base_port`");
        for (face, expected, hint) in [
            (Face::Provost, "base_port: `netloc` has one", "see `base_port`"),
            (Face::Caucased, "--base-port: `--netloc` has one", "see `--base-port`"),
            (Face::Commissaire, "--listen-port: `PROVOST_NETLOC` has one", "see `--listen-port`"),
        ] {
            let told = face.problem(&problem);
            assert_eq!((told.to_string().as_str(), told.hint.as_deref()), (expected, Some(hint)));
        }
    }
}
