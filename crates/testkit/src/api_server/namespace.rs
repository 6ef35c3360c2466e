//! Namespaces: made, listed, ending, gone.

use serde_json::{Value, json};

use super::State;
use super::answer::{Parameters, page};
use super::node::THEN;
use super::status::{bad_request, not_found, refusal};
use crate::stand_in::StandInReply;

pub(super) fn made(name: &str, labels: &[(&str, &str)], version: &str) -> Value {
    let mut all = json!({"kubernetes.io/metadata.name": name});
    for (label, value) in labels {
        all[*label] = (*value).into();
    }
    json!({
        "kind": "Namespace", "apiVersion": "v1",
        "metadata": {
            "name": name, "uid": format!("2c7e9d10-0000-4000-8000-00000000{version}"),
            "resourceVersion": version, "creationTimestamp": THEN, "labels": all,
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

pub(super) fn end(namespace: &mut Value, version: &str) {
    namespace["metadata"]["deletionTimestamp"] = THEN.into();
    namespace["metadata"]["resourceVersion"] = version.into();
    namespace["status"]["phase"] = "Terminating".into();
}

pub(super) fn get(state: &State, name: &str) -> Result<StandInReply, StandInReply> {
    let namespace = state.namespaces.get(name).ok_or_else(|| not_found("namespaces", name))?;
    Ok(StandInReply::json(200, namespace))
}

pub(super) fn list(state: &mut State, query: &str) -> Result<StandInReply, StandInReply> {
    let asked = Parameters::read(query, &["labelSelector", "limit", "continue"])?;
    let selector = Selector::read(asked.text("labelSelector"))?;
    let selected: Vec<(String, Value)> = state
        .namespaces
        .iter()
        .filter(|(_, namespace)| selector.selects(&namespace["metadata"]["labels"]))
        .map(|(name, namespace)| {
            let mut item = namespace.clone();
            // In a list they do not say what they are.
            let fields = item.as_object_mut().unwrap();
            fields.remove("kind");
            fields.remove("apiVersion");
            (name.clone(), item)
        })
        .collect();
    page(state, &asked, "NamespaceList", selected)
}

/// What may be made in a namespace: nothing where there is none, or where it is ending.
pub(super) fn admit(state: &State, namespace: &str, resource: &str, name: &str) -> Result<(), StandInReply> {
    if !state.namespaces.contains_key(namespace) {
        return Err(not_found("namespaces", namespace));
    }
    if state.ending_namespaces.contains(namespace) {
        return Err(terminating(namespace, resource, name));
    }
    Ok(())
}

pub(super) fn terminating(namespace: &str, resource: &str, name: &str) -> StandInReply {
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {namespace} is being terminated")});
    let details = json!({"name": name, "kind": resource, "causes": [cause]});
    refusal(403, "Forbidden", &format!("{resource} \"{name}\" is forbidden: {why}"), details)
}

/// A label selector: equalities, sets and existence ("Labels and Selectors").
struct Selector(Vec<(String, Rule)>);

enum Rule {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selector {
    fn read(text: &str) -> Result<Self, StandInReply> {
        let mut rules = Vec::new();
        for part in parts(text) {
            let rule = rule(part.trim()).ok_or_else(|| {
                bad_request(&format!("unable to parse requirement: found '{part}', expected: identifier"))
            })?;
            rules.push(rule);
        }
        Ok(Self(rules))
    }

    fn selects(&self, labels: &Value) -> bool {
        self.0.iter().all(|(label, rule)| {
            let value = labels[label.as_str()].as_str();
            let is_among =
                |values: &[String]| value.is_some_and(|value| values.iter().any(|one| one == value));
            match rule {
                Rule::In(values) => is_among(values),
                // What has no such label is not among them.
                Rule::NotIn(values) => !is_among(values),
                Rule::Exists => value.is_some(),
                Rule::Absent => value.is_none(),
            }
        })
    }
}

/// At the commas that are not in brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    if !text.is_empty() {
        parts.push(&text[from..]);
    }
    parts
}

fn rule(part: &str) -> Option<(String, Rule)> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_word = |text: &str| !text.is_empty() && text.chars().all(is_inside);
    let is_value = |text: &str| text.chars().all(is_inside);
    let set = |text: &str| -> Option<Vec<String>> {
        let inside = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        let values: Vec<String> = inside.split(',').map(|value| value.trim().to_owned()).collect();
        values.iter().all(|value| is_value(value)).then_some(values)
    };
    let (label, rule) = if let Some((label, values)) = part.split_once(" notin ") {
        (label, Rule::NotIn(set(values)?))
    } else if let Some((label, values)) = part.split_once(" in ") {
        (label, Rule::In(set(values)?))
    } else if let Some((label, value)) = part.split_once("!=") {
        (label, Rule::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((label, value)) = part.split_once('=') {
        (label, Rule::In(vec![value.trim_start_matches('=').trim().to_owned()]))
    } else if let Some(label) = part.strip_prefix('!') {
        (label, Rule::Absent)
    } else {
        (part, Rule::Exists)
    };
    let label = label.trim();
    let is_fine = match &rule {
        Rule::In(values) | Rule::NotIn(values) => values.iter().all(|value| is_value(value)),
        Rule::Exists | Rule::Absent => true,
    };
    (is_word(label) && is_fine).then(|| (label.to_owned(), rule))
}
