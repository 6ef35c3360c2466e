//! `provost audit show`: what happened.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration as Wait;

use base::{Clock, Span, Timestamp};
use clap::Args;
use client::v1::{self, audit};
use wire::{AuditEvent, Page};

use crate::duration::Duration;
use crate::error::CommandError;
use crate::output;
use crate::session::Session;
use crate::table::Table;
use crate::view;

/// How long to wait before it is looked again at what happened.
const LOOKS_APART: Wait = Wait::from_secs(2);
/// So long is a fact in a table at most. Some are lists of serials, whose wall of digits hides what happened.
const FACT_MAX: usize = 100;
/// How much later than it says something may come, to be shown all the same by whoever follows.
const LATE: Span = Span::seconds(60);

#[derive(Debug, Args)]
#[command(
    after_long_help = "With --json there is a document in each line, in which facts are whole: long ones are cut in the table. Words count wherever they stand, whatever their case."
)]
pub(super) struct Show {
    /// From then on: 2026-11-22T10:05:00Z, 2026-11-22, or so long ago: 90s, 12h, 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// With these words in what happened: `certificate issued`
    #[arg(long, value_name = "WORDS")]
    what: Option<String>,
    /// With these words in what it happened to: `users request`
    #[arg(long, value_name = "WORDS")]
    about: Option<String>,
    /// With these words in who did it
    #[arg(long, value_name = "WORDS")]
    by: Option<String>,
    /// Of this trade alone
    #[arg(long, value_name = "TRADE", value_parser = wire::TRADES)]
    trade: Option<String>,
    /// Go on with what happens, until Ctrl-C
    #[arg(long, conflicts_with = "until")]
    follow: bool,
}

/// A moment, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    Ago(Duration),
}

/// A text that tells of no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is written as 2026-11-22T10:05:00Z, 2026-11-22, or as a time ago: 90s, 12h, 7d")]
struct BadMoment;

impl FromStr for Moment {
    type Err = BadMoment;

    fn from_str(text: &str) -> Result<Self, BadMoment> {
        let at =
            Timestamp::from_rfc3339(text).or_else(|| Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")));
        match at {
            Some(at) => Ok(Self::At(at)),
            None => text.parse().map(Self::Ago).map_err(|_| BadMoment),
        }
    }
}

impl Moment {
    fn text(self, clock: &Clock) -> String {
        match self {
            Self::At(at) => at.to_string(),
            Self::Ago(Duration(seconds)) => (clock.now() - Span::seconds(i64::from(seconds))).to_string(),
        }
    }
}

impl Show {
    pub(super) async fn run(self, session: &mut Session, clock: &Clock) -> Result<(), CommandError> {
        let mut query = audit::EventQuery {
            since: self.since.map(|since| since.text(clock)),
            until: self.until.map(|until| until.text(clock)),
            what: self.what,
            about: self.about,
            by: self.by,
            trade: self.trade,
        };
        let columns_max = session.screen.size().map(|size| size.columns);
        let head = ["AT", "WHAT", "ABOUT", "BY", "FROM", "FACTS"];
        let mut table = Table::new(&head, session.screen.is_colourful(), columns_max);
        let (mut count, mut seen) = (0, BTreeSet::new());
        loop {
            let first = audit::events(&query);
            let mut request = first.clone();
            loop {
                let page: Page<AuditEvent> = v1::read(&session.ask(&request).await?)?;
                let fresh: Vec<&AuditEvent> =
                    page.items.iter().filter(|event| !seen.contains(&event.id)).collect();
                count += fresh.len();
                let text = if session.wants_json() {
                    fresh.iter().map(|event| view::json(event) + "\n").collect()
                } else {
                    table.rows(&fresh.iter().map(|event| row(event)).collect::<Vec<_>>())
                };
                if !text.is_empty() && !output::stream(&text).map_err(CommandError::Output)? {
                    return Ok(());
                }
                if self.follow {
                    seen.extend(page.items.iter().map(|event| event.id.clone()));
                }
                match v1::next(&first, &page) {
                    Some(next) if next.path() == request.path() => return Err(CommandError::EndlessList),
                    Some(next) => request = next,
                    None => break,
                }
            }
            if !self.follow {
                break;
            }
            // What came late is shown when it comes; what is older than that need not be remembered.
            if let Some(last) = seen.last().and_then(|id| moment_of(id)) {
                let since = last - LATE;
                let ids = format!("{:020}", since.as_unix().max(0).saturating_mul(1_000));
                seen = seen.split_off(&ids);
                query.since = Some(since.to_string());
            }
            tokio::time::sleep(LOOKS_APART).await;
        }
        if count == 0 && !session.wants_json() {
            output::note("nothing of this happened");
        }
        Ok(())
    }
}

/// When the event `id` happened: its name begins with that, in milliseconds.
fn moment_of(id: &str) -> Option<Timestamp> {
    let milliseconds: i64 = id.split_once('-')?.0.parse().ok()?;
    Some(Timestamp::from_unix(milliseconds.div_euclid(1_000)))
}

fn row(event: &AuditEvent) -> Vec<String> {
    let facts: Vec<String> =
        event.facts.iter().map(|(name, value)| format!("{name}={}", cut(value))).collect();
    let from = event.from.clone().unwrap_or_else(|| "-".into());
    vec![event.at.clone(), event.what.clone(), event.about.clone(), event.by.clone(), from, facts.join(" ")]
}

/// `fact`, or what it begins with.
fn cut(fact: &str) -> Cow<'_, str> {
    match fact.char_indices().nth(FACT_MAX) {
        Some((at, _)) => format!("{}… ({} characters)", &fact[..at], fact.chars().count()).into(),
        None => fact.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_facts_are_cut() {
        let fits = "é".repeat(FACT_MAX);
        assert_eq!(cut(&fits), fits);
        assert_eq!(cut(&format!("{fits}é")), format!("{fits}… (101 characters)"));
    }

    #[test]
    fn moments_are_said_in_three_ways() {
        let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
        for (text, expected) in [
            ("2026-11-22T10:05:00Z", Some("2026-11-22T10:05:00Z")),
            ("2026-11-22", Some("2026-11-22T00:00:00Z")),
            ("1d", Some("2026-09-20T14:13:20Z")),
            ("yesterday", None),
            ("2026-13-01", None),
        ] {
            let read = text.parse::<Moment>().ok().map(|moment| moment.text(&clock));
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
