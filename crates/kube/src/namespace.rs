//! Namespaces: which there are, and which of them are meant.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base::{Explain, Kind};
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::ask::Question;
use crate::client::Client;
use crate::error::{Action, Error};
use crate::list::escaped;
use crate::node_name::is_label;

/// The longest name, in bytes (RFC 1123 as Kubernetes has it, "DNS Label Names").
const BYTES_MAX: usize = 63;
/// How many namespaces one answer has at most.
const PAGE: usize = 250;

/// A namespace's name: lower-case letters, digits and `-`, which it neither begins nor ends with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName(String);

/// A text that no namespace can be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no Kubernetes namespace can be called `{}`", .0.escape_debug())]
pub struct BadNamespaceName(String);

impl Explain for BadNamespaceName {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some(format!("a namespace's name has up to {BYTES_MAX} lower-case letters, digits and `-`"))
    }
}

impl NamespaceName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamespaceName {
    type Err = BadNamespaceName;

    fn from_str(text: &str) -> Result<Self, BadNamespaceName> {
        if text.len() <= BYTES_MAX && is_label(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadNamespaceName(text.chars().take(2 * BYTES_MAX).collect()))
        }
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which namespaces are meant: those with labels, and those with names. Without either, none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceSelector {
    /// A label selector, as Kubernetes writes it: `trust=internal,kubernetes.io/metadata.name notin (kube-system)`. An
    /// empty one means every namespace. Whether it is one is the server's to say.
    pub labels: Option<String>,
    /// The names of others.
    pub names: BTreeSet<NamespaceName>,
}

/// The namespaces that are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Those in which something can be put.
    pub there: BTreeSet<NamespaceName>,
    /// Those that are being deleted, with all that is in them: nothing more can be put there.
    pub ending: BTreeSet<NamespaceName>,
    /// Those that were named, and do not exist.
    pub absent: BTreeSet<NamespaceName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

impl Object {
    fn is_ending(&self) -> bool {
        let phase = self.status.as_ref().map_or("", |status| status.phase.as_str());
        self.metadata.deletion_timestamp.is_some() || phase == "Terminating"
    }
}

impl Client {
    /// The namespaces that `selector` means. Listing needs the right to do so in the whole cluster; names alone do not.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Refused`] for a label selector that is none.
    pub async fn namespaces(&self, selector: &NamespaceSelector) -> Result<Namespaces, Error> {
        let mut found = Namespaces::default();
        if let Some(labels) = &selector.labels {
            for (name, is_ending) in self.labelled(labels).await? {
                if is_ending {
                    found.ending.insert(name)
                } else {
                    found.there.insert(name)
                };
            }
        }
        for name in &selector.names {
            if found.there.contains(name) || found.ending.contains(name) {
                continue;
            }
            let set = match self.namespace_is_ending(name).await? {
                None => &mut found.absent,
                Some(true) => &mut found.ending,
                Some(false) => &mut found.there,
            };
            set.insert(name.clone());
        }
        Ok(found)
    }

    /// Those that a label selector selects, and whether each is ending.
    async fn labelled(&self, labels: &str) -> Result<Vec<(NamespaceName, bool)>, Error> {
        let action = Action { verb: "list", resource: "namespaces", name: labels.to_owned() };
        let path = format!("/api/v1/namespaces?labelSelector={}&limit={PAGE}", escaped(labels));
        self.list(&action, &path, self.asker.deadline, |object: Object| {
            let is_ending = object.is_ending();
            let name = object.metadata.name.parse();
            let malformed = |_| self.asker.malformed(action.clone(), "it lists what has no namespace's name");
            Ok((name.map_err(malformed)?, is_ending))
        })
        .await
    }

    /// Whether the namespace is ending; nothing when it is not there.
    async fn namespace_is_ending(&self, name: &NamespaceName) -> Result<Option<bool>, Error> {
        let action = Action { verb: "get", resource: "namespaces", name: name.to_string() };
        let (path, within) = (format!("/api/v1/namespaces/{name}"), self.asker.deadline);
        let question =
            Question { action: action.clone(), method: Method::GET, path: &path, body: None, within };
        let answer = self.asker.ask(question).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let object: Object = answer.object()?;
        if object.metadata.name == name.as_str() {
            Ok(Some(object.is_ending()))
        } else {
            Err(self.asker.malformed(action, "it speaks of another namespace"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        let long = "a".repeat(BYTES_MAX);
        for (text, is_one) in [
            ("default", true),
            ("kube-system", true),
            ("0", true),
            (&long, true),
            (&format!("a{long}"), false),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("a.b", false),
            ("A", false),
            ("a/b", false),
            ("..", false),
            ("a?b", false),
            ("é", false),
        ] {
            assert_eq!(text.parse::<NamespaceName>().is_ok(), is_one, "{text}");
        }
    }
}
