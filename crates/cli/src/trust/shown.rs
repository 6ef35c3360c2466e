//! How the things of trust are shown: a row in a list, and one by one.

use wire::{
    TrustCertificate, TrustFile, TrustInPlace, TrustPlace, TrustPlaceEvent, TrustPlaceState, TrustProvider,
    TrustRelation, TrustRequirer, TrustState,
};

use crate::duration::Duration;
use crate::shown::{Detailed, Listed, joined, known};

impl Listed for TrustProvider {
    const COLUMNS: &'static [&'static str] = &["NAME", "CERTIFICATES", "CHANGED", "GRACE", "UNTIL", "BY"];
    const NONE: &'static str = "there are no providers; `provost trust provider set NAME` makes one";

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.set.count.to_string(),
            self.set.since.clone(),
            lasting(self.grace_seconds),
            known(self.until.as_ref()),
            self.by.clone(),
        ]
    }
}

impl Detailed for TrustProvider {
    const HAS_VERSION: bool = false;

    fn details(&self) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.clone()),
            ("authority", known(self.authority.as_ref())),
            ("refuses", joined(self.refuse.iter().cloned())),
            ("offered by", offered_by(self)),
            ("grace", lasting(self.grace_seconds)),
            ("going until", known(self.until.as_ref())),
            ("certificates", self.set.count.to_string()),
            ("revision", self.set.revision.to_string()),
            ("changed", self.set.since.clone()),
            ("made", format!("{} by {}", self.since, self.by)),
        ]
    }
}

impl Listed for TrustCertificate {
    const COLUMNS: &'static [&'static str] = &["FINGERPRINT", "SUBJECT", "NOT AFTER", "FINDINGS"];
    const NONE: &'static str = "there are no certificates";

    fn row(&self) -> Vec<String> {
        vec![
            self.fingerprint.clone(),
            known(self.subject.as_ref()),
            self.not_after.clone(),
            joined(self.findings.iter().cloned()),
        ]
    }
}

impl Detailed for TrustCertificate {
    const HAS_VERSION: bool = false;

    fn details(&self) -> Vec<(&'static str, String)> {
        vec![
            ("fingerprint", self.fingerprint.clone()),
            ("subject", known(self.subject.as_ref())),
            ("valid", format!("{} to {}", self.not_before, self.not_after)),
            ("findings", joined(self.findings.iter().cloned())),
        ]
    }
}

impl Listed for TrustRequirer {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "KIND", "CERTIFICATES", "CHANGED", "IN STEP", "BEHIND", "FAILING", "LEAVING"];
    const NONE: &'static str = "there are no requirers; `provost trust requirer set NAME poll` makes one";

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            known(self.place.as_ref().map(kind)),
            self.count.to_string(),
            self.changed.clone(),
            self.places.in_step.to_string(),
            self.places.behind.to_string(),
            self.places.failing.to_string(),
            known(self.leaving.then_some("yes")),
        ]
    }
}

impl Detailed for TrustRequirer {
    const HAS_VERSION: bool = false;

    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = vec![("name", self.name.clone()), ("kind", known(self.place.as_ref().map(kind)))];
        details.extend(self.place.iter().flat_map(place));
        details.extend([
            ("certificates", self.count.to_string()),
            ("hash", self.hash.clone()),
            ("changed", self.changed.clone()),
            ("in step", self.places.in_step.to_string()),
            ("behind", self.places.behind.to_string()),
            ("failing", self.places.failing.to_string()),
            ("leaving", if self.leaving { "once nothing is left in its places" } else { "no" }.to_owned()),
            ("made", format!("{} by {}", self.since, self.by)),
        ]);
        details
    }
}

impl Listed for TrustPlaceState {
    const COLUMNS: &'static [&'static str] = &["PLACE", "STATE", "LOOKED", "DRIFTED", "AGAIN"];
    const NONE: &'static str = "nothing is known of its places yet";

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            state(self),
            known(self.looked.as_ref()),
            known(self.drifted.as_ref()),
            known(self.next.as_ref()),
        ]
    }
}

impl Listed for TrustPlaceEvent {
    const COLUMNS: &'static [&'static str] = &["WHEN", "PLACE", "WHAT", "BY"];
    const NONE: &'static str = "nothing has happened in its places yet";

    fn row(&self) -> Vec<String> {
        let what = match (self.what, &self.hash, &self.reason) {
            (TrustInPlace::Applied, Some(hash), _) => format!("given {hash}"),
            (TrustInPlace::Applied, None, _) => "given what it is to have".to_owned(),
            (TrustInPlace::Drifted, ..) => "changed by somebody else, and mended".to_owned(),
            (TrustInPlace::Failing, _, Some(reason)) => format!("failing because {reason}"),
            (TrustInPlace::Failing, _, None) => "failing".to_owned(),
        };
        vec![self.at.clone(), self.place.clone(), what, self.by.clone()]
    }
}

impl Listed for TrustRelation {
    const COLUMNS: &'static [&'static str] =
        &["NUMBER", "PROVIDER", "REQUIRER", "OWN CERTIFICATES", "SINCE", "BY"];
    const NONE: &'static str =
        "nobody provides for anybody; `provost trust relate PROVIDER REQUIRER` has them do";

    fn row(&self) -> Vec<String> {
        vec![
            self.number.to_string(),
            self.provider.clone(),
            self.requirer.clone(),
            self.set.count.to_string(),
            self.since.clone(),
            self.by.clone(),
        ]
    }
}

impl Detailed for TrustRelation {
    const HAS_VERSION: bool = false;

    fn details(&self) -> Vec<(&'static str, String)> {
        vec![
            ("number", self.number.to_string()),
            ("provider", self.provider.clone()),
            ("requirer", self.requirer.clone()),
            ("own certificates", self.set.count.to_string()),
            ("revision", self.set.revision.to_string()),
            ("changed", self.set.since.clone()),
            ("made", format!("{} by {}", self.since, self.by)),
        ]
    }
}

fn lasting(seconds: u64) -> String {
    u32::try_from(seconds).map_or_else(|_| format!("{seconds}s"), |seconds| Duration(seconds).to_string())
}

/// How it is with a place, in words.
pub(super) fn state(place: &TrustPlaceState) -> String {
    match (place.state, &place.reason) {
        (TrustState::InStep, _) => "in step".to_owned(),
        (TrustState::Behind, _) => format!("behind since {}", place.since),
        (TrustState::Failing, Some(reason)) => format!("failing since {} because {reason}", place.since),
        (TrustState::Failing, None) => format!("failing since {}", place.since),
    }
}

/// Who offers in a provider's name.
fn offered_by(provider: &TrustProvider) -> String {
    match (&provider.authority, provider.only.is_empty()) {
        (Some(_), _) => "the server".to_owned(),
        (None, true) => "operators".to_owned(),
        (None, false) => provider.only.join(", "),
    }
}

fn kind(place: &TrustPlace) -> &'static str {
    match place {
        TrustPlace::Poll { .. } => "poll",
        TrustPlace::Hosts { .. } => "hosts",
        TrustPlace::Kubernetes { .. } => "kubernetes",
        TrustPlace::Webhook { .. } => "webhook",
    }
}

/// Where it is, in words.
fn place(place: &TrustPlace) -> Vec<(&'static str, String)> {
    match place {
        TrustPlace::Poll { only } if only.is_empty() => Vec::new(),
        TrustPlace::Poll { only } => vec![("told by", only.join(", "))],
        TrustPlace::Hosts { hosts, cluster, all, system_store, java, files } => {
            let which = match (all, cluster) {
                (true, _) => "all".to_owned(),
                (false, Some(cluster)) => format!("those of cluster {cluster}"),
                (false, None) => joined(hosts.iter().cloned()),
            };
            let stores = [(*system_store, "system"), (*java, "java")].into_iter();
            let stores = stores.filter(|(is_one, _)| *is_one).map(|(_, name)| name.to_owned());
            let mut details = vec![("hosts", which), ("stores", joined(stores))];
            details.extend(files.iter().map(|file| ("file", self::file(file))));
            details
        }
        TrustPlace::Kubernetes { container_manager, secret, namespaces, selector, name, key } => {
            let kind = if *secret { "Secret" } else { "ConfigMap" };
            vec![
                ("container manager", container_manager.clone()),
                ("namespaces", joined(namespaces.iter().cloned())),
                ("selector", known(selector.as_ref())),
                ("object", format!("{kind} {name}, key {}", key.as_deref().unwrap_or("ca.crt"))),
            ]
        }
        TrustPlace::Webhook { url, secret: _, ca } => {
            let verified =
                if ca.is_some() { "by authorities of its own" } else { "by the system's authorities" };
            vec![("url", url.clone()), ("verified", verified.to_owned())]
        }
    }
}

/// As `--file` has it.
fn file(file: &TrustFile) -> String {
    let options = [
        ("password-file", &file.password_file),
        ("owner", &file.owner),
        ("group", &file.group),
        ("mode", &file.mode),
        ("hook", &file.hook),
    ];
    let options = options.iter().filter_map(|(name, value)| Some(format!(",{name}={}", value.as_ref()?)));
    let flags = [(file.keystore, ",keystore"), (file.adopt, ",adopt")].into_iter();
    let flags: String = flags.filter(|(is_so, _)| *is_so).map(|(_, name)| name).collect();
    file.path.clone() + &flags + &options.collect::<String>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_have_a_cell_for_each_column() {
        fn check<T: Listed>(document: serde_json::Value, expected: &[&str]) {
            let row = serde_json::from_value::<T>(document).unwrap().row();
            assert_eq!(row, expected);
            assert_eq!(row.len(), T::COLUMNS.len());
        }
        let set = json!({"hash": "00", "count": 2, "revision": 3, "since": "t"});
        let provider = json!({"name": "a", "refuse": ["expired"], "grace_seconds": 86_400, "set": set,
            "since": "s", "by": "ada", "until": "u"});
        check::<TrustProvider>(provider, &["a", "2", "t", "1d", "u", "ada"]);
        let certificate = json!({"fingerprint": "ff", "not_before": "b", "not_after": "e", "findings": ["expiring", "expired"], "pem": "P"});
        check::<TrustCertificate>(certificate, &["ff", "-", "e", "expiring expired"]);
        let requirer = json!({"name": "r", "place": {"kind": "poll"}, "hash": "00", "count": 2, "changed": "c",
            "places": {"in_step": 1, "behind": 2, "failing": 3}, "since": "s", "by": "ada", "leaving": true});
        check::<TrustRequirer>(requirer, &["r", "poll", "2", "c", "1", "2", "3", "yes"]);
        let relation =
            json!({"number": 7, "provider": "a", "requirer": "r", "set": set, "since": "s", "by": "ada"});
        check::<TrustRelation>(relation, &["7", "a", "r", "2", "s", "ada"]);
        for (document, said) in [
            (json!({"name": "h", "state": "in-step", "since": "s"}), "in step"),
            (json!({"name": "h", "state": "behind", "since": "s"}), "behind since s"),
            (
                json!({"name": "h", "state": "failing", "since": "s", "reason": "it is away"}),
                "failing since s because it is away",
            ),
        ] {
            check::<TrustPlaceState>(document, &["h", said, "-", "-", "-"]);
        }
        for (what, said) in [
            (json!({"what": "applied", "hash": "00"}), "given 00"),
            (json!({"what": "drifted"}), "changed by somebody else, and mended"),
            (json!({"what": "failing", "reason": "it is away"}), "failing because it is away"),
        ] {
            let mut event = json!({"place": "h", "at": "t", "by": "house"});
            event.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
            check::<TrustPlaceEvent>(event, &["t", "h", said, "house"]);
        }
    }

    #[test]
    fn places_are_told_in_words() {
        let hosts = TrustPlace::Hosts {
            hosts: Vec::new(),
            cluster: Some("web".into()),
            all: false,
            system_store: true,
            java: true,
            files: vec![TrustFile {
                path: "/f".into(),
                mode: Some("0600".into()),
                adopt: true,
                keystore: true,
                ..TrustFile::default()
            }],
        };
        let expected = [
            ("hosts", "those of cluster web"),
            ("stores", "system java"),
            ("file", "/f,keystore,adopt,mode=0600"),
        ];
        assert_eq!(place(&hosts), expected.map(|(name, value)| (name, value.to_owned())));
    }
}
