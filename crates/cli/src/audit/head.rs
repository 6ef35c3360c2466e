//! `provost audit head`: how far the history is linked.

use clap::Args;
use client::v1::{self, audit};
use wire::AuditHead;

use super::error::AuditCommandError;
use crate::output;
use crate::session::Session;
use crate::table::{counted, one_line};
use crate::view;

#[derive(Debug, Args)]
pub(super) struct ShowHead {}

impl ShowHead {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), AuditCommandError> {
        let head: AuditHead = v1::read(&session.ask(&audit::head()).await?)?;
        if session.wants_json() {
            return Ok(session.print(&(view::json(&head) + "\n"))?);
        }
        session.print(&format!("{}\n", one_line(&head.head)))?;
        let (links, events) = (counted(head.links, "link"), counted(head.events, "event"));
        let fingerprint = one_line(head.fingerprint.as_deref().unwrap_or("none yet"));
        output::note(format_args!("{links} with {events}, signed with the key {fingerprint}"));
        output::note(
            "hint: keep both where this server cannot change them, for `provost audit verify --head --key`",
        );
        Ok(())
    }
}
