//! What standard output is, as far as one has to know it to write to it.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    is_terminal: bool,
    is_colourful: bool,
}

/// How large the terminal is now that standard error is, if it is one that tells.
pub(crate) fn narration_size() -> Option<Size> {
    size_of(io::stderr())
}

fn size_of(terminal: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(terminal).ok()?;
    let size = Size { columns: size.ws_col.into(), rows: size.ws_row.into() };
    (size.columns > 0 && size.rows > 0).then_some(size)
}

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Screen {
    /// That of this process. Colours are for terminals, and only where nobody asks for none (`NO_COLOR`,
    /// no-color.org).
    pub(crate) fn of_process() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let says = |name, is_so: fn(&str) -> bool| {
            std::env::var_os(name).is_some_and(|value| is_so(&value.to_string_lossy()))
        };
        let is_plain = says("NO_COLOR", |value| !value.is_empty()) || says("TERM", |value| value == "dumb");
        Self { is_terminal, is_colourful: is_terminal && !is_plain }
    }

    /// Whether it is a terminal.
    pub(crate) fn is_terminal(self) -> bool {
        self.is_terminal
    }

    /// Whether colours are welcome.
    pub(crate) fn is_colourful(self) -> bool {
        self.is_colourful
    }

    /// How large it is now, if it is a terminal that tells.
    pub(crate) fn size(self) -> Option<Size> {
        if self.is_terminal { size_of(io::stdout()) } else { None }
    }

    /// Whether whoever read it has gone: a closed pipe, a terminal that was hung up.
    pub(crate) fn is_closed(self) -> bool {
        let stdout = io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        // Without waiting. Where it cannot be told, writing will tell.
        let polled = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        polled.is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }
}
