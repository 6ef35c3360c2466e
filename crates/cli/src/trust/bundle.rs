//! `provost trust bundle`: what a requirer is to have, once.

use std::path::PathBuf;

use clap::Args;
use client::Segment;
use client::v1::{self, trust};
use wire::TrustBundle;

use super::error::TrustCommandError;
use crate::kept_file::{KeptFile, NewFile};
use crate::output;
use crate::session::Session;
use crate::table::counted;
use crate::view;

/// Whoever is to trust what a bundle has may read it.
pub(super) const NEW: NewFile = NewFile::Mode(0o644);

#[derive(Debug, Args)]
pub(super) struct Bundle {
    requirer: Segment,
    /// Write it into this file instead, which is replaced as a whole, and only if it is another one
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Bundle {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        let bundle: TrustBundle = v1::read(&session.ask(&trust::bundle(&self.requirer)).await?)?;
        let Some(path) = self.out else {
            let text = if session.wants_json() { view::json(&bundle) + "\n" } else { pem(&bundle) };
            session.print(&text)?;
            if bundle.certificates.is_empty() && !session.wants_json() {
                output::note(format_args!("requirer {} is to have no certificates", self.requirer));
            }
            return Ok(());
        };
        let unwritable = |source| TrustCommandError::File { path: path.clone(), source };
        let is_new = KeptFile::at(&path, NEW)
            .and_then(|file| file.make(pem(&bundle).as_bytes()))
            .map_err(unwritable)?;
        if session.wants_json() {
            session.print(&(view::json(&bundle) + "\n"))?;
        }
        let what = holding(&bundle);
        let how = if is_new { "now" } else { "as before" };
        output::note(format_args!("{} {what}, {how}", path.display()));
        Ok(())
    }
}

/// All of `bundle` as PEM. Nothing at all, where it has no certificates.
pub(super) fn pem(bundle: &TrustBundle) -> String {
    let lines = bundle.certificates.iter().map(|certificate| match certificate.ends_with('\n') {
        true => certificate.clone(),
        // Two certificates in one line are none.
        false => format!("{certificate}\n"),
    });
    lines.collect()
}

/// What a file with `bundle` is, in words.
pub(super) fn holding(bundle: &TrustBundle) -> String {
    match bundle.certificates.len() {
        0 => "is empty, as nothing is to be trusted".to_owned(),
        count => format!("has {}", counted(count as u64, "certificate")),
    }
}
