//! `provost cache withdraw`: takes back what was said.

use std::path::PathBuf;

use base::Sha512;
use clap::Args;
use entry::{Claims, new};
use serde_json::json;

use super::error::CacheCommandError;
use super::look::counted_entries;
use super::put::Own;
use super::session::{Names, Session, Wanted};
use super::signing_file::SigningFile;

/// What is taken back.
#[derive(Debug, Args)]
#[command(
    after_long_help = "What this key signed under a KEY does not count any more with those who know of withdrawals. \
    Nothing is removed, and old readers go on believing it."
)]
pub(crate) struct Withdraw {
    #[command(flatten)]
    names: Names,
    /// Only what was said of these bytes; repeatable
    #[arg(long, value_name = "SHA512", value_parser = digest)]
    sha512: Vec<Sha512>,
    /// What signed, and signs [default: ~/.config/provost/cache-sign-key.pem]
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
}

fn digest(text: &str) -> Result<Sha512, String> {
    Sha512::parse(text).ok_or_else(|| "it is 128 lower-case hexadecimal digits".to_owned())
}

impl Withdraw {
    pub(crate) async fn run(self, session: &Session) -> Result<(), CacheCommandError> {
        let signing = SigningFile::read(self.sign_key.as_deref())?;
        let caches = session.caches().await?;
        for (number, wanted) in self.names.all().iter().map(Wanted::key).enumerate() {
            let own = Own::under(&caches, &wanted, &signing).await?;
            let before = own.withdrawn();
            let withdrawn: Vec<_> = own
                .entries
                .iter()
                .filter(|(entry, attestation)| {
                    let digest = entry.statement().sha512();
                    !attestation.is_withdrawal()
                        && !before.contains(&entry.text_digest())
                        && (self.sha512.is_empty() || self.sha512.contains(&digest))
                })
                .map(|(entry, _)| entry)
                .collect();
            if withdrawn.is_empty() {
                return Err(CacheCommandError::NothingToWithdraw { key: wanted });
            }
            let claims = Claims {
                key: wanted.clone(),
                size: 0,
                created: session.clock.now(),
                expires: None,
                sequence: own.next_sequence(session.clock.now_milliseconds(), number),
                revokes: Vec::new(),
            };
            let entry =
                new::withdrawal(&claims, withdrawn.iter().copied(), &signing.attester, Some(&signing.outer))?;
            caches.entries.put(&wanted, &entry).await?;
            let digests: Vec<String> =
                withdrawn.iter().map(|entry| entry.text_digest().to_string()).collect();
            if session.options.json {
                session.tell(&json!({"key": wanted, "withdrawn": digests}), "")?;
            }
            session.note(&format!("withdrew {} under {wanted}", counted_entries(digests.len())));
        }
        Ok(())
    }
}
