//! `provost network`.

use clap::{Args, Subcommand, ValueEnum};
use client::Segment;
use client::v1::{self, List};
use wire::{Network, NetworkKind, NewNetwork};

use crate::error::CommandError;
use crate::options::Options;
use crate::output;
use crate::session::{Change, DryRun, Session};
use crate::view::{self, Watch};

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// List networks
    List {
        #[command(flatten)]
        watch: Watch,
    },
    /// Show a network
    Show {
        name: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Make a network; it can be deleted, and not be changed
    Create(Create),
    /// Delete a network
    Delete {
        name: Segment,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    name: Segment,
    /// How it works
    #[arg(long)]
    kind: Kind,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    /// flannel, which keeps its state in etcd
    FlannelEtcd,
    /// flannel, which asks a flannel server; `--option address=HOST:PORT` says where
    FlannelServer,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::List { watch } => view::list::<Network>(session, &v1::list(List::Networks), &watch).await,
            Self::Show { name, watch } => view::one::<Network>(session, &v1::network(&name), &watch).await,
            Self::Create(create) => create.run(session).await,
            Self::Delete { name, change } => {
                let request = change.condition(v1::delete_network(&name));
                if session.change(&request, &change.dry_run).await?.is_some() {
                    output::note(format_args!("deleted network {name}"));
                }
                Ok(())
            }
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let kind = match self.kind {
            Kind::FlannelEtcd => NetworkKind::FlannelEtcd,
            Kind::FlannelServer => NetworkKind::FlannelServer,
        };
        let options = self.options.read(&mut session.input).await?;
        let request = v1::put_network(&self.name, &NewNetwork { kind, options });
        let Some(answer) = session.change(&request, &self.dry_run).await? else { return Ok(()) };
        let name = self.name;
        session.tell(&answer, |_: &Network| match answer.status {
            201 => format!("made network {name}; `provost cluster create NAME --network {name}` uses it"),
            _ => format!("network {name} is there already, and the same"),
        })
    }
}
