//! From what is known of a host to a way into it.

use base::{Explain, Secret};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use fleet::{Credentials, HostAddress, HostKey, PinnedKey};
use ssh::{Address, Target, UserKey};

use crate::reconciler::StepError;

/// Clients write base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why nobody can get into a host.
pub(crate) enum NoWay {
    /// There is no such host any more.
    Gone,
    /// What is known of it is not enough to get in, and this is to be said of it.
    Unknown(String),
    /// We are at fault.
    Ours(StepError),
}

/// What to say to a person about `error`: all of it, and what can be done.
pub(crate) fn told(error: &dyn Explain) -> String {
    let report = base::report(error);
    match error.help() {
        Some(help) => format!("{report}; {help}"),
        None => report,
    }
}

/// How to get into the host at `address`, which has to prove its pinned key, if one is; or why nobody can.
pub(crate) fn target(
    address: &HostAddress,
    port: u16,
    credentials: &Credentials,
    pinned: Option<&PinnedKey>,
) -> Result<Target, String> {
    let kept = credentials.ssh_priv_key.expose();
    if kept.trim().is_empty() {
        return Err("there is no SSH key for it; remove it, and add it again with one".into());
    }
    // Some clients break base64 into lines.
    let kept: Secret<Vec<u8>> =
        Secret::new(kept.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let decoded = BASE64.decode(kept.expose()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text =
        decoded.map(Secret::new).ok_or("its SSH key is no text in base64; remove it, and add it again")?;
    let key = UserKey::parse(&text).map_err(|error| told(&error))?;
    let target = Target::new(Address::new(address.as_str(), port), &credentials.remote_user, key);
    Ok(match pinned {
        Some(pinned) => target.pinned(ssh_key(&pinned.key)?),
        None => target,
    })
}

/// A key that was stored, as `ssh` has it.
fn ssh_key(key: &HostKey) -> Result<ssh::HostKey, String> {
    key.to_string().parse().map_err(|error: ssh::HostKeyError| base::report(&error))
}

/// A key that a host proved, as it is stored. Nothing for one of a type that cannot be stored, which there is not.
pub(crate) fn stored_key(key: &ssh::HostKey) -> Option<HostKey> {
    key.to_string().parse().ok()
}

/// Why a host was not reached or did not do as it was told, for a person who is to do something about it.
pub(crate) fn why(address: &HostAddress, error: &ssh::Error) -> String {
    match error {
        ssh::Error::HostKeyChanged { offered, .. } => format!(
            "{}; if it was installed anew, compare that with what `ssh-keygen -lf` says there, and accept it with \
             `provost host accept-key {address} --fingerprint {}`",
            base::report(error),
            offered.fingerprint()
        ),
        ssh::Error::Jump { source, .. } if matches!(**source, ssh::Error::HostKeyChanged { .. }) => format!(
            "{}; if that machine was installed anew, compare this with what `ssh-keygen -lf` says there, and give the \
             new key in the setting `fleet.ssh.jump_host_key`",
            base::report(error)
        ),
        error => told(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What is taken at the door signs in later, and what signs in is taken.
    #[test]
    fn keys_are_taken_that_sign_in() {
        const KEYGEN: &str = "ssh-keygen -q -N '' -C me@here -f key";
        let mut scripts: Vec<String> =
            ["ed25519", "rsa -b 2048", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521"]
                .iter()
                .flat_map(|kind| {
                    ["", "-m PEM", "-m PKCS8"].map(|format| format!("{KEYGEN} -t {kind} {format}"))
                })
                .collect();
        scripts.extend([
            "openssl genpkey -algorithm ed25519 -out key".to_owned(),
            "openssl ecparam -name prime256v1 -genkey -out key".to_owned(),
            "openssl ecparam -name secp521r1 -genkey -out key".to_owned(),
            "openssl genrsa -traditional -out key 3072".to_owned(),
            // As it comes out of a form: other line ends, blanks around.
            format!("{KEYGEN} -t ed25519; sed -i 's/$/ \\r/; 1i\\\\' key"),
            format!("{KEYGEN} -t ecdsa -b 521 -m PEM; sed -i 's/$/ \\r/; 1i\\\\' key"),
        ]);
        for script in scripts {
            let folder = tempfile::tempdir().unwrap();
            testkit::run(Command::new("sh").args(["-ec", &script]).current_dir(folder.path())).ok();
            let text = Secret::new(std::fs::read_to_string(folder.path().join("key")).unwrap());
            let given = Credentials::usable(None, Some(&text))
                .unwrap_or_else(|error| panic!("{script}: {}", base::report(&error)));
            let address = "10.0.0.1".parse().unwrap();
            target(&address, 22, &given, None).unwrap_or_else(|error| panic!("{script}: {error}"));
        }
    }
}
