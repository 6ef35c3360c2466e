//! What is done in places, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use trust::on_host::{Drift, FilePlace, OnHost, Spot};
use trust::{Bundle, Outcome, Place, Put, RequirerName};

use super::Requirer;
use crate::tasks::Stop;

/// Something to be done in places.
pub(crate) enum Errand {
    /// A host is to have all of this, and nothing else of ours.
    Host(HostErrand),
    /// Units of one requirer's are to have what it is to have, all of it in one go.
    Requirer(RequirerErrand),
}

/// What a host is to have.
pub(crate) struct HostErrand {
    /// Its address.
    pub(crate) host: String,
    /// What each requirer is to have there.
    pub(crate) parts: Vec<Part>,
    /// The requirers that are to have nothing there any more, and wherever they had it.
    pub(crate) left: Vec<(RequirerName, Vec<Place>)>,
    /// The files in which certificates may be that are not to be there any more.
    pub(crate) drops: Vec<FilePlace>,
}

/// What a requirer is to have on a host.
pub(crate) struct Part {
    pub(crate) requirer: RequirerName,
    pub(crate) place: Place,
    /// Where on the host: all but the files that are another one's.
    pub(crate) on: OnHost,
    pub(crate) bundle: Arc<Bundle>,
    /// Why it does not get all that it wants there.
    pub(crate) refused: Option<String>,
    /// Where on the host it may have certificates that are not to be there any more.
    pub(crate) elsewhere: Vec<Place>,
}

/// What units of a requirer are to have.
pub(crate) struct RequirerErrand {
    pub(crate) requirer: RequirerName,
    /// Where in each unit.
    pub(crate) place: Place,
    pub(crate) bundle: Arc<Bundle>,
    /// What a webhook tells old from new by.
    pub(crate) revision: Option<u64>,
    /// The units that are to have it.
    pub(crate) give: Vec<Give>,
    /// The units that are to have nothing any more, and where in them certificates may be.
    pub(crate) take: Vec<(String, Vec<Place>)>,
}

/// A unit that is to have what its requirer is to have.
pub(crate) struct Give {
    pub(crate) unit: String,
    /// Where in it certificates may be that are not to be there any more.
    pub(crate) elsewhere: Vec<Place>,
    /// Whether it was seen to have the very same before.
    pub(crate) had: bool,
}

/// What came of it in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is as it is to be.
    Done {
        /// Whether somebody else had changed it.
        drifted: bool,
    },
    /// A host is, but for what is refused there.
    OnHost {
        /// What somebody else had changed, which is said of those alone whose it is.
        drift: Drift,
        /// The parts of it that are not as they are to be.
        refused: Vec<Trouble>,
    },
    /// It is not, and this is to be said of it.
    Failed(String),
    /// There is no such unit any more: nothing can be put there, and nothing be taken away.
    Gone(String),
    /// Somebody else works there, or we are to stop: nothing was begun.
    NotNow,
}

/// A part of a host that is not as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Which: it is told those alone who have something there.
    pub(crate) at: Spot,
    /// What is to be said of it.
    pub(crate) said: String,
    /// Whether something may be left there of what is to go.
    pub(crate) may_leave: bool,
}

/// Whoever brings certificates to where they are to be.
pub(crate) trait HandOn: Send + Sync {
    /// The units of each of `places` as they are now: hosts, namespaces, or what there is one of.
    fn units<'a>(&'a self, places: &'a [&'a Place]) -> BoxFuture<'a, Vec<Result<BTreeSet<String>, String>>>;

    /// Has a host be as it is to be.
    fn to_host<'a>(&'a self, errand: &'a HostErrand, stop: &'a Stop) -> BoxFuture<'a, Came>;

    /// Has a requirer's units be as they are to be; what came of it in each that was begun with.
    fn to_units<'a>(
        &'a self,
        errand: &'a RequirerErrand,
        stop: &'a Stop,
    ) -> BoxFuture<'a, Vec<(String, Came)>>;

    /// How many errands are done at once.
    fn at_once(&self) -> usize;
}

impl Errand {
    /// What it puts where: whose, where in a unit, and in which.
    pub(super) fn gives(&self) -> Vec<(&RequirerName, &Place, &str)> {
        match self {
            Self::Host(errand) => {
                let parts = errand.parts.iter();
                parts.map(|part| (&part.requirer, &part.place, errand.host.as_str())).collect()
            }
            Self::Requirer(errand) => {
                let give = errand.give.iter();
                give.map(|give| (&errand.requirer, &errand.place, give.unit.as_str())).collect()
            }
        }
    }

    /// What it takes away where: whose, the place that is told of, and in which unit.
    pub(super) fn takes(&self) -> Vec<(&RequirerName, &Place, &str)> {
        match self {
            Self::Host(errand) => {
                let left = errand.left.iter();
                left.filter_map(|(name, places)| Some((name, places.first()?, errand.host.as_str())))
                    .collect()
            }
            Self::Requirer(errand) => {
                let take = errand.take.iter();
                take.map(|(unit, places)| {
                    (&errand.requirer, places.first().unwrap_or(&errand.place), unit.as_str())
                })
                .collect()
            }
        }
    }
}

/// What a requirer wants on a host.
pub(super) struct Wish<'r> {
    pub(super) requirer: &'r Requirer,
    /// Where.
    pub(super) on: &'r OnHost,
    /// Why it does not get all of it.
    pub(super) refused: Option<String>,
    /// Where it had it before.
    pub(super) elsewhere: Vec<Place>,
}

/// What is to be on a host.
#[derive(Default)]
pub(super) struct OfHost<'r> {
    pub(super) is_due: bool,
    /// Whether all of why it is due failed before.
    pub(super) is_failing: bool,
    /// Whoever wants certificates there.
    pub(super) parts: Vec<Wish<'r>>,
    /// Whose each file is.
    pub(super) files: BTreeMap<&'r str, &'r RequirerName>,
    /// Those who are to have nothing there any more, and wherever they had it.
    pub(super) left: Vec<(RequirerName, Vec<Place>)>,
    /// Where certificates may be that are not to be there any more.
    pub(super) drops: Vec<Place>,
}

impl<'r> OfHost<'r> {
    /// Notes that something there is due, or is not, and whether it failed before.
    pub(super) fn note(&mut self, is_due: bool, is_failing: bool) {
        if is_due {
            self.is_failing = is_failing && (self.is_failing || !self.is_due);
            self.is_due = true;
        }
    }

    /// Has `name` have the files of `on` that are nobody's yet. Why it does not get the others: they are another one's, who
    /// was there first.
    pub(super) fn take_files(&mut self, on: &'r OnHost, name: &'r RequirerName) -> Option<String> {
        let mut refused = None;
        for file in &on.files {
            let owner = *self.files.entry(file.path()).or_insert(name);
            if owner != name && refused.is_none() {
                let path = file.path();
                refused =
                    Some(format!("{path} is there for the requirer `{owner}` already; name another file"));
            }
        }
        refused
    }

    pub(super) fn errand(self, host: &str) -> HostErrand {
        let owners = self.files;
        let part = |Wish { requirer, on, refused, elsewhere }: Wish<'_>| Part {
            requirer: requirer.name().clone(),
            place: requirer.wanted.place.clone(),
            on: OnHost {
                files: {
                    let own =
                        on.files.iter().filter(|file| owners.get(file.path()) == Some(&requirer.name()));
                    own.cloned().collect()
                },
                ..on.clone()
            },
            bundle: requirer.wanted.bundle.clone(),
            refused,
            elsewhere,
        };
        let mut drops: BTreeMap<String, FilePlace> = BTreeMap::new();
        for place in &self.drops {
            if let Place::Hosts { on, .. } = place {
                let gone = on.files.iter().filter(|file| !owners.contains_key(file.path()));
                drops.extend(gone.map(|file| (file.path().to_owned(), file.clone())));
            }
        }
        HostErrand {
            host: host.to_owned(),
            parts: self.parts.into_iter().map(part).collect(),
            left: self.left,
            drops: drops.into_values().collect(),
        }
    }
}

/// What is written down of an attempt to have there what has the hash `tried`, or nothing, where that is empty: the hash of
/// what is there, and whether somebody else had changed it.
pub(super) fn outcome(
    requirer: &RequirerName,
    unit: &str,
    place: &Place,
    tried: &str,
    result: Result<(String, bool), String>,
) -> Outcome {
    let result = result.map(|(hash, drifted)| Put { hash, drifted });
    let (settled, gone) = (Vec::new(), tried.is_empty());
    let tried = Some(tried.to_owned());
    let (requirer, unit, place) = (requirer.clone(), unit.to_owned(), place.clone());
    Outcome { requirer, unit, place, result, tried, settled, gone }
}

/// What is to be said of a unit that is to have `hash`, on a host at `on`, or to have nothing; nothing where nothing was
/// begun.
fn said(came: &Came, hash: Option<&str>, on: Option<&OnHost>) -> Option<Result<(String, bool), String>> {
    let hash_of = || hash.unwrap_or_default().to_owned();
    match came {
        Came::Done { drifted } => Some(Ok((hash_of(), *drifted))),
        Came::OnHost { drift, .. } => Some(Ok((hash_of(), on.is_some_and(|on| drift.is_of(on))))),
        // Where nobody is, nothing of ours is.
        Came::Gone(_) if hash.is_none() => Some(Ok((String::new(), false))),
        Came::Failed(reason) | Came::Gone(reason) => Some(Err(reason.clone())),
        Came::NotNow => None,
    }
}

/// What is to be said of what is to be `on` a host, where not all of it is as it is to be.
fn refused_of(came: &Came, on: &OnHost) -> Option<String> {
    let Came::OnHost { refused, .. } = came else { return None };
    refused.iter().find(|trouble| trouble.at.is_of(on)).map(|trouble| trouble.said.clone())
}

/// What is to be said of what was at `places`, where some of it may be left at any of them.
fn left_of(came: &Came, places: &[Place]) -> Option<String> {
    let Came::OnHost { refused, .. } = came else { return None };
    let is_there = |trouble: &&Trouble| {
        let is_of = |place: &Place| matches!(place, Place::Hosts { on, .. } if trouble.at.is_of(on));
        trouble.may_leave && places.iter().any(is_of)
    };
    refused.iter().find(is_there).map(|trouble| trouble.said.clone())
}

/// Does one errand, unless it is to stop: what came of it, and whether all of it was begun with.
pub(super) async fn carry(hands: &dyn HandOn, errand: &Errand, stop: &Stop) -> (Vec<Outcome>, bool) {
    if stop.is_asked() {
        return (Vec::new(), false);
    }
    let mut outcomes = Vec::new();
    let mut is_whole = true;
    match errand {
        Errand::Host(at) => {
            let came = hands.to_host(at, stop).await;
            is_whole = came != Came::NotNow;
            for part in &at.parts {
                let Some(said) = said(&came, Some(part.bundle.hash()), Some(&part.on)) else { continue };
                let refused = part.refused.clone().or_else(|| refused_of(&came, &part.on));
                // Where it was before is forgotten only when nothing can be left there.
                let refused = refused.or_else(|| left_of(&came, &part.elsewhere));
                let said = said.and_then(|done| refused.map_or(Ok(done), Err));
                outcomes.push(outcome(&part.requirer, &at.host, &part.place, part.bundle.hash(), said));
            }
            for (requirer, places) in &at.left {
                let (Some(said), Some(place)) = (said(&came, None, None), places.first()) else { continue };
                let said = said.and_then(|done| left_of(&came, places).map_or(Ok(done), Err));
                outcomes.push(outcome(requirer, &at.host, place, "", said));
            }
        }
        Errand::Requirer(of) => {
            for (unit, came) in hands.to_units(of, stop).await {
                is_whole &= came != Came::NotNow;
                let taken = of.take.iter().find(|(taken, _)| *taken == unit);
                // A unit may be among both, where it is to have something, and nothing in a place of another kind.
                let is_given = of.give.iter().any(|give| give.unit == unit);
                if let Some((_, places)) = taken
                    && let Some(said) = said(&came, None, None)
                {
                    let place = places.first().unwrap_or(&of.place);
                    outcomes.push(outcome(&of.requirer, &unit, place, "", said));
                }
                if is_given && let Some(said) = said(&came, Some(of.bundle.hash()), None) {
                    outcomes.push(outcome(&of.requirer, &unit, &of.place, of.bundle.hash(), said));
                }
            }
        }
    }
    (outcomes, is_whole)
}
