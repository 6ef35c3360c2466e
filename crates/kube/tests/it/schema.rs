//! Whether what the stand-in and we say is what the published schema of Kubernetes allows: the types that `k8s-openapi`
//! makes from it read it and write it again just so. A field that the schema does not have is lost then, one that it
//! demands appears, and one of another type is not read at all.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, NodeSpec, Pod, Secret};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::Schema;

#[track_caller]
pub(crate) fn hold(exchanged: &[(Schema, Value)]) {
    for (schema, value) in exchanged {
        match schema {
            Schema::Node => same::<Node>(value),
            Schema::Eviction => same::<Eviction>(value),
            Schema::Status => same::<Status>(value),
            Schema::Namespace => same::<Namespace>(value),
            Schema::ConfigMap => same::<ConfigMap>(value),
            Schema::Secret => same::<Secret>(value),
            Schema::DeleteOptions => same::<DeleteOptions>(value),
            Schema::NodePatch => {
                assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["spec"]);
                same::<NodeSpec>(&value["spec"]);
            }
            Schema::PodList => list::<Pod>(value, "Pod"),
            Schema::NamespaceList => list::<Namespace>(value, "Namespace"),
        }
    }
}

#[track_caller]
fn list<T: DeserializeOwned + Serialize>(value: &Value, kind: &str) {
    let fields: Vec<_> = value.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["apiVersion", "items", "kind", "metadata"]);
    same::<ListMeta>(&value["metadata"]);
    for item in value["items"].as_array().unwrap() {
        // In a list they do not say what they are, but the type always does.
        let mut item = item.clone();
        item["apiVersion"] = "v1".into();
        item["kind"] = kind.into();
        same::<T>(&item);
    }
}

#[track_caller]
fn same<T: DeserializeOwned + Serialize>(value: &Value) {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(serde_json::to_value(read).unwrap(), *value);
}

#[test]
fn the_schema_tells_right_from_wrong() {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}});
    hold(&[(Schema::Node, node.clone())]);
    for (path, wrong) in [
        ("", json!({"apiVersion": "v2"})),
        ("", json!({"extra": 1})),
        ("/metadata", json!({"name": 7})),
        ("/metadata", json!({"labels": []})),
    ] {
        let mut node = node.clone();
        let place = node.pointer_mut(path).unwrap().as_object_mut().unwrap();
        place.extend(wrong.as_object().unwrap().clone());
        let held = std::panic::catch_unwind(|| hold(&[(Schema::Node, node)]));
        assert!(held.is_err(), "{wrong}");
    }
}
