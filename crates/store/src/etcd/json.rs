//! What is said to etcd's JSON gateway: protocol buffers as JSON, so bytes are base64, 64-bit numbers are text,
//! and what is zero, empty or false is left out (etcd's `rpc.proto`, `kv.proto`).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// Bytes, in base64 when written.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Blob(pub(super) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
                STANDARD.decode(text).map(Blob).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

/// A number of 64 bits, which is text in JSON; a few old servers write it as a number.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => text.parse().map_err(de::Error::custom),
    }
}

/// Some keys, and their values unless `keys_only`.
#[derive(Serialize, Default)]
pub(super) struct Range {
    pub(super) key: Blob,
    /// The first key that is not asked for; only `key` is when it is empty.
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) range_end: Blob,
    /// All of them when it is 0.
    pub(super) limit: usize,
    pub(super) keys_only: bool,
    /// As they were then; now, when it is 0.
    #[serde(skip_serializing_if = "is_now")]
    pub(super) revision: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_now(revision: &u64) -> bool {
    *revision == 0
}

fn is_empty(blob: &Blob) -> bool {
    blob.0.is_empty()
}

/// `success` when all of `compare` holds, otherwise `failure`.
#[derive(Serialize, Default)]
pub(super) struct Txn {
    pub(super) compare: Vec<Compare>,
    pub(super) success: Vec<Request>,
    pub(super) failure: Vec<Request>,
}

/// That the revision of the last write of a key is this; 0 when it does not exist.
#[derive(Serialize)]
pub(super) struct Compare {
    pub(super) target: &'static str,
    pub(super) result: &'static str,
    pub(super) key: Blob,
    pub(super) mod_revision: String,
}

#[derive(Serialize)]
pub(super) enum Request {
    #[serde(rename = "request_range")]
    Range(Range),
    #[serde(rename = "request_put")]
    Put { key: Blob, value: Blob },
    #[serde(rename = "request_delete_range")]
    Delete { key: Blob },
}

/// What is watched, and how.
#[derive(Serialize)]
pub(super) struct Watch {
    pub(super) create_request: WatchCreate,
}

#[derive(Serialize)]
pub(super) struct WatchCreate {
    pub(super) key: Blob,
    pub(super) range_end: Blob,
    /// The first revision that is told.
    pub(super) start_revision: String,
    /// To be told now and then how far it is, also when nothing happens to what is watched.
    pub(super) progress_notify: bool,
    /// Many changes at once may come in several messages.
    pub(super) fragment: bool,
}

#[derive(Serialize)]
pub(super) struct Authenticate<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Authenticated {
    pub(super) token: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Header {
    #[serde(deserialize_with = "number")]
    pub(super) revision: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Blob,
    pub(super) value: Blob,
    #[serde(deserialize_with = "number")]
    pub(super) mod_revision: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Ranged {
    pub(super) header: Header,
    pub(super) kvs: Vec<KeyValue>,
    /// Whether there are further keys behind the limit.
    pub(super) more: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TxnDone {
    pub(super) header: Header,
    pub(super) succeeded: bool,
    pub(super) responses: Vec<Response>,
}

/// One of these is there, which follows from what was asked; neither for a put.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Response {
    pub(super) response_range: Option<Ranged>,
    pub(super) response_delete_range: Option<Deleted>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Deleted {
    /// How many keys.
    #[serde(deserialize_with = "number")]
    pub(super) deleted: u64,
}

/// One message of a watch.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Watched {
    Result(Told),
    Error(StreamError),
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Told {
    pub(super) header: Header,
    pub(super) created: bool,
    pub(super) canceled: bool,
    /// When it was cancelled because changes were compacted: the first revision that is still known.
    #[serde(deserialize_with = "number")]
    pub(super) compact_revision: u64,
    pub(super) cancel_reason: String,
    /// The next message goes on with this one's.
    pub(super) fragment: bool,
    pub(super) events: Vec<Event>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Event {
    /// Left out for a put.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) kv: KeyValue,
}

impl Event {
    pub(super) fn is_delete(&self) -> bool {
        self.kind == "DELETE"
    }
}

/// Why a stream ended.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct StreamError {
    /// Called `code` since etcd 3.6.
    #[serde(alias = "code")]
    pub(super) grpc_code: u32,
    pub(super) message: String,
}

/// Why a call was refused.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Refused {
    pub(super) code: u32,
    pub(super) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_the_gateway_reads_them() {
        let txn = Txn {
            compare: vec![Compare {
                target: "MOD",
                result: "EQUAL",
                key: Blob(b"/a".to_vec()),
                mod_revision: "7".into(),
            }],
            success: vec![
                Request::Put { key: Blob(b"/a".to_vec()), value: Blob(vec![0, 255]) },
                Request::Delete { key: Blob(b"/b".to_vec()) },
            ],
            failure: vec![Request::Range(Range {
                key: Blob(b"/a".to_vec()),
                keys_only: true,
                ..Range::default()
            })],
        };
        assert_eq!(
            serde_json::to_string(&txn).unwrap(),
            concat!(
                r#"{"compare":[{"target":"MOD","result":"EQUAL","key":"L2E=","mod_revision":"7"}],"#,
                r#""success":[{"request_put":{"key":"L2E=","value":"AP8="}},{"request_delete_range":{"key":"L2I="}}],"#,
                r#""failure":[{"request_range":{"key":"L2E=","limit":0,"keys_only":true}}]}"#
            )
        );
    }

    #[test]
    fn answers_are_read_as_the_gateway_writes_them() {
        let line = concat!(
            r#"{"result":{"header":{"cluster_id":"1","revision":"14"},"watch_id":"0","fragment":true,"events":["#,
            r#"{"kv":{"key":"L2E=","create_revision":"2","mod_revision":"2","version":"1","value":"MQ=="}},"#,
            r#"{"type":"DELETE","kv":{"key":"L2E=","mod_revision":"3"}}]}}"#
        );
        let Watched::Result(told) = serde_json::from_str(line).unwrap() else { panic!("no result") };
        assert_eq!((told.header.revision, told.fragment, told.created), (14, true, false));
        let events: Vec<_> =
            told.events.iter().map(|event| (event.is_delete(), event.kv.mod_revision)).collect();
        assert_eq!(events, [(false, 2), (true, 3)]);
        assert_eq!(told.events[0].kv.value.0, b"1");

        let line =
            r#"{"error":{"grpc_code":14,"http_code":503,"message":"gone","http_status":"Unavailable"}}"#;
        let Watched::Error(error) = serde_json::from_str(line).unwrap() else { panic!("no error") };
        assert_eq!((error.grpc_code, error.message.as_str()), (14, "gone"));

        let done: TxnDone =
            serde_json::from_str(r#"{"header":{"revision":5},"responses":[{"response_delete_range":{}}]}"#)
                .unwrap();
        assert_eq!((done.header.revision, done.succeeded), (5, false));
        assert!(done.responses[0].response_delete_range.as_ref().is_some_and(|done| done.deleted == 0));
    }
}
