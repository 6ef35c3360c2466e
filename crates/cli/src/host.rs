//! `provost host`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base::{Explain as _, Kind, Secret};
use clap::{Args, Subcommand};
use client::Segment;
use client::v1::{self, HostQuery};
use wire::{AcceptedKey, Credentials, Host, HostKeys, HostPatch, HostReport, Labels, NewHost};

use crate::error::CommandError;
use crate::input::File;
use crate::options::{Pair, once, pair};
use crate::output;
use crate::private_file::write_new;
use crate::session::{Change, DryRun, Session};
use crate::shown::Listed as _;
use crate::ssh;
use crate::view::{self, Watch};

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// List hosts: all, or those of which all that is said is true
    List(List),
    /// Show a host
    Show {
        address: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Add a host
    Add(Add),
    /// Say something about a host
    Label(Label),
    /// Forget a host; nothing is done at the host itself
    #[command(alias = "delete")]
    Remove {
        address: Segment,
        #[command(flatten)]
        change: Change,
    },
    /// Show how a host is doing, and what its container manager says of it
    Status {
        address: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Print the private key that lets the server into a host
    Credentials {
        address: Segment,
        /// Write it into this file instead, which must not be there yet and is for you alone
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show by which key a host is recognized, and accept the one that it offered instead
    AcceptKey(AcceptKey),
    /// Sign in at a host, with the key that the server keeps; the exit code is that of ssh
    Ssh(Ssh),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Hosts with this label; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<Pair>,
    /// Hosts with this status: new, investigating, bootstrapping, disassociated, active, failed or other
    #[arg(long)]
    status: Option<String>,
    /// Hosts of this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Hosts with this distribution, in lower case
    #[arg(long)]
    os: Option<String>,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its IP address, or its name
    address: Segment,
    /// The file with the private key to sign in with; `-` for standard input
    #[arg(long, value_name = "FILE")]
    key: Option<File>,
    /// Who to be there, on the host [default: root]; `--user` is who you are to Provost
    #[arg(long, value_name = "NAME")]
    remote_user: Option<String>,
    /// The cluster to join at once
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// What is to be remembered of it; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<Pair>,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Args)]
pub(crate) struct Label {
    address: Segment,
    /// KEY=VALUE for a label to have from now on, KEY- for one that is to go
    #[arg(required = true, value_name = "LABEL", value_parser = label_change)]
    changes: Vec<LabelChange>,
    #[command(flatten)]
    change: Change,
}

/// Without `--fingerprint` and `--yes` both keys are shown, and nothing is changed.
#[derive(Debug, Args)]
pub(crate) struct AcceptKey {
    address: Segment,
    /// Accept the offered key if it has this fingerprint, as `ssh-keygen -lf` prints it on the host
    #[arg(long, value_name = "SHA256:…", conflicts_with = "yes")]
    fingerprint: Option<String>,
    /// Accept whichever key it offered last
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    change: Change,
}

/// A label's key, and its value; none for one that is to go.
type LabelChange = (String, Option<String>);

#[derive(Debug, Args)]
pub(crate) struct Ssh {
    address: Segment,
    /// Options for ssh, or a command to run
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

fn label_change(text: &str) -> Result<LabelChange, String> {
    match (text.split_once('='), text.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        (None, Some(key)) if !key.is_empty() => Ok((key.to_owned(), None)),
        _ => Err("it is written KEY=VALUE, or KEY- to take it away".to_owned()),
    }
}

impl Command {
    /// Runs it; an SSH session that is still to be held is given back.
    pub(crate) async fn run(self, session: &mut Session) -> Result<Option<ssh::Session>, CommandError> {
        match self {
            Self::List(list) => list.run(session).await?,
            Self::Show { address, watch } => {
                view::one::<Host>(session, &v1::host(&address), &watch).await?;
            }
            Self::Add(add) => add.run(session).await?,
            Self::Label(label) => label.run(session).await?,
            Self::Remove { address, change } => {
                let request = change.condition(v1::remove_host(&address));
                if session.change(&request, &change.dry_run).await?.is_some() {
                    output::note(format_args!("forgot host {address}"));
                }
            }
            Self::Status { address, watch } => {
                view::one::<HostReport>(session, &v1::host_status(&address), &watch).await?;
            }
            Self::Credentials { address, out } => credentials(session, &address, out.as_deref()).await?,
            Self::AcceptKey(accept) => accept.run(session).await?,
            Self::Ssh(ssh) => {
                let found: Credentials = v1::read(&session.ask(&v1::host_credentials(&ssh.address)).await?)?;
                let key = Secret::new(found.ssh_private_key.expose().clone().into_bytes());
                let host = ssh.address.as_str();
                let there = ssh::Session::new(host, &found.remote_user, key, ssh.arguments)?;
                return Ok(Some(match session.ask(&v1::host_key(&ssh.address)).await {
                    Ok(answer) => there.knowing(&v1::read::<HostKeys>(&answer)?.pinned.public_key),
                    // Nobody has met it yet: ssh asks its user.
                    Err(error) if error.kind() == Kind::NotFound => there,
                    Err(error) => return Err(error),
                }));
            }
        }
        Ok(None)
    }
}

impl List {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let query = HostQuery { status: self.status, cluster: self.cluster, os: self.os, labels };
        let is_filtered = query != HostQuery::default();
        let none = if is_filtered { "no host matches what was asked for" } else { Host::NONE };
        view::selected::<Host>(session, &v1::hosts(&query), &self.watch, none).await
    }
}

impl Add {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        if let (Some(user), None) = (session.prompts_for(), &self.remote_user) {
            output::note(format_args!(
                "note: `--user {}` is who you are here, to Provost; whom it is to be on the host, `--remote-user` says",
                crate::table::one_line(user)
            ));
        }
        let key = match &self.key {
            Some(file) => Some(Secret::new(session.input.text(file).await?)),
            None => None,
        };
        let mut labels = Labels::new();
        for (key, value) in self.labels {
            let is_there = labels.contains_key(&key);
            once(&mut labels, is_there, key, value)?;
        }
        let new =
            NewHost { ssh_private_key: key, remote_user: self.remote_user, cluster: self.cluster, labels };
        let request = v1::add_host(&self.address, &new);
        let Some(answer) = session.change(&request, &self.dry_run).await? else { return Ok(()) };
        let address = self.address;
        session.tell(&answer, |host: &Host| match answer.status {
            201 => {
                format!("added host {address}; `provost host status {address} --watch` shows how far it is")
            }
            _ => there_already(&address, &new, host),
        })
    }
}

/// What is said when the host was there, with the same key and in the same cluster: of the rest nothing was changed.
fn there_already(address: &Segment, asked: &NewHost, host: &Host) -> String {
    let is_labelled = asked.labels.is_empty() || asked.labels == host.labels;
    let mut said = format!("host {address} is there already");
    match (is_labelled, &asked.remote_user) {
        (true, None) => said.push_str(", and the same"),
        (true, Some(_)) => said.push_str(", and its remote user stays as it was"),
        (false, user) => {
            let what = if user.is_some() { "its labels and its remote user stay" } else { "its labels stay" };
            said.push_str(&format!(
                ", and {what} as they were; `provost host label {address}` changes labels"
            ));
        }
    }
    said
}

impl Label {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let mut labels = BTreeMap::new();
        for (key, value) in self.changes {
            let is_there = labels.contains_key(&key);
            once(&mut labels, is_there, key, value)?;
        }
        let request = self.change.condition(v1::change_host(&self.address, &HostPatch { labels }));
        let Some(answer) = session.change(&request, &self.change.dry_run).await? else { return Ok(()) };
        session.tell(&answer, |host: &Host| {
            let labels: Vec<_> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let labels = if labels.is_empty() { "no labels".to_owned() } else { labels.join(" ") };
            crate::table::one_line(&format!("host {} has {labels} now", host.address))
        })
    }
}

impl AcceptKey {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let (address, change) = (&self.address, &self.change);
        let fingerprint = match self.fingerprint {
            Some(fingerprint) => fingerprint,
            None => {
                let request = v1::host_key(address);
                if !self.yes {
                    view::one::<HostKeys>(session, &request, &Watch::once()).await?;
                }
                let known: HostKeys = v1::read(&session.ask(&request).await?)?;
                let Some(offered) = known.offered else {
                    output::note(format_args!(
                        "host {address} has offered no other key: nothing is to be accepted"
                    ));
                    return Ok(());
                };
                if !self.yes {
                    output::note(format_args!(
                        "compare the offered key with what `ssh-keygen -lf` says on the host, then accept it with \
                         `provost host accept-key {address} --fingerprint {}`",
                        crate::table::one_line(&offered.fingerprint)
                    ));
                    return Ok(());
                }
                offered.fingerprint
            }
        };
        let request = change.condition(v1::accept_key(address, &AcceptedKey { fingerprint }));
        let Some(answer) = session.change(&request, &change.dry_run).await? else { return Ok(()) };
        session.tell(&answer, |known: &HostKeys| {
            let fingerprint = crate::table::one_line(&known.pinned.fingerprint);
            format!("host {address} is recognized by {fingerprint} now, and will be looked at again")
        })
    }
}

async fn credentials(
    session: &mut Session,
    address: &Segment,
    out: Option<&Path>,
) -> Result<(), CommandError> {
    let answer = session.ask(&v1::host_credentials(address)).await?;
    let found: Credentials = v1::read(&answer)?;
    let text = if session.wants_json() {
        Secret::new(view::json(&found) + "\n")
    } else {
        let key = found.ssh_private_key.expose();
        let no_key = || ssh::SshError::Missing { what: "ssh key", host: address.to_string() };
        if key.trim().is_empty() {
            return Err(no_key().into());
        }
        // OpenSSH refuses a key file whose last line has no end.
        Secret::new(if key.ends_with('\n') { key.clone() } else { format!("{key}\n") })
    };
    let Some(path) = out else { return session.print(text.expose()) };
    write_new(path, text.expose())
        .map_err(|source| CommandError::Unwritable { path: path.to_owned(), source })?;
    let user = crate::table::one_line(&found.remote_user);
    output::note(format_args!("wrote {}, which lets {user} into {address}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_done_is_not_said_to_be() {
        let address = "a".parse().unwrap();
        let host: Host = serde_json::from_value(serde_json::json!(
            {"address": "a", "status": "active", "labels": {"rack": "a1"}, "facts": {}}
        ))
        .unwrap();
        for (label, user, expected) in [
            (None, None, "host a is there already, and the same"),
            (Some("a1"), None, "host a is there already, and the same"),
            (None, Some("ada"), "host a is there already, and its remote user stays as it was"),
            (
                Some("b2"),
                None,
                "host a is there already, and its labels stay as they were; `provost host label a` changes labels",
            ),
            (
                Some("b2"),
                Some("ada"),
                "host a is there already, and its labels and its remote user stay as they were; \
                 `provost host label a` changes labels",
            ),
        ] {
            let labels = label.map(|label| ("rack".to_owned(), label.to_owned())).into_iter().collect();
            let asked = NewHost { labels, remote_user: user.map(str::to_owned), ..NewHost::default() };
            assert_eq!(there_already(&address, &asked, &host), expected);
        }
    }

    #[test]
    fn labels_come_and_go() {
        for (text, expected) in [
            ("rack=a1", Some(("rack", Some("a1")))),
            ("rack=", Some(("rack", Some("")))),
            ("rack=a-", Some(("rack", Some("a-")))),
            ("rack-", Some(("rack", None))),
            ("a-b-", Some(("a-b", None))),
            ("rack", None),
            ("-", None),
            ("=a", None),
            ("", None),
        ] {
            let expected = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
            assert_eq!(label_change(text).ok(), expected, "{text}");
        }
    }
}
