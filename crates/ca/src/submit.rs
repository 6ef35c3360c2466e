//! Taking requests.
//!
//! A request that is likely to be approved at once is signed first, by the one who asks. Then whoever's turn
//! it is at the desk decides for all who wait, and one commit stores everything: requests, certificates,
//! counters, events. A certificate whose request turns out to be held is thrown away unseen.

use std::collections::{HashMap, VecDeque};

use futures_channel::oneshot;
use futures_util::future::join_all;
use store::{Batch, CommitError};
use x509::{KeyKind, SigningRequest};

use crate::error::{IssueError, SignError, SubmitError};
use crate::event::Happened;
use crate::issue::{Mark, Wish};
use crate::record::{PendingRecord, RequestRecord, RequestRefRecord};
use crate::request::{self, Admitted, RequestId};
use crate::service::{ATTEMPTS_MAX, Authority};
use crate::sign::Signed;

/// The most requests decided in one commit: each is at most six operations, and one more for the ledger.
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
    pub(crate) fn new(csr: &SigningRequest, text: &str) -> Self {
        let stored_bytes = serde_json::to_string(text).map_or(usize::MAX, |stored| stored.len());
        Self {
            digest: digest_of(text),
            text: text.to_owned(),
            key_id: csr.public_key().key_id().to_string(),
            stored_bytes,
            signed: None,
        }
    }
}

fn digest_of(text: &str) -> String {
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
        self.check_key(csr)?;
        let mut is_likely_automatic = self.is_likely_automatic();
        for _ in 0..ATTEMPTS_MAX {
            let mut job = Job::new(csr, text);
            if job.stored_bytes > STORED_BYTES_MAX {
                return Err(SubmitError::TooLong);
            }
            let mut cannot_be_drawn_up = None;
            if is_likely_automatic {
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
            KeyKind::Other(_) => Err(SubmitError::Key { kind: kind.to_string() }),
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
        let (mut attempts, mut look_up) = (1, false);
        loop {
            match self.try_decide(jobs, look_up).await {
                Ok(Some(answers)) => return Ok(answers),
                Ok(None) => {}
                Err(IssueError::Store(CommitError::Conflict { key })) if attempts < ATTEMPTS_MAX => {
                    self.note_conflict(&key);
                    attempts += 1;
                }
                Err(error) => return Err(error),
            }
            look_up = true;
        }
    }

    /// `None`, and nothing done, when one is not taken that was not looked up: what is known already is
    /// taken even when nothing new is.
    async fn try_decide(&self, jobs: &[Job], look_up: bool) -> Result<Option<Vec<Answer>>, IssueError> {
        let (before, seen) = self.ledger().await?;
        let known = if look_up {
            join_all(jobs.iter().map(|job| self.known(job))).await
        } else {
            jobs.iter().map(|_| Ok(Known { same_bytes: None, key_taken: false })).collect()
        };
        let mut ledger = before;
        let mut batch = Batch::new();
        // Requests of this very group count as known to those behind them.
        let mut new_digests = HashMap::new();
        let mut new_keys = HashMap::new();
        let mut answers = Vec::with_capacity(jobs.len());
        let mut issued = Vec::new();
        for (job, known) in jobs.iter().zip(known) {
            let known = known?;
            if let Some(id) = known.same_bytes.or_else(|| new_digests.get(job.digest.as_str()).copied()) {
                answers.push(Ok(Decided::Known(id)));
                continue;
            }
            let one_of_a_kind = self.profile.admission.keys_for_backup;
            let mut counted = ledger;
            let admitted = match request::admit(&mut counted, &self.profile.admission, self.automatic_max()) {
                Ok(_) if one_of_a_kind && (known.key_taken || new_keys.contains_key(job.key_id.as_str())) => {
                    answers.push(Err(SubmitError::KeyKnown));
                    continue;
                }
                Ok(admitted) => admitted,
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            let id = RequestId::random(&self.ground.entropy);
            match (admitted, job.signed.as_ref().filter(|signed| signed.reserved.stands())) {
                (Admitted::Held, _) => {
                    self.stage_request(&mut batch, id, job, false)?;
                    let submitted = Happened::Submitted { id, key_id: &job.key_id };
                    self.record_event(&mut batch, &submitted, None)?;
                    let pending = PendingRecord { since: self.now().as_unix() };
                    self.tables.pending.create(&mut batch, &id.key(), &pending)?;
                }
                (Admitted::Approved, Some(signed)) => {
                    self.stage_request(&mut batch, id, job, true)?;
                    self.stage_certificate(&mut batch, id, signed, None, Mark::Automatic)?;
                    issued.push((id, signed));
                }
                (Admitted::Approved, None) => {
                    answers.push(Ok(Decided::Unsigned));
                    continue;
                }
            }
            ledger = counted;
            new_digests.insert(job.digest.as_str(), id);
            new_keys.insert(job.key_id.as_str(), id);
            answers.push(Ok(Decided::Taken(id)));
        }
        let is_taken = |answer: &Answer| matches!(answer, Ok(Decided::Known(_) | Decided::Taken(_)));
        if !look_up && !answers.iter().all(is_taken) {
            return Ok(None);
        }
        if batch.is_empty() {
            return Ok(Some(answers));
        }
        self.expect_reservations(&mut batch, issued.iter().map(|(_, signed)| &signed.reserved))?;
        self.stage_ledger(&mut batch, &ledger, seen)?;
        let version = self.commit(batch).await?;
        self.keep_ledger(ledger, version);
        for id in answers.iter().filter_map(|answer| match answer {
            Ok(Decided::Taken(id)) => Some(id),
            _ => None,
        }) {
            tracing::info!(authority = %self.profile.name, request = %id, "request submitted");
        }
        for (id, signed) in issued {
            self.certificate_is_stored(id, signed);
        }
        Ok(Some(answers))
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

/// What `csr` asks for, for its own key.
pub(crate) fn wish_of(csr: &SigningRequest, mark: Mark) -> Wish<'_> {
    Wish { subject: csr.subject(), public_key: csr.public_key(), extensions: csr.extensions(), mark }
}

/// Whether a request is known already.
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
