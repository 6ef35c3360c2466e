//! `slapcache-upload` and `slapcache-download` (networkcache contract, section 9): a file under a key, and its SHA-256 under
//! a companion of the key. What is said of both has one time and one token, so that they can be told to belong together.

use std::cmp::Ordering;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use base::{Clock, Entropy, report};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use client::networkcache::Source;
use entry::{Entry, Object, Value, compare, keys};

use super::configuration::Configuration;
use super::error::CommandError;
use super::library::Library;
use super::slapcache_conf::CONFIGURATION;
use super::temporary::{Temporary, directory_of};
use crate::output;

/// The longest companion that is read: the base64 of a SHA-256 has 44 characters.
const COMPANION_BYTES_MAX: u64 = 1024;
const TOKEN_LETTERS: usize = 128;

/// Publish an upgrade through a network cache
#[derive(Parser)]
#[command(name = "slapcache-upload", infer_long_args = true, args_override_self = true)]
pub(super) struct UploadLine {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = CONFIGURATION)]
    slapos_configuration: PathBuf,
    /// The file that is published
    #[arg(long, value_name = "FILE", default_value = "/etc/opt/slapos/slapos-upgrade")]
    file: PathBuf,
    /// Passed over, as by the original: the file is published all the same
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Passed over, as by the original
    #[arg(hide = true)]
    others: Vec<String>,
}

/// Fetch an upgrade from a network cache
#[derive(Parser)]
#[command(name = "slapcache-download", infer_long_args = true, args_override_self = true)]
pub(super) struct DownloadLine {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = CONFIGURATION)]
    slapos_configuration: PathBuf,
    /// Where the file goes
    #[arg(long, value_name = "FILE", default_value = "/etc/opt/slapcache")]
    destination: PathBuf,
    /// Passed over, as by the original
    #[arg(hide = true)]
    others: Vec<String>,
}

impl UploadLine {
    pub(super) async fn run(self, clock: &Clock, entropy: &Entropy) -> Result<(), CommandError> {
        let library = Library::open(Configuration::read(&self.slapos_configuration)?)?;
        let companion = self.write_companion()?;
        let key = library.upgrade_key();
        let uploads = [(self.file, key.to_owned()), (companion, keys::companion(key))];
        let metadata = metadata(clock, entropy);
        for (path, filed_under) in uploads {
            let uploaded = async {
                let source = Source::of(&path).await?;
                library.upload(&source, Some(&filed_under), metadata.clone()).await
            };
            match uploaded.await {
                // The original names the first key for both.
                Ok(digest) => say(format_args!(
                    "Uploaded {} to cache (using {key} key) with SHA512 {digest}.",
                    path.display()
                ))?,
                Err(error) => {
                    say(format_args!("Unable to upload to cache:\n{}.", report(&error)))?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes the file's SHA-256 beside it.
    fn write_companion(&self) -> Result<PathBuf, CommandError> {
        let digest = companion_of(&self.file)?;
        let mut path = self.file.clone().into_os_string();
        path.push(".sha256");
        let path = PathBuf::from(path);
        match std::fs::write(&path, digest) {
            Ok(()) => Ok(path),
            Err(source) => Err(CommandError::Unwritable { path, source }),
        }
    }
}

/// What is said of both files. An old schema demanded the two names that are of no use.
fn metadata(clock: &Clock, entropy: &Entropy) -> Object {
    let letters = entropy.bytes::<TOKEN_LETTERS>().map(|byte| char::from(b'a' + byte % 26));
    // Milliseconds until the year 287396 are floats without loss.
    #[expect(clippy::cast_precision_loss, reason = "said above")]
    let timestamp = clock.now_milliseconds() as f64 / 1000.0;
    let mut metadata = Object::new();
    metadata.insert("file", Value::text("notused"));
    metadata.insert("urlmd5", Value::text("notused"));
    metadata.insert("timestamp", Value::Float(timestamp));
    metadata.insert("token", Value::text(&letters.iter().collect::<String>()));
    metadata
}

/// The base64 of a file's SHA-256.
fn companion_of(path: &Path) -> Result<String, CommandError> {
    // It is read whole: these are configuration files.
    let bytes =
        std::fs::read(path).map_err(|source| CommandError::Unreadable { path: path.to_owned(), source })?;
    Ok(STANDARD.encode(base::sha256(&bytes)))
}

impl DownloadLine {
    pub(super) async fn run(self, entropy: &Entropy) -> Result<(), CommandError> {
        let library = Library::open(Configuration::read(&self.slapos_configuration)?)?;
        let key = library.upgrade_key();
        let companion_key = keys::companion(key);
        let directory = directory_of(&self.destination);
        say(format_args!("Downloading {key}..."))?;
        let (file, said) = fetched(&library, key, None, u64::MAX, directory, entropy).await?;
        say(format_args!("File downloaded in {}", file.path().display()))?;
        say(format_args!("Downloading {companion_key}..."))?;
        let (companion, _) =
            fetched(&library, &companion_key, Some(&said), COMPANION_BYTES_MAX, directory, entropy).await?;
        say(format_args!("sha 256 downloaded in {}", companion.path().display()))?;
        let unreadable = |source| CommandError::Unreadable { path: companion.path().to_owned(), source };
        let told = std::fs::read(companion.path()).map_err(unreadable)?;
        if told.trim_ascii() != companion_of(file.path())?.as_bytes() {
            return Err(CommandError::Companion { key: companion_key });
        }
        let destination = self.destination;
        file.keep_as(&destination).map_err(|source| CommandError::Unwritable { path: destination, source })
    }
}

/// The newest file under `key`, in a temporary file in `directory`, and what is said of it: of those with the same token as
/// `first`, if there are such.
async fn fetched(
    library: &Library,
    key: &str,
    first: Option<&Object>,
    bytes_max: u64,
    directory: &Path,
    entropy: &Entropy,
) -> Result<(Temporary, Object), CommandError> {
    let none = |error| CommandError::NoUpgrade(Some(Box::new(error)));
    let entries = library.select(key).await.map_err(none)?;
    let token = first.and_then(|first| first.get("token"));
    let belongs = |entry: &&Entry| {
        token.zip(entry.statement().get("token")).is_some_and(|(token, other)| compare::equal(token, other))
    };
    let together: Vec<&Entry> = entries.iter().filter(belongs).collect();
    let newest = newest(&together).or_else(|| newest(&entries.iter().collect::<Vec<_>>()));
    let statement = newest.ok_or(CommandError::NoUpgrade(None))?.statement();
    let mut file = Temporary::new(directory, entropy)?;
    let copied = async {
        let mut download = library.download(statement.sha512()).await?.at_most(bytes_max);
        while let Some(piece) = download.next().await? {
            let written = file.file.write_all(&piece);
            written.map_err(|source| CommandError::Unwritable { path: file.path().to_owned(), source })?;
        }
        Ok(())
    };
    copied.await.map_err(none)?;
    Ok((file, statement.members().clone()))
}

/// The entry with the greatest time above 0, and of equal ones the first; the first of all if there is none such. Those
/// without a time do not count.
fn newest<'a>(entries: &[&'a Entry]) -> Option<&'a Entry> {
    let mut timed = entries.iter().filter_map(|entry| Some((*entry, entry.statement().get("timestamp")?)));
    let (first, _) = timed.clone().next()?;
    let mut best = (first, &Value::Float(0.0));
    for (entry, time) in timed.by_ref() {
        // What is no number cannot be compared, and is not newer.
        if compare::order(time, best.1) == Ok(Some(Ordering::Greater)) {
            best = (entry, time);
        }
    }
    Some(best.0)
}

/// The originals tell on standard output how they fare.
fn say(line: std::fmt::Arguments<'_>) -> Result<(), CommandError> {
    output::data(&format!("{line}\n")).map_err(CommandError::Output)
}

#[cfg(test)]
mod tests {
    use base::Sha512;
    use base::Timestamp;

    use super::*;

    #[test]
    fn the_newest_is_the_first_with_the_greatest_time() {
        let entry = |n: usize, time: &str| {
            let digest = Sha512::of(b"");
            let text = format!(r#"{{"sha512": "{digest}", "n": {n}{time}}}"#);
            Entry::new(text, String::new()).unwrap()
        };
        for (times, expected) in [
            (&["1", "3", "2"][..], Some(1)),
            (&["1.5", "1.5"], Some(0)),
            (&["-1", "0"], Some(0)),
            (&["", "0", "2e3"], Some(2)),
            (&["", "-5"], Some(1)),
            (&["\"9\"", "1"], Some(1)),
            (&["NaN", "1", "12345678901234567890123"], Some(2)),
            (&["", ""], None),
            (&[], None),
        ] {
            let time = |time: &&str| {
                if time.is_empty() { String::new() } else { format!(", \"timestamp\": {time}") }
            };
            let entries: Vec<Entry> = times.iter().enumerate().map(|(n, one)| entry(n, &time(one))).collect();
            let newest = newest(&entries.iter().collect::<Vec<_>>());
            let n = newest.and_then(|entry| entry.statement().get("n")?.as_u64());
            assert_eq!(n, expected, "{times:?}");
        }
    }

    #[test]
    fn what_is_said_of_both_files_binds_them() {
        let clock = Clock::manual(Timestamp::from_unix(1_800_000_000));
        let metadata = metadata(&clock, &Entropy::seeded(1));
        let names: Vec<_> = metadata.iter().map(|(name, _)| name.as_str().unwrap()).collect();
        assert_eq!(names, ["file", "urlmd5", "timestamp", "token"]);
        assert_eq!(entry::python::dumps(metadata.get("timestamp").unwrap()), "1800000000.0");
        let token = metadata.get("token").unwrap().as_str().unwrap();
        assert!(token.len() == TOKEN_LETTERS && token.bytes().all(|byte| byte.is_ascii_lowercase()));
    }
}
