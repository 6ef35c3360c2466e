//! Reading along with an operation until it has ended.
//!
//! ```text
//! terminal     one line, painted anew whenever something changes
//! otherwise    a line whenever something changes
//! --json       whoever only reads along: a document whenever something changes
//! ```
//! The lines are narration, so they go to standard error. A server that is away is waited for; what became of the
//! operation meanwhile is the first thing it tells.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use client::v1::{self, List};
use client::{Listening, Segment};
use tokio::time::{sleep, timeout};
use wire::{Operation, OperationHost, OperationPhase, Page, WaitsFor};

use crate::error::CommandError;
use crate::output;
use crate::screen::narration_size;
use crate::session::Session;
use crate::shown::word;
use crate::table::{counted, cut, one_line};
use crate::view::{self, Asker};

/// How long to wait before the server is asked again that has ended a stream, or is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many hosts are named in one line.
const NAMED_MAX: usize = 3;
/// How many hosts that failed are told of.
const FAILED_MAX: usize = 10;
/// Goes to the beginning of a terminal's line, and clears it (ECMA-48, EL).
const AGAIN: &str = "\r\u{1b}[K";
/// How many characters a bar has.
const BAR: u64 = 20;

/// What is printed on standard output while somebody reads along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printing {
    /// Nothing: there is more to come.
    Nothing,
    /// A document whenever something changes, where JSON is wanted.
    Documents,
}

/// How `cluster`'s operation `id` ended.
pub(crate) async fn follow(
    session: &mut Session,
    (cluster, id): (&Segment, &Segment),
    printing: Printing,
) -> Result<Operation, CommandError> {
    let prints = printing == Printing::Documents && session.wants_json();
    let screen = session.screen;
    let request = v1::operation_events(cluster, id);
    let mut asker = Asker::new(session, true);
    let mut line = Line::new();
    asker.patience = Some(PATIENCE);
    let mut seen: Option<Operation> = None;
    loop {
        line.end();
        let mut events = match asker.listen(&request).await? {
            Listening::Events(events) => events,
            Listening::Answer(answer) => return Err(CommandError::refusal(&request, &answer)),
        };
        loop {
            let Ok(next) = timeout(PATIENCE, events.next()).await else {
                // A change may be long in coming; until then nothing would be written that could fail.
                if let (true, Some(seen)) = (prints && screen.is_closed(), &seen) {
                    return Ok(seen.clone());
                }
                continue;
            };
            // However it ends, the next connection tells the rest.
            let Ok(Some(event)) = next else { break };
            if event.name != "operation" {
                continue;
            }
            let now: Operation = v1::read_text(&event.data)?;
            if seen.as_ref() != Some(&now) {
                line.tell(&now);
                if prints && !output::stream(&(view::json(&now) + "\n")).map_err(CommandError::Output)? {
                    return Ok(now);
                }
            }
            if now.phase.is_end() {
                line.end();
                return Ok(now);
            }
            seen = Some(now);
        }
        let pause = events.pause().unwrap_or(PATIENCE);
        asker.patience = Some(pause);
        sleep(pause).await;
    }
}

/// Says how an operation has ended, and why hosts failed; an error unless it did what it was asked for.
pub(crate) async fn tell_end(session: &mut Session, ended: &Operation) -> Result<(), CommandError> {
    let what = one_line(&format!("{} of cluster {}", ended.kind, ended.cluster));
    if ended.hosts.failed > 0 {
        tell_failures(session, ended).await?;
    }
    let (cluster, id) = (one_line(&ended.cluster), ended.id);
    match ended.phase {
        OperationPhase::Finished if ended.hosts.failed > 0 => {
            Err(CommandError::HostsFailed { what, besides: besides(ended), cluster, id })
        }
        OperationPhase::Finished => {
            output::note(format_args!("the {what} is done{}", besides(ended)));
            Ok(())
        }
        OperationPhase::Aborted => Err(CommandError::Aborted { what }),
        OperationPhase::Failed => Err(CommandError::Operation { what, besides: besides(ended), cluster, id }),
        _ => Ok(()),
    }
}

/// `, at 8 of 10 hosts; 1 failed, 1 skipped`.
fn besides(ended: &Operation) -> String {
    let hosts = &ended.hosts;
    let mut text = format!(", at {} of {}", hosts.done, counted(hosts.total, "host"));
    let others = [(hosts.failed, "failed"), (hosts.skipped, "skipped"), (hosts.waiting, "not begun with")];
    let others: Vec<String> =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, how)| format!("{count} {how}")).collect();
    if !others.is_empty() {
        text += "; ";
        text += &others.join(", ");
    }
    text
}

async fn tell_failures(session: &mut Session, ended: &Operation) -> Result<(), CommandError> {
    let segment = |text: String| text.parse::<Segment>().map_err(CommandError::Name);
    let (cluster, id) = (segment(ended.cluster.clone())?, segment(ended.id.to_string())?);
    let first = v1::list(List::OperationHosts(&cluster, &id)).with("state", "failed");
    let mut told = 0;
    let mut next = Some(first.clone());
    while let Some(request) = next
        && told < FAILED_MAX
    {
        let page: Page<OperationHost> = v1::read(&session.ask(&request).await?)?;
        for host in page.items.iter().take(FAILED_MAX - told) {
            let reason = host.reason.as_deref().unwrap_or("nobody knows why");
            output::note(one_line(&format!("host {} failed: {reason}", host.address)));
            told += 1;
        }
        next = v1::next(&first, &page).filter(|next| next.path() != request.path());
    }
    let more = ended.hosts.failed.saturating_sub(told as u64);
    if more > 0 {
        output::note(format_args!("and {more} more"));
    }
    Ok(())
}

/// What is said of how far it is.
struct Line {
    is_terminal: bool,
    is_begun: bool,
    said: String,
}

impl Line {
    fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), is_begun: false, said: String::new() }
    }

    fn tell(&mut self, now: &Operation) {
        let text = how_far(now);
        if text == self.said {
            return;
        }
        if self.is_terminal {
            let bar = bar(now.hosts.done + now.hosts.skipped, now.hosts.total);
            // A line that goes on in the next one would not be painted over.
            let columns_max = narration_size().map(|size| size.columns.saturating_sub(1));
            let line = cut(&format!("{bar} {text}"), columns_max);
            // In one piece, as every note. Where nobody listens, nothing is lost.
            let _ = io::stderr().lock().write_all(format!("{AGAIN}{line}").as_bytes());
            self.is_begun = true;
        } else {
            output::note(&text);
        }
        self.said = text;
    }

    /// Whatever is said next stands in a line of its own.
    fn end(&mut self) {
        if std::mem::take(&mut self.is_begun) {
            output::note("");
            self.said.clear();
        }
    }
}

fn bar(done: u64, total: u64) -> String {
    let full = (done * BAR).checked_div(total).unwrap_or(BAR).min(BAR);
    let part = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or_default());
    format!("[{}{}]", part("#", full), part(".", BAR - full))
}

/// How far an operation is, in a line: `running: 3 of 10 done, 1 failed, at 10.0.0.4`.
pub(crate) fn how_far(now: &Operation) -> String {
    let hosts = &now.hosts;
    let mut text = format!("{}: {} of {} done", word(&now.phase), hosts.done, hosts.total);
    for (count, how) in [(hosts.failed, "failed"), (hosts.skipped, "skipped")] {
        if count > 0 {
            text += &format!(", {count} {how}");
        }
    }
    if !now.under_way.is_empty() {
        text += &format!(", at {}", named(&now.under_way));
    }
    match &now.waits_for {
        Some(WaitsFor::Schedule { until }) => text += &format!(", goes on at {until}"),
        Some(WaitsFor::Unavailable { are, may_be }) => {
            let be = if *are == 1 { "is" } else { "are" };
            text +=
                &format!(", waits because {} {be} unavailable and {may_be} may be", counted(*are, "host"));
        }
        Some(WaitsFor::Others) => text += ", waits because others work on the next host",
        Some(WaitsFor::Answers { of }) => text += &format!(", waits for {} to answer", named(of)),
        Some(WaitsFor::Hosts) | None => {}
    }
    one_line(&text)
}

/// Some hosts, and how many others.
pub(crate) fn named(hosts: &[String]) -> String {
    let some = hosts.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match hosts.len().saturating_sub(NAMED_MAX) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_far_it_is_is_said_in_a_line() {
        let operation = |phase: &str, hosts: [u64; 3], at: &[&str], waits_for: serde_json::Value| {
            let [done, failed, skipped] = hosts;
            let mut document = json!({"cluster": "web", "id": 7, "kind": "restart", "phase": phase,
                "hosts": {"total": 10, "waiting": 0, "under_way": at.len(), "done": done, "failed": failed,
                    "skipped": skipped},
                "under_way": at, "policy": {}, "started_by": "ada", "started_at": "t"});
            if !waits_for.is_null() {
                document["waits_for"] = waits_for;
            }
            serde_json::from_value::<Operation>(document).unwrap()
        };
        let none = serde_json::Value::Null;
        for (operation, expected) in [
            (operation("running", [0, 0, 0], &[], none.clone()), "running: 0 of 10 done"),
            (
                operation("running", [3, 1, 2], &["a", "b"], json!({"what": "hosts"})),
                "running: 3 of 10 done, 1 failed, 2 skipped, at a, b",
            ),
            (
                operation("pausing", [3, 0, 0], &["a", "b", "c", "d", "e"], none),
                "pausing: 3 of 10 done, at a, b, c and 2 more",
            ),
            (
                operation("scheduled", [0, 0, 0], &[], json!({"what": "schedule", "until": "t"})),
                "scheduled: 0 of 10 done, goes on at t",
            ),
            (
                operation("running", [1, 0, 0], &[], json!({"what": "unavailable", "are": 3, "may_be": 2})),
                "running: 1 of 10 done, waits because 3 hosts are unavailable and 2 may be",
            ),
            (
                operation("running", [1, 0, 0], &[], json!({"what": "answers", "of": ["a", "b"]})),
                "running: 1 of 10 done, waits for a, b to answer",
            ),
        ] {
            assert_eq!(how_far(&operation), expected);
        }
    }

    #[test]
    fn bars_are_as_full_as_what_is_done() {
        for (done, total, full) in [(0, 10, 0), (5, 10, 10), (10, 10, 20), (0, 0, 20), (1, 1_000, 0)] {
            assert_eq!(bar(done, total).matches('#').count(), full, "{done} of {total}");
            assert_eq!(bar(done, total).len(), 22);
        }
    }
}
