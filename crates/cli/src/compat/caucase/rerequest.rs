//! `caucase-rerequest` (caucase contract, 7.4): a signing request like another one, with a new key.

use std::io;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Parser};
use x509::{KeySpec, PrivateKey, SigningRequest};

use super::error::CommandError;
use super::{Ended, VERSION, Warnings, key_bits, request_in, usage};
use crate::holder::{Pem, PemFileError};
use crate::kept_file::{KeptFile, NewFile, place_of};

/// Make a new key and a signing request with the subject and all extensions of another one
#[derive(Parser)]
#[command(name = "caucase-rerequest", infer_long_args = true, args_override_self = true)]
#[command(version = VERSION, disable_version_flag = true)]
pub(super) struct Line {
    /// The other signing request
    #[arg(long, value_name = "CSR_PATH")]
    template: PathBuf,
    /// Where the new one goes, in place of what is there
    #[arg(long, value_name = "CSR_PATH")]
    csr: PathBuf,
    /// Where the new key goes, in place of what is there; a new file is for its owner alone
    #[arg(long, value_name = "KEY_PATH")]
    key: PathBuf,
    /// How long the RSA key is
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = key_bits)]
    key_len: u32,
    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Line {
    pub(super) fn run(self) -> Result<(), Ended> {
        let key_file = file(&self.key, NewFile::Mode(0o600))?;
        let request_file = file(&self.csr, NewFile::Umask)?;
        if key_file.path() == request_file.path() {
            return Err(usage::<Self>("--csr and --key name the same file, and one of them would be lost"));
        }
        if place_of(&self.key) == place_of(&self.template) {
            return Err(usage::<Self>(
                "--template and --key name the same file, and the signing request would be lost",
            ));
        }
        let template = request_in(&self.template)?;
        if has_key(&self.csr) {
            return Err(CommandError::Precious(self.csr).into());
        }
        let key = PrivateKey::generate(KeySpec::Rsa { bits: self.key_len }).map_err(CommandError::from)?;
        let request = SigningRequest::build(&key, template.subject(), template.extensions());
        let unwritable = |path: &Path| unwritable(path.to_owned());
        // Both are on the disk before either takes its place, the key first.
        key_file.prepare(key.to_pem().expose().as_bytes()).map_err(unwritable(&self.key))?;
        if let Err(error) = request_file.prepare(request.to_pem().as_bytes()) {
            // What went wrong is said; a key that nobody uses stays nowhere.
            let _ = key_file.remove_part();
            return Err(unwritable(&self.csr)(error).into());
        }
        key_file.finish().map_err(unwritable(&self.key))?;
        request_file.finish().map_err(unwritable(&self.csr))?;
        Warnings::of("caucase-rerequest").look(&self.key);
        Ok(())
    }
}

/// Whether there is a private key in the file at `path`, be it one that cannot be read.
fn has_key(path: &Path) -> bool {
    match Pem::read(path) {
        Ok(found) => !found.keys.is_empty(),
        Err(PemFileError::Missing(_)) => false,
        // What is broken otherwise was replaced at all times.
        Err(_) => std::fs::read(path).is_ok_and(|text| {
            let label = b"PRIVATE KEY-----";
            text.windows(label.len()).any(|window| window == label)
        }),
    }
}

fn file(path: &Path, new: NewFile) -> Result<KeptFile, CommandError> {
    // What is left by one that was killed, the next one replaces.
    Ok(KeptFile::at(path, new).map_err(unwritable(path.to_owned()))?.alone())
}

fn unwritable(path: PathBuf) -> impl FnOnce(io::Error) -> CommandError {
    move |source| CommandError::Unwritable { path, source }
}
