//! What clients were told, and whether it is still so.

use std::collections::{BTreeMap, BTreeSet};

use x509::{Certificate, Crl, Serial, SigningRequest};

use super::client::{Answer, Authority, Client};

/// A request that was acknowledged with 201.
#[derive(Debug)]
pub struct Request {
    pub csr: String,
    /// Which of the clients' keys it is for.
    pub key: usize,
    /// Whether it must have been signed at once.
    pub automatic: bool,
    /// Whether anybody asked to approve it since it was last looked at; the answer may have been lost.
    pub approve_asked: bool,
    /// Likewise for its rejection.
    pub reject_asked: bool,
    pub approved: bool,
    pub rejected: bool,
    /// What came of it, once somebody saw it.
    pub certificate: Option<String>,
    /// In which round it last changed.
    pub round: usize,
}

/// A certificate that somebody was given, and which of the clients' keys it is for.
#[derive(Debug, Clone)]
pub struct Holder {
    pub at: Authority,
    pub pem: String,
    pub key: usize,
}

/// Everything that was acknowledged, in all rounds.
#[derive(Debug, Default)]
pub struct Told {
    pub round: usize,
    pub requests: BTreeMap<(Authority, u64), Request>,
    /// Every certificate that was ever seen, by serial.
    pub seen: BTreeMap<(Authority, String), String>,
    pub holders: Vec<Holder>,
    pub revoked: BTreeSet<(Authority, Serial)>,
    /// How often each revocation was asked for, acknowledged or not.
    pub revoke_asked: BTreeMap<(Authority, Serial), usize>,
    /// Requests whose answer was lost.
    pub unanswered: Vec<(Authority, String, usize)>,
    /// The highest number of a revocation list that was seen, and that list.
    lists: BTreeMap<Authority, (u64, String)>,
    /// How many answers acknowledged something.
    pub acknowledged: usize,
    pub lost_answers: usize,
}

impl Told {
    /// A submission was answered. Whether the request was not known before.
    pub fn submitted(&mut self, at: Authority, csr: &str, key: usize, automatic: bool, answer: &Answer) {
        assert_eq!(answer.status, 201, "{at:?}: {}", answer.body);
        let request = Request {
            csr: csr.to_owned(),
            key,
            automatic,
            approve_asked: false,
            reject_asked: false,
            approved: false,
            rejected: false,
            certificate: None,
            round: self.round,
        };
        let other = self.requests.insert((at, answer.id()), request);
        assert!(other.is_none(), "two requests have the number {}: {other:?}", answer.id());
        self.acknowledged += 1;
    }

    pub fn of(&mut self, at: Authority, id: u64) -> &mut Request {
        let round = self.round;
        let request = self.requests.get_mut(&(at, id)).unwrap();
        request.round = round;
        request
    }

    /// The certificate of a request was fetched.
    pub fn fetched(&mut self, at: Authority, id: u64, pem: &str) {
        let request = self.of(at, id);
        match &request.certificate {
            Some(before) => assert_eq!(before, pem, "the certificate of {id} changed"),
            None => {
                request.certificate = Some(pem.to_owned());
                let (key, csr) = (request.key, request.csr.clone());
                let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
                let csr = SigningRequest::from_pem(csr.as_bytes()).unwrap();
                assert_eq!(certificate.public_key(), csr.public_key(), "the key of {id}");
                self.given(Holder { at, pem: pem.to_owned(), key });
            }
        }
    }

    /// Somebody was given a certificate that nobody had before.
    pub fn given(&mut self, holder: Holder) {
        let serial = Certificate::from_pem(holder.pem.as_bytes()).unwrap().serial().hex();
        let other = self.seen.insert((holder.at, serial), holder.pem.clone());
        assert_eq!(other, None, "two certificates have one serial");
        self.holders.push(holder);
        self.acknowledged += 1;
    }

    /// The number of the newest list that was seen, and what was revoked by now: to be asked before a list is
    /// fetched, and shown to [`Told::listed`] with it.
    pub fn before_list(&self, at: Authority) -> (u64, BTreeSet<Serial>) {
        let newest = self.lists.get(&at).map_or(0, |(number, _)| *number);
        let revoked = self.revoked.iter().filter(|(of, _)| *of == at).map(|(_, serial)| *serial);
        (newest, revoked.collect())
    }

    /// A list was fetched: it is not older than what was there before, and nobody is missing.
    pub fn listed(&mut self, at: Authority, before: (u64, BTreeSet<Serial>), pem: &str) {
        let crl = Crl::from_pem(pem.as_bytes()).unwrap();
        let (newest, revoked) = before;
        assert!(crl.number() >= newest, "{at:?}: list {} came after list {newest}", crl.number());
        let listed: BTreeSet<Serial> = crl.entries().iter().map(|entry| entry.serial).collect();
        assert_eq!(listed.len(), crl.entries().len(), "{at:?}: a serial is listed twice");
        assert!(revoked.is_subset(&listed), "{at:?}: a revocation is missing from list {}", crl.number());
        for serial in listed {
            assert!(self.revoke_asked.contains_key(&(at, serial)), "{at:?}: nobody revoked {serial}");
        }
        match self.lists.get(&at) {
            Some((number, same)) if *number == crl.number() => {
                assert_eq!(same, pem, "{at:?}: two lists have the number {number}");
            }
            Some((number, _)) if *number > crl.number() => {}
            _ => drop(self.lists.insert(at, (crl.number(), pem.to_owned()))),
        }
    }

    /// Compares all that changed in the last round, or ever when `all`, with what the server says now. What
    /// was uncertain because the answer was lost is certain afterwards.
    pub fn check(&mut self, client: &Client, all: bool) {
        for at in Authority::BOTH {
            self.check_list(client, at);
            self.check_requests(client, at, all);
        }
    }

    fn check_list(&mut self, client: &Client, at: Authority) {
        let before = self.before_list(at);
        let list = client.revocation_list(at).unwrap();
        let anchor = client.anchor(at).unwrap();
        let anchor = Certificate::from_pem(anchor.body.as_bytes()).unwrap();
        let crl = Crl::from_pem(list.body.as_bytes()).unwrap();
        crl.verify_signature(anchor.public_key()).unwrap();
        self.listed(at, before, &list.body);
    }

    fn check_requests(&mut self, client: &Client, at: Authority, all: bool) {
        let pending: Vec<serde_json::Value> =
            serde_json::from_str(&client.pending(at).unwrap().body).unwrap();
        let pending: BTreeMap<u64, &str> = pending
            .iter()
            .map(|entry| (entry["id"].as_str().unwrap().parse().unwrap(), entry["csr"].as_str().unwrap()))
            .collect();
        let anchor = client.anchor(at).unwrap();
        let anchors = [Certificate::from_pem(anchor.body.as_bytes()).unwrap()];
        let round = self.round;
        let ids: Vec<u64> = self
            .requests
            .iter()
            .filter(|((of, _), request)| *of == at && (all || request.round == round))
            .map(|((_, id), _)| *id)
            .collect();
        for id in ids {
            let csr = client.request(at, id).unwrap();
            let certificate = client.certificate(at, id).unwrap();
            let request = self.requests.get_mut(&(at, id)).unwrap();
            let is_signed = certificate.status == 200;
            let about = format!("{at:?} {id}: {request:?}, {} and {}", csr.status, certificate.status);
            if request.reject_asked && !request.approved && csr.status == 404 {
                request.rejected = true;
            }
            if request.rejected {
                assert_eq!((csr.status, certificate.status), (404, 404), "{about}");
                assert!(!pending.contains_key(&id), "{about}");
                continue;
            }
            assert_eq!((csr.status, &csr.body), (200, &request.csr), "{about}");
            assert_eq!(pending.get(&id), (!is_signed).then_some(&&*request.csr), "{about}");
            let must = request.automatic || request.approved || request.certificate.is_some();
            let may = must || request.approve_asked;
            assert!(is_signed || !must, "a certificate is missing: {about}");
            assert!(!is_signed || may, "nobody approved it: {about}");
            (request.approve_asked, request.reject_asked) = (false, false);
            request.approved |= is_signed;
            if is_signed {
                let read = Certificate::from_pem(certificate.body.as_bytes()).unwrap();
                x509::verify(&read, &anchors, read.not_before()).unwrap();
                self.fetched(at, id, &certificate.body);
            }
        }
    }
}
