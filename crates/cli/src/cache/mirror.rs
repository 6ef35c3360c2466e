//! `provost cache mirror`: copies entries and the artifacts that they name from one cache to another, as they are.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base::Sha512;
use clap::Args;
use client::networkcache::{Access, Artifacts, Entries, Sent, ServiceUrl};
use entry::{Attestation, Entry, Reason};
use serde_json::json;

use super::error::CacheCommandError;
use super::progress::shown;
use super::put::of_cuts;
use super::session::{Believed, Believing, Caches, Jobs, Session, Wanted, each};
use crate::connection::ConnectionError;
use crate::table::one_line;

/// What is copied, and from where to where.
#[derive(Debug, Args)]
#[command(
    after_long_help = "FROM and TO are each the URL of a server like this one, as https://cache.example:8001; or the two URLs of \
    another one, of artifacts and of entries, with a comma between them; or `-` for the server of the client file. Whoever \
    needs a password says it in the URL, as https://user:password@host.\n\n\
    Copied is what those whom you believe tell of, and what they withdrew; entries keep their text and their signature. What is \
    there already is not sent again, and each artifact is held against its digest on the way. What goes wrong with one key \
    keeps no other from being copied."
)]
pub(crate) struct Mirror {
    /// Where they come from
    #[arg(value_name = "FROM")]
    from: Side,
    /// Where they go
    #[arg(value_name = "TO")]
    to: Side,
    /// The keys whose entries are copied
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// A file with more of them, one in each line; `-` is standard input
    #[arg(long = "keys", value_name = "FILE")]
    listed: Option<PathBuf>,
    /// All keys of FROM, if that is a server like this one and you may list it
    #[arg(long, conflicts_with = "matching")]
    all: bool,
    /// Those of FROM that this fits: `*` stands for any characters, `?` for one
    #[arg(long = "match", value_name = "PATTERN")]
    matching: Option<String>,
    /// Also what nobody signed whom you believe
    #[arg(long, conflicts_with_all = ["trust", "filters"])]
    untrusted: bool,
    /// Only tell what would be copied
    #[arg(long)]
    dry_run: bool,
    /// The authorities that vouch for FROM
    #[arg(long, value_name = "FILE")]
    from_ca: Option<PathBuf>,
    /// Who asks FROM: a certificate and its key
    #[arg(long, value_name = "FILE")]
    from_certificate: Option<PathBuf>,
    /// The authorities that vouch for TO
    #[arg(long, value_name = "FILE")]
    to_ca: Option<PathBuf>,
    /// Who writes to TO: a certificate and its key
    #[arg(long, value_name = "FILE")]
    to_certificate: Option<PathBuf>,
    #[command(flatten)]
    believing: Believing,
    #[command(flatten)]
    jobs: Jobs,
}

/// A cache, as it is said at the command.
#[derive(Debug, Clone)]
enum Side {
    /// That of the client file.
    Own,
    /// These two services.
    Services(ServiceUrl, ServiceUrl),
}

impl FromStr for Side {
    type Err = client::networkcache::BadServiceUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" {
            return Ok(Self::Own);
        }
        match text.split_once(',') {
            Some((artifacts, entries)) => Ok(Self::Services(artifacts.parse()?, entries.parse()?)),
            None => {
                let under = |path| format!("{}/{path}", text.trim_end_matches('/')).parse();
                Ok(Self::Services(under("shacache")?, under("shadir")?))
            }
        }
    }
}

impl Side {
    async fn open(
        &self,
        session: &Session,
        ca: Option<&Path>,
        certificate: Option<&Path>,
    ) -> Result<Caches, CacheCommandError> {
        let Self::Services(artifacts, entries) = self else {
            if ca.is_some() || certificate.is_some() {
                let what = "the server of the client file is asked as that file says: what is said of it has no place here";
                return Err(CacheCommandError::Usage(what));
            }
            return session.caches().await;
        };
        let access = Access::from_files(ca, certificate, certificate)?;
        Ok(Caches {
            artifacts: Artifacts::new(artifacts.clone(), &access).map_err(ConnectionError::from)?,
            entries: Entries::new(entries.clone(), &access).map_err(ConnectionError::from)?,
        })
    }
}

/// What was done for a key.
#[derive(Debug, Default)]
struct Copied {
    entries: usize,
    entries_there: usize,
    artifacts: usize,
    artifacts_there: usize,
    bytes: u64,
    cuts: u64,
}

/// All that the work on a key needs.
struct Mirroring<'a> {
    session: &'a Session,
    from: Caches,
    to: Caches,
    /// `None`: everybody is.
    believed: Option<Believed>,
    is_dry: bool,
    /// Whoever copies an artifact waits here for others that copy the same one.
    turns: [tokio::sync::Mutex<()>; 64],
}

impl Mirror {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        let mut keys = self.keys;
        if let Some(path) = &self.listed {
            keys.extend(read_keys(path)?);
        }
        let pattern = if self.all { Some("*".to_owned()) } else { self.matching };
        if keys.is_empty() && pattern.is_none() && self.listed.is_none() {
            return Err(CacheCommandError::Usage(
                "no key is named: name some, or say --all or --match PATTERN",
            ));
        }
        let believed = match self.untrusted {
            true => None,
            false => Some(self.believing.of_any_platform().read(false)?),
        };
        let from = self.from.open(session, self.from_ca.as_deref(), self.from_certificate.as_deref()).await?;
        let to = self.to.open(session, self.to_ca.as_deref(), self.to_certificate.as_deref()).await?;
        if let Some(pattern) = &pattern {
            let found = from.entries.keys(pattern).await?;
            let (odd, fair): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|key| key.split('/').any(|part| matches!(part, "." | "..")));
            if !odd.is_empty() {
                session.note(&format!(
                    "note: {} keys are left out, as no URL can carry them: `.` or `..` is a part of each",
                    odd.len()
                ));
            }
            keys.extend(fair);
        }
        let mut known = BTreeSet::new();
        keys.retain(|key| known.insert(key.clone()));
        if keys.is_empty() {
            session.note("there are no such keys");
        }
        session.meter.begin(keys.len());
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::new(()));
        let mirroring = Mirroring { session, from, to, believed, is_dry: self.dry_run, turns };
        let work = async |key: &String| mirroring.copy(key).await;
        session.meter.painted(each(session, keys, self.jobs.number(), work, String::clone)).await
    }
}

/// The keys in a file, one in each line.
fn read_keys(path: &Path) -> Result<Vec<String>, CacheCommandError> {
    let unreadable = |source| CacheCommandError::Unreadable { path: path.to_owned(), source };
    let text = match path.to_str() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
            text
        }
        _ => std::fs::read_to_string(path).map_err(unreadable)?,
    };
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Whether the entry says what does not count any more, and is about no bytes.
fn is_withdrawal(entry: &Entry) -> bool {
    matches!(Attestation::read(entry.statement()), Ok(Some(attestation)) if attestation.is_withdrawal())
}

impl Mirroring<'_> {
    async fn copy(&self, key: &str) -> Result<(), CacheCommandError> {
        let wanted = self.wanted(key).await?;
        let there = match self.to.entries.get(key).await {
            Ok(list) => list.entries,
            Err(error) if error.is_absent() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let is_there = |entry: &Entry| {
            there.iter().any(|other| (other.text(), other.signature()) == (entry.text(), entry.signature()))
        };
        let mut copied = Copied::default();
        let (mut seen, mut gone, mut absent) = (BTreeSet::new(), BTreeSet::new(), None);
        for (entry, bytes_max) in &wanted {
            let digest = entry.statement().sha512();
            // What is told of is there before it is told.
            if !is_withdrawal(entry) && seen.insert(digest) {
                match self.copy_artifact(digest, *bytes_max, &mut copied).await {
                    Err(CacheCommandError::Cache(error)) if error.is_absent() => {
                        gone.insert(digest);
                        absent.get_or_insert(error);
                    }
                    copied => copied?,
                }
            }
            if gone.contains(&digest) {
                continue;
            }
            if is_there(entry) {
                copied.entries_there += 1;
                continue;
            }
            if !self.is_dry {
                self.to.entries.put(key, entry).await?;
            }
            copied.entries += 1;
        }
        self.session.meter.done();
        self.tell(key, &copied)?;
        // What else there is was copied all the same.
        absent.map_or(Ok(()), |error| Err(error.into()))
    }

    /// What is to be there, in the order in which it is here, each with how long its artifact may be.
    async fn wanted(&self, key: &str) -> Result<Vec<(Entry, Option<u64>)>, CacheCommandError> {
        let Some(believed) = &self.believed else {
            return match self.from.entries.get(key).await {
                Ok(list) => Ok(list.entries.into_iter().map(|entry| (entry, None)).collect()),
                Err(error) if error.is_absent() => Err(CacheCommandError::Absent { key: key.to_owned() }),
                Err(error) => Err(error.into()),
            };
        };
        let found = self.session.look(&self.from, believed, Wanted::Key(key.to_owned())).await?;
        let withdrawals = found.judgement.verdicts.iter().enumerate().filter(|(_, verdict)| {
            verdict.believed.is_some() && matches!(verdict.refused, Some(Reason::IsWithdrawal))
        });
        let mut chosen: BTreeSet<usize> = withdrawals.map(|(at, _)| at).collect();
        match found.chosen(believed) {
            Ok(counting) => chosen.extend(counting),
            // That something was withdrawn is worth knowing there as well.
            Err(error) if chosen.is_empty() => return Err(error),
            Err(_) => {}
        }
        let entry = |at: usize| (found.entries[at].clone(), found.judgement.verdicts[at].size);
        Ok(chosen.into_iter().map(entry).collect())
    }

    async fn copy_artifact(
        &self,
        digest: Sha512,
        bytes_max: Option<u64>,
        copied: &mut Copied,
    ) -> Result<(), CacheCommandError> {
        let _turn = self.turns[usize::from(digest.as_bytes()[0]) % self.turns.len()].lock().await;
        if self.to.artifacts.is_there(digest).await? {
            copied.artifacts_there += 1;
            return Ok(());
        }
        if self.is_dry {
            // Nothing of it is read.
            copied.bytes += self.from.artifacts.get(digest).await?.bytes().or(bytes_max).unwrap_or(0);
            copied.artifacts += 1;
            return Ok(());
        }
        let (meter, sent) = (&self.session.meter, Sent::default());
        meter.expect(bytes_max.unwrap_or(0));
        let relay = self.to.artifacts.relay(&self.from.artifacts, digest, bytes_max, &sent);
        let bytes = meter.sending(&sent, relay).await?;
        meter.moved(bytes);
        if bytes_max.is_none() {
            meter.expect(bytes);
        }
        copied.artifacts += 1;
        copied.bytes += bytes;
        copied.cuts += sent.cuts();
        Ok(())
    }

    fn tell(&self, key: &str, copied: &Copied) -> Result<(), CacheCommandError> {
        let Copied { entries, entries_there, artifacts, artifacts_there, bytes, cuts } = copied;
        self.session.tell(
            &json!({
                "key": key, "entries": entries, "entries_there": entries_there, "artifacts": artifacts,
                "artifacts_there": artifacts_there, "bytes": bytes, "cuts": cuts, "is_dry": self.is_dry,
            }),
            &one_line(key),
        )?;
        let verb = if self.is_dry { "would be copied" } else { "copied" };
        self.session.note(&format!(
            "{key}: {verb}: {entries} entries, {artifacts} artifacts, {}{}; there already: {entries_there} entries, \
             {artifacts_there} artifacts",
            shown(*bytes),
            of_cuts(*cuts)
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_said_in_one_url_or_in_two() {
        for (text, expected) in [
            ("-", Some(None)),
            ("http://a:8000", Some(Some(("http://a:8000/shacache", "http://a:8000/shadir")))),
            ("https://u:p@a/x/", Some(Some(("https://a/x/shacache", "https://a/x/shadir")))),
            ("http://a/,http://b/dir", Some(Some(("http://a", "http://b/dir")))),
            ("a", None),
            ("http://a,b", None),
        ] {
            let side = text.parse::<Side>().ok().map(|side| match side {
                Side::Own => None,
                Side::Services(artifacts, entries) => Some((artifacts.to_string(), entries.to_string())),
            });
            let expected = expected.map(|pair| pair.map(|(a, b)| (a.to_owned(), b.to_owned())));
            assert_eq!(side, expected, "{text}");
        }
    }
}
