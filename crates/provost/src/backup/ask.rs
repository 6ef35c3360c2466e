//! Asking for a passphrase at the terminal, whatever standard input is.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use base::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::error::BackupError;

const INTERRUPT: u8 = 3;
const END: u8 = 4;
const DELETE: [u8; 2] = [8, 127];

/// The answer to `question`, which the terminal does not show.
pub fn ask(question: &str) -> Result<Secret<String>, BackupError> {
    let terminal =
        File::options().read(true).write(true).open("/dev/tty").map_err(|_| BackupError::NoTerminal)?;
    let answer = {
        let _silence = Silence::begin(&terminal).map_err(BackupError::Terminal)?;
        (&terminal).write_all(question.as_bytes()).map_err(BackupError::Terminal)?;
        line(&terminal)
    };
    let _ = (&terminal).write_all(b"\n");
    answer
}

/// What is typed up to the end of the line. The terminal leaves everything to us, so that a program that is interrupted
/// here does not leave it silent.
fn line(mut terminal: &File) -> Result<Secret<String>, BackupError> {
    let mut typed = Secret::new(Vec::new());
    let mut byte = [0];
    loop {
        match terminal.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BackupError::Terminal(error)),
        }
        match byte[0] {
            b'\n' | b'\r' => break,
            INTERRUPT | END => return Err(BackupError::Interrupted),
            byte if DELETE.contains(&byte) => {
                // A letter of several bytes goes as a whole.
                while typed.expose_mut().pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte => typed.expose_mut().push(byte),
        }
    }
    let text = std::str::from_utf8(typed.expose()).map_err(|_| BackupError::PassphraseIsNoText)?;
    Ok(Secret::new(text.to_owned()))
}

/// A terminal that shows nothing and reads no meaning into what is typed, until this is dropped.
struct Silence<'t> {
    terminal: &'t File,
    before: Termios,
}

impl Silence<'_> {
    fn begin(terminal: &File) -> io::Result<Silence<'_>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silence { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // There is nothing to be done about a terminal that went away.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
