//! What comes from outside: files, standard input, and answers to questions.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::str::FromStr;

use base::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin};

use super::error::CommandError;
use crate::signals::{self, Signals, Stops};

/// The largest file or answer that is taken, in bytes: far more than a key or a password has.
const INPUT_BYTES_MAX: u64 = 1 << 20;

/// A file to read, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum File {
    StandardInput,
    Path(PathBuf),
}

impl FromStr for File {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::StandardInput } else { Self::Path(text.into()) })
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => f.write_str("standard input"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Standard input: answers first, and then whatever else there is.
pub(super) struct Input(BufReader<Stdin>);

impl Input {
    pub(super) fn new() -> Self {
        Self(BufReader::new(tokio::io::stdin()))
    }

    /// All of `file`.
    pub(super) async fn read(&mut self, file: &File) -> Result<Vec<u8>, CommandError> {
        let mut bytes = Vec::new();
        let (what, read) = match file {
            File::StandardInput => {
                let read = (&mut self.0).take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).await;
                ("standard input".to_owned(), read)
            }
            File::Path(path) => {
                let read = async {
                    tokio::fs::File::open(path).await?.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).await
                };
                (path.display().to_string(), read.await)
            }
        };
        let read = read.and_then(|_| match u64::try_from(bytes.len()) {
            Ok(0..=INPUT_BYTES_MAX) => Ok(bytes),
            _ => Err(io::Error::other("it is too large")),
        });
        read.map_err(|source| CommandError::Unreadable { what, source })
    }

    /// The answer to a question, one line.
    pub(super) async fn ask(&mut self, question: &'static str) -> Result<String, CommandError> {
        // Not to standard output: it may be going into a file.
        let _ = io::stderr().lock().write_all(question.as_bytes());
        let mut line = Vec::new();
        let read = (&mut self.0).take(INPUT_BYTES_MAX).read_until(b'\n', &mut line).await;
        read.map_err(|source| CommandError::Unreadable { what: "standard input".to_owned(), source })?;
        let line = String::from_utf8(line).map_err(|_| CommandError::NotText("the answer".to_owned()))?;
        let answer = line.trim_end_matches(['\n', '\r']);
        if answer.is_empty() {
            Err(CommandError::NoAnswer(question.trim_end()))
        } else {
            Ok(answer.to_owned())
        }
    }

    /// The answer to a question, which a terminal does not show.
    pub(super) async fn ask_hidden(
        &mut self,
        question: &'static str,
    ) -> Result<Secret<String>, CommandError> {
        let mut signals = Signals::catch().map_err(CommandError::Runtime)?;
        let mut silence = Silence::begin();
        if silence.is_none() {
            return self.ask(question).await.map(Secret::new);
        }
        let mut stops = Stops::take().map_err(CommandError::Runtime)?;
        let answer = {
            let mut asked = pin!(self.ask(question));
            loop {
                tokio::select! {
                    answer = &mut asked => break answer.map(Secret::new),
                    signal = signals.next() => break Err(CommandError::Interrupted(signal.as_raw_value())),
                    () = stops.next() => {
                        // Whoever gets the terminal meanwhile wants to see what they type.
                        drop(silence.take());
                        signals::stop();
                        silence = Silence::begin();
                        let _ = io::stderr().lock().write_all(question.as_bytes());
                    }
                }
            }
        };
        // The answer's own line end was not shown either.
        let _ = io::stderr().lock().write_all(b"\n");
        answer
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence(Termios);

impl Silence {
    /// `None` where standard input is no terminal.
    fn begin() -> Option<Self> {
        let stdin = io::stdin();
        let before = if stdin.is_terminal() { tcgetattr(&stdin).ok()? } else { return None };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // There is nothing to be done about a terminal that went away.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
