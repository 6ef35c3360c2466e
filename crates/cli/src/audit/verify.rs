//! `provost audit verify`: whether the history is still what it was.

use std::path::PathBuf;

use chain::{Head, Kept, Summary};
use clap::Args;
use serde_json::json;

use super::error::AuditCommandError;
use super::source::{Expected, Source, walk};
use crate::output;
use crate::session::Session;
use crate::table::counted;
use crate::view;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Each event is covered by a signed link, which names the hash of the one before. Whatever is changed, removed, \
        moved or put in by somebody who has the store but not its key is found. What nothing in the store itself can show is that \
        its end was cut off, or that somebody who has the key as well wrote all of it anew: that is found with a head that was kept \
        elsewhere (--head), as `provost audit head` and the server's log tell it.\n\n\
        A server is asked for everything, and what it says is checked here. With --store the server is left out."
)]
pub(super) struct Verify {
    /// Check this file, which `provost audit export` wrote, and ask no server
    file: Option<PathBuf>,
    /// The head that was kept: it has to be one of the links
    #[arg(long, value_name = "NUMBER:HASH")]
    head: Option<Head>,
    /// The fingerprint of the key that the links have to be signed with
    #[arg(long, value_name = "SHA256")]
    key: Option<String>,
}

/// What came of a check.
#[derive(Debug)]
pub struct Told<'t> {
    /// What was looked at.
    pub summary: &'t Summary,
    /// The key that signed.
    pub key: &'t str,
    /// How many events have no link yet, where that is known.
    pub not_linked: Option<u64>,
    /// Whether JSON is wanted.
    pub json: bool,
}

impl Verify {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), AuditCommandError> {
        let json = session.wants_json();
        let expected = Expected { head: self.head, key: self.key.as_deref() };
        let mut source = match self.file {
            Some(path) => Source::File(path),
            None => Source::Server(session),
        };
        let (summary, key) = walk(&mut source, expected, |_| Ok(())).await?;
        let told = Told { summary: &summary, key: &key, not_linked: None, json };
        tell_summary(&told).map_err(crate::error::CommandError::Output)?;
        Ok(())
    }
}

/// Tells that the history is whole, and what could not be looked at.
///
/// # Errors
/// When standard output is out of order.
pub fn tell_summary(told: &Told<'_>) -> std::io::Result<()> {
    let Told { summary, key, not_linked, json } = told;
    let kept = match summary.kept {
        Kept::NotNamed => "not-named",
        Kept::Found => "found",
        Kept::Dropped => "dropped",
    };
    if *json {
        let document = json!({
            "head": summary.head.to_string(),
            "links": summary.links,
            "events": summary.events,
            "dropped": summary.dropped.map(|head| head.to_string()),
            "kept": kept,
            "late": summary.late,
            "late_named": summary.late_named,
            "not_linked": not_linked,
            "key": key,
        });
        return output::data(&(view::json(&document) + "\n"));
    }
    let (links, events) = (counted(summary.links, "link"), counted(summary.events, "event"));
    output::data(&format!("{}\n", summary.head))?;
    output::note(format_args!("the history is whole: {links} with {events}, signed with the key {key}"));
    if let Some(dropped) = summary.dropped {
        output::note(format_args!("what was too old was dropped, up to link {}", dropped.number));
    }
    if let Some(count) = not_linked.filter(|count| *count > 0) {
        output::note(format_args!(
            "{} came since, and {} not linked yet",
            counted(count, "event"),
            are(count)
        ));
    }
    if summary.late > 0 {
        let (late, first) = (counted(summary.late, "event"), summary.late_named.join(", "));
        output::note(format_args!(
            "note: {late} came more than ten minutes after the time that {} told; look whether a clock was wrong: {first}",
            if summary.late == 1 { "it" } else { "they" }
        ));
    }
    match summary.kept {
        Kept::Found => output::note("the head that was kept is one of its links"),
        Kept::Dropped => {
            output::note("note: the head that was kept was dropped since, as too old: keep a new one")
        }
        Kept::NotNamed => output::note(
            "hint: that its end was not cut off shows only with a head that was kept elsewhere: --head NUMBER:HASH",
        ),
    }
    Ok(())
}

fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
