//! `provost trust offer` and `withdraw`: what a provider hands on.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use client::Segment;
use client::v1::{self, trust};
use wire::{NewTrustOffer, TrustChange, TrustOffer};

use super::certificates::{self, Certificates, Fingerprint};
use super::error::TrustCommandError;
use super::provider::Why;
use crate::input::File;
use crate::output;
use crate::session::{DryRun, Session};
use crate::table::{counted, one_line};
use crate::view;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Hand on certificates, to all requirers of a provider or in one relation
    #[command(
        after_long_help = "Whatever stands between the certificates in a file is not sent, and a file with a private key in \
        it is refused here, before anything of it is sent anywhere."
    )]
    Offer(Offer),
    /// Hand on certificates no more
    Withdraw(Withdraw),
}

#[derive(Debug, Args)]
pub(super) struct Offer {
    provider: Segment,
    /// Files with certificates, PEM; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<File>,
    /// Hand on these and nothing else
    #[arg(long)]
    replace: bool,
    /// Change nothing unless what is handed on still has this revision, which `show` tells
    #[arg(long, value_name = "NUMBER")]
    revision: Option<u64>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub(super) struct Withdraw {
    provider: Segment,
    /// The certificate, as `openssl x509 -noout -fingerprint -sha256` prints it
    #[arg(conflicts_with_all = ["all", "file"])]
    fingerprint: Option<Fingerprint>,
    /// All of them
    #[arg(long, conflicts_with = "file")]
    all: bool,
    /// Those in this file, PEM; `-` for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<File>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// In this relation only, whose number `provost trust relations` tells
    #[arg(long, value_name = "NUMBER")]
    relation: Option<u64>,
    /// Although requirers are left with nothing, or with less than half of what they have
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    dry_run: DryRun,
}

impl How {
    fn change(&self, change: TrustChange) -> NewTrustOffer {
        NewTrustOffer {
            change,
            relation: self.relation,
            confirm: self.confirm,
            why: self.why.why.clone(),
            ..NewTrustOffer::default()
        }
    }
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        match self {
            Self::Offer(offer) => offer.run(session).await,
            Self::Withdraw(withdraw) => withdraw.run(session).await,
        }
    }
}

impl Offer {
    async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        let certificates = certificates::read(&mut session.input, &self.files).await?;
        let change = if self.replace { TrustChange::Replace } else { TrustChange::Add };
        let offer = NewTrustOffer {
            pem: Some(certificates::as_pem(&certificates)),
            revision: self.revision,
            ..self.how.change(change)
        };
        change_set(session, &self.provider, &self.how, &[offer], &certificates).await
    }
}

impl Withdraw {
    async fn run(self, session: &mut Session) -> Result<(), TrustCommandError> {
        let (offers, known) = match (self.fingerprint, self.file) {
            (Some(fingerprint), _) => (vec![remove(&self.how, &fingerprint)], Certificates::new()),
            (None, Some(file)) => {
                let known = certificates::read(&mut session.input, &[file]).await?;
                (known.keys().map(|fingerprint| remove(&self.how, fingerprint)).collect(), known)
            }
            (None, None) if self.all => (vec![self.how.change(TrustChange::Empty)], Certificates::new()),
            (None, None) => {
                return Err(TrustCommandError::Usage(
                    "say which: a fingerprint, --file FILE with the certificates, or --all",
                ));
            }
        };
        change_set(session, &self.provider, &self.how, &offers, &known).await
    }
}

fn remove(how: &How, fingerprint: &Fingerprint) -> NewTrustOffer {
    NewTrustOffer { fingerprint: Some(fingerprint.to_string()), ..how.change(TrustChange::Remove) }
}

/// Does `offers` one after the other, each of which is whole by itself, and tells what came of each.
async fn change_set(
    session: &mut Session,
    provider: &Segment,
    how: &How,
    offers: &[NewTrustOffer],
    known: &Certificates,
) -> Result<(), TrustCommandError> {
    let names: BTreeMap<&str, String> = known
        .iter()
        .filter_map(|(which, certificate)| Some((which.as_str(), certificate.subject().common_name()?)))
        .collect();
    let named = |which: &String| match names.get(which.as_str()) {
        Some(name) => one_line(&format!("{which} ({name})")),
        None => one_line(which),
    };
    for offer in offers {
        let request = trust::offer(provider, offer);
        let Some(answer) = session.change(&request, &how.dry_run).await? else { continue };
        let done: TrustOffer = v1::read(&answer)?;
        for found in &done.findings {
            if !found.findings.is_empty() {
                let findings = one_line(&found.findings.join(", "));
                output::note(format_args!("warning: {} is {findings}", named(&found.fingerprint)));
            }
        }
        if session.wants_json() {
            session.print(&(view::json(&done) + "\n"))?;
            continue;
        }
        for came in &done.came {
            output::note(format_args!("came  {}", named(came)));
        }
        for went in &done.went {
            output::note(format_args!("went  {}", named(went)));
        }
        output::note(told(provider, offer, &done));
    }
    Ok(())
}

/// What came of `offer`, in a line.
fn told(provider: &Segment, offer: &NewTrustOffer, done: &TrustOffer) -> String {
    let place = offer.relation.map(|number| format!(" in relation {number}")).unwrap_or_default();
    let has = counted(done.set.count as u64, "certificate");
    let (came, went) = (done.came.len(), done.went.len());
    let (revision, changed) = (done.set.revision, came + went > 0);
    if changed {
        format!("{provider} hands on {has}{place} now (revision {revision}): {came} came, {went} went")
    } else {
        format!("{provider} hands on {has}{place}, as before (revision {revision})")
    }
}
