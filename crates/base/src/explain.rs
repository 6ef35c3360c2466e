//! What an error must tell: what kind it is, and what to do about it.

use std::error::Error;
use std::fmt::Write as _;

/// What sort of thing went wrong. Faces turn it into an HTTP status or an exit code, here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was asked is malformed or breaks a rule; asking again will not help.
    Invalid,
    /// Nobody proved who asks.
    Unauthenticated,
    /// Whoever asks may not do this.
    Forbidden,
    /// The thing does not exist.
    NotFound,
    /// The thing is not in a state that allows it, or somebody else changed it first.
    Conflict,
    /// What was sent is larger than is taken.
    TooLarge,
    /// Whoever asks did not finish asking in time; asking again, faster, may help.
    TimedOut,
    /// A quota or a disk is used up.
    Full,
    /// Something needed is out of reach for now; asking again may help.
    Unavailable,
    /// The program or what it stored is at fault.
    Internal,
}

impl Kind {
    /// The HTTP status for this kind (RFC 9110 §15, RFC 4918 §11.5 for 507).
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TimedOut => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Full => 507,
        }
    }

    /// The exit code for this kind, after sysexits.h where it has a word for it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Invalid | Self::TooLarge => 65,
            Self::NotFound => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Full => 73,
            Self::Conflict | Self::TimedOut => 75,
            Self::Unauthenticated | Self::Forbidden => 77,
        }
    }
}

/// An error that a person can act on.
///
/// `Display` says what happened, to what; it does not repeat its source, which [`report`] appends.
pub trait Explain: Error {
    /// What sort of thing went wrong.
    fn kind(&self) -> Kind;

    /// What to do about it, where there is something to do: one line, no full stop.
    fn help(&self) -> Option<String> {
        None
    }

    /// What may be said of it to whoever asked over the network, though the fault is ours: what they need to know, and
    /// nothing of how we are set up. Otherwise they are told that our log says why.
    fn told(&self) -> Option<String> {
        None
    }
}

/// The error and all its causes on one line, `: ` between them.
pub fn report(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
