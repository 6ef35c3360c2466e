//! Passphrases, asked on the terminal and not shown there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};

use base::Secret;
use engine::Tasks;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

/// The longest passphrase.
const BYTES_MAX: u64 = 4096;

/// Asks `question` on the terminal of this process, or on standard input where it has none; an answer that never comes is
/// an empty one.
pub async fn ask(question: &str) -> io::Result<Secret<Vec<u8>>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok();
    let Some(mut terminal) = terminal else {
        // Not to standard output: it may be going into a file.
        io::stderr().write_all(question.as_bytes())?;
        return Tasks::new().compute(|| line(io::stdin().lock())).await;
    };
    let silence = Silence::begin(terminal.try_clone()?);
    terminal.write_all(question.as_bytes())?;
    let reading = terminal.try_clone()?;
    let tasks = Tasks::new();
    let answer = tokio::select! {
        answer = tasks.compute(move || line(BufReader::new(reading))) => answer,
        _ = interrupt.recv() => {
            drop(silence);
            let _ = terminal.write_all(b"\n");
            // Somebody is still reading, and would be waited for.
            std::process::exit(128 + SignalKind::interrupt().as_raw_value());
        }
    };
    drop(silence);
    // The answer's own line end was not shown either.
    terminal.write_all(b"\n")?;
    answer
}

/// One line, without its end.
fn line(input: impl io::BufRead) -> io::Result<Secret<Vec<u8>>> {
    // Enough from the start: growing would leave copies behind.
    let mut line = Secret::new(Vec::with_capacity(usize::try_from(BYTES_MAX).unwrap_or_default()));
    input.take(BYTES_MAX).read_until(b'\n', line.expose_mut())?;
    while line.expose().last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.expose_mut().pop();
    }
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence(File, Option<Termios>);

impl Silence {
    fn begin(terminal: File) -> Self {
        let before = tcgetattr(&terminal).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            // What was typed before is kept: a script may type ahead of the questions.
            let _ = tcsetattr(&terminal, OptionalActions::Drain, &silent);
        }
        Self(terminal, before)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.1 {
            // There is nothing to be done about a terminal that went away.
            let _ = tcsetattr(&self.0, OptionalActions::Drain, before);
        }
    }
}
