//! What operators do with a whole house: they copy it and put a copy back, take it to caucase's format and out of it
//! again, begin rollovers early, and give up CA certificates whose keys somebody else may have.
//!
//! A house that was put back knows nothing of what happened since the copy. What has to hold nevertheless: no serial comes
//! twice, ever; the numbers of revocation lists go on growing, past those that nobody remembers; certificates that were
//! issued since are good, can be renewed and revoked; what was revoked before the copy stays so. What was revoked since is
//! good again until somebody says it again, who has to know it from elsewhere: here everybody does, at once. So it is with a
//! retirement that came after the copy: it is done again.
//!
//! A copy that is older than the latest CA certificate has not got its key: all who trust it are told to take it out of
//! their files, and those whose certificates it signed begin anew. After a retirement everybody does. What such CA
//! certificates have signed is good nowhere from then on, for as long as it would have been.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use base::{Span, Timestamp};
use ca::takeover::RestoredError;
use ca::{
    AuthorityName, IssueError, RenewError, Resolve, RetireError, RevokeError, RotateError, SubmitError,
};
use caucase_files::backup::Reader;
use futures_executor::block_on;
use identity::Permit;
use store::{Engine, Key};
use x509::{Certificate, PrivateKey};

use super::model::{Model, Revoked};
use super::{Who, World, is_of_the_store};
use crate::copy::{self, Copy};
use crate::{Authorities, Death};

/// How many keys are tried before one is taken that nobody had.
const KEYS_TRIED_MAX: usize = 1_000;
/// More than go round among users.
const KEYS_THAT_GO_ROUND: usize = 50;
/// The oldest copy that is kept, and how many are: with those of the last days one that is older than a CA certificate
/// that signs by now.
const COPY_AGE_MAX: Span = Span::days(130);
const COPIES_MAX: usize = 4;
/// How often somebody tries to give CA certificates up whom the store did not answer.
const RETIRED_AGAIN_MAX: usize = 30;

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
    pub(super) fn moves(&mut self, passed: Span) {
        if self.dice.happens(500) {
            self.copy();
        }
        if self.dice.happens(100) {
            self.rotate();
        }
        if self.dice.happens(100) {
            self.put_back();
        }
        // Seldom enough for rollovers to come about by themselves: once in a year or so.
        if self.dice.happens(u64::try_from(passed.as_seconds() / 3_600).unwrap_or(0)) {
            self.retire(NAMES[self.dice.index(NAMES.len())]);
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
                // A house that was put back may know another user by the same key, as keys go round here.
                if !self.is_on_record(AuthorityName::Users, certificate) {
                    return None;
                }
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
        self.copies.retain(|kept| kept.made_at + COPY_AGE_MAX >= now);
        if self.copies.len() > COPIES_MAX {
            self.copies.remove(1);
        }
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
        let lacks = |kept: &Kept| -> [bool; 2] {
            let [services, users] = [0, 1].map(|at| {
                let then = &kept.models[at].latest_anchors;
                self.models[at].latest_anchors.iter().any(|anchor| !then.contains(anchor))
            });
            [services, users]
        };
        let is_to_be_older = self.dice.happens(4_000);
        let fits = |kept: &&Rc<Kept>| lacks(kept).contains(&true) == is_to_be_older;
        let fit: Vec<_> = self.copies.iter().filter(fits).cloned().collect();
        if fit.is_empty() {
            return;
        }
        let kept = fit[self.dice.index(fit.len())].clone();
        let lacks = lacks(&kept);
        self.figures.restores_of_older += u64::from(is_to_be_older);
        let is_retired_since = [0, 1].map(|at| self.models[at].retirements > kept.models[at].retirements);
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
        for (name, lacks) in NAMES.into_iter().zip(lacks) {
            if lacks {
                self.begin_anew(name);
            }
        }
        for (name, is_retired_since) in NAMES.into_iter().zip(is_retired_since) {
            if is_retired_since {
                self.retire(name);
            }
        }
        if self.permit::<ca::Approve>().is_none() {
            self.new_administrator().expect("the store is well");
        }
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
        let mut models = std::mem::take(&mut self.models);
        for (name, model) in NAMES.into_iter().zip(&mut models) {
            model.issued.retain(|_, certificate| self.is_on_record(name, certificate));
        }
        self.models = models;
    }

    fn is_on_record(&self, name: AuthorityName, certificate: &Certificate) -> bool {
        let hex = certificate.serial().hex();
        let key = Key::new(format!("/ca/{name}/certificate/{hex}")).expect("a fair key");
        block_on(self.lower.get(&key)).expect("the store can be read").is_some()
    }

    /// Whoever opened a backup of caucase's gets a certificate for another key, and the old one is revoked.
    fn renew_restored(&mut self, user: usize, key: &PrivateKey, old: &Certificate, made_at: Timestamp) {
        let now = self.now();
        let house = Authorities::open(&self.base, &self.lower).expect("what was restored can be opened");
        let who = Who { name: AuthorityName::Users, at: user };
        for attempt in 1.. {
            assert!(attempt <= KEYS_TRIED_MAX, "all keys are known that whoever opens a backup has");
            if attempt == KEYS_THAT_GO_ROUND {
                // All of them are known.
                self.user_keys.add();
            }
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

    /// Everybody hears that only those CA certificates count that there are now.
    fn begin_anew(&mut self, name: AuthorityName) {
        let now = self.now();
        let anchors = block_on(self.authority(name).anchors()).expect("there are CA certificates");
        let (holders, model) = match name {
            AuthorityName::Users => (&mut self.users, &mut self.models[1]),
            _ => (&mut self.services, &mut self.models[0]),
        };
        let held: Vec<_> = holders.iter().filter_map(|holder| holder.certificate.clone()).collect();
        let issued: Vec<_> = model.issued.values().cloned().collect();
        let good = held.iter().chain(&issued).filter(|certificate| certificate.not_after() >= now);
        model.give_up(good, &anchors);
        for holder in holders {
            holder.trusts_only(&anchors, now + self.dice.span(Span::ZERO, Span::days(2)));
        }
        model.begun_anew = Some(now);
        model.latest_anchors = anchors;
    }

    /// Somebody else may have an authority's keys: its CA certificates are given up. Whoever is interrupted runs it again.
    fn retire(&mut self, name: AuthorityName) {
        let now = self.now();
        let mut before = self.model(name).latest_anchors.clone();
        before.retain(|anchor| anchor.not_after() >= now);
        if self.dice.happens(6_000) {
            let death = if self.dice.happens(5_000) { Death::AfterIt } else { Death::BeforeIt };
            self.mortal.dies_at(1 + self.dice.below(6), death);
        }
        let (mut resolve, mut is_begun) = (Resolve::Once, false);
        for attempt in 1.. {
            assert!(attempt <= RETIRED_AGAIN_MAX, "a retirement comes to its end");
            let retired = block_on(self.authority(name).retire(Permit::house(), resolve));
            let ended = retired.and_then(|retired| {
                is_begun = true;
                assert!(before.iter().all(|anchor| retired.retired.contains(anchor)), "all of them");
                block_on(self.authority(name).end_retirement())
                    .map_err(|error| IssueError::from(error).into())
            });
            match ended {
                Ok(()) => break,
                // The answer before was lost.
                Err(RetireError::Already { .. }) if is_begun => break,
                // What is there comes from the retirement before, and is given up as well.
                Err(RetireError::Already { .. }) => resolve = Resolve::Again,
                Err(error) => {
                    self.figures.unanswered += 1;
                    assert!(is_of_the_store(&error), "nothing was wrong with the store: {error}");
                    resolve = Resolve::Once;
                    self.reopen_if_dead();
                }
            }
        }
        self.figures.retired += 1;
        let model = self.model(name);
        model.retirements += 1;
        self.begin_anew(name);
        let anchors = &self.model(name).latest_anchors;
        assert!(anchors.len() == 1 && !before.contains(&anchors[0]), "another one signs");
        while name == AuthorityName::Users && self.new_administrator().is_none() {
            self.reopen_if_dead();
        }
        self.restart();
    }

    /// The first user there is again, as the house itself makes one; none where the store did not answer.
    fn new_administrator(&mut self) -> Option<()> {
        let (now, who) = (self.now(), Who { name: AuthorityName::Users, at: 0 });
        for attempt in 0..KEYS_TRIED_MAX {
            if attempt == KEYS_THAT_GO_ROUND {
                // All of them are known: the house makes another one.
                self.user_keys.add();
            }
            let asker = self.new_asker(who);
            match block_on(self.house.users.issue(Permit::house(), &asker.csr, &asker.text)) {
                Ok(certificate) => {
                    self.model(who.name).issued(&certificate, now);
                    self.holder(who).has_now(asker, certificate, now);
                    return Some(());
                }
                // Keys go round.
                Err(RenewError::Submit(SubmitError::KeyKnown)) => {}
                Err(error) => {
                    self.figures.unanswered += 1;
                    assert!(is_of_the_store(&error), "nothing was wrong with the store: {error}");
                    return None;
                }
            }
        }
        panic!("all keys are known that users have")
    }

    /// As [`World::recover`], where what is looked at then does not hold yet.
    fn reopen_if_dead(&mut self) {
        if self.mortal.is_dead() {
            self.figures.kills += 1;
            self.reopen();
        }
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
