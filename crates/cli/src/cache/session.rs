//! One run of a command about the cache: whom it asks, whom it believes, what it remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Clock, Entropy, Explain as _, Kind, Sha512, report};
use clap::Args;
use client::networkcache::{Access, Artifacts, CacheError, Entries, Patience, ServiceUrl};
use entry::{Circumstances, Entry, Filter, Judgement, Object, Platform, Trust, Verdict, judge, keys};
use futures_util::{StreamExt as _, stream};

use super::error::CacheCommandError;
use super::progress::Meter;
use super::seen::Seen;
use crate::connection::{Asked, ConnectionError, own_file};
use crate::input::Input;
use crate::output;
use crate::session::Options;
use crate::table::one_line;
use crate::view;

/// The name of the file that says whom to believe, in the folder of the user's own settings.
const TRUST: &str = "cache-trust.toml";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What is filed under this key.
    Key(String),
    /// The file that was fetched from this URL.
    Url(String),
}

impl Wanted {
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Url(url) => keys::file(url),
        }
    }

    /// As it was said.
    pub(crate) fn said(&self) -> &str {
        match self {
            Self::Key(text) | Self::Url(text) => text,
        }
    }

    fn url(&self) -> Option<&str> {
        match self {
            Self::Key(_) => None,
            Self::Url(url) => Some(url),
        }
    }
}

/// What is asked for, at the command.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// A key, as `pypi:pytz=2016.10`; several may be given
    #[arg(value_name = "KEY", required_unless_present = "urls")]
    keys: Vec<String>,
    /// The URL of a file, in place of its key; repeatable
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
}

impl Names {
    pub(crate) fn all(self) -> Vec<Wanted> {
        self.keys.into_iter().map(Wanted::Key).chain(self.urls.into_iter().map(Wanted::Url)).collect()
    }
}

/// Whom to believe, at the command.
#[derive(Debug, Args)]
pub(crate) struct Believing {
    /// Who is believed: a file of roots of trust [default: ~/.config/provost/cache-trust.toml]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Entries with this; as `os=="debian"`, with == < <= > >=, or << and >> for the lowest and the highest; repeatable
    #[arg(long = "where", value_name = "FILTER")]
    filters: Vec<String>,
    /// Releases for other machines as well
    #[arg(long)]
    any_platform: bool,
    /// Only releases that lie under this folder, which is compiled into them
    #[arg(long, value_name = "DIR")]
    software_root: Option<String>,
}

impl Believing {
    /// The same, for whatever machine.
    pub(crate) fn of_any_platform(mut self) -> Self {
        self.any_platform = true;
        self
    }

    /// The same, for releases that lie under `root`, unless another one was said.
    pub(crate) fn under(mut self, root: &Path) -> Self {
        self.software_root.get_or_insert_with(|| root.display().to_string());
        self
    }

    /// What it says. `or_nobody`: without a file, nobody is believed.
    pub(crate) fn read(self, or_nobody: bool) -> Result<Believed, CacheCommandError> {
        let filter = Filter::parse(self.filters.iter().map(String::as_str))?;
        let path = self.trust.clone().or_else(|| own_file(TRUST).filter(|path| path.exists()));
        let trust = match path {
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| CacheCommandError::Unreadable { path: path.clone(), source })?;
                Trust::parse(&text).map_err(|source| CacheCommandError::Trust { path, source })?
            }
            None if or_nobody => Trust::default(),
            None => return Err(CacheCommandError::NoTrust),
        };
        let machines = match (self.any_platform, this_machine()) {
            (true, _) => Machines::All,
            (false, Some(platform)) => Machines::This(platform),
            (false, None) => Machines::Unknown,
        };
        Ok(Believed { trust, filter, machines, software_root: self.software_root })
    }
}

/// This machine, if it says what it is (os-release(5)).
pub(crate) fn this_machine() -> Option<Platform> {
    let text =
        ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| std::fs::read_to_string(path).ok());
    Platform::native(&text?)
}

/// For which machines releases are wanted.
#[derive(Debug)]
enum Machines {
    All,
    This(Platform),
    /// For this one, and nobody knows what it is: no release fits.
    Unknown,
}

/// Whom to believe, and what is wanted of what they say.
#[derive(Debug)]
pub(crate) struct Believed {
    pub(crate) trust: Trust,
    filter: Filter,
    machines: Machines,
    software_root: Option<String>,
}

/// What is under a key.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) wanted: Wanted,
    pub(crate) key: String,
    pub(crate) entries: Vec<Entry>,
    /// How many were passed over, for they are malformed.
    pub(crate) malformed: usize,
    pub(crate) judgement: Judgement,
}

impl Found {
    /// The entries that count and are wanted, the best first, each by its place among all.
    pub(crate) fn chosen(&self, believed: &Believed) -> Result<Vec<usize>, CacheCommandError> {
        let members = |at: &usize| -> &Object { self.entries[*at].statement().members() };
        let mut warn = |warning: &str| output::note(one_line(&format!("warning: {warning}")));
        let chosen: Vec<usize> =
            believed.filter.apply(&self.judgement.chosen, members, &mut warn).into_iter().copied().collect();
        let key = || self.key.clone();
        match self.judgement.verdicts.first() {
            _ if !chosen.is_empty() => Ok(chosen),
            Some(Verdict { refused: Some(reason), .. }) if self.judgement.chosen.is_empty() => {
                Err(CacheCommandError::NoneCounts { key: key(), reason: reason.clone() })
            }
            _ => Err(CacheCommandError::Nothing { key: key() }),
        }
    }
}

/// One run of a command.
pub(crate) struct Session {
    pub(crate) options: Options,
    /// Where this machine's server keeps its data when the command does not say.
    pub(crate) data: Option<PathBuf>,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    /// What its transfers have done.
    pub(crate) meter: Meter,
    /// Whether it was said that nothing is remembered.
    pub(crate) has_forgotten: AtomicBool,
}

/// The two services of one server.
#[derive(Debug)]
pub(crate) struct Caches {
    pub(crate) artifacts: Artifacts,
    pub(crate) entries: Entries,
}

impl Session {
    /// The server that is asked: of several the first that answers.
    pub(crate) async fn caches(&self) -> Result<Caches, CacheCommandError> {
        self.caches_within(Patience::LONG).await
    }

    /// The same, with another patience.
    pub(crate) async fn caches_within(&self, patience: Patience) -> Result<Caches, CacheCommandError> {
        let connection = &self.options.connection;
        let file = connection.file(self.data.as_deref())?;
        let Asked { endpoints, trust, credentials, nearby } =
            connection.asked(&file, &mut Input::new()).await?;
        let access = Access { trust, certificate: credentials.certificate, nearby };
        let service = |endpoint, path| ServiceUrl::of(endpoint, path, credentials.authorization.clone());
        let mut left = endpoints.iter().peekable();
        loop {
            let endpoint = left.next().expect("a connection names a server");
            let caches = Caches {
                artifacts: Artifacts::with(service(endpoint, "/shacache"), &access, patience)
                    .map_err(ConnectionError::from)?,
                entries: Entries::with(service(endpoint, "/shadir"), &access, patience)
                    .map_err(ConnectionError::from)?,
            };
            let Some(next) = left.peek() else { return Ok(caches) };
            match caches.artifacts.is_there(Sha512::of(b"")).await {
                Ok(_) => return Ok(caches),
                Err(error) => {
                    output::note(format_args!("note: {}; asking {next}", one_line(&report(&error))))
                }
            }
        }
    }

    /// What is under the key of `wanted`, judged. What was seen of signers is remembered.
    pub(crate) async fn look(
        &self,
        caches: &Caches,
        believed: &Believed,
        wanted: Wanted,
    ) -> Result<Found, CacheCommandError> {
        let key = wanted.key();
        if matches!(believed.machines, Machines::Unknown) && keys::is_release(&key) {
            return Err(CacheCommandError::NoPlatform);
        }
        let seen = Seen::of_user();
        let before = seen.under(&key)?;
        let list = match caches.entries.get(&key).await {
            Ok(list) => list,
            Err(error) if error.is_absent() => return Err(CacheCommandError::Absent { key }),
            Err(error) => return Err(error.into()),
        };
        let malformed = list.skipped.len();
        let judgement = self.judge(&wanted, &list.entries, believed, &before, &BTreeSet::new());
        let trouble = match seen.remember(&key, &judgement.seen) {
            Err(error) => Some(error.to_string()),
            Ok(()) => seen.is_nowhere().then(|| "this user has no home".to_owned()),
        };
        if let Some(trouble) = trouble
            && !self.has_forgotten.swap(true, Ordering::Relaxed)
        {
            self.note(&format!(
                "warning: what is seen of signers is not remembered, so nobody notices what a server keeps back: {trouble}"
            ));
        }
        Ok(Found { wanted, key, entries: list.entries, malformed, judgement })
    }

    /// The same judgement again, now that it is known which objects are not there.
    pub(crate) fn judge_again(
        &self,
        found: &mut Found,
        believed: &Believed,
        absent: &BTreeSet<Sha512>,
    ) -> Result<(), CacheCommandError> {
        // What was remembered meanwhile is no higher than what is shown.
        let before = Seen::of_user().under(&found.key)?;
        found.judgement = self.judge(&found.wanted, &found.entries, believed, &before, absent);
        Ok(())
    }

    fn judge(
        &self,
        wanted: &Wanted,
        entries: &[Entry],
        believed: &Believed,
        seen: &BTreeMap<entry::SignerId, u64>,
        absent: &BTreeSet<Sha512>,
    ) -> Judgement {
        let key = wanted.key();
        let platform = match &believed.machines {
            Machines::This(platform) if keys::is_release(&key) => Some(platform),
            _ => None,
        };
        let circumstances = Circumstances {
            key: &key,
            url: wanted.url(),
            now: self.clock.now(),
            seen,
            platform: platform.map(|platform| (platform, believed.software_root.as_deref())),
            is_there: &|digest| !absent.contains(digest),
        };
        judge(entries, &believed.trust, &circumstances)
    }

    /// Says something to people.
    pub(crate) fn note(&self, line: &str) {
        self.meter.clear();
        output::note(one_line(line));
    }

    /// Prints a document, or a line for people.
    pub(crate) fn tell(&self, document: &serde_json::Value, line: &str) -> Result<(), CacheCommandError> {
        let text = if self.options.json { view::json(document) } else { line.to_owned() };
        self.meter.clear();
        output::data(&(text + "\n")).map_err(CacheCommandError::Output)
    }
}

/// Which of these objects the server does not have.
pub(crate) async fn absent(
    caches: &Caches,
    digests: BTreeSet<Sha512>,
    jobs: usize,
) -> Result<BTreeSet<Sha512>, CacheError> {
    let ask = |digest| async move { Ok::<_, CacheError>((digest, caches.artifacts.is_there(digest).await?)) };
    let answers: Vec<_> = stream::iter(digests).map(ask).buffer_unordered(jobs).collect().await;
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(answers.into_iter().filter(|(_, is_there)| !is_there).map(|(digest, _)| digest).collect())
}

/// Does `work` with each of `things`, `jobs` at a time. What fails is said at once, and the others go on; of a single
/// thing the error is given back as it is.
pub(crate) async fn each<T>(
    session: &Session,
    things: Vec<T>,
    jobs: usize,
    work: impl AsyncFn(&T) -> Result<(), CacheCommandError>,
    name: impl Fn(&T) -> String,
) -> Result<(), CacheCommandError> {
    let of = things.len();
    let work = &work;
    let done = stream::iter(things).map(|thing| async move {
        let result = work(&thing).await;
        (thing, result)
    });
    let mut done = std::pin::pin!(done.buffer_unordered(jobs));
    let (mut failed, mut first) = (0, None::<Kind>);
    while let Some((thing, result)) = done.next().await {
        let Err(error) = result else { continue };
        if of == 1 {
            return Err(error);
        }
        session.meter.clear();
        let (what, hint) = super::told(&error);
        output::error(format_args!("{}: {what}", one_line(&name(&thing))), hint);
        failed += 1;
        first.get_or_insert(error.kind());
    }
    match first {
        None => Ok(()),
        Some(kind) => Err(CacheCommandError::Some { failed, of, kind }),
    }
}

/// How many things are done at a time, at the command.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// How many files are on their way at a time
    #[arg(short, long = "jobs", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
}

impl Jobs {
    pub(crate) fn number(&self) -> usize {
        self.jobs.into()
    }
}
