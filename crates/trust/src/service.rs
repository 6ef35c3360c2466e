//! Trust at work: load, decide, commit.

use std::sync::Arc;

use async_lock::Mutex;
use base::{Clock, Entropy, Timestamp};
use identity::{Action, Permit, Principal, Role};
use store::{Batch, CommitError, Engine, History, Loaded, SealingKey, Table, Version};
use x509::has_private_key;

use crate::event::Happened;
use crate::name::{ProviderName, RequirerName};
use crate::record::{
    CertificateRecord, ChangedRecord, CounterRecord, HouseRecord, NumberRecord, ProviderRecord,
    RelationRecord, RequirerRecord, UnitRecord,
};
use crate::set::Sets;

/// Seeing who is to trust what, and whether they do; and saying that one has what one asked for.
pub enum ReadTrust {}

impl Action for ReadTrust {
    const NAME: &'static str = "see who trusts what";
    const ROLE: Role = Role::Reader;
}

/// Saying which certificates are to be trusted, in a provider's name. Whoever may look may be the one who says it; unless
/// the provider names somebody, operators do.
pub enum OfferTrust {}

impl Action for OfferTrust {
    const NAME: &'static str = "say what is to be trusted";
    const ROLE: Role = Role::Reader;
}

/// Saying who provides trust for whom, and where it is put.
pub enum ManageTrust {}

impl Action for ManageTrust {
    const NAME: &'static str = "say who trusts whom";
    const ROLE: Role = Role::Operator;
}

/// How often a commit is tried again when others were faster, or when the store did not say whether it was done.
const ATTEMPTS_MAX: usize = 32;

/// What is written by each change of a provider, a requirer or a relation, so that whoever reads many of them sees whether
/// they are all of one moment.
const RELATIONS: &str = "relations";

/// What tells this house from others.
const MARK: &str = "mark";

/// What those of events about places begin with. They have a history of their own: thousands of hosts that get another
/// certificate do not push out who said so, which is told in the history of the house.
const HISTORY: &str = "/trust/history/";

/// The longest reason that is written down, in bytes; what is longer is cut.
const WHY_BYTES_MAX: usize = 500;

/// Why somebody changes something, if they say so: for the history.
#[derive(Debug, Clone, Default)]
pub struct Why(Option<String>);

/// A reason that is not written down: nothing takes anything out of the history again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is a private key in the reason, which is not kept")]
pub struct KeyInWhy;

impl Why {
    /// That reason.
    ///
    /// # Errors
    /// [`KeyInWhy`].
    pub fn new(text: &str) -> Result<Self, KeyInWhy> {
        if has_private_key(text.as_bytes()) {
            return Err(KeyInWhy);
        }
        Ok(Self::of(text))
    }

    /// That reason, which is the house's own.
    pub(crate) fn of(text: &str) -> Self {
        let text = text[..text.floor_char_boundary(WHY_BYTES_MAX)].trim();
        Self((!text.is_empty()).then(|| text.to_owned()))
    }

    /// It, where one was said.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// When something was as it was read: two are equal while nothing was changed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment(Option<Version>);

/// What trust stands on.
#[derive(Clone)]
pub struct Ground {
    /// Where records are kept.
    pub engine: Arc<dyn Engine>,
    /// Seals what is secret in them.
    pub sealing: Arc<SealingKey>,
    /// What time it is.
    pub clock: Clock,
    /// Where the numbers of events come from.
    pub entropy: Entropy,
}

/// Who provides trust, who requires it, and what each has.
pub struct Trust {
    pub(crate) ground: Ground,
    pub(crate) providers: Table<ProviderRecord>,
    pub(crate) requirers: Table<RequirerRecord>,
    pub(crate) relations: Table<RelationRecord>,
    pub(crate) numbers: Table<NumberRecord>,
    pub(crate) counter: Table<CounterRecord>,
    changed: Table<ChangedRecord>,
    house: Table<HouseRecord>,
    pub(crate) certificates: Table<CertificateRecord>,
    pub(crate) units: Table<UnitRecord>,
    pub(crate) sets: Sets,
    /// What people decided: the history of the house.
    pub(crate) history: History,
    /// What came of it, place by place.
    pub(crate) places_history: History,
    /// Those of this process who change something wait for each other, so that they do not overtake each other without
    /// end.
    pub(crate) turn: Mutex<()>,
}

impl Trust {
    /// Trust on `ground`.
    ///
    /// # Errors
    /// None in practice: the prefixes of its keys are fair ones.
    pub fn new(ground: Ground) -> Result<Self, store::Error> {
        let engine = &ground.engine;
        Ok(Self {
            providers: Table::new(Arc::clone(engine), "/trust/provider/")?,
            requirers: Table::new(Arc::clone(engine), "/trust/requirer/")?,
            relations: Table::new(Arc::clone(engine), "/trust/relation/")?,
            numbers: Table::new(Arc::clone(engine), "/trust/number/")?,
            counter: Table::new(Arc::clone(engine), "/trust/counter/")?,
            changed: Table::new(Arc::clone(engine), "/trust/changed/")?,
            house: Table::new(Arc::clone(engine), "/trust/house/")?,
            certificates: Table::new(Arc::clone(engine), "/trust/certificate/")?,
            units: Table::new(Arc::clone(engine), "/trust/unit/")?,
            sets: Sets::new(engine)?,
            history: History::new(Arc::clone(engine))?,
            places_history: Self::places_history(engine)?,
            ground,
            turn: Mutex::default(),
        })
    }

    /// What happened on `engine` in the places where certificates are put.
    ///
    /// # Errors
    /// None in practice: the prefix of its keys is a fair one.
    pub fn places_history(engine: &Arc<dyn Engine>) -> Result<History, store::Error> {
        History::under(Arc::clone(engine), HISTORY)
    }

    /// What tells this house from others who put certificates in the same places: made once, and kept with all that is
    /// stored.
    ///
    /// # Errors
    /// The store's.
    pub async fn mark(&self, _permit: Permit<ManageTrust>) -> Result<String, CommitError> {
        let mut attempts = 0;
        loop {
            if let Some(found) = self.house.get(MARK).await? {
                return Ok(found.record.mark);
            }
            let mark = format!("{:016x}", self.ground.entropy.number());
            let mut batch = Batch::new();
            self.house.create(&mut batch, MARK, &HouseRecord { mark })?;
            match self.ground.engine.commit(batch).await {
                Ok(_) => {}
                Err(error) => Self::again(error, &mut attempts)?,
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ground.clock.now()
    }

    /// Whether the commit is to be tried again: what is there then says what is left to do.
    pub(crate) fn again(error: CommitError, attempts: &mut usize) -> Result<(), CommitError> {
        *attempts += 1;
        match error {
            CommitError::Conflict { .. } | CommitError::Unknown { .. } if *attempts < ATTEMPTS_MAX => Ok(()),
            error => Err(error),
        }
    }

    /// What is another one whenever a provider, a requirer or a relation is.
    ///
    /// # Errors
    /// The store's.
    pub async fn moment(&self, _permit: Permit<ReadTrust>) -> Result<Moment, store::Error> {
        self.now_of_relations().await
    }

    pub(crate) async fn now_of_relations(&self) -> Result<Moment, store::Error> {
        Ok(Moment(self.changed.get(RELATIONS).await?.map(|found| found.version)))
    }

    /// `batch` changes a provider, a requirer or a relation: whoever reads them meanwhile reads them again.
    pub(crate) fn changes(&self, batch: &mut Batch) -> Result<(), store::Error> {
        self.changed.put(batch, RELATIONS, &ChangedRecord { at: self.now().as_unix() })
    }

    /// `batch` is only taken while all providers, requirers and relations are as they were at `moment`.
    pub(crate) fn expect(&self, batch: &mut Batch, moment: Moment) -> Result<(), store::Error> {
        match moment.0 {
            Some(version) => self.changed.expect_at(batch, RELATIONS, version),
            None => self.changed.expect_absent(batch, RELATIONS),
        }
    }

    /// Commits `batch`, which changes a provider, a requirer or a relation, and that it `happened`.
    pub(crate) async fn commit(
        &self,
        mut batch: Batch,
        happened: &Happened<'_>,
        by: &Principal,
        why: &Why,
    ) -> Result<(), CommitError> {
        self.changes(&mut batch)?;
        self.tell(&mut batch, happened, by, why)?;
        self.ground.engine.commit(batch).await.map(drop)
    }

    /// That it `happened` is in the history of the house once `batch` is done.
    pub(crate) fn tell(
        &self,
        batch: &mut Batch,
        happened: &Happened<'_>,
        by: &Principal,
        why: &Why,
    ) -> Result<(), store::Error> {
        let mut event = happened.event(by, &self.ground.clock);
        if let Some(why) = why.text() {
            event.facts.insert("why".to_owned(), why.to_owned());
        }
        self.history.append(batch, &event, &self.ground.entropy).map(drop)
    }

    pub(crate) async fn load_provider(
        &self,
        name: &ProviderName,
    ) -> Result<Option<Loaded<ProviderRecord>>, store::Error> {
        self.providers.get(name.as_str()).await
    }

    pub(crate) async fn load_requirer(
        &self,
        name: &RequirerName,
    ) -> Result<Option<Loaded<RequirerRecord>>, store::Error> {
        Ok(self.requirers.get(name.as_str()).await?.filter(|found| !found.record.gone))
    }
}
