//! `provost ca trust`: who is trusted, and from when on.

use base::{Explain as _, hex, report};
use clap::Args;
use serde_json::{Value, json};
use x509::Certificate;

use super::error::CaCommandError;
use super::session::Session;
use super::shown::{certificate_json, subject};
use crate::holder::{HolderError, PemFileError};
use crate::output;
use crate::table::Table;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Where nobody is trusted yet, --fingerprint says whom to trust; whoever runs the authority knows it: \
        `openssl x509 -noout -fingerprint -sha256`. Without it, the first who answers is trusted, and it is said who that was. From \
        then on, trust goes from each CA certificate to the next one that it stands for, and nobody else is believed.\n\n\
        Where somebody is trusted already, it is shown whom, with the certificates that followed. With --fingerprint, it is an \
        error when trust leads neither from that one to them, nor from them to it."
)]
pub(super) struct Trust {}

impl Trust {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let store = session.store();
        let before = store.load();
        if let Some(unreadable) = before.unreadable.into_iter().next() {
            return Err(unreadable.into());
        }
        let is_pinned = |all: &[Certificate]| {
            session.pin().is_none_or(|pin| all.iter().any(|one| one.fingerprint() == *pin))
        };
        let updated = match session.server() {
            Ok(server) => session.trusted(&server).await,
            Err(error) => Err(error),
        };
        let (all, is_first) = match &updated {
            Ok(trusted) => (&trusted.certificates, trusted.first.is_some()),
            // Whom this machine trusts can be told without anybody.
            Err(error) if !before.items.is_empty() && is_pinned(&before.items) && is_away(error) => {
                output::note(format_args!("note: {}; this is what was known before", report(error)));
                (&before.items, false)
            }
            Err(_) => return updated.map(drop),
        };
        if session.wants_json() {
            let document = json!({
                "path": store.path().display().to_string(),
                "is_first": is_first,
                "certificates": all.iter().map(certificate_json).collect::<Vec<Value>>(),
            });
            session.print(&(crate::view::json(&document) + "\n"))?;
        } else {
            if is_first {
                output::note(format_args!("{} trusts it now", store.path().display()));
            }
            session.print(&self.table(session, all))?;
        }
        updated.map(drop)
    }

    fn table(&self, session: &Session, all: &[Certificate]) -> String {
        let columns_max = session.screen.size().map(|size| size.columns);
        let head = ["SUBJECT", "FROM", "UNTIL", "FINGERPRINT"];
        let mut table = Table::new(&head, session.screen.is_colourful(), columns_max);
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|one| {
                let (from, until) = (one.not_before().to_string(), one.not_after().to_string());
                vec![subject(one.subject()), from, until, hex::encode(&one.fingerprint())]
            })
            .collect();
        table.rows(&rows)
    }
}

/// Whether it is about the way to the server, and not about what it says.
fn is_away(error: &CaCommandError) -> bool {
    match error {
        CaCommandError::Holder(HolderError::File(PemFileError::Missing(_))) => false,
        CaCommandError::Holder(error) => error.is_network(),
        error => matches!(error, CaCommandError::Connection(_)) && error.kind() == base::Kind::Invalid,
    }
}
