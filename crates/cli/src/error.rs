//! What can go wrong with a command about the fleet.

use std::io;
use std::path::PathBuf;

use base::{Explain, Kind};
use client::v1::BadAnswer;
use client::{Answer, Method, Request, SendError};

use crate::connection::ConnectionError;
use crate::input::InputError;
use crate::ssh::SshError;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// Nobody can be asked.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Nobody answered.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server says no.
    #[error("{}", refused(method, path, *status, detail.as_deref()))]
    Refused {
        /// What was asked.
        method: Method,
        /// The path.
        path: String,
        /// The answer's status.
        status: u16,
        /// What the server says about it.
        detail: Option<String>,
        /// What it says is to be done.
        hint: Option<String>,
    },
    /// The answer is not what was agreed upon.
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    /// A list does not come to its end.
    #[error("the server began the list anew in the middle of it")]
    EndlessList,
    /// What was to be made is there.
    #[error("{what} is there already")]
    Exists {
        /// What.
        what: String,
        /// How to change it.
        change: &'static str,
    },
    /// More hosts of an operation failed than may.
    #[error("the {what} failed{besides}")]
    Operation {
        /// Which: `restart of cluster web`.
        what: String,
        /// At how many hosts, with a comma before.
        besides: String,
        /// The cluster.
        cluster: String,
        /// Its number.
        id: u64,
    },
    /// An operation that was waited for came to its end, but not at all hosts: no more failed than were to be tolerated.
    #[error("the {what} came to its end{besides}")]
    HostsFailed {
        /// Which: `restart of cluster web`.
        what: String,
        /// At how many hosts, with a comma before.
        besides: String,
        /// The cluster.
        cluster: String,
        /// Its number.
        id: u64,
    },
    /// Somebody has aborted an operation that was waited for.
    #[error("the {what} was aborted")]
    Aborted {
        /// Which.
        what: String,
    },
    /// There has been no operation on a cluster.
    #[error("nothing was ever done with cluster {cluster}")]
    NoOperation {
        /// Which.
        cluster: String,
    },
    /// Something that the cache keeps is not what it was.
    #[error("{}", of_damaged(*damaged, *unreadable))]
    Damaged {
        /// How many.
        damaged: u64,
        /// How many of them were only not to be read, and are where they were.
        unreadable: u64,
    },
    /// What a server calls something is no name.
    #[error(transparent)]
    Name(client::BadSegment),
    /// A name was said twice.
    #[error("`{0}` is said twice")]
    Twice(String),
    /// A secret stands where everybody on the machine can read it.
    #[error("`{0}` is a secret, and everybody on this machine can read the command line")]
    Open(String),
    /// What was to come from outside did not.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file was not written.
    #[error("could not write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There was no session at a host.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// Standard output is out of order.
    #[error("could not write the result")]
    Output(#[source] io::Error),
    /// The system refuses what every program needs.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

impl CommandError {
    /// What `answer` means, which is no success.
    pub(crate) fn refusal(request: &Request, answer: &Answer) -> Self {
        Self::Refused {
            method: request.method().clone(),
            path: request.path().to_owned(),
            status: answer.status,
            detail: answer.problem(),
            hint: answer.hint(),
        }
    }

    /// The same with a hint for refusals with this status, where the server gives none.
    pub(crate) fn or_hint(mut self, for_status: u16, or: impl FnOnce() -> String) -> Self {
        if let Self::Refused { status, hint, .. } = &mut self
            && *status == for_status
        {
            hint.get_or_insert_with(or);
        }
        self
    }

    /// Whether asking again later may help, without anybody doing anything: a server that starts again, say.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Send(SendError::Unreachable(_) | SendError::Silent { .. } | SendError::Broken { .. }) => {
                true
            }
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 507),
            _ => false,
        }
    }

    /// The answer's status where the server says no.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The exit code: that of the kind, or of the signal that ended a question.
    pub(crate) fn exit_code(&self) -> u8 {
        let interrupted = match self {
            Self::Input(error) | Self::Connection(ConnectionError::Input(error)) => error.interrupted(),
            _ => None,
        };
        interrupted.unwrap_or_else(|| self.kind().exit_code())
    }
}

fn refused(method: &Method, path: &str, status: u16, detail: Option<&str>) -> String {
    detail.map_or_else(|| format!("the server answered {status} to {method} {path}"), str::to_owned)
}

fn of_damaged(damaged: u64, unreadable: u64) -> String {
    let all = match damaged {
        1 => "one artifact is damaged".to_owned(),
        more => format!("{more} artifacts are damaged"),
    };
    match unreadable {
        0 => all,
        some if some == damaged => format!("{all}: the disk does not give that"),
        some => format!("{all}: {some} of them the disk does not give, the others were put aside"),
    }
}

/// What kind of thing a status tells of (RFC 9110, section 15).
fn kind_of(status: u16) -> Kind {
    match status {
        401 => Kind::Unauthenticated,
        403 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        408 => Kind::TimedOut,
        409 | 412 => Kind::Conflict,
        413 => Kind::TooLarge,
        400..=428 => Kind::Invalid,
        500 => Kind::Internal,
        507 => Kind::Full,
        429 | 500.. => Kind::Unavailable,
        _ => Kind::Invalid,
    }
}

impl Explain for CommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Connection(error) => error.kind(),
            Self::Send(error) => error.kind(),
            Self::Refused { status, .. } => kind_of(*status),
            Self::Answer(_) | Self::EndlessList | Self::Name(_) | Self::Damaged { .. } => Kind::Internal,
            Self::Twice(_) | Self::Open(_) => Kind::Invalid,
            Self::Exists { .. } | Self::Aborted { .. } => Kind::Conflict,
            Self::NoOperation { .. } => Kind::NotFound,
            Self::Operation { .. } | Self::HostsFailed { .. } => Kind::Unavailable,
            Self::Input(error) => error.kind(),
            Self::Ssh(error) => error.kind(),
            Self::Unwritable { .. } | Self::Output(_) | Self::Runtime(_) => Kind::Unavailable,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Connection(error) => error.help(),
            Self::Send(error) => error.help(),
            Self::Refused { hint: Some(hint), .. } => Some(hint.clone()),
            Self::Refused { status: 401, .. } => {
                Some("say who you are, with --certificate FILE or --user NAME".to_owned())
            }
            Self::Refused { status: 412, .. } => {
                Some("look at it again: `show` tells its version".to_owned())
            }
            Self::Refused { detail: None, .. } => {
                Some("is it a Provost server, and not too old a one?".to_owned())
            }
            Self::Damaged { unreadable: 0, .. } => Some(
                "upload them again, and look at the disk; what is damaged is under `rotten`, where the server's artifacts are"
                    .to_owned(),
            ),
            Self::Damaged { damaged, unreadable } if damaged == unreadable => Some(
                "look at the disk, and run `provost cache scrub` again: what cannot be read then is put aside, and can be \
                 uploaded again"
                    .to_owned(),
            ),
            Self::Damaged { .. } => Some(
                "look at the disk, and upload what was put aside again; what cannot be read is put aside when `provost cache \
                 scrub` finds it so once more"
                    .to_owned(),
            ),
            Self::Open(name) => Some(format!("put it into a file: --option-file {name}=FILE")),
            Self::Exists { change, .. } => Some((*change).to_owned()),
            Self::Operation { cluster, id, .. } | Self::HostsFailed { cluster, id, .. } => Some(format!(
                "`provost operation retry {cluster} {id}` tries those that failed again, and goes on"
            )),
            Self::Input(error) => error.help(),
            Self::Ssh(error) => error.help(),
            Self::Unwritable { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("remove it first, or name another one".to_owned())
            }
            Self::Refused { .. }
            | Self::Answer(_)
            | Self::EndlessList
            | Self::Twice(_)
            | Self::Aborted { .. }
            | Self::NoOperation { .. }
            | Self::Name(_)
            | Self::Unwritable { .. }
            | Self::Output(_)
            | Self::Runtime(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the disk does not give is still there, and uploading it again would do nothing.
    #[test]
    fn what_is_damaged_and_what_cannot_be_read_is_told_apart() {
        for (damaged, unreadable, said, hint) in [
            (1, 0, "one artifact is damaged", "upload them again"),
            (2, 2, "2 artifacts are damaged: the disk does not give that", "run `provost cache scrub` again"),
            (3, 1, "1 of them the disk does not give", "upload what was put aside again"),
        ] {
            let error = CommandError::Damaged { damaged, unreadable };
            let help = error.help().unwrap();
            assert!(error.to_string().contains(said) && help.contains(hint), "{error}: {help}");
            assert_eq!(unreadable == damaged, !help.contains("upload what") && !help.contains("upload them"));
        }
    }

    #[test]
    fn statuses_have_the_kinds_that_servers_mean() {
        for kind in [
            Kind::Invalid,
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::NotFound,
            Kind::Conflict,
            Kind::TooLarge,
            Kind::TimedOut,
            Kind::Full,
            Kind::Unavailable,
            Kind::Internal,
        ] {
            assert_eq!(kind_of(kind.http_status()), kind);
        }
        assert_eq!(
            (kind_of(412), kind_of(422), kind_of(429)),
            (Kind::Conflict, Kind::Invalid, Kind::Unavailable)
        );
    }
}
