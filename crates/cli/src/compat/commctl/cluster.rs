//! `commctl cluster`.

use clap::{Args, Subcommand, ValueEnum};
use client::compat::commissaire::{self as v0, Operation, Resource};
use client::{Request, Segment};
use serde_json::{Value, json};

use crate::output;

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Command {
    /// Create a cluster
    Create(Create),
    /// Delete clusters
    Delete {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<Segment>,
    },
    /// Show a cluster
    Get { name: Segment },
    /// List clusters
    List,
    /// Deploy a version of the operating system to a cluster's hosts
    #[command(subcommand)]
    Deploy(Deploy),
    /// Restart a cluster's hosts
    #[command(subcommand)]
    Restart(Restart),
    /// Upgrade a cluster's hosts
    #[command(subcommand)]
    Upgrade(Upgrade),
}

#[derive(Args)]
pub(super) struct Create {
    name: Segment,
    /// Kind of cluster; servers no longer look at it
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "kubernetes")]
    kind: Kind,
    /// The network its hosts use
    #[arg(short, long, default_value = "default")]
    network: String,
    /// The container manager its hosts register with
    #[arg(short, long, value_name = "NAME", default_value = "")]
    container_manager: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Kubernetes,
    #[value(name = "host_only")]
    HostOnly,
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Deploy {
    /// Start a deployment
    Start { name: Segment, version: String },
    /// Show how the deployment goes
    Status { name: Segment },
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Restart {
    /// Start a restart
    Start { name: Segment },
    /// Show how the restart goes
    Status { name: Segment },
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Upgrade {
    /// Start an upgrade
    Start {
        name: Segment,
        /// Taken because the manual shows it, and not looked at
        #[arg(hide = true)]
        version: Option<String>,
    },
    /// Show how the upgrade goes
    Status { name: Segment },
}

impl Command {
    pub(super) fn requests(&self) -> Vec<Request> {
        match self {
            Self::Create(create) => vec![v0::create(Resource::Cluster, &create.name, create.body())],
            Self::Delete { names } => names.iter().map(|name| v0::delete(Resource::Cluster, name)).collect(),
            Self::Get { name } => vec![v0::show(Resource::Cluster, name)],
            Self::List => vec![v0::list(Resource::Cluster)],
            Self::Deploy(Deploy::Start { name, version }) => {
                vec![v0::start(name, Operation::Deploy, json!({"version": version}))]
            }
            Self::Deploy(Deploy::Status { name }) => vec![v0::operation(name, Operation::Deploy)],
            Self::Restart(Restart::Start { name }) => vec![v0::start(name, Operation::Restart, json!({}))],
            Self::Restart(Restart::Status { name }) => vec![v0::operation(name, Operation::Restart)],
            Self::Upgrade(Upgrade::Start { name, version }) => {
                if let Some(version) = version {
                    output::note(format_args!(
                        "warning: an upgrade takes no version, `{version}` is ignored; \
                         `commctl cluster deploy start` does"
                    ));
                }
                vec![v0::start(name, Operation::Upgrade, json!({}))]
            }
            Self::Upgrade(Upgrade::Status { name }) => vec![v0::operation(name, Operation::Upgrade)],
        }
    }
}

impl Create {
    fn body(&self) -> Value {
        let kind = match self.kind {
            Kind::Kubernetes => "kubernetes",
            Kind::HostOnly => "host_only",
        };
        json!({"type": kind, "network": self.network, "container_manager": self.container_manager})
    }
}
