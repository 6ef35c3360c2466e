//! SQL out of backups: whatever it says, a database of tables comes of it, or nothing.

use caucase_files::dump::Restorer;

pub(crate) fn run(data: &[u8]) {
    let mut restorer = Restorer::into_memory().expect("a database in memory");
    // However it comes in pieces it is the same.
    let (first, second) = data.split_at(data.len() / 2);
    if restorer.feed(first).and_then(|()| restorer.feed(second)).is_err() {
        return;
    }
    let Ok(database) = restorer.finish() else { return };
    let others = "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')";
    let count = database.query_row(others, (), |row| row.get::<_, i64>(0));
    assert_eq!(count.expect("it can be looked at"), 0, "nothing in it does anything by itself");
}
