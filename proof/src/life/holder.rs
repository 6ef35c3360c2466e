//! What holders do: as stock clients do it (caucase contract, section 7).

use base::{Span, Timestamp};
use ca::{
    Authority, AuthorityName, RenewError, RequestId, RevokeError, Statement, SubmitError, VerifyHolderError,
    signed_text,
};
use futures_executor::block_on;
use x509::{Certificate, Crl, KeySpec, VerifyError};

use super::model::{Revoked, is_vouched_for};
use super::{Dice, Who, World};
use crate::Asker;

/// How much is left of a certificate when it is renewed, of a list when it is fetched, and how long one sleeps at most.
const THRESHOLD: Span = Span::days(31);
const LIST_THRESHOLD: Span = Span::days(7);
const SLEEP_MAX: Span = Span::days(31);

/// Somebody who has a certificate or wants one.
pub(super) struct Holder {
    name: String,
    spec: KeySpec,
    /// How wrong its clock is.
    pub(super) off: Span,
    pub(super) wakes: Timestamp,
    /// What it asked with, and has no certificate for yet; the number when that was answered.
    asked: Option<(Asker, Option<RequestId>)>,
    renewing: Option<Asker>,
    asker: Option<Asker>,
    pub(super) certificate: Option<Certificate>,
    pub(super) trusted: Vec<Certificate>,
    pub(super) lists: Vec<Crl>,
    /// When those were fetched.
    pub(super) updated: Timestamp,
    asked_so_often: u32,
}

impl Holder {
    pub(super) fn new(dice: &Dice, name: AuthorityName, at: usize, begin: Timestamp) -> Self {
        let is_user = name == AuthorityName::Users;
        let spec = match dice.below(4) {
            _ if is_user => KeySpec::Rsa { bits: 2048 },
            0 => KeySpec::Rsa { bits: 2048 },
            1 => KeySpec::P256,
            2 => KeySpec::P384,
            _ => KeySpec::Ed25519,
        };
        // They come through the first months; the first user is there from the beginning.
        let comes = if is_user { Span::seconds(3_600) } else { dice.span(Span::days(1), Span::days(100)) };
        Self {
            name: format!("{} {at}", if is_user { "user" } else { "service" }),
            spec,
            off: Span::seconds(dice.span(Span::ZERO, Span::seconds(1_200)).as_seconds() - 600),
            wakes: begin + comes,
            asked: None,
            renewing: None,
            asker: None,
            certificate: None,
            trusted: Vec::new(),
            lists: Vec::new(),
            updated: begin,
            asked_so_often: 0,
        }
    }

    /// Its clock, but not before what it was just given begins: that is ten seconds ago, its clock may be minutes behind.
    pub(super) fn clock(&self, now: Timestamp) -> Timestamp {
        let begins = self.trusted.iter().chain(&self.certificate).map(Certificate::not_before);
        let begins = begins.chain(self.lists.iter().map(Crl::this_update)).filter(|at| *at <= now).max();
        (now + self.off).max(begins.unwrap_or(now))
    }

    /// Begins with nothing but what it trusts.
    fn begin_anew(&mut self) {
        self.certificate = None;
        self.asker = None;
        self.asked = None;
        self.renewing = None;
    }

    /// Its key and certificate.
    pub(super) fn pair(&self) -> Option<(&Asker, &Certificate)> {
        self.asker.as_ref().zip(self.certificate.as_ref())
    }

    /// Has been given a certificate by another way than its own, and begins with the CA certificates that there are now.
    pub(super) fn has_now(&mut self, asker: Asker, certificate: Certificate, now: Timestamp) {
        self.begin_anew();
        self.trusted.clear();
        self.lists.clear();
        (self.asker, self.certificate, self.wakes) = (Some(asker), Some(certificate), now);
    }

    /// Keeps CA certificates and lists up to date. False when the house did not answer.
    fn update(&mut self, authority: &Authority, now: Timestamp) -> bool {
        let clock = self.clock(now);
        self.trusted.retain(|anchor| anchor.not_after() >= clock);
        if self.trusted.is_empty() {
            let Ok(oldest) = block_on(authority.oldest_anchor()) else { return false };
            self.trusted.push(oldest);
        }
        if !follow(authority, &mut self.trusted, clock.max(now)) {
            return false;
        }
        let Ok(published) = block_on(authority.published()) else { return false };
        let all = published.lists.iter().map(|list| Crl::from_der(&list.der).expect("it is a list"));
        self.lists = all
            .filter(|list| {
                self.trusted.iter().any(|anchor| list.verify_signature(anchor.public_key()).is_ok())
            })
            .collect();
        assert!(!self.lists.is_empty(), "there is a list of a CA certificate that is trusted");
        self.updated = now;
        true
    }

    /// Is told that nobody stands behind the CA certificates other than `anchors` any more: takes them out of its file, and
    /// begins anew if its certificate is of one of them.
    pub(super) fn trusts_only(&mut self, anchors: &[Certificate], wakes: Timestamp) {
        self.trusted.retain(|trusted| anchors.contains(trusted));
        let trusted = &self.trusted;
        self.lists
            .retain(|list| trusted.iter().any(|anchor| list.verify_signature(anchor.public_key()).is_ok()));
        if self.certificate.as_ref().is_some_and(|certificate| !is_vouched_for(certificate, anchors)) {
            self.begin_anew();
        }
        self.wakes = wakes;
    }

    /// The list that says whether `certificate` was revoked.
    pub(super) fn list_for(&self, certificate: &Certificate) -> Option<&Crl> {
        let issuer = certificate.authority_key_id();
        self.lists.iter().find(|list| list.authority_key_id().map(<[u8]>::to_vec) == issuer)
    }

    fn next_wake(&self, dice: &Dice, now: Timestamp) -> Timestamp {
        let renews = self.certificate.as_ref().map(|certificate| certificate.not_after() - THRESHOLD);
        let lists = self.lists.iter().map(|list| list.next_update() - LIST_THRESHOLD);
        let next = lists.chain(renews).chain([now + SLEEP_MAX]).min().unwrap_or(now);
        // Some machines are off for weeks, and most look a little later than they could.
        let late = if self.spec != (KeySpec::Rsa { bits: 2048 }) && dice.happens(300) {
            dice.span(Span::days(10), Span::days(45))
        } else {
            dice.span(Span::seconds(60), Span::seconds(7_200))
        };
        next.max(now) + late
    }
}

/// Follows the chain as contract 7.1 has it: from the latest CA certificate that is trusted, each vouched for by the one
/// before. False when the house did not answer.
pub(super) fn follow(authority: &Authority, trusted: &mut Vec<Certificate>, clock: Timestamp) -> bool {
    let Ok(handovers) = block_on(authority.handovers()) else { return false };
    let latest =
        trusted.iter().filter(|anchor| anchor.not_before() <= clock).max_by_key(|anchor| anchor.not_before());
    let Some(mut known) = latest.cloned() else { return true };
    let first = handovers.iter().position(|handover| *handover.older() == known);
    for handover in first.map_or(&[][..], |first| &handovers[first..]) {
        let said = block_on(handover.say(|old, new| format!("{}{}", old.to_pem(), new.to_pem())));
        let Statement { text, digest, signature } = said.expect("a CA key can sign statements");
        assert_eq!(*handover.older(), known, "each item follows the one before");
        known
            .public_key()
            .verify_statement(digest, &signed_text(&text, digest), &signature)
            .expect("the older vouches for the newer");
        known = handover.newer().clone();
        if known.not_before() <= clock && !trusted.contains(&known) {
            trusted.push(known.clone());
        }
    }
    true
}

impl World {
    /// Somebody does what is due.
    pub(super) fn act(&mut self, who: Who) {
        let now = self.now();
        let soon = now + self.dice.span(Span::seconds(600), Span::seconds(6 * 3_600));
        // Where nothing else is said, it is tried again.
        self.holder(who).wakes = soon;
        if self.holder(who).certificate.is_some() {
            self.look_after(who);
        } else if matches!(self.holder(who).asked, Some((_, Some(_)))) {
            self.fetch(who);
        } else {
            self.ask(who);
        }
    }

    pub(super) fn new_asker(&mut self, who: Who) -> Asker {
        let (spec, name) = {
            let holder = self.holder(who);
            holder.asked_so_often += 1;
            (holder.spec, format!("{} time {}", holder.name, holder.asked_so_often))
        };
        let pool =
            if who.name == AuthorityName::Users { &mut self.user_keys } else { &mut self.service_keys };
        Asker::new(pool.key(spec), &name, &[])
    }

    fn ask(&mut self, who: Who) {
        let asker = match self.holder(who).asked.take() {
            Some((asker, _)) => asker,
            None => self.new_asker(who),
        };
        let is_full = self.model(who.name).pending.len() as u64 >= self.base.pending_max;
        let in_doubt = self.model(who.name).doubts > 0 || !self.model(who.name).doubtful.is_empty();
        let submitted = block_on(self.authority(who.name).submit(&asker.csr, &asker.text));
        match submitted {
            Ok(id) => {
                self.figures.submitted += 1;
                self.holder(who).asked = Some((asker, Some(id)));
                // Whether it waits is seen next.
                self.model(who.name).doubtful.insert(id);
                self.fetch(who);
            }
            Err(SubmitError::TooManyPending { .. }) => {
                assert!(is_full || in_doubt, "there was room");
                self.figures.refused_when_full += 1;
                self.holder(who).asked = Some((asker, None));
            }
            Err(SubmitError::KeyKnown) => assert_eq!(who.name, AuthorityName::Users),
            Err(error) => {
                self.unanswered(who.name, None, &error);
                self.holder(who).asked = Some((asker, None));
            }
        }
    }

    fn fetch(&mut self, who: Who) {
        let now = self.now();
        let Some((asker, Some(id))) = self.holder(who).asked.clone() else { return };
        match block_on(self.authority(who.name).certificate(id)) {
            Ok(pem) => {
                let certificate = Certificate::from_pem(pem.as_bytes()).expect("it is a certificate");
                assert_eq!(certificate.public_key(), asker.csr.public_key());
                let model = self.model(who.name);
                model.pending.remove(&id);
                model.doubtful.remove(&id);
                model.issued(&certificate, now);
                let holder = self.holder(who);
                holder.asked = None;
                holder.asker = Some(asker);
                holder.certificate = Some(certificate);
                self.look_after(who);
            }
            Err(ca::ReadError::NotFound { .. }) => {
                if block_on(self.authority(who.name).request(id)).is_ok() {
                    if self.model(who.name).doubtful.remove(&id) {
                        self.model(who.name).pending.insert(id);
                    }
                    return;
                }
                if self.mortal.is_dead() {
                    return;
                }
                let model = self.model(who.name);
                assert!(!model.pending.contains(&id), "a request that waits is kept for ever");
                model.doubtful.remove(&id);
                // Rejected; or dropped, because it was not fetched in time.
                self.figures.began_anew += 1;
                self.holder(who).begin_anew();
            }
            Err(ca::ReadError::Store(_)) => assert!(self.mortal.is_dead(), "the store can be read"),
        }
    }

    /// Keeps trust and lists, and renews when it is time.
    fn look_after(&mut self, who: Who) {
        let now = self.now();
        let authority = match who.name {
            AuthorityName::Users => &self.house.users,
            _ => &self.house.services,
        };
        let holder = match who.name {
            AuthorityName::Users => &mut self.users[who.at],
            _ => &mut self.services[who.at],
        };
        if !holder.update(authority, now) {
            return;
        }
        let Some(certificate) = holder.certificate.clone() else { return };
        let clock = holder.clock(now);
        if clock > certificate.not_after() || now > certificate.not_after() {
            // It slept for too long.
            self.figures.began_anew += 1;
            holder.begin_anew();
            return;
        }
        if clock < certificate.not_after() - THRESHOLD {
            holder.wakes = holder.next_wake(&self.dice, now);
            return;
        }
        self.renew(who, &certificate);
    }

    fn renew(&mut self, who: Who, certificate: &Certificate) {
        let now = self.now();
        let next = match self.holder(who).renewing.take() {
            Some(next) => next,
            None => self.new_asker(who),
        };
        let asker = self.holder(who).asker.clone().expect("who has a certificate has its key");
        let (csr, text) = (next.csr.clone(), next.text.clone());
        let renewed = block_on(self.authority(who.name).renew(asker.prove(certificate), csr, &text));
        match renewed {
            Ok(renewed) => {
                self.figures.renewed += 1;
                assert_eq!(renewed.subject(), certificate.subject());
                assert_eq!(renewed.public_key(), next.csr.public_key());
                self.model(who.name).issued(&renewed, now);
                let holder = match who.name {
                    AuthorityName::Users => &mut self.users[who.at],
                    _ => &mut self.services[who.at],
                };
                holder.asker = Some(next);
                holder.certificate = Some(renewed);
                holder.wakes = holder.next_wake(&self.dice, now);
            }
            // The answer before was lost, or the key is known: another one next time.
            Err(RenewError::AlreadyIssued) => assert!(self.figures.unanswered > 0),
            Err(RenewError::Submit(SubmitError::KeyKnown)) => assert_eq!(who.name, AuthorityName::Users),
            Err(error) => {
                self.unanswered(who.name, None, &error);
                self.holder(who).renewing = Some(next);
            }
        }
    }

    /// Takes somebody's certificate back: by themselves, by a user, by its serial.
    pub(super) fn revoke(&mut self, who: Who, way: u64) {
        let now = self.now();
        let (asker, certificate) = {
            let holder = self.holder(who);
            let (Some(asker), Some(certificate)) = (holder.asker.clone(), holder.certificate.clone()) else {
                return;
            };
            (asker, certificate)
        };
        if certificate.not_after() <= now {
            return;
        }
        let authority = self.authority(who.name);
        let revoked = match way {
            0 => block_on(authority.revoke_own(asker.prove(&certificate))),
            _ => {
                let Some(permit) = self.permit() else { return };
                if way == 1 {
                    block_on(authority.revoke(permit, &certificate))
                } else {
                    block_on(authority.revoke_serial(permit, &certificate.serial()))
                }
            }
        };
        match revoked {
            Ok(()) => match way {
                0 => self.figures.revoked_by_owner += 1,
                1 => self.figures.revoked_by_user += 1,
                _ => self.figures.revoked_by_serial += 1,
            },
            // The answer before was lost.
            Err(
                RevokeError::AlreadyRevoked
                | RevokeError::Holder(VerifyHolderError::Verify(VerifyError::Revoked)),
            ) => assert!(self.figures.unanswered > 0),
            Err(error) => {
                // It may have been done. Nobody uses it any more, until it is known.
                self.unanswered(who.name, None, &error);
                self.holder(who).wakes = now;
                self.holder(who).begin_anew();
                self.model(who.name).issued.remove(&certificate.serial().hex());
                return;
            }
        }
        self.model(who.name).issued.remove(&certificate.serial().hex());
        self.model(who.name).revoked.insert(certificate.serial().hex(), Revoked { certificate, at: now });
        self.holder(who).begin_anew();
    }
}
