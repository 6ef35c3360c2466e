//! Rows of caucase's as records.

use std::collections::HashSet;

use base::{Entropy, Explain, Kind, Timestamp};
use caucase_files::{CertificateRow, Count, IssuerRow, Prefix, RevokedRow, Row};
use store::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, Batch, Expect, Key, Record, SealingKey, VALUE_BYTES_MAX};
use x509::{Certificate, ParseError, PrivateKey, Serial, SigningRequest, extension, oid, pem};

use super::authority_of;
use crate::issue;
use crate::issuers::{FIRST_ISSUER, issuer_id};
use crate::ledger::LEDGER;
use crate::record::{
    AutomaticRecord, CertificateRecord, CrlRecord, IssuedRecord, IssuerRecord, KeyRecord, LedgerRecord,
    PendingRecord, RequestRecord, RequestRefRecord, RevokedRecord,
};
use crate::request::RequestId;
use crate::rollover::BACK_DATED;
use crate::service::{AUTOMATIC, CRL};
use crate::submit::digest_of;

/// Why a row is not taken: the authority could not keep its word with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table}, {row}: {reason}")]
pub struct Unfit {
    /// The table of caucase's.
    pub table: String,
    /// Which row, in words.
    pub row: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Explain for Unfit {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some(
            "nothing was changed: put the database back from a backup of before, or mend a copy of it with sqlite3 and \
             look at it with `provost ca import --dry-run`"
                .into(),
        )
    }
}

/// What was taken for one authority.
#[derive(Debug, Clone, Default)]
pub struct TakenAuthority {
    /// Its CA certificates, as they came.
    pub issuers: Vec<Certificate>,
    /// How many requests came with the certificate that was issued for them.
    pub issued: u64,
    /// Of these, how many are of CA certificates that are gone.
    pub orphans: u64,
    /// Of these, how many have a request that cannot be read any more, or is not signed by its key; it was when it was
    /// decided on, and what counts is the certificate.
    pub unread: u64,
    /// When the first of those that are still valid ends.
    pub next_end: Option<Timestamp>,
    /// How many requests wait.
    pub pending: u64,
    /// How many revocations there are.
    pub revoked: u64,
    /// How many requests it ever took.
    pub received: u64,
    /// The number of its latest revocation list; 0 before the first.
    pub crl_number: u64,
    /// Whether the older layout, which counts lists and not revocations, says that there was none.
    pub is_without_list: bool,
    /// The date of that; 0 before the first.
    pub crl_date: i64,
    /// The locked automatic count.
    pub automatic: Option<u64>,
    /// The latest moment at which anything of it was done: it is past.
    pub latest: Option<Timestamp>,
    /// Until when the last holder can go on whose certificate is good: within its dates, not revoked, and not of a CA
    /// certificate that is gone.
    pub good_until: Option<Timestamp>,
}

impl TakenAuthority {
    fn done_at(&mut self, at: Timestamp) {
        self.latest = self.latest.max(Some(at));
    }

    /// What contradicts itself among the tables of an authority: which table lacks something, what, and why it must have
    /// been there.
    fn lacks(&self, prefix: Prefix) -> Option<(&'static str, &'static str, String)> {
        let table = |ending: &str| format!("{}{ending}", prefix.as_str());
        let issuers = "its rows";
        let because = |count: u64, what: &str| format!("`{}` has {count}", table(what));
        if self.issuers.is_empty() {
            let no_issuer = "there is no CA certificate, although";
            if self.issued > 0 {
                return Some((
                    "ca",
                    issuers,
                    format!("{no_issuer} {} that one signed", because(self.issued, "crt")),
                ));
            }
            if self.revoked > 0 {
                return Some(("ca", issuers, format!("{no_issuer} {}", because(self.revoked, "revoked"))));
            }
            if self.crl_number > 0 {
                let made =
                    format!("`{}` says that {} list(s) were signed", table("counter"), self.crl_number);
                return Some(("ca", issuers, format!("{no_issuer} {made}")));
            }
        }
        let number = "`crl_number`";
        if self.crl_number == 0 {
            let no_number = "the number of the last revocation list is missing, although";
            // Each revocation counts it up, where lists do not.
            if self.revoked > 0 && !self.is_without_list {
                return Some((
                    "counter",
                    number,
                    format!("{no_number} {}", because(self.revoked, "revoked")),
                ));
            }
            if self.crl_date > 0 {
                let dated = format!("`{}` says that there was one", table("config"));
                return Some(("counter", number, format!("{no_number} {dated}")));
            }
        }
        // Each new request counts it up. It says how many more are approved by themselves. What an imported CA issued is
        // renewed without one, and certificates of the server's own do not count.
        let counted = self.pending + if prefix == Prefix::Users { self.issued } else { 0 };
        if self.received == 0 && counted > 0 && prefix != Prefix::Server {
            let reason =
                format!("how many requests there were is missing, although {}", because(counted, "crt"));
            return Some(("counter", "`received_csr`", reason));
        }
        None
    }
}

/// Makes records of rows. The issuers of all authorities come first.
#[derive(Debug)]
pub struct Taking<'a> {
    sealing: &'a SealingKey,
    entropy: &'a Entropy,
    now: Timestamp,
    taken: [TakenAuthority; Prefix::ALL.len()],
    batch: Batch,
    keys: HashSet<Key>,
    /// Of each authority; those come before what was issued.
    revoked: HashSet<(Prefix, String)>,
}

/// What one row becomes.
type Records = Vec<(Key, Vec<u8>)>;

impl<'a> Taking<'a> {
    /// Keys are sealed under `sealing`.
    #[must_use]
    pub fn new(sealing: &'a SealingKey, entropy: &'a Entropy, now: Timestamp) -> Self {
        let taken = Prefix::ALL.map(|_| TakenAuthority::default());
        Self {
            sealing,
            entropy,
            now,
            taken,
            batch: Batch::new(),
            keys: HashSet::new(),
            revoked: HashSet::new(),
        }
    }

    /// Takes a row; a batch when one is full. Each expects that nothing is there yet.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn take(&mut self, prefix: Prefix, row: Row) -> Result<Option<Batch>, Unfit> {
        let records = match row {
            Row::Issuer(row) => self.issuer(prefix, &row),
            Row::Certificate(row) => self.certificate(prefix, &row),
            Row::Revoked(row) => self.revoked(prefix, &row),
            Row::Count(count) => {
                self.count(prefix, count);
                Ok(Records::new())
            }
        }?;
        Ok(self.add(records))
    }

    /// What is left to be stored, and what was taken.
    ///
    /// # Errors
    /// [`Unfit`] when numbers cannot be kept.
    pub fn finish(mut self) -> Result<(Vec<Batch>, [TakenAuthority; Prefix::ALL.len()]), Unfit> {
        let mut batches = Vec::new();
        for prefix in Prefix::ALL {
            let taken = &mut self.taken[prefix as usize];
            if let Some((table, row, reason)) = taken.lacks(prefix) {
                return Err(At { prefix, table, row: row.into() }.refuse(reason));
            }
            if taken.crl_date > 0 {
                taken.done_at(Timestamp::from_unix(taken.crl_date));
            }
            let ledger = LedgerRecord { received: taken.received, pending: taken.pending };
            let crl = CrlRecord { number: taken.crl_number, this_update: taken.crl_date };
            let at = At { prefix, table: "counter", row: "its numbers".into() };
            let mut records = Records::new();
            if ledger != LedgerRecord::default() {
                at.put(&mut records, "", LEDGER, &ledger)?;
            }
            if crl != CrlRecord::default() {
                at.put(&mut records, "", CRL, &crl)?;
            }
            if let Some(automatic_max) = taken.automatic {
                at.put(&mut records, "", AUTOMATIC, &AutomaticRecord { automatic_max })?;
            }
            batches.extend(self.add(records));
        }
        if !self.batch.is_empty() {
            batches.push(self.batch);
        }
        Ok((batches, self.taken))
    }

    /// Adds records to the batch; gives what was there when they do not fit.
    fn add(&mut self, records: Records) -> Option<Batch> {
        let bytes: usize = records.iter().map(|(key, value)| key.as_str().len() + value.len()).sum();
        let is_full = self.batch.len() + records.len() > BATCH_OPERATIONS_MAX
            || self.batch.bytes() + bytes > BATCH_BYTES_MAX
            // What comes twice is to be found when it is committed.
            || records.iter().any(|(key, _)| self.keys.contains(key));
        let full = is_full.then(|| std::mem::take(&mut self.batch)).filter(|batch| !batch.is_empty());
        if is_full {
            self.keys.clear();
        }
        for (key, value) in records {
            self.keys.insert(key.clone());
            self.batch.expect(key.clone(), Expect::Absent).put(key, value);
        }
        full
    }

    fn count(&mut self, prefix: Prefix, count: Count) {
        let taken = &mut self.taken[prefix as usize];
        match count {
            Count::Received(number) => taken.received = number,
            Count::CrlNumber(number) => taken.crl_number = number,
            Count::NoList => taken.is_without_list = true,
            Count::Automatic(number) => taken.automatic = Some(number),
            Count::CrlLastUpdate(at) => taken.crl_date = at,
        }
    }

    fn issuer(&mut self, prefix: Prefix, row: &IssuerRow) -> Result<Records, Unfit> {
        let taken = &mut self.taken[prefix as usize];
        let before = u32::try_from(taken.issuers.len()).unwrap_or(u32::MAX);
        let id = issuer_id(FIRST_ISSUER.saturating_add(before));
        let at = At { prefix, table: "ca", row: format!("the one that ends at {}", row.expires_at) };
        let certificate = Certificate::from_pem(&row.certificate)
            .map_err(|error| at.refuse(format!("its certificate: {error}")))?;
        let key = std::str::from_utf8(row.key.expose())
            .map_err(|_| at.refuse("its key is no text".into()))
            .and_then(|pem| {
            PrivateKey::from_pem(pem).map_err(|error| at.refuse(format!("its key: {error}")))
        })?;
        if key.public() != certificate.public_key() {
            return Err(at.refuse("its key is not the certificate's".into()));
        }
        // One of another authority's was imported into it, and is that one's to answer for.
        let is_own = certificate.subject() == certificate.issuer();
        if is_own && certificate.verify_signature(certificate.public_key()).is_err() {
            return Err(at.refuse("its certificate's signature is not its key's".into()));
        }
        // Imported twice, it is one nevertheless.
        if taken.issuers.iter().any(|held| held.fingerprint() == certificate.fingerprint()) {
            return Ok(Records::new());
        }
        let about = format!("/ca/{}/issuer/{id}", authority_of(prefix));
        let sealed_key = self.sealing.seal(&about, key.to_pkcs8_der().expose(), self.entropy);
        let record =
            IssuerRecord { certificate: at.text(&row.certificate)?, key: KeyRecord::Sealed { sealed_key } };
        taken.done_at(certificate.not_before());
        taken.issuers.push(certificate);
        let mut records = Records::new();
        at.put(&mut records, "issuer/", &id, &record)?;
        Ok(records)
    }

    fn certificate(&mut self, prefix: Prefix, row: &CertificateRow) -> Result<Records, Unfit> {
        let at = At { prefix, table: "crt", row: format!("request {}", row.id) };
        if i64::try_from(row.id).is_err() {
            return Err(at.refuse("no request has a number of more than 63 bits".into()));
        }
        let id = RequestId::from_record(row.id);
        let request = SigningRequest::from_pem(&row.request);
        let (certificate, is_orphan) = match &row.certificate {
            Some(pem) => {
                let (certificate, is_orphan) = self.issued_certificate(&at, prefix, pem)?;
                (Some(certificate), is_orphan)
            }
            None => (None, false),
        };
        let key_id = match (&request, &certificate) {
            (Ok(request), Some(certificate)) if request.public_key() != certificate.public_key() => {
                return Err(at.refuse("its certificate is for another key than the request's".into()));
            }
            (Ok(request), _) => request.public_key().key_id().to_string(),
            // Kinds of keys that are not taken any more are carried on until they end.
            (Err(_), Some(certificate)) if is_request(&row.request) => {
                certificate.public_key().key_id().to_string()
            }
            (Err(error), _) => return Err(at.refuse(format!("its request: {error}"))),
        };
        if !row.key_id.eq_ignore_ascii_case(&key_id) {
            return Err(at.refuse(format!("its key_id is {:?}, and its key is {key_id}", row.key_id)));
        }
        let csr = at.text(&row.request)?;
        let reference = RequestRefRecord { request: id.as_u64() };
        let mut records = Records::new();
        at.put(&mut records, "digest/", &digest_of(&csr), &reference)?;
        if prefix == Prefix::Users {
            at.put(&mut records, "key/", &key_id, &reference)?;
        }
        let is_revoked =
            certificate.as_ref().is_some_and(|found| self.revoked.contains(&(prefix, found.serial().hex())));
        let taken = &mut self.taken[prefix as usize];
        let request = match (&certificate, &row.certificate, row.drop_at) {
            (Some(certificate), Some(pem), Some(drop_at)) => {
                let serial = certificate.serial().hex();
                let issued = IssuedRecord { serial: serial.clone(), drop_at, fetched: false };
                at.put(&mut records, "issued/", &id.key(), &issued)?;
                let record = CertificateRecord { certificate: at.text(pem)?, request: id.as_u64() };
                at.put(&mut records, "certificate/", &serial, &record)?;
                taken.issued += 1;
                taken.orphans += u64::from(is_orphan);
                taken.unread += u64::from(request.is_err());
                taken.done_at(certificate.not_before());
                let end = certificate.not_after();
                if end >= self.now && taken.next_end.is_none_or(|next| end < next) {
                    taken.next_end = Some(end);
                }
                if !is_orphan && !is_revoked && (certificate.not_before()..=end).contains(&self.now) {
                    taken.good_until = taken.good_until.max(Some(end));
                }
                let submitted = (certificate.not_before() + BACK_DATED).as_unix();
                RequestRecord { csr, at: submitted, automatic: is_automatic(certificate) }
            }
            (Some(_), ..) => return Err(at.refuse("nothing says when it may be dropped".into())),
            (None, ..) => {
                // Since when it waits nobody has written down.
                let now = self.now.as_unix();
                at.put(&mut records, "pending/", &id.key(), &PendingRecord { since: now })?;
                taken.pending += 1;
                RequestRecord { csr, at: now, automatic: false }
            }
        };
        at.put(&mut records, "request/", &id.key(), &request)?;
        Ok(records)
    }

    /// A certificate that was issued, and whether its CA certificate is gone. That it is none of this authority's, or was
    /// changed, is refused.
    fn issued_certificate(&self, at: &At, prefix: Prefix, pem: &[u8]) -> Result<(Certificate, bool), Unfit> {
        let certificate = leaf(pem).map_err(|error| at.refuse(format!("its certificate: {error}")))?;
        let named = certificate.authority_key_id();
        let may_be_of = |issuer: &&Certificate| {
            issuer.subject() == certificate.issuer()
                && match (&named, issuer.subject_key_id()) {
                    (Some(named), Some(held)) => named == held.as_bytes(),
                    _ => true,
                }
        };
        let mut candidates = self.taken[prefix as usize].issuers.iter().filter(may_be_of).peekable();
        if candidates.peek().is_some() {
            let is_signed = |issuer: &Certificate| certificate.verify_signature(issuer.public_key()).is_ok();
            if !candidates.any(is_signed) {
                return Err(at.refuse("its certificate's signature is not its issuer's".into()));
            }
            return Ok((certificate, false));
        }
        let others = Prefix::ALL.into_iter().filter(|other| *other != prefix);
        if let Some(other) = others
            .into_iter()
            .find(|other| self.taken[*other as usize].issuers.iter().any(|issuer| may_be_of(&issuer)))
        {
            return Err(at.refuse(format!("its certificate is one of `{}`", other.as_str())));
        }
        Ok((certificate, true))
    }

    fn revoked(&mut self, prefix: Prefix, row: &RevokedRow) -> Result<Records, Unfit> {
        let at = At { prefix, table: "revoked", row: format!("serial {:?}", row.serial) };
        let serial = Serial::from_decimal(&row.serial)
            .ok_or_else(|| at.refuse("no certificate has such a serial number".into()))?;
        let mut records = Records::new();
        let record = RevokedRecord { at: row.at, drop_at: row.expires_at };
        at.put(&mut records, "revoked/", &serial.hex(), &record)?;
        self.revoked.insert((prefix, serial.hex()));
        let taken = &mut self.taken[prefix as usize];
        taken.revoked += 1;
        taken.done_at(Timestamp::from_unix(row.at));
        Ok(records)
    }
}

/// Where something is in caucase's database.
struct At {
    prefix: Prefix,
    table: &'static str,
    row: String,
}

impl At {
    fn refuse(&self, reason: String) -> Unfit {
        Unfit { table: format!("{}{}", self.prefix.as_str(), self.table), row: self.row.clone(), reason }
    }

    fn text(&self, pem: &[u8]) -> Result<String, Unfit> {
        String::from_utf8(pem.to_vec()).map_err(|_| self.refuse("what is around its PEM is no text".into()))
    }

    fn put<R: Record>(&self, records: &mut Records, table: &str, id: &str, record: &R) -> Result<(), Unfit> {
        let key = Key::new(format!("/ca/{}/{table}{id}", authority_of(self.prefix)))
            .map_err(|error| self.refuse(error.to_string()))?;
        let value = store::encode(record).map_err(|error| self.refuse(error.to_string()))?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(self.refuse(format!("it takes more than {VALUE_BYTES_MAX} bytes")));
        }
        records.push((key, value));
        Ok(())
    }
}

/// A certificate of somebody, also with a key of a size that is not certified any more.
pub(crate) fn leaf(pem: &[u8]) -> Result<Certificate, ParseError> {
    Certificate::from_pem(pem).or_else(|error| match &pem::read(pem, pem::ONE_BYTES_MAX)?[..] {
        [only] if only.label == "CERTIFICATE" => Certificate::from_anchor_der(&only.der).map_err(|_| error),
        _ => Err(error),
    })
}

/// Whether it is a signing request as far as its wrapping goes.
fn is_request(pem: &[u8]) -> bool {
    matches!(&pem::read(pem, pem::ONE_BYTES_MAX).as_deref(), Ok([only]) if only.label.ends_with("CERTIFICATE REQUEST"))
}

/// Whether nobody looked at it before it was issued.
fn is_automatic(certificate: &Certificate) -> bool {
    let policies = certificate
        .extension(&oid::CERTIFICATE_POLICIES)
        .and_then(|found| extension::parse_certificate_policies(&found.value).ok());
    policies.is_some_and(|policies| policies.iter().any(|policy| policy.oid == issue::AUTOMATIC_POLICY))
}
