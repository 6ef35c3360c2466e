//! Taking requests.
//!
//! A request that is likely to be approved at once is signed first, by the one who asks. Then whoever's turn
//! it is at the desk decides for all who wait, and one commit stores everything: requests, certificates,
//! counters, events. A certificate whose request turns out to be held is thrown away unseen.

use core::net::IpAddr;
use std::collections::{HashMap, HashSet, VecDeque};

use futures_channel::oneshot;
use futures_util::future::join_all;
use identity::Principal;
use store::{Batch, CommitError};
use x509::{KeyKind, SigningRequest};

use crate::authority::Admission;
use crate::error::{IssueError, SignError, SubmitError};
use crate::event::Happened;
use crate::issue::{self, Mark, Wish};
use crate::record::{LedgerRecord, PendingRecord, RequestRecord, RequestRefRecord};
use crate::request::{self, Admitted, RequestId};
use crate::service::{ATTEMPTS_MAX, Authority, DOUBTS_MAX};
use crate::sign::Signed;

/// The most requests decided in one commit, of at most 100 operations and 100 expectations: each is six and
/// five, the ledger is one of both, and there may be as many reservations to expect.
const GROUP_REQUESTS_MAX: usize = 16;
/// The most bytes of requests decided in one commit, as they are stored.
const GROUP_BYTES_MAX: usize = 512 * 1024;
/// The longest request, in bytes as it is stored: JSON writes some characters with six.
const STORED_BYTES_MAX: usize = 256 * 1024;

/// A request to be decided about.
pub(crate) struct Job {
    text: String,
    pub(crate) digest: String,
    key_id: String,
    /// Who asks.
    by: Principal,
    /// How long the text is as it is stored.
    stored_bytes: usize,
    /// What becomes of it if it is approved at once.
    signed: Option<Signed>,
}

/// What was decided.
pub(crate) type Answer = Result<Decided, SubmitError>;

/// What became of a submitted request.
#[derive(Clone, Copy)]
pub(crate) enum Decided {
    /// These bytes are stored already.
    Known(RequestId),
    /// It is stored: it waits, or its certificate is stored too.
    Taken(RequestId),
    /// It would be approved at once, if it were signed. Nothing was done.
    Unsigned,
}

impl Job {
    /// # Errors
    /// [`SubmitError::TooLong`].
    pub(crate) fn new(csr: &SigningRequest, text: &str, by: &Principal) -> Result<Self, SubmitError> {
        let stored_bytes = stored_bytes(text);
        if stored_bytes > STORED_BYTES_MAX {
            return Err(SubmitError::TooLong);
        }
        Ok(Self {
            digest: digest_of(text),
            text: text.to_owned(),
            key_id: csr.public_key().key_id().to_string(),
            by: by.clone(),
            stored_bytes,
            signed: None,
        })
    }
}

/// How long `text` is in JSON, which writes some characters with two bytes and some with six; with its quotes.
fn stored_bytes(text: &str) -> usize {
    let written = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(written).sum::<usize>()
}

pub(crate) fn digest_of(text: &str) -> String {
    base::hex::encode(&base::sha256(text.as_bytes()))
}

fn cut_group(waiting: &mut VecDeque<(Job, oneshot::Sender<Answer>)>) -> Vec<(Job, oneshot::Sender<Answer>)> {
    let mut bytes = 0;
    let fitting = waiting
        .iter()
        .take(GROUP_REQUESTS_MAX)
        .take_while(|(job, _)| {
            bytes += job.stored_bytes;
            bytes <= GROUP_BYTES_MAX
        })
        .count();
    waiting.drain(..fitting).collect()
}

impl Authority {
    /// Takes a signing request; `text` is the PEM it was read from. Signs it when the automatic count allows.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was stored then.
    pub async fn submit(&self, csr: &SigningRequest, text: &str) -> Result<RequestId, SubmitError> {
        self.submit_by(&Principal::anonymous(None), csr, text).await
    }

    /// The same for whoever asks from this address.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was stored then.
    pub async fn submit_from(
        &self,
        from: IpAddr,
        csr: &SigningRequest,
        text: &str,
    ) -> Result<RequestId, SubmitError> {
        self.submit_by(&Principal::anonymous(Some(from)), csr, text).await
    }

    async fn submit_by(
        &self,
        by: &Principal,
        csr: &SigningRequest,
        text: &str,
    ) -> Result<RequestId, SubmitError> {
        let error = match self.take(by, csr, text).await {
            Err(SubmitError::Draft(error)) if error.is_of_form() => return Err(error.into()),
            Err(error @ (SubmitError::Draft(_) | SubmitError::Issue(_))) => error,
            answer => return answer,
        };
        // What was taken while its names were allowed, or the disk had room, is found again.
        self.known(&Job::new(csr, text, by)?).await?.same_bytes.ok_or(error)
    }

    async fn take(&self, by: &Principal, csr: &SigningRequest, text: &str) -> Result<RequestId, SubmitError> {
        self.check_key(csr)?;
        issue::check(self.profile.names, &wish_of(csr, Mark::Approved))?;
        let mut is_likely_automatic = self.is_likely_automatic();
        for _ in 0..ATTEMPTS_MAX {
            let mut job = Job::new(csr, text, by)?;
            let mut cannot_be_drawn_up = None;
            if is_likely_automatic {
                // Nothing is signed for who only asks again.
                if self.recent.has(&job.digest)
                    && let Some(id) = self.known(&job).await?.same_bytes
                {
                    return Ok(id);
                }
                match self.sign(&wish_of(csr, Mark::Automatic)).await {
                    Ok(signed) => job.signed = Some(signed),
                    // No reason to refuse what is known, or waits for somebody who looks at it.
                    Err(SignError::Draft(error)) => cannot_be_drawn_up = Some(error),
                    Err(SignError::Issue(error)) => return Err(error.into()),
                }
            }
            let decided = self.desk.ask(job, cut_group, |jobs| self.decide(jobs)).await;
            match decided.ok_or(SubmitError::Interrupted)?? {
                Decided::Known(id) => return Ok(id),
                Decided::Taken(id) => {
                    self.purge().await;
                    return Ok(id);
                }
                Decided::Unsigned => match cannot_be_drawn_up {
                    Some(error) => return Err(error.into()),
                    None => is_likely_automatic = true,
                },
            }
        }
        Err(SubmitError::Interrupted)
    }

    pub(crate) fn check_key(&self, csr: &SigningRequest) -> Result<(), SubmitError> {
        let kind = csr.public_key().kind();
        match kind {
            KeyKind::Rsa { .. } => Ok(()),
            _ if self.profile.admission.keys_for_backup => {
                Err(SubmitError::NotRsa { kind: kind.to_string() })
            }
            KeyKind::EcP256 | KeyKind::EcP384 | KeyKind::EcP521 | KeyKind::Ed25519 => Ok(()),
            KeyKind::UnfitRsa { .. } | KeyKind::Other(_) => Err(SubmitError::Key { kind: kind.to_string() }),
        }
    }

    /// Decides about several requests in one commit; the answers are in the same order. When that fails, each
    /// is decided about alone: the fault may be with one of them.
    async fn decide(&self, jobs: Vec<Job>) -> Vec<Answer> {
        match self.decide_together(&jobs).await {
            Ok(answers) => answers,
            Err(error) if jobs.len() == 1 => vec![Err(error.into())],
            Err(_) => {
                let mut answers = Vec::with_capacity(jobs.len());
                for job in jobs.chunks(1) {
                    match self.decide_together(job).await {
                        Ok(decided) => answers.extend(decided),
                        Err(error) => answers.push(Err(error.into())),
                    }
                }
                answers
            }
        }
    }

    /// At first all are taken for new, as most are; the commit conflicts if one is not.
    async fn decide_together(&self, jobs: &[Job]) -> Result<Vec<Answer>, IssueError> {
        let (mut attempts, mut doubts, mut look_up) = (1, 0, false);
        loop {
            match self.try_decide(jobs, look_up).await {
                Ok(Some(answers)) => return Ok(answers),
                Ok(None) => {}
                Err(IssueError::Store(CommitError::Conflict { key })) if attempts < ATTEMPTS_MAX => {
                    self.note_conflict(&key);
                    attempts += 1;
                }
                // What was stored after all is found to be known.
                Err(IssueError::Store(CommitError::Unknown { .. })) if doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error),
            }
            look_up = true;
        }
    }

    /// `None`, and nothing done, when one is not taken that was not looked up: what is known already is
    /// taken even when nothing new is.
    async fn try_decide(&self, jobs: &[Job], look_up: bool) -> Result<Option<Vec<Answer>>, IssueError> {
        let (mut ledger, seen) = self.ledger().await?;
        let known = if look_up {
            join_all(jobs.iter().map(|job| self.known(job))).await.into_iter().collect::<Result<_, _>>()?
        } else {
            vec![Known::default(); jobs.len()]
        };
        let first_id = RequestId::random(&self.ground.entropy);
        let new_id = || first_id.random_neighbour(&self.ground.entropy);
        let plans = plan(&self.profile.admission, self.automatic_max(), jobs, &known, &mut ledger, new_id);
        let is_taken = |plan: &Plan<'_>| !matches!(plan, Plan::Unsigned | Plan::Refuse(_));
        if !look_up && !plans.iter().all(is_taken) {
            return Ok(None);
        }
        let batch = self.stage(jobs, &plans)?;
        if let Some(mut batch) = batch {
            self.stage_ledger(&mut batch, &ledger, seen)?;
            let version = self.commit(batch).await?;
            self.keep_ledger(ledger, version);
        }
        for (job, plan) in jobs.iter().zip(&plans) {
            if !matches!(plan, Plan::Unsigned | Plan::Refuse(_)) {
                self.recent.note(&job.digest);
            }
        }
        Ok(Some(plans.into_iter().map(|plan| self.tell(plan)).collect()))
    }

    /// What is to be stored, if anything.
    fn stage(&self, jobs: &[Job], plans: &[Plan<'_>]) -> Result<Option<Batch>, store::Error> {
        let mut batch = Batch::new();
        let mut reserved = Vec::new();
        for (job, plan) in jobs.iter().zip(plans) {
            match plan {
                Plan::Hold(id) => {
                    self.stage_request(&mut batch, *id, job, false)?;
                    let pending = PendingRecord { since: self.now().as_unix() };
                    self.tables.pending.create(&mut batch, &id.key(), &pending)?;
                    let submitted = Happened::Submitted { id: *id, key_id: &job.key_id };
                    self.record_event(&mut batch, &submitted, Some(&job.by))?;
                }
                Plan::Issue(id, signed) => {
                    self.stage_request(&mut batch, *id, job, true)?;
                    self.stage_certificate(&mut batch, *id, signed, Some(&job.by), Mark::Automatic)?;
                    reserved.push(&signed.reserved);
                }
                Plan::Known(_) | Plan::Unsigned | Plan::Refuse(_) => {}
            }
        }
        self.expect_reservations(&mut batch, reserved)?;
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// The answer to one whose part is stored.
    fn tell(&self, plan: Plan<'_>) -> Answer {
        match plan {
            Plan::Known(id) => Ok(Decided::Known(id)),
            Plan::Hold(id) => {
                tracing::info!(authority = %self.profile.name, request = %id, "request submitted");
                Ok(Decided::Taken(id))
            }
            Plan::Issue(id, signed) => {
                self.certificate_is_stored(id, signed, None);
                Ok(Decided::Taken(id))
            }
            Plan::Unsigned => Ok(Decided::Unsigned),
            Plan::Refuse(error) => Err(error),
        }
    }

    pub(crate) async fn known(&self, job: &Job) -> Result<Known, store::Error> {
        let same_bytes = self
            .tables
            .digest
            .get(&job.digest)
            .await?
            .map(|found| RequestId::from_record(found.record.request));
        let key_taken = self.profile.admission.keys_for_backup
            && same_bytes.is_none()
            && self.tables.key.get(&job.key_id).await?.is_some();
        Ok(Known { same_bytes, key_taken })
    }

    /// Adds a request and what finds it again.
    pub(crate) fn stage_request(
        &self,
        batch: &mut Batch,
        id: RequestId,
        job: &Job,
        automatic: bool,
    ) -> Result<(), store::Error> {
        let record = RequestRecord { csr: job.text.clone(), at: self.now().as_unix(), automatic };
        let reference = RequestRefRecord { request: id.as_u64() };
        self.tables.request.create(batch, &id.key(), &record)?;
        self.tables.digest.create(batch, &job.digest, &reference)?;
        if self.profile.admission.keys_for_backup {
            self.tables.key.create(batch, &job.key_id, &reference)?;
        }
        Ok(())
    }

    /// Removes a request and what finds it.
    pub(crate) fn delete_request(
        &self,
        batch: &mut Batch,
        id: RequestId,
        record: &RequestRecord,
    ) -> Result<(), store::Error> {
        self.tables.request.delete(batch, &id.key())?;
        self.tables.digest.delete(batch, &digest_of(&record.csr))?;
        if self.profile.admission.keys_for_backup
            && let Ok(csr) = SigningRequest::from_pem(record.csr.as_bytes())
        {
            self.tables.key.delete(batch, &csr.public_key().key_id().to_string())?;
        }
        Ok(())
    }
}

/// What is to become of one request of a group.
enum Plan<'a> {
    Known(RequestId),
    Hold(RequestId),
    Issue(RequestId, &'a Signed),
    Unsigned,
    Refuse(SubmitError),
}

/// Decides about a group, in the order they came, and counts those that are taken.
fn plan<'a>(
    admission: &Admission,
    automatic_max: u64,
    jobs: &'a [Job],
    known: &[Known],
    ledger: &mut LedgerRecord,
    new_id: impl Fn() -> RequestId,
) -> Vec<Plan<'a>> {
    // Requests of this very group count as known to those behind them.
    let mut new_digests = HashMap::new();
    let mut new_keys = HashSet::new();
    let decide = |(job, known): (&'a Job, &Known)| {
        if let Some(id) = known.same_bytes.or_else(|| new_digests.get(job.digest.as_str()).copied()) {
            return Plan::Known(id);
        }
        let mut counted = *ledger;
        let admitted = match request::admit(&mut counted, admission, automatic_max) {
            Ok(admitted) => admitted,
            Err(error) => return Plan::Refuse(error),
        };
        if admission.keys_for_backup && (known.key_taken || new_keys.contains(job.key_id.as_str())) {
            return Plan::Refuse(SubmitError::KeyKnown);
        }
        let id = new_id();
        let plan = match (admitted, &job.signed) {
            (Admitted::Held, _) => Plan::Hold(id),
            (Admitted::Approved, Some(signed)) if signed.reserved.stands() => Plan::Issue(id, signed),
            (Admitted::Approved, _) => return Plan::Unsigned,
        };
        *ledger = counted;
        new_digests.insert(job.digest.as_str(), id);
        new_keys.insert(job.key_id.as_str());
        plan
    };
    jobs.iter().zip(known).map(decide).collect()
}

/// What `csr` asks for, for its own key.
pub(crate) fn wish_of(csr: &SigningRequest, mark: Mark) -> Wish<'_> {
    Wish { subject: csr.subject(), public_key: csr.public_key(), extensions: csr.extensions(), mark }
}

/// Whether a request is known already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    pub(crate) same_bytes: Option<RequestId>,
    pub(crate) key_taken: bool,
}

pub(crate) fn stored_request(record: &RequestRecord, id: RequestId) -> Result<SigningRequest, IssueError> {
    SigningRequest::from_pem(record.csr.as_bytes()).map_err(|error| {
        IssueError::from(store::Error::Engine {
            doing: "reading a request",
            reason: format!("{id}: {error}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_long_as_it_will_be_stored() {
        for text in ["", "PEM\n", "a\r\n\t\"\\", "\u{0}\u{1f}\u{8}\u{c}\u{7f}", "Grüße, 世界"] {
            assert_eq!(stored_bytes(text), serde_json::to_string(text).unwrap().len(), "{text:?}");
        }
    }
}
