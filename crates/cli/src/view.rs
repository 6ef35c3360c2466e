//! Lists and single things: printed once, or again whenever something changes.
//!
//! ```text
//! terminal, --watch    the table in place of the one before, as much of it as fits
//! otherwise            one table or JSON document after the other
//! ```
//! Lists are printed page by page, so that their length does not matter. Whoever watches asks every few seconds
//! whether the pages are still those that were printed (`If-None-Match`), and prints all anew when one is not.

use std::time::Duration;

use base::{Explain as _, report, sha256};
use clap::Args;
use client::{Answer, Condition, Listening, Request, v1};
use serde::Serialize;
use wire::Page;

use crate::error::CommandError;
use crate::output;
use crate::screen::{Screen, Size};
use crate::session::Session;
use crate::shown::{Detailed, Listed};
use crate::table::{Table, details};

/// Clears a terminal and begins at its top (ECMA-48, ED and CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Whether to go on.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Print it again whenever it changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "2", requires = "watch", value_parser = interval)]
    interval: Duration,
}

impl Watch {
    /// It is printed once.
    pub(crate) fn once() -> Self {
        Self { watch: false, interval: Duration::from_secs(2) }
    }
}

/// A number of seconds, from a tenth to a day.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds from 0.1 to 86400".to_owned()),
    }
}

/// Prints the list that begins with `first`.
pub(crate) async fn list<T: Listed>(
    session: &mut Session,
    first: &Request,
    watch: &Watch,
) -> Result<(), CommandError> {
    selected::<T>(session, first, watch, T::NONE).await
}

/// The same of a list that may leave some out; `none` is what is said when nothing is in it.
pub(crate) async fn selected<T: Listed>(
    session: &mut Session,
    first: &Request,
    watch: &Watch,
    none: &str,
) -> Result<(), CommandError> {
    some::<T>(session, first, watch, none, |_| true).await
}

/// The same of those of a list that `is_meant`, where the server gives others as well.
pub(crate) async fn some<T: Listed>(
    session: &mut Session,
    first: &Request,
    watch: &Watch,
    none: &str,
    is_meant: impl Fn(&T) -> bool,
) -> Result<(), CommandError> {
    let print = async |asker: &mut Asker<'_>| print_list::<T>(asker, first, none, &is_meant).await;
    follow(session, watch, print).await
}

/// Prints what `request` asks for.
pub(crate) async fn one<T: Detailed>(
    session: &mut Session,
    request: &Request,
    watch: &Watch,
) -> Result<(), CommandError> {
    follow(session, watch, async |asker: &mut Asker<'_>| print_one::<T>(asker, request).await).await
}

async fn follow(
    session: &mut Session,
    watch: &Watch,
    mut print: impl AsyncFnMut(&mut Asker<'_>) -> Result<Printed, CommandError>,
) -> Result<(), CommandError> {
    let screen = session.screen;
    let mut asker = Asker::new(session, watch.watch);
    let mut printed = print(&mut asker).await?;
    asker.patience = Some(watch.interval);
    while watch.watch && printed.is_read {
        loop {
            tokio::time::sleep(watch.interval).await;
            // A change may be long in coming; until then nothing would be written that could fail.
            if screen.is_closed() {
                return Ok(());
            }
            if asker.has_changed(&printed.marks).await? {
                break;
            }
        }
        printed = print(&mut asker).await?;
    }
    Ok(())
}

/// Asks, and goes on asking where that is wanted.
pub(crate) struct Asker<'s> {
    session: &'s mut Session,
    watches: bool,
    /// How long to wait before a question is asked again that found no server; it is not, without.
    pub(crate) patience: Option<Duration>,
    is_away: bool,
    has_printed: bool,
}

impl<'s> Asker<'s> {
    /// For somebody who `watches`, or does not.
    pub(crate) fn new(session: &'s mut Session, watches: bool) -> Self {
        Self { session, watches, patience: None, is_away: false, has_printed: false }
    }

    /// The answer to `request`, which only looks. A server that is away for a while is waited for, and that is said.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Answer, CommandError> {
        self.persist(async |session: &mut Session| session.ask(request).await).await
    }

    /// The same for a request for events.
    pub(crate) async fn listen(&mut self, request: &Request) -> Result<Listening, CommandError> {
        self.persist(async |session: &mut Session| session.listen(request).await).await
    }

    async fn persist<T>(
        &mut self,
        mut ask: impl AsyncFnMut(&mut Session) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        loop {
            if self.patience.is_some() {
                self.session.look_into_client_file().await?;
            }
            match (ask(self.session).await, self.patience) {
                (Err(error), Some(patience)) if error.may_pass() => {
                    if !self.is_away {
                        self.is_away = true;
                        let why = error.help().map(|why| format!(" ({why})")).unwrap_or_default();
                        output::note(format_args!("note: {}{why}; trying again", report(&error)));
                    }
                    tokio::time::sleep(patience).await;
                }
                (answer, _) => {
                    if self.is_away && answer.is_ok() {
                        self.is_away = false;
                        output::note("note: the server answers again");
                    }
                    return answer;
                }
            }
        }
    }

    async fn has_changed(&mut self, marks: &[Mark]) -> Result<bool, CommandError> {
        for mark in marks {
            let request = match &mark.etag {
                Some(etag) => mark.request.clone().if_so(Condition::IsNot(etag.clone())),
                None => mark.request.clone(),
            };
            let answer = self.ask(&request).await?;
            if answer.status != 304 && sha256(&answer.body) != mark.digest {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What was printed, so that a change is noticed.
struct Mark {
    request: Request,
    etag: Option<String>,
    /// For servers that have no entity tags.
    digest: [u8; 32],
}

impl Mark {
    fn of(request: &Request, answer: &Answer) -> Self {
        Self { request: request.clone(), etag: answer.etag.clone(), digest: sha256(&answer.body) }
    }
}

struct Printed {
    marks: Vec<Mark>,
    /// Whether somebody still reads it.
    is_read: bool,
}

async fn print_list<T: Listed>(
    asker: &mut Asker<'_>,
    first: &Request,
    none: &str,
    is_meant: &dyn Fn(&T) -> bool,
) -> Result<Printed, CommandError> {
    let is_json = asker.session.wants_json();
    let mut sheet = Sheet::begin(asker);
    let columns_max = sheet.size.map(|size| size.columns);
    let mut table = Table::new(T::COLUMNS, sheet.screen.is_colourful(), columns_max);
    let mut array = Array { separator: if asker.watches { "" } else { "\n" }, count: 0 };
    let (mut marks, mut count, mut request) = (Vec::new(), 0, first.clone());
    loop {
        let answer = asker.ask(&request).await?;
        let mut page: Page<T> = v1::read(&answer)?;
        marks.push(Mark::of(&request, &answer));
        page.items.retain(is_meant);
        count += page.items.len();
        let next = v1::next(first, &page);
        let text = match (is_json, &next) {
            (false, _) => table.rows(&page.items.iter().map(T::row).collect::<Vec<_>>()),
            (true, Some(_)) => array.items(&page.items),
            (true, None) => array.items(&page.items) + &array.end(),
        };
        if !sheet.write(&text)? {
            return Ok(Printed { marks, is_read: false });
        }
        match next {
            Some(next) if next.path() == request.path() => return Err(CommandError::EndlessList),
            Some(next) => request = next,
            None => break,
        }
    }
    let is_read = sheet.end()?;
    if count == 0 && !is_json {
        output::note(none);
    }
    Ok(Printed { marks, is_read })
}

async fn print_one<T: Detailed>(asker: &mut Asker<'_>, request: &Request) -> Result<Printed, CommandError> {
    let answer = asker.ask(request).await?;
    let thing: T = v1::read(&answer)?;
    let mut sheet = Sheet::begin(asker);
    let text = if asker.session.wants_json() {
        json(&thing) + "\n"
    } else {
        let mut pairs = thing.details();
        let version = answer.etag.clone().filter(|_| T::HAS_VERSION);
        pairs.extend(version.map(|etag| ("version", etag)));
        // A line that is cut shows less than there is; only a frame cannot have longer ones.
        details(&pairs, sheet.frame.as_ref().and(sheet.size).map(|size| size.columns))
    };
    sheet.write(&text)?;
    Ok(Printed { marks: vec![Mark::of(request, &answer)], is_read: sheet.end()? })
}

/// A JSON array, written bit by bit.
struct Array {
    separator: &'static str,
    count: usize,
}

impl Array {
    fn items<T: Serialize>(&mut self, items: &[T]) -> String {
        let mut text = String::new();
        for item in items {
            text += if self.count == 0 { "[" } else { "," };
            text += self.separator;
            text += &json(item);
            self.count += 1;
        }
        text
    }

    fn end(&self) -> String {
        if self.count == 0 { "[]\n".to_owned() } else { format!("{}]\n", self.separator) }
    }
}

/// `thing` as JSON in one line.
pub(crate) fn json(thing: &impl Serialize) -> String {
    serde_json::to_string(thing).expect("wire's shapes have texts for keys")
}

/// One document on standard output.
struct Sheet {
    screen: Screen,
    size: Option<Size>,
    /// The lines for a terminal that is painted anew, as many as it has.
    frame: Option<Vec<String>>,
}

impl Sheet {
    fn begin(asker: &mut Asker<'_>) -> Self {
        let screen = asker.session.screen;
        let size = screen.size();
        let repaints = asker.watches && screen.is_terminal() && !asker.session.wants_json();
        if asker.watches && asker.has_printed && !repaints && !asker.session.wants_json() {
            // Two tables do not run into each other. A reader who is gone is noticed at the next line.
            let _ = output::stream("\n");
        }
        asker.has_printed = true;
        Self { screen, size, frame: repaints.then(Vec::new) }
    }

    /// Writes `text`; whether somebody reads it.
    fn write(&mut self, text: &str) -> Result<bool, CommandError> {
        match &mut self.frame {
            None => output::stream(text).map_err(CommandError::Output),
            Some(lines) => {
                // The last line stays free for the cursor.
                let rows = self.size.map_or(usize::MAX, |size| size.rows.saturating_sub(1));
                lines.extend(text.lines().take(rows.saturating_sub(lines.len())).map(str::to_owned));
                Ok(true)
            }
        }
    }

    fn end(self) -> Result<bool, CommandError> {
        match self.frame {
            None => Ok(true),
            Some(lines) => {
                let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
                output::stream(&format!("{CLEAR}{lines}")).map_err(CommandError::Output)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_grow_page_by_page() {
        let mut array = Array { separator: "\n", count: 0 };
        let text = array.items(&[1, 2]) + &array.items::<u8>(&[]) + &array.items(&[3]) + &array.end();
        assert_eq!(text, "[\n1,\n2,\n3\n]\n");
        let mut array = Array { separator: "", count: 0 };
        assert_eq!(array.items(&["a", "b"]) + &array.end(), "[\"a\",\"b\"]\n");
        let mut array = Array { separator: "\n", count: 0 };
        assert_eq!(array.items::<u8>(&[]) + &array.end(), "[]\n");
    }

    #[test]
    fn intervals_are_reasonable() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "NaN", "inf", "1e9", "two", ""] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
