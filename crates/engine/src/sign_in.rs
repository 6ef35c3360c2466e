//! The house's side of sign-in: where passwords are compared, and who knows our own users.

use std::num::NonZeroUsize;
use std::sync::Arc;

use identity::sign_in::{BuildError, Config, Ground, Stack, UsersAuthority, UsersAuthorityError, Work};
use x509::Certificate;

use crate::house::{House, SignInFailed};

impl House {
    /// The methods of sign-in that `config` names, on this house. Made once: they remember who was right, and who
    /// guesses.
    ///
    /// # Errors
    /// Everything that is wrong with `config`.
    pub fn sign_in_methods(self: &Arc<Self>, config: Config) -> Result<Stack, Vec<BuildError>> {
        let tasks = self.tasks().clone();
        let compute = move |work: Work| {
            let tasks = tasks.clone();
            Box::pin(async move { tasks.compute(work).await }) as _
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let ground = Ground {
            clock: self.clock().clone(),
            entropy: self.entropy().clone(),
            compute: Arc::new(compute),
            // Whoever guesses passwords does not get the whole machine.
            compute_at_once: (cores - 1).max(1),
            users_authority: Some(self.users_authority()),
        };
        Stack::build(config, &ground)
    }

    /// Asks this house's users authority.
    fn users_authority(self: &Arc<Self>) -> UsersAuthority {
        let house = self.clone();
        Arc::new(move |certificate: Certificate| {
            let house = house.clone();
            Box::pin(async move {
                house.sign_in(Some(&certificate), None).await.map_err(|failed| match failed {
                    SignInFailed::SignIn(error) => UsersAuthorityError::Refused(error),
                    SignInFailed::Authority(error) => UsersAuthorityError::Unavailable(Box::new(error)),
                })
            })
        })
    }
}
