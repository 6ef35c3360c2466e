//! `provost audit export`: the history and its links in a file.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use super::error::AuditCommandError;
use super::source::{Expected, Line, Source, walk};
use crate::error::CommandError;
use crate::output;
use crate::session::Session;
use crate::table::counted;
use crate::view;

#[derive(Debug, Args)]
#[command(
    after_long_help = "The file has a document in each line: first how far the history is linked and with which key, then each link \
        with its events as they are stored. It is checked while it is written, and is there when it is whole. Whoever has it and the \
        fingerprint of the key needs no server to check it: `provost audit verify FILE --key SHA256`."
)]
pub(super) struct Export {
    /// The file, which may not be there yet
    file: PathBuf,
}

impl Export {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), AuditCommandError> {
        let unwritable = |source| CommandError::Unwritable { path: self.file.clone(), source };
        let folder = match self.file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut file = BufWriter::new(NamedTempFile::new_in(folder).map_err(unwritable)?);
        let (summary, fingerprint) = walk(&mut Source::Server(session), Expected::default(), |line| {
            let line = match line {
                Line::Head(head) => view::json(head),
                Line::Link(link) => view::json(link),
            };
            Ok(writeln!(file, "{line}").map_err(unwritable)?)
        })
        .await?;
        let file = file.into_inner().map_err(|error| unwritable(error.into_error()))?;
        file.as_file().sync_all().map_err(unwritable)?;
        file.persist_noclobber(&self.file).map_err(|error| unwritable(error.error))?;
        let events = counted(summary.events, "event");
        output::note(format_args!("{} has {events}, up to {}", self.file.display(), summary.head));
        output::note(format_args!("next: provost audit verify {} --key {fingerprint}", self.file.display()));
        Ok(())
    }
}
