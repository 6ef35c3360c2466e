//! Why a playbook was not run to its end.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use base::{Explain, Kind};

/// Why a playbook was not run to its end. What happened to single hosts is in the [`Report`](crate::Report).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program, or it may not be run.
    #[error("could not start {}", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file for the run could not be written.
    #[error("could not write {}", path.display())]
    Files {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program was not heard of any more.
    #[error("could not read what {} says", program.display())]
    Read {
        /// Which program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was still running at its deadline, and was ended.
    #[error("the playbook {playbook} was still running after {} s{}", .after.as_secs(), task(.last))]
    Overdue {
        /// Which playbook.
        playbook: String,
        /// The deadline.
        after: Duration,
        /// The last task that was done by then; empty where none was.
        last: String,
    },
    /// Ansible did not accept the playbook, or broke off.
    #[error("the playbook {playbook} could not be run ({end}): {said}")]
    Playbook {
        /// Which playbook.
        playbook: String,
        /// How the program ended: `exit status: 4`.
        end: String,
        /// Its last words.
        said: String,
    },
    /// It said more than any playbook of ours would.
    #[error("the playbook {playbook} said more than {bytes_max} bytes")]
    TooMuch {
        /// Which playbook.
        playbook: String,
        /// The limit.
        bytes_max: usize,
    },
}

fn task(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!("; the last task that was done: {last}") }
}

impl Explain for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Start { .. } | Self::Playbook { .. } | Self::TooMuch { .. } => Kind::Invalid,
            Self::Files { source, .. } if source.kind() == io::ErrorKind::StorageFull => Kind::Full,
            Self::Files { .. } | Self::Read { .. } | Self::Overdue { .. } => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Start { .. } => Some(
                "install ansible-core on the machine that Provost runs on, or say where it is".to_owned(),
            ),
            Self::Overdue { .. } => Some("see what the host is busy with".to_owned()),
            Self::Playbook { playbook, .. } => {
                Some(format!("`ansible-playbook --syntax-check` shows more about {playbook}"))
            }
            Self::Files { .. } | Self::Read { .. } | Self::TooMuch { .. } => None,
        }
    }
}
