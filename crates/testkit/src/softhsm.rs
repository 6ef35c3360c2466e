//! A token of SoftHSM's, in a folder of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::run;

/// The PIN of every token that is made here.
const PIN: &str = "correct-horse";

/// A token of SoftHSM's. Dropping it deletes it.
#[derive(Debug)]
pub struct SoftHsm {
    path: PathBuf,
    /// Where it is somebody else's, nothing.
    _folder: Option<TempDir>,
}

impl SoftHsm {
    /// The variable that says where SoftHSM's tokens are.
    pub const VARIABLE: &str = "SOFTHSM2_CONF";
    /// Where Debian has its PKCS#11 module.
    pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

    /// Makes a token called `label`.
    ///
    /// # Panics
    /// When SoftHSM is not installed.
    #[must_use]
    #[track_caller]
    pub fn new(label: &str) -> Self {
        let is_there = Path::new(Self::MODULE).exists();
        assert!(is_there, "this test needs Debian's softhsm2; install it with: cargo xtask witnesses");
        let folder = tempfile::tempdir().unwrap();
        let hsm = Self { path: folder.path().to_owned(), _folder: Some(folder) };
        std::fs::create_dir(hsm.tokens()).unwrap();
        let tokens = hsm.tokens().display().to_string();
        std::fs::write(hsm.conf(), format!("directories.tokendir = {tokens}\nlog.level = ERROR\n")).unwrap();
        hsm.say_pin(PIN);
        hsm.add(label);
        hsm
    }

    /// The one in the folder of another process.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { path: folder.to_owned(), _folder: None }
    }

    /// Makes another token.
    #[track_caller]
    pub fn add(&self, label: &str) {
        self.init(&["--free", "--label", label, "--pin", PIN]);
    }

    /// Makes a token anew, with nothing in it, and this PIN.
    #[track_caller]
    pub fn make_again(&self, label: &str, pin: &str) {
        self.init(&["--token", label, "--label", label, "--pin", pin]);
    }

    #[track_caller]
    fn init(&self, arguments: &[&str]) {
        let mut command = Command::new("softhsm2-util");
        command.args(["--init-token", "--so-pin", "12345678"]).args(arguments);
        let ran = run(command.env(Self::VARIABLE, self.conf()));
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// What [`SoftHsm::VARIABLE`] is to name.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.path.join("softhsm2.conf")
    }

    /// The file with its PIN.
    #[must_use]
    pub fn pin_file(&self) -> PathBuf {
        self.path.join("pin")
    }

    /// Writes another PIN into that file.
    pub fn say_pin(&self, pin: &str) {
        std::fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        std::fs::set_permissions(self.pin_file(), PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Writes the right PIN into it.
    pub fn say_right_pin(&self) {
        self.say_pin(PIN);
    }

    /// Takes all tokens out.
    pub fn take_out(&self) {
        std::fs::rename(self.tokens(), self.path.join("taken-out")).unwrap();
        std::fs::create_dir(self.tokens()).unwrap();
    }

    /// Puts them back.
    pub fn put_back(&self) {
        std::fs::remove_dir_all(self.tokens()).unwrap();
        std::fs::rename(self.path.join("taken-out"), self.tokens()).unwrap();
    }

    /// The settings that name it, as options.
    pub(crate) fn options(&self, label: &str) -> [(&'static str, String); 3] {
        [
            ("ca-token-module", Self::MODULE.to_owned()),
            ("ca-token-label", label.to_owned()),
            ("ca-token-pin-file", self.pin_file().display().to_string()),
        ]
    }

    fn tokens(&self) -> PathBuf {
        self.path.join("tokens")
    }
}
