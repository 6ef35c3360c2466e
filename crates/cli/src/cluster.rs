//! `provost cluster`.

use clap::{Args, Subcommand};
use client::v1::{self, List};
use client::{Condition, Segment};
use wire::{Cluster, ClusterSettings, Host, NewOperation, Operation, OperationPolicy};

use crate::error::CommandError;
use crate::operation::print_plan;
use crate::output;
use crate::progress::{Printing, follow, tell_end};
use crate::rolling::Rolling;
use crate::session::{Change, DryRun, Session};
use crate::table::one_line;
use crate::view::{self, Watch};

/// How often a change is tried again when somebody else changed the same cluster in between.
const ATTEMPTS_MAX: u32 = 5;

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// List clusters
    List {
        #[command(flatten)]
        watch: Watch,
    },
    /// Show a cluster
    Show {
        name: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Make a cluster
    Create(Create),
    /// Change what is said, and leave the rest as it is
    Set(Set),
    /// Delete a cluster; its hosts stay, without one
    Delete {
        name: Segment,
        /// Do not wait for its container manager: its nodes are removed as soon as that answers
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        change: Change,
    },
    /// List the hosts of a cluster
    Hosts {
        name: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Make a host a member of a cluster
    AddHost(Membership),
    /// End a host's membership of a cluster
    RemoveHost(Membership),
    /// Give every host of a cluster a version of its operating system
    Deploy {
        name: Segment,
        version: String,
        #[command(flatten)]
        start: Start,
    },
    /// Upgrade the packages of every host of a cluster
    Upgrade {
        name: Segment,
        #[command(flatten)]
        start: Start,
    },
    /// Restart every host of a cluster
    Restart {
        name: Segment,
        #[command(flatten)]
        start: Start,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    name: Segment,
    /// The network its hosts are in [default: default]
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// The container manager that has its hosts [default: none]
    #[arg(long, value_name = "NAME")]
    container_manager: Option<String>,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    name: Segment,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    change: Change,
}

/// What to change; one of them at least.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Settings {
    /// The network its hosts are in
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// The container manager that has its hosts
    #[arg(long, value_name = "NAME")]
    container_manager: Option<String>,
    /// Have no container manager
    #[arg(long, conflicts_with = "container_manager")]
    no_container_manager: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Membership {
    name: Segment,
    address: Segment,
    #[command(flatten)]
    dry_run: DryRun,
}

/// How an operation is started.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Read along until it has ended; exit code 69 when hosts failed, those of --failures too, 75 when somebody aborted it
    #[arg(long, visible_alias = "watch", conflicts_with = "dry_run")]
    wait: bool,
    /// Say which hosts would come when, and start nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    rolling: Rolling,
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::List { watch } => view::list::<Cluster>(session, &v1::list(List::Clusters), &watch).await,
            Self::Show { name, watch } => view::one::<Cluster>(session, &v1::cluster(&name), &watch).await,
            Self::Create(create) => create.run(session).await,
            Self::Set(set) => set.run(session).await,
            Self::Delete { name, force, change } => {
                let mut request = change.condition(v1::delete_cluster(&name));
                if force {
                    request = request.with("force", "true");
                }
                if session.change(&request, &change.dry_run).await?.is_some() {
                    output::note(format_args!("deleted cluster {name}"));
                }
                Ok(())
            }
            Self::Hosts { name, watch } => {
                view::list::<String>(session, &v1::list(List::Members(&name)), &watch).await
            }
            Self::AddHost(membership) => membership.begin(session).await,
            Self::RemoveHost(membership) => membership.end(session).await,
            Self::Deploy { name, version, start } => {
                let new = |policy, dry_run| NewOperation::Deploy { version, policy, dry_run };
                start.run(session, &name, new).await
            }
            Self::Upgrade { name, start } => {
                let new = |policy, dry_run| NewOperation::Upgrade { policy, dry_run };
                start.run(session, &name, new).await
            }
            Self::Restart { name, start } => {
                let new = |policy, dry_run| NewOperation::Restart { policy, dry_run };
                start.run(session, &name, new).await
            }
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let settings = ClusterSettings { network: self.network, container_manager: self.container_manager };
        let name = self.name;
        // Without the condition this would change a cluster that is there.
        let request = v1::put_cluster(&name, &settings).if_so(Condition::Absent);
        let answer = match session.change(&request, &self.dry_run).await {
            Err(error) if error.status() == Some(412) => {
                return Err(CommandError::Exists {
                    what: format!("cluster `{name}`"),
                    change: "`provost cluster set` changes it",
                });
            }
            answer => answer?,
        };
        let Some(answer) = answer else { return Ok(()) };
        session.tell(&answer, |_: &Cluster| {
            format!("made cluster {name}; `provost cluster add-host {name} ADDRESS` adds hosts")
        })
    }
}

impl Set {
    /// Reads what there is, changes it, and writes it back unless somebody else did meanwhile.
    async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        let mut attempts = 1;
        let answer = loop {
            let answer = session.ask(&v1::cluster(&self.name)).await?;
            let request = v1::put_cluster(&self.name, &self.settings.on(v1::read(&answer)?));
            let request = match &answer.etag {
                Some(etag) if !self.change.has_condition() => request.if_so(Condition::Is(etag.clone())),
                _ => self.change.condition(request),
            };
            match session.change(&request, &self.change.dry_run).await {
                Err(error)
                    if error.status() == Some(412)
                        && !self.change.has_condition()
                        && attempts < ATTEMPTS_MAX =>
                {
                    attempts += 1;
                }
                answer => break answer?,
            }
        };
        let Some(answer) = answer else { return Ok(()) };
        session.tell(&answer, |cluster: &Cluster| {
            let manager = cluster.container_manager.as_deref().unwrap_or("no");
            let line = format!(
                "cluster {} has network {} and {manager} container manager now",
                cluster.name, cluster.network
            );
            one_line(&line)
        })
    }
}

impl Settings {
    /// `cluster` with these changes.
    fn on(&self, cluster: Cluster) -> ClusterSettings {
        let container_manager = match &self.container_manager {
            _ if self.no_container_manager => None,
            Some(name) => Some(name.clone()),
            None => cluster.container_manager,
        };
        ClusterSettings { network: Some(self.network.clone().unwrap_or(cluster.network)), container_manager }
    }
}

impl Membership {
    async fn begin(self, session: &mut Session) -> Result<(), CommandError> {
        let Self { name, address, dry_run } = self;
        let Some(answer) = session.change(&v1::join(&name, &address), &dry_run).await? else {
            return Ok(());
        };
        session.tell(&answer, |_: &Host| match answer.status {
            201 => format!("host {address} is in cluster {name} now"),
            _ => format!("host {address} is in cluster {name} already"),
        })
    }

    async fn end(self, session: &mut Session) -> Result<(), CommandError> {
        let Self { name, address, dry_run } = self;
        if let Some(answer) = session.change(&v1::leave(&name, &address), &dry_run).await? {
            output::note(format_args!("host {address} is in no cluster now"));
            if let Some(warning) = answer.warning {
                output::note(format_args!("warning: {warning}"));
            }
        }
        Ok(())
    }
}

impl Start {
    async fn run(
        self,
        session: &mut Session,
        cluster: &Segment,
        new: impl FnOnce(OperationPolicy, bool) -> NewOperation,
    ) -> Result<(), CommandError> {
        let request = v1::start(cluster, &new(self.rolling.policy(), self.dry_run));
        let shows = || format!("`provost operation show {cluster}` shows what runs");
        let answer = session.ask(&request).await.map_err(|error| error.or_hint(409, shows))?;
        if self.dry_run {
            return print_plan(session, &v1::read(&answer)?);
        }
        let begun: Operation = v1::read(&answer)?;
        let (kind, id) = (begun.kind, begun.id);
        let reads_along =
            if self.wait { "" } else { &format!("; `provost operation watch {cluster}` reads along") };
        output::note(format_args!("the {kind} of cluster {cluster} began, as operation {id}{reads_along}"));
        let is_over = begun.phase.is_end();
        let now = if self.wait && !is_over {
            let id = id.to_string().parse().map_err(CommandError::Name)?;
            follow(session, (cluster, &id), Printing::Nothing).await?
        } else {
            begun
        };
        if session.wants_json() {
            session.print(&(view::json(&now) + "\n"))?;
        }
        tell_end(session, &now).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_spoken_of_stays() {
        let counts = json!({"total": 0, "available": 0, "unavailable": 0, "by_status": {}});
        let cluster: Cluster = serde_json::from_value(json!({
            "name": "web", "network": "flat", "container_manager": "kube", "health": "ok", "hosts": counts
        }))
        .unwrap();
        let change = |network: Option<&str>, manager: Option<&str>, no_container_manager| {
            let settings = Settings {
                network: network.map(str::to_owned),
                container_manager: manager.map(str::to_owned),
                no_container_manager,
            };
            let ClusterSettings { network, container_manager } = settings.on(cluster.clone());
            (network.unwrap(), container_manager.unwrap_or_default())
        };
        let expected = |network: &str, manager: &str| (network.to_owned(), manager.to_owned());
        assert_eq!(change(Some("other"), None, false), expected("other", "kube"));
        assert_eq!(change(None, Some("shift"), false), expected("flat", "shift"));
        assert_eq!(change(None, None, true), expected("flat", ""));
    }
}
