//! `provost cache fetch`: downloads for builds (networkcache contract, section 11). Look in the cache, hold what comes
//! against its digest, else go to where it comes from, then upload it for the next one. The cache makes no build fail.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Sha512, hex, report};
use clap::Args;
use client::networkcache::{Patience, Source};
use client::origin;
use entry::{Object, Value, keys};
use md5::{Digest as _, Md5};
use serde_json::json;

use super::error::CacheCommandError;
use super::get::{self, Placing};
use super::place::{Place, rename_new};
use super::put::{self, Saying};
use super::session::{Believed, Believing, Caches, Jobs, Session, Wanted, each};
use super::signing_file::{self, SigningFile};
use crate::durable::sync_folder_of;
use crate::output;
use crate::table::one_line;

/// So that two files of one name do not meet.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What is fetched, and where to.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Each URL is looked for in the cache first, among what those whom you believe tell of; then it is fetched \
    from where it comes from, and uploaded under its URL, so that the next build finds it. Whatever goes wrong with the \
    cache is said, and no reason to fail. What has a password in its URL is fetched past the cache, and never uploaded. \
    `#md5=HEX` or `#sha512=HEX` behind a URL says what must come; it is not sent.\n\n\
    What is uploaded stays what it is for everybody: do not fetch what changes under its URL."
)]
pub(crate) struct Fetch {
    /// Where the files come from
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// What to call the file; for one only
    #[arg(long, value_name = "FILE", conflicts_with = "into")]
    out: Option<PathBuf>,
    /// The folder for the files [default: this one]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Replace other files of these names
    #[arg(long)]
    force: bool,
    /// Upload nothing
    #[arg(long)]
    no_upload: bool,
    /// What signs [default: ~/.config/provost/cache-sign-key.pem; without it, nothing is uploaded]
    #[arg(long, value_name = "FILE", conflicts_with = "no_upload")]
    sign_key: Option<PathBuf>,
    /// How long the cache may take to give or take a file before it is passed over
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    cache_seconds: u32,
    #[command(flatten)]
    believing: Believing,
    #[command(flatten)]
    jobs: Jobs,
}

/// A URL, and what must come from it.
struct Asked {
    /// Without what stands behind `#`.
    url: String,
    expected: Vec<(&'static str, String)>,
}

/// What the cache can be used for.
struct Cache {
    caches: Caches,
    believed: Option<Believed>,
    signing: Option<SigningFile>,
    /// For one file in one direction.
    within: Duration,
}

impl Cache {
    /// Does `work`, and is done with it when it takes too long.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, CacheCommandError>>,
    ) -> Result<T, CacheCommandError> {
        let late = CacheCommandError::Late { seconds: self.within.as_secs() };
        tokio::time::timeout(self.within, work).await.unwrap_or(Err(late))
    }
}

impl Fetch {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        if self.out.is_some() && self.urls.len() > 1 {
            return Err(CacheCommandError::Usage("--out is for one file; --into DIR is for several"));
        }
        // The default one need not be there.
        let named = self.sign_key.as_deref();
        let has_key = named.is_some() || signing_file::default_path().is_some_and(|path| path.exists());
        let signing = match has_key && !self.no_upload {
            true => SigningFile::read(named).map_err(|error| note_of_cache(&error.into())).ok(),
            false => None,
        };
        let within = Duration::from_secs(self.cache_seconds.into());
        let believed = match self.believing.read(true) {
            Ok(believed) if believed.trust.policies.is_empty() => {
                output::note("note: nothing says whom to believe, so nothing is taken from the cache");
                None
            }
            Ok(believed) => Some(believed),
            Err(error) => {
                note_of_cache(&error);
                None
            }
        };
        let cache = match session.caches_within(Patience::SHORT).await {
            Ok(caches) => Some(Cache { caches, believed, signing, within }),
            Err(error) => {
                note_of_cache(&error);
                None
            }
        };
        let asked = self.urls.iter().map(|url| Asked::parse(url)).collect::<Result<Vec<_>, _>>()?;
        session.meter.begin(asked.len());
        let work = async |asked: &Asked| {
            let path = match &self.out {
                Some(path) => path.clone(),
                None => self.into.as_deref().unwrap_or(Path::new("")).join(asked.name()),
            };
            fetch(session, cache.as_ref(), asked, &path, self.force).await
        };
        session.meter.painted(each(session, asked, self.jobs.number(), work, |asked| asked.url.clone())).await
    }
}

async fn fetch(
    session: &Session,
    cache: Option<&Cache>,
    asked: &Asked,
    path: &Path,
    force: bool,
) -> Result<(), CacheCommandError> {
    if path.symlink_metadata().is_ok() && !force {
        // A build that is repeated has it already, if it is the right one.
        let is_right = !asked.expected.is_empty() && asked.check(&digests(path).await?).is_ok();
        if !is_right {
            return Err(CacheCommandError::Exists(path.to_owned()));
        }
        return tell(session, asked, path, "was there already").await;
    }
    let cache = cache.filter(|_| !asked.has_credentials());
    if asked.has_credentials() {
        session.note(&format!(
            "note: {} is fetched past the cache: what a password opens is not for everybody",
            path.display()
        ));
    }
    // Under another name until it is known to be what was asked for.
    let directory = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    // A name of its own, also where two of one name come at once: what is checked is what is kept and signed.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let part = Part(directory.join(format!(".{name}.{}-{number}.fetched", std::process::id())));
    if let Some(believed) = cache.and_then(|cache| cache.believed.as_ref())
        && let Some(cache) = cache
    {
        match cache.within(from_cache(session, &cache.caches, believed, asked, &part.0)).await {
            Ok(()) => {
                part.keep(path, force)?;
                return tell(session, asked, path, "was fetched from the cache").await;
            }
            Err(error) => note_of_cache(&error),
        }
    }
    from_origin(asked, &part.0).await?;
    if let Some((cache, signing)) = cache.and_then(|cache| Some((cache, cache.signing.as_ref()?))) {
        let mut metadata = Object::new();
        metadata.insert("url", Value::text(&asked.url));
        let saying = Saying { key: keys::file(&asked.url), metadata };
        let sharing = put::share(session, &cache.caches, &part.0, (&saying, signing));
        if let Err(error) = cache.within(sharing).await {
            note_of_cache(&error);
        }
    }
    part.keep(path, force)?;
    tell(session, asked, path, "was fetched from where it comes from").await
}

/// The file at `part`, from the cache.
async fn from_cache(
    session: &Session,
    caches: &Caches,
    believed: &Believed,
    asked: &Asked,
    part: &Path,
) -> Result<(), CacheCommandError> {
    let placing = Placing { out: Some(part), into: Path::new(""), force: true };
    get::obtain(session, caches, believed, &placing, &Wanted::Url(asked.url.clone())).await?;
    asked.check(&digests(part).await?)
}

/// The file at `part`, from where it comes from.
async fn from_origin(asked: &Asked, part: &Path) -> Result<(), CacheCommandError> {
    let unwritable = |source| CacheCommandError::Unwritable { path: part.to_owned(), source };
    let mut out = Writing(Place::beside(part).map_err(unwritable)?);
    origin::fetch(&asked.url, &mut out).await?;
    out.0.keep().map_err(unwritable)?;
    asked.check(&digests(part).await?)
}

/// What goes wrong with the cache is said, and no more.
fn note_of_cache(error: &CacheCommandError) {
    output::note(one_line(&format!("note: the cache is passed over: {}", report(error))));
}

async fn tell(session: &Session, asked: &Asked, path: &Path, what: &str) -> Result<(), CacheCommandError> {
    let source = Source::of(path).await?;
    session.meter.done();
    session.tell(
        &json!({
            "url": asked.url, "file": path.display().to_string(), "sha512": source.digest.to_string(),
            "bytes": source.bytes, "how": what,
        }),
        &format!("{}  {}", source.digest, one_line(&path.display().to_string())),
    )?;
    session.note(&format!("{} {what}", path.display()));
    Ok(())
}

/// A file's digests.
struct Digests {
    md5: String,
    sha512: Sha512,
}

async fn digests(path: &Path) -> Result<Digests, CacheCommandError> {
    let unreadable = |source| CacheCommandError::Unreadable { path: path.to_owned(), source };
    let mut md5 = Tee(Md5::new());
    io::copy(&mut std::fs::File::open(path).map_err(unreadable)?, &mut md5).map_err(unreadable)?;
    let sha512 = Source::of(path).await?.digest;
    Ok(Digests { md5: hex::encode(&md5.0.finalize()), sha512 })
}

struct Tee(Md5);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writing(Place);

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is gone when this is, unless it was kept.
struct Part(PathBuf);

impl Part {
    fn keep(&self, path: &Path, force: bool) -> Result<(), CacheCommandError> {
        let unwritable = |source| CacheCommandError::Unwritable { path: path.to_owned(), source };
        let kept = if force { std::fs::rename(&self.0, path) } else { rename_new(&self.0, path) };
        kept.and_then(|()| sync_folder_of(path)).map_err(unwritable)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // What was kept has another name by now.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Asked {
    /// `URL`, `URL#md5=HEX` or `URL#sha512=HEX`; several are separated by `&`.
    fn parse(text: &str) -> Result<Self, CacheCommandError> {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let unknown = ["sha1=", "sha224=", "sha256=", "sha384="];
        if fragment.split('&').any(|pair| unknown.iter().any(|name| pair.starts_with(name))) {
            return Err(CacheCommandError::Usage("what must come is said with #md5=HEX or #sha512=HEX"));
        }
        let expected = fragment.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = ["md5", "sha512"].into_iter().find(|known| *known == name)?;
            Some((name, value.to_ascii_lowercase()))
        });
        Ok(Self { url: url.to_owned(), expected: expected.collect() })
    }

    /// Whether somebody's name or password stands in the URL.
    fn has_credentials(&self) -> bool {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?']).next().is_some_and(|authority| authority.contains('@'))
    }

    fn name(&self) -> String {
        get::name(&Wanted::Url(self.url.clone()), None, Sha512::of(self.url.as_bytes()))
    }

    fn check(&self, digests: &Digests) -> Result<(), CacheCommandError> {
        for (what, expected) in &self.expected {
            let found = match *what {
                "md5" => digests.md5.clone(),
                _ => digests.sha512.to_string(),
            };
            if found != *expected {
                let (url, expected) = (self.url.clone(), expected.clone());
                return Err(CacheCommandError::Checksum { url, what, found, expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_password_opens_is_told_apart() {
        for (url, expected) in [
            ("https://user:secret@h/a", true),
            ("https://token@h", true),
            ("https://h/a@b", false),
            ("https://h?a@b", false),
            ("file:///a@b", false),
            ("a@b", false),
        ] {
            assert_eq!(Asked::parse(url).unwrap().has_credentials(), expected, "{url}");
        }
    }

    #[test]
    fn what_must_come_stands_behind_the_url() {
        for (text, url, expected) in [
            ("http://h/a", "http://h/a", &[][..]),
            ("http://h/a#", "http://h/a", &[]),
            ("http://h/a#md5=ABCD", "http://h/a", &[("md5", "abcd")]),
            ("http://h/a#egg=x&md5=1&sha512=2", "http://h/a", &[("md5", "1"), ("sha512", "2")]),
            ("http://h/a?b#part", "http://h/a?b", &[]),
        ] {
            let asked = Asked::parse(text).unwrap();
            let found: Vec<_> = asked.expected.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!((asked.url.as_str(), &found[..]), (url, expected), "{text}");
        }
        let digests = Digests { md5: "abcd".into(), sha512: Sha512::of(b"") };
        assert!(Asked::parse("http://h/a#md5=ABCD").unwrap().check(&digests).is_ok());
        assert!(Asked::parse("http://h/a#md5=ABCE").unwrap().check(&digests).is_err());
        assert!(Asked::parse("http://h/a#sha256=00").is_err());
        assert!(Asked::parse("http://h/a#sha512=00").unwrap().check(&digests).is_err());
    }
}
