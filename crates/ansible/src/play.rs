//! What to run.

use std::path::PathBuf;
use std::time::Duration;

use base::Secret;
use serde_json::{Map, Value};

use crate::Host;

/// A playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playbook {
    /// What it is called, for people: `bootstrap.yml`.
    pub name: String,
    /// Where it is. What stands beside it (roles, collections) is found from there.
    pub path: PathBuf,
}

/// What to run, on whom, and with what.
#[derive(Debug, Clone)]
pub struct Play {
    /// The playbook.
    pub playbook: Playbook,
    /// The hosts of the inventory, in its group `all`.
    pub hosts: Vec<Host>,
    /// Variables of all hosts. They count more than those of the playbook, and none is taken for a template.
    pub variables: Map<String, Value>,
    /// Files that are there for as long as it runs, and the variables that tell where; for its owner alone.
    pub files: Vec<(String, Secret<Vec<u8>>)>,
    /// Tasks with one of these tags are left out: letters, digits and `-`.
    pub skip_tags: Vec<String>,
    /// How long all of it may take.
    pub deadline: Duration,
}

impl Play {
    /// `playbook` on `hosts`, with nothing else, for at most `deadline`.
    #[must_use]
    pub fn new(playbook: Playbook, hosts: Vec<Host>, deadline: Duration) -> Self {
        let (variables, files, skip_tags) = (Map::new(), Vec::new(), Vec::new());
        Self { playbook, hosts, variables, files, skip_tags, deadline }
    }

    /// With this variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// With a file that has these `bytes`; the variable `name` says where it is.
    #[must_use]
    pub fn with_file(mut self, name: &str, bytes: Secret<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), bytes));
        self
    }
}
