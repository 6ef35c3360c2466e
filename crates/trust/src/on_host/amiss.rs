//! What is not as it is to be on a host, and where.

use base::{Explain, Kind};

use super::{HOOK_SECONDS, OnHost};

/// A part of a host, which may be as it is to be whatever the others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// The trust store of its operating system.
    Store,
    /// Java's.
    Keystore,
    /// The file at this path.
    File(String),
}

impl Spot {
    /// Whether anything is to be there, of what is to be at `places`.
    #[must_use]
    pub fn is_of(&self, places: &OnHost) -> bool {
        match self {
            Self::Store => places.system_store,
            Self::Keystore => places.system_store && places.java,
            Self::File(path) => places.files.iter().any(|file| file.path() == path),
        }
    }
}

/// A part of a host that is not as it is to be, where all that is not named so is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub at: Spot,
    /// Why it is not.
    pub why: Amiss,
}

/// Why a host is not as it is to be. What is in here of its words is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Amiss {
    /// Its operating system has no trust store that is known here.
    #[error("there is no trust store that is known here (its system is `{system}`); looked for {looked_for}")]
    NoStore {
        /// What it says that it is.
        system: String,
        /// Which programs and folders were looked for.
        looked_for: String,
    },
    /// Nothing on it makes a keystore for Java.
    #[error("there is no keystore for Java at {keystore}, or no `keytool` to read it with")]
    NoKeystore {
        /// Where it should be.
        keystore: &'static str,
    },
    /// A file of ours that is to go could not be removed.
    #[error("a file that was put there and is to go could not be removed: {words}")]
    NotRemoved {
        /// The host's words.
        words: String,
    },
    /// Something could not be written.
    #[error("{what} could not be written: {words}")]
    NotWritten {
        /// A file or a folder.
        what: String,
        /// The host's words.
        words: String,
    },
    /// The program that takes certificates up failed.
    #[error("`{program}` failed there (exit status {status}): {words}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Its exit status.
        status: u32,
        /// Its last words.
        words: String,
    },
    /// It ended well, and did not take all of them up.
    #[error("{count} of the certificates were put into {folder}, and are not trusted: {first}, for one")]
    NotTaken {
        /// Where they are.
        folder: &'static str,
        /// How many there are.
        count: usize,
        /// The fingerprint of the first.
        first: String,
        /// In which they are not.
        bundle: &'static str,
    },
    /// It ended well, and what was taken away is still trusted.
    #[error("{count} of the certificates that were taken away are still in {bundle}: {first}, for one")]
    StillTrusted {
        /// In which they are.
        bundle: &'static str,
        /// How many there are.
        count: usize,
        /// The fingerprint of the first.
        first: String,
    },
    /// Where a file is to be, there is another one, which we did not put there.
    #[error("there is a file at {path} already that was not put there by this house")]
    Theirs {
        /// Where it is.
        path: String,
    },
    /// A keystore could not be made of the certificates.
    #[error("no keystore could be made for {path}: {words}")]
    NotMade {
        /// Where it is to be.
        path: String,
        /// The host's words, or `keytool`'s.
        words: String,
    },
    /// Files are not as they were made a moment before.
    #[error("{what} is not as it was made a moment before")]
    Changed {
        /// A file or a folder.
        what: String,
    },
    /// The file is as it is to be, and its hook failed.
    #[error("{path} is as it is to be, and its hook failed (exit status {status}): {words}")]
    Hook {
        /// Of which file.
        path: String,
        /// Its exit status.
        status: u32,
        /// Its last words.
        words: String,
    },
}

impl Amiss {
    /// Whether something may be left of what is to go: not where nothing could be put, or was.
    #[must_use]
    pub fn may_leave(&self) -> bool {
        !matches!(
            self,
            Self::NoStore { .. } | Self::NoKeystore { .. } | Self::Theirs { .. } | Self::NotMade { .. }
        )
    }

    /// Whether there is nothing to be done about it before a person has decided about a file.
    #[must_use]
    pub fn is_for_a_person(&self) -> bool {
        matches!(self, Self::Theirs { .. } | Self::NotMade { .. })
    }
}

impl Explain for Amiss {
    fn kind(&self) -> Kind {
        match self {
            Self::NoStore { .. } | Self::NoKeystore { .. } | Self::Theirs { .. } => Kind::Conflict,
            Self::NotWritten { .. }
            | Self::NotRemoved { .. }
            | Self::NotMade { .. }
            | Self::Program { .. }
            | Self::NotTaken { .. }
            | Self::StillTrusted { .. }
            | Self::Changed { .. }
            | Self::Hook { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoStore { .. } => Some(
                "have the certificates put into a file there, and point what is to trust them at it".into(),
            ),
            Self::NoKeystore { .. } => Some("install Java there, with its package of CA certificates".into()),
            Self::NotTaken { bundle, .. } => Some(format!(
                "see whether they are blocked there, or are no authorities': such are left out of {bundle}"
            )),
            Self::StillTrusted { .. } => Some("see who else put them there".into()),
            Self::Hook { status: 137, .. } => Some(format!("it may take {HOOK_SECONDS} s")),
            Self::Theirs { path } => Some(format!(
                "move it away; or say `adopt` with the file (`--file {path},adopt`), and it is replaced now and removed \
                 when it is not wanted any more"
            )),
            Self::Changed { .. } => Some("see what else looks after it".into()),
            Self::NotWritten { .. }
            | Self::NotRemoved { .. }
            | Self::NotMade { .. }
            | Self::Program { .. }
            | Self::Hook { .. } => None,
        }
    }
}
