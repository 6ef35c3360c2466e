//! Sign-in by a name and a password, compared to bcrypt hashes (contract of `/api/v0`, section 7.5).
//!
//! Passwords of more than 72 bytes are cut there, as bcrypt has always done: hashes made of such passwords are out
//! there. One with a NUL in it is refused, since bcrypt takes NUL for the end.
//!
//! Comparing takes long by design (a quarter of a second at cost 12), so it happens away from whoever waits, a
//! bounded number at once, and who was right is remembered for a moment.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use base::{Clock, Entropy};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::attempt::Attempt;
use super::config::{BasicConfig, ParseHashError, PasswordHash, UserConfig};
use super::guard::{self, Found, Guard};
use super::method::{Known, Method, Verdict};
use super::offer::{Login, Offer};
use super::roles::ParseRoleError;
use super::stack::Compute;
use super::turns::Turn;
use super::watched_file::WatchedFile;
use crate::Role;

/// The greatest cost that is worked for under a name that there is not: half a second.
const PRETENDED_COST_MAX: i16 = 13;

/// Users with passwords.
pub(crate) struct Basic {
    users: HashMap<String, UserConfig>,
    file: Option<WatchedFile<HashMap<String, UserConfig>>>,
    /// Whether nobody else knows users by password who are unknown here. If somebody does, it is theirs to judge
    /// a guess, and to keep secret whom they know.
    knows_everybody: bool,
    guard: Guard,
    /// Stands before what is looked at for its time alone.
    strangers: Guard,
    compute: Compute,
    /// What tells it from others, which may know other users.
    itself: Arc<()>,
}

impl Basic {
    pub(crate) fn new(
        config: BasicConfig,
        knows_everybody: bool,
        guard: Guard,
        compute: Compute,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Self {
        let strangers = guard.of_strangers(entropy);
        let file = config.file.map(|path| users_file(path, config.role, clock.clone()));
        Self {
            users: by_name(config.users),
            file,
            knows_everybody,
            guard,
            strangers,
            compute,
            itself: Arc::default(),
        }
    }

    async fn look(&self, attempt: &Attempt<'_>, offer: &Offer, login: &Login) -> Verdict {
        let in_file = self.file.as_ref().map(WatchedFile::now);
        let known =
            in_file.as_ref().and_then(|users| users.get(&login.user)).or_else(|| self.users.get(&login.user));
        if known.is_none() && !self.knows_everybody {
            return Verdict::Failure; // they are not known from the others: see `take_as_long`
        }
        // Whether there is such a user must not be told by the time it takes: any hash will do.
        let stand_in =
            || costliest(in_file.iter().flat_map(|users| users.values()).chain(self.users.values()));
        let Some(user) = known.or_else(stand_in) else {
            return Verdict::WrongGuess;
        };
        // The hash may be another user's: whether it is this one's counts as well.
        let key = self.guard.key(&[
            &[u8::from(known.is_some())],
            login.user.as_bytes(),
            login.password.expose().as_bytes(),
            user.hash.as_str().as_bytes(),
            &[user.role as u8],
        ]);
        let compare = async |turn: Turn| {
            let (hash, password) = (user.hash.clone(), login.password.clone());
            let (is_known, as_long_as) = (known.is_some(), stand_in().map_or(0, |user| user.hash.cost()));
            let compared = (self.compute)(Box::new(move || {
                // The one hash that is compared to need not be that of the user.
                let is_right = is_of(password.expose(), &hash) && is_known;
                if !is_right {
                    take_longer(password.expose(), hash.cost(), as_long_as);
                }
                drop(turn);
                is_right
            }));
            if compared.await {
                Found::Known(Known::new(format!("user {}", user.name), user.role), None)
            } else {
                Found::Nobody
            }
        };
        let verdict = self.guard.judge(attempt, offer, key, compare).await;
        if let (Verdict::Success(_), Some(recent)) = (&verdict, attempt.recent) {
            let (by, of) = (Arc::downgrade(&self.itself), self.guard.trace(offer, key));
            let trace = Trace { by, of, file: in_file.as_ref().map(Arc::downgrade) };
            recent.keep(attempt.headers, Arc::new(trace));
        }
        verdict
    }
}

/// Where somebody is remembered, and what the file said of them then.
struct Trace {
    /// By whom.
    by: Weak<()>,
    of: guard::Trace,
    /// Another one when it was read again. Not kept: only told from others.
    file: Option<Weak<HashMap<String, UserConfig>>>,
}

impl Basic {
    /// Compares the password of somebody whom nobody here knows.
    async fn compare_for_nothing(&self, attempt: &Attempt<'_>, offer: &Offer, login: &Login) {
        let in_file = self.file.as_ref().map(WatchedFile::now);
        let users = || in_file.iter().flat_map(|users| users.values()).chain(self.users.values());
        let is_known = users().any(|user| user.name == login.user);
        let Some(user) = costliest(users()).filter(|_| !is_known && !self.knows_everybody) else { return };
        let key = self.strangers.key(&[login.user.as_bytes(), login.password.expose().as_bytes()]);
        let compare = async |turn: Turn| {
            let (hash, password) = (user.hash.clone(), login.password.clone());
            let compared = (self.compute)(Box::new(move || {
                let _ = is_of(password.expose(), &hash);
                drop(turn);
                false
            }));
            compared.await;
            Found::Nobody
        };
        self.strangers.judge(attempt, offer, key, compare).await;
    }
}

impl Method for Basic {
    fn name(&self) -> &'static str {
        "basic"
    }

    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, offer: &'a Offer) -> BoxFuture<'a, Verdict> {
        match offer.login() {
            Some(login) => self.look(attempt, offer, login).boxed(),
            None => std::future::ready(Verdict::Failure).boxed(),
        }
    }

    fn take_as_long<'a>(&'a self, attempt: &'a Attempt<'a>, offer: &'a Offer) -> BoxFuture<'a, ()> {
        match offer.login() {
            Some(login) => self.compare_for_nothing(attempt, offer, login).boxed(),
            None => std::future::ready(()).boxed(),
        }
    }

    fn again(&self, attempt: &Attempt<'_>, trace: &(dyn Any + Send + Sync)) -> Option<Arc<Known>> {
        let trace = trace.downcast_ref::<Trace>()?;
        let is_same = match (self.file.as_ref().map(WatchedFile::now), &trace.file) {
            (None, None) => true,
            (Some(now), Some(then)) => std::ptr::eq(Arc::as_ptr(&now), then.as_ptr()),
            _ => false,
        };
        let is_ours = std::ptr::eq(Arc::as_ptr(&self.itself), trace.by.as_ptr());
        if is_same && is_ours { self.guard.again(attempt, &trace.of) } else { None }
    }
}

/// Whether `hash` was made of `password`. Takes long, whatever the password is.
fn is_of(password: &str, hash: &PasswordHash) -> bool {
    let may_be = !password.contains('\0');
    let looked_at = if may_be { password } else { "" };
    bcrypt::verify(looked_at, hash.as_str()).unwrap_or(false) && may_be
}

/// After a comparison at cost `cost`, works on until it took as long as one at `as_long_as`: each cost takes twice as
/// long as the one before, and so does it. Otherwise a user whose hash is cheaper than the others' would be told
/// from one who does not exist.
fn take_longer(password: &str, cost: u8, as_long_as: u8) {
    for cost in cost..as_long_as {
        // What comes of it is nothing.
        let _ = std::hint::black_box(bcrypt::hash_with_salt(
            password.replace('\0', ""),
            u32::from(cost),
            [0; 16],
        ));
    }
}

/// Whose hash takes the longest, which is compared for whoever is not known; but not longer than [`PRETENDED_COST_MAX`]
/// does: whoever has a costlier hash can be told from others by the time it takes, but nobody
/// can make the server work for seconds under a name that there is not. Where all cost more, the cheapest.
fn costliest<'a>(users: impl Iterator<Item = &'a UserConfig>) -> Option<&'a UserConfig> {
    users.max_by_key(|user| {
        let cost = i16::from(user.hash.cost());
        if cost <= PRETENDED_COST_MAX { cost } else { -cost }
    })
}

fn by_name(users: Vec<UserConfig>) -> HashMap<String, UserConfig> {
    users.into_iter().map(|user| (user.name.clone(), user)).collect()
}

fn users_file(path: PathBuf, role: Role, clock: Clock) -> WatchedFile<HashMap<String, UserConfig>> {
    let shown = path.display().to_string();
    let parse = move |bytes: &[u8]| {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let (users, problems) = users(&value, role);
        for problem in problems {
            tracing::warn!(file = shown, %problem, "a user cannot sign in");
        }
        Ok(by_name(users))
    };
    WatchedFile::new(path, clock, Box::new(parse))
}

/// What is wrong with one user, or with all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserProblem {
    /// There is no object with users in it.
    #[error("users are written as an object: {{\"NAME\": {{\"hash\": \"$2b$…\"}}}}")]
    NoUsers,
    /// There is no text `hash`.
    #[error("user `{user}` has no `hash`")]
    NoHash {
        /// The user's name.
        user: String,
    },
    /// The hash is none.
    #[error("user `{user}`: {source}")]
    Hash {
        /// The user's name.
        user: String,
        /// What is wrong.
        source: ParseHashError,
    },
    /// The role is none.
    #[error("user `{user}`: {source}")]
    Role {
        /// The user's name.
        user: String,
        /// What is wrong.
        source: ParseRoleError,
    },
}

/// The users in `{"alice": {"hash": "$2b$12$…", "role": "operator"}}`, in the order of their names, and what is
/// wrong with the others. Who has no role there has `role`; other members mean nothing.
#[must_use]
pub fn users(value: &Value, role: Role) -> (Vec<UserConfig>, Vec<UserProblem>) {
    let (mut users, mut problems) = (Vec::new(), Vec::new());
    let Some(entries) = value.as_object() else { return (users, vec![UserProblem::NoUsers]) };
    for (name, entry) in entries {
        match user(name, entry, role) {
            Ok(user) => users.push(user),
            Err(problem) => problems.push(problem),
        }
    }
    (users, problems)
}

fn user(name: &str, entry: &Value, role: Role) -> Result<UserConfig, UserProblem> {
    let user = || name.to_owned();
    let hash =
        entry.get("hash").and_then(Value::as_str).ok_or_else(|| UserProblem::NoHash { user: user() })?;
    let hash = hash.parse().map_err(|source| UserProblem::Hash { user: user(), source })?;
    let role = match entry.get("role") {
        None => role,
        // Whatever is no text is no role either.
        Some(said) => said
            .as_str()
            .map_or_else(|| said.to_string().parse(), str::parse)
            .map_err(|source| UserProblem::Role { user: user(), source })?,
    };
    Ok(UserConfig { name: user(), hash, role })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Of `secret`, at cost 4.
    fn hash_of(password: &str) -> PasswordHash {
        bcrypt::hash(password, 4).unwrap().parse().unwrap()
    }

    #[test]
    fn passwords_are_those_of_the_hash() {
        let long = "x".repeat(80);
        for (made_of, offered, expected) in [
            ("secret", "secret", true),
            ("secret", "Secret", false),
            ("secret", "secret ", false),
            ("", "", true),
            ("", "a", false),
            ("pässwörd:with:colons", "pässwörd:with:colons", true),
            (&long, &long, true),
            (&long, &long[..72], true), // what bcrypt has always done
            (&long, &long[..71], false),
            ("secret", "secret\0", false),
            ("secret", "secret\0secret", false), // which bcrypt itself would take for `secret`
        ] {
            assert_eq!(is_of(offered, &hash_of(made_of)), expected, "{offered:?} for {made_of:?}");
        }
    }

    /// By the least that was seen of several, so that a busy machine does not matter.
    #[test]
    fn a_cheap_hash_takes_as_long_as_a_dear_one() {
        let least = |work: &dyn Fn()| {
            let once = || {
                let begun = std::time::Instant::now();
                work();
                begun.elapsed()
            };
            (0..5).map(|_| once()).min().unwrap()
        };
        let cheap = hash_of("secret");
        let dear: PasswordHash = bcrypt::hash("secret", 9).unwrap().parse().unwrap();
        for password in ["wrong", "wrong\0"] {
            let long = least(&|| assert!(!is_of(password, &dear)));
            let padded = least(&|| {
                assert!(!is_of(password, &cheap));
                take_longer(password, cheap.cost(), dear.cost());
            });
            assert!(padded > long / 2 && padded < long * 2, "{password}: {padded:?} and {long:?}");
        }
    }

    #[test]
    fn what_can_be_understood_counts() {
        let hash = hash_of("secret");
        let value = json!({
            "alice": {"hash": hash.as_str(), "role": "operator", "shell": "/bin/sh"},
            "bob": {"hash": hash.as_str()},
            "carol": {"hash": "plain"},
            "dave": {},
            "erin": {"hash": hash.as_str(), "role": "root"},
            "frank": {"hash": hash.as_str(), "role": 7},
            "grace": "plain",
        });
        let (found, problems) = users(&value, Role::Administrator);
        let found: Vec<_> = found.iter().map(|user| (user.name.as_str(), user.role)).collect();
        assert_eq!(found, [("alice", Role::Operator), ("bob", Role::Administrator)]);
        let problems: Vec<String> = problems.iter().map(UserProblem::to_string).collect();
        assert_eq!(problems.len(), 5);
        assert!(problems[0].starts_with("user `carol`: the hash is not one of bcrypt's"), "{problems:?}");
        assert_eq!(problems[1], "user `dave` has no `hash`");
        assert!(problems[2].starts_with("user `erin`: `root` is no role"), "{problems:?}");
        assert!(problems[3].starts_with("user `frank`: `7` is no role"), "{problems:?}");
        assert_eq!(problems[4], "user `grace` has no `hash`");
        assert_eq!(users(&json!([]), Role::Reader), (vec![], vec![UserProblem::NoUsers]));
    }

    /// A users file with one hash that takes long must not let everybody have the server compute for so long.
    #[test]
    fn nobody_is_worked_for_as_long_as_for_the_costliest_hash() {
        let users = |costs: &[u8]| -> Vec<UserConfig> {
            let user = |cost: &u8| {
                let hash = format!("$2b${cost:02}$XefwdWd2iOAQz0h4H8wNaenxzfdyMoZjlvOxSexEPLLyCudnLi5DK");
                UserConfig { name: cost.to_string(), hash: hash.parse().unwrap(), role: Role::Reader }
            };
            costs.iter().map(user).collect()
        };
        for (costs, expected) in [
            (&[4, 12, 10][..], Some(12)),
            (&[4, 16], Some(4)),
            (&[13, 14], Some(13)),
            (&[16, 15], Some(15)),
            (&[], None),
        ] {
            let users = users(costs);
            assert_eq!(costliest(users.iter()).map(|user| user.hash.cost()), expected, "{costs:?}");
        }
    }
}
