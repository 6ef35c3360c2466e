//! `provost ca request`: from a key to a certificate.
//!
//! ```text
//! key there? made ──► request ──► remembered (memory) ──► submitted ──► number remembered ──► certificate kept ──► forgotten
//!                                                                       over already? with another key (anew) ──┘
//! ```
//! Whoever runs it again, for whatever reason, goes on where it stopped.

use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use base::Timestamp;
use clap::Args;
use client::compat::caucase::Server;
use serde_json::json;
use x509::{Certificate, Crl, PrivateKey, PublicKey, SigningRequest};

use super::anew::{Anew, over};
use super::error::CaCommandError;
use super::key_file::{read, read_or_make};
use super::key_kind::{KeyFormat, KeyType, kind_name};
use super::memory::Memory;
use super::obtain::{issued, keep, submit};
use super::session::Session;
use super::shown::{certificate_json, covers, whom};
use super::subject::Subject;
use crate::duration::Duration;
use crate::holder::renewal::make_in_place;
use crate::holder::{Collection, Pair, Pem, PemFileError};
use crate::kept_file::place_of;
use crate::output;

/// Between two looks at a request: the first, and the longest.
const PAUSES: (StdDuration, StdDuration) = (StdDuration::from_secs(1), StdDuration::from_secs(15));

/// What is asked for, and where it goes.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The key is made where there is none (mode 0600), and never leaves this machine. It is replaced only where its \
        certificate is over: then a new one is asked for with a new key, which takes its place together with the certificate. \
        Printed is the number of the request, by which a user approves it. Beside the key, or the CSR where there is no key, \
        .NAME.provost-request remembers what was submitted until its certificate is in --out: so the same command again submits \
        nothing twice, and fetches the certificate when it is there. It stays where whoever approved it had something else certified, \
        and says what."
)]
pub(super) struct Request {
    /// The private key; made where there is no such file
    #[arg(long, value_name = "FILE", required_unless_present = "csr")]
    key: Option<PathBuf>,
    /// What kind of key to make [default: rsa-2048]
    #[arg(long, value_enum)]
    key_type: Option<KeyType>,
    /// How to write the key
    #[arg(long, value_enum, default_value_t = KeyFormat::Pkcs1)]
    key_format: KeyFormat,
    /// Submit this signing request, PEM, in place of one that is made here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "dns", "ip", "email", "uri"])]
    csr: Option<PathBuf>,
    #[command(flatten)]
    subject: Subject,
    /// Where the certificate goes: behind its key if that is the file with the key, or into a file of its own
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Wait until it is approved
    #[arg(long, requires = "out")]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "10m", requires = "wait")]
    timeout: Duration,
}

/// What is asked for, and beside which file it is remembered.
struct Prepared {
    request: SigningRequest,
    memory: Memory,
    /// The key to take the place of the one that is there, with the certificate.
    successor: Option<PrivateKey>,
}

impl Prepared {
    /// The certificate in `answer`, if it is for this request and over.
    fn over(&self, answer: &[u8], now: Timestamp) -> Option<Certificate> {
        over(answer, self.request.public_key(), now)
    }

    /// Whether `there`, which is for something else than what is asked for, is what was made of this request: whoever approves
    /// may say whom a certificate is to be about. Where it was fetched by hand, the server is asked, if it is the one that is meant.
    async fn was_answered_with(
        &self,
        session: &Session,
        there: &Certificate,
    ) -> Result<bool, CaCommandError> {
        let Some(known) = self.memory.read()? else { return Ok(false) };
        let (server, authority) = (session.server()?, session.authority());
        if known.given.is_some() {
            return Ok(known.was_given(server.url(), authority, &self.request, there));
        }
        let Some(id) = &known.id else { return Ok(false) };
        if !known.is(server.url(), authority, &self.request) {
            return Ok(false);
        }
        refuse_stranger(session, &server).await?;
        let answer = match issued(&server, authority, id, None).await {
            Err(CaCommandError::Unknown { .. }) => None,
            answer => answer?,
        };
        let is_there = |answer: &[u8]| Certificate::from_pem(answer).is_ok_and(|one| one == *there);
        let is_answer = answer.is_some_and(|answer| is_there(&answer));
        if is_answer {
            self.memory.answered(&self.request, there)?;
        }
        Ok(is_answer)
    }
}

impl Request {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let store = session.store();
        if let Some(out) = &self.out
            && !store.is_folder()
            && place_of(out) == place_of(store.path())
        {
            return Err(usage(
                "--out and --ca are the same file, and a certificate is not for where the authorities are",
            ));
        }
        if let Some(out) = &self.out {
            refuse_nowhere(out)?;
        }
        let mut prepared = self.prepare(session.now()).await?;
        if let Some(out) = &self.out
            && prepared.successor.is_none()
        {
            refuse_unfit(out, prepared.request.public_key())?;
        }
        if let Some(out) = &self.out
            && let Some(there) = already(out, prepared.request.public_key())?
        {
            if there.not_after() >= session.now() {
                self.refuse_revoked(session, out, &there)?;
                let document = json!({"state": "issued", "certificate": certificate_json(&there)});
                let line = format!("{} has the certificate already", out.display());
                if covers(&there, &prepared.request) {
                    prepared.memory.forget()?;
                    return session.tell(&document, line);
                }
                if !prepared.was_answered_with(session, &there).await? {
                    return Err(different(out, &there, &prepared.request));
                }
                let whom = whom(there.subject(), there.extensions());
                return session.tell(&document, format!("{line}, for {whom}, as it was approved"));
            }
            prepared = self.prepare_anew(&there).await?;
        }
        let server = session.server()?;
        if self.out.is_some() {
            session.trusted(&server).await?;
        } else {
            refuse_stranger(session, &server).await?;
        }
        let Some(out) = &self.out else {
            let authority = session.authority();
            let id = submit(&server, authority, &prepared.memory, &prepared.request).await?;
            if !session.wants_json() {
                session.print(&format!("{id}\n"))?;
            }
            let is_issued = issued(&server, authority, &id, Some(&prepared.memory)).await?.is_some();
            let (state, line) = match is_issued {
                true => ("issued", format!("issued; {}", session.command(&format!("fetch {id} FILE")))),
                false => {
                    let approve = session.command(&format!("approve {id}"));
                    let fetch = session.command(&format!("fetch {id} FILE"));
                    (
                        "pending",
                        format!(
                            "submitted; a user approves it with {approve}, then {fetch} has the certificate"
                        ),
                    )
                }
            };
            return session.tell(&json!({"id": id, "state": state}), line);
        };
        let (mut id, mut answer) = self.obtain(session, &server, &prepared).await?;
        // It was issued for this request long ago, and nobody fetched it.
        if let Some(over) = answer.as_deref().and_then(|answer| prepared.over(answer, session.now())) {
            prepared = self.prepare_anew(&over).await?;
            (id, answer) = self.obtain(session, &server, &prepared).await?;
        }
        let Some(answer) = answer else {
            let line =
                format!("it waits for approval; run the same again, or with --wait, for {}", out.display());
            return session.tell(&json!({"id": id, "state": "pending"}), line);
        };
        if !self.wait && !session.wants_json() {
            session.print(&format!("{id}\n"))?;
        }
        let trusted = session.trusted(&server).await?;
        let certificate = match (&prepared.successor, self.anew()) {
            (Some(key), Some(anew)) => {
                anew.keep(&answer, key, self.key_format, &trusted.certificates, session.now())?
            }
            _ => {
                let key = prepared.request.public_key();
                keep(&answer, Some(key), &trusted.certificates, out, session.now())?
            }
        };
        prepared.memory.answered(&prepared.request, &certificate)?;
        let document = json!({"id": id, "state": "issued", "certificate": certificate_json(&certificate)});
        session.tell(&document, format!("the certificate is in {}", out.display()))
    }

    /// Submits the request, and fetches its certificate, if it is there, or comes while it is waited for.
    async fn obtain(
        &self,
        session: &Session,
        server: &Server,
        prepared: &Prepared,
    ) -> Result<(String, Option<Vec<u8>>), CaCommandError> {
        let Prepared { request, memory, .. } = prepared;
        let id = submit(server, session.authority(), memory, request).await?;
        // Whoever is to approve it has to know. That of one which turns out to be over is of no interest.
        let print = |is_time: bool| {
            if is_time && !session.wants_json() { session.print(&format!("{id}\n")) } else { Ok(()) }
        };
        print(self.wait)?;
        let answer = self.answer(session, server, &id, memory).await?;
        print(!self.wait && answer.is_none())?;
        Ok((id, answer))
    }

    /// Refuses a certificate that is on the list of what was revoked, which `provost ca crl` keeps.
    fn refuse_revoked(
        &self,
        session: &Session,
        out: &Path,
        there: &Certificate,
    ) -> Result<(), CaCommandError> {
        let lists = Collection::<Crl>::at(Path::new(&format!("{}.crl.pem", session.authority())));
        let authorities = session.store().load().items;
        let is_revoked = lists.load().items.iter().any(|list| {
            list.issuer() == there.issuer()
                && list.contains(&there.serial())
                && authorities.iter().any(|one| list.verify_signature(one.public_key()).is_ok())
        });
        if !is_revoked {
            return Ok(());
        }
        Err(revoked(there, out, self.key.as_deref()))
    }

    /// The pair that the certificate is a part of, for when it has to be replaced.
    fn anew(&self) -> Option<Anew> {
        let (key, certificate) = (self.key.clone()?, self.out.clone()?);
        Some(Anew::of(Pair { certificate, key }))
    }

    /// The key and the request, made or read.
    async fn prepare(&self, now: Timestamp) -> Result<Prepared, CaCommandError> {
        let Some(path) = &self.csr else {
            let key_path = self.key.as_deref().ok_or_else(|| usage("--key FILE or --csr FILE is needed"))?;
            if self.subject.is_empty() {
                return Err(usage(
                    "nothing says whom the certificate is to be about: give --name, --dns or the like",
                ));
            }
            // Before a key is made for it.
            self.subject.parts()?;
            let memory = Memory::beside(key_path);
            if let Some(anew) = self.anew() {
                // A renewal that was cut short has its certificate already, and its key need not be asked for again.
                anew.pair().recover()?;
            }
            if let Some(anew) = self.anew()
                && let Some(key) = anew.waiting()?
            {
                let there = match (read(key_path)?, &self.out) {
                    (Some(held), Some(out)) => already(out, held.public())?,
                    _ => None,
                };
                let Some(there) = there.filter(|there| there.not_after() >= now) else {
                    let request = self.subject.request(&key)?;
                    return Ok(Prepared { request, memory, successor: Some(key) });
                };
                anew.end(&there)?;
            }
            let spec = self.key_type.unwrap_or_default().spec();
            let (key, is_new) = read_or_make(key_path, spec, self.key_format, make_in_place).await?;
            if is_new {
                output::note(format_args!("made the private key {}", key_path.display()));
            }
            let found = kind_name(key.public().kind());
            if let Some(wanted) = self.key_type.map(KeyType::name).filter(|wanted| *wanted != found) {
                return Err(CaCommandError::OtherKind { path: key_path.to_owned(), found, wanted });
            }
            let request = self.subject.request(&key)?;
            return Ok(Prepared { request, memory, successor: None });
        };
        let request = read_request(path)?;
        let beside = self.key.as_deref().unwrap_or(path);
        if let Some(key_path) = &self.key {
            let key = read(key_path)?.ok_or_else(|| PemFileError::Missing(key_path.clone()))?;
            if key.public() != request.public_key() {
                let what = "the private key in it is not that of the signing request";
                return Err(CaCommandError::Content { path: key_path.clone(), what, hint: None });
            }
        }
        Ok(Prepared { request, memory: Memory::beside(beside), successor: None })
    }

    /// The same with another key, as `over` is.
    async fn prepare_anew(&self, over: &Certificate) -> Result<Prepared, CaCommandError> {
        let out = self.out.clone().unwrap_or_default();
        let since = over.not_after();
        let (Some(anew), None) = (self.anew(), &self.csr) else {
            let advice = "the server may have what it made of this signing request for a day: give another one, for a new key; or \
                          --key FILE with --name, --dns or the like, and both are made here";
            return Err(CaCommandError::Over { path: out, since, advice: advice.into() });
        };
        let pair = anew.pair();
        if Pem::read(&pair.certificate).is_ok_and(|found| !found.certificates.is_empty()) {
            // Nothing else is in there that would be missed.
            pair.load()?;
        }
        let (key, is_new) = anew.key(over, self.key_format, make_in_place).await?;
        if is_new {
            output::note(format_args!(
                "the certificate for {} is over since {since}: another one is asked for, with a new key",
                out.display()
            ));
        }
        Ok(Prepared {
            request: self.subject.request(&key)?,
            memory: anew.memory().clone(),
            successor: Some(key),
        })
    }

    /// The certificate, if it is there, or comes while it is waited for.
    async fn answer(
        &self,
        session: &Session,
        server: &Server,
        id: &str,
        memory: &Memory,
    ) -> Result<Option<Vec<u8>>, CaCommandError> {
        let once = issued(server, session.authority(), id, Some(memory));
        if !self.wait {
            return once.await;
        }
        let waiting = async {
            let mut pause = PAUSES.0;
            let mut is_told = false;
            loop {
                match issued(server, session.authority(), id, Some(memory)).await {
                    Ok(Some(answer)) => return Ok(Some(answer)),
                    Ok(None) if !is_told => {
                        is_told = true;
                        let approve = session.command(&format!("approve {id}"));
                        output::note(format_args!("waiting for approval: a user does that with {approve}"));
                    }
                    Ok(None) => {}
                    Err(CaCommandError::Holder(error)) if error.is_network() => {
                        output::note(format_args!("note: {error}; trying again"));
                    }
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 3 / 2).min(PAUSES.1);
            }
        };
        let within = StdDuration::from_secs(self.timeout.0.into());
        let waited = tokio::time::timeout(within, waiting).await;
        waited.unwrap_or_else(|_| Err(CaCommandError::NotInTime { id: id.to_owned(), within: self.timeout }))
    }
}

/// Nothing is asked of a server that is not the one that is meant, where anybody is pinned or trusted.
async fn refuse_stranger(session: &Session, server: &Server) -> Result<(), CaCommandError> {
    let held = session.store().load();
    // What cannot be read may say that it is another one.
    let is_anybody_trusted = !held.items.is_empty() || !held.unreadable.is_empty();
    if session.pin().is_some() || is_anybody_trusted {
        session.refuse_another(server).await?;
    }
    Ok(())
}

/// The one signing request in the file at `path`, which has nothing else in it.
pub(super) fn read_request(path: &Path) -> Result<SigningRequest, CaCommandError> {
    let mut found = Pem::read(path)?;
    let is_alone = found.count() == 1;
    found.requests.pop().filter(|_| is_alone).ok_or_else(|| CaCommandError::Content {
        path: path.to_owned(),
        what: "there is not exactly one signing request in it, and nothing else",
        hint: None,
    })
}

/// The certificate of this key in the file at `path`, if it is there.
fn already(path: &Path, key: &PublicKey) -> Result<Option<Certificate>, CaCommandError> {
    match Pem::read(path) {
        Ok(found) => Ok(found.certificates.into_iter().find(|one| one.public_key() == key)),
        Err(PemFileError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// That `certificate`, which is in the file at `path` and whose key is in the one at `key`, was revoked. Where it is not known
/// which one that is, it was asked for with a signing request.
pub(super) fn revoked(certificate: &Certificate, path: &Path, key: Option<&Path>) -> CaCommandError {
    let shown = path.display();
    let advice = match key {
        Some(key) => {
            let is_one = path == key;
            let key = key.display();
            let old = if is_one { String::new() } else { format!(" && mv {key} {key}.revoked") };
            format!(
                "it cannot be renewed any more; if there is to be another one, with a new key: `mv {shown} {shown}.revoked{old} && \
                 provost ca request --key {key} --out {shown} --name …`"
            )
        }
        None => format!(
            "it cannot be renewed any more; if there is to be another one, with a new key: `mv {shown} {shown}.revoked`, and then \
             --csr with the signing request of that key; or --key FILE with --name, --dns or the like in its place, and both are \
             made here"
        ),
    };
    let serial = certificate.serial().to_string();
    CaCommandError::Revoked { path: path.to_owned(), serial, advice }
}

/// Refuses a file in a folder that is not there, before anything is made or asked for.
fn refuse_nowhere(path: &Path) -> Result<(), CaCommandError> {
    let place = place_of(path);
    if place.parent().is_none_or(Path::is_dir) {
        return Ok(());
    }
    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
    Err(CaCommandError::unwritable(path)(source))
}

/// Refuses a file for the certificate of `key` that has something else in it than that: nothing is submitted for what cannot be
/// kept.
fn refuse_unfit(path: &Path, key: &PublicKey) -> Result<(), CaCommandError> {
    let found = match Pem::read(path) {
        Ok(found) => found,
        Err(PemFileError::Missing(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let has_its_certificate = found.certificates.iter().any(|one| one.public_key() == key);
    let is_its_key = found.keys.iter().any(|one| one.public() == key);
    if has_its_certificate || is_its_key && found.count() == 1 {
        return Ok(());
    }
    Err(CaCommandError::Content {
        path: path.to_owned(),
        what: "there is something else in it than the certificate, or the one private key, that is asked with",
        hint: Some("name a file that is not there, or the one with the key"),
    })
}

/// That the certificate which is `there` is for something else than what is asked for.
fn different(path: &Path, there: &Certificate, request: &SigningRequest) -> CaCommandError {
    CaCommandError::Different {
        path: path.to_owned(),
        has: whom(there.subject(), there.extensions()),
        asked: whom(request.subject(), request.extensions()),
    }
}

fn usage(text: &str) -> CaCommandError {
    CaCommandError::Usage(text.to_owned())
}
