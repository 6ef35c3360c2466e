//! From a request to a certificate: submitting, and what all ways have in common.
//!
//! Signing takes two commits. The first stores the intent: the request, that it is being signed, and the
//! serial that is spent on it. The second stores the certificate. A crash in between leaves a serial that
//! is never used, never a certificate that nobody recorded (`unfinished.rs`).

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::task::Poll;

use futures_channel::oneshot;
use futures_util::future::join_all;
use identity::Principal;
use store::{Batch, CommitError, Version};
use x509::{Certificate, KeyKind, SigningRequest};

use crate::error::{ApproveError, IssueError, SubmitError};
use crate::event::Happened;
use crate::issue::{self, Draft, Mark, Wish};
use crate::record::{
    CertificateRecord, IssuedRecord, IssuingRecord, Origin, PendingRecord, RequestRecord, RequestRefRecord,
};
use crate::request::{self, Admitted, RequestId};
use crate::service::{ATTEMPTS_MAX, Authority, LEDGER};

/// The most requests decided in one commit: each is at most five operations, and one more for the ledger.
const GROUP_REQUESTS_MAX: usize = 16;
/// The most bytes of requests decided in one commit, as they are stored.
const GROUP_BYTES_MAX: usize = 512 * 1024;
/// The longest request, in bytes as it is stored: JSON writes some characters with six.
const STORED_BYTES_MAX: usize = 256 * 1024;

/// A request to be decided about.
#[derive(Clone)]
pub(crate) struct Job {
    csr: SigningRequest,
    text: String,
    pub(crate) digest: String,
    /// How long the text is as it is stored.
    stored_bytes: usize,
}

/// What was decided.
pub(crate) type Answer = Result<Decided, SubmitError>;

/// What became of a submitted request.
pub(crate) enum Decided {
    /// These bytes are stored already.
    Known(RequestId),
    /// It waits.
    Held(RequestId),
    /// It is to be signed by the one who asked.
    Begun(Begun),
}

/// An issuance whose intent is stored.
pub(crate) struct Begun {
    pub(crate) id: RequestId,
    pub(crate) draft: Draft,
    /// The version of the intent.
    pub(crate) intent: Version,
}

impl Job {
    pub(crate) fn new(csr: SigningRequest, text: &str) -> Self {
        let stored_bytes = serde_json::to_string(text).map_or(usize::MAX, |stored| stored.len());
        Self { digest: digest_of(text), text: text.to_owned(), csr, stored_bytes }
    }

    fn key_id(&self) -> String {
        self.csr.public_key().key_id().to_string()
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
    /// [`SubmitError`]; nothing was stored then, except that a request which was to be signed at once and
    /// then could not be is signed later ([`Authority::mend_unfinished`]).
    pub async fn submit(&self, csr: SigningRequest, text: &str) -> Result<RequestId, SubmitError> {
        self.check_key(&csr)?;
        let job = Job::new(csr, text);
        if job.stored_bytes > STORED_BYTES_MAX {
            return Err(SubmitError::TooLong);
        }
        let decided = self
            .desk
            .ask(job, cut_group, |jobs| self.decide(jobs))
            .await
            .ok_or(SubmitError::Interrupted)??;
        let id = match decided {
            Decided::Known(id) => return Ok(id),
            Decided::Held(id) => id,
            Decided::Begun(begun) => {
                let id = begun.id;
                self.finish(begun, None).await?;
                id
            }
        };
        self.purge().await;
        Ok(id)
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

    async fn decide_together(&self, jobs: &[Job]) -> Result<Vec<Answer>, IssueError> {
        let mut attempts = 1;
        loop {
            match self.try_decide(jobs).await {
                Err(IssueError::Store(CommitError::Conflict { .. })) if attempts < ATTEMPTS_MAX => {
                    attempts += 1
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_decide(&self, jobs: &[Job]) -> Result<Vec<Answer>, IssueError> {
        let issuer = self.active().await?;
        let loaded = self.tables.ledger.get(LEDGER).await?;
        let known = join_all(jobs.iter().map(|job| self.known(job))).await;
        let mut ledger = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
        let before = ledger;
        let mut batch = Batch::new();
        // Requests of this very group count as known to those behind them.
        let mut new_digests = HashMap::new();
        let mut new_keys = HashMap::new();
        let mut answers = Vec::with_capacity(jobs.len());
        let now = self.now();
        for (job, known) in jobs.iter().zip(known) {
            let known = known?;
            if let Some(id) = known.same_bytes.or_else(|| new_digests.get(&job.digest).copied()) {
                answers.push(Ok(Decided::Known(id)));
                continue;
            }
            let key_id = job.key_id();
            let one_of_a_kind = self.profile.admission.keys_for_backup;
            let mut counted = ledger;
            let admitted = match request::admit(&mut counted, &self.profile.admission, self.automatic_max()) {
                Ok(_) if one_of_a_kind && (known.key_taken || new_keys.contains_key(&key_id)) => {
                    answers.push(Err(SubmitError::KeyKnown));
                    continue;
                }
                Ok(admitted) => admitted,
                Err(error) => {
                    answers.push(Err(error));
                    continue;
                }
            };
            let draft = match admitted {
                Admitted::Held => None,
                Admitted::Approved => {
                    let wish = Wish {
                        subject: job.csr.subject(),
                        public_key: job.csr.public_key(),
                        extensions: job.csr.extensions(),
                        mark: Mark::Automatic,
                    };
                    match issue::draft(&self.profile, &issuer, &wish, &self.ground.entropy, now) {
                        Ok(draft) => Some(draft),
                        Err(error) => {
                            answers.push(Err(error.into()));
                            continue;
                        }
                    }
                }
            };
            ledger = counted;
            let id = RequestId::random(&self.ground.entropy);
            self.stage_request(&mut batch, id, job, draft.is_some())?;
            new_digests.insert(job.digest.clone(), id);
            new_keys.insert(key_id, id);
            answers.push(Ok(match draft {
                None => {
                    self.tables.pending.create(
                        &mut batch,
                        &id.key(),
                        &PendingRecord { since: now.as_unix() },
                    )?;
                    Decided::Held(id)
                }
                Some(draft) => {
                    self.stage_intent(&mut batch, id, &draft, Origin::Automatic)?;
                    // The version is known once the batch is committed.
                    Decided::Begun(Begun { id, draft, intent: Version(store::Revision(0)) })
                }
            }));
        }
        if batch.is_empty() {
            return Ok(answers);
        }
        if ledger != before {
            self.tables.ledger.put_over(&mut batch, LEDGER, &ledger, loaded.map(|loaded| loaded.version))?;
        }
        let version = self.commit(batch).await?;
        for answer in answers.iter_mut().flatten() {
            match answer {
                Decided::Begun(begun) => begun.intent = version,
                Decided::Held(id) => {
                    tracing::info!(authority = %self.profile.name, request = %id, "request submitted");
                }
                Decided::Known(_) => {}
            }
        }
        Ok(answers)
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
            && self.tables.key.get(&job.key_id()).await?.is_some();
        Ok(Known { same_bytes, key_taken })
    }

    /// Adds a request and what finds it again. Its event goes with it.
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
            self.tables.key.create(batch, &job.key_id(), &reference)?;
        }
        self.record_event(batch, &Happened::Submitted { id, automatic, key_id: job.key_id() }, None)
    }

    pub(crate) fn stage_intent(
        &self,
        batch: &mut Batch,
        id: RequestId,
        draft: &Draft,
        origin: Origin,
    ) -> Result<(), store::Error> {
        let intent = IssuingRecord { serial: draft.serial().hex(), since: self.now().as_unix(), origin };
        self.tables.issuing.create(batch, &id.key(), &intent)
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

    /// Signs what was begun and stores the certificate.
    pub(crate) async fn finish(
        &self,
        begun: Begun,
        by: Option<&Principal>,
    ) -> Result<Certificate, IssueError> {
        let Begun { id, draft, intent } = begun;
        let serial = draft.serial();
        let_others_go_first().await;
        let certificate = draft.sign();
        let drop_at = self.now() + self.profile.admission.keep_issued;
        let issued = IssuedRecord { serial: serial.hex(), drop_at: drop_at.as_unix(), fetched: false };
        let record = CertificateRecord { certificate: certificate.to_pem(), request: id.as_u64() };
        let mut batch = Batch::new();
        self.tables.issuing.remove(&mut batch, &id.key(), intent)?;
        self.tables.issued.create(&mut batch, &id.key(), &issued)?;
        self.tables.certificate.create(&mut batch, &serial.hex(), &record)?;
        let happened = Happened::Issued { id, certificate: &certificate, serial: &serial };
        self.record_event(&mut batch, &happened, by)?;
        self.commit(batch).await?;
        self.remember_due(id, drop_at);
        tracing::info!(authority = %self.profile.name, request = %id, %serial, "certificate issued");
        Ok(certificate)
    }

    /// Begins anew what was interrupted; for `unfinished.rs`.
    pub(crate) async fn begin_again(
        &self,
        id: RequestId,
        record: &RequestRecord,
        interrupted: Version,
    ) -> Result<Begun, ApproveError> {
        let csr = stored_request(record, id)?;
        let wish = Wish {
            subject: csr.subject(),
            public_key: csr.public_key(),
            extensions: csr.extensions(),
            mark: Mark::Automatic,
        };
        let issuer = self.active().await?;
        let draft = issue::draft(&self.profile, &issuer, &wish, &self.ground.entropy, self.now())?;
        let intent = IssuingRecord {
            serial: draft.serial().hex(),
            since: self.now().as_unix(),
            origin: Origin::Automatic,
        };
        let mut batch = Batch::new();
        self.tables.issuing.update(&mut batch, &id.key(), &intent, interrupted)?;
        let intent = self.commit(batch).await?;
        Ok(Begun { id, draft, intent })
    }
}

/// Steps back behind everybody who is ready to go on. Signing takes as long as a hundred other steps, and
/// whoever decides for the next group would stand behind it while the disk has nothing to do.
async fn let_others_go_first() {
    let mut stepped_back = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stepped_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
