//! The requirer's side: what the provider's databags say (contract, sections 2 and 4).

use std::collections::BTreeMap;

use serde_json::Value;
use x509::has_private_key;

use crate::databag::{CA, CERTIFICATE, CERTIFICATES, CHAIN, VERSION, VERSION_1, changes};
use crate::{Certificates, Changes, Databag, Note, json};

/// What the requirer's leader writes into its application's bag, so that providers know what it reads. Nothing where it
/// stands there already; said again whenever it may have been missed (section 2).
#[must_use]
pub fn announce(application: &Databag) -> Changes {
    changes(application, [(VERSION, VERSION_1.to_owned())])
}

/// Data that is of no use. The reference library raises `DataValidationError` for it (section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A key's text is no JSON document.
    #[error("`{0}` is not JSON")]
    NotJson(&'static str),
    /// It is one of another shape.
    #[error("`{0}` is not {1}")]
    Shape(&'static str, &'static str),
}

/// The bags of one relation that a requirer sees.
#[derive(Debug, Clone, Copy)]
pub struct Requirer<'a> {
    /// The provider's application's.
    pub application: &'a Databag,
    /// Those of the provider's units that have joined, by name.
    pub units: &'a BTreeMap<String, Databag>,
}

/// What there is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The complete set, without whatever has a private key in it; never emptied by that. `None`: it cannot be read, and what was there before
    /// stays (section 4.6).
    pub certificates: Option<Certificates>,
    /// For the log.
    pub notes: Vec<Note>,
}

/// Whether the provider's application's bag can be read: also when there is nothing in it. Units are not looked at
/// (`is_ready`, section 4.3).
#[must_use]
pub fn is_valid(application: &Databag) -> bool {
    version_1(application).is_ok()
}

/// Whether [`read`] needs the units' bags: whoever has to ask for each may do without, mostly.
#[must_use]
pub fn looks_at_units(application: &Databag) -> bool {
    let says_1 = application.get(VERSION).is_some_and(|version| version == VERSION_1);
    !says_1 && version_1(application).is_ok_and(|certificates| certificates.is_empty())
}

/// The set that the provider hands on. Reading changes nothing: read again, it is the same.
///
/// Version 0 is looked at only where version 1 has nothing, and does not say that it is version 1: a set that was
/// emptied is empty, whatever is left in old bags (section 4.2).
///
/// A text with a private key in it is left out with [`Note::PrivateKey`], where the library hands it on: nobody is to have
/// it in one file more. The others are the provider's word as before, so that what was withdrawn goes all the same; where there
/// are no others, nothing can be read.
#[must_use]
pub fn read(requirer: &Requirer<'_>) -> Read {
    let Read { certificates, mut notes } = read_all(requirer);
    let Some(mut certificates) = certificates else { return Read { certificates, notes } };
    let handed_on = certificates.len();
    certificates.retain(|text| !has_private_key(text.as_bytes()));
    let keys = handed_on - certificates.len();
    if keys > 0 {
        notes.push(Note::PrivateKey { keys });
    }
    // What empties a set has to say so (section 4.6).
    let is_emptied = keys > 0 && certificates.is_empty();
    Read { certificates: (!is_emptied).then_some(certificates), notes }
}

/// The set, whatever its texts are.
fn read_all(requirer: &Requirer<'_>) -> Read {
    let certificates = match version_1(requirer.application) {
        Ok(certificates) => certificates,
        Err(why) => return Read { certificates: None, notes: vec![Note::Invalid(why)] },
    };
    if !looks_at_units(requirer.application) {
        return Read { certificates: Some(certificates), notes: Vec::new() };
    }
    let (mut certificates, mut notes) = (certificates, Vec::new());
    let (mut readable, mut unreadable) = (false, false);
    for (unit, bag) in requirer.units {
        match version_0(bag) {
            Ok(None) => {}
            Ok(Some(more)) => {
                readable = true;
                certificates.extend(more);
            }
            Err(why) => {
                unreadable = true;
                notes.push(Note::InvalidUnit { unit: unit.clone(), why });
            }
        }
    }
    Read { certificates: (readable || !unreadable).then_some(certificates), notes }
}

/// The set in an application's bag. Keys that are not the interface's are not looked at.
fn version_1(bag: &Databag) -> Result<Certificates, Unreadable> {
    if let Some(version) = bag.get(VERSION)
        && !json::is_version(version)
    {
        return Err(match serde_json::from_str::<Value>(version) {
            Ok(_) => Unreadable::Shape(VERSION, "a whole number"),
            Err(_) => Unreadable::NotJson(VERSION),
        });
    }
    let Some(certificates) = bag.get(CERTIFICATES) else { return Ok(Certificates::new()) };
    match serde_json::from_str::<Value>(certificates) {
        Ok(value) => json::texts(&value).ok_or(Unreadable::Shape(CERTIFICATES, "a list of texts")),
        Err(_) => Err(Unreadable::NotJson(CERTIFICATES)),
    }
}

/// The set in a unit's bag: `chain`, and `ca`. `certificate` may be a leaf, and is nobody's anchor (section 4.6). `None`
/// when there is nothing of the interface in it: only what Juju puts there.
fn version_0(bag: &Databag) -> Result<Option<Certificates>, Unreadable> {
    if [CA, CERTIFICATE, CHAIN].iter().all(|key| !bag.contains_key(*key)) {
        return Ok(None);
    }
    let mut certificates = Certificates::new();
    if let Some(chain) = bag.get(CHAIN) {
        match serde_json::from_str::<Value>(chain) {
            Ok(Value::Null) => {}
            Ok(value) => {
                certificates = json::texts(&value).ok_or(Unreadable::Shape(CHAIN, "a list of texts"))?;
            }
            Err(_) => return Err(Unreadable::NotJson(CHAIN)),
        }
    }
    if let Some(ca) = bag.get(CA) {
        certificates.insert(plain_or_json(CA, ca)?);
    }
    Ok(Some(certificates))
}

/// A text: JSON, as the library writes it, or as it is, as the first generation of providers did (section 1.3).
fn plain_or_json(key: &'static str, text: &str) -> Result<String, Unreadable> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::String(text)) => Ok(text),
        Ok(_) => Err(Unreadable::Shape(key, "a text")),
        Err(_) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(pairs: &[(&str, &str)]) -> Databag {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    }

    fn set(texts: &[&str]) -> Certificates {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn read_of(application: &[(&str, &str)], units: &[&[(&str, &str)]]) -> Read {
        let named = |(at, pairs): (usize, &&[(&str, &str)])| (format!("app/{at}"), bag(pairs));
        let units = units.iter().enumerate().map(named).collect();
        read(&Requirer { application: &bag(application), units: &units })
    }

    #[test]
    fn the_version_is_announced_once() {
        assert_eq!(announce(&bag(&[])), bag(&[("version", "1")]));
        assert_eq!(announce(&bag(&[("version", "0"), ("own", "x")])), bag(&[("version", "1")]));
        assert_eq!(announce(&bag(&[("version", "1")])), bag(&[]));
    }

    #[test]
    fn version_1_is_read() {
        let many = r#"["b", "a", "b"]"#;
        for (application, expected) in [
            (&[][..], &[][..]),
            (&[("certificates", many)], &["a", "b"]),
            (&[("certificates", many), ("version", "1")], &["a", "b"]),
            (&[("certificates", many), ("version", "7"), ("other", "{not JSON")], &["a", "b"]),
            (&[("certificates", "[]"), ("version", "1")], &[]),
            (&[("certificates", r#"["\u00e9", "a\n", "a"]"#), ("version", "\"1\"")], &["a", "a\n", "é"]),
        ] {
            let read = read_of(application, &[&[("private-address", "10.0.0.1")]]);
            assert_eq!(read, Read { certificates: Some(set(expected)), notes: vec![] }, "{application:?}");
            assert!(is_valid(&bag(application)));
        }
    }

    /// Never an empty set, and never an older layout.
    #[test]
    fn what_cannot_be_read_is_no_set() {
        let old: &[(&str, &str)] = &[("ca", "\"a\""), ("chain", "[\"a\"]")];
        for (application, why) in [
            (&[("certificates", "x")][..], Unreadable::NotJson("certificates")),
            (&[("certificates", "null")], Unreadable::Shape("certificates", "a list of texts")),
            (&[("certificates", "\"a\"")], Unreadable::Shape("certificates", "a list of texts")),
            (&[("certificates", "[1]")], Unreadable::Shape("certificates", "a list of texts")),
            (&[("certificates", "[\"\\ud800\"]")], Unreadable::NotJson("certificates")),
            (&[("certificates", "[]"), ("version", "x")], Unreadable::NotJson("version")),
            (&[("certificates", "[]"), ("version", "1.5")], Unreadable::Shape("version", "a whole number")),
            (&[("version", "null")], Unreadable::Shape("version", "a whole number")),
        ] {
            let read = read_of(application, &[old]);
            assert_eq!(read, Read { certificates: None, notes: vec![Note::Invalid(why)] }, "{application:?}");
            assert!(!is_valid(&bag(application)));
        }
    }

    #[test]
    fn version_0_is_read_where_there_is_nothing_newer() {
        let pem = "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----";
        let network: &[(&str, &str)] = &[("egress-subnets", "10.0.0.1/32"), ("version", "0")];
        let quoted: &[(&str, &str)] =
            &[("ca", "\"a\""), ("certificate", "\"a\""), ("chain", "[\"a\", \"b\"]")];
        let plain: &[(&str, &str)] = &[("ca", pem), ("certificate", "leaf"), ("chain", "[\"c\"]")];
        for (application, units, expected) in [
            (&[][..], &[network][..], &[][..]),
            (&[], &[quoted], &["a", "b"]),
            (&[("version", "0")], &[network, quoted, plain], &["a", "b", "c", pem]),
            (&[("certificates", "[]")], &[plain], &["c", pem]),
            (&[("certificates", "[]"), ("version", "1")], &[quoted], &[]),
            (&[("certificates", "[\"n\"]")], &[quoted], &["n"]),
            (&[], &[&[("certificate", "leaf")]], &[]),
            (&[], &[&[("ca", "a"), ("chain", "null")]], &["a"]),
        ] {
            let read = read_of(application, units);
            assert_eq!(
                read,
                Read { certificates: Some(set(expected)), notes: vec![] },
                "{application:?} {units:?}"
            );
        }
    }

    #[test]
    fn private_keys_are_left_out() {
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n";
        let both = format!("a certificate\n{key}");
        let list = serde_json::to_string(&["a", key, &both]).unwrap();
        let only = serde_json::to_string(&[key]).unwrap();
        let quoted = serde_json::to_string(key).unwrap();
        let refused = |keys, left: &[&str]| Read {
            certificates: Some(set(left)).filter(|left| !left.is_empty()),
            notes: vec![Note::PrivateKey { keys }],
        };
        assert_eq!(read_of(&[("certificates", &list), ("version", "1")], &[]), refused(2, &["a"]));
        assert_eq!(read_of(&[("certificates", &only), ("version", "1")], &[]), refused(1, &[]));
        assert_eq!(read_of(&[], &[&[("ca", key), ("chain", "[\"a\"]")]]), refused(1, &["a"]));
        assert_eq!(read_of(&[], &[&[("ca", &quoted)], &[("chain", &list)]]), refused(2, &["a"]));
        let said = Note::PrivateKey { keys: 2 }.to_string();
        assert!(!said.contains("MC4CAQ"), "{said}");
    }

    #[test]
    fn a_unit_that_cannot_be_read_does_not_hide_another() {
        let good: &[(&str, &str)] = &[("ca", "\"a\"")];
        for (bad, why) in [
            (&[("chain", "x")][..], Unreadable::NotJson("chain")),
            (&[("chain", "{}")], Unreadable::Shape("chain", "a list of texts")),
            (&[("ca", "1")], Unreadable::Shape("ca", "a text")),
        ] {
            let note = |unit: &str| vec![Note::InvalidUnit { unit: unit.into(), why }];
            let both = read_of(&[], &[good, bad]);
            assert_eq!(both, Read { certificates: Some(set(&["a"])), notes: note("app/1") });
            assert_eq!(read_of(&[], &[bad]), Read { certificates: None, notes: note("app/0") });
        }
    }
}
