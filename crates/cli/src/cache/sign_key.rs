//! `provost cache sign-key`: makes the keys with which somebody signs.

use std::path::PathBuf;

use base::{Clock, Entropy, Span};
use clap::Args;
use entry::{SignerId, SigningKey};
use serde_json::json;
use toml_edit::Value;
use x509::{KeySpec, PrivateKey, Serial, pem};

use super::error::CacheCommandError;
use super::signing_file::default_path;
use crate::output;
use crate::private_file::write_new;
use crate::view;

/// How long the certificate is valid. No reader looks at it (networkcache contract, section 4.3).
const VALIDITY: Span = Span::days(36_500);

/// Whose keys are made, and where they go.
#[derive(Debug, Args)]
#[command(
    after_long_help = "FILE has two private keys and a certificate, all PEM: RSA for the signatures that every reader \
    of old knows, the certificate for their lists of whom to trust, and Ed25519 for what Provost \
    says inside an entry. `provost cache put` signs with both. It is for its owner alone (mode \
    0600), and is never replaced.\n\n\
    Printed is what others add to their file of whom to believe (--trust): only public keys."
)]
pub(crate) struct SignKey {
    /// What others are to call you
    name: String,
    /// Where the keys go [default: ~/.config/provost/cache-sign-key.pem]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The length of the RSA key: 2048, 3072 or 4096
    #[arg(long, value_name = "BITS", default_value_t = 3072, value_parser = bits)]
    rsa_bits: u32,
}

fn bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (2048 | 3072 | 4096)) => Ok(bits),
        _ => Err("it is 2048, 3072 or 4096".to_owned()),
    }
}

impl SignKey {
    pub(crate) fn run(
        &self,
        as_json: bool,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<(), CacheCommandError> {
        let no_folder = CacheCommandError::Usage("nothing says where the keys go: give --out FILE");
        let path = self.out.clone().or_else(default_path).ok_or(no_folder)?;
        if self.name.trim().is_empty() {
            return Err(CacheCommandError::Usage("a signer has a name"));
        }
        let broken = "these kinds of keys are made unless the machine fails";
        let rsa = SigningKey::generate(self.rsa_bits).expect(broken);
        let attester = PrivateKey::generate(KeySpec::Ed25519).expect(broken);
        let now = clock.now();
        let certificate = rsa
            .certificate(&self.name, Serial::random(entropy), now, now + VALIDITY)
            .map_err(|_| CacheCommandError::Usage("a certificate cannot carry this name"))?;
        let public_key = pem::write("PUBLIC KEY", attester.public().spki());
        let keys = base::Secret::new(
            [rsa.to_pem().expose().as_str(), &certificate, attester.to_pem().expose()].concat(),
        );
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| CacheCommandError::Unwritable { path: folder.to_owned(), source })?;
        }
        write_new(&path, keys.expose())
            .map_err(|source| CacheCommandError::Unwritable { path: path.clone(), source })?;

        let id = SignerId::of(attester.public()).to_string();
        let printed = if as_json {
            let document = json!({
                "name": self.name, "file": path.display().to_string(), "signer": id,
                "public_key": public_key, "certificate": certificate,
            });
            view::json(&document) + "\n"
        } else {
            root(&self.name, &public_key, &certificate)
        };
        output::data(&printed).map_err(CacheCommandError::Output)?;
        output::note(format_args!(
            "wrote {}; what others need to believe you is printed, and goes into their file of whom to believe",
            path.display()
        ));
        Ok(())
    }
}

/// A root of trust that believes these keys, as [`entry::policy_file`] has it.
fn root(name: &str, public_key: &str, certificate: &str) -> String {
    let quoted = Value::from(name).to_string();
    format!(
        "[[root]]\nname = {quoted}\n\n[[root.signer]]\nname = {quoted}\npublic_keys = \"\"\"\n{public_key}\"\"\"\n\
         certificates = \"\"\"\n{certificate}\"\"\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use entry::Trust;

    #[test]
    fn what_is_printed_believes_the_key() {
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let public_key = pem::write("PUBLIC KEY", key.public().spki());
        for name in ["anna", "say \"hi\"", "a\\b", "é 'x'"] {
            let trust = Trust::parse(&root(name, &public_key, "")).unwrap();
            assert_eq!(trust.policies[0].signers[0].name, name);
            assert!(trust.ids().contains(&SignerId::of(key.public())));
        }
    }
}
