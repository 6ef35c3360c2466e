//! A charm, on either side of the interface `certificate_transfer`: Juju starts this program as `dispatch` for each event,
//! once (certificate_transfer contract, sections 7 and 8).
//!
//! Which side it is on is what `metadata.yaml` says of its endpoints. It keeps nothing between two events but what Juju
//! keeps for it, and beside that the sets that could be read last, and what a server answered last, in files of its own. Each handler makes good what is
//! not as it should be, whatever came before.

mod metadata;
mod outputs;
mod provider;
mod requirer;
mod server;
mod tools;

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::ExitCode;

use base::{Clock, report};
use serde_json::Value;
use trust::Level;

use self::metadata::{Endpoints, MetadataError};
use self::provider::{Options, Provider, Trouble, Wanted};
use self::requirer::Requirer;
use self::tools::{RelationId, ToolError};

/// The variable that says which event it is; only charms have it.
pub const EVENT_VARIABLE: &str = "JUJU_DISPATCH_PATH";

/// An event could not be handled: nothing of it counts, and Juju sends it again.
#[derive(Debug, thiserror::Error)]
enum CharmError {
    /// A hook command failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The charm does not know what it is.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The surroundings are not those of a charm.
    #[error("{0} is not set, as it is for charms")]
    NotACharm(&'static str),
    /// A file cannot be read, or written.
    #[error("could not read or write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file is to go, and does not.
    #[error("could not remove {}", path.display())]
    Removal {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A program that the machine's trust store has.
    #[error("`{program}` failed: {said}")]
    Program {
        /// The program.
        program: String,
        /// What it said last.
        said: String,
    },
}

/// What Juju says of the event (section 8.2). Empty is as good as not set.
#[derive(Debug)]
struct Surroundings {
    /// Where the charm is.
    charm: PathBuf,
    /// This unit, as `app/0`.
    unit: String,
    /// `hooks/EVENT` or `actions/NAME`.
    path: String,
    relation: Option<RelationId>,
    endpoint: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event<'a> {
    /// There is another relation.
    Created,
    /// A unit joined one, or wrote something, or an application did.
    Changed,
    /// It ends.
    Broken,
    /// This unit leads, the options are others, the charm is: everything is looked at again.
    Everything,
    /// The unit goes.
    Remove,
    /// An operator wants something.
    Action(&'a str),
    /// Nothing to do, now or yet: Juju has events that this version does not know.
    Other,
}

impl<'a> Event<'a> {
    fn of(path: &'a str) -> Self {
        if let Some(action) = path.strip_prefix("actions/") {
            return Self::Action(action);
        }
        let hook = path.strip_prefix("hooks/").unwrap_or(path);
        match hook {
            "leader-elected" | "config-changed" | "upgrade-charm" | "update-status" | "start" => {
                Self::Everything
            }
            "remove" => Self::Remove,
            _ if hook.ends_with("-relation-created") => Self::Created,
            _ if hook.ends_with("-relation-joined") || hook.ends_with("-relation-changed") => Self::Changed,
            _ if hook.ends_with("-relation-broken") => Self::Broken,
            _ => Self::Other,
        }
    }
}

/// Handles the event that the environment tells of.
pub fn run() -> ExitCode {
    match handle() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tools::log(Level::Error, &report(&error));
            ExitCode::FAILURE
        }
    }
}

fn handle() -> Result<(), CharmError> {
    let surroundings = Surroundings::of_environment()?;
    let event = Event::of(&surroundings.path);
    if event == Event::Other {
        return Ok(());
    }
    let endpoints = Endpoints::read(&surroundings.charm)?;
    let application = surroundings.unit.split('/').next().unwrap_or_default().to_owned();
    let options = tools::options()?;
    let is_leader = tools::is_leader()?;
    let broken = surroundings.relation.as_ref().filter(|_| event == Event::Broken);
    let relations = |names: &[String]| -> Result<Vec<RelationId>, ToolError> {
        let mut all = Vec::new();
        for name in names {
            // Some versions of Juju still list the one that is broken.
            all.extend(tools::relations(name)?.into_iter().filter(|relation| Some(relation) != broken));
        }
        Ok(all)
    };
    let now = Clock::system().now();
    let said = Options::of(&options);
    // Only a provider has them; and an action asks nobody.
    let (wanted, trouble) = match event {
        Event::Created | Event::Changed | Event::Broken | Event::Everything if endpoints.provides() => {
            said.look(&surroundings.charm, now, event == Event::Everything)?
        }
        _ => (Wanted::WhatIsThere, None),
    };
    let provider = Provider {
        application: &application,
        unit: &surroundings.unit,
        is_leader,
        follows_options: said.say(),
        wanted,
        relations: relations(&endpoints.provided)?,
    };
    let requirer = Requirer {
        application: &application,
        charm: &surroundings.charm,
        is_leader,
        options: &options,
        relations: relations(&endpoints.required)?,
        seen: RefCell::default(),
        unput: RefCell::default(),
        now,
    };
    let of = |names: &[String]| {
        let endpoint = surroundings.endpoint.as_ref().filter(|endpoint| names.contains(endpoint));
        endpoint.and(surroundings.relation.as_ref())
    };
    let (provided, required) = (of(&endpoints.provided), of(&endpoints.required));
    match event {
        Event::Created | Event::Changed => {
            if let Some(relation) = provided {
                provider.publish(relation)?;
            }
            if let Some(relation) = required {
                if event == Event::Changed {
                    requirer.changed(relation)?;
                } else {
                    requirer.created(relation)?;
                }
            }
            return set_status(trouble, &requirer);
        }
        Event::Broken => {
            if let Some(relation) = required {
                requirer.broken(relation)?;
            }
            return set_status(trouble, &requirer);
        }
        Event::Everything => {
            tools::set_version(env!("CARGO_PKG_VERSION"))?;
            provider.publish_all()?;
            requirer.look_again()?;
            return set_status(trouble, &requirer);
        }
        Event::Remove => requirer.withdraw()?,
        Event::Action(name) => return act(name, &provider, &requirer),
        Event::Other => {}
    }
    Ok(())
}

/// Says how the unit is: whatever an operator should look at, before what may pass, before whatever is well.
fn set_status(trouble: Option<Trouble>, requirer: &Requirer<'_>) -> Result<(), CharmError> {
    let blocked = requirer.trouble()?;
    let (status, why) = match (trouble, blocked) {
        (Some(Trouble::Blocked(why)), _) | (_, Some(why)) => ("blocked", why),
        (Some(Trouble::Waiting(why)), None) => ("waiting", why),
        (None, None) => ("active", String::new()),
    };
    Ok(tools::set_status(status, &why)?)
}

fn act(name: &str, provider: &Provider<'_>, requirer: &Requirer<'_>) -> Result<(), CharmError> {
    let parameters = tools::action_parameters()?;
    let text = |name: &str| parameters.get(name).and_then(Value::as_str).unwrap_or_default();
    let relation = match parameters.get("relation-id") {
        None | Some(Value::Null) => None,
        // A text is no harm: whoever types it means the number.
        Some(value) => match value.as_u64().or_else(|| value.as_str()?.parse().ok()) {
            Some(number) => Some(number),
            None => return Ok(tools::fail_action("relation-id is not a number")?),
        },
    };
    match name {
        "add-certificates" => provider.add(text("certificates"), relation),
        "remove-certificate" => provider.remove(text("certificate"), relation),
        "remove-all-certificates" => provider.remove_all(relation),
        "get-all-certificates" => requirer.show(relation),
        "get-all-certificates-by-relation" => requirer.show_by_relation(),
        "is-ready" => requirer.show_readiness(relation),
        _ => Ok(tools::fail_action("this charm has no such action")?),
    }
}

impl Surroundings {
    fn of_environment() -> Result<Self, CharmError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let needed = |name| variable(name).ok_or(CharmError::NotACharm(name));
        let charm = variable("JUJU_CHARM_DIR").or_else(|| variable("CHARM_DIR"));
        Ok(Self {
            charm: charm.map_or_else(|| PathBuf::from("."), PathBuf::from),
            unit: needed("JUJU_UNIT_NAME")?,
            path: needed(EVENT_VARIABLE)?,
            relation: variable("JUJU_RELATION_ID").and_then(|text| RelationId::parse(&text)),
            endpoint: variable("JUJU_RELATION"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_by_their_names_ends() {
        for (path, expected) in [
            ("hooks/receive-ca-cert-relation-created", Event::Created),
            ("hooks/receive-ca-cert-relation-joined", Event::Changed),
            ("hooks/a-relation-changed", Event::Changed),
            ("hooks/a-relation-departed", Event::Other),
            ("hooks/a-relation-broken", Event::Broken),
            ("hooks/config-changed", Event::Everything),
            ("hooks/update-status", Event::Everything),
            ("hooks/remove", Event::Remove),
            ("hooks/install", Event::Other),
            ("hooks/from-the-future", Event::Other),
            ("actions/is-ready", Event::Action("is-ready")),
        ] {
            assert_eq!(Event::of(path), expected, "{path}");
        }
    }
}
