//! Names of providers and requirers.

use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};

/// The longest name, in bytes.
const BYTES_MAX: usize = 63;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 63 lower-case letters, digits, `-`, `_` and `.`, and begins with a letter or a digit"
)]
pub struct BadName;

impl Explain for BadName {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

fn check(text: &str) -> Result<(), BadName> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = text.len() <= BYTES_MAX
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || b"-_.".contains(&byte));
    if is_name { Ok(()) } else { Err(BadName) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// What stands in a record, which was checked when it was written.
            pub(crate) fn from_record(text: String) -> Self {
                Self(text)
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        })*
    };
}
names! {
    /// Who says which certificates are to be trusted.
    ProviderName;
    /// Who is to have them.
    RequirerName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        let long = "a".repeat(63);
        for (text, is_name) in [
            ("web", true),
            ("0-a_b.c", true),
            (&long, true),
            ("", false),
            (&format!("{long}a"), false),
            ("-a", false),
            (".", false),
            ("Web", false),
            ("a/b", false),
            ("é", false),
        ] {
            assert_eq!(text.parse::<RequirerName>().is_ok(), is_name, "{text:?}");
        }
    }
}
