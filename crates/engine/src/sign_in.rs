//! The house's side of sign-in: where passwords are compared, and who knows our own users.

use std::num::NonZeroUsize;
use std::sync::Arc;

use ca::AuthorityName;
use identity::sign_in::{AskAuthority, AskAuthorityError, BuildError, Config, Ground, Stack, Work};
use x509::Certificate;

use crate::house::House;
use crate::house_error::SignInFailed;

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
            users_authority: Some(self.asks(AuthorityName::Users)),
            services_authority: Some(self.asks(AuthorityName::Services)),
            shared: self.signing_in.clone(),
        };
        Stack::build(config, &ground)
    }

    /// Asks one of this house's authorities.
    fn asks(self: &Arc<Self>, name: AuthorityName) -> AskAuthority {
        let house = self.clone();
        Arc::new(move |certificate: Certificate| {
            let house = house.clone();
            Box::pin(async move {
                house.sign_in_to(name, &certificate, None).await.map_err(|failed| match failed {
                    SignInFailed::SignIn(error) => AskAuthorityError::Refused(error),
                    SignInFailed::Authority(error) => AskAuthorityError::Unavailable(Box::new(error)),
                })
            })
        })
    }
}
