//! `provost ca renew`: a certificate that is due gets a successor, and its key, too.

use std::path::PathBuf;

use base::Span;
use clap::Args;
use serde_json::json;
use x509::verify;

use super::error::CaCommandError;
use super::key_file::refuse_exposed;
use super::key_kind::KeyFormat;
use super::request::revoked;
use super::session::Session;
use super::shown::{certificate_json, certificate_line};
use crate::holder::renewal::{due_at, is_due, make_in_place, renew_with, spec_of};
use crate::holder::{HolderError, Pair};

#[derive(Debug, Args)]
#[command(
    after_long_help = "The new key is of the same kind and written in the same form as the one before it. Both are replaced \
        together: whoever is interrupted finds the old pair or the new one. The old certificate stays valid; it is not revoked."
)]
pub(super) struct Renew {
    /// The certificate; its key may be in the same file
    file: PathBuf,
    /// The file of the key, where that is another one
    key: Option<PathBuf>,
    /// Renew it also where it is not due
    #[arg(long)]
    force: bool,
    /// It is due when so many days are left, which may be a fraction
    #[arg(long, value_name = "DAYS", default_value = "31", value_parser = days)]
    threshold: Span,
    /// The length of a new RSA key [default: that of the one before it, or 2048]
    #[arg(long, value_name = "BITS", value_parser = bits)]
    rsa_bits: Option<u32>,
}

/// A number of days.
pub(super) fn days(text: &str) -> Result<Span, String> {
    let days = text.parse().ok().filter(|days: &f64| *days >= 0.0).and_then(Span::days_f64);
    days.ok_or_else(|| "it is a number of days".to_owned())
}

fn bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (2048 | 3072 | 4096)) => Ok(bits),
        _ => Err("it is 2048, 3072 or 4096".to_owned()),
    }
}

impl Renew {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let pair =
            Pair { key: self.key.clone().unwrap_or_else(|| self.file.clone()), certificate: self.file };
        // Before it is read: nobody else is to have made anything of it.
        for path in [&pair.certificate, &pair.key] {
            if self.key.is_none() || path == &pair.key {
                refuse_exposed(path)?;
            }
        }
        pair.recover()?;
        let current = pair.load()?;
        refuse_exposed(&current.key_path)?;
        let now = session.now();
        if current.certificate.not_after() < now {
            let (key, certificate) = (current.key_path.display(), pair.certificate.display());
            return Err(CaCommandError::Over {
                since: current.certificate.not_after(),
                advice: format!(
                    "it cannot be renewed any more; `provost ca request --key {key} --out {certificate} --name …` asks for a new one, \
                     with a new key in the place of this one"
                ),
                path: pair.certificate,
            });
        }
        let server = session.server()?;
        let trusted = session.trusted(&server).await?;
        let not_valid = |source| CaCommandError::NotValid { path: pair.certificate.clone(), source };
        verify(&current.certificate, &trusted.certificates, now).map_err(not_valid)?;
        if !self.force && !is_due(&current.certificate, self.threshold, now) {
            let due = due_at(&current.certificate, self.threshold);
            let document = json!({"renewed": false, "due": due.to_string(), "certificate": certificate_json(&current.certificate)});
            let line =
                format!("{} is not due before {due}; --force renews it now", pair.certificate.display());
            return session.tell(&document, line);
        }
        let write = KeyFormat::of(&current).writer();
        let spec = renewed_spec(&current.certificate, self.rsa_bits);
        let key = make_in_place(spec).await.map_err(HolderError::from)?;
        let authority = session.authority();
        let renewed =
            renew_with(&server, authority, &pair, &current, &trusted.certificates, &key, write, now).await;
        let renewed = renewed.map_err(|error| match error {
            HolderError::Ask(error) if error.is_revoked() => {
                revoked(&current.certificate, &pair.certificate, Some(&current.key_path))
            }
            error => error.into(),
        })?;
        let line = format!("{} has {}", pair.certificate.display(), certificate_line(&renewed, now));
        session.tell(&json!({"renewed": true, "certificate": certificate_json(&renewed)}), line)
    }
}

/// The kind of key that follows that of `certificate`.
pub(super) fn renewed_spec(certificate: &x509::Certificate, rsa_bits: Option<u32>) -> x509::KeySpec {
    let bits = rsa_bits.unwrap_or(match certificate.public_key().kind() {
        x509::KeyKind::Rsa { bits: bits @ (3072 | 4096) } => *bits,
        _ => 2048,
    });
    spec_of(certificate, bits)
}
