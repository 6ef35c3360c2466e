//! Names of clusters, networks and container managers: `[A-Za-z0-9_-]+` (commissaire contract, section 2.3).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};

use crate::order::natural;

/// The longest name, in bytes.
const BYTES_MAX: usize = 200;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It has no characters.
    #[error("a name is not empty")]
    Empty,
    /// It has more than 200 characters.
    #[error("a name has at most 200 characters")]
    TooLong,
    /// It has a character that no name has.
    #[error("a name has letters, digits, `_` and `-`, and nothing else")]
    Character,
}

impl Explain for BadName {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

fn check(text: &str) -> Result<(), BadName> {
    match text.as_bytes() {
        [] => Err(BadName::Empty),
        bytes if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)) => {
            Err(BadName::Character)
        }
        bytes if bytes.len() > BYTES_MAX => Err(BadName::TooLong),
        _ => Ok(()),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                natural(&self.0, &other.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        })*
    };
}
names! {
    /// A cluster's name. Ordered as people do, numbers by their value.
    ClusterName;
    /// A network's name. Ordered as people do, numbers by their value.
    NetworkName;
    /// A container manager's name. Ordered as people do, numbers by their value.
    ContainerManagerName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        let long = "a".repeat(200);
        for (text, expected) in [
            ("web", Ok(())),
            ("Web_2-b", Ok(())),
            (&long, Ok(())),
            ("", Err(BadName::Empty)),
            (&format!("{long}a"), Err(BadName::TooLong)),
            ("a.b", Err(BadName::Character)),
            ("a/b", Err(BadName::Character)),
            ("é", Err(BadName::Character)),
        ] {
            assert_eq!(text.parse::<ClusterName>().map(drop), expected, "{text:?}");
        }
    }
}
