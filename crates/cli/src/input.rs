//! What comes from outside: files, standard input, and answers to questions.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::str::FromStr;

use base::{Explain, Kind, Secret};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin};

use crate::signals::{self, Signals, Stops};

/// The largest file or answer that is taken, in bytes: far more than a key or a password has.
const INPUT_BYTES_MAX: u64 = 1 << 20;

/// What was to come from outside did not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// A file, or standard input, is unreadable.
    #[error("could not read {what}")]
    Unreadable {
        /// The file.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something that should be text is none.
    #[error("{0} is not UTF-8")]
    NotText(String),
    /// A question had no answer.
    #[error("there was no answer to `{0}`")]
    NoAnswer(&'static str),
    /// Somebody ended the program at a question.
    #[error("ended by signal {0}")]
    Interrupted(i32),
    /// The system refuses what every program needs.
    #[error("could not start")]
    Runtime(#[source] io::Error),
}

impl InputError {
    /// The exit code where a signal ended it.
    pub(crate) fn interrupted(&self) -> Option<u8> {
        match self {
            Self::Interrupted(signal) => Some(signals::exit_code(*signal)),
            Self::Unreadable { .. } | Self::NotText(_) | Self::NoAnswer(_) | Self::Runtime(_) => None,
        }
    }
}

impl Explain for InputError {
    fn kind(&self) -> Kind {
        match self {
            // The input is not there: no server that would be later (sysexits.h, EX_NOINPUT).
            Self::Unreadable { .. } => Kind::NotFound,
            Self::Interrupted(_) | Self::Runtime(_) => Kind::Unavailable,
            Self::NotText(_) | Self::NoAnswer(_) => Kind::Invalid,
        }
    }
}

/// A file to read, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum File {
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
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Standard input: answers first, and then whatever else there is.
pub(crate) struct Input(BufReader<Stdin>);

impl Input {
    pub(crate) fn new() -> Self {
        Self(BufReader::new(tokio::io::stdin()))
    }

    /// All of `file`.
    pub(crate) async fn read(&mut self, file: &File) -> Result<Vec<u8>, InputError> {
        self.read_up_to(file, INPUT_BYTES_MAX).await
    }

    /// The same of one that may have `bytes_max` bytes.
    pub(crate) async fn read_up_to(&mut self, file: &File, bytes_max: u64) -> Result<Vec<u8>, InputError> {
        let mut bytes = Vec::new();
        let read = match file {
            File::StandardInput => (&mut self.0).take(bytes_max + 1).read_to_end(&mut bytes).await,
            File::Path(path) => {
                let read = async {
                    tokio::fs::File::open(path).await?.take(bytes_max + 1).read_to_end(&mut bytes).await
                };
                read.await
            }
        };
        let read = read.and_then(|_| match u64::try_from(bytes.len()) {
            Ok(length) if length <= bytes_max => Ok(bytes),
            _ => Err(io::Error::other("it is too large")),
        });
        read.map_err(|source| InputError::Unreadable { what: file.to_string(), source })
    }

    /// All of `file`, which is text.
    pub(crate) async fn text(&mut self, file: &File) -> Result<String, InputError> {
        String::from_utf8(self.read(file).await?).map_err(|_| InputError::NotText(file.to_string()))
    }

    /// The answer to a question, one line.
    pub(crate) async fn ask(&mut self, question: &'static str) -> Result<String, InputError> {
        // Not to standard output: it may be going into a file.
        let _ = io::stderr().lock().write_all(question.as_bytes());
        let mut line = Vec::new();
        let read = (&mut self.0).take(INPUT_BYTES_MAX).read_until(b'\n', &mut line).await;
        read.map_err(|source| InputError::Unreadable { what: "standard input".to_owned(), source })?;
        let line = String::from_utf8(line).map_err(|_| InputError::NotText("the answer".to_owned()))?;
        let answer = line.trim_end_matches(['\n', '\r']);
        if answer.is_empty() { Err(InputError::NoAnswer(question.trim_end())) } else { Ok(answer.to_owned()) }
    }

    /// The answer to a question, which a terminal does not show.
    pub(crate) async fn ask_hidden(&mut self, question: &'static str) -> Result<Secret<String>, InputError> {
        let mut signals = Signals::catch().map_err(InputError::Runtime)?;
        let mut silence = Silence::begin();
        if silence.is_none() {
            return self.ask(question).await.map(Secret::new);
        }
        let mut stops = Stops::take().map_err(InputError::Runtime)?;
        let answer = {
            let mut asked = pin!(self.ask(question));
            loop {
                tokio::select! {
                    answer = &mut asked => break answer.map(Secret::new),
                    signal = signals.next() => break Err(InputError::Interrupted(signal.as_raw_value())),
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
