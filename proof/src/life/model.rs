//! What the simulation knows, because it was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use base::Timestamp;
use ca::RequestId;
use x509::{Certificate, Crl};

/// Of one authority.
#[derive(Default, Clone)]
pub(super) struct Model {
    /// Every serial there ever was, CA certificates' included.
    pub(super) serials: BTreeSet<String>,
    /// Certificates that are on record until they have ended.
    pub(super) issued: BTreeMap<String, Certificate>,
    /// What was taken back, and is listed until it has ended.
    pub(super) revoked: BTreeMap<String, Revoked>,
    /// What waits.
    pub(super) pending: BTreeSet<RequestId>,
    /// What waits or does not.
    pub(super) doubtful: BTreeSet<RequestId>,
    /// How many requests were sent and not answered.
    pub(super) doubts: usize,
    /// Fingerprints of all CA certificates.
    pub(super) anchors: BTreeSet<[u8; 32]>,
    /// The CA certificates of the step before.
    pub(super) latest_anchors: Vec<Certificate>,
    /// The last list of each CA certificate, by its key identifier.
    pub(super) lists: BTreeMap<Vec<u8>, Crl>,
    pub(super) lists_seen: u64,
    /// What is worth nothing, though nobody revoked it: its CA certificate was given up, or is lost.
    pub(super) given_up: BTreeMap<String, Certificate>,
    /// How often all CA certificates were given up.
    pub(super) retirements: u64,
    /// Since when nobody knows of the CA certificates who has not asked since.
    pub(super) begun_anew: Option<Timestamp>,
}

#[derive(Clone)]
pub(super) struct Revoked {
    pub(super) certificate: Certificate,
    pub(super) at: Timestamp,
}

impl Model {
    /// `certificate` was handed out.
    pub(super) fn issued(&mut self, certificate: &Certificate, now: Timestamp) {
        let hex = certificate.serial().hex();
        if let Some(known) = self.issued.get(&hex) {
            assert_eq!(known, certificate, "one serial has one certificate");
            return;
        }
        assert!(self.serials.insert(hex.clone()), "the serial {hex} was used before");
        assert!(certificate.not_before() <= now && certificate.not_after() > now);
        self.issued.insert(hex, certificate.clone());
    }

    /// Request `id` was decided about.
    pub(super) fn decided(&mut self, id: RequestId) {
        let was_known = self.pending.remove(&id) || self.doubtful.remove(&id);
        assert!(was_known || self.doubts > 0, "nobody asked for {id}");
    }

    /// What is known to a house that is put back to as it was `then`. That there were serials, CA certificates and lists
    /// since stays true, whatever the house knows of it.
    pub(super) fn go_back(&mut self, then: &Self, now: Timestamp) {
        self.issued.clone_from(&then.issued);
        self.revoked.clone_from(&then.revoked);
        self.pending.clone_from(&then.pending);
        self.doubtful.clone_from(&then.doubtful);
        self.doubts = then.doubts;
        self.retirements = then.retirements;
        self.latest_anchors.clone_from(&then.latest_anchors);
        // What came with the copy is worth something again.
        let anchors = &self.latest_anchors;
        self.given_up.retain(|_, certificate| !is_vouched_for(certificate, anchors));
        self.forget(now);
    }

    /// Those of `certificates` that none of `anchors` vouches for are worth nothing from now on.
    pub(super) fn give_up<'a>(
        &mut self,
        certificates: impl Iterator<Item = &'a Certificate>,
        anchors: &[Certificate],
    ) {
        for certificate in certificates.filter(|certificate| !is_vouched_for(certificate, anchors)) {
            let hex = certificate.serial().hex();
            self.issued.remove(&hex);
            self.given_up.insert(hex, certificate.clone());
        }
    }

    /// Forgets what has ended so long ago that nobody has to remember it.
    pub(super) fn forget(&mut self, before: Timestamp) {
        self.issued.retain(|_, certificate| certificate.not_after() >= before);
        self.revoked.retain(|_, revoked| revoked.certificate.not_after() >= before);
        self.given_up.retain(|_, certificate| certificate.not_after() >= before);
    }
}

/// Whether one of `anchors` has signed it.
pub(super) fn is_vouched_for(certificate: &Certificate, anchors: &[Certificate]) -> bool {
    anchors.iter().any(|anchor| certificate.verify_signature(anchor.public_key()).is_ok())
}
