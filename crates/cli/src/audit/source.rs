//! Where links come from, and that they are looked at as they come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use chain::{Broken, Head, Signed, Summary, Walk};
use client::Request;
use client::v1::{self, audit};
use serde::de::DeserializeOwned;
use wire::{AuditHead, AuditLink, Page};
use x509::PublicKey;

use super::error::AuditCommandError;
use crate::error::CommandError;
use crate::session::Session;

/// The longest line of an export, in bytes: a link of 96 events, each as long as a value of a store may be.
const LINE_BYTES_MAX: u64 = 128 << 20;

/// What is to be looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected<'e> {
    /// The head that somebody kept.
    pub(super) head: Option<Head>,
    /// The fingerprint of the key.
    pub(super) key: Option<&'e str>,
}

/// Somebody who has links.
pub(super) enum Source<'s> {
    Server(&'s mut Session),
    File(PathBuf),
}

/// Looks at all links of `source`, and gives each to `each` when it is whole.
pub(super) async fn walk(
    source: &mut Source<'_>,
    expected: Expected<'_>,
    mut each: impl FnMut(Line<'_>) -> Result<(), AuditCommandError>,
) -> Result<(Summary, String), AuditCommandError> {
    let mut links = Links::begin(source).await?;
    let head = links.head.clone();
    let key = key(&head)?;
    let fingerprint = chain::fingerprint(&key);
    if expected.key.is_some_and(|expected| !expected.eq_ignore_ascii_case(&fingerprint)) {
        return Err(Broken::Key { found: fingerprint }.into());
    }
    let anchor = head.anchor.clone().map(|anchor| Signed { text: anchor.text, signature: anchor.signature });
    let mut walk = Walk::begin(key, anchor.as_ref(), expected.head)?;
    each(Line::Head(&head))?;
    let said: Head = head.head.parse().map_err(|_| AuditCommandError::NotLinked)?;
    while let Some(link) = links.next(source).await? {
        let signed = Signed { text: link.text.clone(), signature: link.signature.clone() };
        let read = walk.link(&signed)?;
        let number = read.number;
        for (place, mark) in read.events.iter().enumerate() {
            let event = link.events.get(place).filter(|event| event.id == mark.id);
            let text = event.and_then(|event| event.text.as_deref());
            walk.event(&read, place, text.map(str::as_bytes))?;
        }
        if let Some(more) = link.events.get(read.events.len()) {
            return Err(Broken::EventInserted { id: more.id.clone() }.into());
        }
        if number == said.number && walk.head() != said {
            return Err(Broken::Rewritten { kept: said }.into());
        }
        each(Line::Link(&link))?;
    }
    let summary = walk.end()?;
    if summary.head.number < said.number {
        return Err(Broken::Head { last: summary.head.number, said: said.number }.into());
    }
    Ok((summary, fingerprint))
}

/// What an export has in a line.
pub(super) enum Line<'l> {
    Head(&'l AuditHead),
    Link(&'l AuditLink),
}

fn key(head: &AuditHead) -> Result<PublicKey, AuditCommandError> {
    let text = head.key.as_deref().ok_or(AuditCommandError::NotLinked)?;
    let blocks = x509::pem::read(text.as_bytes(), x509::pem::ONE_BYTES_MAX).unwrap_or_default();
    let key = blocks.iter().find_map(|block| PublicKey::from_spki_der(&block.der).ok());
    key.ok_or_else(|| Broken::Key { found: "that cannot be read".into() }.into())
}

/// Links that are still to come.
struct Links {
    head: AuditHead,
    ready: VecDeque<AuditLink>,
    first: Request,
    next: Option<Request>,
    lines: Option<Lines>,
}

impl Links {
    async fn begin(source: &mut Source<'_>) -> Result<Self, AuditCommandError> {
        let first = audit::links();
        let (head, lines, next) = match source {
            Source::Server(session) => {
                let head: AuditHead = v1::read(&session.ask(&audit::head()).await?)?;
                (head, None, Some(first.clone()))
            }
            Source::File(path) => {
                let mut lines = Lines::open(path)?;
                let head = lines.next()?.ok_or_else(|| lines.no_export())?;
                (head, Some(lines), None)
            }
        };
        Ok(Self { head, ready: VecDeque::new(), first, next, lines })
    }

    async fn next(&mut self, source: &mut Source<'_>) -> Result<Option<AuditLink>, AuditCommandError> {
        if let Some(lines) = &mut self.lines {
            return lines.next();
        }
        while self.ready.is_empty() {
            let (Some(request), Source::Server(session)) = (self.next.take(), &mut *source) else {
                return Ok(None);
            };
            let page: Page<AuditLink> = v1::read(&session.ask(&request).await?)?;
            self.next = v1::next(&self.first, &page);
            if self.next.as_ref().is_some_and(|next| next.path() == request.path()) {
                return Err(CommandError::EndlessList.into());
            }
            self.ready = page.items.into();
        }
        Ok(self.ready.pop_front())
    }
}

/// The lines of an export.
struct Lines {
    path: PathBuf,
    file: BufReader<File>,
    line: usize,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, AuditCommandError> {
        let unreadable = |source| AuditCommandError::Unreadable { path: path.to_owned(), source };
        let file = BufReader::new(File::open(path).map_err(unreadable)?);
        Ok(Self { path: path.to_owned(), file, line: 0 })
    }

    fn no_export(&self) -> AuditCommandError {
        AuditCommandError::NoExport { path: self.path.clone(), line: self.line }
    }

    /// The next line, which is a document and ends.
    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, AuditCommandError> {
        let mut bytes = Vec::new();
        self.line += 1;
        let read = (&mut self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        read.map_err(|source| AuditCommandError::Unreadable { path: self.path.clone(), source })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        // A line that does not end was cut off.
        if bytes.last() != Some(&b'\n') {
            return Err(self.no_export());
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|_| self.no_export())
    }
}
