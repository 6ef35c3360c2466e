//! `provost trust relate`, `unrelate`, `relation` and `relations`.

use clap::Subcommand;
use client::Segment;
use client::v1::{self, trust};
use wire::{NewTrustRelation, TrustCertificates, TrustRelation};

use super::provider::{Going, Why, with_certificates};
use crate::error::CommandError;
use crate::output;
use crate::session::{DryRun, Session};
use crate::shown::Listed as _;
use crate::view::{self, Watch};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Have a requirer have what a provider says
    Relate {
        provider: Segment,
        requirer: Segment,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Have a requirer have nothing more of what a provider says
    Unrelate {
        /// The relation's number, as `provost trust relations` tells it
        number: u64,
        #[command(flatten)]
        going: Going,
    },
    /// Show a relation, and what the requirer has of the provider beside what all its requirers have
    Relation {
        /// Its number, as `provost trust relations` tells it
        number: u64,
    },
    /// List who provides for whom
    Relations {
        /// Those of this provider
        #[arg(long, value_name = "NAME")]
        provider: Option<Segment>,
        /// Those of this requirer
        #[arg(long, value_name = "NAME")]
        requirer: Option<Segment>,
        #[command(flatten)]
        watch: Watch,
    },
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::Relate { provider, requirer, why, dry_run } => {
                let relation = NewTrustRelation {
                    provider: provider.as_str().to_owned(),
                    requirer: requirer.as_str().to_owned(),
                    why: why.why,
                };
                let request = trust::relate(&relation);
                let Some(answer) = session.change(&request, &dry_run).await? else { return Ok(()) };
                session.tell(&answer, |relation: &TrustRelation| {
                    let TrustRelation { number, provider, requirer, .. } = relation;
                    crate::table::one_line(&format!(
                        "requirer {requirer} has what provider {provider} says: relation {number}"
                    ))
                })
            }
            Self::Unrelate { number, going } => {
                let request = trust::unrelate(number, &going.said());
                if session.change(&request, &going.dry_run).await?.is_some() {
                    output::note(format_args!("relation {number} is over"));
                }
                Ok(())
            }
            Self::Relation { number } => {
                let relation: TrustRelation = v1::read(&session.ask(&trust::relation(number)).await?)?;
                let answer = session.ask(&trust::relation_certificates(number)).await?;
                let certificates: TrustCertificates = v1::read(&answer)?;
                with_certificates(session, &relation, &certificates.certificates)
            }
            Self::Relations { provider, requirer, watch } => {
                let is_filtered = provider.is_some() || requirer.is_some();
                let none = if is_filtered { "there is no such relation" } else { TrustRelation::NONE };
                let request = trust::relations(provider.as_ref(), requirer.as_ref());
                view::selected::<TrustRelation>(session, &request, &watch, none).await
            }
        }
    }
}
