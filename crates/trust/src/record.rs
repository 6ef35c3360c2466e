//! What is stored of trust relations. The golden bytes of each are held by the tests at the foot.
//!
//! ```text
//! /trust/provider/<name>                      who says what is to be trusted, and which set all its relations have
//! /trust/requirer/<name>                      who is to have it, and where it is put
//! /trust/relation/<requirer>/<20 digits>      that the one is to have what the other says, and its own set
//! /trust/number/<20 digits>                   whose relation a number is
//! /trust/counter/relation                     the number of the next relation, never given twice
//! /trust/counter/requirers                    how many requirers there are
//! /trust/changed/relations                    written by each change of a provider, a requirer or a relation
//! /trust/set/<hash>/<4 digits>                certificates of a set, named by what is in it
//! /trust/certificate/<fingerprint>            who brought a certificate, and when
//! /trust/unit/<requirer>/<unit>               what is on one host, in one namespace, in one file of a requirer
//! /trust/house/mark                           what tells this house from others
//! /trust/history/…                            what happened, as in the history of the house
//! ```
//! A set is written before the record that names it, and is never changed: so a set of thousands is replaced by one
//! commit, and thousands of relations share one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::Record;

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProviderRecord {
    /// Which of the house's own authorities it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<String>,
    /// The findings for which a certificate is refused, by their names.
    pub(crate) refuse: Vec<String>,
    /// Who offers in its name, by their accounts; any operator, where nobody is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) only: Vec<String>,
    /// How long its certificates stay when it goes, in seconds.
    pub(crate) grace: i64,
    /// What all its relations have.
    pub(crate) set: SetName,
    /// Who made it.
    pub(crate) by: String,
    /// When: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
    /// Until when its certificates stay, where it is going.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
}

/// Which set there is, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetName {
    /// The hash of what is in it (contract, section 4.5).
    pub(crate) hash: String,
    /// How many certificates it has.
    pub(crate) count: usize,
    /// How often it was another one.
    pub(crate) revision: u64,
    /// Since when: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
}

/// A relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RelationRecord {
    /// The provider.
    pub(crate) provider: String,
    /// What it has beside what all relations of the provider have.
    pub(crate) set: SetName,
    /// Who made it.
    pub(crate) by: String,
    /// When: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
}

/// Whose relation it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NumberRecord {
    /// The requirer.
    pub(crate) requirer: String,
}

/// That something is another one. What counts is its version, which grows with each commit that writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedRecord {
    /// When: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
}

/// What tells this house from others who put certificates in the same places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HouseRecord {
    /// 16 hexadecimal digits.
    pub(crate) mark: String,
}

/// What number is next, or how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CounterRecord {
    /// The number.
    pub(crate) next: u64,
}

/// A requirer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequirerRecord {
    /// Where it wants them.
    pub(crate) place: PlaceRecord,
    /// Since when it is as it is: seconds since 1970-01-01T00:00:00Z.
    pub(crate) changed: i64,
    /// Who made it.
    pub(crate) by: String,
    /// When: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
    /// Since when it is to go, where it is: once nothing of it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leaving: Option<i64>,
    /// Whether it is gone, and what was written down of it is being removed. Nobody sees it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
    /// What a webhook was to be told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) told: Option<ToldRecord>,
}

/// What a webhook is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToldRecord {
    /// The hash of all it is to have.
    pub(crate) hash: String,
    /// Grows whenever that is another one.
    pub(crate) revision: u64,
}

/// Where a requirer's certificates are put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum PlaceRecord {
    /// Wherever it wants: it comes and asks.
    Poll {
        /// Who says what is there, by their accounts; anybody who may look, where nobody is named.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        only: Vec<String>,
    },
    /// On hosts of the fleet.
    Hosts {
        /// These.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<String>,
        /// Those of this cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<String>,
        /// All of them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all: bool,
        /// In the operating system's trust store.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        system_store: bool,
        /// In Java's.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        java: bool,
        /// In files.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<FileRecord>,
    },
    /// In objects of a Kubernetes cluster.
    Kubernetes {
        /// The container manager.
        container_manager: String,
        /// Whether it is a Secret, not a ConfigMap.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        secret: bool,
        /// In these namespaces.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        namespaces: Vec<String>,
        /// In those with these labels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selector: Option<String>,
        /// The object's name.
        name: String,
        /// The name of the text in it.
        key: String,
    },
    /// Told to a program of the operator's.
    Webhook {
        /// Where it listens, and what what it is told is signed with: a [`WebhookSecrets`], sealed.
        sealed: String,
        /// With what it is verified, PEM; by the system's authorities where there is nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
}

/// What of a webhook is secret: the way to it often is as well.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSecrets {
    /// Where it listens.
    pub(crate) url: String,
    /// What what it is told is signed with.
    pub(crate) secret: String,
}

impl PlaceRecord {
    /// Whether it is of the same kind.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A file on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Where it is.
    pub(crate) path: String,
    /// Whose it is.
    pub(crate) owner: String,
    /// Its group.
    pub(crate) group: String,
    /// Who may do what with it.
    pub(crate) mode: u32,
    /// What is run when it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hook: Option<String>,
    /// Whether it takes the place of somebody else's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) adopt: bool,
    /// That it is a keystore of Java's, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keystore: Option<KeystoreRecord>,
}

/// That a file is a keystore of Java's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeystoreRecord {
    /// The file on the host that has its password, where it is not everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<String>,
}

/// Some certificates of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetRecord {
    /// When it was last written: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
    /// In how many parts the set lies.
    pub(crate) parts: usize,
    /// The certificates, as PEM, in order.
    pub(crate) certificates: Vec<String>,
}

/// Who brought a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CertificateRecord {
    /// By the provider, and the number of the relation where it was brought for one.
    pub(crate) brought: BTreeMap<String, BroughtRecord>,
}

/// That somebody brought a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BroughtRecord {
    /// Who.
    pub(crate) by: String,
    /// When last: seconds since 1970-01-01T00:00:00Z.
    pub(crate) at: i64,
    /// Why, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// What is in one of a requirer's places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    /// The hash of what was put there last, and seen to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) applied: Option<String>,
    /// Since when it has been there: seconds since 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<i64>,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) looked: Option<i64>,
    /// When somebody else was last seen to have changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drifted: Option<i64>,
    /// Why the last attempts came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failing: Option<FailingRecord>,
    /// Where in it certificates may be: written down before they are put there. Who is meant is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) places: Vec<PlaceRecord>,
}

/// Why nothing could be put there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailingRecord {
    /// The reason of the last attempt.
    pub(crate) reason: String,
    /// When it began: seconds since 1970-01-01T00:00:00Z.
    pub(crate) since: i64,
    /// How many attempts there were.
    pub(crate) attempts: u32,
    /// When it is tried again; nothing where that is not for us to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<i64>,
    /// The hashes of the bundles that were tried since, of which some may be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tried: Vec<String>,
    /// The hash of what the last attempt was to put there, empty where all was to go. Something else is tried at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<String>,
}

macro_rules! records {
    ($($name:ident)*) => {
        $(impl Record for $name {
            const VERSION: u32 = 1;
        })*
    };
}
records! {
    ProviderRecord RelationRecord NumberRecord ChangedRecord CounterRecord HouseRecord RequirerRecord SetRecord CertificateRecord UnitRecord
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn golden<R: Record + PartialEq + Debug>(record: &R, text: &str) {
        let bytes = store::encode(record).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
        assert_eq!(&store::decode::<R>(text.as_bytes()).unwrap(), record);
    }

    fn set() -> SetName {
        SetName { hash: "aa".into(), count: 2, revision: 3, at: 4 }
    }

    #[test]
    fn providers() {
        let mut record = ProviderRecord {
            authority: None,
            refuse: vec!["expired".into()],
            only: vec![],
            grace: 60,
            set: set(),
            by: "u".into(),
            at: 5,
            until: None,
        };
        golden(
            &record,
            r#"{"v":1,"is":{"refuse":["expired"],"grace":60,"set":{"hash":"aa","count":2,"revision":3,"at":4},"by":"u","at":5}}"#,
        );
        (record.authority, record.until) = (Some("services".into()), Some(9));
        golden(
            &record,
            r#"{"v":1,"is":{"authority":"services","refuse":["expired"],"grace":60,"set":{"hash":"aa","count":2,"revision":3,"at":4},"by":"u","at":5,"until":9}}"#,
        );
    }

    #[test]
    fn relations() {
        let relation = RelationRecord { provider: "p".into(), set: set(), by: "u".into(), at: 5 };
        golden(
            &relation,
            r#"{"v":1,"is":{"provider":"p","set":{"hash":"aa","count":2,"revision":3,"at":4},"by":"u","at":5}}"#,
        );
        golden(&NumberRecord { requirer: "r".into() }, r#"{"v":1,"is":{"requirer":"r"}}"#);
        golden(&ChangedRecord { at: 8 }, r#"{"v":1,"is":{"at":8}}"#);
        golden(&HouseRecord { mark: "00ff".into() }, r#"{"v":1,"is":{"mark":"00ff"}}"#);
        golden(&CounterRecord { next: 7 }, r#"{"v":1,"is":{"next":7}}"#);
    }

    #[test]
    fn requirers() {
        let with = |place| RequirerRecord {
            place,
            changed: 1,
            by: "u".into(),
            at: 2,
            leaving: None,
            gone: false,
            told: None,
        };
        golden(
            &with(PlaceRecord::Poll { only: vec![] }),
            r#"{"v":1,"is":{"place":{"kind":"poll"},"changed":1,"by":"u","at":2}}"#,
        );
        golden(
            &with(PlaceRecord::Poll { only: vec!["user a".into()] }),
            r#"{"v":1,"is":{"place":{"kind":"poll","only":["user a"]},"changed":1,"by":"u","at":2}}"#,
        );
        let file = FileRecord {
            path: "/a".into(),
            owner: "o".into(),
            group: "g".into(),
            mode: 0o640,
            hook: Some("h".into()),
            adopt: false,
            keystore: None,
        };
        let keystore = |path: &str, password_file| FileRecord {
            path: path.into(),
            hook: None,
            keystore: Some(KeystoreRecord { password_file }),
            ..file.clone()
        };
        let keystores = [keystore("/c", None), keystore("/d", Some("/p".into()))];
        let adopted = FileRecord { path: "/b".into(), hook: None, adopt: true, ..file.clone() };
        let hosts = PlaceRecord::Hosts {
            hosts: vec!["10.0.0.1".into()],
            cluster: Some("c".into()),
            all: true,
            system_store: true,
            java: true,
            files: [file, adopted].into_iter().chain(keystores).collect(),
        };
        golden(
            &RequirerRecord { leaving: Some(3), ..with(hosts) },
            r#"{"v":1,"is":{"place":{"kind":"hosts","hosts":["10.0.0.1"],"cluster":"c","all":true,"system_store":true,"java":true,"files":[{"path":"/a","owner":"o","group":"g","mode":416,"hook":"h"},{"path":"/b","owner":"o","group":"g","mode":416,"adopt":true},{"path":"/c","owner":"o","group":"g","mode":416,"keystore":{}},{"path":"/d","owner":"o","group":"g","mode":416,"keystore":{"password_file":"/p"}}]},"changed":1,"by":"u","at":2,"leaving":3}}"#,
        );
        golden(
            &RequirerRecord { gone: true, ..with(PlaceRecord::Poll { only: vec![] }) },
            r#"{"v":1,"is":{"place":{"kind":"poll"},"changed":1,"by":"u","at":2,"gone":true}}"#,
        );
        let kubernetes = PlaceRecord::Kubernetes {
            container_manager: "k".into(),
            secret: true,
            namespaces: vec!["n".into()],
            selector: Some("a=b".into()),
            name: "x".into(),
            key: "y".into(),
        };
        golden(
            &with(kubernetes),
            r#"{"v":1,"is":{"place":{"kind":"kubernetes","container_manager":"k","secret":true,"namespaces":["n"],"selector":"a=b","name":"x","key":"y"},"changed":1,"by":"u","at":2}}"#,
        );
        let webhook = PlaceRecord::Webhook { sealed: "s".into(), ca: Some("c".into()) };
        golden(
            &RequirerRecord { told: Some(ToldRecord { hash: "aa".into(), revision: 3 }), ..with(webhook) },
            r#"{"v":1,"is":{"place":{"kind":"webhook","sealed":"s","ca":"c"},"changed":1,"by":"u","at":2,"told":{"hash":"aa","revision":3}}}"#,
        );
    }

    #[test]
    fn sets_and_certificates() {
        golden(
            &SetRecord { at: 1, parts: 2, certificates: vec!["p".into()] },
            r#"{"v":1,"is":{"at":1,"parts":2,"certificates":["p"]}}"#,
        );
        let brought = BTreeMap::from([("p".to_owned(), BroughtRecord { by: "u".into(), at: 1, why: None })]);
        golden(&CertificateRecord { brought }, r#"{"v":1,"is":{"brought":{"p":{"by":"u","at":1}}}}"#);
        let why = Some("merger".into());
        let brought = BTreeMap::from([("p".to_owned(), BroughtRecord { by: "u".into(), at: 1, why })]);
        let bytes = r#"{"v":1,"is":{"brought":{"p":{"by":"u","at":1,"why":"merger"}}}}"#;
        golden(&CertificateRecord { brought }, bytes);
    }

    #[test]
    fn units() {
        golden(&UnitRecord::default(), r#"{"v":1,"is":{}}"#);
        let failing = FailingRecord {
            reason: "r".into(),
            since: 4,
            attempts: 5,
            next: Some(6),
            tried: Vec::new(),
            last: Some("dd".into()),
        };
        let polled = FailingRecord { next: None, tried: vec!["bb".into()], last: None, ..failing.clone() };
        golden(
            &UnitRecord { failing: Some(polled), ..UnitRecord::default() },
            r#"{"v":1,"is":{"failing":{"reason":"r","since":4,"attempts":5,"tried":["bb"]}}}"#,
        );
        let record = UnitRecord {
            applied: Some("aa".into()),
            since: Some(1),
            looked: Some(2),
            drifted: Some(3),
            failing: Some(failing),
            places: vec![PlaceRecord::Poll { only: vec![] }],
        };
        golden(
            &record,
            r#"{"v":1,"is":{"applied":"aa","since":1,"looked":2,"drifted":3,"failing":{"reason":"r","since":4,"attempts":5,"next":6,"last":"dd"},"places":[{"kind":"poll"}]}}"#,
        );
    }
}
