//! What to run, and what came of it.

use std::fmt;
use std::time::Duration;

use base::Secret;

use crate::{Captured, Keep};

/// How long a command may take if nothing else is said.
const DEADLINE: Duration = Duration::from_secs(60);

/// How much a command may say, if nothing else is said, in MiB: who prints without end would keep us busy until its deadline.
const SAID_MIB_MAX: u64 = 128;

/// What to run: text for a POSIX `sh`, what it reads, and its bounds.
///
/// With the rights of root: through `sudo -n` where the user is another, unless [`Command::as_user`] says otherwise.
#[derive(Debug, Clone)]
pub struct Command {
    pub(crate) text: Text,
    pub(crate) stdin: Option<Secret<Vec<u8>>>,
    pub(crate) deadline: Duration,
    pub(crate) keep: Keep,
    pub(crate) said_mib_max: u64,
    pub(crate) as_user: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Text {
    /// Part of the command line.
    Line(String),
    /// Goes through standard input.
    Hidden(Secret<String>),
}

impl Command {
    /// Runs `text`. Everybody on the machine can see it in the list of processes, and sudo writes it into its log: a
    /// secret belongs into [`Command::stdin`], or all of the text into [`Command::hidden`].
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Text::Line(text.into()),
            stdin: None,
            deadline: DEADLINE,
            keep: Keep::default(),
            said_mib_max: SAID_MIB_MAX,
            as_user: false,
        }
    }

    /// Runs `script`, which nobody on the machine sees, and which may be long. It goes through standard input, so
    /// what it runs reads nothing there. A script that did not arrive whole is not begun.
    #[must_use]
    pub fn hidden(script: Secret<String>) -> Self {
        Self { text: Text::Hidden(script), ..Self::new("") }
    }

    /// What the command reads. If the connection breaks meanwhile, the command sees an early end.
    ///
    /// A [`Command::hidden`] script reads nothing; what is given here is not sent to it.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(Secret::new(bytes.into()));
        self
    }

    /// How long it may take, from when it is sent to its exit status; 60 s unless said otherwise. Then it is
    /// killed on the machine, too, if that has a `timeout` command.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How much of standard output, and of standard error, is kept.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// How much it may say in all, in MiB, until it is not listened to any more; 128 unless said otherwise.
    #[must_use]
    pub fn say_at_most(mut self, mib: u64) -> Self {
        self.said_mib_max = mib;
        self
    }

    /// Runs it with the user's own rights, without sudo.
    #[must_use]
    pub fn as_user(mut self) -> Self {
        self.as_user = true;
        self
    }

    /// What is run, if everybody may see it. For transports other than SSH, and for logs.
    #[must_use]
    pub fn line(&self) -> Option<&str> {
        match &self.text {
            Text::Line(text) => Some(text),
            Text::Hidden(_) => None,
        }
    }

    /// What is run, whoever may see it. For transports other than SSH.
    #[must_use]
    pub fn script(&self) -> &str {
        match &self.text {
            Text::Line(text) => text,
            Text::Hidden(script) => script.expose(),
        }
    }

    /// What it reads. For transports other than SSH.
    #[must_use]
    pub fn input(&self) -> Option<&Secret<Vec<u8>>> {
        self.stdin.as_ref()
    }

    /// How much of what it says is kept. For transports other than SSH.
    #[must_use]
    pub fn kept(&self) -> Keep {
        self.keep
    }

    /// Whether it runs with the user's own rights. For transports other than SSH.
    #[must_use]
    pub fn is_as_user(&self) -> bool {
        self.as_user
    }

    /// How long it may take. For transports other than SSH.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        self.deadline
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exit(u32),
    /// By this signal, named without `SIG`: `KILL`.
    Signal(String),
}

impl End {
    /// Whether it exited with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == Self::Exit(0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit status {status}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub end: End,
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
}

impl Output {
    /// Whether it exited with 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.end.is_success()
    }

    /// Its last words, for a reason that is shown to people: the last line of standard error that is not blank, or
    /// else of standard output, or else how it ended; at most 300 characters.
    #[must_use]
    pub fn last_words(&self) -> String {
        last_line(&self.stderr).or_else(|| last_line(&self.stdout)).unwrap_or_else(|| self.end.to_string())
    }
}

/// The last line that is not blank, at most 300 characters of it.
pub(crate) fn last_line(captured: &Captured) -> Option<String> {
    let line = captured.last_line()?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_reason() {
        let check = |stdout: &str, stderr: &str, expected: &str| {
            let (stdout, stderr) = (Captured::whole(stdout), Captured::whole(stderr));
            let output = Output { end: End::Exit(3), stdout, stderr };
            assert_eq!(output.last_words(), expected);
        };
        check("", "", "exit status 3");
        check("one\ntwo\n", "", "two");
        check("one", "warning\nerror: \u{1b}[1mno\n \n", "error: [1mno");
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let hidden = Command::hidden(Secret::new("mysql -phunter2".to_owned())).stdin("hunter2");
        assert!(!format!("{hidden:?}").contains("hunter2"));
        assert_eq!(hidden.line(), None);
    }
}
