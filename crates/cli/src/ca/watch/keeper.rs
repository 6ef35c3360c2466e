//! What one certificate needs, done: whom it trusts, what was revoked, the certificate, and whoever is to hear of it.
//!
//! ```text
//! owe the hook ──► finish what a kill left ──► CA certificates ──► revocation lists ──► none yet? ask for it
//!                                                                                      due? renew it
//!      └──────────────── files other than before, or owed already ──► run the hook ──► pay it
//! ```
//! Everything is on disk. Whoever is killed anywhere in it leaves files that can be used, and the next look goes on from them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Timestamp};
use client::compat::caucase::Server;
use x509::{Certificate, Crl, PrivateKey, verify};

use super::super::error::CaCommandError;
use super::super::key_file::{read as read_key, read_or_make, refuse_exposed};
use super::super::key_kind::KeyFormat;
use super::super::memory::Memory;
use super::super::obtain::{issued, keep, submit};
use super::super::renew::renewed_spec;
use super::super::request::read_request;
use super::super::session::tell_first;
use super::config::{Files, First, Kept};
use super::when::{self, Term};
use crate::holder::debt::{certificate_in, digest};
use crate::holder::renewal::{KeyMaker, renew_with};
use crate::holder::{
    Collection, HolderError, Pair, Pem, PemFileError, Recovered, update_authorities, update_lists,
};
use crate::hook::{self, HookError};
use crate::kept_file::{KeptFile, NewFile};
use crate::output;

/// Whoever looks after one certificate.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) kept: Arc<Kept>,
    keys: KeyMaker,
    /// What the files were when those who are to know were last told, or when this began.
    seen: [u8; 32],
    /// Failed looks in a row.
    failures: u32,
    /// Looks in a row at a request that waits.
    waits: u32,
    /// What went wrong at last, so that it is said once.
    trouble: Option<String>,
    pub(super) board: Board,
}

/// What is known of a certificate, for whoever asks.
#[derive(Debug, Default, Clone)]
pub(super) struct Board {
    pub(super) not_after: Option<Timestamp>,
    /// When the first of its revocation lists is over.
    pub(super) lists_until: Option<Timestamp>,
    pub(super) last_success: Option<Timestamp>,
    pub(super) next: Option<Timestamp>,
    pub(super) failures: u64,
    pub(super) renewals: u64,
    pub(super) hook_failures: u64,
    pub(super) is_failing: bool,
}

/// What a look found, or made.
#[derive(Debug)]
struct Found {
    certificate: Option<Term>,
    lists: Vec<Term>,
    /// The number of a request that waits.
    waits_for: Option<String>,
    /// What went wrong and kept nothing else from being done.
    fault: Option<CaCommandError>,
}

impl Keeper {
    pub(super) fn new(kept: Arc<Kept>, keys: KeyMaker) -> Self {
        let seen = kept.digest();
        let mut board = Board::default();
        if let Some(certificate) = kept.certificate() {
            board.not_after = Some(certificate.not_after());
        }
        Self { kept, keys, seen, failures: 0, waits: 0, trouble: None, board }
    }

    /// Looks once, does what is due, and says when to look again. What went wrong is said here, once.
    pub(super) async fn look(&mut self, server: &Server, clock: &Clock) -> Result<(), CaCommandError> {
        let result = self.look_and_tell(&server.elsewhere(self.kept.server.clone()), clock).await;
        let now = clock.now();
        let next = result.as_ref().ok().map(|found| self.next(found, now));
        let fault = match result {
            Ok(Found { fault: Some(fault), .. }) | Err(fault) => Some(fault),
            Ok(Found { waits_for: Some(id), .. }) => {
                self.waits = self.waits.saturating_add(1);
                self.board.next = next;
                let outcome = Err(CaCommandError::Pending { id });
                self.tell_trouble(&outcome);
                return outcome;
            }
            Ok(_) => None,
        };
        self.waits = 0;
        let outcome = match fault {
            None => {
                self.failures = 0;
                self.board.last_success = Some(now);
                self.board.next = next;
                Ok(())
            }
            Some(fault) => {
                self.failures = self.failures.saturating_add(1);
                self.board.failures += 1;
                // The end of a certificate presses whoever cannot renew it, and not whoever is to hear of it.
                let until = self.board.not_after.filter(|_| next.is_none());
                let retry = when::retry(&self.kept.name, self.failures, until, now);
                self.board.next = next.into_iter().chain([retry]).min();
                Err(fault)
            }
        };
        self.tell_trouble(&outcome);
        outcome
    }

    /// When to look again, by what was found.
    fn next(&self, found: &Found, now: Timestamp) -> Timestamp {
        let name = &self.kept.name;
        match &found.waits_for {
            Some(_) => when::waiting(name, self.waits.saturating_add(1), now),
            None => when::next(name, found.certificate.as_ref(), &found.lists, &self.kept.rules, now),
        }
    }

    /// Says what goes wrong when it begins to, and when it is over.
    fn tell_trouble(&mut self, outcome: &Result<(), CaCommandError>) {
        let name = &self.kept.name;
        match outcome {
            Ok(()) if self.trouble.take().is_some() => output::note(format_args!("{name}: all is well")),
            Ok(()) => {}
            Err(error) => {
                let what = base::report(error);
                if self.trouble.as_ref() != Some(&what) {
                    let hint =
                        base::Explain::help(error).map(|hint| format!(" ({hint})")).unwrap_or_default();
                    output::note(format_args!("{name}: {what}{hint}"));
                    self.trouble = Some(what);
                }
            }
        }
        self.board.is_failing =
            matches!(outcome, Err(error) if !matches!(error, CaCommandError::Pending { .. }));
    }

    /// Does what is due, with a hook that is owed as long as it is not told.
    async fn look_and_tell(&mut self, server: &Server, clock: &Clock) -> Result<Found, CaCommandError> {
        let kept = Arc::clone(&self.kept);
        let marker = kept.marker();
        let mut file = KeptFile::at(marker, NewFile::Umask).map_err(CaCommandError::unwritable(marker))?;
        let owed = file.lock().map_err(CaCommandError::unwritable(marker))?;
        let mut owed = owed.ok_or_else(|| CaCommandError::Kept(marker.to_owned()))?;
        let was_owed = owed.is_owed().map_err(CaCommandError::unwritable(marker))?;
        if kept.on_renew.is_some() {
            // Before anything becomes another one: who is killed later has it run by whoever comes next.
            owed.owe().map_err(CaCommandError::unwritable(marker))?;
        }
        let mut done = self.bring_up_to_date(server, clock).await;
        let digest = kept.digest();
        if let Some(command) = &kept.on_renew
            && (was_owed || digest != self.seen)
            && let Err(error) = run_hook(&kept, command).await
        {
            self.board.hook_failures += 1;
            // What went wrong before it is the greater fault.
            if let Ok(found) = &mut done {
                found.fault.get_or_insert(CaCommandError::Hook(error));
            }
            return done;
        }
        owed.pay().map_err(CaCommandError::unwritable(marker))?;
        self.seen = digest;
        done
    }

    async fn bring_up_to_date(&mut self, server: &Server, clock: &Clock) -> Result<Found, CaCommandError> {
        let kept = Arc::clone(&self.kept);
        let now = clock.now();
        let pair = kept.files.as_ref().map(Files::pair);
        if let Some(pair) = &pair {
            match pair.recover()? {
                Recovered::Nothing => {}
                Recovered::Finished => {
                    output::note(format_args!("{}: a renewal that was cut short is finished", kept.name))
                }
                Recovered::Removed => {
                    output::note(format_args!("{}: what was left of a renewal is removed", kept.name))
                }
            }
        }
        let store = Collection::at(&kept.ca);
        let trusted =
            update_authorities(server, kept.authority, &store, kept.fingerprint.as_ref(), now).await?;
        if let (Some(first), None) = (&trusted.first, &kept.fingerprint) {
            let users =
                if kept.authority == client::compat::caucase::Authority::Users { " --users" } else { "" };
            tell_first(first, store.path(), &format!("provost ca trust{users} --server {}", server.url()));
        }
        let mut found = Found { certificate: None, lists: Vec::new(), waits_for: None, fault: None };
        if let Some(path) = &kept.crl {
            let lists = Collection::<Crl>::at(path);
            match update_lists(server, kept.authority, &lists, &trusted.certificates).await {
                Ok(revoked) => found.lists = revoked.lists.iter().map(term_of_list).collect(),
                // A certificate that is due does not wait for it.
                Err(error) => found.fault = Some(error.into()),
            }
            self.board.lists_until = found.lists.iter().map(|list| list.until).min();
        }
        let (Some(files), Some(pair)) = (&kept.files, pair) else { return Ok(found) };
        if !has_certificate(&files.certificate)? {
            found.waits_for = self.obtain(server, files, &trusted.certificates, clock).await?;
            found.certificate = self.term();
            return Ok(found);
        }
        let current = pair.load()?;
        refuse_exposed(&current.key_path)?;
        self.board.not_after = Some(current.certificate.not_after());
        let not_valid = |source| CaCommandError::NotValid { path: files.certificate.clone(), source };
        verify(&current.certificate, &trusted.certificates, now).map_err(not_valid)?;
        let term = term_of(&current.certificate);
        if when::renewal(&kept.name, &term, &kept.rules) > now {
            found.certificate = Some(term);
            return Ok(found);
        }
        let is_pkcs8 = kept.key_format.map_or(current.is_pkcs8, |format| format == KeyFormat::Pkcs8);
        let write = if is_pkcs8 { PrivateKey::to_pkcs8_pem } else { PrivateKey::to_pem };
        let key = (self.keys)(renewed_spec(&current.certificate, None)).await.map_err(HolderError::from)?;
        let certificates = &trusted.certificates;
        let renewed =
            renew_with(server, kept.authority, &pair, &current, certificates, &key, write, now).await?;
        self.board.renewals += 1;
        self.tell_certificate("renewed", &renewed);
        found.certificate = Some(term_of(&renewed));
        Ok(found)
    }

    /// Asks for the first certificate, and fetches it when it is there; the number of the request while it waits.
    async fn obtain(
        &mut self,
        server: &Server,
        files: &Files,
        trusted: &[Certificate],
        clock: &Clock,
    ) -> Result<Option<String>, CaCommandError> {
        let kept = Arc::clone(&self.kept);
        let nothing = || CaCommandError::NothingToAsk(files.certificate.clone());
        let request = match kept.first.as_ref().ok_or_else(nothing)? {
            First::Csr(path) => {
                let request = read_request(path)?;
                let key = read_key(&files.key)?.ok_or_else(|| PemFileError::Missing(files.key.clone()))?;
                if key.public() != request.public_key() {
                    let what = "the private key in it is not that of the signing request";
                    return Err(CaCommandError::Content { path: files.key.clone(), what, hint: None });
                }
                request
            }
            First::Subject(subject) => {
                let format = kept.key_format.unwrap_or_default();
                let (key, is_new) = read_or_make(&files.key, kept.key_type.spec(), format, self.keys).await?;
                if is_new {
                    output::note(format_args!("{}: made the private key {}", kept.name, files.key.display()));
                }
                subject.request(&key)?
            }
        };
        let memory = Memory::beside(&files.key);
        let id = submit(server, kept.authority, &memory, &request).await?;
        let Some(answer) = issued(server, kept.authority, &id, Some(&memory)).await? else {
            return Ok(Some(id));
        };
        let certificate =
            keep(&answer, Some(request.public_key()), trusted, &files.certificate, clock.now())?;
        memory.forget()?;
        self.tell_certificate("obtained", &certificate);
        Ok(None)
    }

    fn tell_certificate(&mut self, what: &str, certificate: &Certificate) {
        self.board.not_after = Some(certificate.not_after());
        let (serial, until) = (certificate.serial(), certificate.not_after());
        output::note(format_args!("{}: {what}, serial {serial}, valid until {until}", self.kept.name));
    }

    fn term(&self) -> Option<Term> {
        self.kept.certificate().as_ref().map(term_of)
    }
}

impl Kept {
    /// The file beside which it is written down whether the hook is owed.
    fn marker(&self) -> &Path {
        self.files.as_ref().map_or(&self.ca, |files| &files.certificate)
    }

    /// The certificate as it is now, if it can be read.
    fn certificate(&self) -> Option<Certificate> {
        certificate_in(&self.files.as_ref()?.certificate)
    }

    /// What tells these files from others.
    fn digest(&self) -> [u8; 32] {
        let certificate = self.files.as_ref().map(|files| files.certificate.as_path());
        let lists = self.crl.as_deref().map(Collection::<Crl>::at);
        digest(certificate, &Collection::at(&self.ca), lists.as_ref())
    }
}

impl Files {
    fn pair(&self) -> Pair {
        Pair { certificate: self.certificate.clone(), key: self.key.clone() }
    }
}

fn has_certificate(path: &Path) -> Result<bool, CaCommandError> {
    match Pem::read(path) {
        Ok(found) => Ok(!found.certificates.is_empty()),
        Err(PemFileError::Missing(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn term_of(certificate: &Certificate) -> Term {
    Term {
        from: certificate.not_before(),
        until: certificate.not_after(),
        number: certificate.serial().to_string(),
    }
}

fn term_of_list(list: &Crl) -> Term {
    Term { from: list.this_update(), until: list.next_update(), number: list.number().to_string() }
}

/// Runs the hook, and says what it says.
async fn run_hook(kept: &Kept, command: &str) -> Result<(), HookError> {
    let none = PathBuf::new();
    let files = kept.files.as_ref();
    let certificate = files.map_or(&none, |files| &files.certificate);
    let key = files.map_or(&none, |files| &files.key);
    let environment = [
        ("PROVOST_NAME", OsStr::new(&kept.name)),
        ("PROVOST_CERTIFICATE", certificate.as_os_str()),
        ("PROVOST_KEY", key.as_os_str()),
        ("PROVOST_CA", kept.ca.as_os_str()),
        ("PROVOST_CRL", kept.crl.as_ref().unwrap_or(&none).as_os_str()),
    ];
    let say =
        |line: &str| output::note(format_args!("{}: hook: {}", kept.name, crate::table::one_line(line)));
    hook::run_heard(command, &environment, kept.hook_timeout, say).await
}
