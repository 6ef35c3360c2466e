//! Who may speak for a provider, or for the places of a requirer that polls.
//!
//! Who provides trust for whom is said by operators. With that, whose word is taken may be said as well: of a provider, what it
//! offers; of a requirer, what is in its places. It is then that one's alone, and administrators'.

use std::collections::BTreeSet;
use std::fmt;

use base::{Explain, Kind};
use identity::{Principal, Role};

/// The most accounts that are named.
const NAMED_MAX: usize = 64;
/// The longest name of an account, in bytes.
const BYTES_MAX: usize = 500;

/// The accounts whose word is taken; none, where that is not said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Only(BTreeSet<String>);

/// Why these are no accounts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at most {NAMED_MAX} accounts are named, each in 1 to {BYTES_MAX} bytes without control characters")]
pub struct BadAccounts;

impl Explain for BadAccounts {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// It is somebody else's to say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is for {only} to say, and you are `{who}`")]
pub struct NotYours {
    what: String,
    only: String,
    who: String,
}

impl Explain for NotYours {
    fn kind(&self) -> Kind {
        Kind::Forbidden
    }

    fn help(&self) -> Option<String> {
        Some("administrators may say it as well, and operators who else may".into())
    }
}

impl Only {
    /// These accounts.
    ///
    /// # Errors
    /// [`BadAccounts`].
    pub fn new(accounts: impl IntoIterator<Item = String>) -> Result<Self, BadAccounts> {
        let accounts: BTreeSet<String> = accounts.into_iter().collect();
        let is_name =
            |name: &String| (1..=BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        if accounts.len() > NAMED_MAX || !accounts.iter().all(is_name) {
            return Err(BadAccounts);
        }
        Ok(Self(accounts))
    }

    /// What stands in a record, which was looked at when it was written.
    pub(crate) fn from_record(accounts: Vec<String>) -> Self {
        Self(accounts.into_iter().collect())
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    /// Whether `who` may say `what`: who is named, or an administrator; and where nobody is, who may do what `otherwise` may.
    pub(crate) fn check(&self, who: &Principal, otherwise: Role, what: &str) -> Result<(), NotYours> {
        let is_so = if self.0.is_empty() {
            who.role().covers(otherwise)
        } else {
            self.0.contains(who.account()) || who.role().covers(Role::Administrator)
        };
        // What the house does, it does not do for anybody.
        if is_so || who.account() == Principal::house().account() {
            return Ok(());
        }
        Err(NotYours { what: what.to_owned(), only: self.to_string(), who: who.account().to_owned() })
    }
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("operators");
        }
        for (at, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_word_is_taken() {
        let who = |name: &str, role| Principal::pretended(name, role, None);
        let only = Only::new(["user ada".to_owned(), "client web".to_owned()]).unwrap();
        for (only, name, role, otherwise, is_so) in [
            (&only, "user ada", Role::Reader, Role::Operator, true),
            (&only, "user bo", Role::Reader, Role::Reader, false),
            (&only, "user bo", Role::Operator, Role::Operator, false),
            (&only, "user root", Role::Administrator, Role::Operator, true),
            (&Only::default(), "user ada", Role::Reader, Role::Operator, false),
            (&Only::default(), "user ada", Role::Publisher, Role::Reader, true),
            (&Only::default(), "user bo", Role::Operator, Role::Operator, true),
        ] {
            let found = only.check(&who(name, role), otherwise, "it");
            assert_eq!(found.is_ok(), is_so, "{name} {role:?} {otherwise:?}");
        }
        let house = Principal::house();
        assert!(only.check(&house, Role::Operator, "it").is_ok());
        let refused = only.check(&who("user bo", Role::Operator), Role::Operator, "what `corp` offers");
        let said = "what `corp` offers is for `client web`, `user ada` to say, and you are `user bo`";
        assert_eq!(refused.unwrap_err().to_string(), said);
    }

    #[test]
    fn accounts_are_looked_at() {
        for (names, is_so) in [
            (vec![String::new()], false),
            (vec!["a\nb".to_owned()], false),
            (vec!["x".repeat(501)], false),
            ((0..65).map(|number| number.to_string()).collect(), false),
            ((0..64).map(|number| number.to_string()).collect(), true),
            (vec!["client O=Example, CN=web-1".to_owned()], true),
        ] {
            assert_eq!(Only::new(names.clone()).is_ok(), is_so, "{names:?}");
        }
    }
}
