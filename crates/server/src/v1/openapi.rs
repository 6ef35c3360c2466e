//! The description of `/v1`, in OpenAPI 3.1, made from the table of routes and from the shapes themselves.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::table::{Conditions, Parameter, ROWS, Row};

/// What every route may be refused with, besides what it says itself.
const ALWAYS: &[u16] = &[400, 401, 403, 406, 412, 429, 500, 503];
/// What every route that reads a body may be refused with.
const WITH_BODY: &[u16] = &[408, 413, 415, 507];

/// The description of `/v1` as JSON text, with a line's end.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));
    &TEXT
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for row in ROWS.iter() {
        let path = paths.entry(format!("/v1{}", row.path)).or_insert_with(|| json!({}));
        path[row.method.as_str().to_ascii_lowercase()] = operation(row, &mut generator);
    }
    generator.subschema_for::<wire::Problem>();
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Provost",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [
            { "certificate": [] }, { "password": [] }, { "bearer": [] }, { "keystone": [] },
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "certificate": { "type": "mutualTLS", "description": "A user's certificate" },
                "password": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer", "description": "A token of OpenShift's or Kubernetes'" },
                "keystone": { "type": "apiKey", "in": "header", "name": "X-Auth-Token" },
            },
        },
    })
}

const DESCRIPTION: &str = "Hosts, clusters, networks, container managers, and the operations on clusters.\n\n\
    Lists come in pages: whoever wants the next one gives `next` of the last one as `after`. `ETag`, `If-Match` and \
    `If-None-Match` work as in RFC 9110, but for one thing: the hosts of a cluster, as they are counted, are part of its \
    entity tag, and when its settings are written `If-Match` and `If-None-Match` leave them aside: who has seen the \
    settings may change them, whichever hosts have joined, left or come up since. What changes something and takes \
    neither of the two is refused with 412 where there is one, and with 400 where one host joins or leaves a cluster. The \
    list of a cluster's hosts is replaced under the tag that it has as one page. Whatever goes wrong is a problem \
    (RFC 9457). Which ways of signing in there are is the operator's choice.\n\n\
    An operation's events are an event stream (HTML, section 9.2): events named `operation`, whose data is an \
    `Operation` as JSON in one line. The first comes at once; the last says how it ended, and so does the stream.\n\n\
    Hosts of a cluster come and go at once, all that are in one request, or none of them; whoever changes something \
    meanwhile comes before all of it or after. But when more than 18 do, they come and go in groups of 18, and whoever \
    only looks sees some of them do so before the others. When a cluster with more than 18 hosts is deleted, that is \
    decided at once as well, or not at all; then they leave in groups of 18, which whoever only looks sees, and the cluster \
    goes after them: whoever wants something of it meanwhile waits for that, and finds that it has gone. When the server \
    or its store fails in the middle of either, the answer, if there is one, is 503 and says that it has begun, or may \
    have: whoever changes something of the cluster next goes on with it, or else it is gone on with by itself within half \
    a minute once the store answers, until it is done, or where hosts were to come and go perhaps undone, as a whole. Look \
    then, before you ask again.\n\n\
    Whoever has one host join or leave a cluster, or deletes a cluster, waits for its container manager. A host that it \
    does not take does not join (502). A cluster whose nodes it does not remove stays (503), unless `force` is `true`. \
    Who leaves has left: a `Warning` says that the node is still there, which is tried again, and the same is said of a \
    cluster that is deleted while somebody is at work on its hosts. A host that somebody is at work on does not join, and \
    a cluster that somebody else deletes is not deleted twice (503 with `Retry-After`).";

fn operation(row: &Row, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": row.id,
        "summary": row.summary,
        "parameters": parameters(row),
        "responses": responses(row, generator),
    });
    match row.role {
        Some(role) => operation["description"] = format!("For whoever has the role `{role}`.").into(),
        None => operation["security"] = json!([]),
    }
    if let Some(shape) = row.body {
        let schema = shape(generator).to_value();
        let mut content = json!({ wire::JSON: { "schema": schema } });
        if row.method == http::Method::PATCH {
            content[wire::MERGE_PATCH_JSON] = json!({ "schema": schema });
        }
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    if let Some(media_type) = row.bytes {
        operation["requestBody"] = json!({ "content": { media_type: {} } });
    }
    operation
}

fn parameters(row: &Row) -> Vec<Value> {
    let mut parameters: Vec<Value> = row
        .segments()
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": path_schema(name) }))
        .collect();
    parameters.extend(row.query.iter().map(|parameter| query_parameter(*parameter)));
    let header = |name: &str, description: &str| {
        let schema = json!({ "type": "string", "pattern": wire::rules::ENTITY_TAGS });
        json!({ "name": name, "in": "header", "description": description, "schema": schema })
    };
    parameters.extend(row.headers.iter().map(|header| {
        let schema = json!({ "type": "string", "pattern": header.pattern });
        json!({
            "name": header.name, "in": "header", "required": header.is_required,
            "description": header.description, "schema": schema,
        })
    }));
    if row.is_events() {
        let schema = json!({ "type": "string" });
        let description = "The last event that was seen: 204 if nothing will come after it";
        parameters.push(
            json!({ "name": "Last-Event-ID", "in": "header", "description": description, "schema": schema }),
        );
    }
    match row.conditions {
        Conditions::None => {}
        Conditions::Read => {
            parameters.push(header("If-Match", "Entity tags that are wanted: 412 unless it is one of them"));
            parameters.push(header("If-None-Match", "Entity tags that are known: 304 if it is one of them"));
        }
        Conditions::Write => {
            parameters.push(header("If-Match", "Nothing is changed unless it has one of these entity tags"));
            parameters.push(header("If-None-Match", "`*`: nothing is changed if it is there"));
        }
    }
    parameters
}

fn path_schema(name: &str) -> Value {
    match name {
        "address" => json!({ "type": "string", "pattern": wire::rules::ADDRESS }),
        "id" => json!({ "type": "string", "pattern": wire::rules::OPERATION_ID }),
        "sha512" => json!({ "type": "string", "pattern": wire::rules::SHA512 }),
        "upload" => json!({ "type": "string", "pattern": wire::rules::UPLOAD }),
        "key" => json!({ "type": "string", "pattern": wire::rules::ENTRY_KEY }),
        "provider" | "requirer" => json!({ "type": "string", "pattern": wire::rules::TRUST_NAME }),
        "number" => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        "authority" => json!({ "type": "string", "enum": wire::AUTHORITIES }),
        "fingerprint" => json!({ "type": "string", "pattern": wire::rules::CERTIFICATE_FINGERPRINT }),
        _ => json!({ "type": "string", "pattern": wire::rules::NAME }),
    }
}

fn query_parameter(parameter: Parameter) -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 200 });
    let (description, schema) = match parameter {
        Parameter::Limit => (
            "How many items the page may have",
            json!({ "type": "integer", "minimum": 1, "maximum": wire::LIMIT_MAX, "default": wire::LIMIT_DEFAULT }),
        ),
        Parameter::After => ("`next` of the page before", json!({ "type": "string" })),
        Parameter::Label => (
            "`KEY=VALUE`; hosts with all of these labels",
            json!({ "type": "array", "items": { "type": "string", "pattern": wire::rules::LABEL }, "maxItems": 32 }),
        ),
        Parameter::Status => {
            ("Hosts with this status", json!({ "type": "string", "enum": wire::rules::STATUSES }))
        }
        Parameter::Cluster => {
            ("Hosts of this cluster", json!({ "type": "string", "pattern": wire::rules::NAME }))
        }
        Parameter::Os => ("Hosts with this operating system", text),
        Parameter::Key => {
            ("Keys that this fits: `*` stands for any characters, `?` for one", json!({ "type": "string" }))
        }
        Parameter::Where => (
            "Entries of which all of this is true: a name, one of == < <= > >=, and JSON",
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": 32 }),
        ),
        Parameter::Provider => {
            ("Relations of this provider", json!({ "type": "string", "pattern": wire::rules::TRUST_NAME }))
        }
        Parameter::Requirer => {
            ("Relations of this requirer", json!({ "type": "string", "pattern": wire::rules::TRUST_NAME }))
        }
        Parameter::Confirm => (
            "Whether requirers may be left with nothing, or with less than half of what they have",
            json!({ "type": "boolean", "default": false }),
        ),
        Parameter::LeaveBehind => (
            "Whether what was put in its places stays there, and it is gone at once",
            json!({ "type": "boolean", "default": false }),
        ),
        Parameter::Force => (
            "Whether it is deleted at once, and its nodes are removed as soon as its container manager answers",
            json!({ "type": "boolean", "default": false }),
        ),
        Parameter::Why => ("Why, for the history, which keeps 500 bytes of it", json!({ "type": "string" })),
        Parameter::Wait => (
            "With `If-None-Match`: how many seconds to wait for another one",
            json!({ "type": "integer", "minimum": 1, "maximum": wire::WAIT_SECONDS_MAX }),
        ),
        Parameter::Since => ("Events from then on", json!({ "type": "string", "pattern": wire::rules::UTC })),
        Parameter::Until => ("Events before then", json!({ "type": "string", "pattern": wire::rules::UTC })),
        Parameter::What => ("Events with these words in what happened, whatever their case", text),
        Parameter::About => ("Events with these words in what it happened to, whatever their case", text),
        Parameter::By => ("Events with these words in who did it, whatever their case", text),
        Parameter::Trade => ("Events of this trade", json!({ "type": "string", "enum": wire::TRADES })),
        Parameter::State => {
            ("Hosts that are so far", json!({ "type": "string", "enum": wire::OperationHostState::ALL }))
        }
    };
    json!({ "name": parameter.name(), "in": "query", "description": description, "schema": schema })
}

fn responses(row: &Row, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for (status, shape) in &row.answers {
        let mut response = json!({ "description": reason(*status) });
        if let Some(shape) = shape {
            let schema = if row.is_events() { event() } else { shape(generator).to_value() };
            response["content"] = json!({ row.media_type: { "schema": schema } });
        }
        let mut headers = Map::new();
        if row.is_tagged && shape.is_some() {
            headers.insert("ETag".into(), json!({ "schema": { "type": "string" } }));
        }
        for said in row.says {
            let schema = json!({ "type": "string", "pattern": said.pattern });
            headers.insert(said.name.into(), json!({ "description": said.description, "schema": schema }));
        }
        if *status == 201 {
            headers.insert("Location".into(), json!({ "schema": { "type": "string" } }));
        }
        if !headers.is_empty() {
            response["headers"] = headers.into();
        }
        responses.insert(status.to_string(), response);
    }
    if row.conditions == Conditions::Read {
        responses.insert("304".into(), json!({ "description": reason(304) }));
    }
    let always = if row.role.is_some() { ALWAYS } else { &[400, 412] };
    let with_body = if row.body.is_some() || row.bytes.is_some() { WITH_BODY } else { &[] };
    // What has the form of an address may not be one.
    let with_address: &[u16] = if row.path.contains("{address}") { &[422] } else { &[] };
    let refusals: BTreeSet<u16> =
        [always, with_body, with_address, row.refusals].into_iter().flatten().copied().collect();
    for status in refusals {
        let schema = generator.subschema_for::<wire::Problem>().to_value();
        let mut response = json!({
            "description": reason(status),
            "content": { wire::PROBLEM_JSON: { "schema": schema } },
        });
        if status == 401 {
            response["headers"] = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } });
        }
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

/// What each event of a stream has (HTML, section 9.2).
fn event() -> Value {
    json!({
        "description": "One event of the stream",
        "type": "object",
        "properties": {
            "event": { "const": "operation" },
            "id": { "type": "string" },
            "retry": { "type": "integer" },
            "data": { "type": "string", "description": "An `Operation` as JSON", "contentMediaType": "application/json" },
        },
        "required": ["event", "id", "data"],
    })
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::route::{Found, find};
    use super::*;

    /// Every route of the document leads somewhere, and everything that leads somewhere is in the document.
    #[test]
    fn the_description_and_the_routes_are_the_same() {
        let document: Value = serde_json::from_str(text()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        for (path, methods) in paths {
            for method in ["get", "put", "post", "patch", "delete", "trace", "options", "connect"] {
                let filled = path.replace(['{', '}'], "");
                let verb = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
                let found = match find(&verb, &filled) {
                    Found::Row(row, _) => Some(row.id),
                    Found::NoPath | Found::NoMethod(_) => None,
                };
                assert_eq!(methods[method]["operationId"].as_str(), found, "{method} {path}");
            }
        }
        for row in ROWS.iter() {
            let path = &paths[&format!("/v1{}", row.path)];
            assert_eq!(path[row.method.as_str().to_ascii_lowercase()]["operationId"], row.id);
        }
    }

    /// Where no tag is sent, none is described.
    #[test]
    fn tags_are_described_where_they_are_sent() {
        let document: Value = serde_json::from_str(text()).unwrap();
        for (method, path, is_tagged) in [
            ("get", "/v1/clusters/{name}", true),
            ("put", "/v1/clusters/{name}", true),
            ("get", "/v1/clusters/{name}/hosts", true),
            ("put", "/v1/clusters/{name}/hosts", false),
            ("put", "/v1/clusters/{name}/hosts/{address}", false),
            ("get", "/v1/hosts/{address}/credentials", false),
        ] {
            let answer = &document["paths"][path][method]["responses"]["200"];
            assert!(answer.is_object(), "{method} {path}");
            assert_eq!(answer["headers"].get("ETag").is_some(), is_tagged, "{method} {path}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(text()).unwrap();
        let mut references = 0;
        let mut rest = vec![&document];
        while let Some(value) = rest.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(reference) = members.get("$ref") {
                        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                        references += 1;
                    }
                    rest.extend(members.values());
                }
                Value::Array(items) => rest.extend(items),
                _ => {}
            }
        }
        assert!(references > 100, "{references}");
    }
}
