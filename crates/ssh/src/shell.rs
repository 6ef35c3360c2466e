//! What is written on the command line there.
//!
//! The user's login shell reads the line, whichever it is, so the line is only single-quoted words. All else is said
//! to a POSIX `sh`.

use std::time::Duration;

use crate::Command;
use crate::command::Text;

/// `sh` says this on standard error once sudo has let it run; what comes before it is sudo's own.
pub(crate) const MARK: &[u8] = b"\x02sudo let us in\x03";

/// The last line of a hidden script, by which it is known to be whole.
const LAST_LINE: &str = "# the script ends here";

/// Runs `$2` for at most `$1` seconds, where there is a `timeout` command; ours is the deadline that counts, this one
/// only sees that nothing is left behind.
const RUN: &str = "if command -v timeout >/dev/null 2>&1; then exec timeout -s KILL \"$1\" sh -c \"$2\"; fi; exec sh -c \"$2\"";

/// Reads a script from standard input and runs it, if it is whole.
const READ_AND_RUN: &str = "s=$(cat); case $s in *'# the script ends here') exec </dev/null; eval \"$s\";; \
     *) echo 'the script did not arrive whole' >&2; exit 125;; esac";

/// A line for the login shell, and what standard input gets.
pub(crate) struct Wrapped {
    pub(crate) line: String,
    pub(crate) stdin: Vec<u8>,
    /// Whether [`MARK`] tells where sudo ends and the command begins.
    pub(crate) through_sudo: bool,
}

/// `text` as one word for a POSIX shell, whatever is in it.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What to say there to run `command`; `is_root` says who signed in.
pub(crate) fn wrap(command: &Command, is_root: bool) -> Wrapped {
    let (text, stdin) = match &command.text {
        Text::Line(text) => {
            (text.as_str(), command.stdin.as_ref().map(|stdin| stdin.expose().clone()).unwrap_or_default())
        }
        Text::Hidden(script) => (READ_AND_RUN, format!("{}\n{LAST_LINE}\n", script.expose()).into_bytes()),
    };
    let through_sudo = !is_root && !command.as_user;
    // Later than ours, so that ours is the one that is told of.
    let limit = (command.deadline + Duration::from_secs(2)).as_secs() + 1;
    let text = quote(text);
    let line = if through_sudo {
        let run = quote(&format!("printf '\\002sudo let us in\\003' >&2; {RUN}"));
        format!("exec sudo -n sh -c {run} sh {limit} {text}")
    } else {
        format!("exec sh -c {} sh {limit} {text}", quote(RUN))
    };
    Wrapped { line, stdin, through_sudo }
}

/// Takes sudo's part off standard error.
pub(crate) enum Preamble {
    /// The mark was not seen yet: this is what was said so far.
    Sudo(Vec<u8>),
    /// The command speaks.
    Over,
}

impl Preamble {
    /// sudo does not say more than this before it lets a command run, or refuses.
    const MAX_BYTES: usize = 8 * 1024;

    pub(crate) fn new(through_sudo: bool) -> Self {
        if through_sudo { Self::Sudo(Vec::new()) } else { Self::Over }
    }

    /// What of `bytes` is for the command's standard error.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Self::Sudo(said) = self else { return bytes.to_vec() };
        said.extend_from_slice(bytes);
        if let Some(at) = said.windows(MARK.len()).position(|window| window == MARK) {
            said.drain(at..at + MARK.len());
        } else if said.len() <= Self::MAX_BYTES {
            return Vec::new();
        }
        let said = std::mem::take(said);
        *self = Self::Over;
        said
    }

    /// What sudo said if it never let the command run.
    pub(crate) fn refusal(&self) -> Option<String> {
        match self {
            Self::Sudo(said) => {
                let said = String::from_utf8_lossy(said);
                let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
                Some(lines.join("; ").chars().filter(|c| !c.is_control()).take(300).collect())
            }
            Self::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Secret;

    #[test]
    fn one_word_stays_one_word() {
        let check = |text: &str, expected: &str| assert_eq!(quote(text), expected);
        check("", "''");
        check("a b", "'a b'");
        check("it's $HOME", r"'it'\''s $HOME'");
    }

    #[test]
    fn a_secret_stays_off_the_line() {
        let hidden = wrap(&Command::hidden(Secret::new("echo hunter2".to_owned())), false);
        assert!(!hidden.line.contains("hunter2"));
        assert_eq!(hidden.stdin, b"echo hunter2\n# the script ends here\n");
        let fed = wrap(&Command::new("cat").stdin("hunter2"), true);
        assert!(!fed.line.contains("hunter2") && !fed.through_sudo);
        assert!(READ_AND_RUN.contains(&quote(LAST_LINE)));
    }

    #[test]
    fn only_who_is_not_root_needs_sudo() {
        let check = |command: &Command, is_root: bool, expected: bool| {
            let wrapped = wrap(command, is_root);
            assert_eq!(wrapped.through_sudo, expected);
            assert_eq!(wrapped.line.contains("sudo -n"), expected);
        };
        check(&Command::new("id"), true, false);
        check(&Command::new("id"), false, true);
        check(&Command::new("id").as_user(), false, false);
    }

    #[test]
    fn sudos_words_are_told_from_the_commands() {
        let check = |pieces: &[&[u8]], through: &str, refusal: Option<&str>| {
            let mut preamble = Preamble::new(true);
            let said: Vec<u8> = pieces.iter().flat_map(|piece| preamble.take(piece)).collect();
            assert_eq!(String::from_utf8(said).unwrap(), through);
            assert_eq!(preamble.refusal().as_deref(), refusal);
        };
        check(&[b"\x02sudo let ", b"us in\x03oops\n", b"more"], "oops\nmore", None);
        check(&[b"sudo: unable to resolve\n\x02sudo let us in\x03"], "sudo: unable to resolve\n", None);
        check(&[b"sudo: a password is ", b"required\n"], "", Some("sudo: a password is required"));
        check(&[], "", Some(""));
        let long = vec![b'x'; Preamble::MAX_BYTES + 1];
        check(&[&long], &"x".repeat(long.len()), None);
    }
}
