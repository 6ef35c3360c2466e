//! `networkcache-download` (networkcache contract, 8.2).

use std::io;
use std::path::PathBuf;

use clap::{ArgGroup, Parser};
use entry::{Filter, Value, keys, python};
use tokio::io::{AsyncWriteExt as _, stdout};

use super::configuration::Configuration;
use super::error::CommandError;
use super::library::Library;
use super::{Ended, usage};
use crate::output;

/// Fetch a file from a network cache, or list what is said under a key
///
/// Filters are applied from left to right. VALUE is JSON: text stands in double quotes. `<<` and `>>` choose the entries
/// with the lowest and the highest value below and above VALUE: `'v>=[4,2]' 'v<<Infinity'` chooses the oldest version that
/// is at least 4.2.
#[derive(Parser)]
#[command(name = "networkcache-download", infer_long_args = true, args_override_self = true)]
#[command(group = ArgGroup::new("what").required(true).args(["key", "url"]))]
pub(super) struct Line {
    /// The configuration file
    #[arg(short, long, value_name = "CONFIG")]
    config: PathBuf,
    /// The key under which the entries are filed
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// The URL for whose file the key is: file-urlmd5: and its MD5
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// Print a list of the entries instead of the first one's file
    #[arg(short, long)]
    list: bool,
    /// Which entries are wanted
    #[arg(value_name = "KEY{==,<=,>=,<,>,<<,>>}VALUE")]
    filters: Vec<String>,
}

impl Line {
    pub(super) async fn run(self) -> Result<(), Ended> {
        if let Err(error) = std::fs::File::open(&self.config) {
            return Err(usage::<Self>(format_args!("can't open '{}': {error}", self.config.display())));
        }
        let filter = Filter::parse(self.filters.iter().map(String::as_str)).map_err(CommandError::from)?;
        let library = Library::open(Configuration::read(&self.config)?)?;
        let key = self.key.or_else(|| self.url.as_deref().map(keys::file)).unwrap_or_default();
        let entries = library.select(&key).await?;
        let found =
            filter.apply(&entries, |entry| entry.statement().members(), &mut |warning| output::note(warning));
        let first = found.first().ok_or(CommandError::NoResult)?;
        if self.list {
            let list = found.iter().map(|entry| Value::Object(entry.statement().members().clone())).collect();
            let text = python::dumps_indented(&Value::List(list)) + "\n";
            output::data(&text).map_err(CommandError::Output)?;
            return Ok(());
        }
        Ok(print(&library, first.statement().sha512()).await?)
    }
}

/// Writes an object to standard output as it comes. A reader that has read enough and hung up is no error.
async fn print(library: &Library, digest: base::Sha512) -> Result<(), CommandError> {
    let mut download = library.download(digest).await?;
    let mut out = stdout();
    while let Some(piece) = download.next().await? {
        if !still_read(out.write_all(&piece).await)? {
            return Ok(());
        }
    }
    still_read(out.flush().await).map(drop)
}

fn still_read(written: io::Result<()>) -> Result<bool, CommandError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::Output(error)),
    }
}
