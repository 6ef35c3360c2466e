//! What tests of what a holder has on disk need: certificates, and `openssl`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base::{Entropy, Timestamp};
use x509::{Certificate, CertificateTemplate, Extension, Name, PrivateKey, Serial};

/// 2026-01-01.
const BEGIN: i64 = 1_767_225_600;

/// A certificate for `key`, signed by itself, `days` after the first.
pub(super) fn certificate(key: &PrivateKey, name: &Name, days: i64, entropy: &Entropy) -> Certificate {
    with_extensions(key, name, days, entropy, Vec::new())
}

pub(super) fn with_extensions(
    key: &PrivateKey,
    name: &Name,
    days: i64,
    entropy: &Entropy,
    extensions: Vec<Extension>,
) -> Certificate {
    let template = CertificateTemplate {
        serial: Serial::random(entropy),
        issuer: name.clone(),
        subject: name.clone(),
        not_before: Timestamp::from_unix(BEGIN + days * 86_400),
        not_after: Timestamp::from_unix(BEGIN + (days + 90) * 86_400),
        public_key: key.public().clone(),
        extensions,
    };
    template.sign(key)
}

/// Runs `openssl` with `arguments`, which have no blanks, in `folder`.
pub(super) fn openssl(folder: &Path, arguments: &str) {
    run(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
}

pub(super) fn run(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; install it: `apt-get install openssl coreutils`")
    });
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// The names in `folder`, in order.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The permission bits of a file.
pub(super) fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}
