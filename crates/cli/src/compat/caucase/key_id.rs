//! `caucase-key-id` (caucase contract, 7.4 and 9): what keys are called, and which keys can read a backup.
//!
//! ```text
//! offset 0    8 bytes   `caucase` and NUL
//!        8    4 bytes   length of the header, little-endian
//!       12    header    JSON; `key_list` has an `id` for each key
//! ```

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Parser};
use serde::Deserialize;

use super::VERSION;
use super::error::CommandError;
use crate::holder::Pem;
use crate::output;

const MAGIC: &[u8; 8] = b"caucase\0";

/// The longest header that is read: that of some ten thousand keys.
const HEADER_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Show the identifiers of private keys, and of those that can read backups
#[derive(Parser)]
#[command(name = "caucase-key-id", infer_long_args = true, args_override_self = true)]
#[command(version = VERSION, disable_version_flag = true)]
pub(super) struct Line {
    /// Files with keys
    #[arg(long, value_name = "KEY_PATH", num_args = 1.., action = ArgAction::Set)]
    private_key: Vec<PathBuf>,
    /// Backups of a caucased
    #[arg(long, value_name = "BACKUP_PATH", num_args = 1.., action = ArgAction::Set)]
    backup: Vec<PathBuf>,
    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Line {
    pub(super) fn run(self) -> Result<(), CommandError> {
        for path in &self.private_key {
            let keys = Pem::read_once(path)?.keys;
            if keys.is_empty() {
                return Err(CommandError::NoKey(path.clone()));
            }
            for key in keys {
                say(&format!("{} b'{}'\n", path.display(), key.public().key_id()))?;
            }
        }
        for path in &self.backup {
            let ids = readers(path)?;
            let lines: String = ids.iter().map(|id| format!("  b'{id}'\n")).collect();
            say(&format!("{}\n{lines}", path.display()))?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Header {
    key_list: Vec<Reader>,
}

#[derive(Deserialize)]
struct Reader {
    id: String,
}

/// The identifiers of the keys that can read the backup at `path`.
fn readers(path: &Path) -> Result<Vec<String>, CommandError> {
    let not_one = |what: &str| CommandError::NotABackup { path: path.to_owned(), what: what.to_owned() };
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => not_one("it is cut off"),
        _ => CommandError::Unreadable { path: path.to_owned(), source },
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(unreadable)?;
    if magic != *MAGIC {
        return Err(not_one("it begins with something else"));
    }
    let mut length = [0; 4];
    file.read_exact(&mut length).map_err(unreadable)?;
    let length = u32::from_le_bytes(length);
    if length > HEADER_BYTES_MAX {
        return Err(not_one("its header is longer than any"));
    }
    let mut header = Vec::new();
    file.take(length.into()).read_to_end(&mut header).map_err(unreadable)?;
    if header.len() < length as usize {
        return Err(not_one("it is cut off"));
    }
    let header: Header = serde_json::from_slice(&header).map_err(|_| not_one("its header names no keys"))?;
    let ids: Vec<_> = header.key_list.into_iter().map(|reader| reader.id).collect();
    if ids.iter().any(|id| !id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(not_one("a key in its header has no identifier"));
    }
    Ok(ids)
}

fn say(text: &str) -> Result<(), CommandError> {
    output::data(text).map_err(CommandError::Output)
}

#[cfg(test)]
mod tests {
    use base::report;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        std::fs::write(&path, bytes).unwrap();
        let shown = format!("{} is no backup of a caucased: ", path.display());
        readers(&path).map_err(|error| report(&error).replace(&shown, ""))
    }

    fn backup(header: &str) -> Vec<u8> {
        let length = u32::try_from(header.len()).unwrap();
        [&MAGIC[..], &length.to_le_bytes(), header.as_bytes(), b"\x01\x02"].concat()
    }

    #[test]
    fn the_header_names_the_keys() {
        let header = r#"{"cipher": {}, "key_list": [{"id": "0a", "key": ""}, {"id": "0b"}]}"#;
        let whole = backup(header);
        assert_eq!(read(&whole), Ok(vec!["0a".to_owned(), "0b".to_owned()]));
        for length in 0..whole.len() - 2 {
            assert_eq!(read(&whole[..length]), Err("it is cut off".to_owned()), "{length}");
        }
        let long = [&MAGIC[..], &[0xff; 4]].concat();
        for (bytes, expected) in [
            (b"SQLite format 3\0".to_vec(), "it begins with something else"),
            (long, "its header is longer than any"),
            (backup("{}"), "its header names no keys"),
            (backup("["), "its header names no keys"),
            (backup(r#"{"key_list": [{"id": "a\n"}]}"#), "a key in its header has no identifier"),
        ] {
            assert_eq!(read(&bytes), Err(expected.to_owned()));
        }
        assert!(readers(Path::new("/nonexistent/b")).is_err());
    }
}
