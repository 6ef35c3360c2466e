//! Leave to do one thing, as a value.

use std::fmt;
use std::marker::PhantomData;

use base::{Explain, Kind};

use crate::{Principal, Role};

/// Something that not everybody may do. Rooms define theirs; they are never made, only named.
pub trait Action: 'static {
    /// What the history and refusals call it: `approve a request`.
    const NAME: &'static str;
    /// The least role that may do it.
    const ROLE: Role;
}

/// Leave to do `A`, once, and who got it. Rooms take it by value.
pub struct Permit<A: Action> {
    by: Principal,
    action: PhantomData<fn(A)>,
}

impl<A: Action> Permit<A> {
    /// Gives `principal` leave to do `A`.
    ///
    /// # Errors
    /// [`Denied`] when its role does not cover the one that is needed.
    pub fn grant(principal: Principal) -> Result<Self, Denied> {
        if !principal.role().covers(A::ROLE) {
            return Err(Denied { who: principal.name().to_owned(), what: A::NAME });
        }
        Ok(Self { by: principal, action: PhantomData })
    }

    /// Leave for the house itself.
    #[must_use]
    pub fn house() -> Self {
        Self { by: Principal::house(), action: PhantomData }
    }

    /// Who has it.
    #[must_use]
    pub fn by(&self) -> &Principal {
        &self.by
    }
}

impl<A: Action> fmt::Debug for Permit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} may {})", self.by, A::NAME)
    }
}

/// Somebody known may not do what they asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{who} may not {what}")]
pub struct Denied {
    who: String,
    what: &'static str,
}

impl Denied {
    /// The principal who asked.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// What it wanted to do: [`Action::NAME`].
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }
}

impl Explain for Denied {
    fn kind(&self) -> Kind {
        Kind::Forbidden
    }

    fn help(&self) -> Option<String> {
        Some("ask an administrator".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Look;
    impl Action for Look {
        const NAME: &'static str = "look";
        const ROLE: Role = Role::Reader;
    }
    struct Change;
    impl Action for Change {
        const NAME: &'static str = "change things";
        const ROLE: Role = Role::Administrator;
    }

    #[test]
    fn roles_cover_roles() {
        use Role::{Administrator, Operator, Publisher, Reader, Registrar};
        for (role, covered) in [
            (Registrar, &[Registrar][..]),
            (Reader, &[Reader]),
            (Publisher, &[Reader, Publisher]),
            (Operator, &[Registrar, Reader, Publisher, Operator]),
            (Administrator, &[Registrar, Reader, Publisher, Operator, Administrator]),
        ] {
            for needed in [Registrar, Reader, Publisher, Operator, Administrator] {
                assert_eq!(role.covers(needed), covered.contains(&needed), "{role:?} for {needed:?}");
            }
        }
    }

    #[test]
    fn a_role_gives_leave_for_what_it_covers() {
        let reader = || Principal::new("a reader", Role::Reader, None);
        assert_eq!(Permit::<Look>::grant(reader()).expect("readers look").by().name(), "a reader");
        let registrar = Principal::new("a machine", Role::Registrar, None);
        assert!(Permit::<Look>::grant(registrar).is_err(), "registering is not looking");
        let denied = Permit::<Change>::grant(reader()).expect_err("readers change nothing");
        assert_eq!(denied.to_string(), "a reader may not change things");
    }
}
