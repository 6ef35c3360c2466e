//! `provost trust provider`.

use base::{Explain as _, Kind};
use clap::{Args, Subcommand};
use client::Segment;
use client::v1::{self, trust};
use serde_json::json;
use wire::{NewTrustProvider, TrustCertificate, TrustCertificates, TrustProvider};

use crate::duration::Duration;
use crate::error::CommandError;
use crate::output;
use crate::session::{DryRun, Session};
use crate::shown::{Detailed, Listed as _};
use crate::table::{Table, details};
use crate::view::{self, Watch};

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Command {
    /// List those who say which certificates are to be trusted
    List {
        #[command(flatten)]
        watch: Watch,
    },
    /// Show a provider and its certificates
    Show { name: Segment },
    /// Make a provider, or change what is said of one; what is not named stays as it is
    Set(Set),
    /// Have a provider go, and after its grace its certificates
    Remove {
        name: Segment,
        #[command(flatten)]
        going: Going,
    },
}

/// What is said of a provider.
#[derive(Debug, Args)]
pub(super) struct Set {
    name: Segment,
    /// Refuse certificates for this: not-an-authority, expired, expiring, not-yet-valid, weak-signature, short-key,
    /// unknown-key or not-self-signed; repeatable, and in place of what was refused before. It is about what is offered from
    /// then on: what is handed on already stays until it is withdrawn, and shows its findings [default: not-an-authority and
    /// expired]
    #[arg(long, value_name = "WORD", conflicts_with = "refuse_nothing")]
    refuse: Vec<String>,
    /// Refuse nothing that is a certificate
    #[arg(long)]
    refuse_nothing: bool,
    /// Have this account and administrators offer in its name, and nobody else: `user NAME`, `client NAME`, as the server calls
    /// it; it needs no other role than reader; repeatable, and in place of those that were named before [default: any
    /// operator]
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "any_operator")]
    only: Vec<String>,
    /// Have any operator offer in its name
    #[arg(long)]
    any_operator: bool,
    /// How long its certificates stay when it goes: 90s, 12h, 7d [default: not at all]
    #[arg(long, value_name = "DURATION")]
    grace: Option<Duration>,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    dry_run: DryRun,
}

/// The reason for a change.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
}

/// What commands take that take something away.
#[derive(Debug, Args)]
pub(super) struct Going {
    /// Although requirers are left with nothing, or with less than half of what they have
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    pub(super) dry_run: DryRun,
}

impl Going {
    pub(super) fn said(&self) -> trust::Going {
        trust::Going { confirm: self.confirm, why: self.why.why.clone() }
    }
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::List { watch } => view::list::<TrustProvider>(session, &trust::providers(), &watch).await,
            Self::Show { name } => {
                let provider: TrustProvider = v1::read(&session.ask(&trust::provider(&name)).await?)?;
                let answer = session.ask(&trust::provider_certificates(&name)).await?;
                let certificates: TrustCertificates = v1::read(&answer)?;
                with_certificates(session, &provider, &certificates.certificates)
            }
            Self::Set(set) => set.run(session).await,
            Self::Remove { name, going } => {
                let request = trust::remove_provider(&name, &going.said());
                if session.change(&request, &going.dry_run).await?.is_some() {
                    output::note(format_args!(
                        "provider {name} goes, and after its grace, if it has one, its certificates"
                    ));
                }
                Ok(())
            }
        }
    }
}

impl Set {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        // What is put is the whole of it: what is not named is what it was.
        let before: Option<TrustProvider> = match session.ask(&trust::provider(&self.name)).await {
            Ok(answer) => Some(v1::read(&answer)?),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
        let refuse = match (self.refuse_nothing, self.refuse.is_empty()) {
            (true, _) => Some(Vec::new()),
            (false, false) => Some(self.refuse),
            (false, true) => before.as_ref().map(|before| before.refuse.clone()),
        };
        let only = match (self.any_operator, self.only.is_empty()) {
            (true, _) => Vec::new(),
            (false, false) => self.only,
            (false, true) => before.as_ref().map(|before| before.only.clone()).unwrap_or_default(),
        };
        let grace_before = before.and_then(|before| u32::try_from(before.grace_seconds).ok());
        let grace_seconds = self.grace.map(|grace| grace.0).or(grace_before);
        let provider = NewTrustProvider { refuse, only, grace_seconds, why: self.why.why };
        let request = trust::put_provider(&self.name, &provider);
        let Some(answer) = session.change(&request, &self.dry_run).await? else { return Ok(()) };
        session.tell(&answer, |provider: &TrustProvider| {
            let refused =
                if provider.refuse.is_empty() { "nothing".to_owned() } else { provider.refuse.join(", ") };
            crate::table::one_line(&format!(
                "provider {} refuses {refused}; `provost trust offer {} FILE` hands on certificates",
                provider.name, provider.name
            ))
        })
    }
}

/// Prints `thing` and its certificates.
pub(super) fn with_certificates<T: Detailed>(
    session: &Session,
    thing: &T,
    certificates: &[TrustCertificate],
) -> Result<(), CommandError> {
    if session.wants_json() {
        let mut document = json!(thing);
        document["certificates"] = json!(certificates);
        return session.print(&format!("{document}\n"));
    }
    let screen = session.screen;
    let columns_max = screen.size().map(|size| size.columns);
    let mut table = Table::new(TrustCertificate::COLUMNS, screen.is_colourful(), columns_max);
    let rows: Vec<_> = certificates.iter().map(TrustCertificate::row).collect();
    let gap = if rows.is_empty() { "" } else { "\n" };
    session.print(&(details(&thing.details(), None) + gap + &table.rows(&rows)))
}
