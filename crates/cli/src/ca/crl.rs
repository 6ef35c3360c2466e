//! `provost ca crl`: what was revoked, on disk.

use std::path::PathBuf;

use base::{Timestamp, hex};
use clap::Args;
use serde_json::{Value, json};
use x509::Crl;

use super::error::CaCommandError;
use super::session::Session;
use crate::holder::{Collection, update_lists};
use crate::kept_file::place_of;
use crate::output;
use crate::table::Table;

#[derive(Debug, Args)]
#[command(
    after_long_help = "A list is kept where a trusted CA certificate signed it and none that is later is there already. The files \
        are PEM, as caucase's clients have them."
)]
pub(super) struct List {
    /// Where the lists go: a file, or a folder with one in each [default: cas.crl.pem, or cau.crl.pem for users, in the working
    /// directory]
    #[arg(long, value_name = "FILE|DIR")]
    crl: Option<PathBuf>,
}

impl List {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let authority = session.authority();
        let path = self.crl.unwrap_or_else(|| PathBuf::from(format!("{authority}.crl.pem")));
        let held = Collection::<Crl>::at(&path);
        // Before anything is written. In a folder, each has files of its own.
        if !held.is_folder() && place_of(&path) == place_of(session.store().path()) {
            return Err(CaCommandError::Usage(format!(
                "--crl and --ca are the same file, {}, and either would replace the other",
                path.display()
            )));
        }
        let server = session.server()?;
        let trusted = session.trusted(&server).await?;
        let now = session.now();
        let revoked = update_lists(&server, authority, &held, &trusted.certificates).await?;
        if session.wants_json() {
            let lists: Vec<Value> = revoked.lists.iter().map(|list| as_json(list, now)).collect();
            let document =
                json!({"path": path.display().to_string(), "is_new": revoked.is_new, "lists": lists});
            return session.print(&(crate::view::json(&document) + "\n"));
        }
        let what = if revoked.is_new { "was brought up to date" } else { "is as it was" };
        output::note(format_args!("{} {what}", path.display()));
        let head = ["AUTHORITY", "NUMBER", "REVOKED", "AGE", "NEXT"];
        let columns_max = session.screen.size().map(|size| size.columns);
        let mut table = Table::new(&head, session.screen.is_colourful(), columns_max);
        let rows: Vec<Vec<String>> = revoked.lists.iter().map(|list| row(list, now)).collect();
        session.print(&table.rows(&rows))
    }
}

fn authority(list: &Crl) -> String {
    list.authority_key_id().map(hex::encode).unwrap_or_default()
}

fn row(list: &Crl, now: Timestamp) -> Vec<String> {
    let next = if list.next_update() < now {
        format!("overdue for {}", now - list.next_update())
    } else {
        format!("in {}", list.next_update() - now)
    };
    vec![
        authority(list),
        list.number().to_string(),
        list.entries().len().to_string(),
        (now - list.this_update()).to_string(),
        next,
    ]
}

fn as_json(list: &Crl, now: Timestamp) -> Value {
    json!({
        "authority": authority(list),
        "number": list.number(),
        "this_update": list.this_update().to_string(),
        "next_update": list.next_update().to_string(),
        "age_seconds": (now - list.this_update()).as_seconds(),
        "revoked": list.entries().iter().map(|entry| entry.serial.to_string()).collect::<Vec<_>>(),
    })
}
