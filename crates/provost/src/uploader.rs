//! Under which name uploads to a bucket are begun, and under which earlier ones nobody goes on any more.
//!
//! Each start has a name of its own, as a data directory may be copied, and two that run at the same time must not end each
//! other's uploads. An earlier start is over for certain when it wrote its name into the very file that is locked now, while
//! the machine has not been started since: the system gives up a lock when the process ends that has it, and neither a copy
//! of the file nor another machine is taken for the one where it was written. All else waits for a day.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use base::Entropy;

/// The names of the last starts, in the data directory.
pub const STARTS_FILE: &str = "uploader.starts";
/// How many of them are remembered.
const STARTS_MAX: usize = 64;
/// More than these take.
const BYTES_MAX: u64 = 64 * 1024;
/// Says which start of the machine this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Who uploads.
pub struct Uploader {
    /// This start.
    pub owner: String,
    /// Earlier ones that are certainly over.
    pub over: Vec<String>,
    /// Held for as long as this one is not.
    pub lock: Option<Arc<File>>,
}

impl Uploader {
    /// Another start in the directory `data`, whose uploads have `name`.
    pub fn begin(data: &Path, name: &str, entropy: &Entropy) -> io::Result<Self> {
        let owner = format!("{name}-{:016x}", entropy.number());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(data.join(STARTS_FILE))?;
        // Somebody else is at work here, or locks are not to be had: then nothing is certain.
        if file.try_lock().is_err() {
            return Ok(Self { owner, over: Vec::new(), lock: None });
        }
        let about = file.metadata()?;
        let boot = std::fs::read_to_string(BOOT).unwrap_or_default();
        let here = format!("{} {}:{} ", boot.trim(), about.dev(), about.ino());
        let mut text = String::new();
        // What is no text was not written here.
        let _ = (&mut file).take(BYTES_MAX).read_to_string(&mut text);
        let found = text.lines().filter_map(|line| line.strip_prefix(&here)).filter(|name| is_owner(name));
        let mut over: Vec<String> = found.map(str::to_owned).collect();
        if boot.trim().is_empty() {
            over.clear();
        }
        over.drain(..over.len().saturating_sub(STARTS_MAX));
        let lines: String = over.iter().chain([&owner]).map(|name| format!("{here}{name}\n")).collect();
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(lines.as_bytes())?;
        Ok(Self { owner, over, lock: Some(Arc::new(file)) })
    }
}

fn is_owner(name: &str) -> bool {
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.split_once('-').is_some_and(|(name, start)| is_hex(name, 32) && is_hex(start, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_over_when_its_lock_is_and_the_file_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (name, entropy) = ("0123456789abcdef".repeat(2), Entropy::seeded(1));
        let begin = |data: &Path| Uploader::begin(data, &name, &entropy).unwrap();
        let first = begin(directory.path());
        assert!(first.over.is_empty() && first.lock.is_some());
        // At the same time as it: nothing is known of either.
        let beside = begin(directory.path());
        assert!(beside.over.is_empty() && beside.lock.is_none() && beside.owner != first.owner);
        // A copy of the directory is another one, also once the first is over.
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(directory.path().join(STARTS_FILE), copy.path().join(STARTS_FILE)).unwrap();
        let copied = begin(copy.path());
        assert!(copied.over.is_empty() && copied.lock.is_some());
        let over = vec![first.owner.clone()];
        drop(first);
        let second = begin(directory.path());
        assert_eq!(second.over, over);
        // Nor is anything believed that was not written so, or while the machine ran that was started before.
        drop(second);
        let path = directory.path().join(STARTS_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        std::fs::write(&path, text.replace(&over[0], "../..")).unwrap();
        assert_eq!(begin(directory.path()).over.len(), 1);
        std::fs::write(&path, text.replace('-', "+").replacen('+', "-", 1)).unwrap();
        assert!(begin(directory.path()).over.is_empty());
    }
}
