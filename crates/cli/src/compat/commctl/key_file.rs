//! A private key in a file that is gone when it is no longer needed.
//!
//! It is a file in memory, which has no name but the one that this process gives it, `/proc/PID/fd/N`. ssh closes
//! whatever it inherits, but opens that like any other file, and looks at its mode (`sshkey_perm_ok` in OpenSSH's
//! authfile.c). So it is gone with this process, however that ends. Where the system does not have such files, or does
//! not let others open them, it is one in a folder for temporary files, and removed.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base::{Entropy, hex};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{geteuid, getpid};

use crate::output;

/// A file with a key, for its owner alone (mode 0600). Dropping it removes it: at the end, after an error, in a panic,
/// and after every signal that can be caught.
pub(super) struct KeyFile {
    path: PathBuf,
    place: Place,
}

enum Place {
    /// In memory, for as long as this is open.
    Memory { _open: File },
    /// In a folder of its own (0700). Only who is killed with `SIGKILL`, or dies of a fault of their own, leaves both.
    Folder(PathBuf),
}

impl KeyFile {
    /// A file with `key`: in memory, or else in a new folder under `under`.
    pub(super) fn make(under: &Path, key: &[u8], entropy: &Entropy) -> io::Result<Self> {
        Self::in_memory(key).or_else(|_| Self::write(under, key, entropy))
    }

    fn in_memory(key: &[u8]) -> io::Result<Self> {
        let mut open = File::from(memfd_create("commctl-key", MemfdFlags::CLOEXEC)?);
        open.set_permissions(Permissions::from_mode(0o600))?;
        open.write_all(key)?;
        let folder = PathBuf::from(format!("/proc/{}/fd", getpid().as_raw_nonzero()));
        // It is root's where other programs of the same user may not look into this one.
        if std::fs::metadata(&folder)?.uid() != geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let path = folder.join(open.as_raw_fd().to_string());
        std::fs::metadata(&path)?;
        Ok(Self { path, place: Place::Memory { _open: open } })
    }

    /// Writes `key` into a new folder under `under`.
    fn write(under: &Path, key: &[u8], entropy: &Entropy) -> io::Result<Self> {
        let folder = under.join(format!("commctl-{}", hex::encode(&entropy.bytes::<16>())));
        // Fails where something has the name already, even a link.
        DirBuilder::new().mode(0o700).create(&folder)?;
        // From here on whatever was made is removed again.
        let made = Self { path: folder.join("key"), place: Place::Folder(folder) };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&made.path)?;
        file.write_all(key)?;
        Ok(made)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let removed = match &self.place {
            Place::Memory { .. } => Ok(()),
            Place::Folder(folder) => {
                let removed = match std::fs::remove_file(&self.path) {
                    // It was never made, or somebody was faster.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    removed => removed,
                };
                // Should somebody have put something else into it, the folder stays.
                let _ = std::fs::remove_dir(folder);
                removed
            }
        };
        match removed {
            Ok(()) => output::note("Removed temporary ssh key"),
            Err(error) => {
                output::note(format_args!("warning: the key is still in {}: {error}", self.path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_key_is_for_its_owner_and_gone_afterwards() {
        let under = tempfile::tempdir().unwrap();
        let key = KeyFile::write(under.path(), b"secret", &Entropy::seeded(1)).unwrap();
        assert_eq!(std::fs::read(key.path()).unwrap(), b"secret");
        assert_eq!((mode(key.path()), mode(key.path().parent().unwrap())), (0o600, 0o700));
        drop(key);
        assert_eq!(std::fs::read_dir(under.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_key_in_memory_is_in_no_folder() {
        let under = tempfile::tempdir().unwrap();
        let key = KeyFile::make(under.path(), b"secret", &Entropy::seeded(1)).unwrap();
        for _ in 0..2 {
            assert_eq!(std::fs::read(key.path()).unwrap(), b"secret", "from the beginning each time");
        }
        assert_eq!(mode(key.path()), 0o600);
        assert_eq!(std::fs::read_dir(under.path()).unwrap().count(), 0);
        let path = key.path().to_owned();
        drop(key);
        // Another file may have its number by now.
        assert_ne!(std::fs::read(path).ok().as_deref(), Some(&b"secret"[..]));
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
        let theirs = under.path().join(format!("commctl-{}", hex::encode(&Entropy::seeded(1).bytes::<16>())));
        std::os::unix::fs::symlink("/nonexistent", &theirs).unwrap();
        assert!(KeyFile::write(under.path(), b"secret", &Entropy::seeded(1)).is_err());
        assert!(theirs.is_symlink());
    }
}
