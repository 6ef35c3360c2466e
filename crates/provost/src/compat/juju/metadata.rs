//! What the charm says of itself, in the file `metadata.yaml` beside it (contract, section 9.1).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The interface's name.
const INTERFACE: &str = "certificate_transfer";

/// The longest file that is read, in bytes.
const BYTES_MAX: usize = 256 * 1024;

/// The endpoints of this charm that hand trust on, or are handed it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where it says what is to be trusted.
    pub provided: Vec<String>,
    /// Where it is told.
    pub required: Vec<String>,
}

/// Nothing is known of the charm's endpoints.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It cannot be read.
    #[error("could not read metadata.yaml in the charm's folder")]
    Unreadable(#[source] std::io::Error),
    /// It is something else.
    #[error("metadata.yaml is not understood: {0}")]
    Odd(String),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    provides: BTreeMap<String, Endpoint>,
    #[serde(default)]
    requires: BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    interface: String,
}

impl Endpoints {
    /// Those that the charm in this folder has.
    pub fn read(charm: &Path) -> Result<Self, MetadataError> {
        let text = std::fs::read_to_string(charm.join("metadata.yaml")).map_err(MetadataError::Unreadable)?;
        Self::parse(&text)
    }

    /// Whether it hands trust on at all.
    pub fn provides(&self) -> bool {
        !self.provided.is_empty()
    }

    fn parse(text: &str) -> Result<Self, MetadataError> {
        if text.len() > BYTES_MAX {
            return Err(MetadataError::Odd("it is too long".to_owned()));
        }
        let file: File =
            serde_saphyr::from_str(text).map_err(|error| MetadataError::Odd(error.to_string()))?;
        let ours = |endpoints: BTreeMap<String, Endpoint>| {
            let ours = endpoints.into_iter().filter(|(_, endpoint)| endpoint.interface == INTERFACE);
            ours.map(|(name, _)| name).collect()
        };
        Ok(Self { provided: ours(file.provides), required: ours(file.requires) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_those_of_the_interface() {
        let text = "name: x\nprovides:\n  send-ca-cert: {interface: certificate_transfer}\n  web:\n    interface: http\n\
                    requires:\n  b:\n    interface: certificate_transfer\n    optional: true\n    limit: 1\n\
                    \x20 a: {interface: certificate_transfer}\n";
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let endpoints = Endpoints::parse(text).unwrap();
        assert_eq!(endpoints, Endpoints { provided: names(&["send-ca-cert"]), required: names(&["a", "b"]) });
        assert_eq!(Endpoints::parse("name: x\n").unwrap(), Endpoints::default());
        for text in ["[", "provides: 1", "provides: {a: {}}"] {
            assert!(Endpoints::parse(text).is_err(), "{text}");
        }
    }
}
