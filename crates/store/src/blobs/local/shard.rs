//! One of the directories that objects are in, and how its names become durable together.
//!
//! Each change of a name has a number. Whoever wants to know that its change is durable syncs the directory, which is
//! for all changes before that, or waits for somebody who is about to. What an earlier process put there counts as the
//! first change: a process that was killed may have named a file without having synced its name.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A directory with objects.
pub(super) struct Shard {
    path: PathBuf,
    /// Held by whoever looks at a name and changes it.
    names: Mutex<()>,
    state: Mutex<State>,
    settled: Condvar,
}

struct State {
    /// The number of the last change.
    changed: u64,
    /// The last change that is durable.
    durable: u64,
    /// Somebody syncs.
    syncing: bool,
}

/// The number of a change.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl Shard {
    /// The directory at `path`, which need not be there yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let state = State { changed: 1, durable: 0, syncing: false };
        Self { path, names: Mutex::new(()), state: Mutex::new(state), settled: Condvar::new() }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Nobody else changes a name as long as this is held.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all names now are.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket(self.state().changed)
    }

    /// A name was changed.
    pub(super) fn changed(&self) -> Ticket {
        let mut state = self.state();
        state.changed += 1;
        Ticket(state.changed)
    }

    /// Waits until the change with this number is durable.
    pub(super) fn settle(&self, Ticket(number): Ticket) -> io::Result<()> {
        let mut state = self.state();
        while state.durable < number {
            if state.syncing {
                state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.syncing = true;
            let changed = state.changed;
            drop(state);
            let synced = File::open(&self.path).and_then(|directory| directory.sync_all());
            state = self.state();
            state.syncing = false;
            if synced.is_ok() {
                state.durable = state.durable.max(changed);
            }
            self.settled.notify_all();
            synced?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
