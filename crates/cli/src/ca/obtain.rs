//! From a request to its certificate: what `request`, `fetch` and `watch` have in common.

use std::path::Path;

use base::Timestamp;
use client::compat::caucase::{Authority, Server};
use x509::{Certificate, PublicKey, SigningRequest};

use super::error::CaCommandError;
use super::memory::{Memory, Submitted};
use crate::holder::renewal::checked;
use crate::holder::{Appended, HolderError, append_certificate};

/// The number of a request, as servers give it.
pub(super) fn request_id(text: &str) -> Result<String, &'static str> {
    let is_number = !text.is_empty() && text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        Ok(text.to_owned())
    } else {
        Err("it is the decimal number that `provost ca request` prints")
    }
}

/// Submits `request`, unless that was done before, and gives its number.
pub(super) async fn submit(
    server: &Server,
    authority: Authority,
    memory: &Memory,
    request: &SigningRequest,
) -> Result<String, CaCommandError> {
    // What was answered, and is remembered for what came of it, is asked for anew.
    let mut submitted = match memory.read()?.filter(|known| known.given.is_none()) {
        Some(before) if before.is(server.url(), authority, request) => before,
        // One that has its certificate, fetched by hand, or was rejected, is nothing that this one would take the place of.
        Some(Submitted { id: Some(id), .. }) if is_waiting(server, authority, &id).await? => {
            return Err(CaCommandError::OtherRequest { memory: memory.path().to_owned() });
        }
        // Nobody has it, as far as anybody knows.
        Some(_) | None => Submitted::new(server.url(), authority, request),
    };
    if let Some(id) = submitted.id {
        return Ok(id);
    }
    memory.write(&submitted)?;
    let id = server.submit(authority, &submitted.csr).await?;
    submitted.id = Some(id.clone());
    memory.write(&submitted)?;
    Ok(id)
}

/// Whether somebody has yet to decide about request `id`.
async fn is_waiting(server: &Server, authority: Authority, id: &str) -> Result<bool, CaCommandError> {
    match issued(server, authority, id, None).await {
        Ok(answer) => Ok(answer.is_none()),
        Err(CaCommandError::Unknown { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The server's answer with the certificate of request `id`; none while the request waits.
pub(super) async fn issued(
    server: &Server,
    authority: Authority,
    id: &str,
    memory: Option<&Memory>,
) -> Result<Option<Vec<u8>>, CaCommandError> {
    match server.certificate(authority, id).await {
        Ok(answer) => return Ok(Some(answer)),
        Err(error) if error.status() == Some(404) => {}
        Err(error) => return Err(error.into()),
    }
    match server.request(authority, id).await {
        Ok(_) => Ok(None),
        Err(error) if error.status() == Some(404) => {
            let memory = memory.map(|memory| memory.path().to_owned());
            Err(CaCommandError::Unknown { id: id.to_owned(), memory })
        }
        Err(error) => Err(error.into()),
    }
}

/// The certificate in `answer`, if one of `authorities` stands for it and it is for `key`, put into the file at `path`: behind
/// its key, or into a file of its own.
pub(super) fn keep(
    answer: &[u8],
    key: Option<&PublicKey>,
    authorities: &[Certificate],
    path: &Path,
    now: Timestamp,
) -> Result<Certificate, CaCommandError> {
    let found = Certificate::from_pem(answer).map_err(HolderError::NoCertificate)?;
    let certificate = checked(answer, key.unwrap_or(found.public_key()), authorities, now)?;
    let content = |what, hint| Err(CaCommandError::Content { path: path.to_owned(), what, hint });
    match append_certificate(path, &certificate)? {
        Appended::Done => Ok(certificate),
        Appended::NotOneKey => content(
            "there is something else in it than the one private key of the certificate",
            Some("name a file that is not there, or the one with the key"),
        ),
        Appended::DoesNotMatch => content("the private key in it is not that of the certificate", None),
    }
}
