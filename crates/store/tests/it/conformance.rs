//! Both engines do the same.

use std::sync::Arc;

use futures_executor::block_on;
use store::conformance::conformance;
use store::{Engine, Memory, Sqlite};

#[test]
fn memory_conforms() {
    block_on(conformance(async || Arc::new(Memory::new()) as Arc<dyn Engine>));
}

#[test]
fn sqlite_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    block_on(conformance(async || {
        number.set(number.get() + 1);
        let path = directory.path().join(format!("{}.sqlite", number.get()));
        Arc::new(Sqlite::open(&path).expect("a new store opens")) as Arc<dyn Engine>
    }));
}
