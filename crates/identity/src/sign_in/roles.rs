//! Which role somebody has whom a method knows.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::Role;

/// The roles of those whom one method knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// By the name that the method knows them by. Comes before any group.
    pub users: BTreeMap<String, Role>,
    /// By a group they are in, or a role that they have elsewhere. Of several, the one that may do most counts.
    pub groups: BTreeMap<String, Role>,
    /// Everybody else's; with none, they are not let in.
    pub others: Option<Role>,
}

impl Roles {
    /// The same role for everybody.
    #[must_use]
    pub fn everybody(role: Role) -> Self {
        Self { users: BTreeMap::new(), groups: BTreeMap::new(), others: Some(role) }
    }

    /// The role of the user called `name`, who is in `groups`. A user without a name is one of the others, or has
    /// the role of a group.
    pub(crate) fn of<'g>(
        &self,
        name: Option<&str>,
        groups: impl IntoIterator<Item = &'g str>,
    ) -> Option<Role> {
        let of_groups = || groups.into_iter().filter_map(|group| self.groups.get(group)).copied();
        name.and_then(|name| self.users.get(name).copied())
            .or_else(|| of_groups().max_by_key(|role| rank(*role)))
            .or(self.others)
    }
}

/// Only for choosing among several: whether a role covers another is [`Role::covers`]' to say.
fn rank(role: Role) -> u8 {
    match role {
        Role::Registrar => 0,
        Role::Reader => 1,
        Role::Publisher => 2,
        Role::Operator => 3,
        Role::Administrator => 4,
    }
}

/// All roles, and what configuration calls them.
const NAMES: [(Role, &str); 5] = [
    (Role::Registrar, "registrar"),
    (Role::Reader, "reader"),
    (Role::Publisher, "publisher"),
    (Role::Operator, "operator"),
    (Role::Administrator, "administrator"),
];

/// No role has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; there are registrar, reader, publisher, operator and administrator")]
pub struct ParseRoleError(String);

impl FromStr for Role {
    type Err = ParseRoleError;

    /// `registrar`, `reader`, `publisher`, `operator` or `administrator`.
    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(role, _)| *role).ok_or_else(|| ParseRoleError(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = NAMES.iter().find(|(role, _)| role == self);
        f.write_str(found.map_or("", |(_, name)| *name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_before_groups_and_groups_before_others() {
        let map = |of: &[(&str, Role)]| of.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect();
        let roles = Roles {
            users: map(&[("alice", Role::Reader)]),
            groups: map(&[
                ("staff", Role::Operator),
                ("admin", Role::Administrator),
                ("hosts", Role::Registrar),
            ]),
            others: None,
        };
        let check = |name: Option<&str>, groups: &[&str], expected: Option<Role>| {
            assert_eq!(roles.of(name, groups.iter().copied()), expected, "{name:?} {groups:?}");
        };
        check(Some("alice"), &["admin"], Some(Role::Reader));
        check(Some("bob"), &["staff", "admin", "hosts"], Some(Role::Administrator));
        check(Some("bob"), &["hosts"], Some(Role::Registrar));
        check(None, &["staff"], Some(Role::Operator));
        check(Some("bob"), &["other"], None);
        check(None, &[], None);
        assert_eq!(Roles::everybody(Role::Reader).of(Some("bob"), []), Some(Role::Reader));
    }

    #[test]
    fn roles_have_names() {
        for (role, name) in NAMES {
            assert_eq!((role.to_string().as_str(), name.parse()), (name, Ok(role)));
        }
        let error = "root".parse::<Role>().unwrap_err();
        assert!(error.to_string().starts_with("`root` is no role; there are registrar"), "{error}");
    }
}
