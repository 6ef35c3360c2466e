//! `provost ca request`: from a key to a certificate.
//!
//! ```text
//! key there? made ──► request ──► remembered (memory) ──► submitted ──► number remembered ──► certificate kept ──► forgotten
//! ```
//! Whoever runs it again, for whatever reason, goes on where it stopped.

use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use clap::Args;
use client::compat::caucase::Server;
use serde_json::json;
use x509::{Certificate, PublicKey, SigningRequest};

use super::error::CaCommandError;
use super::key_file::{read, read_or_make};
use super::key_kind::{KeyFormat, KeyType};
use super::memory::Memory;
use super::obtain::{issued, keep, submit};
use super::session::Session;
use super::shown::certificate_json;
use super::subject::Subject;
use crate::duration::Duration;
use crate::holder::renewal::make_in_place;
use crate::holder::{Pem, PemFileError};
use crate::output;

/// Between two looks at a request: the first, and the longest.
const PAUSES: (StdDuration, StdDuration) = (StdDuration::from_secs(1), StdDuration::from_secs(15));

/// What is asked for, and where it goes.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The key is made where there is none (mode 0600), is never replaced, and never leaves this machine. \
        Printed is the number of the request, by which a user approves it. Beside the key, or the CSR where there is no key, \
        .NAME.provost-request remembers what was submitted until its certificate is in --out: so the same command again submits \
        nothing twice, and fetches the certificate when it is there."
)]
pub(super) struct Request {
    /// The private key; made where there is no such file
    #[arg(long, value_name = "FILE", required_unless_present = "csr")]
    key: Option<PathBuf>,
    /// What kind of key to make
    #[arg(long, value_enum, default_value_t = KeyType::Rsa2048)]
    key_type: KeyType,
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
    /// Whether the key was made for it.
    is_key_new: bool,
}

impl Request {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let Prepared { request, memory, is_key_new } = self.prepare().await?;
        if let Some(key) = self.key.as_deref().filter(|_| is_key_new) {
            output::note(format_args!("made the private key {}", key.display()));
        }
        if let Some(out) = &self.out
            && let Some(there) = already(out, request.public_key())?
        {
            memory.forget()?;
            let document = json!({"state": "issued", "certificate": certificate_json(&there)});
            return session.tell(&document, format!("{} has the certificate already", out.display()));
        }
        let server = session.server()?;
        let authority = session.authority();
        let id = submit(&server, authority, &memory, &request).await?;
        if !session.wants_json() {
            session.print(&format!("{id}\n"))?;
        }
        let Some(out) = &self.out else {
            if session.wants_json() {
                return session.tell(&json!({"id": id}), String::new());
            }
            output::note(format_args!(
                "submitted; a user approves it with `provost ca approve {id}`, then `provost ca fetch {id} FILE` has the \
                 certificate"
            ));
            return Ok(());
        };
        let answer = match self.answer(session, &server, &id, &memory).await? {
            Some(answer) => answer,
            None => {
                let line = format!(
                    "it waits for approval; run the same again, or with --wait, for {}",
                    out.display()
                );
                return session.tell(&json!({"id": id, "state": "pending"}), line);
            }
        };
        let trusted = session.trusted(&server).await?;
        let key = request.public_key();
        let certificate = keep(&answer, Some(key), &trusted.certificates, out, session.now())?;
        memory.forget()?;
        let document = json!({"id": id, "state": "issued", "certificate": certificate_json(&certificate)});
        session.tell(&document, format!("the certificate is in {}", out.display()))
    }

    /// The key and the request, made or read.
    async fn prepare(&self) -> Result<Prepared, CaCommandError> {
        let Some(path) = &self.csr else {
            let key_path = self.key.as_deref().ok_or_else(|| usage("--key FILE or --csr FILE is needed"))?;
            if self.subject.is_empty() {
                return Err(usage(
                    "nothing says whom the certificate is to be about: give --name, --dns or the like",
                ));
            }
            // Before a key is made for it.
            self.subject.parts()?;
            let spec = self.key_type.spec();
            let (key, is_key_new) = read_or_make(key_path, spec, self.key_format, make_in_place).await?;
            let request = self.subject.request(&key)?;
            return Ok(Prepared { request, memory: Memory::beside(key_path), is_key_new });
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
        Ok(Prepared { request, memory: Memory::beside(beside), is_key_new: false })
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
                        output::note(format_args!(
                            "waiting for approval: a user does that with `provost ca approve {id}`"
                        ));
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

fn usage(text: &str) -> CaCommandError {
    CaCommandError::Usage(text.to_owned())
}
