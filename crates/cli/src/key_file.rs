//! A private key in a file that is gone when it is no longer needed, however this program ends.
//!
//! Whoever is killed removes nothing, so another process waits for the end: a shell at the other end of a pipe.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base::{Entropy, hex};

use crate::output;

/// Waits until nobody holds the other end of its standard input, and removes the key and its folder.
const WATCH: &str = "read -r _; rm -f -- \"$1/key\" \"$1/known_hosts\"; rmdir -- \"$1\" 2>/dev/null";

/// A file with a key, for its owner alone (mode 0600), in a folder of its own (0700). Dropping it removes
/// both: at the end, after an error, and in a panic. When this program is killed, the watcher does.
pub(crate) struct KeyFile {
    folder: PathBuf,
    file: PathBuf,
    watcher: Option<Child>,
}

impl KeyFile {
    /// Writes `key` into a new folder under `under`.
    pub(crate) fn write(under: &Path, key: &[u8], entropy: &Entropy) -> io::Result<Self> {
        let folder = under.join(format!("provost-{}", hex::encode(&entropy.bytes::<16>())));
        // Fails where something has the name already, even a link.
        DirBuilder::new().mode(0o700).create(&folder)?;
        // From here on whatever was made is removed again.
        let mut made = Self { file: folder.join("key"), folder, watcher: None };
        made.watcher = Some(watcher(&made.folder)?);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&made.file)?;
        file.write_all(key)?;
        Ok(made)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.file
    }

    /// Writes beside it by which key a host is recognized: a line of the format of sshd(8), `known_hosts`.
    pub(crate) fn write_known_hosts(&self, line: &str) -> io::Result<PathBuf> {
        let path = self.known_hosts();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{line}")?;
        Ok(path)
    }

    fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }
}

/// A process that removes the key in `folder` when this one is gone. What the terminal sends does not reach it.
fn watcher(folder: &Path) -> io::Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", WATCH, "sh"]).arg(folder).process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let removed = match std::fs::remove_file(&self.file) {
            // It was never made, or somebody was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        let _ = std::fs::remove_file(self.known_hosts());
        // Should somebody have put something else into it, the folder stays.
        let _ = std::fs::remove_dir(&self.folder);
        if let Some(mut watcher) = self.watcher.take() {
            // Its pipe is closed first, so it ends at once; that it found nothing more to do is no matter.
            let _ = watcher.wait();
        }
        match removed {
            Ok(()) => output::note("Removed temporary ssh key"),
            Err(error) => {
                output::note(format_args!("warning: the key is still in {}: {error}", self.file.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_key_is_for_its_owner_and_gone_afterwards() {
        let under = tempfile::tempdir().unwrap();
        let key = KeyFile::write(under.path(), b"secret", &Entropy::seeded(1)).unwrap();
        assert_eq!(std::fs::read(key.path()).unwrap(), b"secret");
        assert_eq!((mode(key.path()), mode(&key.folder)), (0o600, 0o700));
        let known = key.write_known_hosts("a ssh-ed25519 AAAA").unwrap();
        assert_eq!(std::fs::read_to_string(known).unwrap(), "a ssh-ed25519 AAAA\n");
        drop(key);
        assert_eq!(std::fs::read_dir(under.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_panic_leaves_no_key() {
        let under = tempfile::tempdir().unwrap();
        let panicked = std::panic::catch_unwind(|| {
            let key = KeyFile::write(under.path(), b"secret", &Entropy::seeded(1)).unwrap();
            assert!(!key.path().exists(), "this is meant to fail");
        });
        assert!(panicked.is_err());
        assert_eq!(std::fs::read_dir(under.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_that_is_taken_is_left_alone() {
        let under = tempfile::tempdir().unwrap();
        let theirs = under.path().join(format!("provost-{}", hex::encode(&Entropy::seeded(1).bytes::<16>())));
        std::os::unix::fs::symlink("/nonexistent", &theirs).unwrap();
        assert!(KeyFile::write(under.path(), b"secret", &Entropy::seeded(1)).is_err());
        assert!(theirs.is_symlink());
    }
}
