//! `provost ca list` and `provost ca show`: what was asked for.

use clap::Args;
use serde_json::{Value, json};
use x509::SigningRequest;

use super::error::CaCommandError;
use super::key_kind::kind_name;
use super::obtain::request_id;
use super::session::Session;
use super::shown::{joined, names, request_details, request_json, subject};
use crate::table::{Table, details};

#[derive(Debug, Args)]
#[command(after_long_help = "Only users may see this list.")]
pub(super) struct List {}

impl List {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let server = session.server_for_user()?;
        session.refuse_unpinned(&server).await?;
        let pending = server.pending(session.authority()).await?;
        // What cannot be read is listed nevertheless: somebody has to reject it.
        let read = pending.iter().map(|one| (one, SigningRequest::from_pem(one.csr.as_bytes())));
        if session.wants_json() {
            let all: Vec<Value> = read
                .map(|(one, request)| {
                    let mut document = match request {
                        Ok(request) => request_json(&request),
                        Err(error) => json!({"unreadable": error.to_string()}),
                    };
                    document["id"] = one.id.clone().into();
                    document
                })
                .collect();
            return session.print(&(crate::view::json(&all) + "\n"));
        }
        let rows: Vec<Vec<String>> = read
            .map(|(one, request)| match request {
                Ok(request) => vec![
                    one.id.clone(),
                    subject(request.subject()),
                    joined(&names(request.extensions())),
                    kind_name(request.public_key().kind()),
                ],
                Err(error) => vec![one.id.clone(), format!("unreadable: {error}"), "-".into(), "-".into()],
            })
            .collect();
        if rows.is_empty() {
            crate::output::note("no request waits");
        }
        let screen = session.screen;
        let columns_max = screen.size().map(|size| size.columns);
        let mut table = Table::new(&["ID", "SUBJECT", "NAMES", "KEY"], screen.is_colourful(), columns_max);
        session.print(&table.rows(&rows))
    }
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The number of the request
    #[arg(value_parser = request_id)]
    id: String,
    /// Print the request itself, PEM
    #[arg(long, conflicts_with = "json")]
    pem: bool,
}

impl Show {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CaCommandError> {
        let server = session.server()?;
        session.refuse_unpinned(&server).await?;
        let authority = session.authority();
        let id = &self.id;
        let pem = server.request(authority, id).await.map_err(|error| match error.status() {
            Some(404) => CaCommandError::Unknown { id: id.clone(), memory: None },
            _ => error.into(),
        })?;
        let request = SigningRequest::from_pem(&pem)
            .map_err(|source| CaCommandError::NotARequest { id: id.clone(), source })?;
        if self.pem {
            return session.print(&request.to_pem());
        }
        let state = match server.certificate(authority, id).await {
            Ok(_) => "issued",
            Err(error) if error.status() == Some(404) => "pending",
            Err(error) => return Err(error.into()),
        };
        if session.wants_json() {
            let mut document = request_json(&request);
            document["id"] = id.clone().into();
            document["state"] = state.into();
            document["csr"] = request.to_pem().into();
            return session.print(&(crate::view::json(&document) + "\n"));
        }
        let mut pairs = vec![("id", id.clone()), ("state", state.to_owned())];
        pairs.extend(request_details(&request));
        session.print(&details(&pairs, None))
    }
}
