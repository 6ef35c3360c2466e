//! The side that says what is to be trusted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trust::{Certificates, Change, Databag, Level};
use x509::pem;

use super::CharmError;
use super::tools::{self, RelationId};

/// One event, seen from this side.
pub struct Provider<'a> {
    pub application: &'a str,
    pub unit: &'a str,
    pub is_leader: bool,
    pub options: &'a BTreeMap<String, Value>,
    /// Its relations, but for one that is ending.
    pub relations: Vec<RelationId>,
}

impl Provider<'_> {
    /// Writes what this relation is to have, as its requirer reads it.
    pub fn publish(&self, relation: &RelationId) -> Result<(), CharmError> {
        let change = match self.wanted() {
            Ok(Some(exactly)) => Change::Set(exactly),
            Ok(None) => Change::Publish,
            // What cannot be used changes nothing.
            Err(why) => {
                tools::log(Level::Error, &why);
                Change::Publish
            }
        };
        self.write(relation, &change)
    }

    /// The same, for all.
    pub fn publish_all(&self) -> Result<(), CharmError> {
        self.relations.iter().try_for_each(|relation| self.publish(relation))
    }

    /// What of the options cannot be used.
    pub fn trouble(&self) -> Option<String> {
        self.wanted().err()
    }

    /// `add-certificates`.
    pub fn add(&self, certificates: &str, relation: Option<u64>) -> Result<(), CharmError> {
        match list(certificates) {
            Some(certificates) if certificates.iter().any(|text| has_private_key(text)) => {
                Ok(tools::fail_action("a private key is no certificate; nothing was added")?)
            }
            Some(certificates) => self.change(relation, &Change::Add(certificates)),
            None => Ok(tools::fail_action("`certificates` is not a JSON list of texts")?),
        }
    }

    /// `remove-certificate`.
    pub fn remove(&self, certificate: &str, relation: Option<u64>) -> Result<(), CharmError> {
        self.change(relation, &Change::Remove(certificate.to_owned()))
    }

    /// `remove-all-certificates`.
    pub fn remove_all(&self, relation: Option<u64>) -> Result<(), CharmError> {
        self.change(relation, &Change::RemoveAll)
    }

    fn change(&self, relation: Option<u64>, change: &Change) -> Result<(), CharmError> {
        if matches!(self.wanted(), Ok(Some(_))) {
            let why = "the options `publish` and `pem` say exactly what is handed on; empty them first";
            return Ok(tools::fail_action(why)?);
        }
        if !self.is_leader {
            tools::log(Level::Warning, "only the leader hands certificates on; nothing was changed");
            return Ok(());
        }
        let mut asked =
            self.relations.iter().filter(|one| relation.is_none_or(|number| one.number == number));
        let mut asked = asked.by_ref().peekable();
        if asked.peek().is_none() {
            tools::log(Level::Debug, "there is no such relation; nothing was changed");
        }
        asked.try_for_each(|relation| self.write(relation, change))
    }

    fn write(&self, relation: &RelationId, change: &Change) -> Result<(), CharmError> {
        let unit = tools::unit_bag(relation, self.unit)?;
        if !self.is_leader {
            // Another leads by now: its record counts.
            return Ok(tools::write_unit(relation, &trust::stand_down(&unit))?);
        }
        let requirer = match tools::remote_application(relation)? {
            Some(name) => tools::application_bag(relation, &name)?,
            None => Databag::new(),
        };
        let application = tools::application_bag(relation, self.application)?;
        let provided =
            trust::Provider { application: &application, unit: &unit, requirer: &requirer }.provide(change);
        for note in &provided.notes {
            tools::log_note(relation, note);
        }
        tools::write_application(relation, &provided.application)?;
        Ok(tools::write_unit(relation, &provided.unit)?)
    }

    /// What the options say that every relation is to have; `None` when they leave it to the actions.
    fn wanted(&self) -> Result<Option<Certificates>, String> {
        wanted(self.option("publish"), self.option("pem"))
    }

    fn option(&self, name: &str) -> &str {
        self.options.get(name).and_then(Value::as_str).unwrap_or_default().trim()
    }
}

fn wanted(publish: &str, pem: &str) -> Result<Option<Certificates>, String> {
    if publish.is_empty() && pem.is_empty() {
        return Ok(None);
    }
    if has_private_key(publish) || has_private_key(pem) {
        return Err(
            "there is a private key in the options, which is no certificate; take it out and replace it"
                .into(),
        );
    }
    let mut certificates = BTreeSet::new();
    if !publish.is_empty() {
        certificates = list(publish).ok_or("`publish` is not a JSON list of texts")?;
    }
    let blocks = pem::read(pem.as_bytes(), pem::SEVERAL_BYTES_MAX)
        .map_err(|error| format!("`pem` is not PEM: {error}"))?;
    for block in blocks {
        if block.label != "CERTIFICATE" {
            return Err(format!("there is a `{}` in `pem`, which is no certificate", block.label));
        }
        certificates.insert(pem::write("CERTIFICATE", &block.der).trim_end().to_owned());
    }
    Ok(Some(certificates))
}

fn list(json: &str) -> Option<Certificates> {
    serde_json::from_str(json).ok()
}

/// Also half of one: whoever pasted it has to know.
fn has_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_exactly_what_is_handed_on() {
        let set =
            |texts: &[&str]| Ok(Some(texts.iter().map(|text| (*text).to_owned()).collect::<Certificates>()));
        let pem = pem::write("CERTIFICATE", b"x");
        let key = pem::write("PRIVATE KEY", b"x");
        let refused = |why: &str| Err(why.to_owned());
        let secret =
            "there is a private key in the options, which is no certificate; take it out and replace it";
        for (publish, text, expected) in [
            ("", String::new(), Ok(None)),
            ("[]", String::new(), set(&[])),
            (r#"["b", "a", "b"]"#, String::new(), set(&["a", "b"])),
            ("", format!("words\n{pem}\n{pem}"), set(&[pem.trim_end()])),
            ("[\"a\"]", pem.clone(), set(&[pem.trim_end(), "a"])),
            ("a", String::new(), refused("`publish` is not a JSON list of texts")),
            ("[1]", String::new(), refused("`publish` is not a JSON list of texts")),
            ("", key.clone(), refused(secret)),
            ("[\"-----BEGIN RSA PRIVATE KEY\"]", String::new(), refused(secret)),
            (
                "",
                pem::write("X509 CRL", b"x"),
                refused("there is a `X509 CRL` in `pem`, which is no certificate"),
            ),
        ] {
            assert_eq!(wanted(publish, &text), expected, "{publish} {text}");
        }
    }
}
