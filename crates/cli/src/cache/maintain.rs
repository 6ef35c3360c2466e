//! What is in the cache, and what stays there: asked of the server's `/v1`, as the commands about hosts do.

use std::str::FromStr;
use std::time::{Duration, Instant};

use base::Sha512;
use clap::{Args, Subcommand};
use client::v1::{self, List};
use client::{Request, Segment};
use wire::{Artifact, Collection, EntryKey, NewCollection, NewPin, Pin, Removed, Scrub};

use super::progress::{Line, bar, shown};
use crate::error::CommandError;
use crate::output;
use crate::session::{DryRun, Session};
use crate::shown::Listed;
use crate::table::Table;
use crate::view::{self, Watch};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List what the server has: keys that have entries
    Keys(Keys),
    /// List what the server has: artifacts, whether an entry names them or not
    Artifacts {
        #[command(flatten)]
        watch: Watch,
    },
    /// Keep something, whatever the server's rules say
    Pin(PinIt),
    /// Let the server's rules decide about something again
    Unpin(UnpinIt),
    /// List what is pinned
    Pins {
        #[command(flatten)]
        watch: Watch,
    },
    /// Remove what the server's rules do not keep, now
    #[command(
        after_long_help = "The rules are the server's settings `cache.retention` and `cache.unnamed`; without any, nothing is \
        removed. An artifact goes some time after its last entry (`cache.grace_days`), unless somebody asks for it meanwhile. \
        The server does this by itself every six hours."
    )]
    Gc(Gc),
    /// Read everything again now, and put aside what is damaged
    #[command(
        after_long_help = "The server does this by itself every week, slowly (`cache.scrub_bytes_per_second`); now it is as fast as \
        the disk. What is damaged is put aside, is not there for anybody from then on, and can be uploaded again; what the disk does \
        not give is put aside when the next round finds it so. With Ctrl-C the command ends, and the server goes on. Of several \
        servers with folders of their own, the one that is asked does it.\n\n\
        The exit code is 70 when anything was damaged."
    )]
    Scrub(ScrubIt),
}

/// Which keys are listed.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// Those that this fits: `*` stands for any characters, `?` for one
    #[arg(value_name = "PATTERN", default_value = "*")]
    pattern: String,
    #[command(flatten)]
    watch: Watch,
}

/// What stays.
#[derive(Debug, Args)]
pub(crate) struct PinIt {
    /// A key, whose entries stay and what they name; or the SHA-512 of an artifact
    #[arg(value_name = "KEY|SHA512")]
    what: What,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    dry_run: DryRun,
}

/// What need not stay.
#[derive(Debug, Args)]
pub(crate) struct UnpinIt {
    /// What was pinned
    #[arg(value_name = "KEY|SHA512")]
    what: What,
    #[command(flatten)]
    dry_run: DryRun,
}

/// How what is not kept is removed.
#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Only tell what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Also bytes that the server's database knows nothing of, which a crash leaves; not after it was put back from a backup
    #[arg(long)]
    strays: bool,
}

/// How everything is read again.
#[derive(Debug, Args)]
pub(crate) struct ScrubIt {
    /// Only tell how far it is, or what came of it the last time
    #[arg(long)]
    status: bool,
    /// Do not wait for its end
    #[arg(long, conflicts_with = "status")]
    no_wait: bool,
}

/// A key, or an artifact.
#[derive(Debug, Clone)]
enum What {
    Key(Segment),
    Artifact(Sha512),
}

impl FromStr for What {
    type Err = client::BadSegment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Sha512::parse(text) {
            Some(digest) => Ok(Self::Artifact(digest)),
            None => text.parse().map(Self::Key),
        }
    }
}

impl What {
    fn pin(&self, pin: &NewPin) -> Request {
        match self {
            Self::Key(key) => v1::pin_key(key, pin),
            Self::Artifact(digest) => v1::pin_artifact(*digest, pin),
        }
    }

    fn unpin(&self) -> Request {
        match self {
            Self::Key(key) => v1::unpin_key(key),
            Self::Artifact(digest) => v1::unpin_artifact(*digest),
        }
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{key}"),
            Self::Artifact(digest) => write!(f, "{digest}"),
        }
    }
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::Keys(Keys { pattern, watch }) => {
                let request = v1::list(List::EntryKeys).with("key", &pattern);
                view::selected::<EntryKey>(session, &request, &watch, EntryKey::NONE).await
            }
            Self::Artifacts { watch } => {
                view::list::<Artifact>(session, &v1::list(List::Artifacts), &watch).await
            }
            Self::Pins { watch } => view::list::<Pin>(session, &v1::list(List::Pins), &watch).await,
            Self::Pin(PinIt { what, note, dry_run }) => {
                if session.change(&what.pin(&NewPin { note }), &dry_run).await?.is_some() {
                    output::note(format_args!("{what} stays"));
                }
                Ok(())
            }
            Self::Unpin(UnpinIt { what, dry_run }) => {
                if session.change(&what.unpin(), &dry_run).await?.is_some() {
                    output::note(format_args!("the rules decide about {what} again"));
                }
                Ok(())
            }
            Self::Gc(Gc { dry_run, strays }) => {
                let answer = session.ask(&v1::collect(&NewCollection { dry_run, strays })).await?;
                let collection: Collection = v1::read(&answer)?;
                if !session.wants_json() && !collection.removed.is_empty() {
                    let rows: Vec<_> = collection.removed.iter().map(Removed::row).collect();
                    session.print(&Table::new(Removed::COLUMNS, false, None).rows(&rows))?;
                }
                session.tell(&answer, |collection: &Collection| summary(collection, dry_run))
            }
            Self::Scrub(scrub) => scrub.run(session).await,
        }
    }
}

/// How soon it is looked again how far a round is, at first and in the end.
const LOOKED_AT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long nothing is to be read until that is said, each time.
const SAID_EACH: Duration = Duration::from_secs(120);

impl ScrubIt {
    async fn run(&self, session: &mut Session) -> Result<(), CommandError> {
        let request = if self.status { v1::scrub() } else { v1::ask_for_scrub() };
        let mut answer = session.ask(&request).await?;
        let mut round: Scrub = v1::read(&answer)?;
        if !self.status && !self.no_wait {
            let mut line = Line::default();
            let mut pause = LOOKED_AT.0;
            let mut moved = (Instant::now(), round.bytes);
            while round.is_asked_for {
                if round.bytes != moved.1 {
                    moved = (Instant::now(), round.bytes);
                } else if moved.0.elapsed() > SAID_EACH {
                    output::note(format!(
                        "nothing was read for {} s: either one artifact is large, or no server does it; `--status` tells later",
                        SAID_EACH.as_secs()
                    ));
                    moved.0 = Instant::now();
                }
                line.says(&format!("{} {} read again", bar(round.percent.into(), 100), shown(round.bytes)));
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LOOKED_AT.1);
                answer = session.ask(&v1::scrub()).await?;
                round = v1::read(&answer)?;
            }
        }
        let damaged: Vec<_> = Damaged::of(&round).collect();
        if !session.wants_json() && !damaged.is_empty() {
            let rows: Vec<_> = damaged.iter().map(Damaged::row).collect();
            session.print(&Table::new(Damaged::COLUMNS, false, None).rows(&rows))?;
        }
        session.tell(&answer, scrubbed)?;
        match round.damaged {
            0 => Ok(()),
            damaged => {
                let unreadable = round.unreadable.len() as u64;
                Err(CommandError::Damaged { damaged, unreadable })
            }
        }
    }
}

/// How far a round is, in a line.
fn scrubbed(round: &Scrub) -> String {
    let Scrub { since, ended, bytes, percent, is_whole, .. } = round;
    match (since, ended) {
        (None, _) => "nothing was read again yet".into(),
        (Some(_), Some(ended)) if *is_whole => format!("read again until {ended}: {}", shown(*bytes)),
        (Some(since), _) => format!("is being read again since {since}: {}, about {percent}%", shown(*bytes)),
    }
}

/// An artifact, or what else is kept, that is not what it was.
struct Damaged<'a> {
    sha512: &'a str,
    what: &'static str,
}

impl<'a> Damaged<'a> {
    const COLUMNS: &'static [&'static str] = &["SHA512", "DAMAGE"];

    fn of(round: &'a Scrub) -> impl Iterator<Item = Self> {
        let aside = round.put_aside.iter().map(|sha512| Self { sha512, what: "put aside" });
        aside.chain(round.unreadable.iter().map(|sha512| Self { sha512, what: "cannot be read" }))
    }

    fn row(&self) -> Vec<String> {
        vec![self.sha512.to_owned(), self.what.to_owned()]
    }
}

/// What was removed, in a line.
fn summary(collection: &Collection, dry_run: bool) -> String {
    let Collection { entries, artifacts, strays, bytes, waiting, .. } = collection;
    let verb = if dry_run { "would be removed" } else { "removed" };
    let mut line = format!("{verb}: {entries} entries, {artifacts} artifacts, {}", shown(*bytes));
    if *strays > 0 {
        line += &format!(", {strays} left by a crash");
    }
    if *waiting > 0 {
        line += &format!("; {waiting} artifacts go later, unless somebody asks for them");
    }
    if collection.is_partial {
        line += "; it was stopped before its end";
    }
    line
}

impl Listed for EntryKey {
    const COLUMNS: &'static [&'static str] = &["KEY", "ENTRIES"];
    const NONE: &'static str = "there are no such keys";

    fn row(&self) -> Vec<String> {
        vec![self.key.clone(), self.entries.to_string()]
    }
}

impl Listed for Artifact {
    const COLUMNS: &'static [&'static str] = &["SHA512", "SIZE", "CAME", "USED", "BY"];
    const NONE: &'static str = "there are no artifacts; `provost cache put FILE` uploads one";

    fn row(&self) -> Vec<String> {
        vec![self.sha512.clone(), shown(self.bytes), self.at.clone(), self.used_at.clone(), self.by.clone()]
    }
}

impl Listed for Pin {
    const COLUMNS: &'static [&'static str] = &["WHAT", "SINCE", "BY", "NOTE"];
    const NONE: &'static str = "nothing is pinned";

    fn row(&self) -> Vec<String> {
        let what = self.key.clone().or_else(|| self.sha512.clone()).unwrap_or_default();
        vec![what, self.at.clone(), self.by.clone(), self.note.clone()]
    }
}

impl Listed for Removed {
    const COLUMNS: &'static [&'static str] = &["KEY", "SHA512", "CAME", "SIZE"];
    const NONE: &'static str = "nothing";

    fn row(&self) -> Vec<String> {
        let key = self.key.clone().unwrap_or_default();
        vec![
            key,
            self.sha512.clone(),
            self.at.clone().unwrap_or_default(),
            self.bytes.map(shown).unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_said_in_a_line() {
        let nothing = Collection::default();
        assert_eq!(summary(&nothing, true), "would be removed: 0 entries, 0 artifacts, 0 B");
        let some =
            Collection { entries: 2, strays: 1, waiting: 3, is_partial: true, ..Collection::default() };
        assert_eq!(
            summary(&some, false),
            "removed: 2 entries, 0 artifacts, 0 B, 1 left by a crash; 3 artifacts go later, unless somebody asks for \
             them; it was stopped before its end"
        );
    }

    #[test]
    fn how_far_a_round_is_is_said_in_a_line() {
        let never = Scrub::default();
        assert_eq!(scrubbed(&never), "nothing was read again yet");
        let half = Scrub { since: Some("noon".into()), bytes: 5, percent: 49, ..never };
        assert_eq!(scrubbed(&half), "is being read again since noon: 5 B, about 49%");
        let whole = Scrub { ended: Some("one".into()), is_whole: true, ..half };
        assert_eq!(scrubbed(&whole), "read again until one: 5 B");
    }

    #[test]
    fn a_digest_is_an_artifact_and_all_else_a_key() {
        let digest = Sha512::of(b"").to_string();
        assert!(matches!(digest.parse(), Ok(What::Artifact(_))));
        assert!(matches!("pypi:a=1".parse(), Ok(What::Key(_))));
        assert!("".parse::<What>().is_err());
    }
}
