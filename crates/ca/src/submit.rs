//! From a request to a certificate: submitting, approving, rejecting, renewing.
//!
//! Signing takes two commits. The first stores the intent: the request, that it is being signed, and the
//! serial that is spent on it. The second stores the certificate. A crash in between leaves a serial that
//! is never used, never a certificate that nobody recorded (`unfinished.rs`).

use std::collections::{HashMap, VecDeque};

use futures_channel::oneshot;
use futures_util::future::join_all;
use identity::{Permit, Principal};
use store::{Batch, CommitError, Loaded, Version};
use x509::{Certificate, KeyKind, SigningRequest};

use crate::error::{ApproveError, IssueError, RejectError, RenewError, SubmitError};
use crate::event::Happened;
use crate::issue::{self, Draft, Mark, Wish};
use crate::record::{
    CertificateRecord, IssuedRecord, IssuingRecord, LedgerRecord, Origin, PendingRecord, RequestRecord,
    RequestRefRecord,
};
use crate::request::{self, Admitted, RequestId};
use crate::service::{ATTEMPTS_MAX, Approve, Authority, Issue, LEDGER, Reject};
use crate::statement::ByHolder;

/// The most requests decided in one commit: each is at most five operations, and one more for the ledger.
const GROUP_REQUESTS_MAX: usize = 16;
/// The most bytes of requests decided in one commit.
const GROUP_BYTES_MAX: usize = 512 * 1024;

/// A request to be decided about.
#[derive(Clone)]
pub(crate) struct Job {
    csr: SigningRequest,
    text: String,
    digest: String,
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
    draft: Draft,
    /// The version of the intent.
    intent: Version,
}

impl Job {
    fn new(csr: SigningRequest, text: &str) -> Self {
        Self { digest: digest_of(text), text: text.to_owned(), csr }
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
            bytes += job.text.len();
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
    pub async fn submit(&self, csr: SigningRequest, text: &str) -> Result<RequestId, SubmitError> {
        self.check_key(&csr)?;
        let decided = self
            .desk
            .ask(Job::new(csr, text), cut_group, |jobs| self.decide(jobs))
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
        if let Err(error) = self.purge().await {
            tracing::warn!(error = %base::report(&error), "requests that are due could not be dropped yet");
        }
        Ok(id)
    }

    fn check_key(&self, csr: &SigningRequest) -> Result<(), SubmitError> {
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

    /// Decides about several requests in one commit; the answers are in the same order.
    async fn decide(&self, jobs: Vec<Job>) -> Vec<Answer> {
        let mut attempts = 1;
        loop {
            match self.try_decide(&jobs).await {
                Ok(answers) => return answers,
                Err(IssueError::Store(CommitError::Conflict { .. })) if attempts < ATTEMPTS_MAX => {
                    attempts += 1
                }
                Err(error) => return jobs.iter().map(|_| Err(error.clone().into())).collect(),
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

    async fn known(&self, job: &Job) -> Result<Known, store::Error> {
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
    fn stage_request(
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

    fn stage_intent(
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

    /// Signs a pending request, as it asks or as `template` asks for the same key.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`ApproveError::NotPending`] also when somebody else was faster.
    pub async fn approve(
        &self,
        permit: Permit<Approve>,
        id: RequestId,
        template: Option<&SigningRequest>,
    ) -> Result<Certificate, ApproveError> {
        let text = match self.tables.pending.get(&id.key()).await? {
            Some(_) => self.tables.request.get(&id.key()).await?.ok_or(ApproveError::NotPending { id })?,
            None => return Err(ApproveError::NotPending { id }),
        };
        let csr = stored_request(&text.record, id)?;
        let asks = template.unwrap_or(&csr);
        let wish = Wish {
            subject: asks.subject(),
            public_key: csr.public_key(),
            extensions: asks.extensions(),
            mark: Mark::Approved,
        };
        let begun = self.begin_pending(id, &wish, Origin::Approval, permit.by()).await?;
        Ok(self.finish(begun, Some(permit.by())).await?)
    }

    /// Takes a request out of the pending ones and stores the intent to sign it.
    async fn begin_pending(
        &self,
        id: RequestId,
        wish: &Wish<'_>,
        origin: Origin,
        by: &Principal,
    ) -> Result<Begun, ApproveError> {
        let _turn = self.desk.turn().await;
        for _ in 0..ATTEMPTS_MAX {
            let pending = self.tables.pending.get(&id.key()).await?.ok_or(ApproveError::NotPending { id })?;
            let issuer = self.active().await?;
            let draft = issue::draft(&self.profile, &issuer, wish, &self.ground.entropy, self.now())?;
            let mut batch = Batch::new();
            self.stage_no_longer_pending(&mut batch, id, pending.version).await?;
            self.stage_intent(&mut batch, id, &draft, origin)?;
            self.record_event(&mut batch, &Happened::Approved { id, serial: &draft.serial() }, Some(by))?;
            match self.commit(batch).await {
                Ok(intent) => return Ok(Begun { id, draft, intent }),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.ledger.key(LEDGER)? }.into())
    }

    async fn stage_no_longer_pending(
        &self,
        batch: &mut Batch,
        id: RequestId,
        pending: Version,
    ) -> Result<(), store::Error> {
        self.tables.pending.remove(batch, &id.key(), pending)?;
        let loaded: Option<Loaded<LedgerRecord>> = self.tables.ledger.get(LEDGER).await?;
        let mut ledger = loaded.as_ref().map(|loaded| loaded.record).unwrap_or_default();
        ledger.pending = ledger.pending.saturating_sub(1);
        self.tables.ledger.put_over(batch, LEDGER, &ledger, loaded.map(|loaded| loaded.version))
    }

    /// Refuses a pending request: it is forgotten.
    ///
    /// # Errors
    /// [`RejectError::NotPending`] when it is unknown or decided.
    pub async fn reject(&self, permit: Permit<Reject>, id: RequestId) -> Result<(), RejectError> {
        let _turn = self.desk.turn().await;
        for _ in 0..ATTEMPTS_MAX {
            let not_pending = || RejectError::NotPending { id };
            let pending = self.tables.pending.get(&id.key()).await?.ok_or_else(not_pending)?;
            let request = self.tables.request.get(&id.key()).await?.ok_or_else(not_pending)?;
            let mut batch = Batch::new();
            self.stage_no_longer_pending(&mut batch, id, pending.version).await?;
            self.delete_request(&mut batch, id, &request.record)?;
            self.record_event(&mut batch, &Happened::Rejected { id }, Some(permit.by()))?;
            match self.commit(batch).await {
                Ok(_) => {
                    let by = permit.by();
                    tracing::info!(authority = %self.profile.name, request = %id, %by, "request rejected");
                    return Ok(());
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommitError::Conflict { key: self.tables.ledger.key(LEDGER)? }.into())
    }

    /// A new certificate for the holder of one: subject and extensions as before, the key of `csr`. The old
    /// one stays valid. Neither the pending limit nor the automatic count is touched.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// [`RenewError`].
    pub async fn renew(
        &self,
        holder: ByHolder,
        csr: SigningRequest,
        text: &str,
    ) -> Result<Certificate, RenewError> {
        let old = holder.certificate();
        self.verify(old).await?;
        self.check_key(&csr)?;
        let wish = Wish {
            subject: old.subject(),
            public_key: csr.public_key(),
            extensions: old.extensions(),
            mark: Mark::Carried,
        };
        let by = Principal::holder_of(old);
        self.issue_directly(&csr, text, &wish, &by).await
    }

    /// Certifies a key at once, as `csr` asks; for the house's own keys.
    ///
    /// Runs to its end once begun: callers must not drop it.
    ///
    /// # Errors
    /// As [`Authority::renew`].
    pub async fn issue(
        &self,
        permit: Permit<Issue>,
        csr: &SigningRequest,
        text: &str,
    ) -> Result<Certificate, RenewError> {
        self.check_key(csr)?;
        let wish = Wish {
            subject: csr.subject(),
            public_key: csr.public_key(),
            extensions: csr.extensions(),
            mark: Mark::Approved,
        };
        self.issue_directly(csr, text, &wish, permit.by()).await
    }

    async fn issue_directly(
        &self,
        csr: &SigningRequest,
        text: &str,
        wish: &Wish<'_>,
        by: &Principal,
    ) -> Result<Certificate, RenewError> {
        let job = Job::new(csr.clone(), text);
        for _ in 0..ATTEMPTS_MAX {
            let known = self.known(&job).await?;
            let begun = match known.same_bytes {
                // A request that waits is found again, and signed now.
                Some(id) => match self.begin_pending(id, wish, Origin::Approval, by).await {
                    Ok(begun) => begun,
                    Err(ApproveError::NotPending { .. }) => return Err(RenewError::AlreadyIssued),
                    Err(ApproveError::Draft(error)) => return Err(error.into()),
                    Err(ApproveError::Issue(error)) => return Err(error.into()),
                },
                None if known.key_taken => return Err(SubmitError::KeyKnown.into()),
                None => match self.begin_direct(&job, wish).await {
                    Ok(begun) => begun,
                    // The same bytes or the same key came in this very moment: look again.
                    Err(RenewError::Issue(IssueError::Store(CommitError::Conflict { .. }))) => continue,
                    Err(error) => return Err(error),
                },
            };
            return Ok(self.finish(begun, Some(by)).await?);
        }
        Err(CommitError::Conflict { key: self.tables.digest.key(&job.digest)? }.into())
    }

    async fn begin_direct(&self, job: &Job, wish: &Wish<'_>) -> Result<Begun, RenewError> {
        let issuer = self.active().await?;
        let draft = issue::draft(&self.profile, &issuer, wish, &self.ground.entropy, self.now())?;
        let id = RequestId::random(&self.ground.entropy);
        let mut batch = Batch::new();
        self.stage_request(&mut batch, id, job, false)?;
        self.stage_intent(&mut batch, id, &draft, Origin::Direct)?;
        let intent = self.commit(batch).await?;
        Ok(Begun { id, draft, intent })
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

/// Whether a request is known already.
struct Known {
    same_bytes: Option<RequestId>,
    key_taken: bool,
}

fn stored_request(record: &RequestRecord, id: RequestId) -> Result<SigningRequest, IssueError> {
    SigningRequest::from_pem(record.csr.as_bytes()).map_err(|error| {
        IssueError::from(store::Error::Engine {
            doing: "reading a request",
            reason: format!("{id}: {error}"),
        })
    })
}
