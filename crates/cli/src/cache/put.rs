//! `provost cache put`: uploads files, and says what they are.

use std::path::{Path, PathBuf};

use base::{Sha512, Span};
use clap::Args;
use client::networkcache::{Sent, Source};
use entry::{Attestation, Claims, Entry, New, Object, SignerId, Value, json, keys};
use serde_json::json as document;

use super::error::{BadMetadata, CacheCommandError};
use super::progress::shown;
use super::session::{Caches, Jobs, Session, each};
use super::signing_file::SigningFile;
use crate::options::{Pair, pair};
use crate::table::one_line;

/// The members that whoever reads entries compares with what they wanted.
const RESERVED: [&str; 2] = ["sha512", "provost"];

/// How many days there can be: what a timestamp can tell of, and more than anybody needs.
const DAYS_MAX: i64 = 100_000;

/// What is uploaded, and what is said of it.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A KEY or a URL that ends in a slash is followed by the file's name; where there are several \
    files, it must. Without either, only the bytes are uploaded, and nothing is said of them.\n\n\
    Printed is the SHA-512 of each file, as sha512sum does. What the server has already is not sent \
    again, and what was said already is not said again. A large file goes on where it was cut off, also when the command is \
    begun again within half an hour, if the server is one like this."
)]
pub(crate) struct Put {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What to file them under
    #[arg(long, value_name = "KEY", conflicts_with = "url")]
    key: Option<String>,
    /// Where the file is from: it is filed under the key that builds look for
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What else is said of them; repeatable
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    said: Vec<Pair>,
    /// A file with what else is said of them, a JSON object; --set comes over it
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// After how many days none of it counts any more [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=DAYS_MAX))]
    expires_days: Option<i64>,
    /// What signs [default: ~/.config/provost/cache-sign-key.pem, which `provost cache sign-key` makes]
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    #[command(flatten)]
    jobs: Jobs,
}

/// What is said of one file.
pub(crate) struct Saying {
    pub(crate) key: String,
    pub(crate) metadata: Object,
}

/// Uploads a file that the server does not have, and signs what it is, unless that was said before.
pub(crate) async fn share(
    session: &Session,
    caches: &Caches,
    path: &Path,
    (saying, signing): (&Saying, &SigningFile),
) -> Result<Sha512, CacheCommandError> {
    let source = Source::of(path).await?;
    if !caches.artifacts.is_there(source.digest).await? {
        let (meter, sent) = (&session.meter, Sent::default());
        meter.expect(source.bytes);
        meter.sending(&sent, caches.artifacts.send(&source, &sent)).await?;
        meter.moved(source.bytes);
    }
    say(session, caches, &source, (0, None), (saying, signing)).await?;
    Ok(source.digest)
}

impl Put {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        let metadata = self.read_metadata()?;
        let mut todo = Vec::new();
        for (number, path) in self.files.iter().enumerate() {
            todo.push((number, path, self.saying(path, &metadata)?));
        }
        let signing = match todo.iter().any(|(_, _, saying)| saying.is_some()) {
            true => Some(SigningFile::read(self.sign_key.as_deref())?),
            false => None,
        };
        let caches = session.caches().await?;
        let meter = &session.meter;
        meter.begin(todo.len());
        for (_, path, _) in &todo {
            // One that is not there is said when its turn comes.
            meter.expect(std::fs::metadata(path).map_or(0, |found| found.len()));
        }
        let jobs = self.jobs.number();
        let work = async |(number, path, saying): &(usize, &PathBuf, Option<Saying>)| {
            let said = saying.as_ref().zip(signing.as_ref());
            self.put(session, &caches, (*number, path, said)).await
        };
        meter.painted(each(session, todo, jobs, work, |(_, path, _)| path.display().to_string())).await
    }

    fn read_metadata(&self) -> Result<Object, CacheCommandError> {
        let mut metadata = match &self.metadata {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| CacheCommandError::Unreadable { path: path.clone(), source })?;
                let not = |source| CacheCommandError::Metadata { path: path.clone(), source };
                match json::read(&text).map_err(|error| not(error.into()))? {
                    Value::Object(object) => object,
                    _ => return Err(not(BadMetadata::Shape)),
                }
            }
            None => Object::new(),
        };
        for (name, value) in &self.said {
            metadata.insert(name, Value::text(value));
        }
        if let Some(name) = RESERVED.into_iter().find(|name| metadata.get(name).is_some()) {
            return Err(entry::NewError::Reserved { name }.into());
        }
        Ok(metadata)
    }

    /// What is said of the file, if anything is.
    fn saying(&self, path: &Path, metadata: &Object) -> Result<Option<Saying>, CacheCommandError> {
        if self.key.is_none() && self.url.is_none() {
            let is_bare = metadata.is_empty() && self.expires_days.is_none();
            let what = "without --key or --url nothing is said of the bytes: --set, --metadata and --expires-days have no place";
            return if is_bare { Ok(None) } else { Err(CacheCommandError::Usage(what)) };
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let named = |under: &str| match name {
            _ if !under.ends_with('/') && self.files.len() == 1 => Ok(under.to_owned()),
            _ if !under.ends_with('/') => Err(CacheCommandError::Usage(
                "for several files, --key or --url ends in a slash; their names follow",
            )),
            Some(name) => Ok(format!("{under}{name}")),
            None => Err(CacheCommandError::NoName { path: path.to_owned(), under: under.to_owned() }),
        };
        let mut metadata = metadata.clone();
        let key = match (&self.key, &self.url) {
            (Some(key), _) => named(key)?,
            (None, url) => {
                let url = named(url.as_deref().unwrap_or_default())?;
                let key = keys::file(&url);
                // Whoever fetches by the URL compares it.
                metadata.insert("url", Value::text(&url));
                key
            }
        };
        if metadata.is_empty() {
            // Old readers want something to be said.
            metadata.insert("basename", Value::text(name.unwrap_or_default()));
        }
        Ok(Some(Saying { key, metadata }))
    }

    async fn put(
        &self,
        session: &Session,
        caches: &Caches,
        (number, path, said): (usize, &Path, Option<(&Saying, &SigningFile)>),
    ) -> Result<(), CacheCommandError> {
        let meter = &session.meter;
        let source = Source::of(path).await?;
        let is_there = caches.artifacts.is_there(source.digest).await?;
        let sent = Sent::default();
        if !is_there {
            meter.sending(&sent, caches.artifacts.send(&source, &sent)).await?;
        }
        meter.moved(source.bytes);
        let said = match said {
            Some((saying, signing)) => {
                let how = (number, self.expires_days);
                Some((saying, say(session, caches, &source, how, (saying, signing)).await?))
            }
            None => None,
        };
        meter.done();
        let as_said = said.as_ref().map(|(saying, said)| {
            document!({"key": saying.key, "entry": said.entry.text_digest().to_string(), "is_new": said.is_new})
        });
        session.tell(
            &document!({
                "file": path.display().to_string(), "sha512": source.digest.to_string(), "bytes": source.bytes,
                "is_new": !is_there, "cuts": sent.cuts(), "said": as_said,
            }),
            &format!("{}  {}", source.digest, one_line(&path.display().to_string())),
        )?;
        let bytes = match is_there {
            true => "was there already".to_owned(),
            false => format!("was sent, {}{}", shown(source.bytes), of_cuts(sent.cuts())),
        };
        let as_said = match &said {
            Some((saying, said)) if said.is_new => format!(", and is signed under {}", saying.key),
            Some((saying, _)) => format!(", and was signed before under {}", saying.key),
            None => String::new(),
        };
        session.note(&format!("{} {bytes}{as_said}", path.display()));
        Ok(())
    }
}

/// That an upload went on after cuts, if there were any.
pub(crate) fn of_cuts(cuts: u64) -> String {
    match cuts {
        0 => String::new(),
        1 => " (cut off once)".to_owned(),
        cuts => format!(" (cut off {cuts} times)"),
    }
}

/// Signs an entry about the file and files it, unless the same was said already.
async fn say(
    session: &Session,
    caches: &Caches,
    source: &Source,
    (number, expires_days): (usize, Option<i64>),
    (saying, signing): (&Saying, &SigningFile),
) -> Result<Said, CacheCommandError> {
    let now = session.clock.now();
    let own = Own::under(caches, &saying.key, signing).await?;
    if let Some(before) = own.that_says(source, saying, expires_days.is_none()) {
        return Ok(Said { entry: before.clone(), is_new: false });
    }
    let claims = Claims {
        key: saying.key.clone(),
        size: source.bytes,
        created: now,
        expires: expires_days.map(|days| now + Span::days(days)),
        sequence: own.next_sequence(session.clock.now_milliseconds(), number),
        revokes: Vec::new(),
    };
    let new = New {
        sha512: source.digest,
        metadata: saying.metadata.clone(),
        attestation: Some((&claims, &signing.attester)),
    };
    let entry = new.sign(Some(&signing.outer))?;
    caches.entries.put(&saying.key, &entry).await?;
    Ok(Said { entry, is_new: true })
}

/// What was said of a file.
struct Said {
    entry: Entry,
    is_new: bool,
}

/// What a signer attested under a key before.
pub(crate) struct Own {
    pub(crate) entries: Vec<(Entry, Attestation)>,
}

impl Own {
    pub(crate) async fn under(
        caches: &Caches,
        key: &str,
        signing: &SigningFile,
    ) -> Result<Self, CacheCommandError> {
        let list = match caches.entries.get(key).await {
            Ok(list) => list,
            Err(error) if error.is_absent() => Default::default(),
            Err(error) => return Err(error.into()),
        };
        let id = SignerId::of(signing.attester.public());
        let is_own = |entry: Entry| {
            let attestation = Attestation::read(entry.statement()).ok()??;
            let is_own = attestation.signer == id
                && attestation.claims.key == key
                && attestation.verify(entry.statement(), signing.attester.public()).is_ok();
            is_own.then_some((entry, attestation))
        };
        Ok(Self { entries: list.entries.into_iter().filter_map(is_own).collect() })
    }

    /// The texts that were withdrawn.
    pub(crate) fn withdrawn(&self) -> Vec<Sha512> {
        self.entries.iter().flat_map(|(_, attestation)| attestation.claims.revokes.clone()).collect()
    }

    /// Higher than all that this signer signed under the key, and most likely than all that it ever signed: microseconds
    /// since 1970, and for entries that are made in one run their numbers.
    pub(crate) fn next_sequence(&self, now_milliseconds: i64, number: usize) -> u64 {
        let of_time = u64::try_from(now_milliseconds).unwrap_or(0).saturating_mul(1000) + number as u64;
        let highest =
            self.entries.iter().map(|(_, attestation)| attestation.claims.sequence).max().unwrap_or(0);
        of_time.max(highest + 1)
    }

    /// An entry that says the same and counts for ever.
    fn that_says(&self, source: &Source, saying: &Saying, for_ever: bool) -> Option<&Entry> {
        let withdrawn = self.withdrawn();
        let says = |entry: &Entry, attestation: &Attestation| {
            let said: Vec<_> = entry
                .statement()
                .members()
                .iter()
                .filter(|(name, _)| RESERVED.iter().all(|other| **name != **other))
                .collect();
            entry.statement().sha512() == source.digest
                && attestation.claims.expires.is_none()
                && said.len() == saying.metadata.len()
                && said.iter().all(|(name, value)| {
                    let same = name.as_str().and_then(|name| saying.metadata.get(name));
                    same.is_some_and(|same| entry::compare::equal(same, value))
                })
                && !withdrawn.contains(&entry.text_digest())
        };
        self.entries
            .iter()
            .filter(|_| for_ever)
            .find(|(entry, attestation)| says(entry, attestation))
            .map(|(entry, _)| entry)
    }
}
