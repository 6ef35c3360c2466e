//! The side that is told what to trust.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base::{Timestamp, report};
use serde_json::{Value, json};
use trust::{Certificates, Changes, Event, Level};

use super::CharmError;
use super::outputs::{self, Outputs};
use super::tools::{self, RelationId};

/// The folder beside the charm for the sets that could be read last.
const SETS: &str = "certificates";

/// One event, seen from this side.
pub struct Requirer<'a> {
    pub application: &'a str,
    pub charm: &'a Path,
    pub is_leader: bool,
    pub options: &'a BTreeMap<String, Value>,
    /// Its relations, but for one that is ending.
    pub relations: Vec<RelationId>,
    /// What was read of each: within a hook nothing else is to be seen (section 8.4), and to ask takes its time.
    pub seen: RefCell<BTreeMap<u64, Seen>>,
    /// Why the bundle is not where it is to be.
    pub unput: RefCell<Option<String>>,
    pub now: Timestamp,
}

/// What a relation's bags say.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its set, or that which could be read last; `None` where neither is known.
    certificates: Option<Certificates>,
    notes: Vec<trust::Note>,
    /// Whether the provider's application's bag can be read.
    is_valid: bool,
}

impl Requirer<'_> {
    /// There is another relation.
    pub fn created(&self, relation: &RelationId) -> Result<(), CharmError> {
        self.announce(relation)?;
        self.put_out()
    }

    /// Lets the provider know what this side reads, unless it does.
    fn announce(&self, relation: &RelationId) -> Result<(), CharmError> {
        if !self.is_leader {
            return Ok(());
        }
        let application = tools::application_bag(relation, self.application)?;
        Ok(tools::write_application(relation, &trust::announce(&application))?)
    }

    /// Reads what there is, tells of it if it is news, and puts it where it is to be.
    pub fn changed(&self, relation: &RelationId) -> Result<(), CharmError> {
        self.announce(relation)?;
        self.take(relation)?;
        self.put_out()
    }

    /// The relation is no more, and neither is what came of it.
    pub fn broken(&self, relation: &RelationId) -> Result<(), CharmError> {
        let event = json!({"event": "certificates_removed", "relation_id": relation.number});
        tools::tell(&format!("CT-EVENT {event}"))?;
        tools::forget(&memory(relation))?;
        outputs::remove(&self.file(relation))?;
        self.put_out()
    }

    /// Makes everything as it should be.
    pub fn look_again(&self) -> Result<(), CharmError> {
        for relation in &self.relations {
            self.announce(relation)?;
            self.take(relation)?;
        }
        self.put_out()
    }

    /// The unit goes: what it installed goes with it.
    pub fn withdraw(&self) -> Result<(), CharmError> {
        let outputs = Outputs { bundle: None, trust_store: false, ..self.outputs() };
        // Sent again until it is done: nothing looks after it when the unit is gone.
        outputs.put(&Certificates::new())?.map_or(Ok(()), Err)
    }

    /// What an operator has to look at.
    pub fn trouble(&self) -> Result<Option<String>, CharmError> {
        let mut all = Vec::new();
        for relation in &self.relations {
            let Seen { notes, is_valid, .. } = self.seen(relation)?;
            if !is_valid {
                all.push(format!("the data of relation {} cannot be read", relation.text));
            } else if let Some(note) = notes.iter().find(|note| note.level() == Level::Error) {
                all.push(format!("relation {}: {note}", relation.text));
            }
        }
        all.extend(self.unput.borrow().clone());
        Ok((!all.is_empty()).then(|| all.join("; ")))
    }

    /// `get-all-certificates`.
    pub fn show(&self, relation: Option<u64>) -> Result<(), CharmError> {
        let mut all = Certificates::new();
        let asked = self.relations.iter().filter(|one| relation.is_none_or(|number| one.number == number));
        let mut is_known = relation.is_none();
        for relation in asked {
            is_known = true;
            all.extend(self.seen(relation)?.certificates.unwrap_or_default());
        }
        if !is_known {
            tools::log(Level::Debug, "there is no such relation");
        }
        result("certificates", &json!(all))
    }

    /// `get-all-certificates-by-relation`.
    pub fn show_by_relation(&self) -> Result<(), CharmError> {
        let mut all = serde_json::Map::new();
        for relation in &self.relations {
            all.insert(
                relation.number.to_string(),
                json!(self.seen(relation)?.certificates.unwrap_or_default()),
            );
        }
        result("result", &Value::Object(all))
    }

    /// `is-ready`.
    pub fn show_readiness(&self, relation: Option<u64>) -> Result<(), CharmError> {
        let Some(number) = relation else { return Ok(tools::fail_action("which relation-id?")?) };
        let is_ready = match self.relations.iter().find(|relation| relation.number == number) {
            Some(relation) => self.seen(relation)?.is_valid,
            None => false,
        };
        result("is-ready", &json!(is_ready))
    }

    /// Reads the relation's set, remembers it, and tells of it if it is news.
    fn take(&self, relation: &RelationId) -> Result<(), CharmError> {
        let Seen { certificates, notes, is_valid } = self.seen(relation)?;
        notes.iter().for_each(|note| tools::log_note(relation, note));
        let Some(certificates) = certificates else { return Ok(()) };
        let key = memory(relation);
        let before = told(relation)?;
        if is_valid {
            let text = serde_json::to_string(&certificates).expect("texts are JSON");
            outputs::replace(&self.file(relation), text.as_bytes())?;
        }
        let Some(event) = trust::report(before.as_deref(), certificates) else { return Ok(()) };
        let hash = match event {
            Event::Silent { hash } => hash,
            Event::Updated { certificates, hash } => {
                tools::tell(&line(relation, &certificates, &hash))?;
                hash
            }
        };
        Ok(tools::remember(&Changes::from([(key, hash)]))?)
    }

    /// What there is in a relation.
    fn seen(&self, relation: &RelationId) -> Result<Seen, CharmError> {
        if let Some(seen) = self.seen.borrow().get(&relation.number) {
            return Ok(seen.clone());
        }
        let application = match tools::remote_application(relation)? {
            Some(name) => tools::application_bag(relation, &name)?,
            None => trust::Databag::new(),
        };
        let mut units = BTreeMap::new();
        if trust::looks_at_units(&application) {
            for unit in tools::remote_units(relation)? {
                let bag = tools::unit_bag(relation, &unit)?;
                units.insert(unit, bag);
            }
        }
        let read = trust::read(&trust::Requirer { application: &application, units: &units });
        let certificates = match read.certificates {
            Some(certificates) => Some(certificates),
            None => self.last_good(relation)?,
        };
        let seen = Seen { certificates, notes: read.notes, is_valid: trust::is_valid(&application) };
        self.seen.borrow_mut().insert(relation.number, seen.clone());
        Ok(seen)
    }

    /// The set that could be read last. None, where there was one and it is lost: that is not an empty one.
    fn last_good(&self, relation: &RelationId) -> Result<Option<Certificates>, CharmError> {
        let path = self.file(relation);
        match std::fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let nothing = Certificates::new();
                let is_lost = told(relation)?.is_some_and(|hash| hash != trust::hash(&nothing));
                Ok((!is_lost).then_some(nothing))
            }
            Err(source) => Err(CharmError::File { path, source }),
        }
    }

    /// Puts the union of all relations where it is to be.
    fn put_out(&self) -> Result<(), CharmError> {
        let mut all = Certificates::new();
        for relation in &self.relations {
            match self.seen(relation)?.certificates {
                Some(certificates) => all.extend(certificates),
                None => {
                    let line = "nobody knows what it handed on before; everything stays where it is";
                    tools::log(Level::Error, &format!("relation {}: {line}", relation.text));
                    return Ok(());
                }
            }
        }
        let trouble = self.outputs().put(&all)?;
        self.unput.replace(trouble.map(|error| report(&error)));
        Ok(())
    }

    fn outputs(&self) -> Outputs<'_> {
        let bundle = self.options.get("bundle-path").and_then(Value::as_str).filter(|path| !path.is_empty());
        Outputs {
            charm: self.charm,
            application: self.application,
            bundle: bundle.map(Path::new),
            now: self.now,
            trust_store: self.options.get("trust-store").and_then(Value::as_bool).unwrap_or(false),
        }
    }

    fn file(&self, relation: &RelationId) -> PathBuf {
        self.charm.join(SETS).join(format!("{}.json", relation.text.replace(['/', ':'], "-")))
    }
}

/// The hash of what was told of last.
fn told(relation: &RelationId) -> Result<Option<String>, CharmError> {
    Ok(tools::state()?.remove(&memory(relation)).filter(|hash| !hash.is_empty()))
}

/// Under which name the hash of what was told of last is remembered.
fn memory(relation: &RelationId) -> String {
    format!("certificates-{}", relation.text)
}

/// What is told of a set that is another one (section 7), as long as a line may be that long.
fn line(relation: &RelationId, certificates: &Certificates, hash: &str) -> String {
    let mut fingerprints: Vec<_> = certificates.iter().map(|text| trust::fingerprint(text)).collect();
    fingerprints.sort();
    let event = json!({
        "event": "certificate_set_updated", "relation_id": relation.number, "fingerprints": fingerprints,
    });
    let line = format!("CT-EVENT {event}");
    if line.len() <= tools::ARGUMENT_BYTES_MAX {
        return line;
    }
    let event = json!({
        "event": "certificate_set_updated", "relation_id": relation.number, "certificates": certificates.len(), "hash": hash,
    });
    format!("CT-EVENT {event}")
}

fn result(name: &str, value: &Value) -> Result<(), CharmError> {
    if !tools::set_result(name, &value.to_string())? {
        tools::fail_action(
            "that is more than an action can show; the option bundle-path names a file for it",
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `integrations/juju/README.md` has it.
    #[test]
    fn a_set_too_large_for_a_line_is_told_of_by_its_number_and_hash() {
        let relation = RelationId::parse("receive-ca-cert:3").unwrap();
        let event = |count: usize| -> Value {
            let set: Certificates = (0..count).map(|number| number.to_string()).collect();
            let line = line(&relation, &set, "00ff");
            assert!(line.len() <= tools::ARGUMENT_BYTES_MAX);
            serde_json::from_str(line.strip_prefix("CT-EVENT ").unwrap()).unwrap()
        };
        let small = event(1_800);
        assert_eq!(small["fingerprints"].as_array().unwrap().len(), 1_800);
        assert_eq!((&small["certificates"], &small["hash"]), (&Value::Null, &Value::Null));
        let large = json!({
            "event": "certificate_set_updated", "relation_id": 3, "certificates": 1_900, "hash": "00ff",
        });
        assert_eq!(event(1_900), large);
    }
}
