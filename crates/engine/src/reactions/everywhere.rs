//! Brings certificates to wherever they are to be: to hosts, into namespaces, to whoever listens at a URL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Clock, Secret};
use fleet::{ClusterName, ContainerManagerName, Fleet, HostAddress};
use futures_util::future::BoxFuture;
use identity::Permit;
use kube::{BundleObject, NamespaceName, NamespaceSelector, ObjectKind};
use store::Claims;
use trust::on_host::OnHost;
use trust::webhook::{Key, Notice};
use trust::{Anchor, Bundle, InKubernetes, Place, Webhook, WhichHosts};

use super::{Errand, HandedOn};
use crate::hands::handing_on::kubernetes::{self, Delivery};
use crate::hands::handing_on::webhook::{self, Courier, Hook};
use crate::hands::{Crew, Nodes, told};
use crate::reconcilers::{Came, HandOn, HostErrand, Part, RequirerErrand};
use crate::tasks::Stop;

/// What a webhook's one unit is called.
const WEBHOOK: &str = "webhook";
/// How many places are worked at at once where there are no hands for hosts.
const AT_ONCE: usize = 8;

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
    pub(crate) clock: Clock,
}

impl Everywhere {
    async fn hosts(&self, which: &WhichHosts) -> Result<BTreeSet<String>, String> {
        if let Some(cluster) = &which.cluster {
            let cluster: ClusterName = cluster.parse().map_err(|error| told(&error))?;
            let all = self.fleet.all_hosts(Permit::house(), |host| {
                (host.cluster.as_ref() == Some(&cluster)).then(|| host.address.to_string())
            });
            return Ok(all.await.map_err(|error| told(&error))?.into_iter().flatten().collect());
        }
        if which.all {
            let all = self.fleet.all_hosts(Permit::house(), |host| host.address.to_string());
            return Ok(all.await.map_err(|error| told(&error))?.into_iter().collect());
        }
        Ok(which.hosts.iter().cloned().collect())
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
            },
            stop,
        );
        match handed.await {
            Ok(HandedOn::Done(delivered)) => Came::Done { drifted: delivered.drift },
            Ok(HandedOn::Failed(reason)) => Came::Failed(reason),
            // Nothing can be taken away from a host that nobody knows any more.
            Ok(HandedOn::Gone) if errand.parts.is_empty() => Came::Done { drifted: false },
            Ok(HandedOn::Gone) => Came::Failed("there is no such host in the fleet".into()),
            Ok(HandedOn::NotNow) => Came::NotNow,
            Err(error) => {
                tracing::warn!(host = errand.host, error = %base::report(&*error), "nothing was handed on");
                Came::NotNow
            }
        }
    }

    async fn namespaces(&self, place: &InKubernetes) -> Result<BTreeSet<NamespaceName>, String> {
        let manager: ContainerManagerName = place.container_manager.parse().map_err(|error| told(&error))?;
        let names = place.namespaces.iter().map(|name| name.parse::<NamespaceName>());
        let names = names.collect::<Result<BTreeSet<_>, _>>().map_err(|error| told(&error))?;
        let selector = NamespaceSelector { labels: place.selector.clone(), names };
        kubernetes::select(&self.nodes, &manager, &selector).await.map_err(|error| told(&error))
    }

    async fn in_namespaces(
        &self,
        place: &InKubernetes,
        errand: &RequirerErrand,
        stop: &Stop,
    ) -> Result<Vec<(String, Came)>, String> {
        let named = |units: &mut dyn Iterator<Item = &String>| -> BTreeSet<NamespaceName> {
            // What was written down was a namespace's name.
            units.filter_map(|unit| unit.parse().ok()).collect()
        };
        let to = named(&mut errand.give.iter().map(|(unit, _)| unit));
        let before = named(&mut errand.take.iter().map(|(unit, _)| unit));
        let mut came: BTreeMap<String, Came> = BTreeMap::new();
        // Where it was, and is not to be any more: after it is where it is to be.
        let mut old: Vec<(InKubernetes, BTreeSet<NamespaceName>)> = Vec::new();
        for (unit, places) in errand.give.iter().chain(&errand.take) {
            for other in places {
                let (Place::Kubernetes(other), Ok(name)) = (other, unit.parse::<NamespaceName>()) else {
                    continue;
                };
                match old.iter_mut().find(|(known, _)| known == other) {
                    Some((_, names)) => drop(names.insert(name)),
                    None => old.push((other.clone(), BTreeSet::from([name]))),
                }
            }
        }
        let bundle = errand.bundle.pem();
        let none = BTreeSet::new();
        let new = (place, &to, &before);
        let olds = old.iter().filter(|(other, _)| in_unit(other) != in_unit(place));
        let olds = olds.map(|(other, names)| (other, &none, names));
        for (place, to, before) in std::iter::once(new).chain(olds) {
            let manager: ContainerManagerName =
                place.container_manager.parse().map_err(|error| told(&error))?;
            let kind = if place.secret { ObjectKind::Secret } else { ObjectKind::ConfigMap };
            let object = BundleObject::new(kind, &place.name, &place.key).map_err(|error| told(&error))?;
            let delivery = Delivery { object: &object, bundle: &bundle, to, before };
            let done = kubernetes::deliver(&self.nodes, &manager, delivery, stop).await;
            for (namespace, outcome) in done.map_err(|error| told(&error))? {
                let outcome = match outcome {
                    kubernetes::Outcome::InStep | kubernetes::Outcome::Withdrawn => {
                        Came::Done { drifted: false }
                    }
                    kubernetes::Outcome::Written => Came::Done { drifted: false },
                    kubernetes::Outcome::Failing { because, .. } => Came::Failed(because),
                };
                // What failed in one of its places is what is said of it.
                match came.get(namespace.as_str()) {
                    Some(Came::Failed(_)) => {}
                    _ => drop(came.insert(namespace.to_string(), outcome)),
                }
            }
        }
        Ok(came.into_iter().collect())
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

/// Where in a namespace: which namespaces are meant does not matter there.
fn in_unit(place: &InKubernetes) -> (&str, bool, &str, &str) {
    (&place.container_manager, place.secret, &place.name, &place.key)
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
    fn units<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<BTreeSet<String>, String>> {
        Box::pin(async move {
            match place {
                Place::Poll => Ok(BTreeSet::new()),
                Place::Hosts { which, .. } => self.hosts(which).await,
                Place::Kubernetes(place) => {
                    Ok(self.namespaces(place).await?.iter().map(ToString::to_string).collect())
                }
                Place::Webhook(_) => Ok([WEBHOOK.to_owned()].into()),
            }
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
            let units = || errand.give.iter().chain(&errand.take).map(|(unit, _)| unit.clone());
            let done = match &errand.place {
                Place::Kubernetes(place) => self.in_namespaces(place, errand, stop).await,
                Place::Webhook(place) => {
                    let came = self.by_webhook(place, errand).await;
                    came.map(|came| units().map(|unit| (unit, came.clone())).collect())
                }
                Place::Poll | Place::Hosts { .. } => Ok(Vec::new()),
            };
            // What is wrong with all of it is said of each.
            done.unwrap_or_else(|reason| units().map(|unit| (unit, Came::Failed(reason.clone()))).collect())
        })
    }

    fn at_once(&self) -> usize {
        self.crew.as_ref().map_or(AT_ONCE, |crew| crew.hands.hosts_max.max(1))
    }
}
