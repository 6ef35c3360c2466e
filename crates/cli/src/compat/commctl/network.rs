//! `commctl network`.

use clap::{Subcommand, ValueEnum};
use client::compat::commissaire::{self as v0, Resource};
use client::{Request, Segment};
use serde_json::json;

use super::members::{Members, object};

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Command {
    /// Create a network
    Create {
        name: Segment,
        /// Kind of network
        #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "flannel_etcd")]
        kind: Kind,
        /// Options for it, as a JSON object
        #[arg(short, long, value_name = "JSON", value_parser = object, default_value = "{}")]
        options: Members,
    },
    /// Delete networks
    Delete {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<Segment>,
    },
    /// Show a network
    Get { name: Segment },
    /// List networks
    List {
        /// Taken because the original takes it, and not looked at
        #[arg(hide = true)]
        ignored: Option<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    #[value(name = "flannel_etcd")]
    FlannelEtcd,
    #[value(name = "flannel_server")]
    FlannelServer,
}

impl Command {
    pub(super) fn requests(self) -> Vec<Request> {
        const RESOURCE: Resource = Resource::Network;
        match self {
            Self::Create { name, kind, options } => {
                let kind = match kind {
                    Kind::FlannelEtcd => "flannel_etcd",
                    Kind::FlannelServer => "flannel_server",
                };
                vec![v0::create(RESOURCE, &name, json!({"type": kind, "options": options.0}))]
            }
            Self::Delete { names } => names.iter().map(|name| v0::delete(RESOURCE, name)).collect(),
            Self::Get { name } => vec![v0::show(RESOURCE, &name)],
            Self::List { ignored: _ } => vec![v0::list(RESOURCE)],
        }
    }
}
