//! `provost cache get`: downloads files that somebody who is believed tells of.

use std::path::{Path, PathBuf};

use base::Sha512;
use clap::Args;
use client::networkcache::{Download, Source};
use entry::{Reason, Value};
use serde_json::json;

use super::error::CacheCommandError;
use super::place::Place;
use super::progress::{Meter, shown};
use super::session::{Believed, Believing, Caches, Jobs, Names, Session, Wanted, each};
use super::verify::check_length;
use crate::table::one_line;

/// What is downloaded, and where to.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A KEY of 128 hexadecimal digits is the SHA-512 of bytes: those are fetched, whoever tells of \
    them.\n\n\
    A file is called like the last part of its URL, or as its entry says, or like the last part of \
    its key. It appears when all of it is there and its digest is right. Printed is its SHA-512 and \
    its name, as sha512sum does."
)]
pub(crate) struct Get {
    #[command(flatten)]
    names: Names,
    /// What to call the file; for one only
    #[arg(long, value_name = "FILE", conflicts_with = "into")]
    out: Option<PathBuf>,
    /// The folder for the files [default: this one]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Replace other files of these names
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    believing: Believing,
    #[command(flatten)]
    jobs: Jobs,
}

/// How files are placed.
pub(crate) struct Placing<'a> {
    pub(crate) out: Option<&'a Path>,
    pub(crate) into: &'a Path,
    pub(crate) force: bool,
}

/// A file that is there.
pub(crate) struct Got {
    candidate: Candidate,
    path: PathBuf,
    /// How many bytes came; none when it was there before.
    bytes: Option<u64>,
}

/// Some bytes that would do.
struct Candidate {
    digest: Sha512,
    /// How many there must be, if somebody who is believed says so.
    bytes: Option<u64>,
    /// What the entry calls the file.
    name: Option<String>,
    signer: Option<String>,
}

impl Get {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        let Self { names, out, into, force, believing, jobs } = self;
        let wanted = names.all();
        if out.is_some() && wanted.len() > 1 {
            return Err(CacheCommandError::Usage("--out is for one file; --into DIR is for several"));
        }
        let is_bytes = |wanted: &Wanted| bytes_of(wanted).is_some();
        let believed = believing.read(wanted.iter().all(is_bytes))?;
        let caches = session.caches().await?;
        session.meter.begin(wanted.len());
        let placing = Placing { out: out.as_deref(), into: into.as_deref().unwrap_or(Path::new("")), force };
        let work = async |wanted: &Wanted| get(session, &caches, &believed, &placing, wanted).await;
        session
            .meter
            .painted(each(session, wanted, jobs.number(), work, |wanted| wanted.said().to_owned()))
            .await
    }
}

fn bytes_of(wanted: &Wanted) -> Option<Sha512> {
    match wanted {
        Wanted::Key(key) => Sha512::parse(key),
        Wanted::Url(_) => None,
    }
}

async fn get(
    session: &Session,
    caches: &Caches,
    believed: &Believed,
    placing: &Placing<'_>,
    wanted: &Wanted,
) -> Result<(), CacheCommandError> {
    let got = obtain(session, caches, believed, placing, wanted).await?;
    session.meter.done();
    tell(session, wanted, &got.candidate, &got.path, got.bytes)
}

/// Has the file that `wanted` names, which somebody who is believed tells of.
pub(crate) async fn obtain(
    session: &Session,
    caches: &Caches,
    believed: &Believed,
    placing: &Placing<'_>,
    wanted: &Wanted,
) -> Result<Got, CacheCommandError> {
    let candidates = match bytes_of(wanted) {
        Some(digest) => vec![Candidate { digest, bytes: None, name: None, signer: None }],
        None => candidates(session, caches, believed, wanted).await?,
    };
    let mut absent = None;
    for candidate in candidates {
        let path = placing.path(wanted, &candidate);
        if is_it(&path, &candidate).await? {
            return Ok(Got { candidate, path, bytes: None });
        }
        if !placing.force && path.symlink_metadata().is_ok() {
            return Err(CacheCommandError::Exists(path));
        }
        let download = match caches.artifacts.get(candidate.digest).await {
            Ok(download) => download,
            // The next one may do as well.
            Err(error) if error.is_absent() => {
                absent.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = fetch(download, &candidate, &path, placing.force, &session.meter).await?;
        return Ok(Got { candidate, path, bytes: Some(bytes) });
    }
    Err(match (bytes_of(wanted), absent) {
        (Some(_), Some(error)) => error.into(),
        _ => CacheCommandError::NoneCounts { key: wanted.key(), reason: Reason::NotThere },
    })
}

async fn candidates(
    session: &Session,
    caches: &Caches,
    believed: &Believed,
    wanted: &Wanted,
) -> Result<Vec<Candidate>, CacheCommandError> {
    let found = session.look(caches, believed, wanted.clone()).await?;
    let chosen = found.chosen(believed)?;
    let candidate = |at: usize| {
        let (statement, verdict) = (found.entries[at].statement(), &found.judgement.verdicts[at]);
        Candidate {
            digest: statement.sha512(),
            bytes: verdict.size,
            name: statement.get("basename").and_then(Value::as_str).map(str::to_owned),
            signer: verdict.believed.as_ref().map(|believed| believed.signer.clone()),
        }
    };
    Ok(chosen.into_iter().map(candidate).collect())
}

impl Placing<'_> {
    fn path(&self, wanted: &Wanted, candidate: &Candidate) -> PathBuf {
        match self.out {
            Some(path) => path.to_owned(),
            None => self.into.join(name(wanted, candidate.name.as_deref(), candidate.digest)),
        }
    }
}

/// What to call a file: never a name that leads out of a folder, or hides.
pub(crate) fn name(wanted: &Wanted, said: Option<&str>, digest: Sha512) -> String {
    let of_url = |url: &str| {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        // What is only a host is no file.
        path.split_once("://").and_then(|(_, rest)| Some(rest.split_once('/')?.1.to_owned()))
    };
    let names = match wanted {
        Wanted::Url(url) => [of_url(url), said.map(str::to_owned)],
        Wanted::Key(key) => [said.map(str::to_owned), Some(key.clone())],
    };
    let last = |name: &String| {
        let last = name.rsplit('/').next().unwrap_or_default();
        let fits = !last.is_empty() && !last.starts_with('.') && !last.contains(char::is_control);
        fits.then(|| last.to_owned()).filter(|last| last.len() <= 200)
    };
    names.iter().flatten().find_map(last).unwrap_or_else(|| digest.to_string())
}

/// Whether the file is there already.
async fn is_it(path: &Path, candidate: &Candidate) -> Result<bool, CacheCommandError> {
    if !path.is_file() {
        return Ok(false);
    }
    Ok(Source::of(path).await?.digest == candidate.digest)
}

async fn fetch(
    download: Download,
    candidate: &Candidate,
    path: &Path,
    force: bool,
    meter: &Meter,
) -> Result<u64, CacheCommandError> {
    let unwritable = |source| CacheCommandError::Unwritable { path: path.to_owned(), source };
    let expected = candidate.bytes.or_else(|| download.bytes());
    meter.expect(expected.unwrap_or(0));
    let mut download = download.at_most(candidate.bytes.unwrap_or(u64::MAX));
    let mut place = Place::beside(path).map_err(unwritable)?;
    let mut bytes = 0;
    while let Some(piece) = download.next().await? {
        place.write(&piece).map_err(unwritable)?;
        bytes += piece.len() as u64;
        meter.moved(piece.len() as u64);
    }
    check_length(candidate.digest, bytes, candidate.bytes)?;
    match if force { place.keep() } else { place.keep_new() } {
        Ok(()) => Ok(bytes),
        // Somebody was faster, perhaps with the same bytes.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            match is_it(path, candidate).await? {
                true => Ok(bytes),
                false => Err(CacheCommandError::Exists(path.to_owned())),
            }
        }
        Err(error) => Err(unwritable(error)),
    }
}

fn tell(
    session: &Session,
    wanted: &Wanted,
    candidate: &Candidate,
    path: &Path,
    bytes: Option<u64>,
) -> Result<(), CacheCommandError> {
    let key = bytes_of(wanted).is_none().then(|| wanted.key());
    session.tell(
        &json!({
            "file": path.display().to_string(), "sha512": candidate.digest.to_string(), "key": key,
            "signer": candidate.signer, "is_new": bytes.is_some(),
        }),
        &format!("{}  {}", candidate.digest, one_line(&path.display().to_string())),
    )?;
    let by = candidate.signer.as_ref().map(|signer| format!(", signed by {signer}")).unwrap_or_default();
    let what = match bytes {
        Some(bytes) => format!("was fetched, {}", shown(bytes)),
        None => "was there already".to_owned(),
    };
    session.note(&format!("{} {what}{by}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_that_stay_where_they_are() {
        let digest = Sha512::of(b"");
        let hex = digest.to_string();
        let key = |key: &str| Wanted::Key(key.to_owned());
        let url = |url: &str| Wanted::Url(url.to_owned());
        for (wanted, said, expected) in [
            (url("http://h/a/b.tar.gz?x=/y#/z"), Some("c"), "b.tar.gz"),
            (url("http://h/a/"), Some("c"), "c"),
            (url("http://h"), None, hex.as_str()),
            (url("b.tar.gz"), None, hex.as_str()),
            (key("a/b"), None, "b"),
            (key("a/b"), Some("c/d"), "d"),
            (key("a"), Some(".."), "a"),
            (key("a"), Some("../.bashrc"), "a"),
            (key(".."), Some(""), hex.as_str()),
            (key("a\nb"), None, hex.as_str()),
            (key(&"a".repeat(300)), None, hex.as_str()),
            (key("pypi:pytz=1"), None, "pypi:pytz=1"),
        ] {
            assert_eq!(name(&wanted, said, digest), expected, "{wanted:?} {said:?}");
        }
    }
}
