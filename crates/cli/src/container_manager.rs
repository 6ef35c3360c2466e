//! `provost container-manager`.

use clap::{Args, Subcommand, ValueEnum};
use client::Segment;
use client::v1::{self, List};
use wire::{ContainerManager, ContainerManagerKind, NewContainerManager};

use crate::error::CommandError;
use crate::options::Options;
use crate::output;
use crate::session::{Change, DryRun, Session};
use crate::view::{self, Watch};

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// List container managers
    List {
        #[command(flatten)]
        watch: Watch,
    },
    /// Show a container manager
    Show {
        name: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Make a container manager; it can be deleted, and not be changed
    Create(Create),
    /// Delete a container manager
    Delete {
        name: Segment,
        #[command(flatten)]
        change: Change,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    name: Segment,
    /// What kind it is
    #[arg(long)]
    kind: Kind,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "lowercase")]
enum Kind {
    /// OpenShift; `--option server_url=URL` says where it is
    OpenShift,
    /// Kubernetes; `--option server_url=URL` says where it is
    Kubernetes,
    /// One that takes every host and does nothing with it
    Trivial,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::List { watch } => {
                view::list::<ContainerManager>(session, &v1::list(List::ContainerManagers), &watch).await
            }
            Self::Show { name, watch } => {
                view::one::<ContainerManager>(session, &v1::container_manager(&name), &watch).await
            }
            Self::Create(create) => create.run(session).await,
            Self::Delete { name, change } => {
                let request = change.condition(v1::delete_container_manager(&name));
                if session.change(&request, &change.dry_run).await?.is_some() {
                    output::note(format_args!("deleted container manager {name}"));
                }
                Ok(())
            }
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let kind = match self.kind {
            Kind::OpenShift => ContainerManagerKind::OpenShift,
            Kind::Kubernetes => ContainerManagerKind::Kubernetes,
            Kind::Trivial => ContainerManagerKind::Trivial,
        };
        let options = self.options.read(&mut session.input).await?;
        let request = v1::put_container_manager(&self.name, &NewContainerManager { kind, options });
        let Some(answer) = session.change(&request, &self.dry_run).await? else { return Ok(()) };
        let name = self.name;
        session.tell(&answer, |_: &ContainerManager| match answer.status {
            201 => format!("made container manager {name}; `provost cluster create NAME --container-manager {name}` uses it"),
            _ => format!("container manager {name} is there already, and the same"),
        })
    }
}
