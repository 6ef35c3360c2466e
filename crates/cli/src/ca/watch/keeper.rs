//! What one certificate needs, done: whom it trusts, what was revoked, the certificate, and whoever is to hear of it.
//!
//! ```text
//! owe the hook ──► finish what a kill left ──► CA certificates ──► revocation lists ──► none yet, or over? ask for it
//!                                                                                      due? renew it
//!                                                                                      revoked? say so
//!      └──────────────── files other than before, or owed already ──► run the hook ──► pay it
//! ```
//! Everything is on disk. Whoever is killed anywhere in it leaves files that can be used, and the next look goes on from them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Clock, Timestamp};
use client::compat::caucase::Server;
use x509::{Certificate, Crl, PrivateKey, verify};

use super::super::anew::{self, Anew};
use super::super::error::CaCommandError;
use super::super::key_file::{read as read_key, read_or_make, refuse_exposed};
use super::super::key_kind::KeyFormat;
use super::super::memory::Memory;
use super::super::obtain::{issued, keep, submit};
use super::super::renew::renewed_spec;
use super::super::request::read_request;
use super::super::session::tell_first;
use super::config::{Files, First, Kept};
use super::when::{self, Pressed, Term};
use crate::holder::debt::{certificate_in, digest};
use crate::holder::renewal::{KeyMaker, renew_with};
use crate::holder::{
    Collection, HolderError, LoadedPair, Pair, Pem, PemFileError, Recovered, update_lists,
    update_same_authorities,
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
    /// Its serial number.
    pub(super) serial: Option<String>,
    pub(super) failures: u64,
    pub(super) renewals: u64,
    pub(super) hook_failures: u64,
    pub(super) is_failing: bool,
}

impl Board {
    fn knows(&mut self, certificate: &Certificate) {
        self.not_after = Some(certificate.not_after());
        self.serial = Some(certificate.serial().to_string());
    }
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
    /// What went wrong at last, if it still does.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(super) fn new(kept: Arc<Kept>, keys: KeyMaker) -> Self {
        let seen = kept.digest();
        // Whoever is started behind this finds a key and a certificate that match, also where no server answers for hours and
        // others are looked after before this one. What goes wrong with it, the first look says.
        let _ = kept.recover_and_owe();
        let mut board = Board::default();
        if let Some(certificate) = kept.certificate() {
            board.knows(&certificate);
        }
        Self { kept, keys, seen, failures: 0, waits: 0, trouble: None, board }
    }

    /// Looks once, does what is due, and says when to look again. What went wrong is said here, once.
    pub(super) async fn look(&mut self, server: &Server, clock: &Clock) -> Result<(), CaCommandError> {
        let result = self.look_and_tell(&server.elsewhere(self.kept.server.clone()), clock).await;
        let now = clock.now();
        let next = result.as_ref().ok().map(|found| self.next(found, now));
        let (waits_for, fault) = match result {
            Ok(Found { waits_for, fault, .. }) => {
                self.waits = if waits_for.is_some() { self.waits.saturating_add(1) } else { 0 };
                (waits_for, fault)
            }
            // Whether a request still waits is not known then.
            Err(fault) => (None, Some(fault)),
        };
        let outcome = match fault {
            None => {
                self.failures = 0;
                self.board.next = next;
                match waits_for {
                    Some(id) => Err(CaCommandError::Pending { id }),
                    None => {
                        self.board.last_success = Some(now);
                        Ok(())
                    }
                }
            }
            Some(fault) => {
                self.failures = self.failures.saturating_add(1);
                self.board.failures += 1;
                // The end of a certificate presses whoever cannot renew it, and not whoever is to hear of it.
                let pressed = match (&self.kept.files, self.board.not_after) {
                    _ if next.is_some() => Pressed::No,
                    (None, _) => Pressed::No,
                    (Some(_), Some(until)) => Pressed::Until(until),
                    (Some(_), None) => Pressed::Already,
                };
                let who = format!("{}\0{}", self.kept.name, self.board.serial.as_deref().unwrap_or_default());
                let retry = when::retry(&who, self.failures, pressed, fault.put_off(), now);
                self.board.next = next.into_iter().chain([retry]).min();
                Err(match waits_for {
                    Some(id) => CaCommandError::PendingAmid { id, fault: Box::new(fault) },
                    None => fault,
                })
            }
        };
        self.tell_trouble(&outcome, now);
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
    fn tell_trouble(&mut self, outcome: &Result<(), CaCommandError>, now: Timestamp) {
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
        // Whoever waits for somebody is in no trouble, as long as there is one that serves.
        self.board.is_failing = match outcome {
            Ok(()) => false,
            Err(CaCommandError::Pending { .. }) => self.board.not_after.is_some_and(|until| until < now),
            Err(_) => true,
        };
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
        kept.recover()?;
        let pair = kept.files.as_ref().map(Files::pair);
        let store = Collection::at(&kept.ca);
        let pin = kept.fingerprint.as_ref();
        let trusted = update_same_authorities(server, kept.authority, &store, pin, now).await?;
        if let (Some(first), None) = (&trusted.first, &kept.fingerprint) {
            let users =
                if kept.authority == client::compat::caucase::Authority::Users { " --users" } else { "" };
            tell_first(first, store.path(), &format!("provost ca trust{users} --server {}", server.url()));
        }
        let mut found = Found { certificate: None, lists: Vec::new(), waits_for: None, fault: None };
        let mut lists = Vec::new();
        if let Some(path) = &kept.crl {
            let held = Collection::<Crl>::at(path);
            match update_lists(server, kept.authority, &held, &trusted.certificates).await {
                Ok(revoked) => {
                    found.lists = revoked.lists.iter().map(term_of_list).collect();
                    lists = revoked.lists;
                }
                // A certificate that is due does not wait for it, and what was known before is still true.
                Err(error) => {
                    found.fault = Some(error.into());
                    lists = held.load().items;
                    lists.retain(|list| is_signed(list, &trusted.certificates));
                }
            }
            self.board.lists_until = found.lists.iter().map(|list| list.until).min();
        }
        let is_revoked = |one: &Certificate| {
            lists.iter().any(|list| list.issuer() == one.issuer() && list.contains(&one.serial()))
        };
        let (Some(files), Some(pair)) = (&kept.files, pair) else { return Ok(found) };
        let current = if has_certificate(&files.certificate)? { Some(pair.load()?) } else { None };
        if let Some(current) = &current {
            refuse_exposed(&current.key_path)?;
            self.board.knows(&current.certificate);
            if is_revoked(&current.certificate) {
                // Nobody renews it, so when it would be due is of no interest.
                found.fault = Some(kept.revoked(files, &current.certificate));
                return Ok(found);
            }
        }
        let is_valid = |current: &LoadedPair| current.certificate.not_after() >= now;
        let current = match current {
            Some(current) if is_valid(&current) => current,
            none_or_over => {
                let certificates = &trusted.certificates;
                found.waits_for =
                    self.obtain(server, files, none_or_over.as_ref(), certificates, clock).await?;
                match kept.certificate() {
                    Some(one) if is_revoked(&one) => found.fault = Some(kept.revoked(files, &one)),
                    one => found.certificate = one.as_ref().map(term_of),
                }
                return Ok(found);
            }
        };
        let not_valid = |source| CaCommandError::NotValid { path: files.certificate.clone(), source };
        verify(&current.certificate, &trusted.certificates, now).map_err(not_valid)?;
        // Somebody else may have brought what was waited for.
        Anew::of(pair.clone()).end(&current.certificate)?;
        let term = term_of(&current.certificate);
        if when::renewal(&kept.name, &term, &kept.rules) > now {
            found.certificate = Some(term);
            return Ok(found);
        }
        let write = kept.key_format.unwrap_or(KeyFormat::of(&current)).writer();
        let key = (self.keys)(renewed_spec(&current.certificate, None)).await.map_err(HolderError::from)?;
        let certificates = &trusted.certificates;
        let renewed =
            renew_with(server, kept.authority, &pair, &current, certificates, &key, write, now).await?;
        self.board.renewals += 1;
        self.tell_certificate("renewed", &renewed);
        found.certificate = Some(term_of(&renewed));
        Ok(found)
    }

    /// Asks for the first certificate, or for one in place of one that is `over`, and fetches it when it is there; the number
    /// of the request while it waits.
    async fn obtain(
        &mut self,
        server: &Server,
        files: &Files,
        over: Option<&LoadedPair>,
        trusted: &[Certificate],
        clock: &Clock,
    ) -> Result<Option<String>, CaCommandError> {
        let kept = Arc::clone(&self.kept);
        let format = kept.key_format.or(over.map(KeyFormat::of)).unwrap_or_default();
        let over = over.map(|over| &over.certificate);
        let subject = match (&kept.first, over) {
            (Some(First::Subject(subject)), _) => subject,
            (Some(First::Csr(path)), None) => {
                return self.obtain_by(server, files, path, trusted, clock).await;
            }
            (Some(First::Csr(path)), Some(over)) => return Err(files.over_with_csr(over, path)),
            (None, Some(over)) => {
                let advice = "it cannot be renewed any more; `request = { name = … }` in the configuration says what to ask for, \
                              and then that is done, with a new key";
                return Err(files.over(over, advice.into()));
            }
            (None, None) => return Err(CaCommandError::NothingToAsk(files.certificate.clone())),
        };
        let anew = Anew::of(files.pair());
        let mut successor = match over {
            Some(over) => Some(self.successor(&anew, over, format).await?),
            None => anew.waiting()?,
        };
        let key = match &successor {
            Some(key) => key.clone(),
            None => {
                let (key, is_new) = read_or_make(&files.key, kept.key_type.spec(), format, self.keys).await?;
                if is_new {
                    output::note(format_args!("{}: made the private key {}", kept.name, files.key.display()));
                }
                key
            }
        };
        let memory = anew.memory();
        let mut request = subject.request(&key)?;
        let mut id = submit(server, kept.authority, memory, &request).await?;
        let mut answer = issued(server, kept.authority, &id, Some(memory)).await?;
        // It was issued for this key long ago, and nobody fetched it.
        let late = answer.as_deref().and_then(|answer| anew::over(answer, key.public(), clock.now()));
        if let Some(late) = late {
            let key = self.successor(&anew, &late, format).await?;
            request = subject.request(&key)?;
            successor = Some(key);
            id = submit(server, kept.authority, memory, &request).await?;
            answer = issued(server, kept.authority, &id, Some(memory)).await?;
        }
        let Some(answer) = answer else { return Ok(Some(id)) };
        let certificate = match &successor {
            Some(key) => anew.keep(&answer, key, format, trusted, clock.now())?,
            None => keep(&answer, Some(request.public_key()), trusted, &files.certificate, clock.now())?,
        };
        memory.answered(&request, &certificate)?;
        self.tell_certificate("obtained", &certificate);
        Ok(None)
    }

    /// The key to ask with in place of that of `over`.
    async fn successor(
        &self,
        anew: &Anew,
        over: &Certificate,
        format: KeyFormat,
    ) -> Result<PrivateKey, CaCommandError> {
        let (key, is_new) = anew.key(over, format, self.keys).await?;
        if is_new {
            let (name, since) = (&self.kept.name, over.not_after());
            output::note(format_args!(
                "{name}: its certificate is over since {since}: another one is asked for, with a new key"
            ));
        }
        Ok(key)
    }

    /// The same with the request in the file at `path`, which is for the key that is there.
    async fn obtain_by(
        &mut self,
        server: &Server,
        files: &Files,
        path: &Path,
        trusted: &[Certificate],
        clock: &Clock,
    ) -> Result<Option<String>, CaCommandError> {
        let request = read_request(path)?;
        let key = read_key(&files.key)?.ok_or_else(|| PemFileError::Missing(files.key.clone()))?;
        if key.public() != request.public_key() {
            let what = "the private key in it is not that of the signing request";
            return Err(CaCommandError::Content { path: files.key.clone(), what, hint: None });
        }
        let memory = Memory::beside(&files.key);
        let id = submit(server, self.kept.authority, &memory, &request).await?;
        let Some(answer) = issued(server, self.kept.authority, &id, Some(&memory)).await? else {
            return Ok(Some(id));
        };
        if let Some(late) = anew::over(&answer, key.public(), clock.now()) {
            return Err(files.over_with_csr(&late, path));
        }
        let certificate =
            keep(&answer, Some(request.public_key()), trusted, &files.certificate, clock.now())?;
        memory.answered(&request, &certificate)?;
        self.tell_certificate("obtained", &certificate);
        Ok(None)
    }

    fn tell_certificate(&mut self, what: &str, certificate: &Certificate) {
        self.board.knows(certificate);
        let (serial, until) = (certificate.serial(), certificate.not_after());
        output::note(format_args!("{}: {what}, serial {serial}, valid until {until}", self.kept.name));
    }
}

impl Kept {
    /// Finishes or removes what a kill left of a renewal, and says so.
    fn recover(&self) -> Result<(), CaCommandError> {
        let Some(files) = &self.files else { return Ok(()) };
        let what = match files.pair().recover()? {
            Recovered::Nothing => return Ok(()),
            Recovered::Finished => "a renewal that was cut short is finished",
            Recovered::Removed => "what was left of a renewal is removed",
        };
        output::note(format_args!("{}: {what}", self.name));
        Ok(())
    }

    /// The same for whoever does not have the hook to themselves yet: who is killed behind it has it run nevertheless.
    fn recover_and_owe(&self) -> Result<(), CaCommandError> {
        if !self.files.as_ref().is_some_and(|files| files.pair().has_remains()) {
            return Ok(());
        }
        let marker = self.marker();
        let mut file = KeptFile::at(marker, NewFile::Umask).map_err(CaCommandError::unwritable(marker))?;
        let owed = file.lock().map_err(CaCommandError::unwritable(marker))?;
        let mut owed = owed.ok_or_else(|| CaCommandError::Kept(marker.to_owned()))?;
        if self.on_renew.is_some() {
            owed.owe().map_err(CaCommandError::unwritable(marker))?;
        }
        self.recover()
    }

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

impl Kept {
    /// That `certificate`, which is in `files`, was revoked.
    fn revoked(&self, files: &Files, certificate: &Certificate) -> CaCommandError {
        let is_asked = matches!(self.first, Some(First::Subject(_)));
        let then = if is_asked { "then another one is asked for" } else { "and ask for another one" };
        CaCommandError::Revoked {
            path: files.certificate.clone(),
            serial: certificate.serial().to_string(),
            advice: format!(
                "somebody decided so, and nothing is asked for as long as it is there; if there is to be another one, move {} away, \
                 {then}, with a new key",
                files.named()
            ),
        }
    }
}

impl Files {
    /// What is to be called by name where both have to go.
    fn named(&self) -> String {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        if self.certificate == self.key {
            format!("{certificate}")
        } else {
            format!("{certificate} and {key}")
        }
    }

    /// That the certificate `over` is.
    fn over(&self, over: &Certificate, advice: String) -> CaCommandError {
        CaCommandError::Over { path: self.certificate.clone(), since: over.not_after(), advice }
    }

    /// The same where only the signing request at `path` says what to ask for.
    fn over_with_csr(&self, over: &Certificate, path: &Path) -> CaCommandError {
        let (key, path) = (self.key.display(), path.display());
        let advice = format!(
            "it cannot be renewed any more, and {path} is for the same key, for which the server may have the old one still: move {} \
             away, then `openssl req -new -newkey rsa:2048 -nodes -keyout {key} -out {path} -subj /CN=…` makes others; or let \
             `request = {{ name = … }}` in the place of `csr` do all of that",
            self.named()
        );
        self.over(over, advice)
    }

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

fn is_signed(list: &Crl, authorities: &[Certificate]) -> bool {
    authorities.iter().any(|one| list.verify_signature(one.public_key()).is_ok())
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

#[cfg(test)]
mod tests;
