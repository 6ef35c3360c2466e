//! `provost ca fetch`: the certificate of a request.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::error::CaCommandError;
use super::memory::Memory;
use super::obtain::{issued, keep, request_id};
use super::session::Session;
use super::shown::{certificate_json, certificate_line};

#[derive(Debug, Args)]
#[command(
    after_long_help = "FILE may have the private key in it: then it has to be the certificate's, and the certificate comes behind \
        it. Anything else that is there is left alone. Where --out of `provost ca request` is used, this is not needed. Where whoever \
        approved it had something else certified than was asked for, `provost ca request` with the same --key, and FILE as --out, \
        asks the server whether this is what came of its request, by the number that is remembered beside the key."
)]
pub(super) struct Fetch {
    /// The number of the request
    #[arg(value_parser = request_id)]
    id: String,
    /// Where the certificate goes
    file: PathBuf,
}

impl Fetch {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let server = session.server()?;
        session.refuse_unpinned(&server).await?;
        let memory = Memory::beside(&self.file);
        let answer = issued(&server, session.authority(), &self.id, None).await?;
        let answer = answer.ok_or_else(|| CaCommandError::Pending { id: self.id.clone() })?;
        let trusted = session.trusted(&server).await?;
        let certificate = keep(&answer, None, &trusted.certificates, &self.file, session.now())?;
        // Where it was asked for with this key, it need not be remembered any more.
        let known = memory.read().ok().flatten().filter(|known| known.id.as_ref() == Some(&self.id));
        if let Some(known) = known {
            known.request().map_or_else(|| memory.forget(), |one| memory.answered(&one, &certificate))?;
        }
        let line = format!("{} has {}", self.file.display(), certificate_line(&certificate, session.now()));
        session.tell(&json!({"id": self.id, "certificate": certificate_json(&certificate)}), line)
    }
}
