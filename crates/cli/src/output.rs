//! What people read: data on standard output, narration on standard error.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes `text` to standard output as it is. A reader that has read enough and hung up is no error.
pub fn data(text: &str) -> io::Result<()> {
    stream(text).map(drop)
}

/// The same, for whoever has more to write: whether somebody still reads.
pub(crate) fn stream(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says `line` on standard error. Where nobody listens, nothing is lost.
pub fn note(line: impl Display) {
    // In one piece, so that whoever reads along never sees half a line.
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Says what went wrong, and what to do about it where that is known.
pub fn error(what: impl Display, hint: Option<impl Display>) {
    note(format_args!("error: {what}"));
    if let Some(hint) = hint {
        note(format_args!("hint: {hint}"));
    }
}
