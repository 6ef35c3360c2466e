//! Where something was said, and what is wrong with it.

use std::fmt;
use std::path::PathBuf;

/// Where a setting was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the program's default.
    Default,
    /// On the command line, by this flag.
    Flag(String),
    /// In this environment variable.
    Variable(String),
    /// In a file, on a line counted from 1.
    Line(PathBuf, usize),
    /// In a file as a whole.
    File(PathBuf),
    /// In a file that has no lines to speak of, by this member.
    Member(PathBuf, String),
}

impl Origin {
    /// For telling problems in the order in which people find them: the command line, the environment,
    /// then files from top to bottom.
    pub fn place(&self) -> (u8, usize) {
        match self {
            Self::Flag(_) => (0, 0),
            Self::Variable(_) => (1, 0),
            Self::File(_) | Self::Member(..) => (2, 0),
            Self::Line(_, line) => (2, *line),
            Self::Default => (3, 0),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Member(path, member) => write!(f, "{}: {member}", path.display()),
        }
    }
}

/// One thing that is wrong, or worth knowing, with what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said.
    pub origin: Origin,
    /// The setting's name in the file, if it is about one.
    pub key: Option<String>,
    /// What it is.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with one setting.
    pub fn new(origin: Origin, key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { origin, key: Some(key.into()), what: what.into(), hint: None }
    }

    /// The same with something to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    /// `provost.toml:12: ca.key_bits: …`; a flag, a variable and a member name their setting already.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.key) {
            (Origin::Default, Some(key)) => write!(f, "{key}: {}", self.what),
            (Origin::Line(..) | Origin::File(_), Some(key)) => {
                write!(f, "{}: {key}: {}", self.origin, self.what)
            }
            (origin, _) => write!(f, "{origin}: {}", self.what),
        }
    }
}
