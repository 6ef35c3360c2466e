//! The names of the programs that Provost replaces: called by one of them, it takes that program's
//! arguments and gives its output and exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

use base::{Clock, Entropy};
use clap::Command;
use cli::compat::{caucase, commctl, networkcache};

use crate::compat::{commissaire, manage};
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
    served: Option<Program>,
}

/// A program that this version has.
struct Program {
    /// Runs it with its arguments, the name first.
    run: fn(Vec<OsString>) -> ExitCode,
    /// Its command line.
    command: fn() -> Command,
}

impl OldName {
    /// Whether this version has the program.
    pub fn is_served(&self) -> bool {
        self.served.is_some()
    }

    /// Its command line, from which help, completions and manual pages are made; if this version has the program.
    pub fn command(&self) -> Option<Command> {
        self.served.as_ref().map(|program| (program.command)())
    }

    /// Runs the program with `arguments`, the name first, or says that it is not there.
    pub fn run(&self, arguments: Vec<OsString>) -> ExitCode {
        if let Some(program) = &self.served {
            return (program.run)(arguments);
        }
        output::note(format_args!(
            "{}: {}; this version of Provost does not serve it yet",
            self.name, self.what
        ));
        ExitCode::from(NOT_SERVED)
    }
}

/// The old name `name`, if it is one.
pub fn find(name: &str) -> Option<&'static OldName> {
    OLD_NAMES.iter().find(|old| old.name == name)
}

fn run_commctl(arguments: Vec<OsString>) -> ExitCode {
    commctl::run(arguments, &Entropy::system())
}

fn run_networkcache(program: networkcache::Program, arguments: Vec<OsString>) -> ExitCode {
    program.run(arguments, &Clock::system(), &Entropy::system())
}

fn run_caucase(program: caucase::Program, arguments: Vec<OsString>) -> ExitCode {
    program.run(arguments, &Clock::system())
}

const fn later(name: &'static str, what: &'static str) -> OldName {
    OldName { name, what, served: None }
}

/// All of them, trade by trade.
pub const OLD_NAMES: &[OldName] = &[
    OldName {
        name: "caucased",
        what: "the certificate authority's server",
        served: Some(Program { run: caucased::run, command: caucased::command }),
    },
    OldName {
        name: "caucased-manage",
        what: "restores, imports and exports the certificate authority's database",
        served: Some(Program { run: manage::run, command: manage::command }),
    },
    OldName {
        name: "caucase",
        what: "the certificate authority's client",
        served: Some(Program {
            run: |arguments| run_caucase(caucase::Program::Caucase, arguments),
            command: || caucase::Program::Caucase.command(),
        }),
    },
    OldName {
        name: "caucase-updater",
        what: "keeps a certificate and its trust up to date",
        served: Some(Program {
            run: |arguments| run_caucase(caucase::Program::Updater, arguments),
            command: || caucase::Program::Updater.command(),
        }),
    },
    OldName {
        name: "caucase-probe",
        what: "checks that a certificate authority's server answers",
        served: Some(Program {
            run: |arguments| run_caucase(caucase::Program::Probe, arguments),
            command: || caucase::Program::Probe.command(),
        }),
    },
    OldName {
        name: "caucase-rerequest",
        what: "makes a signing request with a new key from an old one",
        served: Some(Program {
            run: |arguments| run_caucase(caucase::Program::Rerequest, arguments),
            command: || caucase::Program::Rerequest.command(),
        }),
    },
    OldName {
        name: "caucase-key-id",
        what: "shows which keys can read a backup",
        served: Some(Program {
            run: |arguments| run_caucase(caucase::Program::KeyId, arguments),
            command: || caucase::Program::KeyId.command(),
        }),
    },
    OldName {
        name: "networkcache-upload",
        what: "puts a file into a network cache",
        served: Some(Program {
            run: |arguments| run_networkcache(networkcache::Program::Upload, arguments),
            command: || networkcache::Program::Upload.command(),
        }),
    },
    OldName {
        name: "networkcache-download",
        what: "fetches a file from a network cache",
        served: Some(Program {
            run: |arguments| run_networkcache(networkcache::Program::Download, arguments),
            command: || networkcache::Program::Download.command(),
        }),
    },
    OldName {
        name: "generate-signature-key",
        what: "makes a key that signs entries of a network cache",
        served: Some(Program {
            run: |arguments| run_networkcache(networkcache::Program::SignatureKey, arguments),
            command: || networkcache::Program::SignatureKey.command(),
        }),
    },
    OldName {
        name: "slapcache-conf",
        what: "sets up the key and the configuration of slapcache",
        served: Some(Program {
            run: |arguments| run_networkcache(networkcache::Program::SlapcacheConf, arguments),
            command: || networkcache::Program::SlapcacheConf.command(),
        }),
    },
    OldName {
        name: "slapcache-upload",
        what: "publishes an upgrade through a network cache",
        served: Some(Program {
            run: |arguments| run_networkcache(networkcache::Program::SlapcacheUpload, arguments),
            command: || networkcache::Program::SlapcacheUpload.command(),
        }),
    },
    OldName {
        name: "slapcache-download",
        what: "fetches an upgrade from a network cache",
        served: Some(Program {
            run: |arguments| run_networkcache(networkcache::Program::SlapcacheDownload, arguments),
            command: || networkcache::Program::SlapcacheDownload.command(),
        }),
    },
    OldName {
        name: "commctl",
        what: "the client for hosts and clusters",
        served: Some(Program { run: run_commctl, command: commctl::command }),
    },
    OldName {
        name: "commissaire-server",
        what: "the server for hosts and clusters",
        served: Some(Program { run: commissaire::server::run, command: commissaire::server::command }),
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
        assert!(find("caucase").unwrap().is_served());
        assert!(find("caucased-manage").unwrap().is_served());
        assert!(find("provost").is_none());
        assert!(find("caucas").is_none());
    }
}
