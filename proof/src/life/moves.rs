//! What operators do with a whole house: they copy it and put a copy back, take it to caucase's format and out of it
//! again, and begin rollovers early.
//!
//! A house that was put back knows nothing of what happened since the copy. What has to hold nevertheless: no serial comes
//! twice, ever; the numbers of revocation lists go on growing, past those that nobody remembers; certificates that were
//! issued since are good, can be renewed and revoked; what was revoked before the copy stays so. What was revoked since is
//! good again until somebody says it again, who has to know it from elsewhere: here everybody does, at once. A copy that
//! is older than the latest CA certificate would lose its key, and all who trust it would begin anew as after a
//! retirement: such a copy is not put back.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use base::{Span, Timestamp};
use ca::takeover::RestoredError;
use ca::{AuthorityName, RenewError, RevokeError, RotateError, SubmitError};
use caucase_files::backup::Reader;
use futures_executor::block_on;
use identity::Permit;
use store::{Engine, Key};
use x509::{Certificate, PrivateKey};

use super::model::{Model, Revoked};
use super::{Who, World, is_of_the_store};
use crate::Authorities;
use crate::copy::{self, Copy};

/// How many keys are tried before one is taken that nobody had.
const KEYS_TRIED_MAX: usize = 1_000;
/// The oldest copy that is kept, and how many are.
const COPY_AGE_MAX: Span = Span::days(60);
const COPIES_MAX: usize = 3;

/// A copy of a house, and what was true then.
pub(super) struct Kept {
    made_at: Timestamp,
    house: House,
    models: [Model; 2],
}

enum House {
    /// Of ours: `provost backup`.
    Ours(Copy),
    /// In caucase's format.
    Caucase {
        backup: Vec<u8>,
        /// Which user can open it, with what, and the certificate of that key.
        user: usize,
        key: PrivateKey,
        certificate: Certificate,
    },
}

const NAMES: [AuthorityName; 2] = [AuthorityName::Services, AuthorityName::Users];

impl World {
    /// What is done with a whole house now and then.
    pub(super) fn moves(&mut self) {
        if self.dice.happens(500) {
            self.copy();
        }
        if self.dice.happens(100) {
            self.rotate();
        }
        if self.dice.happens(100) {
            self.put_back();
        }
        if self.dice.happens(50) {
            self.go_to_caucase_and_back();
        }
    }

    fn copy(&mut self) {
        let now = self.now();
        let house = if self.dice.happens(5_000) {
            let Some(backup) = copy::backup(&self.base, &self.lower) else { return };
            let opens = |user: usize| -> Option<(PrivateKey, Certificate)> {
                let (asker, certificate) = self.users[user].pair()?;
                let pair = (asker.key().clone(), certificate.clone());
                Reader::open(&backup[..], asker.key()).is_ok().then_some(pair)
            };
            // Who has renewed since may have thrown the key away that could.
            let Some((user, (key, certificate))) =
                (0..self.users.len()).find_map(|user| Some((user, opens(user)?)))
            else {
                return;
            };
            House::Caucase { backup, user, key, certificate }
        } else {
            House::Ours(Copy::of(&self.lower, now))
        };
        self.figures.copies += 1;
        self.copies.push(Rc::new(Kept { made_at: now, house, models: self.models.clone() }));
        let surplus = self.copies.len().saturating_sub(COPIES_MAX);
        self.copies.drain(..surplus);
    }

    /// Records are kept elsewhere from now on: there is what `fill` puts there.
    fn elsewhere(&mut self, fill: impl FnOnce(&Self, &Arc<dyn Engine>)) {
        self.moved += 1;
        let mut disk = self.disk.another(self.folder.path().join(format!("store-{}.sqlite", self.moved)));
        let engine = disk.engine();
        fill(self, &engine);
        self.disk = disk;
        self.lower = engine;
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let _ = std::fs::remove_file(&path);
        path
    }

    /// A copy takes the place of everything. It is kept: it may be needed again.
    fn put_back(&mut self) {
        let now = self.now();
        self.copies.retain(|kept| kept.made_at + COPY_AGE_MAX >= now);
        let has_all = |kept: &&Rc<Kept>| {
            let mut pairs = kept.models.iter().zip(&self.models);
            pairs.all(|(then, today)| {
                today.latest_anchors.iter().all(|anchor| then.latest_anchors.contains(anchor))
            })
        };
        let fit: Vec<_> = self.copies.iter().filter(has_all).cloned().collect();
        if fit.is_empty() {
            return;
        }
        let kept = fit[self.dice.index(fit.len())].clone();
        match &kept.house {
            House::Ours(copy) => {
                self.figures.restores += 1;
                self.elsewhere(|world, engine| copy.restore(&world.base, engine));
            }
            House::Caucase { backup, key, .. } => {
                self.figures.restores_of_caucase += 1;
                let path = self.file("restored.sqlite");
                copy::open_backup(backup, key, &path);
                self.elsewhere(|world, engine| copy::take_over(&world.base, engine, &path));
            }
        }
        let lost = self.go_back(&kept.models);
        if let House::Caucase { user, key, certificate, .. } = &kept.house {
            self.keep_what_is_on_record();
            self.renew_restored(*user, key, certificate, kept.made_at);
        }
        self.restart();
        for (name, certificates) in NAMES.into_iter().zip(lost) {
            for certificate in certificates {
                self.revoke_again(name, certificate);
            }
        }
    }

    /// What was true of the copy is, as far as the house knows. Gives what was revoked since, of each authority.
    fn go_back(&mut self, models: &[Model; 2]) -> [Vec<Certificate>; 2] {
        let now = self.now();
        let mut lost = [Vec::new(), Vec::new()];
        for ((today, then), lost) in self.models.iter_mut().zip(models).zip(&mut lost) {
            let since = today.revoked.iter().filter(|(serial, _)| !then.revoked.contains_key(*serial));
            lost.extend(since.map(|(_, revoked)| revoked.certificate.clone()));
            lost.retain(|certificate: &Certificate| certificate.not_after() > now);
            today.go_back(then, now);
        }
        lost
    }

    /// Caucase drops certificates together with their requests: of those it has no row.
    fn keep_what_is_on_record(&mut self) {
        for (name, model) in NAMES.into_iter().zip(&mut self.models) {
            model.issued.retain(|hex, _| {
                let key = Key::new(format!("/ca/{name}/certificate/{hex}")).expect("a fair key");
                block_on(self.lower.get(&key)).expect("the store can be read").is_some()
            });
        }
    }

    /// Whoever opened a backup of caucase's gets a certificate for another key, and the old one is revoked.
    fn renew_restored(&mut self, user: usize, key: &PrivateKey, old: &Certificate, made_at: Timestamp) {
        let now = self.now();
        let house = Authorities::open(&self.base, &self.lower).expect("what was restored can be opened");
        let who = Who { name: AuthorityName::Users, at: user };
        // With so many keys, one of so many is a new one.
        for attempt in 1.. {
            assert!(attempt <= KEYS_TRIED_MAX, "all keys are known that whoever opens a backup has");
            let asker = self.new_asker(who);
            let (csr, text) = (&asker.csr, &asker.text);
            let renewed = block_on(house.users.renew_restored(&Permit::house(), key.public(), csr, text));
            match renewed {
                Ok(renewed) => {
                    self.model(who.name).issued(&renewed, now);
                    self.holder(who).has_now(asker, renewed, now);
                    break;
                }
                // Keys go round.
                Err(RestoredError::Renew(RenewError::Submit(SubmitError::KeyKnown))) => {}
                Err(error) => panic!("who can open a backup gets a certificate: {}", base::report(&error)),
            }
        }
        copy::counts_on(&self.base, &self.lower, made_at);
        if old.not_after() >= now {
            self.took_back(who.name, old.clone());
        }
    }

    /// Says again that a certificate is revoked: by its serial, as nothing else may be known of it.
    fn revoke_again(&mut self, name: AuthorityName, certificate: Certificate) {
        let Some(permit) = self.permit() else { return };
        match block_on(self.authority(name).revoke_serial(permit, &certificate.serial())) {
            Ok(()) => self.figures.revoked_again += 1,
            // It is the certificate that a backup was opened with.
            Err(RevokeError::AlreadyRevoked) => {}
            Err(error) => panic!("what was issued since can be revoked: {}", base::report(&error)),
        }
        self.took_back(name, certificate);
    }

    fn took_back(&mut self, name: AuthorityName, certificate: Certificate) {
        let at = self.now();
        let hex = certificate.serial().hex();
        self.model(name).issued.remove(&hex);
        self.model(name).revoked.insert(hex, Revoked { certificate, at });
    }

    /// The whole house becomes a database of caucase's, and that a house.
    fn go_to_caucase_and_back(&mut self) {
        self.figures.taken_over += 1;
        let path = self.file("caucase.sqlite");
        copy::export(&self.base, &self.lower, &path);
        self.elsewhere(|world, engine| copy::take_over(&world.base, engine, &path));
        self.keep_what_is_on_record();
        self.restart();
    }

    /// A user begins a rollover early.
    fn rotate(&mut self) {
        let name = NAMES[self.dice.index(NAMES.len())];
        let Some(permit) = self.permit() else { return };
        match block_on(self.authority(name).rotate(permit, false)) {
            Ok(_) => self.figures.rotated += 1,
            Err(RotateError::UnderWay { .. }) => {}
            Err(error) => assert!(is_of_the_store(&error), "nothing was wrong with the store: {error}"),
        }
        self.recover();
    }
}
