//! `generate-signature-key` (networkcache contract, 8.3).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base::{Clock, Entropy, Timestamp};
use clap::Parser;
use clap::builder::RangedU64ValueParser;
use entry::{SigningKey, Value, python};
use x509::Serial;

use super::error::CommandError;
use crate::output;

/// How long the certificate says that it is valid: 36,500 days. Nobody looks.
const LIFETIME_SECONDS: i64 = 36_500 * 86_400;

/// Make a key that signs entries of a network cache, and its certificate
#[derive(Parser)]
#[command(name = "generate-signature-key", infer_long_args = true, args_override_self = true)]
pub(super) struct Line {
    /// Where the certificate goes; it is printed as well, or only printed
    #[arg(long, value_name = "CERT_FILE", default_value = "-")]
    cert_file: PathBuf,
    /// The size of the RSA key; the original's is 1024, which every reader takes and which can be forged
    #[arg(long, value_name = "BITS", default_value_t = 3072, value_parser = RangedU64ValueParser::<u32>::new().range(1024..=16384))]
    bits: u32,
    /// Where the key goes
    #[arg(value_name = "KEY_FILE")]
    key_file: PathBuf,
    /// The name in the certificate
    #[arg(value_name = "COMMON_NAME")]
    common_name: String,
}

impl Line {
    pub(super) fn run(self, clock: &Clock, entropy: &Entropy) -> Result<(), CommandError> {
        let cert_file = Some(self.cert_file.as_path()).filter(|path| *path != Path::new("-"));
        absent("Key", &self.key_file)?;
        cert_file.map_or(Ok(()), |path| absent("Certificate", path))?;
        let begin = clock.now();
        let end = Timestamp::from_unix(begin.as_unix().saturating_add(LIFETIME_SECONDS));
        let key = SigningKey::generate(self.bits)?;
        let certificate = key.certificate(&self.common_name, Serial::random(entropy), begin, end)?;
        self.say_what_is_made()?;
        write(&self.key_file, 0o600, key.to_pem().expose())?;
        if let Some(path) = cert_file
            && let Err(error) = write(path, 0o666, &certificate)
        {
            // A key whose certificate is lost is of no use, and in the way of the next one.
            let _ = std::fs::remove_file(&self.key_file);
            return Err(error);
        }
        let text = format!(
            "{certificate}\nDon't forget to add the certificate to the signature-certificate-list in your SlapOS \
             configuration file.\n"
        );
        output::data(&text).map_err(CommandError::Output)
    }

    /// In the original's words.
    fn say_what_is_made(&self) -> Result<(), CommandError> {
        let name = quoted(&self.common_name);
        let [key, certificate] =
            [&self.key_file, &self.cert_file].map(|path| quoted(&path.to_string_lossy()));
        let text = format!("Generating certificate for {name} (key: {key}, certficate: {certificate})\n\n");
        output::data(&text).map_err(CommandError::Output)
    }
}

fn quoted(text: &str) -> String {
    python::repr(&Value::text(text))
}

/// Links count, whether they lead anywhere or not.
fn absent(what: &str, path: &Path) -> Result<(), CommandError> {
    match path.symlink_metadata() {
        Ok(_) => {
            let name = quoted(&path.to_string_lossy());
            Err(CommandError::Exists { what: format!("{what} {name}") })
        }
        Err(_) => Ok(()),
    }
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), CommandError> {
    let unwritable = |source| CommandError::Unwritable { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(unwritable)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritable)
}
