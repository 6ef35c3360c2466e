//! What every requirer is to have, and what a change would do to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base::Timestamp;
use identity::Permit;
use store::{Batch, CommitError, Loaded};

use crate::anchor::Anchor;
use crate::bundle::{Bundle, Everything, Wanted, is_drastic};
use crate::error::{ChangeError, ReadError};
use crate::name::{ProviderName, RequirerName};
use crate::place::Place;
use crate::provider::SetState;
use crate::record::{RequirerRecord, SetName, ToldRecord};
use crate::relation::parse_id;
use crate::service::{ManageTrust, Moment, ReadTrust, Trust};

/// How often what is changed while it is read is read again, and how often of these without making anybody wait.
const READS_MAX: usize = 16;
const FREE_READS_MAX: usize = 4;

/// How many webhooks' revisions are written in one commit.
const TOLD_AT_ONCE: usize = 90;

/// What a webhook is to be told at `now`, which has been told `before`, when it is to have what has this hash. A revision is
/// no less than the time, so that it grows also where what was told before is not known any more.
fn told(before: Option<&ToldRecord>, hash: &str, now: Timestamp) -> ToldRecord {
    match before {
        Some(before) if before.hash == hash => before.clone(),
        before => {
            let next = before.map_or(0, |before| before.revision.saturating_add(1));
            let revision = next.max(u64::try_from(now.as_unix()).unwrap_or_default());
            ToldRecord { hash: hash.to_owned(), revision }
        }
    }
}

/// Bundles that were put together of the same sets.
#[derive(Default)]
pub(crate) struct Made(HashMap<BTreeSet<(String, usize)>, Arc<Bundle>>);

/// A bundle, and since when it is what its requirer is to have.
#[derive(Debug, Clone)]
pub struct BundleSince {
    /// What it is to have.
    pub bundle: Arc<Bundle>,
    /// Since when.
    pub since: Timestamp,
}

impl Trust {
    /// What `requirer` is to have.
    ///
    /// # Errors
    /// [`ReadError::NoRequirer`], or the store's.
    pub async fn bundle(
        &self,
        _permit: Permit<ReadTrust>,
        requirer: &RequirerName,
    ) -> Result<BundleSince, ReadError> {
        self.bundle_of(requirer).await
    }

    pub(crate) async fn bundle_of(&self, requirer: &RequirerName) -> Result<BundleSince, ReadError> {
        self.bundle_with(requirer, &mut Made::default()).await
    }

    /// The same for whoever asks for several: `made` is what was made for the others.
    pub(crate) async fn bundle_with(
        &self,
        requirer: &RequirerName,
        made: &mut Made,
    ) -> Result<BundleSince, ReadError> {
        let everything = self.at_one_moment(false, || self.all_of(requirer)).await?;
        if everything.requirers.is_empty() {
            return Err(ReadError::NoRequirer(requirer.clone()));
        }
        let (sets, since) = everything.sets_of(requirer.as_str(), self.now());
        let bundle = self.made_of(&sets, made).await?;
        Ok(BundleSince { bundle, since: Timestamp::from_unix(since) })
    }

    /// A requirer, its relations, and who provides in them.
    async fn all_of(&self, requirer: &RequirerName) -> Result<Everything, store::Error> {
        let mut everything = Everything::default();
        let Some(found) = self.load_requirer(requirer).await? else { return Ok(everything) };
        everything.requirers.insert(requirer.to_string(), found);
        for (number, found) in self.relations_of(requirer).await? {
            let provider = &found.record.provider;
            if let Some(found) = self.providers.get(provider).await? {
                everything.providers.insert(provider.clone(), found.record);
            }
            let relations = everything.relations.entry(requirer.to_string()).or_default();
            relations.push((number, found.record));
        }
        Ok(everything)
    }

    /// What all requirers are to have, by name. Left out are those whose place, or one of whose sets, cannot be read: what they
    /// are to have is not known, which is not to say that it is nothing; and webhooks about which somebody else was faster.
    /// And when to ask again: when the next provider's grace is over, if one is going, or at once.
    ///
    /// # Errors
    /// The store's.
    pub async fn wanted(
        &self,
        _permit: Permit<ManageTrust>,
    ) -> Result<(Vec<Wanted>, Option<Timestamp>), store::Error> {
        let everything = self.everything().await?;
        let now = self.now();
        let mut made = Made::default();
        let (mut wanted, mut to_tell) = (Vec::new(), Vec::new());
        for (name, found) in &everything.requirers {
            let record = &found.record;
            let requirer = RequirerName::from_record(name.clone());
            let Some(place) = self.place_of(&requirer, &record.place) else {
                tracing::error!(requirer = name, "where its certificates are put cannot be read");
                continue;
            };
            let (sets, since) = everything.sets_of(name, now);
            let bundle = match self.made_of(&sets, &mut made).await {
                Ok(bundle) => bundle,
                // It is this one's trouble, and nobody else's.
                Err(error @ store::Error::Record { .. }) => {
                    tracing::error!(requirer = name, error = %base::report(&error), "what it is to have cannot be read");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let told = match place {
                Place::Webhook(_) => Some(told(record.told.as_ref(), bundle.hash(), now)),
                Place::Poll { .. } | Place::Hosts { .. } | Place::Kubernetes(_) => None,
            };
            wanted.push(Wanted {
                revision: told.as_ref().map(|told| told.revision),
                bundle,
                since: Timestamp::from_unix(since),
                leaving: record.leaving.is_some(),
                related: everything.relations.contains_key(name),
                made: Timestamp::from_unix(record.at),
                requirer,
                place,
            });
            if let Some(told) = told.filter(|told| record.told.as_ref() != Some(told)) {
                let record = RequirerRecord { told: Some(told), ..record.clone() };
                to_tell.push((name.clone(), Loaded { record, version: found.version }));
            }
        }
        let untold = self.write_told(&to_tell).await?;
        wanted.retain(|wanted| !untold.contains(wanted.requirer.as_str()));
        let ends = everything.providers.values().filter_map(|provider| provider.until);
        let next = ends.filter(|until| *until > now.as_unix()).min().map(Timestamp::from_unix);
        Ok((wanted, if untold.is_empty() { next } else { Some(now) }))
    }

    /// Writes down what webhooks are to be told, before they are; the names of those of which that was not done, as
    /// somebody else was faster: what they are to be told may be older than what they were.
    async fn write_told<'t>(
        &self,
        to_tell: &'t [(String, Loaded<RequirerRecord>)],
    ) -> Result<BTreeSet<&'t str>, store::Error> {
        let mut untold = BTreeSet::new();
        let mut parts: Vec<_> = to_tell.chunks(TOLD_AT_ONCE).collect();
        while let Some(some) = parts.pop() {
            let mut batch = Batch::new();
            for (name, loaded) in some {
                self.requirers.update(&mut batch, name, &loaded.record, loaded.version)?;
            }
            match self.ground.engine.commit(batch).await {
                Ok(_) => {}
                Err(CommitError::Store(error)) => return Err(error),
                Err(error) => match some {
                    [] => {}
                    [(name, _)] => {
                        tracing::debug!(requirer = name, %error, "what it is to be told was not written down");
                        untold.insert(name.as_str());
                    }
                    several => parts.extend(several.chunks(1)),
                },
            }
        }
        Ok(untold)
    }

    /// What a provider hands on to all its requirers; nothing where there is no such provider.
    ///
    /// # Errors
    /// The store's.
    pub async fn provider_set(
        &self,
        _permit: Permit<ReadTrust>,
        provider: &ProviderName,
    ) -> Result<Option<(SetState, Arc<BTreeSet<Anchor>>)>, store::Error> {
        let Some(found) = self.load_provider(provider).await? else { return Ok(None) };
        let set = &found.record.set;
        Ok(Some((set.into(), self.sets.load(set).await?)))
    }

    /// What the requirer of a relation has beside what all the provider's requirers have; nothing where there is no such
    /// relation.
    ///
    /// # Errors
    /// The store's.
    pub async fn relation_set(
        &self,
        _permit: Permit<ReadTrust>,
        number: u64,
    ) -> Result<Option<(SetState, Arc<BTreeSet<Anchor>>)>, store::Error> {
        let Some((_, found)) = self.load_relation(number).await? else { return Ok(None) };
        let set = &found.record.set;
        Ok(Some((set.into(), self.sets.load(set).await?)))
    }

    /// Whether what `change` does leaves no requirer with nothing, or with less than half of what it has, once all
    /// providers who are going are gone: what is left for the grace of another only is not left. To be asked in one's turn. When that was so: a
    /// commit that expects that moment makes nobody lose much beside what others do.
    pub(crate) async fn check_impact(
        &self,
        change: impl FnOnce(&mut Everything),
    ) -> Result<Moment, ChangeError> {
        let mut everything = self.at_one_moment(true, || self.all()).await?;
        let moment = everything.moment;
        // In the end everybody who is going is gone.
        let (now, in_the_end) = (self.now(), Timestamp::from_unix(i64::MAX));
        let sets = |everything: &Everything| -> BTreeMap<String, _> {
            let of = |name: &String| [now, in_the_end].map(|at| everything.sets_of(name, at).0);
            everything.requirers.keys().map(|name| (name.clone(), of(name))).collect()
        };
        let before = sets(&everything);
        change(&mut everything);
        let after = sets(&everything);
        let mut made = Made::default();
        let mut worst = None;
        let mut others = 0;
        for (name, before) in before {
            let Some(after) = after.get(&name).filter(|after| **after != before) else { continue };
            let ([before, _], [_, after]) = (&before, after);
            let had = self.made_of(before, &mut made).await?.anchors().len();
            let has = self.made_of(after, &mut made).await?.anchors().len();
            if is_drastic(had, has) {
                match worst {
                    None => worst = Some((name, had, has)),
                    Some(_) => others += 1,
                }
            }
        }
        match worst {
            None => Ok(moment),
            Some((name, before, after)) => {
                let requirer = RequirerName::from_record(name);
                Err(ChangeError::Shrinks { requirer, before, after, others })
            }
        }
    }

    /// All providers, requirers and relations, as they were at one moment.
    pub(crate) async fn everything(&self) -> Result<Everything, store::Error> {
        self.at_one_moment(false, || self.all()).await
    }

    async fn all(&self) -> Result<Everything, store::Error> {
        let mut everything = Everything {
            requirers: {
                let all = self.requirers.all().await?.into_iter();
                all.filter(|(_, found)| !found.record.gone).collect()
            },
            ..Everything::default()
        };
        let providers = self.providers.all().await?;
        everything.providers = providers.into_iter().map(|(name, found)| (name, found.record)).collect();
        for (id, found) in self.relations.all().await? {
            // Those of a requirer that is gone are on their way out.
            if let Some((requirer, number)) =
                parse_id(&id).filter(|(requirer, _)| everything.requirers.contains_key(*requirer))
            {
                let relations = everything.relations.entry(requirer.to_owned()).or_default();
                relations.push((number, found.record));
            }
        }
        Ok(everything)
    }

    /// What `read` reads, page by page, once nothing of it was changed in between. Otherwise a relation might be there
    /// whose provider is not, and a requirer would be taken to be to have nothing. Unless it is the caller's turn to change
    /// something, those who change something in this process are made to wait where that does not succeed.
    async fn at_one_moment<R>(
        &self,
        is_in_turn: bool,
        read: impl Fn() -> R,
    ) -> Result<Everything, store::Error>
    where
        R: Future<Output = Result<Everything, store::Error>>,
    {
        let mut moment = self.now_of_relations().await?;
        let mut turn = None;
        for attempt in 1..=READS_MAX {
            if attempt > FREE_READS_MAX && !is_in_turn && turn.is_none() {
                turn = Some(self.turn.lock().await);
                moment = self.now_of_relations().await?;
            }
            let everything = read().await?;
            let now = self.now_of_relations().await?;
            if now == moment {
                return Ok(Everything { moment, ..everything });
            }
            moment = now;
        }
        Err(store::Error::Unavailable {
            doing: "reading who trusts whom",
            reason: format!("it was changed during each of {READS_MAX} attempts"),
        })
    }

    pub(crate) async fn made_of(
        &self,
        sets: &BTreeSet<(String, usize)>,
        made: &mut Made,
    ) -> Result<Arc<Bundle>, store::Error> {
        if let Some(bundle) = made.0.get(sets) {
            return Ok(Arc::clone(bundle));
        }
        let mut anchors = Vec::with_capacity(sets.len());
        for (hash, count) in sets {
            let name = SetName { hash: hash.clone(), count: *count, revision: 0, at: 0 };
            anchors.push(self.sets.load(&name).await?);
        }
        let bundle = Arc::new(Bundle::of(&anchors));
        made.0.insert(sets.clone(), Arc::clone(&bundle));
        Ok(bundle)
    }
}
