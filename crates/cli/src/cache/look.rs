//! `provost cache find` and `provost cache explain`: what is told of, and whether it is believed.

use std::cell::RefCell;
use std::collections::BTreeSet;

use base::{Explain as _, Sha512, report};
use clap::Args;
use entry::{Attestation, Entry, Reason, Strength, Value, Verdict, python};
use serde_json::{Value as Json, json};

use super::error::CacheCommandError;
use super::session::{Believing, Found, Jobs, Names, Session, Wanted, absent, each};
use crate::output;
use crate::screen::Screen;
use crate::table::Table;

/// What is looked for.
#[derive(Debug, Args)]
#[command(after_long_help = "The best comes first, which is what `get` would fetch.")]
pub(crate) struct Find {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    believing: Believing,
}

/// What is to be explained.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Each entry is held against your roots of trust, this machine, the time, what was seen before, \
    and what the server has. The exit code is 0 when something under each key counts, and else tells \
    why the first entry does not."
)]
pub(crate) struct Explain {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    believing: Believing,
    #[command(flatten)]
    jobs: Jobs,
}

impl Find {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        let believed = self.believing.read(false)?;
        let caches = session.caches().await?;
        let sheet = RefCell::new(Sheet::new(["SIGNED BY", "SIZE", "SAID", "SHA512"]));
        let find = async |wanted: &Wanted| {
            let found = session.look(&caches, &believed, wanted.clone()).await?;
            for at in found.chosen(&believed)? {
                let row = [
                    by(&found.judgement.verdicts[at]),
                    found.judgement.verdicts[at].size.map(|bytes| bytes.to_string()).unwrap_or_default(),
                    said(&found.entries[at]),
                    found.entries[at].statement().sha512().to_string(),
                ];
                sheet.borrow_mut().add(session, document(&found, at), row)?;
            }
            Ok(())
        };
        // One after the other, as they were asked for.
        let ended = each(session, self.names.all(), 1, find, |wanted| wanted.said().to_owned()).await;
        sheet.into_inner().print(session).and(ended)
    }
}

impl Explain {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        let believed = self.believing.read(true)?;
        if believed.trust.policies.is_empty() {
            output::note(
                "note: nothing says whom to believe, so nobody is; --trust FILE names a file that does",
            );
        }
        let caches = session.caches().await?;
        let explain = async |wanted: &Wanted| {
            let mut found = session.look(&caches, &believed, wanted.clone()).await?;
            let counting: BTreeSet<Sha512> =
                found.judgement.chosen.iter().map(|at| found.entries[*at].statement().sha512()).collect();
            let absent = absent(&caches, counting, self.jobs.number()).await?;
            session.judge_again(&mut found, &believed, &absent)?;
            tell(session, &found)?;
            if found.malformed > 0 {
                session.note(&format!(
                    "note: {} under {} passed over as malformed",
                    counted_entries(found.malformed),
                    wanted.said()
                ));
            }
            found.chosen(&believed).map(drop).map_err(|error| match error {
                CacheCommandError::NoneCounts { key, reason } => {
                    CacheCommandError::NothingCounts { key, kind: reason.kind() }
                }
                error => error,
            })
        };
        each(session, self.names.all(), 1, explain, |wanted| wanted.said().to_owned()).await
    }
}

/// Says of each entry why it counts or not, and what to do about it.
fn tell(session: &Session, found: &Found) -> Result<(), CacheCommandError> {
    let mut sheet = Sheet::new(["ENTRY", "SIGNED BY", "VERDICT", "SHA512"]);
    let mut hints: Vec<String> = Vec::new();
    for (at, verdict) in found.judgement.verdicts.iter().enumerate() {
        let row = [
            (at + 1).to_string(),
            by(verdict),
            match &verdict.refused {
                None => "counts".to_owned(),
                Some(reason) => report(reason),
            },
            found.entries[at].statement().sha512().to_string(),
        ];
        sheet.add(session, document(found, at), row)?;
        if let Some(hint) = verdict.refused.as_ref().and_then(Reason::help)
            && !hints.contains(&hint)
        {
            hints.push(hint);
        }
    }
    sheet.print(session)?;
    if !session.options.json {
        for hint in hints {
            session.note(&format!("hint: {hint}"));
        }
    }
    Ok(())
}

/// So many entries.
pub(crate) fn counted_entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

/// What is printed of entries: documents at once, or a table in the end, which is as wide as its widest row.
struct Sheet {
    head: [&'static str; 4],
    rows: Vec<Vec<String>>,
}

impl Sheet {
    fn new(head: [&'static str; 4]) -> Self {
        Self { head, rows: Vec::new() }
    }

    fn add(&mut self, session: &Session, document: Json, row: [String; 4]) -> Result<(), CacheCommandError> {
        if session.options.json {
            return session.tell(&document, "");
        }
        self.rows.push(row.into());
        Ok(())
    }

    fn print(self, session: &Session) -> Result<(), CacheCommandError> {
        if session.options.json {
            return Ok(());
        }
        let screen = Screen::of_process();
        let mut table = Table::new(&self.head, screen.is_colourful(), screen.size().map(|size| size.columns));
        output::data(&table.rows(&self.rows)).map_err(CacheCommandError::Output)
    }
}

/// `anna (old signature)`.
fn by(verdict: &Verdict) -> String {
    match &verdict.believed {
        Some(believed) if believed.strength == Strength::Weak => {
            format!("{} (old signature)", believed.signer)
        }
        Some(believed) => believed.signer.clone(),
        None => "-".to_owned(),
    }
}

/// What is said of the bytes, but for what readers compare anyway.
fn said(entry: &Entry) -> String {
    let members = entry.statement().members().iter();
    let others = members.filter(|(name, _)| **name != *"sha512" && **name != *"provost");
    let said: Vec<String> =
        others.map(|(name, value)| format!("{}={}", name.to_str_lossy(), plain(value))).collect();
    said.join(" ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| python::dumps(value), str::to_owned)
}

/// All that is known of an entry. What JSON has no word for, as `NaN`, is a text.
fn document(found: &Found, at: usize) -> Json {
    let (entry, verdict) = (&found.entries[at], &found.judgement.verdicts[at]);
    let text = entry.text();
    let attestation = Attestation::read(entry.statement()).ok().flatten();
    let claims = attestation.as_ref().map(|attestation| &attestation.claims);
    let believed = verdict.believed.as_ref();
    json!({
        "key": found.key,
        "entry": entry.text_digest().to_string(),
        "sha512": entry.statement().sha512().to_string(),
        "statement": serde_json::from_str::<Json>(text).unwrap_or_else(|_| Json::String(text.to_owned())),
        "counts": verdict.refused.is_none(),
        "reason": verdict.refused.as_ref().map(|reason| report(reason)),
        "code": verdict.refused.as_ref().map(Reason::code),
        "hint": verdict.refused.as_ref().and_then(Reason::help),
        "signer": believed.map(|believed| &believed.signer),
        "root": believed.map(|believed| &believed.root),
        "signature": believed.map(|believed| match believed.strength {
            Strength::Attested => "attested",
            Strength::Weak => "weak",
        }),
        "bytes": verdict.size,
        "created": claims.map(|claims| claims.created.to_string()),
        "expires": claims.and_then(|claims| claims.expires).map(|expires| expires.to_string()),
        "sequence": claims.map(|claims| claims.sequence),
    })
}
