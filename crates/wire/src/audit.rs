//! What happened, and the links by which it is seen that nobody rewrote it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::whole::SAFE_MAX;

/// The trades and the house itself, as events are told apart by.
pub const TRADES: [&str; 4] = ["ca", "fleet", "trust", "house"];

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEvent {
    /// Its name: when, in milliseconds, and something random.
    pub id: String,
    /// When.
    pub at: String,
    /// Whose matter it is: one of [`TRADES`].
    pub trade: String,
    /// What, in the past tense: `certificate issued`.
    pub what: String,
    /// To what: `services request 42`.
    pub about: String,
    /// Who did it.
    pub by: String,
    /// From which address, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What else there is to know.
    pub facts: BTreeMap<String, String>,
}

/// How far the history is linked. Who keeps `head` elsewhere can tell later that nothing up to it was rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditHead {
    /// The last link, as `NUMBER:HASH`; number 0 where there is none yet.
    pub head: String,
    /// The key that signs links, PEM; absent where there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What that key is called: the SHA-256 of its SubjectPublicKeyInfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Up to where links and their events were dropped as too old; absent where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<AuditAnchor>,
    /// How many links there are.
    #[schemars(range(max = SAFE_MAX))]
    pub links: u64,
    /// How many events they have.
    #[schemars(range(max = SAFE_MAX))]
    pub events: u64,
}

/// That links were dropped, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditAnchor {
    /// What was signed.
    pub text: String,
    /// The signature over it, base64.
    pub signature: String,
}

/// Some events and what they were when they were linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLink {
    /// Its number, from 1 on, without gaps.
    #[schemars(range(max = SAFE_MAX))]
    pub number: u64,
    /// What was signed: the hash of the link before, and of each event.
    pub text: String,
    /// The signature over it, base64.
    pub signature: String,
    /// Its events, in the order in which it names them.
    pub events: Vec<AuditLinkEvent>,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditLinkEvent {
    /// Its name.
    pub id: String,
    /// Itself, as it is stored: what its link has the hash of. Absent where it is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
