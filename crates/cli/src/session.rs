//! One run of a command: what it was told, whom it asks, where it writes.

use std::path::PathBuf;

use base::{names_a_secret, tells_a_secret};
use clap::Args;
use client::{Answer, Client, Condition, Endpoint, Listening, Request, Unreachable, v1};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wire::rules::HIDDEN;

use crate::client_file::ClientFile;
use crate::connection::Connection;
use crate::error::CommandError;
use crate::input::Input;
use crate::output;
use crate::screen::Screen;
use crate::view;

/// What every command takes.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// What commands take that change something.
#[derive(Debug, Default, Args)]
pub(crate) struct DryRun {
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// The options that are not shown then, whatever they are
    #[arg(skip)]
    hidden: Vec<String>,
}

impl DryRun {
    /// Where nothing is sent, the options `names` are not shown.
    pub(crate) fn hiding(self, names: Vec<String>) -> Self {
        Self { hidden: names, ..self }
    }
}

/// What commands take that change what is there.
#[derive(Debug, Default, Args)]
pub(crate) struct Change {
    #[command(flatten)]
    pub(crate) dry_run: DryRun,
    /// Change nothing unless it still has this version, which `show` tells
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
}

impl Change {
    /// `request` under the condition that was named.
    pub(crate) fn condition(&self, request: Request) -> Request {
        match &self.if_match {
            // `*` is any version. Shells take the quotes away.
            Some(tag) if tag == "*" || tag.contains('"') => request.if_so(Condition::Is(tag.clone())),
            Some(tag) => request.if_so(Condition::Is(format!("\"{tag}\""))),
            None => request,
        }
    }

    /// Whether a version was named.
    pub(crate) fn has_condition(&self) -> bool {
        self.if_match.is_some()
    }
}

/// One run of a command.
pub(crate) struct Session {
    options: Options,
    data: Option<PathBuf>,
    client: Option<Client>,
    /// What the client file said when the client was made.
    file: ClientFile,
    /// The endpoints of which it was said that they cannot be reached.
    missed: Vec<Endpoint>,
    pub(crate) input: Input,
    pub(crate) screen: Screen,
}

impl Session {
    /// `data` is where this machine's server keeps its data when `options` do not say.
    pub(crate) fn new(options: Options, data: Option<PathBuf>) -> Self {
        Self {
            options,
            data,
            client: None,
            file: ClientFile::default(),
            missed: Vec::new(),
            input: Input::new(),
            screen: Screen::of_process(),
        }
    }

    /// Whether JSON is wanted.
    pub(crate) fn wants_json(&self) -> bool {
        self.options.json
    }

    /// The name of a user whose password is going to be asked for.
    pub(crate) fn prompts_for(&self) -> Option<&str> {
        self.options.connection.prompts_for()
    }

    /// The answer to `request`, if it is a success, or 304.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Answer, CommandError> {
        let (client, goes_on) = self.client().await?;
        success(request, client.send(request, goes_on).await?)
    }

    /// The events that `request` asks for, or another answer, if it is a success.
    pub(crate) async fn listen(&mut self, request: &Request) -> Result<Listening, CommandError> {
        let (client, goes_on) = self.client().await?;
        match client.listen(request, goes_on).await? {
            Listening::Answer(answer) => success(request, answer).map(Listening::Answer),
            events @ Listening::Events(_) => Ok(events),
        }
    }

    /// Who asks, and who is told that it goes on to another endpoint.
    async fn client(&mut self) -> Result<(&Client, impl FnMut(&Unreachable, &Endpoint)), CommandError> {
        if self.client.is_none() {
            self.file = self.options.connection.file(self.data.as_deref())?;
            self.client = Some(self.options.connection.client(&self.file, &mut self.input).await?);
        }
        let client = self.client.as_ref().expect("it was made above");
        let missed = &mut self.missed;
        let goes_on = |from: &Unreachable, to: &Endpoint| {
            // Once for each: who watches asks for hours.
            if !missed.contains(&from.endpoint) {
                let what = if from.is_silent { "does not answer" } else { "cannot be reached" };
                output::note(format_args!("note: {} {what}; asking {to}", from.endpoint));
                missed.push(from.endpoint.clone());
            }
        };
        Ok((client, goes_on))
    }

    /// For whoever asks for hours: from now on as the client file says, if that is something else by now. One that
    /// cannot be read for the moment, or says nothing, because somebody is writing it, is as it was.
    pub(crate) async fn look_into_client_file(&mut self) -> Result<(), CommandError> {
        let Ok(file) = self.options.connection.file(self.data.as_deref()) else { return Ok(()) };
        if self.client.is_some() && file != self.file && file != ClientFile::default() {
            output::note("note: the client file says something else now, and is followed");
            self.client = Some(self.options.connection.client(&file, &mut self.input).await?);
            self.file = file;
            self.missed.clear();
        }
        Ok(())
    }

    /// For the same: presents from now on what is in the files by now, where nobody has to type anything for it and all of
    /// it can be read. A certificate is renewed while its file keeps its name.
    pub(crate) async fn renew_client(&mut self) {
        let Ok(file) = self.options.connection.file(self.data.as_deref()) else { return };
        if self.options.connection.asks_for_password(&file) {
            return;
        }
        if let Ok(client) = self.options.connection.client(&file, &mut self.input).await {
            (self.client, self.file) = (Some(client), file);
        }
    }

    /// The answer to a `request` that changes something; none where that was only to be looked at.
    pub(crate) async fn change(
        &mut self,
        request: &Request,
        dry_run: &DryRun,
    ) -> Result<Option<Answer>, CommandError> {
        if !dry_run.dry_run {
            return self.ask(request).await.map(Some);
        }
        let hidden = &dry_run.hidden;
        self.print(&if self.wants_json() {
            planned_json(request, hidden)
        } else {
            planned(request, hidden)
        })?;
        Ok(None)
    }

    /// Prints what a change led to: the thing itself as JSON, or else a line about it, on standard error.
    pub(crate) fn tell<T: Serialize + DeserializeOwned>(
        &self,
        answer: &Answer,
        line: impl FnOnce(&T) -> String,
    ) -> Result<(), CommandError> {
        let thing: T = v1::read(answer)?;
        if self.wants_json() {
            return self.print(&(view::json(&thing) + "\n"));
        }
        output::note(line(&thing));
        Ok(())
    }

    /// Writes `text` to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<(), CommandError> {
        output::data(text).map_err(CommandError::Output)
    }
}

fn success(request: &Request, answer: Answer) -> Result<Answer, CommandError> {
    match answer.status {
        200..=299 | 304 => Ok(answer),
        _ => Err(CommandError::refusal(request, &answer)),
    }
}

/// What would be sent, for people.
fn planned(request: &Request, hidden: &[String]) -> String {
    let condition = match condition(request) {
        Some((name, value)) => format!("{name}: {value}\n"),
        None => String::new(),
    };
    let body =
        request.body().map(|body| format!("{:#}\n", without_secrets(body, hidden))).unwrap_or_default();
    format!("{} {}\n{condition}{body}", request.method(), request.path())
}

fn planned_json(request: &Request, hidden: &[String]) -> String {
    let mut document = json!({"method": request.method().as_str(), "path": request.path()});
    if let Some((name, value)) = condition(request) {
        document["headers"] = json!({name: value});
    }
    if let Some(body) = request.body() {
        document["body"] = without_secrets(body, hidden);
    }
    format!("{document}\n")
}

fn condition(request: &Request) -> Option<(&'static str, &str)> {
    Some(match request.condition()? {
        Condition::Is(tag) => ("If-Match", tag),
        Condition::IsNot(tag) => ("If-None-Match", tag),
        Condition::Absent => ("If-None-Match", "*"),
    })
}

/// `body` with secrets hidden, however deep they lie: a host's key, those options that the server takes for secret, and
/// those called `hidden`.
fn without_secrets(body: &Value, hidden: &[String]) -> Value {
    let mut body = body.clone();
    if let Some(key) = body.get_mut("ssh_private_key") {
        *key = HIDDEN.into();
    }
    // A requirer's webhook has one; the `secret` of one in Kubernetes says what kind of object it is.
    if let Some(secret) = body.pointer_mut("/place/secret").filter(|secret| secret.is_string()) {
        *secret = HIDDEN.into();
    }
    if let Some(options) = body.get_mut("options") {
        for name in hidden {
            if let Some(option) = options.get_mut(name) {
                *option = HIDDEN.into();
            }
        }
        hide_secrets(options);
    }
    body
}

fn hide_secrets(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if names_a_secret(name) {
                    *value = HIDDEN.into();
                } else {
                    hide_secrets(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        Value::String(text) if tells_a_secret(text) => *value = HIDDEN.into(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use wire::{NewHost, NewNetwork};

    use super::*;

    #[test]
    fn a_plan_shows_everything_but_secrets() {
        let name = "a".parse().unwrap();
        let key = Some(base::Secret::new("hunter2".to_owned()));
        let host = NewHost { ssh_private_key: key, cluster: Some("web".into()), ..NewHost::default() };
        let add = v1::add_host(&name, &host).if_so(Condition::Absent);
        assert_eq!(
            planned(&add, &[]),
            "PUT /v1/hosts/a\nIf-None-Match: *\n{\n  \"cluster\": \"web\",\n  \"ssh_private_key\": \"********\"\n}\n"
        );
        let network: NewNetwork = serde_json::from_value(json!({
            "kind": "flannel_server",
            "options": {
                "address": "a:1", "token": "hunter2", "tls_key_file": "hunter2", "clientSecret": "hunter2",
                "backends": [{"url": "b:2", "password": "hunter2"}], "tls": {"key": {"pem": "hunter2"}},
                "conf": "token: hunter2", "auth": "{\"x\": {\"password\": \"hunter2\"}}", "server": "https://a:hunter2@b",
            }
        }))
        .unwrap();
        let shown = planned_json(&v1::put_network(&name, &network), &["conf".to_owned()]);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains(r#""address":"a:1""#) && shown.contains(r#""url":"b:2""#), "{shown}");
        let place =
            wire::TrustPlace::Webhook { url: "https://a".into(), secret: Some("hunter2".into()), ca: None };
        let webhook = v1::trust::put_requirer(&name, &wire::NewTrustRequirer { place, why: None });
        let shown = planned_json(&webhook, &[]);
        assert!(!shown.contains("hunter2") && shown.contains("https://a"), "{shown}");
        for (tag, sent) in [("7", "\"7\""), ("\"7\"", "\"7\""), ("*", "*")] {
            let change = Change { if_match: Some(tag.into()), ..Change::default() };
            let planned = planned(&change.condition(v1::remove_host(&name)), &[]);
            assert_eq!(planned, format!("DELETE /v1/hosts/a\nIf-Match: {sent}\n"));
        }
    }
}
