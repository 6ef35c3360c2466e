//! `provost ca revoke`: nobody is to trust a certificate any more.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use x509::{Certificate, Serial};

use super::error::CaCommandError;
use super::key_file::refuse_exposed;
use super::session::Session;
use super::shown::certificate_line;
use crate::holder::{Pair, Pem};
use crate::input::InputError;
use crate::output;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Whoever holds the key of a certificate may revoke it. A user may revoke anybody's. It cannot be undone, so on a \
        terminal it is asked for confirmation; elsewhere --yes gives it. Those who keep revocation lists hear of it when they \
        fetch the next one."
)]
pub(super) struct Revoke {
    /// The certificate, which is yours; its key may be in the same file
    #[arg(required_unless_present_any = ["of", "serial"], conflicts_with_all = ["of", "serial"])]
    file: Option<PathBuf>,
    /// The file of the key, where that is another one
    key: Option<PathBuf>,
    /// As a user: the certificate in this file
    #[arg(long, value_name = "FILE", conflicts_with = "serial")]
    of: Option<PathBuf>,
    /// As a user: the certificate with this serial number, decimal, or hexadecimal behind 0x
    #[arg(long, value_name = "N", value_parser = serial)]
    serial: Option<Serial>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

fn serial(text: &str) -> Result<Serial, String> {
    let wrong =
        || "it is a positive number of at most 159 bits, decimal, or hexadecimal behind 0x".to_owned();
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return Serial::from_decimal(text).ok_or_else(wrong);
    };
    // As openssl prints it, too: with colons.
    let digits: String = digits.chars().filter(|one| *one != ':').collect();
    let digits = format!("{digits:0>40}").to_ascii_lowercase();
    let bytes = base::hex::decode(&digits).filter(|bytes| bytes.len() == 20).ok_or_else(wrong)?;
    Serial::from_decimal(&decimal(&bytes)).ok_or_else(wrong)
}

/// A number, big-endian, in decimal digits.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
}

impl Revoke {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let authority = session.authority();
        let serial = if let Some(serial) = &self.serial {
            let server = session.server_for_user()?;
            session.refuse_unpinned(&server).await?;
            self.confirm(session, &format!("the certificate with serial {serial}")).await?;
            server.revoke_serial(authority, serial).await?;
            *serial
        } else if let Some(path) = &self.of {
            let certificate = only_certificate(path)?;
            let server = session.server_for_user()?;
            session.refuse_unpinned(&server).await?;
            self.confirm(session, &told(path, &certificate, session)).await?;
            server.revoke(authority, &certificate).await?;
            certificate.serial()
        } else {
            let file = self.file.clone().ok_or_else(|| CaCommandError::Usage("FILE is needed".into()))?;
            let pair = Pair { key: self.key.clone().unwrap_or_else(|| file.clone()), certificate: file };
            pair.recover()?;
            let current = pair.load()?;
            refuse_exposed(&current.key_path)?;
            let server = session.server()?;
            session.refuse_unpinned(&server).await?;
            self.confirm(session, &told(&pair.certificate, &current.certificate, session)).await?;
            server.revoke_own(authority, &current.certificate, &current.key).await?;
            current.certificate.serial()
        };
        session.tell(&json!({"revoked": serial.to_string()}), format!("revoked serial {serial}"))
    }

    /// Asks whether `what` is to be revoked, where that was not said.
    async fn confirm(&self, session: &mut Session, what: &str) -> Result<(), CaCommandError> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(CaCommandError::Unconfirmed);
        }
        output::note(format_args!("about to revoke {what}; this cannot be undone"));
        match session.input.ask("Revoke it? [y/N] ").await {
            Ok(answer) if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
            Ok(_) | Err(InputError::NoAnswer(_)) => Err(CaCommandError::Unconfirmed),
            Err(error) => Err(error.into()),
        }
    }
}

/// A certificate, and the file that it is in.
fn told(path: &Path, certificate: &Certificate, session: &Session) -> String {
    format!("the certificate in {}: {}", path.display(), certificate_line(certificate, session.now()))
}

/// The one certificate in the file at `path`; its key may be there, too.
fn only_certificate(path: &Path) -> Result<Certificate, CaCommandError> {
    let mut found = Pem::read(path)?.certificates;
    let is_one = found.len() == 1;
    found.pop().filter(|_| is_one).ok_or_else(|| CaCommandError::Content {
        path: path.to_owned(),
        what: "there is not exactly one certificate in it",
        hint: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_decimal_or_hexadecimal() {
        for (text, expected) in [
            ("1", Some("1")),
            ("4660", Some("4660")),
            ("0x1234", Some("4660")),
            ("0x12:34", Some("4660")),
            ("0xff", Some("255")),
            (
                "0X7fffffffffffffffffffffffffffffffffffffff",
                Some("730750818665451459101842416358141509827966271487"),
            ),
            ("0", None),
            ("0x0", None),
            ("-1", None),
            ("12a", None),
            ("0x", None),
            ("0xgg", None),
        ] {
            assert_eq!(serial(text).ok().map(|one| one.to_string()).as_deref(), expected, "{text}");
        }
    }
}
