//! The names of the programs that Provost replaces: called by one of them, it takes that program's
//! arguments and gives its output and exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

use base::Entropy;

use crate::compat::commissaire;
use crate::{caucased, output};

/// Exit code for a program that this version does not have, as for any wrong usage.
const NOT_SERVED: u8 = 2;

/// A name of old.
pub struct OldName {
    /// The name.
    pub name: &'static str,
    /// What the program of that name does.
    what: &'static str,
    /// What runs under it; `None` when this version has nothing for it.
    served: Option<fn(Vec<OsString>) -> ExitCode>,
}

impl OldName {
    /// Whether this version has the program.
    pub fn is_served(&self) -> bool {
        self.served.is_some()
    }

    /// Runs the program with `arguments`, the name first, or says that it is not there.
    pub fn run(&self, arguments: Vec<OsString>) -> ExitCode {
        if let Some(run) = self.served {
            return run(arguments);
        }
        output::note(format_args!(
            "{}: {}; this version of Provost does not serve it yet",
            self.name, self.what
        ));
        if self.name == "caucased-manage" {
            let what =
                "restoring, importing and exporting are not in this version; your database is unchanged";
            output::note(format_args!("{}: {what}", self.name));
        }
        ExitCode::from(NOT_SERVED)
    }
}

/// The old name `name`, if it is one.
pub fn find(name: &str) -> Option<&'static OldName> {
    OLD_NAMES.iter().find(|old| old.name == name)
}

fn commctl(arguments: Vec<OsString>) -> ExitCode {
    cli::compat::commctl::run(arguments, &Entropy::system())
}

const fn later(name: &'static str, what: &'static str) -> OldName {
    OldName { name, what, served: None }
}

/// All of them, trade by trade.
pub const OLD_NAMES: &[OldName] = &[
    OldName { name: "caucased", what: "the certificate authority's server", served: Some(caucased::run) },
    later("caucased-manage", "restores, imports and exports the certificate authority's database"),
    later("caucase", "the certificate authority's client"),
    later("caucase-updater", "keeps a certificate and its trust up to date"),
    later("caucase-probe", "checks that a certificate authority's server answers"),
    later("caucase-rerequest", "makes a signing request with a new key from an old one"),
    later("caucase-key-id", "shows which keys can read a backup"),
    later("networkcache-upload", "puts a file into a network cache"),
    later("networkcache-download", "fetches a file from a network cache"),
    later("generate-signature-key", "makes a key that signs entries of a network cache"),
    later("slapcache-conf", "sets up the key and the configuration of slapcache"),
    later("slapcache-upload", "publishes an upgrade through a network cache"),
    later("slapcache-download", "fetches an upgrade from a network cache"),
    OldName { name: "commctl", what: "the client for hosts and clusters", served: Some(commctl) },
    OldName {
        name: "commissaire-server",
        what: "the server for hosts and clusters",
        served: Some(commissaire::server::run),
    },
    later("commissaire-storage-service", "keeps what is known of hosts and clusters"),
    later("commissaire-investigator-service", "looks at new hosts and bootstraps them"),
    later("commissaire-watcher-service", "checks again and again that hosts are reachable"),
    later("commissaire-clusterexec-service", "deploys, upgrades and restarts clusters"),
    later("commissaire-containermgr-service", "talks to container managers"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whole() {
        assert!(find("caucased").unwrap().is_served());
        assert!(find("commctl").unwrap().is_served());
        assert!(find("commissaire-server").unwrap().is_served());
        assert!(!find("caucase").unwrap().is_served());
        assert!(find("provost").is_none());
        assert!(find("caucas").is_none());
    }
}
