//! CA certificates where pods find them: a ConfigMap or a Secret, which holds a bundle under one key.
//!
//! ```text
//! put       in step already         nothing is written, so that no pod is woken
//!           there is none           it is created
//!           ours, and otherwise     it is written again, whoever changed it, if it is still what was read
//!           another owner's         it is left alone, though it is ours; and so is another house's
//!           somebody else's         it is left alone
//! remove    ours                    it is deleted, if it is still what was read
//!           another owner's         there is nothing to be taken away: what was put is not there any more
//! ```
//! Ours is what has the label `app.kubernetes.io/managed-by=provost`. For whom it was put there ([`BundleObject::of`]) is
//! said by an annotation, and by which house ([`BundleObject::by`]) by another: two who want the same object do not write
//! over each other. Whatever else others add to it, labels, annotations,
//! owners, stays; data that they add does not, since pods would take it for ours. What was written is read back.
//!
//! It is read, compared and written under its `resourceVersion`, and not applied by the server ("Server-Side Apply"):
//! applying neither takes away keys that others added nor fails where something of that name came to be meanwhile.
//! The fields are ours by the field manager's name all the same.
//!
//! Pods that have it mounted see a change within a minute or so; those that mount it with `subPath`, or have it in their
//! environment, when they start again.
//!
//! Source: certificate_transfer contract, section 9.4; Kubernetes, "ConfigMaps", "Secrets", "Object Names and IDs",
//! "Recommended Labels", "Optimistic concurrency" in the API conventions.

use std::fmt;

use base::{Explain, Kind, hex, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::ask::{Answer, JSON, Question};
use crate::bundle_error::BundleError;
use crate::client::{Change, Client};
use crate::error::{Action, Error};
use crate::namespace::NamespaceName;
use crate::node_name::is_subdomain;

/// The label that says whose an object is, and what it says on ours.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(crate) const OURS: &str = "provost";
/// The annotation with the SHA-256 of the bundle, in hexadecimal: for people, and for whoever restarts pods when it changes.
const HASH: &str = "provost/bundle-sha256";
/// The annotation with the name of whoever has the bundle put there.
pub(crate) const OWNER: &str = "provost/requirer";
/// The annotation with the house that puts it there, by what tells it from others.
pub(crate) const HOUSE: &str = "provost/house";
/// As whom we write (`managedFields`).
const FIELD_MANAGER: &str = "provost-trust";

/// The longest bundle, in bytes: what an API server takes as the data of one object.
pub(crate) const BUNDLE_BYTES_MAX: usize = 1 << 20;
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 253;
/// How often it is begun again because somebody else changed the object meanwhile.
const ROUNDS_MAX: usize = 4;

/// What holds a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A ConfigMap: certificates are nobody's secret.
    ConfigMap,
    /// A Secret, for whoever looks for them in one.
    Secret,
}

impl ObjectKind {
    /// What Kubernetes calls one.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
        }
    }
}

/// An object that holds a bundle, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleObject {
    kind: ObjectKind,
    name: String,
    key: String,
    /// Whose it is, among those for whom we put objects there; nobody's in particular where it is empty.
    owner: String,
    /// Which house puts it there; none in particular where it is empty.
    house: String,
}

/// A name or a key that no object can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBundleObject {
    /// The name.
    #[error("no ConfigMap or Secret can be called `{}`", .0.escape_debug())]
    Name(String),
    /// The key.
    #[error("nothing in a ConfigMap or Secret can be called `{}`", .0.escape_debug())]
    Key(String),
}

impl Explain for BadBundleObject {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Name(_) => {
                "the name has up to 253 lower-case letters, digits, `-` and `.`, such as `internal-cas`"
                    .to_owned()
            }
            Self::Key(_) => {
                "the key has up to 253 letters, digits, `-`, `_` and `.`, such as `ca-certificates.crt`"
                    .to_owned()
            }
        })
    }
}

impl BundleObject {
    /// One of this kind and name, with the bundle under `key`.
    ///
    /// # Errors
    /// When Kubernetes does not take the name or the key.
    pub fn new(kind: ObjectKind, name: &str, key: &str) -> Result<Self, BadBundleObject> {
        let cut = |text: &str| text.chars().take(KEY_BYTES_MAX).collect();
        if !is_subdomain(name) {
            return Err(BadBundleObject::Name(cut(name)));
        }
        let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_key = !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(is_inside);
        // Keys become the names of files.
        if !is_key || key == "." || key.starts_with("..") {
            return Err(BadBundleObject::Key(cut(key)));
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
            key: key.to_owned(),
            owner: String::new(),
            house: String::new(),
        })
    }

    /// The same, for `owner`: what is another owner's is neither written over nor taken away.
    #[must_use]
    pub fn of(self, owner: &str) -> Self {
        Self { owner: owner.to_owned(), ..self }
    }

    /// The same, by `house`: what another house put there is neither written over nor taken away.
    #[must_use]
    pub fn by(self, house: &str) -> Self {
        Self { house: house.to_owned(), ..self }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the bundle in it is called.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The one in this namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: NamespaceName) -> BundlePlace {
        BundlePlace { namespace, object: self.clone() }
    }

    /// The data of one that holds `bundle`, and nothing else.
    fn data(&self, bundle: &str) -> Value {
        let text = match self.kind {
            ObjectKind::ConfigMap => bundle.to_owned(),
            ObjectKind::Secret => STANDARD.encode(bundle),
        };
        Value::Object(Map::from_iter([(self.key.clone(), text.into())]))
    }
}

/// Where a bundle is put.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundlePlace {
    /// In which namespace.
    pub namespace: NamespaceName,
    /// In what.
    pub object: BundleObject,
}

impl fmt::Display for BundlePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BundleObject { kind, name, .. } = &self.object;
        write!(f, "the {} `{name}` in the namespace `{}`", kind.as_str(), self.namespace)
    }
}

impl BundlePlace {
    /// Where all of that kind are in the namespace.
    fn all(&self) -> String {
        format!("/api/v1/namespaces/{}/{}", self.namespace, self.object.kind.resource())
    }

    /// Where it is. Names have nothing that would need to be escaped.
    fn path(&self) -> String {
        format!("{}/{}", self.all(), self.object.name)
    }

    fn action(&self, verb: &'static str) -> Action {
        let name = format!("{}/{}", self.namespace, self.object.name);
        Action { verb, resource: self.object.kind.resource(), name }
    }
}

/// An object that is there, with all that it has.
struct Found(Map<String, Value>);

impl Found {
    fn metadata(&self, name: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(name)
    }

    fn is_ours(&self) -> bool {
        let label = self.metadata("labels").and_then(|labels| labels.get(MANAGED_BY));
        label.is_some_and(|label| label == OURS)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata("annotations")?.get(name)?.as_str()
    }

    /// What `name` says instead, if it does not say `ours`. What says of nobody that it is theirs is taken over.
    fn another(&self, name: &str, ours: &str) -> Option<String> {
        let theirs = self.annotation(name).filter(|theirs| !theirs.is_empty())?;
        let shown = || theirs.chars().filter(|c| !c.is_control()).take(KEY_BYTES_MAX).collect();
        (!ours.is_empty() && theirs != ours).then(shown)
    }

    /// Whose it is, if it is ours and not this place's.
    fn anothers(&self, place: &BundlePlace) -> Option<BundleError> {
        let (owner, house) = (&place.object.owner, &place.object.house);
        if let Some(house) = self.another(HOUSE, house) {
            return Some(BundleError::AnotherHouse { place: place.clone(), house });
        }
        let owner = self.another(OWNER, owner)?;
        Some(BundleError::AnothersOwn { place: place.clone(), owner })
    }

    /// Whether it has this bundle, says so and whose it is, and has nothing else.
    fn holds(&self, place: &BundlePlace, bundle: &str, hash: &str) -> bool {
        let said = [(OWNER, &place.object.owner), (HOUSE, &place.object.house)];
        let is_owned = said.into_iter().all(|(name, is)| is.is_empty() || self.annotation(name) == Some(is));
        let is_said = is_owned && self.annotation(HASH) == Some(hash);
        let more = self.0.get("binaryData").and_then(Value::as_object).is_some_and(|more| !more.is_empty());
        is_said && !more && self.0.get("data") == Some(&place.object.data(bundle))
    }

    fn finalizers(&self) -> Vec<String> {
        let names = self.metadata("finalizers").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// The same with this bundle in it, and as ours. What is not said of who wrote which field stays as it is.
    fn with(mut self, place: &BundlePlace, bundle: &str, hash: &str) -> Value {
        self.0.remove("binaryData");
        self.0.insert("data".to_owned(), place.object.data(bundle));
        if let Some(Value::Object(metadata)) = self.0.get_mut("metadata") {
            metadata.remove("managedFields");
            let said = [
                ("labels", MANAGED_BY, OURS),
                ("annotations", HASH, hash),
                ("annotations", OWNER, &place.object.owner),
                ("annotations", HOUSE, &place.object.house),
            ];
            for (part, name, value) in said.into_iter().filter(|(_, _, value)| !value.is_empty()) {
                let all = metadata.entry(part).or_insert_with(|| json!({}));
                if !all.is_object() {
                    *all = json!({});
                }
                all[name] = value.into();
            }
        }
        Value::Object(self.0)
    }
}

impl Client {
    /// Has `bundle` be where it should be, and nothing else be there. Nothing is written when it is so already.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub async fn put_bundle(&self, place: &BundlePlace, bundle: &str) -> Result<Change, BundleError> {
        if bundle.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLong { place: place.clone(), bytes: bundle.len() });
        }
        let hash = hex::encode(&sha256(bundle.as_bytes()));
        for _ in 0..ROUNDS_MAX {
            let is_done = match self.find(place).await? {
                None => self.create(place, bundle, &hash).await?,
                Some(found) if !found.is_ours() => return Err(BundleError::NotOurs { place: place.clone() }),
                Some(found) => match found.anothers(place) {
                    Some(refused) => return Err(refused),
                    None if found.holds(place, bundle, &hash) => return Ok(Change::Unneeded),
                    None => self.update(place, found.with(place, bundle, &hash)).await?,
                },
            };
            if is_done {
                let kept = self.find(place).await?;
                let is_so = kept.is_some_and(|kept| kept.is_ours() && kept.holds(place, bundle, &hash));
                let not_kept = || BundleError::NotKept { place: place.clone() };
                return is_so.then_some(Change::Made).ok_or_else(not_kept);
            }
        }
        Err(BundleError::Contended { place: place.clone() })
    }

    /// Takes away what [`Self::put_bundle`] put there. That there is nothing is as good.
    ///
    /// # Errors
    /// See [`BundleError`]; [`BundleError::NotOurs`] also when somebody took our label off it, since the bundle may be in
    /// it still.
    pub async fn remove_bundle(&self, place: &BundlePlace) -> Result<Change, BundleError> {
        for round in 0..ROUNDS_MAX {
            let Some(found) = self.find(place).await? else {
                return Ok(if round == 0 { Change::Unneeded } else { Change::Made });
            };
            if !found.is_ours() {
                return Err(BundleError::NotOurs { place: place.clone() });
            }
            // Whatever was put there for this one is not in it any more.
            if found.anothers(place).is_some() {
                return Ok(Change::Unneeded);
            }
            let is = |name: &str| found.metadata(name).cloned().unwrap_or_default();
            let (uid, version) = (is("uid"), is("resourceVersion"));
            let body = json!({"apiVersion": "v1", "kind": "DeleteOptions",
                "preconditions": {"uid": uid, "resourceVersion": version}});
            let answer = self.ask_about(place, "delete", Method::DELETE, &place.path(), Some(body)).await?;
            match answer.status {
                StatusCode::CONFLICT => continue,
                StatusCode::NOT_FOUND => return Ok(Change::Made),
                _ => answer.done()?,
            }
            // Another that has its name by now is somebody else's business.
            return match self.find(place).await? {
                Some(found) if found.metadata("uid") == Some(&uid) => {
                    let finalizers = found.finalizers();
                    Err(BundleError::StillThere { place: place.clone(), finalizers })
                }
                Some(_) | None => Ok(Change::Made),
            };
        }
        Err(BundleError::Contended { place: place.clone() })
    }

    async fn find(&self, place: &BundlePlace) -> Result<Option<Found>, BundleError> {
        let answer = self.ask_about(place, "get", Method::GET, &place.path(), None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let found = Found(answer.object()?);
        let is = |name: &str, value: &str| found.metadata(name).is_some_and(|is| is == value);
        // Under no other than the one that was read may anything be written or deleted.
        let is_whole = ["uid", "resourceVersion"]
            .iter()
            .all(|name| found.metadata(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty()));
        if !is("name", &place.object.name) || !is("namespace", place.namespace.as_str()) {
            Err(self.asker.malformed(place.action("get"), "it speaks of another object").into())
        } else if !is_whole {
            Err(self.asker.malformed(place.action("get"), "it does not say which version that is").into())
        } else {
            Ok(Some(found))
        }
    }

    /// Whether it was created; not when somebody was faster.
    async fn create(&self, place: &BundlePlace, bundle: &str, hash: &str) -> Result<bool, BundleError> {
        let BundleObject { kind, name, owner, house, .. } = &place.object;
        let mut object = json!({
            "apiVersion": "v1", "kind": kind.as_str(),
            "metadata": {
                "name": name, "namespace": place.namespace.as_str(),
                "labels": {MANAGED_BY: OURS}, "annotations": {HASH: hash},
            },
            "data": place.object.data(bundle),
        });
        for (annotation, said) in
            [(OWNER, owner), (HOUSE, house)].into_iter().filter(|(_, said)| !said.is_empty())
        {
            object["metadata"]["annotations"][annotation] = said.as_str().into();
        }
        if *kind == ObjectKind::Secret {
            object["type"] = "Opaque".into();
        }
        let path = format!("{}?fieldManager={FIELD_MANAGER}", place.all());
        let answer = self.ask_about(place, "create", Method::POST, &path, Some(object)).await?;
        let namespace = || place.namespace.clone();
        match answer.status {
            StatusCode::CONFLICT => Ok(false),
            StatusCode::NOT_FOUND => Err(BundleError::NoNamespace { namespace: namespace() }),
            StatusCode::FORBIDDEN if answer.says.is_because("NamespaceTerminating") => {
                Err(BundleError::Ending { namespace: namespace() })
            }
            _ => Ok(answer.done().map(|()| true)?),
        }
    }

    /// Whether it was changed; not when it was no longer what was read.
    async fn update(&self, place: &BundlePlace, object: Value) -> Result<bool, BundleError> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", place.path());
        let answer = self.ask_about(place, "update", Method::PUT, &path, Some(object)).await?;
        match answer.status {
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(false),
            _ => Ok(answer.done().map(|()| true)?),
        }
    }

    async fn ask_about(
        &self,
        place: &BundlePlace,
        verb: &'static str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, Error> {
        let (body, within) = (body.map(|body| (JSON, body)), self.asker.deadline);
        self.asker.ask(Question { action: place.action(verb), method, path, body, within }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_those_that_kubernetes_takes() {
        let long = "a".repeat(253);
        for (name, key, expected) in [
            ("internal-cas", "ca-certificates.crt", Ok(())),
            ("a.b", "_A-9.", Ok(())),
            (&long, &long, Ok(())),
            (&format!("a{long}"), "k", Err("name")),
            ("", "k", Err("name")),
            ("A", "k", Err("name")),
            ("a/b", "k", Err("name")),
            ("..", "k", Err("name")),
            ("a", "", Err("key")),
            ("a", ".", Err("key")),
            ("a", "..x", Err("key")),
            ("a", "a/b", Err("key")),
            ("a", "a b", Err("key")),
            ("a", &format!("a{long}"), Err("key")),
        ] {
            let found = BundleObject::new(ObjectKind::Secret, name, key).map(drop).map_err(|bad| match bad {
                BadBundleObject::Name(_) => "name",
                BadBundleObject::Key(_) => "key",
            });
            assert_eq!(found, expected, "{name} {key}");
        }
    }

    fn place() -> BundlePlace {
        let object = BundleObject::new(ObjectKind::ConfigMap, "cas", "ca.crt").unwrap();
        object.in_namespace("web".parse().unwrap())
    }

    fn found(object: &Value) -> Found {
        Found(object.as_object().unwrap().clone())
    }

    #[test]
    fn in_step_is_what_has_the_bundle_and_nothing_else() {
        let (place, hash) = (place(), "h");
        let kept = json!({
            "metadata": {"labels": {MANAGED_BY: OURS, "a": "b"}, "annotations": {HASH: hash, "c": "d"}},
            "data": {"ca.crt": "PEM"},
        });
        assert!(found(&kept).is_ours() && found(&kept).holds(&place, "PEM", hash));
        for (path, wrong) in [
            ("/data", json!({"ca.crt": "PEM "})),
            ("/data", json!({"ca.crt": "PEM", "more.crt": ""})),
            ("/data", json!({"ca.pem": "PEM"})),
            ("/data", Value::Null),
            ("/metadata/annotations", json!({})),
            ("/metadata/annotations", json!({HASH: "other"})),
        ] {
            let mut changed = kept.clone();
            *changed.pointer_mut(path).unwrap() = wrong;
            assert!(!found(&changed).holds(&place, "PEM", hash), "{changed}");
            let mended = found(&changed).with(&place, "PEM", hash);
            assert!(found(&mended).holds(&place, "PEM", hash), "{mended}");
        }
        let mut more = kept.clone();
        more["binaryData"] = json!({"extra.crt": "AAAA"});
        assert!(!found(&more).holds(&place, "PEM", hash));
        assert_eq!(found(&more).with(&place, "PEM", hash), kept);
        for labels in [Value::Null, json!({}), json!({MANAGED_BY: "Helm"}), json!({"managed-by": OURS})] {
            let mut others = kept.clone();
            others["metadata"]["labels"] = labels;
            assert!(!found(&others).is_ours(), "{others}");
        }
    }
}
