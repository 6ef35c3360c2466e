//! What networks and container managers have in common: a name, a type and options, made once and never changed.
//!
//! Which clusters name one, only they say. Whoever lets a cluster name one writes that it is used, in the same commit;
//! whoever deletes it expects that to be as it was before the clusters were looked at. So of two who do so at once,
//! the slower one decides anew.

use std::sync::Arc;

use identity::Principal;
use store::{Batch, CommitError, Engine, Loaded, Page, Table};

use crate::draft::{Draft, Line};
use crate::error::DefinitionError;
use crate::event::Happened;
use crate::options::Options;
use crate::record::{ClusterRecord, DefinitionRecord, MarkRecord};
use crate::service::{Expected, Fleet, Put, Seen};

/// All networks, or all container managers.
pub(crate) struct Definitions {
    pub(crate) table: Table<DefinitionRecord>,
    /// Written whenever a cluster begins to name one.
    used: Table<MarkRecord>,
    /// What one is called.
    noun: &'static str,
    /// Which one a cluster names.
    named_by: fn(&ClusterRecord) -> &str,
}

/// What becomes of one that is to be deleted while clusters name it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhileUsed {
    /// It stays.
    Refuse,
    /// It goes, and they go on naming it.
    Delete,
}

/// One of them, with its type as it is stored.
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) options: Options,
}

/// How secret options are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    Hidden,
    InClear,
}

impl Definitions {
    pub(crate) fn new(
        engine: &Arc<dyn Engine>,
        prefix: &str,
        used: &str,
        noun: &'static str,
        named_by: fn(&ClusterRecord) -> &str,
    ) -> Result<Self, store::Error> {
        let table = Table::new(Arc::clone(engine), prefix)?;
        Ok(Self { table, used: Table::new(Arc::clone(engine), used)?, noun, named_by })
    }

    /// Writes that a cluster begins to name the one that it names in `after`, if it does.
    pub(crate) fn stage_use(
        &self,
        batch: &mut Batch,
        before: Option<&ClusterRecord>,
        after: &ClusterRecord,
    ) -> Result<(), store::Error> {
        let name = (self.named_by)(after);
        if name.is_empty() || before.is_some_and(|before| (self.named_by)(before) == name) {
            return Ok(());
        }
        // Without an expectation: those who begin to use one at the same time are not in each other's way.
        self.used.put(batch, name, &MarkRecord)
    }

    fn store_error(&self) -> impl Fn(CommitError) -> DefinitionError {
        let noun = self.noun;
        move |source| DefinitionError::Store { noun, source }
    }

    fn read_error(&self) -> impl Fn(store::Error) -> DefinitionError {
        let noun = self.noun;
        move |source| DefinitionError::Store { noun, source: source.into() }
    }

    fn not_found(&self, name: &str) -> DefinitionError {
        DefinitionError::NotFound { noun: self.noun, name: name.to_owned() }
    }

    async fn load(&self, name: &str) -> Result<Option<Loaded<DefinitionRecord>>, DefinitionError> {
        self.table.get(name).await.map_err(self.read_error())
    }
}

impl Fleet {
    /// All of them that can be read, by name.
    pub(crate) async fn all_defined(
        &self,
        of: &Definitions,
        secrets: Secrets,
    ) -> Result<Vec<Seen<Definition>>, DefinitionError> {
        let mut all = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&of.table, page).await.map_err(of.read_error())?;
            for (_, loaded) in found.entries {
                all.push(self.shown(of, loaded, secrets)?);
            }
            next = found.next;
        }
        Ok(all)
    }

    /// One of them.
    pub(crate) async fn defined(
        &self,
        of: &Definitions,
        name: &str,
        secrets: Secrets,
    ) -> Result<Seen<Definition>, DefinitionError> {
        let found = of.load(name).await?.ok_or_else(|| of.not_found(name))?;
        self.shown(of, found, secrets)
    }

    /// Makes one; the very same again changes nothing.
    pub(crate) async fn define(
        &self,
        of: &Definitions,
        new: Definition,
        expected: Expected,
        by: &Principal,
    ) -> Result<Put<Definition>, DefinitionError> {
        let name = new.name.as_str();
        let mut line = Line::default();
        loop {
            let found = of.load(name).await?;
            if !expected.holds(found.as_ref().map(|found| found.version)) {
                return Err(DefinitionError::Changed { noun: of.noun, name: name.to_owned() });
            }
            if let Some(found) = found {
                let found = self.shown(of, found, Secrets::InClear)?;
                if found.is.kind != new.kind || found.is.options != new.options {
                    return Err(DefinitionError::Different { noun: of.noun, name: name.to_owned() });
                }
                return Ok(Put { is: new, version: found.version, is_new: false });
            }
            let draft = self.draft_definition(of, &new, by).map_err(of.read_error())?;
            match self.commit(draft, &mut line).await {
                Ok(Some(version)) => return Ok(Put { is: new, version, is_new: true }),
                Ok(None) => {}
                // It is one record and what happened: only the options can be that large.
                Err(CommitError::TooLarge { .. }) => {
                    return Err(DefinitionError::TooLarge { noun: of.noun, name: name.to_owned() });
                }
                Err(error) => return Err(of.store_error()(error)),
            }
        }
    }

    fn draft_definition(
        &self,
        of: &Definitions,
        new: &Definition,
        by: &Principal,
    ) -> Result<Draft, store::Error> {
        let key = of.table.key(&new.name)?;
        let record = DefinitionRecord {
            name: new.name.clone(),
            r#type: new.kind.clone(),
            options: new.options.sealed(key.as_str(), &self.ground.sealing, &self.ground.entropy),
        };
        let mut draft = Draft::default();
        of.table.create(&mut draft.batch, &new.name, &record)?;
        let happened = Happened::DefinitionCreated { noun: of.noun, name: &new.name };
        self.record_event(&mut draft, &happened, by)?;
        Ok(draft)
    }

    /// Deletes one.
    pub(crate) async fn undefine(
        &self,
        of: &Definitions,
        name: &str,
        expected: Expected,
        while_used: WhileUsed,
        by: &Principal,
    ) -> Result<(), DefinitionError> {
        let mut line = Line::default();
        loop {
            let found = of.load(name).await?.ok_or_else(|| of.not_found(name))?;
            if !expected.holds(Some(found.version)) {
                return Err(DefinitionError::Changed { noun: of.noun, name: name.to_owned() });
            }
            let mut draft = Draft::default();
            of.table.remove(&mut draft.batch, name, found.version).map_err(of.read_error())?;
            if while_used == WhileUsed::Refuse {
                // Before the clusters: if it is still the same at the commit, nobody has begun to name it since.
                let used = of.used.get(name).await.map_err(of.read_error())?;
                let clusters = self.named_by(of, name).await.map_err(of.read_error())?;
                if !clusters.is_empty() {
                    return Err(DefinitionError::InUse { noun: of.noun, name: name.to_owned(), clusters });
                }
                match used {
                    Some(used) => of.used.remove(&mut draft.batch, name, used.version),
                    None => of.used.expect_absent(&mut draft.batch, name),
                }
                .map_err(of.read_error())?;
            }
            let happened = Happened::DefinitionDeleted { noun: of.noun, name };
            self.record_event(&mut draft, &happened, by).map_err(of.read_error())?;
            if self.commit(draft, &mut line).await.map_err(of.store_error())?.is_some() {
                return Ok(());
            }
        }
    }

    /// The clusters that name one, in the bytewise order of their names.
    async fn named_by(&self, of: &Definitions, name: &str) -> Result<Vec<String>, store::Error> {
        let mut clusters = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(&self.tables.cluster, page).await?;
            let naming =
                found.entries.into_iter().filter(|(_, loaded)| (of.named_by)(&loaded.record) == name);
            clusters.extend(naming.map(|(cluster, _)| cluster));
            next = found.next;
        }
        Ok(clusters)
    }

    fn shown(
        &self,
        of: &Definitions,
        loaded: Loaded<DefinitionRecord>,
        secrets: Secrets,
    ) -> Result<Seen<Definition>, DefinitionError> {
        let DefinitionRecord { name, r#type: kind, options } = loaded.record;
        let options = match secrets {
            Secrets::Hidden => Options::hidden(options),
            Secrets::InClear => {
                let key = of.table.key(&name).map_err(of.read_error())?;
                Options::open(key.as_str(), options, &self.ground.sealing)
                    .map_err(|source| DefinitionError::Sealed { noun: of.noun, name: name.clone(), source })?
            }
        };
        Ok(Seen { is: Definition { name, kind, options }, version: loaded.version })
    }
}
