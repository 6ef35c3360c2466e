//! Whether the clock can be right, as far as a house can know: it writes down what time it is, and looks at that when
//! it starts again.
//!
//! A machine whose clock lost its battery comes up in another year. Years ahead, every CA certificate would seem to have
//! ended, new ones would be made, and what is old would be tidied away; years behind, everything signed would have
//! ended long ago. So such a start is refused, unless somebody says that it is the clock that is right: a house may
//! have been asleep for years, and then nobody is left who could be lost.

use std::sync::Arc;

use base::{Clock, Span, Timestamp};
use ca::AuthorityName;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use store::{Batch, CommitError, Engine, Error, Record, Table};

use crate::house_error::HouseError;
use crate::reconciler::{Next, Reconciler, StepError};
use crate::tasks::Stop;

/// The name of the record.
const SEEN: &str = "clock";
/// How often the time is written down.
const EVERY: Span = Span::seconds(3_600);
/// Differences below this are nobody's business: of machines that share a store, and of those set by hand.
const TOLERATED: Span = Span::days(1);

/// What time it was when the house last looked.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    at: i64,
}

impl Record for Seen {
    const VERSION: u32 = 1;
}

fn table(engine: &Arc<dyn Engine>) -> Result<Table<Seen>, Error> {
    Table::new(engine.clone(), "/house/")
}

async fn note(engine: &Arc<dyn Engine>, now: Timestamp) -> Result<(), CommitError> {
    let mut batch = Batch::new();
    table(engine)?.put(&mut batch, SEEN, &Seen { at: now.as_unix() })?;
    engine.commit(batch).await.map(drop)
}

/// Looks, and writes nothing down. `is_right` is what somebody says of the clock.
///
/// # Errors
/// [`HouseError::ClockBehind`] and [`HouseError::ClockAhead`], unless `is_right`. The store's.
pub async fn look(engine: &Arc<dyn Engine>, clock: &Clock, is_right: bool) -> Result<(), HouseError> {
    let now = clock.now();
    if let Some(loaded) = table(engine)?.get(SEEN).await?
        && !is_right
    {
        let seen = Timestamp::from_unix(loaded.record.at);
        if is_behind(now, seen) {
            return Err(HouseError::ClockBehind { now, seen });
        }
        if is_ahead(now, seen) {
            for name in [AuthorityName::Services, AuthorityName::Users] {
                if let Some(ended) = ca::stranded(engine, name, seen, now).await? {
                    return Err(HouseError::ClockAhead { now, seen, name, ended });
                }
            }
        }
    }
    Ok(())
}

/// Looks before anything else is done, and writes down what time it is.
///
/// # Errors
/// As [`look`], but for a full disk: what is there can still be served.
pub async fn check(engine: &Arc<dyn Engine>, clock: &Clock, is_right: bool) -> Result<(), HouseError> {
    look(engine, clock, is_right).await?;
    match note(engine, clock.now()).await {
        Ok(()) => Ok(()),
        Err(CommitError::Store(Error::Full)) => {
            tracing::warn!("what time it is could not be written down: the disk is full");
            Ok(())
        }
        Err(error) => Err(HouseError::Clock(error)),
    }
}

/// Whether a clock that says `now` is behind, when something was done at `seen`.
#[must_use]
pub fn is_behind(now: Timestamp, seen: Timestamp) -> bool {
    now + TOLERATED < seen
}

/// Whether a clock that says `now` is so far ahead of `seen`, when something was last done, that it may be wrong.
#[must_use]
pub fn is_ahead(now: Timestamp, seen: Timestamp) -> bool {
    seen + TOLERATED < now
}

/// What time it is already for whoever drops what is old: never later than what is certainly past, so that an hour with a
/// clock years ahead takes nothing away that the house is to keep.
///
/// # Errors
/// The store's.
pub(crate) async fn certainly(engine: &Arc<dyn Engine>, clock: &Clock) -> Result<Timestamp, Error> {
    Ok(ca::settled_in(engine).await?.min(clock.now()))
}

/// Writes down what time it is.
pub(crate) struct NoteTime {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Clock,
}

impl Reconciler for NoteTime {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn step<'a>(&'a mut self, _stop: &'a Stop) -> BoxFuture<'a, Result<Next, StepError>> {
        Box::pin(async move {
            let now = self.clock.now();
            note(&self.engine, now).await?;
            Ok(Next::At(now + EVERY))
        })
    }
}
