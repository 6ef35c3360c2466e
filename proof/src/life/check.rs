//! What is looked at after every step.

use std::collections::BTreeSet;
use std::process::Command;

use base::{Span, Timestamp};
use ca::{AuthorityName, RequestId, VerifyHolderError};
use futures_executor::block_on;
use store::Key;
use x509::{Certificate, Crl, VerifyError};

use super::World;
use super::holder::{Holder, follow};
use super::model::is_vouched_for;
use crate::ground::LEAF_LIFE;

/// How many pairs of holders look at each other in a step.
const PAIRS: usize = 6;

impl World {
    /// Everything that has to hold after every step.
    pub(super) fn check(&mut self) {
        // What a step looks at, it looks at through a store that lives.
        self.mortal.is_spared();
        self.mortal.fails_next(0);
        for name in [AuthorityName::Services, AuthorityName::Users] {
            self.check_requests(name);
            self.check_authority(name);
            self.check_holders(name);
            self.check_revoked(name);
        }
        if self.figures.steps.is_multiple_of(self.plan.openssl_every) {
            self.check_with_openssl();
        }
    }

    /// What waits is what was acknowledged to wait.
    fn check_requests(&mut self, name: AuthorityName) {
        let Some(permit) = self.permit() else {
            assert!(
                self.users.iter().all(|user| user.certificate.is_none()),
                "a user with a certificate is let in"
            );
            return;
        };
        let pending = block_on(self.authority(name).pending(permit)).expect("the store can be read");
        let pending: BTreeSet<RequestId> = pending.iter().map(|request| request.id).collect();
        let model = self.model(name);
        for id in &model.pending {
            assert!(pending.contains(id), "{name} request {id} waited, and is gone");
        }
        let surprising =
            pending.iter().filter(|id| !model.pending.contains(id) && !model.doubtful.contains(id));
        let surprising: Vec<RequestId> = surprising.copied().collect();
        assert!(surprising.len() <= model.doubts, "{name}: nobody asked for {surprising:?}");
        model.pending = pending;
        model.doubtful.clear();
        // Whoever asked without an answer will ask again: it is known by then.
        if surprising.is_empty() {
            model.doubts = 0;
        }
    }

    /// CA certificates and lists.
    fn check_authority(&mut self, name: AuthorityName) {
        let now = self.now();
        let authority = self.authority(name);
        let anchors = block_on(authority.anchors()).expect("there are CA certificates");
        let published = block_on(authority.published()).expect("there are lists");
        assert!(anchors.iter().any(|anchor| (anchor.not_before()..=anchor.not_after()).contains(&now)));
        assert!(anchors.iter().all(|anchor| anchor.not_after() >= now));
        let changed = self.models[usize::from(name == AuthorityName::Users)].latest_anchors != anchors;
        if changed || self.figures.steps.is_multiple_of(40) {
            let authority = self.authority(name);
            for (at, anchor) in anchors.iter().enumerate() {
                let mut trusted = vec![anchor.clone()];
                assert!(follow(authority, &mut trusted, now + Span::days(1)), "the chain is told");
                for later in &anchors[at..] {
                    assert!(trusted.contains(later), "trusting one CA certificate suffices");
                }
            }
        }
        let lists: Vec<Crl> =
            published.lists.iter().map(|list| Crl::from_der(&list.der).expect("it is a list")).collect();
        assert_eq!(lists.len(), anchors.len());
        let model = self.model(name);
        for (list, anchor) in lists.iter().zip(&anchors) {
            assert!((list.this_update()..=list.next_update()).contains(&now), "{name}: the list is good now");
            let key_id = list.authority_key_id().expect("it says whose it is").to_vec();
            let before = model.lists.get(&key_id);
            if before.is_none_or(|before| before.der() != list.der()) {
                list.verify_signature(anchor.public_key()).expect("the CA certificate's key signed it");
                let is_the_same = before.is_some_and(|before| {
                    before.number() == list.number()
                        && before.entries() == list.entries()
                        && before.this_update() == list.this_update()
                });
                let grew = before.is_none_or(|before| before.number() < list.number());
                assert!(
                    grew || is_the_same,
                    "{name}: another list has a higher number: {:?} of {:?} with {:?} before, {} of {} with {} now",
                    before.map(Crl::number),
                    before.map(Crl::this_update),
                    before.map(|before| before.entries().len()),
                    list.number(),
                    list.this_update(),
                    list.entries().len()
                );
                model.lists_seen += u64::from(grew);
                model.lists.insert(key_id, list.clone());
            }
        }
        for anchor in &anchors {
            if model.anchors.insert(anchor.fingerprint()) {
                assert!(
                    model.serials.insert(anchor.serial().hex()),
                    "a CA certificate has a serial of its own"
                );
            }
        }
        model.latest_anchors = anchors;
        model.forget(now - Span::days(1));
    }

    /// Every live certificate verifies with what its holder has, and with what others have.
    fn check_holders(&mut self, name: AuthorityName) {
        let now = self.now();
        let begun_anew = self.model(name).begun_anew;
        let holders = if name == AuthorityName::Users { &self.users } else { &self.services };
        for holder in holders {
            let Some(certificate) = &holder.certificate else { continue };
            self.figures.verified += u64::from(is_good_for(holder, certificate, now));
        }
        for _ in 0..PAIRS {
            let (one, other) = (self.dice.index(holders.len()), self.dice.index(holders.len()));
            let (verifier, shown) = (&holders[one], &holders[other]);
            // Whoever has not heard of the next CA certificate in the time that it is handed on before it signs, because
            // nobody approved its request for so long, does not know it.
            if verifier.trusted.is_empty() || verifier.updated + LEAF_LIFE < now {
                continue;
            }
            // Nor does whoever has not asked since all had to begin anew.
            if begun_anew.is_some_and(|begun| verifier.updated <= begun) {
                continue;
            }
            if let Some(certificate) = &shown.certificate {
                self.figures.verified += u64::from(is_good_for(verifier, certificate, now));
            }
        }
    }

    /// What was taken back is good nowhere.
    fn check_revoked(&mut self, name: AuthorityName) {
        let now = self.now();
        self.figures.refused_without_issuer += self.model(name).given_up.len() as u64;
        let model = &self.models[usize::from(name == AuthorityName::Users)];
        let holders = if name == AuthorityName::Users { &self.users } else { &self.services };
        let authority = self.authority(name);
        let published = block_on(authority.published()).expect("there are lists");
        for (hex, revoked) in &model.revoked {
            assert!(published.is_revoked(&revoked.certificate.serial()), "{name}: {hex} is not listed");
        }
        // Nor is what nobody stands behind any more, though no list says so.
        for (hex, certificate) in &model.given_up {
            let verified = block_on(authority.verify(certificate));
            let is_refused = matches!(verified, Err(VerifyHolderError::Verify(_)));
            assert!(is_refused, "{name}: {hex} is of a CA certificate that was given up, and {verified:?}");
        }
        if model.revoked.is_empty() {
            return;
        }
        let at = self.dice.index(model.revoked.len());
        let Some(revoked) = model.revoked.values().nth(at) else { return };
        let verified = block_on(authority.verify(&revoked.certificate));
        let ended = revoked.certificate.not_after() < now;
        let has_issuer = is_vouched_for(&revoked.certificate, &model.latest_anchors);
        let is_refused = match verified {
            Err(VerifyHolderError::Verify(VerifyError::Revoked)) => true,
            Err(VerifyHolderError::Verify(_)) => ended || !has_issuer,
            _ => false,
        };
        assert!(is_refused, "{name}: revoked, and {verified:?}");
        // Whoever has fetched a list since knows.
        for holder in holders.iter().filter(|holder| holder.updated > revoked.at) {
            if let Some(list) = holder.list_for(&revoked.certificate) {
                assert!(list.contains(&revoked.certificate.serial()), "{name}: a holder does not know");
            }
        }
    }

    /// What was acknowledged is on record, and the lists say so.
    pub(super) fn nothing_is_missing(&self) {
        let now = self.now();
        for name in [AuthorityName::Services, AuthorityName::Users] {
            let model = &self.models[usize::from(name == AuthorityName::Users)];
            for (hex, certificate) in model.issued.iter().filter(|(_, held)| held.not_after() >= now) {
                let key = Key::new(format!("/ca/{name}/certificate/{hex}")).expect("a fair key");
                let held = block_on(self.lower.get(&key)).expect("the store can be read");
                let held = held.unwrap_or_else(|| panic!("{name}: {hex} was acknowledged, and is gone"));
                let pem = certificate.to_pem().replace('\n', "\\n");
                assert!(String::from_utf8_lossy(&held.value).contains(&pem), "{hex} is another one");
            }
            let authority = self.authority(name);
            let published = block_on(authority.published()).expect("there are lists");
            for (hex, revoked) in &model.revoked {
                assert!(published.is_revoked(&revoked.certificate.serial()), "{name}: {hex} was revoked");
            }
        }
    }

    /// Somebody else's program looks at somebody's certificate.
    fn check_with_openssl(&mut self) {
        let now = self.now();
        let at = self.dice.index(self.services.len());
        let holder = &self.services[at];
        if let Some(certificate) = &holder.certificate
            && is_good_for(holder, certificate, now)
        {
            let said = self.openssl(holder, certificate, holder.clock(now));
            assert!(said.contains(": OK"), "openssl: {said}");
            self.figures.verified_by_openssl += 1;
        }
        let model = &self.models[0];
        let known = model.revoked.values().find(|revoked| {
            revoked.certificate.not_after() > now && holder.updated > revoked.at && !holder.trusted.is_empty()
        });
        if let Some(revoked) = known
            && holder.list_for(&revoked.certificate).is_some_and(|list| list.next_update() > now)
        {
            let said = self.openssl(holder, &revoked.certificate, now);
            assert!(said.contains("certificate revoked"), "openssl: {said}");
            self.figures.verified_by_openssl += 1;
        }
    }

    fn openssl(&self, holder: &Holder, certificate: &Certificate, at: Timestamp) -> String {
        let folder = self.folder.path();
        let anchors: String = holder.trusted.iter().map(Certificate::to_pem).collect();
        let lists: String = holder.lists.iter().map(Crl::to_pem).collect();
        for (name, text) in [("ca.pem", anchors), ("crl.pem", lists), ("crt.pem", certificate.to_pem())] {
            std::fs::write(folder.join(name), text).expect("a file can be written");
        }
        let at = at.as_unix().to_string();
        let arguments = ["verify", "-attime", &at, "-crl_check", "-CRLfile", "crl.pem", "-CAfile", "ca.pem"];
        let ran = Command::new("openssl").args(arguments).arg("crt.pem").current_dir(folder).output();
        let ran = ran.expect("openssl is installed: `cargo xtask witnesses` does that");
        [String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)].concat()
    }
}

/// Whether `certificate` verifies with what `holder` has; it has to, unless it has ended or the holder's lists have.
fn is_good_for(holder: &Holder, certificate: &Certificate, now: Timestamp) -> bool {
    let clock = holder.clock(now).max(certificate.not_before());
    let ends = certificate.not_after();
    // Where there never was a list, the house died before it told one for the first time.
    if clock > ends || now > ends || holder.lists.is_empty() {
        return false;
    }
    let trusted: Vec<Certificate> =
        holder.trusted.iter().filter(|anchor| anchor.not_after() >= clock).cloned().collect();
    if let Err(error) = x509::verify(certificate, &trusted, clock) {
        panic!("a holder updated at {} cannot verify {certificate:?} at {now}: {error}", holder.updated);
    }
    // A list that has ended is none: whoever sleeps has such.
    let Some(list) = holder.list_for(certificate) else {
        panic!("a holder updated at {} has no list for {certificate:?} at {now}", holder.updated)
    };
    assert!(!list.contains(&certificate.serial()), "a live certificate is not listed");
    clock <= list.next_update()
}
