//! `provost ca approve` and `provost ca reject`: what becomes of requests.

use std::path::PathBuf;

use base::{Explain as _, report};
use clap::Args;
use serde_json::{Value, json};

use super::error::CaCommandError;
use super::obtain::request_id;
use super::request::read_request;
use super::session::Session;
use crate::output;

#[derive(Debug, Args)]
#[command(after_long_help = "Only users may do this. What was asked for is shown by `provost ca show ID`.")]
pub(super) struct Approve {
    /// The numbers of the requests
    #[arg(required = true, value_name = "ID", value_parser = request_id)]
    ids: Vec<String>,
    /// Certify what this signing request says, PEM, in place of what was asked for; the key stays the one of the request
    #[arg(long = "with", value_name = "TEMPLATE.csr")]
    template: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Only users may do this.")]
pub(super) struct Reject {
    /// The numbers of the requests
    #[arg(required = true, value_name = "ID", value_parser = request_id)]
    ids: Vec<String>,
}

impl Approve {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        // Once for all: names of one that all of them would get.
        if self.template.is_some() && self.ids.len() > 1 {
            return Err(CaCommandError::Usage("--with is for one request at a time".into()));
        }
        let template = self.template.as_deref().map(read_request).transpose()?.map(|one| one.to_pem());
        let server = session.server_for_user()?;
        session.refuse_unpinned(&server).await?;
        let authority = session.authority();
        let mut outcome = Outcome::default();
        for id in &self.ids {
            outcome.add(id, server.approve(authority, id, template.as_deref()).await);
        }
        outcome.tell(session, "approved")
    }
}

impl Reject {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let server = session.server_for_user()?;
        session.refuse_unpinned(&server).await?;
        let authority = session.authority();
        let mut outcome = Outcome::default();
        for id in &self.ids {
            outcome.add(id, server.reject(authority, id).await);
        }
        outcome.tell(session, "rejected")
    }
}

/// What became of each.
#[derive(Default)]
struct Outcome {
    done: Vec<String>,
    failed: Vec<(String, CaCommandError)>,
}

impl Outcome {
    fn add(&mut self, id: &str, result: Result<(), client::compat::caucase::AskError>) {
        match result {
            Ok(()) => self.done.push(id.to_owned()),
            Err(error) if error.status() == Some(404) => {
                self.failed.push((id.to_owned(), CaCommandError::NotWaiting { id: id.to_owned() }));
            }
            Err(error) => self.failed.push((id.to_owned(), error.into())),
        }
    }

    fn tell(mut self, session: &Session, what: &str) -> Result<(), CaCommandError> {
        let failures: Vec<Value> =
            self.failed.iter().map(|(id, error)| json!({"id": id, "why": report(error)})).collect();
        if !self.done.is_empty() || session.wants_json() {
            let line = format!("{what} {}", self.done.join(" "));
            session.tell(&json!({ what: self.done, "failed": failures }), line)?;
        }
        let all = self.done.len() + self.failed.len();
        // One alone says itself what went wrong.
        if all == 1 || self.failed.is_empty() {
            return self.failed.pop().map_or(Ok(()), |(_, error)| Err(error));
        }
        for (_, error) in &self.failed {
            output::error(report(error), error.help());
        }
        let failed = self.failed.len();
        let first = self.failed.into_iter().next().map(|(_, error)| error.kind());
        first.map_or(Ok(()), |kind| Err(CaCommandError::Several { failed, all, kind }))
    }
}
