//! What happened, in the words of the history.

use std::collections::BTreeMap;

use base::Clock;
use identity::Principal;
use store::Event;

use crate::account::Only;
use crate::anchor::Fingerprint;
use crate::error::cut;
use crate::name::{ProviderName, RequirerName};
use crate::place::Place;
use crate::record::ProviderRecord;

/// How many certificates are named in one event; of more, how many they are.
const NAMED_MAX: usize = 32;

/// What is said of places.
pub(crate) const DRIFTED: &str = "trust drifted";
pub(crate) const FAILING: &str = "trust failing";
pub(crate) const APPLIED: &str = "trust applied";

/// What events about the places of `requirer` are about.
pub(crate) fn about_requirer(requirer: &RequirerName) -> String {
    format!("requirer {requirer}")
}

/// Something that happened to trust.
#[derive(Debug)]
pub(crate) enum Happened<'a> {
    /// There is a provider, or it is another one.
    ProviderSet { name: &'a ProviderName, record: &'a ProviderRecord },
    /// A provider is to go.
    ProviderLeaves { name: &'a ProviderName, grace_seconds: i64 },
    /// A provider is gone.
    ProviderGone { name: &'a ProviderName },
    /// There is a requirer, or it is another one.
    RequirerSet { name: &'a RequirerName, place: &'a Place },
    /// A requirer is to go.
    RequirerLeaves { name: &'a RequirerName },
    /// A requirer is gone.
    RequirerGone { name: &'a RequirerName, left_behind: bool },
    /// A requirer is to have what a provider says.
    Related { provider: &'a ProviderName, requirer: &'a RequirerName, number: u64 },
    /// It is not any more.
    Unrelated { provider: &'a str, requirer: &'a str, number: u64 },
    /// A provider says something else, to all or in one relation.
    Offered {
        provider: &'a ProviderName,
        relation: Option<u64>,
        before: &'a str,
        after: &'a str,
        came: &'a [Fingerprint],
        went: &'a [Fingerprint],
    },
    /// Somebody else changed what was put in a place; it is mended.
    Drifted { requirer: &'a RequirerName, unit: &'a str },
    /// Certificates could not be put in a place, for the first time since they could.
    Failing { requirer: &'a RequirerName, unit: &'a str, reason: &'a str },
    /// A place has what it is to have.
    Applied { requirer: &'a RequirerName, unit: &'a str, hash: &'a str },
}

impl Happened<'_> {
    /// As the history tells it.
    pub(crate) fn event(&self, by: &Principal, clock: &Clock) -> Event {
        let mut facts = BTreeMap::new();
        let mut fact = |name: &str, value: String| {
            facts.insert(name.to_owned(), value);
        };
        let (what, about) = match self {
            Self::ProviderSet { name, record } => {
                fact("refuse", record.refuse.join(" "));
                fact("grace_seconds", record.grace.to_string());
                if !record.only.is_empty() {
                    fact("only", cut(&record.only.join(", ")));
                }
                ("trust provider set", format!("provider {name}"))
            }
            Self::ProviderLeaves { name, grace_seconds } => {
                fact("grace_seconds", grace_seconds.to_string());
                ("trust provider leaves", format!("provider {name}"))
            }
            Self::ProviderGone { name } => ("trust provider gone", format!("provider {name}")),
            Self::RequirerSet { name, place } => {
                fact("kind", place.kind().to_owned());
                if let Place::Poll { only } = place
                    && *only != Only::default()
                {
                    fact("only", cut(&only.names().join(", ")));
                }
                ("trust requirer set", format!("requirer {name}"))
            }
            Self::RequirerLeaves { name } => ("trust requirer leaves", format!("requirer {name}")),
            Self::RequirerGone { name, left_behind } => {
                fact("left_behind", left_behind.to_string());
                ("trust requirer gone", format!("requirer {name}"))
            }
            Self::Related { provider, requirer, number } => {
                fact("provider", provider.to_string());
                fact("requirer", requirer.to_string());
                ("trust related", format!("relation {number}"))
            }
            Self::Unrelated { provider, requirer, number } => {
                fact("provider", (*provider).to_owned());
                fact("requirer", (*requirer).to_owned());
                ("trust unrelated", format!("relation {number}"))
            }
            Self::Offered { provider, relation, before, after, came, went } => {
                // Of a large change not all certificates are named; the sets are, by their hashes.
                fact("before", (*before).to_owned());
                fact("after", (*after).to_owned());
                if let Some(number) = relation {
                    fact("relation", number.to_string());
                }
                for (name, which) in [("came", came), ("went", went)] {
                    if !which.is_empty() {
                        fact(name, listed(which));
                    }
                }
                ("trust offered", format!("provider {provider}"))
            }
            Self::Drifted { requirer, unit } => {
                fact("unit", (*unit).to_owned());
                (DRIFTED, about_requirer(requirer))
            }
            Self::Failing { requirer, unit, reason } => {
                fact("unit", (*unit).to_owned());
                fact("reason", (*reason).to_owned());
                (FAILING, about_requirer(requirer))
            }
            Self::Applied { requirer, unit, hash } => {
                fact("unit", (*unit).to_owned());
                fact("hash", (*hash).to_owned());
                (APPLIED, about_requirer(requirer))
            }
        };
        Event {
            at_milliseconds: clock.now_milliseconds(),
            what: what.to_owned(),
            about,
            by: by.name().to_owned(),
            from: by.from().map(|from| from.to_string()),
            facts,
        }
    }
}

fn listed(which: &[Fingerprint]) -> String {
    let mut names: Vec<String> = which.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if which.len() > NAMED_MAX {
        names.push(format!("and {} more", which.len() - NAMED_MAX));
    }
    names.join(" ")
}
