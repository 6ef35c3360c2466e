//! Everything that is stored, taken elsewhere: as `provost backup` and `provost restore` do it, and by way of caucase's
//! files, with the very code that writes and reads those.

use std::path::Path;
use std::sync::Arc;

use base::Timestamp;
use ca::takeover::{Taking, authority_of, give_back, keys_of_users};
use caucase_files::backup::{Reader, Recipient, Writer as BackupWriter};
use caucase_files::dump::{Restorer, Writer as DumpWriter};
use caucase_files::{Database, Prefix as Table, Writer};
use futures_executor::block_on;
use store::{Batch, Engine, Event, Expect, History, Key, Page, Prefix, Still};
use x509::PrivateKey;

use crate::Base;

/// How many records are put in one commit.
const TOGETHER: usize = 50;
/// Says in the history that what came before was in caucase's hands. As `provost` says it.
pub(crate) const TAKEN_OVER: &str = "authority taken over from caucase";

/// All records, as they were.
#[derive(Clone)]
pub struct Copy {
    made_at: Timestamp,
    records: Vec<(Key, Vec<u8>)>,
}

impl Copy {
    /// A copy of what is in `engine` in this moment.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn of(engine: &Arc<dyn Engine>, now: Timestamp) -> Self {
        let moment = block_on(engine.snapshot()).expect("the store can be copied");
        let (mut records, mut next) = (Vec::new(), Some(Page::full()));
        while let Some(page) = next {
            let listing = block_on(moment.list(&Prefix::default(), page)).expect("the copy can be read");
            let found = listing.entries.into_iter();
            records.extend(found.map(|(key, held)| (key, held.value.to_vec())));
            next = listing.next;
        }
        Self { made_at: now, records }
    }

    /// Puts it back into `engine`, where nothing is.
    ///
    /// # Panics
    /// When it cannot.
    pub fn restore(&self, base: &Base, engine: &Arc<dyn Engine>) {
        for records in self.records.chunks(TOGETHER) {
            let mut batch = Batch::new();
            for (key, value) in records {
                batch.expect(key.clone(), Expect::Absent).put(key.clone(), value.clone());
            }
            block_on(engine.commit(batch)).expect("a new store takes records");
        }
        counts_on(base, engine, self.made_at);
    }
}

/// What a copy that was made then needs before it goes on.
///
/// # Panics
/// When the store does not take it.
pub fn counts_on(base: &Base, engine: &Arc<dyn Engine>, made_at: Timestamp) {
    let jumped = ca::jump_crl_numbers(engine, made_at, base.clock.now(), &base.entropy);
    block_on(jumped).expect("the numbers of the lists can be counted on");
}

/// A backup in caucase's format, readable by the users who are good now; nothing where there is none.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn backup(base: &Base, engine: &Arc<dyn Engine>) -> Option<Vec<u8>> {
    let still = Still::of(block_on(engine.snapshot()).expect("the store can be copied"));
    let readers = block_on(keys_of_users(&still, base.clock.now())).expect("the store can be read");
    let readers: Vec<_> = readers.iter().filter_map(Recipient::new).collect();
    if readers.is_empty() {
        return None;
    }
    let writer = BackupWriter::new(Vec::new(), &readers, &base.entropy).expect("somebody can read it");
    let mut dump = DumpWriter::new(writer).expect("memory takes it");
    block_on(give_back(&still, &base.sealing, |table, row| dump.row(table, &row)))
        .expect("everything stored can be given");
    let finished = dump.finish().expect("memory takes it").finish();
    Some(finished.expect("memory takes it"))
}

/// Makes a database of caucase's at `path` out of a backup, opened with `key`.
///
/// # Panics
/// When it cannot be read.
pub fn open_backup(backup: &[u8], key: &PrivateKey, path: &Path) {
    let mut reader = Reader::open(backup, key).expect("it is one of the readers");
    let mut restorer = Restorer::into_file(path).expect("a file can be made");
    while let Some(block) = reader.next_block().expect("it is whole") {
        restorer.feed(block).expect("what was written can be read");
    }
    drop(restorer.finish().expect("what was written can be read"));
}

/// Writes a database of caucase's to `path`, as `provost ca export` does.
///
/// # Panics
/// When it cannot be written.
pub fn export(base: &Base, engine: &Arc<dyn Engine>, path: &Path) {
    let mut writer = Writer::create(path).expect("a file can be made");
    block_on(give_back(engine, &base.sealing, |table, row| writer.push(table, &row)))
        .expect("everything stored can be given");
    writer.finish().expect("it can be written");
}

/// Takes the database of caucase's at `path` over into `engine`, where nothing is, as `provost ca import` does.
///
/// # Panics
/// When something of it is refused.
pub fn take_over(base: &Base, engine: &Arc<dyn Engine>, path: &Path) {
    let mut database = Database::open(path).expect("it is one of caucase's");
    let mut taking = Taking::new(&base.sealing, &base.entropy, base.clock.now());
    let commit = |batch| block_on(engine.commit(batch)).expect("a new store takes records");
    loop {
        let rows = database.next_rows().expect("it is whole");
        if rows.is_empty() {
            break;
        }
        for (table, row) in rows {
            if let Some(batch) = taking.take(table, row).expect("what was given can be taken") {
                commit(batch);
            }
        }
    }
    let (batches, _) = taking.finish().expect("what was given can be taken");
    for batch in batches {
        commit(batch);
    }
    let history = History::new(engine.clone()).expect("its prefix is fair");
    let mut batch = Batch::new();
    for table in Table::ALL {
        let event = Event {
            at_milliseconds: base.clock.now_milliseconds(),
            what: TAKEN_OVER.to_owned(),
            about: format!("{} authority", authority_of(table)),
            by: "the house".to_owned(),
            from: None,
            facts: Default::default(),
        };
        history.append(&mut batch, &event, &base.entropy).expect("an event is JSON");
    }
    commit(batch);
}
