//! Brings certificates to wherever they are to be: to hosts, into namespaces, to whoever listens at a URL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, Secret, Span, Timestamp};
use fleet::{ClusterName, ContainerManagerName, Fleet, HostAddress};
use futures_util::future::{BoxFuture, join, join_all};
use identity::Permit;
use kube::{BundleObject, NamespaceName, NamespaceSelector, ObjectKind};
use store::Claims;
use trust::on_host::{OnHost, Refused};
use trust::webhook::{Key, Notice};
use trust::{Anchor, Bundle, InKubernetes, Place, Webhook, WhichHosts};

use super::{Errand, HandedOn};
use crate::hands::handing_on::Delivered;
use crate::hands::handing_on::kubernetes::{self, Delivery};
use crate::hands::handing_on::webhook::{self, Courier, Hook};
use crate::hands::{Crew, Nodes, told};
use crate::reconcilers::{Came, HandOn, HostErrand, Part, RequirerErrand, Trouble};
use crate::tasks::Stop;

/// What a webhook's one unit is called.
const WEBHOOK: &str = "webhook";
/// How many places are worked at at once where there are no hands for hosts.
const AT_ONCE: usize = 8;
/// How long a container manager has to say which namespaces are meant: hosts wait for it.
const SELECTED: Duration = Duration::from_secs(10);
/// How long one that did not is not asked again.
const SILENT: Span = Span::seconds(60);

/// All hosts and their clusters, or why they cannot be told.
type Fleeting = Result<Vec<(String, Option<ClusterName>)>, String>;

/// Whoever goes everywhere.
pub(crate) struct Everywhere {
    /// With what hosts are reached; they are not, where there is nothing.
    pub(crate) crew: Option<Arc<Crew>>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) nodes: Arc<Nodes>,
    /// What takes letters to webhooks, if any are told.
    pub(crate) courier: Option<Arc<dyn Courier>>,
    pub(crate) claims: Claims,
    pub(crate) holder: String,
    /// What tells this house from others.
    pub(crate) mark: String,
    pub(crate) clock: Clock,
    /// The container managers that could not be asked, until when they are not asked again, and why.
    pub(crate) silent: Mutex<BTreeMap<String, (Timestamp, String)>>,
}

/// What is asked of a container manager: which namespaces are meant.
type Selection = (Option<String>, Vec<String>);

impl Everywhere {
    /// The hosts that are meant by `which`, of `fleet`: each host with its cluster.
    fn hosts(which: &WhichHosts, fleet: &Fleeting) -> Result<BTreeSet<String>, String> {
        if let Some(cluster) = &which.cluster {
            let cluster: ClusterName = cluster.parse().map_err(|error| told(&error))?;
            let all = fleet.as_ref().map_err(Clone::clone)?.iter();
            return Ok(all
                .filter(|(_, of)| of.as_ref() == Some(&cluster))
                .map(|(host, _)| host.clone())
                .collect());
        }
        if which.all {
            return Ok(fleet.as_ref().map_err(Clone::clone)?.iter().map(|(host, _)| host.clone()).collect());
        }
        Ok(which.hosts.iter().cloned().collect())
    }

    /// All hosts, and their clusters.
    async fn fleet(&self) -> Fleeting {
        let all =
            self.fleet.all_hosts(Permit::house(), |host| (host.address.to_string(), host.cluster.clone()));
        all.await.map_err(|error| told(&error))
    }

    async fn host(&self, errand: &HostErrand, stop: &Stop) -> Came {
        let Some(crew) = &self.crew else {
            return Came::Failed("this server works on no hosts; the setting is `fleet.hosts`".into());
        };
        let Ok(address) = errand.host.parse::<HostAddress>() else {
            return Came::Failed("that is no address of a host".into());
        };
        let (places, bundle, contents) = together(&errand.parts);
        let contents: Vec<&[Anchor]> = contents.iter().map(Vec::as_slice).collect();
        let handed = crew.hand_on_to_host(
            &address,
            Errand {
                claims: &self.claims,
                holder: &self.holder,
                clock: &self.clock,
                places: &places,
                bundle: (!errand.parts.is_empty()).then_some(&bundle[..]),
                contents: &contents,
                drops: &errand.drops,
            },
            stop,
        );
        match handed.await {
            Ok(HandedOn::Done(Delivered { drift, refused, .. })) => {
                let trouble = |refused: Refused| {
                    let (said, may_leave) = (told(&refused.why), refused.why.may_leave());
                    Trouble { at: refused.at, said, may_leave }
                };
                Came::OnHost { drift, refused: refused.into_iter().map(trouble).collect() }
            }
            Ok(HandedOn::Failed(reason)) => Came::Failed(reason),
            Ok(HandedOn::Gone) => Came::Gone("there is no such host in the fleet".into()),
            Ok(HandedOn::NotNow) => Came::NotNow,
            Err(error) => {
                tracing::warn!(host = errand.host, error = %base::report(&*error), "nothing was handed on");
                Came::NotNow
            }
        }
    }

    /// The namespaces that each of `selections` means at a container manager, which is asked within [`SELECTED`]. Who did
    /// not answer once is not asked about the others, nor again for [`SILENT`].
    async fn namespaces(
        &self,
        manager: &str,
        selections: BTreeSet<Selection>,
    ) -> BTreeMap<Selection, Result<BTreeSet<String>, String>> {
        let now = self.clock.now();
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner).get(manager).cloned();
        let mut trouble = silent.filter(|(until, _)| *until > now).map(|(_, reason)| reason);
        let mut found = BTreeMap::new();
        let until = tokio::time::Instant::now() + SELECTED;
        for selection in selections {
            let selected = match &trouble {
                Some(reason) => Err(reason.clone()),
                None => match tokio::time::timeout_at(until, self.selected(manager, &selection)).await {
                    Ok(Ok(names)) => Ok(names),
                    Ok(Err(Unselected::This(reason))) => Err(reason),
                    Ok(Err(Unselected::All(reason))) => {
                        trouble = Some(reason.clone());
                        Err(reason)
                    }
                    Err(_) => {
                        let within = SELECTED.as_secs();
                        let reason =
                            format!("the container manager `{manager}` did not answer within {within} s");
                        trouble = Some(reason.clone());
                        Err(reason)
                    }
                },
            };
            found.insert(selection, selected);
        }
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(_) if silent.get(manager).is_some_and(|(until, _)| *until > now) => {}
            Some(reason) => drop(silent.insert(manager.to_owned(), (now + SILENT, reason))),
            None => drop(silent.remove(manager)),
        }
        found
    }

    async fn selected(
        &self,
        manager: &str,
        (labels, names): &Selection,
    ) -> Result<BTreeSet<String>, Unselected> {
        let this = |reason| Unselected::This(reason);
        let manager: ContainerManagerName = manager.parse().map_err(|error| this(told(&error)))?;
        let names = names.iter().map(|name| name.parse::<NamespaceName>());
        let names = names.collect::<Result<BTreeSet<_>, _>>().map_err(|error| this(told(&error)))?;
        let selector = NamespaceSelector { labels: labels.clone(), names };
        let found = kubernetes::select(&self.nodes, &manager, &selector).await;
        let found = found.map_err(|error| match error.is_of_all() {
            true => Unselected::All(told(&error)),
            false => Unselected::This(told(&error)),
        })?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    /// Puts a bundle in objects of one name and takes it away from others, at one container manager.
    async fn at_manager(
        &self,
        errand: &RequirerErrand,
        work: &AtManager,
        stop: &Stop,
    ) -> Result<Vec<(String, Came)>, String> {
        let AtManager { place, to, before, had } = work;
        let manager: ContainerManagerName = place.container_manager.parse().map_err(|error| told(&error))?;
        let kind = if place.secret { ObjectKind::Secret } else { ObjectKind::ConfigMap };
        let object = BundleObject::new(kind, &place.name, &place.key).map_err(|error| told(&error))?;
        let object = object.of(errand.requirer.as_str()).by(&self.mark);
        let bundle = errand.bundle.pem();
        let delivery = Delivery { object: &object, bundle: &bundle, to, before };
        let done = match kubernetes::deliver(&self.nodes, &manager, delivery, stop).await {
            Ok(done) => done,
            // What was there when it was known is out of reach for good, as it is with a host that has left.
            Err(error) if error.is_gone() => {
                let gone = Came::Gone(told(&error));
                return Ok(to.union(before).map(|name| (name.to_string(), gone.clone())).collect());
            }
            Err(error) => return Err(told(&error)),
        };
        let came = |(namespace, outcome): (NamespaceName, kubernetes::Outcome)| {
            let came = match outcome {
                kubernetes::Outcome::InStep | kubernetes::Outcome::Withdrawn => Came::Done { drifted: false },
                // Somebody else had written there since it was seen to have the very same.
                kubernetes::Outcome::Written => Came::Done { drifted: had.contains(&namespace) },
                kubernetes::Outcome::Failing { because, .. } => Came::Failed(because),
            };
            (namespace.to_string(), came)
        };
        Ok(done.into_iter().map(came).collect())
    }

    async fn in_namespaces(&self, errand: &RequirerErrand, stop: &Stop) -> Vec<(String, Came)> {
        let mut works: Vec<AtManager> = Vec::new();
        // What is to be there is put first, and then taken away where it is not to be any more.
        if let Place::Kubernetes(place) = &errand.place {
            let mut work = AtManager::new(place);
            for give in &errand.give {
                // What was written down was a namespace's name.
                if let Ok(name) = give.unit.parse::<NamespaceName>() {
                    work.had.extend(give.had.then(|| name.clone()));
                    work.to.insert(name);
                }
            }
            works.push(work);
        }
        let given = errand.give.iter().map(|give| (&give.unit, &give.elsewhere));
        for (unit, places) in given.chain(errand.take.iter().map(|(unit, places)| (unit, places))) {
            for other in places {
                let (Place::Kubernetes(other), Ok(name)) = (other, unit.parse::<NamespaceName>()) else {
                    continue;
                };
                match works.iter_mut().find(|work| object_of(&work.place) == object_of(other)) {
                    // The very same object, under another key: it has been written whole.
                    Some(work) if work.to.contains(&name) => {}
                    Some(work) => drop(work.before.insert(name)),
                    None => {
                        let mut work = AtManager::new(other);
                        work.before.insert(name);
                        works.push(work);
                    }
                }
            }
        }
        let mut came: BTreeMap<String, Came> = BTreeMap::new();
        for work in &works {
            let done = self.at_manager(errand, work, stop).await;
            // What is wrong with all of a container manager's is said of each of these.
            let of_all = |reason: String| {
                let names = work.to.union(&work.before);
                names.map(|name| (name.to_string(), Came::Failed(reason.clone()))).collect()
            };
            for (unit, outcome) in done.unwrap_or_else(of_all) {
                let is_given = errand.give.iter().any(|give| give.unit == unit);
                let was_taken = unit.parse().is_ok_and(|name: NamespaceName| !work.to.contains(&name));
                let outcome = match outcome {
                    // In a place where it is not to be any more, that is as good as done.
                    Came::Gone(_) if was_taken => Came::Done { drifted: false },
                    Came::Gone(reason) if is_given => Came::Failed(reason),
                    outcome => outcome,
                };
                // What failed in one of its places is what is said of it, and drift is not forgotten.
                let before = came.remove(&unit);
                let of_both = match (before, outcome) {
                    (Some(failed @ Came::Failed(_)), _) => failed,
                    (Some(drifted @ Came::Done { drifted: true }), Came::Done { .. }) => drifted,
                    (_, outcome) => outcome,
                };
                came.insert(unit, of_both);
            }
        }
        came.into_iter().collect()
    }

    async fn by_webhook(&self, place: &Webhook, errand: &RequirerErrand) -> Result<Came, String> {
        let courier = self.courier.as_ref().ok_or("this server tells no webhooks")?;
        let hook = Hook {
            url: place.url.parse().map_err(|error| told(&error))?,
            key: Key::new(Secret::new(place.secret.expose().as_bytes().to_vec()))
                .map_err(|error| told(&error))?,
            authorities: place.ca.as_ref().map(|ca| ca.as_bytes().to_vec()),
        };
        // Whoever is to have nothing any more is told so.
        let gives = !errand.give.is_empty();
        let anchors = errand.bundle.anchors().iter().filter(|_| gives);
        let certificates = anchors.map(|anchor| anchor.pem().to_owned()).collect();
        let (requirer, revision) = (errand.requirer.as_str(), errand.revision);
        let notice = Notice { requirer, revision, certificates: &certificates };
        let taken = webhook::deliver(&**courier, &hook, notice, self.clock.now()).await;
        taken.map(|_| Came::Done { drifted: false }).map_err(|error| error.to_string())
    }
}

/// What is to be done with objects of one name at one container manager.
struct AtManager {
    place: InKubernetes,
    /// Where it is to be.
    to: BTreeSet<NamespaceName>,
    /// Where it is not to be any more.
    before: BTreeSet<NamespaceName>,
    /// Where it was seen to be just so.
    had: BTreeSet<NamespaceName>,
}

impl AtManager {
    fn new(place: &InKubernetes) -> Self {
        let [to, before, had] = [const { BTreeSet::new() }; 3];
        Self { place: place.clone(), to, before, had }
    }
}

/// Why it is not known which namespaces are meant.
enum Unselected {
    /// It is about this selection.
    This(String),
    /// No other could be asked for either.
    All(String),
}

/// Which object in a namespace: under which key something is in it does not make it another one.
fn object_of(place: &InKubernetes) -> (&str, bool, &str) {
    (&place.container_manager, place.secret, &place.name)
}

/// What is asked of the container manager of `place`.
fn selection(place: &InKubernetes) -> Selection {
    (place.selector.clone(), place.namespaces.clone())
}

/// All that a host is to have: where, what in its trust store, and what in each file, in their order.
fn together(parts: &[Part]) -> (OnHost, Vec<Anchor>, Vec<Vec<Anchor>>) {
    let anchors = |bundle: &Bundle| bundle.anchors().iter().cloned().collect::<Vec<_>>();
    let on = OnHost {
        system_store: parts.iter().any(|part| part.on.system_store),
        java: parts.iter().any(|part| part.on.java),
        files: parts.iter().flat_map(|part| part.on.files.iter().cloned()).collect(),
    };
    let sharing = parts.iter().filter(|part| part.on.system_store);
    let shared = Bundle::union(sharing.map(|part| &*part.bundle));
    let contents =
        parts.iter().flat_map(|part| part.on.files.iter().map(|_| anchors(&part.bundle))).collect();
    (on, anchors(&shared), contents)
}

impl HandOn for Everywhere {
    fn units<'a>(&'a self, places: &'a [&'a Place]) -> BoxFuture<'a, Vec<Result<BTreeSet<String>, String>>> {
        Box::pin(async move {
            // The fleet is read once, and each container manager asked once for each selection, all at the same time.
            let mut managers: BTreeMap<&str, BTreeSet<Selection>> = BTreeMap::new();
            let mut needs_fleet = false;
            for place in places {
                match place {
                    Place::Hosts { which, .. } => needs_fleet |= which.all || which.cluster.is_some(),
                    Place::Kubernetes(place) => {
                        managers.entry(&place.container_manager).or_default().insert(selection(place));
                    }
                    Place::Poll { .. } | Place::Webhook(_) => {}
                }
            }
            let names: Vec<&str> = managers.keys().copied().collect();
            let asked = managers.into_iter().map(|(manager, all)| self.namespaces(manager, all));
            let fleet = async { if needs_fleet { self.fleet().await } else { Ok(Vec::new()) } };
            let (fleet, found) = join(fleet, join_all(asked)).await;
            let found: BTreeMap<&str, _> = names.into_iter().zip(found).collect();
            let units = |place: &&Place| match place {
                Place::Poll { .. } => Ok(BTreeSet::new()),
                Place::Hosts { which, .. } => Self::hosts(which, &fleet),
                Place::Kubernetes(place) => {
                    let found =
                        found.get(&*place.container_manager).and_then(|all| all.get(&selection(place)));
                    found.cloned().unwrap_or_else(|| Err("it was not asked".to_owned()))
                }
                Place::Webhook(_) => Ok([WEBHOOK.to_owned()].into()),
            };
            places.iter().map(units).collect()
        })
    }

    fn to_host<'a>(&'a self, errand: &'a HostErrand, stop: &'a Stop) -> BoxFuture<'a, Came> {
        Box::pin(self.host(errand, stop))
    }

    fn to_units<'a>(
        &'a self,
        errand: &'a RequirerErrand,
        stop: &'a Stop,
    ) -> BoxFuture<'a, Vec<(String, Came)>> {
        Box::pin(async move {
            let mut came = self.in_namespaces(errand, stop).await;
            if let Place::Webhook(place) = &errand.place {
                let is_told = |(_, places): &&(String, Vec<Place>)| {
                    places.iter().any(|place| matches!(place, Place::Webhook(_)))
                };
                let taken = errand.take.iter().filter(is_told).map(|(unit, _)| unit);
                let units: BTreeSet<&String> =
                    errand.give.iter().map(|give| &give.unit).chain(taken).collect();
                if !units.is_empty() {
                    let told = self.by_webhook(place, errand).await.unwrap_or_else(Came::Failed);
                    came.retain(|(unit, _)| !units.contains(unit));
                    came.extend(units.into_iter().map(|unit| (unit.clone(), told.clone())));
                }
            }
            came
        })
    }

    fn at_once(&self) -> usize {
        self.crew.as_ref().map_or(AT_ONCE, |crew| crew.hands.hosts_max.max(1))
    }
}

#[cfg(test)]
mod tests;
