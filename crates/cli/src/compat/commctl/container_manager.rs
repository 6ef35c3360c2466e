//! `commctl container_manager`.

use clap::Subcommand;
use client::compat::commissaire::{self as v0, Resource};
use client::{Request, Segment};
use serde_json::{Map, json};

use super::members::{Members, object_or_pair};

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Command {
    /// Create a container manager
    Create {
        name: Segment,
        /// Kind of container manager
        #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "openshift")]
        kind: String,
        /// An option for it, or several as a JSON object; may be repeated, and later ones win
        #[arg(short, long, value_name = "KEY=VALUE", value_parser = object_or_pair, action = clap::ArgAction::Append)]
        options: Vec<Members>,
    },
    /// Delete container managers
    Delete {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<Segment>,
    },
    /// Show a container manager
    Get { name: Segment },
    /// List container managers
    List,
}

impl Command {
    pub(super) fn requests(self) -> Vec<Request> {
        const RESOURCE: Resource = Resource::ContainerManager;
        match self {
            Self::Create { name, kind, options } => {
                let options: Map<_, _> = options.into_iter().flat_map(|members| members.0).collect();
                vec![v0::create(RESOURCE, &name, json!({"type": kind, "options": options}))]
            }
            Self::Delete { names } => names.iter().map(|name| v0::delete(RESOURCE, name)).collect(),
            Self::Get { name } => vec![v0::show(RESOURCE, &name)],
            Self::List => vec![v0::list(RESOURCE)],
        }
    }
}
