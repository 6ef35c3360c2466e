//! `provost operation`: operations on clusters that have been started, which `provost cluster` does.

use clap::{Args, Subcommand, ValueEnum};
use client::Segment;
use client::v1::{self, List, Steer};
use wire::{Operation, OperationHost, OperationHostState, OperationPlan, Page};

use crate::error::CommandError;
use crate::output;
use crate::progress::{Printing, follow, how_far, named, tell_end};
use crate::session::{DryRun, Session};
use crate::table::{Table, counted, one_line};
use crate::view::{self, Watch};

#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Command {
    /// List the operations on a cluster, the latest first
    List {
        cluster: Segment,
        #[command(flatten)]
        watch: Watch,
    },
    /// Show an operation
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        watch: Watch,
    },
    /// List the hosts of an operation in their order, how far each is, and why those that failed did
    Hosts {
        #[command(flatten)]
        which: Which,
        /// Only those that are so far
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        #[command(flatten)]
        watch: Watch,
    },
    /// Read along until an operation has ended
    #[command(
        long_about = "Read along until an operation has ended. Exit code 0 when it did what it was asked for at \
                      every host, 69 when hosts failed, tolerated ones too, 75 when somebody aborted it"
    )]
    Watch {
        #[command(flatten)]
        which: Which,
    },
    /// Have no more hosts begun with; those under way come to their end
    Pause(Steering),
    /// Have a paused operation go on
    Resume(Steering),
    /// End an operation: hosts under way are given up, and nothing is left cordoned; what hosts were sent already, a reboot
    /// say, is not recalled
    Abort(Steering),
    /// Have an operation that failed or was aborted go on, with the hosts that failed once more
    Retry(Steering),
    /// Have an operation go on without a host that waits or has failed
    Skip {
        cluster: Segment,
        address: Segment,
        /// The operation's number [default: the latest]
        id: Option<Segment>,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

/// Which operation.
#[derive(Debug, Args)]
pub(crate) struct Which {
    cluster: Segment,
    /// The operation's number, which `list` tells [default: the latest]
    id: Option<Segment>,
}

/// An operation that something is done to.
#[derive(Debug, Args)]
pub(crate) struct Steering {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    dry_run: DryRun,
}

/// How far a host is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State(OperationHostState);

impl ValueEnum for State {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [State; OperationHostState::ALL.len()] = {
            let mut all = [State(OperationHostState::Waiting); OperationHostState::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = State(OperationHostState::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()))
    }
}

impl Command {
    pub(crate) async fn run(self, session: &mut Session) -> Result<(), CommandError> {
        match self {
            Self::List { cluster, watch } => {
                view::list::<Operation>(session, &v1::list(List::Operations(&cluster)), &watch).await
            }
            Self::Show { which, watch } => {
                let (cluster, id) = which.found(session).await?;
                view::one::<Operation>(session, &v1::operation(&cluster, &id), &watch).await
            }
            Self::Hosts { which, state, watch } => {
                let (cluster, id) = which.found(session).await?;
                let request = v1::list(List::OperationHosts(&cluster, &id));
                let request = match state {
                    Some(state) => request.with("state", state.0.as_str()),
                    None => request,
                };
                let none = state.map_or(OPERATION_HAS_NONE, |_| "no host of it is so far");
                view::selected::<OperationHost>(session, &request, &watch, none).await
            }
            Self::Watch { which } => {
                let (cluster, id) = which.found(session).await?;
                let ended = follow(session, (&cluster, &id), Printing::Documents).await?;
                tell_end(session, &ended).await
            }
            Self::Pause(steering) => steering.run(session, Steer::Pause).await,
            Self::Resume(steering) => steering.run(session, Steer::Resume).await,
            Self::Abort(steering) => steering.run(session, Steer::Abort).await,
            Self::Retry(steering) => steering.run(session, Steer::Retry).await,
            Self::Skip { cluster, address, id, dry_run } => {
                let steering = Steering { which: Which { cluster, id }, dry_run };
                steering.run(session, Steer::Skip(&address)).await
            }
        }
    }
}

/// What is said of an operation without hosts.
const OPERATION_HAS_NONE: &str = "the operation has no hosts";

impl Which {
    /// The cluster, and the number that was said, or that of the latest.
    async fn found(self, session: &mut Session) -> Result<(Segment, Segment), CommandError> {
        let Self { cluster, id } = self;
        if let Some(id) = id {
            return Ok((cluster, id));
        }
        let latest: Page<Operation> = v1::read(&session.ask(&v1::latest_operation(&cluster)).await?)?;
        let latest =
            latest.items.first().ok_or_else(|| CommandError::NoOperation { cluster: cluster.to_string() })?;
        let id = latest.id.to_string().parse().map_err(CommandError::Name)?;
        Ok((cluster, id))
    }
}

impl Steering {
    async fn run(self, session: &mut Session, how: Steer<'_>) -> Result<(), CommandError> {
        let (cluster, id) = self.which.found(session).await?;
        let request = v1::steer(&cluster, &id, how);
        let Some(answer) = session.change(&request, &self.dry_run).await? else { return Ok(()) };
        session.tell(&answer, |now: &Operation| {
            let what = format!("the {} of cluster {cluster} (operation {id})", now.kind);
            match how {
                Steer::Abort if !now.under_way.is_empty() => {
                    let at = named(&now.under_way);
                    format!(
                        "{what} is now {}; a {} that was sent to {at} already is not recalled",
                        how_far(now),
                        now.kind
                    )
                }
                Steer::Skip(address) => format!("{what} goes on without host {address}; {}", how_far(now)),
                _ => format!("{what} is now {}", how_far(now)),
            }
        })
    }
}

/// Prints what an operation would do.
pub(crate) fn print_plan(session: &Session, plan: &OperationPlan) -> Result<(), CommandError> {
    if session.wants_json() {
        return session.print(&(view::json(plan) + "\n"));
    }
    let size = session.screen.size();
    let mut table = Table::new(
        &["GROUP", "ADDRESS", "NOTE"],
        session.screen.is_colourful(),
        size.map(|size| size.columns),
    );
    let mut rows = Vec::new();
    for (at, group) in plan.groups.iter().enumerate() {
        for address in group {
            let refused = plan.refused.iter().find(|refused| refused.address == *address);
            let note = match refused {
                Some(refused) => format!("would fail: {}", refused.reason),
                None if at == 0 && plan.has_canaries => "canary".to_owned(),
                None => String::new(),
            };
            rows.push(vec![(at + 1).to_string(), address.clone(), note]);
        }
    }
    session.print(&table.rows(&rows))?;
    let hosts = counted(rows.len() as u64, "host");
    let groups = counted(plan.groups.len() as u64, "group");
    output::note(one_line(&format!("{hosts} in {groups}, from {} on; nothing was started", plan.begins_at)));
    Ok(())
}
