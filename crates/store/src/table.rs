//! Records of one kind, as a room sees them.
//!
//! What is stored is compact JSON, the members in the order of the struct:
//! ```text
//! {"v":1,"is":{"name":"services","created":1700000000}}
//! ```
//! `v` is the version of the record's shape. Records of older versions are migrated as they are read, and
//! written in the newest whenever they are written.
//!
//! Where somebody else has laid down what stands under a key, a type implements [`Stored`] by itself and keeps
//! to that.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Batch, Engine, Error, Expect, Key, Page, Prefix, Revision, Version, Versioned};

/// Something that is stored. Its JSON outlives the program that wrote it: for each version there is a test
/// with its golden bytes.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The version of its shape, 1 at first; grows with each change that older programs could not read.
    const VERSION: u32;

    /// The version that this very record is written in: an older one where that can say all of it, so that older programs
    /// go on reading what they understand. What is said here [`Self::migrate`] reads.
    fn written_in(&self) -> u32 {
        Self::VERSION
    }

    /// Reads `data`, which an older `version` wrote.
    ///
    /// # Errors
    /// Why that cannot be done, as a sentence without its end.
    fn migrate(version: u32, data: &RawValue) -> Result<Self, String> {
        let _ = data;
        Err(format!("it has version {version}, which is no longer known"))
    }
}

/// What a [`Table`] holds: something that has a form in bytes. Every [`Record`] does, the versioned one.
pub trait Stored: Sized + Send + Sync + 'static {
    /// What is written.
    ///
    /// # Errors
    /// Why it cannot be written, as a sentence without its end.
    fn to_bytes(&self) -> Result<Vec<u8>, String>;

    /// Reads what was written.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence without its end.
    fn from_bytes(bytes: &[u8]) -> Result<Self, String>;
}

impl<R: Record> Stored for R {
    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        encode(self).map_err(|error| error.to_string())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        decode(bytes)
    }
}

/// A record and the version of its key that it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<R> {
    /// The record.
    pub record: R,
    /// What to expect when it is written back. Of the key, not of the record's shape.
    pub version: Version,
}

/// A page of a table, ordered by id. All of one page was true at one revision.
#[derive(Clone, Debug)]
pub struct TablePage<R> {
    /// Ids and their records.
    pub entries: Vec<(String, Loaded<R>)>,
    /// The page that follows; absent on the last.
    pub next: Option<Page>,
    /// The revision at which all this was true: watching from here misses nothing.
    pub revision: Revision,
}

/// All records whose keys begin with one prefix. What follows it is the record's id.
///
/// Reading waits for the store; writing is put into a [`Batch`], which the caller commits.
pub struct Table<R> {
    engine: Arc<dyn Engine>,
    prefix: Prefix,
    kind: PhantomData<fn() -> R>,
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), prefix: self.prefix.clone(), kind: PhantomData }
    }
}

impl<R: Stored> Table<R> {
    /// The table of what is in `engine` under `prefix`. That ends with a `/`, unless the ids are to go on where
    /// it stops, and no other table's prefix begins with it.
    ///
    /// # Errors
    /// [`Error::Key`] when `prefix` is longer than a key may be or has a NUL in it.
    pub fn new(engine: Arc<dyn Engine>, prefix: &str) -> Result<Self, Error> {
        Ok(Self { engine, prefix: Prefix::new(prefix)?, kind: PhantomData })
    }

    /// Where the records are.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// What their keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The key of the record `id`.
    ///
    /// # Errors
    /// [`Error::Key`] when it would be too long or have a NUL in it.
    pub fn key(&self, id: &str) -> Result<Key, Error> {
        self.prefix.key(id)
    }

    /// The record `id`, if it exists.
    ///
    /// # Errors
    /// [`Error::Record`] when it cannot be read as an `R`; otherwise the store's.
    pub async fn get(&self, id: &str) -> Result<Option<Loaded<R>>, Error> {
        let key = self.key(id)?;
        self.engine.get(&key).await?.map(|versioned| load(&key, &versioned)).transpose()
    }

    /// A page of the records, ordered bytewise by id.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn list(&self, page: Page) -> Result<TablePage<R>, Error> {
        let listing = self.engine.list(&self.prefix, page).await?;
        let entry =
            |(key, versioned): &(Key, Versioned)| Ok((self.id(key).to_owned(), load(key, versioned)?));
        let entries = listing.entries.iter().map(entry).collect::<Result<_, Error>>()?;
        Ok(TablePage { entries, next: listing.next, revision: listing.revision })
    }

    /// All records, ordered bytewise by id. They are read page by page, so what is written meanwhile may or may
    /// not be among them. For tables that are known to be small.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn all(&self) -> Result<Vec<(String, Loaded<R>)>, Error> {
        let mut all = Vec::new();
        let mut next = Some(Page::full());
        while let Some(page) = next {
            let found = self.list(page).await?;
            all.extend(found.entries);
            next = found.next;
        }
        Ok(all)
    }

    /// Writes a record that must not exist yet.
    ///
    /// # Errors
    /// [`Error::Key`] as for [`Self::key`], [`Error::Record`] when it has no JSON form.
    pub fn create(&self, batch: &mut Batch, id: &str, record: &R) -> Result<(), Error> {
        self.expect_absent(batch, id)?;
        self.put(batch, id, record)
    }

    /// Writes a record that must still be as it was at `version`.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn update(&self, batch: &mut Batch, id: &str, record: &R, version: Version) -> Result<(), Error> {
        self.expect_at(batch, id, version)?;
        self.put(batch, id, record)
    }

    /// Writes a record, whatever was there.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn put(&self, batch: &mut Batch, id: &str, record: &R) -> Result<(), Error> {
        let key = self.key(id)?;
        let bytes = record.to_bytes().map_err(|reason| unreadable(&key, reason))?;
        batch.put(key, bytes);
        Ok(())
    }

    /// Writes a record that must still be as it was seen: at `seen`, or not there.
    ///
    /// # Errors
    /// As for [`Self::create`].
    pub fn put_over(
        &self,
        batch: &mut Batch,
        id: &str,
        record: &R,
        seen: Option<Version>,
    ) -> Result<(), Error> {
        match seen {
            Some(version) => self.update(batch, id, record, version),
            None => self.create(batch, id, record),
        }
    }

    /// Removes a record that must still be as it was at `version`.
    ///
    /// # Errors
    /// [`Error::Key`] as for [`Self::key`].
    pub fn remove(&self, batch: &mut Batch, id: &str, version: Version) -> Result<(), Error> {
        self.expect_at(batch, id, version)?;
        self.delete(batch, id)
    }

    /// Removes a record, whether it exists or not.
    ///
    /// # Errors
    /// [`Error::Key`] as for [`Self::key`].
    pub fn delete(&self, batch: &mut Batch, id: &str) -> Result<(), Error> {
        batch.delete(self.key(id)?);
        Ok(())
    }

    /// Expects that a record does not exist.
    ///
    /// # Errors
    /// [`Error::Key`] as for [`Self::key`].
    pub fn expect_absent(&self, batch: &mut Batch, id: &str) -> Result<(), Error> {
        batch.expect(self.key(id)?, Expect::Absent);
        Ok(())
    }

    /// Expects that a record is still as it was at `version`.
    ///
    /// # Errors
    /// [`Error::Key`] as for [`Self::key`].
    pub fn expect_at(&self, batch: &mut Batch, id: &str, version: Version) -> Result<(), Error> {
        batch.expect(self.key(id)?, Expect::At(version));
        Ok(())
    }

    /// The id in a key of this table.
    fn id<'k>(&self, key: &'k Key) -> &'k str {
        self.prefix.rest(key).unwrap_or_default()
    }
}

/// The stored form, for writing.
#[derive(Serialize)]
struct Written<'r, R> {
    v: u32,
    is: &'r R,
}

/// The stored form, for reading.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading<'b> {
    v: u32,
    #[serde(borrow)]
    is: &'b RawValue,
}

/// The stored form of a record.
///
/// # Errors
/// When it has no JSON form.
pub fn encode<R: Record>(record: &R) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Written { v: record.written_in(), is: record })
}

fn load<R: Stored>(key: &Key, versioned: &Versioned) -> Result<Loaded<R>, Error> {
    let record = R::from_bytes(&versioned.value).map_err(|reason| unreadable(key, reason))?;
    Ok(Loaded { record, version: versioned.version })
}

/// Reads the stored form of a record, of this version or an earlier one.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, String> {
    let stored: Reading<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if stored.v > R::VERSION {
        let (theirs, ours) = (stored.v, R::VERSION);
        return Err(format!(
            "it was written by a newer version: its shape is {theirs}, and {ours} is known here"
        ));
    }
    if stored.v < R::VERSION {
        return R::migrate(stored.v, stored.is);
    }
    serde_json::from_str(stored.is.get()).map_err(|error| error.to_string())
}

fn unreadable(key: &Key, reason: String) -> Error {
    Error::Record { key: key.clone(), reason }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;
    use crate::{CommitError, Memory};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Door {
        width_millimetres: u32,
        colour: String,
    }

    impl Record for Door {
        const VERSION: u32 = 2;

        /// Version 1 measured in centimetres and knew no colours.
        fn migrate(version: u32, data: &RawValue) -> Result<Self, String> {
            #[derive(Deserialize)]
            struct Door1 {
                width: u32,
            }
            match version {
                1 => serde_json::from_str(data.get())
                    .map(|Door1 { width }| Self { width_millimetres: width * 10, colour: "white".into() })
                    .map_err(|error| error.to_string()),
                _ => Err(format!("version {version} has never been")),
            }
        }
    }

    fn door(colour: &str) -> Door {
        Door { width_millimetres: 900, colour: colour.into() }
    }

    fn doors() -> Table<Door> {
        Table::new(Arc::new(Memory::new()), "/doors/").unwrap()
    }

    fn commit(
        doors: &Table<Door>,
        fill: impl Fn(&mut Batch) -> Result<(), Error>,
    ) -> Result<Revision, CommitError> {
        let mut batch = Batch::new();
        fill(&mut batch).unwrap();
        block_on(doors.engine().commit(batch))
    }

    fn put_bytes(doors: &Table<Door>, id: &str, bytes: &'static str) {
        let mut batch = Batch::new();
        batch.put(doors.key(id).unwrap(), bytes);
        block_on(doors.engine().commit(batch)).unwrap();
    }

    #[test]
    fn golden_bytes() {
        let written = String::from_utf8(encode(&door("blue")).unwrap()).unwrap();
        assert_eq!(written, r#"{"v":2,"is":{"width_millimetres":900,"colour":"blue"}}"#);
        assert_eq!(decode::<Door>(br#"{"v":1,"is":{"width":90}}"#), Ok(door("white")));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_the_key() {
        let doors = doors();
        for (bytes, reason) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"v":2}"#, "missing field `is`"),
            (r#"{"v":2,"is":{"width_millimetres":900}}"#, "missing field `colour`"),
            (r#"{"v":2,"is":{"width_millimetres":900,"colour":"red","x":1}}"#, "unknown field `x`"),
            (r#"{"v":2,"is":{"width_millimetres":900,"colour":"red"},"x":1}"#, "unknown field `x`"),
            (r#"{"v":1,"is":{"length":900}}"#, "missing field `width`"),
            (r#"{"v":0,"is":{}}"#, "version 0 has never been"),
            (r#"{"v":3,"is":{}}"#, "written by a newer version: its shape is 3, and 2 is known here"),
            (r#"{"v":-1,"is":{}}"#, "invalid value"),
        ] {
            put_bytes(&doors, "front", bytes);
            for error in [block_on(doors.get("front")).unwrap_err(), block_on(doors.all()).unwrap_err()] {
                let Error::Record { key, reason: found } = error else { panic!("{error} for {bytes}") };
                assert_eq!(key.as_str(), "/doors/front");
                assert!(found.contains(reason), "{found} for {bytes}");
            }
        }
    }

    #[test]
    fn what_is_not_said_how_to_migrate_is_refused() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Window;
        impl Record for Window {
            const VERSION: u32 = 2;
        }
        let error = decode::<Window>(br#"{"v":1,"is":null}"#).unwrap_err();
        assert_eq!(error, "it has version 1, which is no longer known");
    }

    #[test]
    fn a_form_laid_down_by_others_is_kept_to() {
        /// A colour, as the paint shop writes it.
        #[derive(Debug, PartialEq)]
        struct Colour(String);
        impl Stored for Colour {
            fn to_bytes(&self) -> Result<Vec<u8>, String> {
                Ok(self.0.clone().into_bytes())
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
                String::from_utf8(bytes.to_vec()).map(Self).map_err(|_| "it is no text".into())
            }
        }
        let colours = Table::<Colour>::new(Arc::new(Memory::new()), "/colours/").unwrap();
        let mut batch = Batch::new();
        colours.put(&mut batch, "front", &Colour("blue".into())).unwrap();
        batch.put(colours.key("back").unwrap(), &b"\xff"[..]);
        block_on(colours.engine().commit(batch)).unwrap();
        let stored = block_on(colours.engine().get(&colours.key("front").unwrap())).unwrap().unwrap();
        assert_eq!(&stored.value[..], b"blue");
        assert_eq!(block_on(colours.get("front")).unwrap().unwrap().record, Colour("blue".into()));
        let error = block_on(colours.get("back")).unwrap_err();
        assert_eq!(error.to_string(), "the record `/colours/back` cannot be read: it is no text");
    }

    #[test]
    fn a_record_lives() {
        let doors = doors();
        let first = commit(&doors, |batch| doors.create(batch, "front", &door("blue"))).unwrap();
        let loaded = block_on(doors.get("front")).unwrap().unwrap();
        assert_eq!(loaded, Loaded { record: door("blue"), version: Version(first) });

        let again = commit(&doors, |batch| doors.create(batch, "front", &door("red")));
        assert!(matches!(again, Err(CommitError::Conflict { .. })));

        let second =
            commit(&doors, |batch| doors.update(batch, "front", &door("red"), loaded.version)).unwrap();
        let stale = commit(&doors, |batch| doors.update(batch, "front", &door("pink"), loaded.version));
        assert!(matches!(stale, Err(CommitError::Conflict { .. })));
        let stale = commit(&doors, |batch| doors.remove(batch, "front", loaded.version));
        assert!(matches!(stale, Err(CommitError::Conflict { .. })));
        let watched = commit(&doors, |batch| doors.expect_absent(batch, "front"));
        assert!(matches!(watched, Err(CommitError::Conflict { .. })));

        commit(&doors, |batch| doors.expect_at(batch, "front", Version(second))).unwrap();
        commit(&doors, |batch| doors.remove(batch, "front", Version(second))).unwrap();
        commit(&doors, |batch| doors.delete(batch, "front")).unwrap();
        assert_eq!(block_on(doors.get("front")).unwrap(), None);
        commit(&doors, |batch| doors.put(batch, "front", &door("green"))).unwrap();
        assert_eq!(block_on(doors.get("front")).unwrap().unwrap().record, door("green"));
    }

    #[test]
    fn lists_its_own_page_by_page() {
        let doors = doors();
        for id in 0..2_345 {
            commit(&doors, |batch| doors.put(batch, &format!("{id:04}"), &door("blue"))).unwrap();
        }
        let other = Table::<Door>::new(Arc::clone(doors.engine()), "/doorsteps/").unwrap();
        commit(&other, |batch| other.put(batch, "x", &door("grey"))).unwrap();

        let page = block_on(doors.list(Page::first(2))).unwrap();
        assert_eq!(page.entries.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["0000", "0001"]);
        assert_eq!(page.revision, Revision(2_346));
        let page = block_on(doors.list(page.next.unwrap())).unwrap();
        assert_eq!(page.entries[0].0, "0002");

        let all = block_on(doors.all()).unwrap();
        assert_eq!(all.len(), 2_345);
        assert!(all.is_sorted_by(|a, b| a.0 < b.0));
    }
}
