//! Serials that are on record before anything is signed under them.
//!
//! ```text
//! commit: 64 serials are reserved ─► sign under one ─► commit: the certificate, if the reservation stands
//!                                        └─ a stop: the serial is void, and the next start says so,
//!                                           or, where others share the store, one of them a day later
//! ```
//! So there may be a serial that was never used, but no certificate under a serial that nobody recorded.
//! Reserving many together costs each certificate next to nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_lock::Mutex as AsyncMutex;
use base::{Span, Timestamp};
use identity::Principal;
use store::{Batch, CommitError, Key, Version};
use x509::Serial;

use crate::error::IssueError;
use crate::event::Happened;
use crate::record::ReservedRecord;
use crate::service::{ATTEMPTS_MAX, Authority, DOUBTS_MAX};

/// How many serials are reserved in one commit. Voiding them expects as many absences, of at most 100.
const RESERVED_TOGETHER: usize = 64;
/// The most reservations that are ended in one commit. There is one now and then.
const ENDED_MAX: usize = 1;

/// The serials that this process may sign under.
#[derive(Default)]
pub(crate) struct Stock {
    shelf: Mutex<Shelf>,
    /// Taken by whoever reserves more.
    reserving: AsyncMutex<()>,
}

#[derive(Default)]
struct Shelf {
    current: Option<(Arc<Reservation>, Vec<Serial>)>,
    /// All of whose serials were taken.
    emptied: Vec<Arc<Reservation>>,
}

/// Serials that were reserved together.
struct Reservation {
    id: String,
    version: Version,
    /// Somebody else ended it: nothing more comes on record under its serials.
    ended: AtomicBool,
    /// What was taken and never came on record.
    void: Mutex<Vec<Serial>>,
}

/// A serial to sign under, once.
pub(crate) struct Reserved {
    serial: Serial,
    reservation: Arc<Reservation>,
    /// Or back in the stock: not void in any case.
    on_record: AtomicBool,
}

impl Reserved {
    pub(crate) fn serial(&self) -> Serial {
        self.serial
    }

    /// Whether a certificate under it can still come on record, as far as is known here.
    pub(crate) fn stands(&self) -> bool {
        !self.reservation.ended.load(Ordering::Acquire)
    }

    /// The certificate is stored.
    pub(crate) fn is_on_record(&self) {
        self.on_record.store(true, Ordering::Release);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.on_record.load(Ordering::Acquire) {
            lock(&self.reservation.void).push(self.serial);
        }
    }
}

impl Stock {
    fn take(&self) -> Option<Reserved> {
        let mut shelf = lock(&self.shelf);
        let (reservation, unused) = shelf.current.as_mut()?;
        let serial = unused.pop();
        let reservation = Arc::clone(reservation);
        if unused.is_empty() {
            shelf.current = None;
            shelf.emptied.push(Arc::clone(&reservation));
        }
        Some(Reserved { serial: serial?, reservation, on_record: AtomicBool::new(false) })
    }

    pub(crate) fn holds(&self, id: &str) -> bool {
        let shelf = lock(&self.shelf);
        let current = shelf.current.iter().map(|(reservation, _)| reservation);
        current.chain(&shelf.emptied).any(|reservation| reservation.id == id)
    }

    /// Takes back a serial that nothing was signed under.
    fn put_back(&self, reserved: Reserved) {
        let is_its = |reservation: &Arc<Reservation>| Arc::ptr_eq(reservation, &reserved.reservation);
        let mut shelf = lock(&self.shelf);
        if shelf.current.is_none()
            && let Some(at) = shelf.emptied.iter().position(is_its)
        {
            // It was the last one.
            shelf.current = Some((shelf.emptied.remove(at), Vec::new()));
        }
        match shelf.current.as_mut() {
            Some((reservation, unused)) if is_its(reservation) => unused.push(reserved.serial),
            _ => return, // and it is void
        }
        reserved.on_record.store(true, Ordering::Release);
    }

    /// Somebody ended the reservation `id`. What was taken of it is void.
    fn forget(&self, id: &str) {
        let mut shelf = lock(&self.shelf);
        if let Some((reservation, _)) = shelf.current.take_if(|(reservation, _)| reservation.id == id) {
            shelf.emptied.push(reservation);
        }
        for reservation in shelf.emptied.extract_if(.., |reservation| reservation.id == id) {
            reservation.ended.store(true, Ordering::Release);
        }
    }

    /// Reservations whose serials are all on record or void: nobody holds one of them any more.
    fn take_settled(&self) -> Vec<Arc<Reservation>> {
        let mut shelf = lock(&self.shelf);
        let settled = |reservation: &mut Arc<Reservation>| Arc::strong_count(reservation) == 1;
        shelf.emptied.extract_if(.., settled).take(ENDED_MAX).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Authority {
    /// A serial that is on record as reserved.
    pub(crate) async fn reserved_serial(&self) -> Result<Reserved, IssueError> {
        let (mut attempts, mut doubts) = (0, 0);
        loop {
            if let Some(reserved) = self.stock.take() {
                return Ok(reserved);
            }
            let _reserving = self.stock.reserving.lock().await;
            if lock(&self.stock.shelf).current.is_some() {
                continue;
            }
            attempts += 1;
            match self.reserve().await {
                // Somebody else drew the same number, or ended what was to be ended.
                Err(CommitError::Conflict { key }) if attempts < ATTEMPTS_MAX => self.note_conflict(&key),
                // If they are reserved after all, nobody uses them, and they are void some day.
                Err(CommitError::Unknown { .. }) if doubts < DOUBTS_MAX => doubts += 1,
                other => other?,
            }
        }
    }

    /// Takes back a serial that nothing was signed under.
    pub(crate) fn put_back(&self, reserved: Reserved) {
        self.stock.put_back(reserved);
    }

    /// Reserves serials, and ends reservations that are settled.
    async fn reserve(&self) -> Result<(), CommitError> {
        let id = format!("{:016x}", self.ground.entropy.number());
        // Certificates are found by serial, and so written side by side.
        let first = Serial::random(&self.ground.entropy);
        let another = || first.random_neighbour(&self.ground.entropy);
        let serials: Vec<Serial> = std::iter::repeat_with(another).take(RESERVED_TOGETHER).collect();
        let record = ReservedRecord {
            serials: serials.iter().map(Serial::hex).collect(),
            since: self.now().as_unix(),
        };
        let mut batch = Batch::new();
        self.tables.reserved.create(&mut batch, &id, &record)?;
        // Before anything is signed under them.
        self.record_event(&mut batch, &Happened::Reserved { serials: &serials }, Some(&Principal::house()))?;
        let settled = self.stock.take_settled();
        let committed = match self.stage_ends(&mut batch, &settled).await {
            Ok(()) => self.commit(batch).await,
            Err(error) => Err(error.into()),
        };
        // Before anybody takes one of them (`retire.rs`).
        if committed.is_ok() && self.ground.engine.is_shared() {
            self.forget_given_up().await;
        }
        let mut shelf = lock(&self.stock.shelf);
        match committed {
            Ok(version) => {
                let reservation =
                    Reservation { id, version, ended: AtomicBool::new(false), void: Mutex::default() };
                shelf.current = Some((Arc::new(reservation), serials));
                Ok(())
            }
            Err(error) => {
                shelf.emptied.extend(settled);
                Err(error)
            }
        }
    }

    async fn stage_ends(&self, batch: &mut Batch, settled: &[Arc<Reservation>]) -> Result<(), store::Error> {
        for reservation in settled {
            self.tables.reserved.remove(batch, &reservation.id, reservation.version)?;
            let void = lock(&reservation.void).clone();
            self.stage_void(batch, &void).await?;
        }
        Ok(())
    }

    /// Tells that those of `serials` are void that have no certificate, and expects that they have none: a
    /// commit may have happened although it was not answered. Gives how many are void.
    async fn stage_void(&self, batch: &mut Batch, serials: &[Serial]) -> Result<usize, store::Error> {
        let mut void = Vec::new();
        for serial in serials {
            let hex = serial.hex();
            if self.tables.certificate.get(&hex).await?.is_none() {
                self.tables.certificate.expect_absent(batch, &hex)?;
                void.push(*serial);
            }
        }
        if !void.is_empty() {
            self.record_event(batch, &Happened::Voided { serials: &void }, Some(&Principal::house()))?;
        }
        Ok(void.len())
    }

    /// What comes on record under `reserved` does so only if its reservation stands.
    pub(crate) fn expect_reservations<'a>(
        &self,
        batch: &mut Batch,
        reserved: impl IntoIterator<Item = &'a Reserved>,
    ) -> Result<(), store::Error> {
        let mut expected: Vec<&Reservation> = Vec::new();
        for Reserved { reservation, .. } in reserved {
            if !expected.iter().any(|known| known.id == reservation.id) {
                self.tables.reserved.expect_at(batch, &reservation.id, reservation.version)?;
                expected.push(reservation);
            }
        }
        Ok(())
    }

    /// Notes it if `key`, which was not as expected, is a reservation.
    pub(crate) fn note_conflict(&self, key: &Key) {
        if let Some(id) = self.tables.reserved.prefix().rest(key) {
            self.stock.forget(id);
        }
    }

    /// Voids the serials that were reserved `older_than` ago by others, and never used. Zero at start where
    /// nobody else can be at work; more while others may be signing. They lose nothing by it but the work:
    /// they sign again under other serials. Gives how many were voided.
    ///
    /// # Errors
    /// [`IssueError`] when the store fails.
    pub async fn void_reserved(&self, older_than: Span) -> Result<usize, IssueError> {
        let now = self.now();
        self.void_reserved_if(|since| since + older_than <= now).await
    }

    /// Voids all serials that were reserved by others and not used yet, also those of which another process, whose clock is
    /// ahead of this one, says that it will reserve them.
    pub(crate) async fn void_all_reserved(&self) -> Result<usize, IssueError> {
        self.void_reserved_if(|_| true).await
    }

    async fn void_reserved_if(&self, is_due: impl Fn(Timestamp) -> bool) -> Result<usize, IssueError> {
        let mut voided = 0;
        for (id, loaded) in self.tables.reserved.all().await? {
            let since = Timestamp::from_unix(loaded.record.since);
            if self.stock.holds(&id) || !is_due(since) {
                continue;
            }
            let mut batch = Batch::new();
            let serials: Vec<Serial> =
                loaded.record.serials.iter().filter_map(|hex| Serial::from_hex(hex)).collect();
            let void = self.stage_void(&mut batch, &serials).await?;
            self.tables.reserved.remove(&mut batch, &id, loaded.version)?;
            match self.commit(batch).await {
                Ok(_) => voided += void,
                // Its owner just used one, or somebody else was faster: the next look will tell.
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if voided > 0 {
            tracing::info!(authority = %self.profile.name, voided, "reserved serials were never used and are void");
        }
        Ok(voided)
    }
}
