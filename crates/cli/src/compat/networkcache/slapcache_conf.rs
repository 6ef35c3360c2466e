//! `slapcache-conf` (networkcache contract, section 9).

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base::Clock;
use clap::Parser;
use entry::{keys, python};

use super::error::CommandError;
use super::temporary::directory_of;

/// Where slapcache's commands look for their configuration.
pub(super) const CONFIGURATION: &str = "/etc/opt/slapcache.cfg";

/// What stands behind the key. HTTP on purpose: old clients speak HTTPS only with a certificate of their own.
const REST: &str = "

[networkcache]
download-binary-cache-url = http://shacache.nxdcdn.com
download-cache-url = http://shacache.nxdcdn.com
download-binary-dir-url = http://shadir.nxdcdn.com
download-dir-url = http://shadir.nxdcdn.com

# Standard Signature handled by SlapOS Administrators
signature-certificate-list =
";

/// The certificate that slapcache trusts (networkcache contract, 19.4).
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIB8DCCAVmgAwIBAgIJAPFf61p8y809MA0GCSqGSIb3DQEBBQUAMBAxDjAMBgNV
BAMMBUNPTVAtMCAXDTE0MDIxNzE2NDgxN1oYDzIxMTQwMTI0MTY0ODE3WjAQMQ4w
DAYDVQQDDAVDT01QLTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAsiqCyuv1
HO9FmtwnMbEa1/u8Dn7T0k7hVKYXVQYof+59Ltbb3cA3nLjFSJDr/wQT6N89MccS
PneRzkWqZKL06Kmj+N+XJfRyVaTz1qQtNzjdbYkO6RgQq+fvq2CO0+PSnL6NttLU
/a9nQMcVm7wZ8kmY+AG5LbVo8lmxDD16Wq0CAwEAAaNQME4wHQYDVR0OBBYEFEVi
YyWHF3W7/O4NaTjn4lElLpp7MB8GA1UdIwQYMBaAFEViYyWHF3W7/O4NaTjn4lEl
Lpp7MAwGA1UdEwQFMAMBAf8wDQYJKoZIhvcNAQEFBQADgYEAgIPGoxhUa16AgjZx
Jr1kUrs8Fg3ig8eRFQlBSLYfANIUxcQ2ScFAkmsvwXY3Md7uaSvMJsEl2jcjdmdi
eSreNkx85j9GtMLY/2cv0kF4yAQNRtibtDkbg6fRNkmUopDosJNVf79l1GKX8JFL
zZBOFdOaLYY/6dLRwiTUKHU6su8=
-----END CERTIFICATE-----
";

/// Set up slapcache's key and configuration
#[derive(Parser)]
#[command(name = "slapcache-conf", infer_long_args = true, args_override_self = true)]
pub(super) struct Line {
    /// Where the configuration goes
    #[arg(long, value_name = "FILE", default_value = CONFIGURATION)]
    slapos_configuration: PathBuf,
    /// The key under which upgrades are filed
    #[arg(long, value_name = "KEY", default_value = keys::UPGRADE_KEY)]
    key: String,
    /// Write it anew; the old file gets another name
    #[arg(long)]
    force: bool,
    /// Passed over, as by the original
    #[arg(hide = true)]
    others: Vec<String>,
}

impl Line {
    pub(super) fn run(self, clock: &Clock) -> Result<(), CommandError> {
        let path = self.slapos_configuration;
        let unwritable = |source| CommandError::Unwritable { path: path.clone(), source };
        std::fs::create_dir_all(directory_of(&path)).map_err(unwritable)?;
        if path.symlink_metadata().is_ok() {
            if !self.force {
                return Err(CommandError::ConfigurationExists { path });
            }
            // Milliseconds until the year 287396 are floats without loss.
            #[expect(clippy::cast_precision_loss, reason = "said above")]
            let now = python::float(clock.now_milliseconds() as f64 / 1000.0);
            let mut old = path.clone().into_os_string();
            old.push(format!(".old.{now}"));
            std::fs::rename(&path, Path::new(&old)).map_err(unwritable)?;
        }
        let written = write(&path, &template(&self.key));
        written.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => CommandError::ConfigurationExists { path: path.clone() },
            _ => unwritable(source),
        })
    }
}

fn template(key: &str) -> String {
    let indented: String = CERTIFICATE.lines().map(|line| format!("  {line}\n")).collect();
    format!("[shacache]\nkey = {key}{REST}{indented}\n")
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::networkcache::ini::Ini;

    #[test]
    fn what_is_written_is_what_is_read() {
        let ini = Ini::parse(&template("'my key'")).unwrap();
        assert_eq!(ini.section("shacache").unwrap().raw("key"), Some("'my key'"));
        let section = ini.section("networkcache").unwrap();
        assert_eq!(section.get("download-dir-url").unwrap().unwrap(), "http://shadir.nxdcdn.com");
        let list = section.get("signature-certificate-list").unwrap().unwrap();
        assert_eq!(list, format!("\n{}", CERTIFICATE.trim_end()));
        assert_eq!(entry::TrustList::parse(&list).unwrap().trusted().len(), 1);
    }
}
