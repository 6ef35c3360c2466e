//! The provider's side: what it wants handed on, and what that is in its databags (contract, section 3).

use crate::databag::{CA, CERTIFICATE, CERTIFICATES, CHAIN, VERSION, VERSION_0, VERSION_1, changes};
use crate::{Certificates, Changes, Databag, Note, json};

/// The bags of one relation that the provider's leader sees.
#[derive(Debug, Clone, Copy)]
pub struct Provider<'a> {
    /// Its application's own: the record of what it provides.
    pub application: &'a Databag,
    /// Its unit's own, which only readers of version 0 look at.
    pub unit: &'a Databag,
    /// The requirer's application's.
    pub requirer: &'a Databag,
}

/// What is to become of the set of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These come to those that are there.
    Add(Certificates),
    /// Exactly this text goes; one that is not there is no error.
    Remove(String),
    /// Nothing is left.
    RemoveAll,
    /// Exactly these are there.
    Set(Certificates),
    /// The set stays, and is written as the requirer reads it: its version may have come, or another unit may lead.
    Publish,
}

/// What is to be written, and said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// The set as it is then.
    pub certificates: Certificates,
    /// Into the application's bag.
    pub application: Changes,
    /// Into the unit's.
    pub unit: Changes,
    /// For the log.
    pub notes: Vec<Note>,
}

impl Provider<'_> {
    /// Makes `change`. Bags that are right already are not written, and keys that are not the interface's are left alone.
    #[must_use]
    pub fn provide(&self, change: &Change) -> Provided {
        let mut notes = Vec::new();
        let mut certificates = self.certificates(&mut notes);
        match change {
            Change::Add(more) => certificates.extend(more.iter().cloned()),
            Change::Remove(one) => {
                certificates.remove(one);
            }
            Change::RemoveAll => certificates.clear(),
            Change::Set(exactly) => certificates.clone_from(exactly),
            Change::Publish => {}
        }
        let list = json::list(&certificates);
        let application =
            changes(self.application, [(CERTIFICATES, list.clone()), (VERSION, VERSION_1.to_owned())]);
        let unit = if self.requirer.get(VERSION).is_some_and(|version| version == VERSION_1) {
            stand_down(self.unit)
        } else {
            notes.push(Note::Version0);
            match certificates.first() {
                None => stand_down(self.unit),
                // Whoever looks at one alone gets one of the set, the same each time (section 3.3).
                Some(first) => {
                    let first = json::text(first);
                    changes(
                        self.unit,
                        [
                            (CA, first.clone()),
                            (CERTIFICATE, first),
                            (CHAIN, list),
                            (VERSION, VERSION_0.to_owned()),
                        ],
                    )
                }
            }
        };
        Provided { certificates, application, unit, notes }
    }

    /// What is provided now: what the application's bag says, or, where it says nothing, the unit's, from before there was
    /// a version 1 (section 3.2). What cannot be read counts as nothing: writing mends it.
    fn certificates(&self, notes: &mut Vec<Note>) -> Certificates {
        let record = self.application.get(CERTIFICATES).or_else(|| self.unit.get(CHAIN));
        let Some(record) = record else { return Certificates::new() };
        json::read_list(record).unwrap_or_else(|| {
            notes.push(Note::Unreadable);
            Certificates::new()
        })
    }
}

/// What a unit writes that provides nothing of version 0 (any more): one that does not lead, or whose requirer reads
/// version 1, or has nothing to be given. Old certificates would be believed for ever (section 3.6).
#[must_use]
pub fn stand_down(unit: &Databag) -> Changes {
    changes(unit, [CA, CERTIFICATE, CHAIN, VERSION].map(|key| (key, String::new())))
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

    const NETWORK: (&str, &str) = ("private-address", "10.0.0.1");

    #[test]
    fn the_set_is_written_as_the_requirer_reads_it() {
        let there = bag(&[("certificates", r#"["a", "b"]"#), ("version", "1"), ("own", "x")]);
        let nothing = bag(&[]);
        let gone = [("ca", ""), ("certificate", ""), ("chain", ""), ("version", "")];
        let old = [("ca", "\"a\""), ("certificate", "\"a\""), ("chain", r#"["a", "b"]"#), ("version", "0")];
        let old_bag = bag(&[&old[..], &[NETWORK]].concat());
        let network = bag(&[NETWORK]);
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, &Databag, &Databag, &str, Change, Pairs<'_>, Pairs<'_>); 13] = [
            (
                "first",
                &nothing,
                &network,
                "1",
                Change::Add(set(&["b", "a"])),
                &[("certificates", r#"["a", "b"]"#), ("version", "1")],
                &[],
            ),
            ("again", &there, &network, "1", Change::Add(set(&["a"])), &[], &[]),
            ("published again", &there, &network, "1", Change::Publish, &[], &[]),
            (
                "more",
                &there,
                &network,
                "1",
                Change::Add(set(&["é"])),
                &[("certificates", r#"["a", "b", "\u00e9"]"#)],
                &[],
            ),
            ("less", &there, &network, "1", Change::Remove("a".into()), &[("certificates", r#"["b"]"#)], &[]),
            ("unknown", &there, &network, "1", Change::Remove("a\n".into()), &[], &[]),
            ("none", &there, &network, "1", Change::RemoveAll, &[("certificates", "[]")], &[]),
            (
                "exactly",
                &there,
                &network,
                "1",
                Change::Set(set(&["c"])),
                &[("certificates", r#"["c"]"#)],
                &[],
            ),
            (
                "empty from the start",
                &nothing,
                &network,
                "1",
                Change::Publish,
                &[("certificates", "[]"), ("version", "1")],
                &[],
            ),
            ("an old reader", &there, &network, "0", Change::Publish, &[], &old),
            (
                "an old reader, nothing left",
                &there,
                &old_bag,
                "0",
                Change::RemoveAll,
                &[("certificates", "[]")],
                &gone,
            ),
            ("it reads version 1 now", &there, &old_bag, "1", Change::Publish, &[], &gone),
            (
                "from before version 1",
                &nothing,
                &old_bag,
                "0",
                Change::Add(set(&["c"])),
                &[("certificates", r#"["a", "b", "c"]"#), ("version", "1")],
                &[("chain", r#"["a", "b", "c"]"#)],
            ),
        ];
        for (name, application, unit, version, change, expected, expected_unit) in cases {
            let requirer = bag(&[("version", version)]);
            let provided = Provider { application, unit, requirer: &requirer }.provide(&change);
            assert_eq!(provided.application, bag(expected), "{name}");
            assert_eq!(provided.unit, bag(expected_unit), "{name}");
            let is_old = version == "0";
            assert_eq!(provided.notes, if is_old { vec![Note::Version0] } else { vec![] }, "{name}");
        }
    }

    #[test]
    fn only_one_text_means_version_1() {
        let (application, unit) = (bag(&[("certificates", "[\"a\"]"), ("version", "1")]), bag(&[]));
        for (version, is_1) in [
            (Some("1"), true),
            (Some("0"), false),
            (Some("2"), false),
            (Some("\"1\""), false),
            (Some("1.0"), false),
            (Some("x"), false),
            (None, false),
        ] {
            let requirer = version.map(|version| bag(&[("version", version)])).unwrap_or_default();
            let provider = Provider { application: &application, unit: &unit, requirer: &requirer };
            assert_eq!(provider.provide(&Change::Publish).unit.is_empty(), is_1, "{version:?}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_mended() {
        let requirer = bag(&[("version", "1")]);
        for record in ["nonsense", "null", "{}", "[1]", "\"a\""] {
            let application = bag(&[("certificates", record)]);
            let provider = Provider { application: &application, unit: &bag(&[]), requirer: &requirer };
            let provided = provider.provide(&Change::Add(set(&["a"])));
            assert_eq!(
                provided.application,
                bag(&[("certificates", "[\"a\"]"), ("version", "1")]),
                "{record}"
            );
            assert_eq!(provided.notes, [Note::Unreadable], "{record}");
        }
    }

    #[test]
    fn who_does_not_lead_leaves_nothing_old() {
        assert_eq!(stand_down(&bag(&[NETWORK])), bag(&[]));
        let stale = bag(&[NETWORK, ("chain", "[]"), ("version", "0")]);
        assert_eq!(stand_down(&stale), bag(&[("chain", ""), ("version", "")]));
    }
}
