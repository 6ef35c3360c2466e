//! A file to put on a machine.

use std::time::Duration;

use base::{Explain, Kind, Secret};

use crate::Command;
use crate::shell::quote;

/// How long an upload may take if nothing else is said.
const DEADLINE: Duration = Duration::from_secs(120);

/// The file did not arrive whole.
pub(crate) const CUT_SHORT: u32 = 124;

/// A file to put on a machine: all of it or nothing, whoever reads it meanwhile.
#[derive(Debug, Clone)]
pub struct Upload {
    path: String,
    bytes: Secret<Vec<u8>>,
    mode: u32,
    owner: Option<String>,
    deadline: Duration,
}

/// Why a file cannot be asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UploadError {
    /// The path is relative, names a folder, or cannot be said.
    #[error("`{0}` is not the absolute path of a file")]
    Path(String),
    /// The owner is no name or number, or two with a colon between.
    #[error("`{0}` is not an owner: USER, USER:GROUP or :GROUP")]
    Owner(String),
    /// The mode has other bits than 07777.
    #[error("{0:o} is not the mode of a file")]
    Mode(u32),
}

impl Explain for UploadError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Upload {
    /// `bytes` at `path`, which is absolute, and whose folder is there. The mode is 0600 and the owner whoever writes
    /// it, unless said otherwise. What is there already is replaced, also if it is a symbolic link; a folder is not.
    ///
    /// # Errors
    /// [`UploadError::Path`].
    pub fn new(path: &str, bytes: impl Into<Vec<u8>>) -> Result<Self, UploadError> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_file =
            path.starts_with('/') && !["", ".", ".."].contains(&name) && !path.contains(['\0', '\n']);
        if !is_file {
            return Err(UploadError::Path(path.to_owned()));
        }
        let bytes = Secret::new(bytes.into());
        Ok(Self { path: path.to_owned(), bytes, mode: 0o600, owner: None, deadline: DEADLINE })
    }

    /// Who may read and write it: `0o644`.
    ///
    /// # Errors
    /// [`UploadError::Mode`].
    pub fn mode(mut self, mode: u32) -> Result<Self, UploadError> {
        if mode > 0o7777 {
            return Err(UploadError::Mode(mode));
        }
        self.mode = mode;
        Ok(self)
    }

    /// Whose it is: `USER`, `USER:GROUP` or `:GROUP`, names or numbers.
    ///
    /// # Errors
    /// [`UploadError::Owner`].
    pub fn owner(mut self, owner: &str) -> Result<Self, UploadError> {
        let is_name = |name: &str| {
            !name.starts_with('-') && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c))
        };
        let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
        if user.is_empty() && group.is_empty() || !is_name(user) || !is_name(group) {
            return Err(UploadError::Owner(owner.to_owned()));
        }
        self.owner = Some(owner.to_owned());
        Ok(self)
    }

    /// How long it may take; 120 s unless said otherwise.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Where it goes.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is in it.
    #[must_use]
    pub fn bytes(&self) -> &Secret<Vec<u8>> {
        &self.bytes
    }

    /// Who may read and write it.
    #[must_use]
    pub fn file_mode(&self) -> u32 {
        self.mode
    }

    /// Whose it is to be, where that was said.
    #[must_use]
    pub fn file_owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// How long it may take.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        self.deadline
    }

    /// The command that reads the file and puts it there.
    ///
    /// It writes beside the path and renames. The new file must not be there before, so that nobody who may write
    /// into the folder can choose what is overwritten. The size is compared before the rename: a connection that
    /// breaks looks to `cat` like the end of the file. Nobody may listen any more when there is something to complain
    /// of, which must not keep the new file from being taken away.
    #[must_use]
    pub fn command(&self) -> Command {
        let size = self.bytes.expose().len();
        let chown =
            self.owner.as_ref().map_or(String::new(), |owner| format!("chown {} \"$t\"\n", quote(owner)));
        let (path, mode) = (quote(&self.path), self.mode);
        let text = format!(
            "set -euC; LC_ALL=C; export LC_ALL; umask 077; trap '' PIPE; trap 'exit 143' TERM HUP INT; p={path}\n\
             if [ -d \"$p\" ]; then echo \"$p is a folder\" >&2; exit 73; fi\n\
             t=\"${{p%/*}}/.${{p##*/}}.$$.part\"; : >\"$t\"; trap 'rm -f \"$t\"' EXIT\n\
             cat >>\"$t\"\n\
             if [ \"$(wc -c <\"$t\")\" -ne {size} ]; then echo 'the file did not arrive whole' >&2; exit {CUT_SHORT}; fi\n\
             {chown}chmod {mode:04o} \"$t\"\n\
             mv -f \"$t\" \"$p\"; trap - EXIT"
        );
        Command::new(text).stdin(self.bytes.expose().clone()).deadline(self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_file_is_taken() {
        for path in ["", "/", "etc/passwd", "/etc/", "/etc/.", "/etc/..", "/etc/a\nb", "/etc/a\0b"] {
            assert_eq!(Upload::new(path, "").unwrap_err(), UploadError::Path(path.into()));
        }
        let upload = Upload::new("/etc/it's", "x").unwrap();
        for owner in ["", ":", "a b", "-R", "a:b:c", "root:-x", "$(id)"] {
            assert!(upload.clone().owner(owner).is_err(), "{owner}");
        }
        for owner in ["root", "root:wheel", ":adm", "1000:1000", "svc$"] {
            assert!(upload.clone().owner(owner).is_ok(), "{owner}");
        }
        assert!(upload.clone().mode(0o10000).is_err());
        assert!(upload.mode(0o4755).is_ok());
    }

    #[test]
    fn the_contents_are_not_in_the_command() {
        let command = Upload::new("/etc/it's", "hunter2").unwrap().command();
        let line = command.line().unwrap();
        assert!(line.contains(r"p='/etc/it'\''s'") && line.contains("-ne 7 ") && !line.contains("hunter2"));
    }
}
