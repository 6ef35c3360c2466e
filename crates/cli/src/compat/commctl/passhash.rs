//! `commctl passhash`: a hash for the server's list of users.

use base::{Entropy, Secret};
use bcrypt::Version;
use clap::Args;

use super::error::CommandError;
use crate::input::{File, Input};
use crate::output;

/// What bcrypt looks at; more would be ignored without a word.
const PASSWORD_BYTES_MAX: usize = 72;
/// The costliest hash that a server of ours compares; the original's takes as long as it takes.
const SERVER_ROUNDS_MAX: u32 = 16;

#[derive(Args)]
pub(super) struct Arguments {
    /// The password; everybody on this machine can see it while the command runs
    #[arg(short, long, conflicts_with = "file")]
    password: Option<String>,
    /// A file with the password; `-` for standard input. A line end behind it is not part of it
    #[arg(short, long)]
    file: Option<File>,
    /// Cost: each one more doubles the work. `provost` takes hashes of up to 16
    #[arg(short, long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(4..=31))]
    rounds: u32,
}

impl Arguments {
    /// The hash, as one line; asks for the password where it is not given.
    pub(super) async fn hash(self, input: &mut Input, entropy: &Entropy) -> Result<String, CommandError> {
        let password = match (self.password, &self.file) {
            (Some(password), _) => Secret::new(password.into_bytes()),
            (None, Some(file)) => Secret::new(without_line_end(input.read(file).await?)),
            (None, None) => Secret::new(input.ask_hidden("Password: ").await?.expose().clone().into_bytes()),
        };
        if let Some(warning) = warning(self.rounds) {
            // Before the hours that it may take.
            output::note(format_args!("commctl passhash: warning: {warning}"));
        }
        hash(password.expose(), self.rounds, entropy.bytes())
    }
}

/// What is to be said of so many rounds.
fn warning(rounds: u32) -> Option<String> {
    let is_too_costly = rounds > SERVER_ROUNDS_MAX;
    is_too_costly
        .then(|| format!("`provost` takes hashes of up to {SERVER_ROUNDS_MAX} rounds, and refuses this one"))
}

fn without_line_end(mut password: Vec<u8>) -> Vec<u8> {
    if password.last() == Some(&b'\n') {
        password.pop();
        if password.last() == Some(&b'\r') {
            password.pop();
        }
    }
    password
}

fn hash(password: &[u8], rounds: u32, salt: [u8; 16]) -> Result<String, CommandError> {
    if password.contains(&0) {
        return Err(CommandError::Password("the password has a NUL byte in it, where bcrypt stops looking"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(CommandError::Password("the password is longer than the 72 bytes that bcrypt looks at"));
    }
    let parts = bcrypt::hash_with_salt(password, rounds, salt)
        .map_err(|_| CommandError::Password("the cost is not between 4 and 31"))?;
    Ok(format!("{}\n", parts.format_for_version(Version::TwoA)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test vectors of OpenBSD's bcrypt, as jBCrypt has them.
    #[test]
    fn hashes_are_those_of_bcrypt() {
        for (password, hash_known) in [
            ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
            ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
            (
                "~!@#$%^&*()      ~!@#$%^&*()PNBFRD",
                "$2a$06$fPIsBO8qRqkjj273rfaOI.HtSV9jLDpTbZn782DC6/t7qT67P6FfO",
            ),
        ] {
            let salt = hash_known.parse::<bcrypt::HashParts>().unwrap().get_salt_raw();
            assert_eq!(hash(password.as_bytes(), 6, salt).unwrap(), format!("{hash_known}\n"));
        }
    }

    #[test]
    fn what_bcrypt_would_not_look_at_is_refused() {
        assert!(hash(&[b'a'; 72], 4, [0; 16]).is_ok());
        assert!(hash(&[b'a'; 73], 4, [0; 16]).is_err());
        assert!(hash(b"a\0b", 4, [0; 16]).is_err());
    }

    #[test]
    fn what_our_server_refuses_is_said() {
        for (rounds, is_said) in [(4, false), (16, false), (17, true), (31, true)] {
            assert_eq!(warning(rounds).is_some(), is_said, "{rounds}");
        }
    }

    #[test]
    fn one_line_end_is_not_part_of_the_password() {
        for (file, password) in
            [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\n\n", "a\n"), ("a ", "a "), ("\r", "\r")]
        {
            assert_eq!(without_line_end(file.into()), password.as_bytes());
        }
    }
}
