//! Backups in caucase's format: what is given out was written by somebody who had the keys.

use std::sync::LazyLock;

use caucase_files::backup::Reader;
use x509::PrivateKey;

/// The key that the seeds are for.
static KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    PrivateKey::from_pem(include_str!("../seeds/backup.key.pem")).expect("the seeds' key can be read")
});

pub(crate) fn run(data: &[u8]) {
    let Ok(mut reader) = Reader::open(data, &KEY) else { return };
    let mut text = Vec::new();
    loop {
        match reader.next_block() {
            Ok(Some(block)) => {
                assert!(!block.is_empty(), "there is no block of nothing");
                text.extend_from_slice(block);
            }
            // Its end was authentic: nobody made another one of it.
            Ok(None) => break assert!(text.is_empty() || text.starts_with(b"BEGIN TRANSACTION;\0")),
            Err(_) => break,
        }
    }
}
