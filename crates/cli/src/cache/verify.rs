//! `provost cache verify`: whether bytes are those that somebody who is believed tells of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base::Sha512;
use clap::Args;
use client::networkcache::Source;
use serde_json::json;

use super::error::CacheCommandError;
use super::progress::shown;
use super::session::{Believed, Believing, Caches, Jobs, Names, Session, Wanted, each};
use crate::table::one_line;

/// What is held against what is signed.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Without --file, all that counts is fetched, held against its digest and its length, and thrown \
    away. With it, the file is held against what counts, and nothing is fetched."
)]
pub(crate) struct Verify {
    #[command(flatten)]
    names: Names,
    /// The file that must be one of those; for one key only
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    believing: Believing,
    #[command(flatten)]
    jobs: Jobs,
}

impl Verify {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        let wanted = self.names.all();
        if self.file.is_some() && wanted.len() > 1 {
            return Err(CacheCommandError::Usage("--file is for one key"));
        }
        let believed = self.believing.read(false)?;
        let caches = session.caches().await?;
        session.meter.begin(wanted.len());
        let file = self.file.as_deref();
        let work = async |wanted: &Wanted| match file {
            Some(file) => verify_file(session, &caches, &believed, wanted, file).await,
            None => verify(session, &caches, &believed, wanted).await,
        };
        session
            .meter
            .painted(each(session, wanted, self.jobs.number(), work, |wanted| wanted.said().to_owned()))
            .await
    }
}

async fn verify_file(
    session: &Session,
    caches: &Caches,
    believed: &Believed,
    wanted: &Wanted,
    file: &Path,
) -> Result<(), CacheCommandError> {
    let found = session.look(caches, believed, wanted.clone()).await?;
    let chosen = found.chosen(believed)?;
    let source = Source::of(file).await?;
    let is_told_of = |at: &usize| {
        let bytes = found.judgement.verdicts[*at].size;
        found.entries[*at].statement().sha512() == source.digest
            && bytes.is_none_or(|bytes| bytes == source.bytes)
    };
    let Some(at) = chosen.into_iter().find(is_told_of) else {
        return Err(CacheCommandError::Differs { path: file.to_owned(), key: found.key });
    };
    let signer = found.judgement.verdicts[at].believed.as_ref().map(|believed| believed.signer.clone());
    session.tell(
        &json!({
            "key": found.key, "file": file.display().to_string(), "sha512": source.digest.to_string(), "signer": signer,
        }),
        &format!("{}  {}", source.digest, one_line(&file.display().to_string())),
    )?;
    let by = signer.unwrap_or_else(|| "somebody".to_owned());
    session.note(&format!("{} is what {by} says is under {}", file.display(), found.key));
    Ok(())
}

async fn verify(
    session: &Session,
    caches: &Caches,
    believed: &Believed,
    wanted: &Wanted,
) -> Result<(), CacheCommandError> {
    let meter = &session.meter;
    let found = session.look(caches, believed, wanted.clone()).await?;
    let all: BTreeSet<(Sha512, Option<u64>)> = found
        .chosen(believed)?
        .into_iter()
        .map(|at| (found.entries[at].statement().sha512(), found.judgement.verdicts[at].size))
        .collect();
    for (digest, told) in all {
        let mut download = caches.artifacts.get(digest).await?;
        meter.expect(told.or_else(|| download.bytes()).unwrap_or(0));
        download = download.at_most(told.unwrap_or(u64::MAX));
        let mut bytes = 0;
        while let Some(piece) = download.next().await? {
            bytes += piece.len() as u64;
            meter.moved(piece.len() as u64);
        }
        check_length(digest, bytes, told)?;
        session.tell(
            &json!({"key": found.key, "sha512": digest.to_string(), "bytes": bytes}),
            &format!("{digest}  {}", one_line(&found.key)),
        )?;
        session.note(&format!("{} is as it was signed, {}", found.key, shown(bytes)));
    }
    meter.done();
    Ok(())
}

/// Whether there are as many bytes as somebody who is believed says, if anybody does.
pub(super) fn check_length(sha512: Sha512, bytes: u64, told: Option<u64>) -> Result<(), CacheCommandError> {
    match told {
        Some(told) if told != bytes => Err(CacheCommandError::Length { sha512, bytes, told }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_bytes_as_were_signed() {
        for (bytes, told, is_right) in
            [(3, None, true), (3, Some(3), true), (3, Some(4), false), (4, Some(3), false)]
        {
            assert_eq!(check_length(Sha512::of(b"abc"), bytes, told).is_ok(), is_right, "{bytes} {told:?}");
        }
    }
}
