//! The old clients' programs under their own names, beside the stock ones: what one writes the other reads, and both say the
//! same.

mod alike;
mod connections;
mod ini;
mod signature_key;
mod slapcache;
mod slapos;
mod uploads;

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::{NetworkCache, Ran};

use crate::program::provost;

pub use self::slapos::{TEST_SERVER, serve};

/// Our programs, in a folder of their own.
struct Ours(TempDir);

impl Ours {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ran = provost(&["links", directory.path().to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// One of them where `client` works, with nothing in the environment.
    #[track_caller]
    fn run(&self, client: &NetworkCache, name: &str, arguments: &[&str]) -> Ran {
        client.ours(&self.path(name), arguments)
    }

    /// `networkcache-upload -c cache.cfg` and `arguments`.
    #[track_caller]
    fn upload(&self, client: &NetworkCache, arguments: &[&str]) -> Ran {
        self.run(client, "networkcache-upload", &[&["-c", "cache.cfg"], arguments].concat())
    }

    /// `networkcache-download -c cache.cfg` and `arguments`.
    #[track_caller]
    fn download(&self, client: &NetworkCache, arguments: &[&str]) -> Ran {
        self.run(client, "networkcache-download", &[&["-c", "cache.cfg"], arguments].concat())
    }
}

/// Whether nothing is left in `directory` that was to be there only for a while.
fn is_tidy(directory: &Path) -> bool {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().all(|name| !name.to_string_lossy().starts_with(".provost"))
}
