//! What is done about certificate authorities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The authorities.
pub const AUTHORITIES: [&str; 3] = ["services", "users", "server"];

/// A rollover that is to begin early.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewRotation {
    /// Only tell what it would be.
    pub dry_run: bool,
}

/// A rollover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotation {
    /// Of which authority.
    pub authority: String,
    /// What signs until then.
    pub current: CaCertificate,
    /// What follows it; absent where this was a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<CaCertificate>,
    /// After this the next one signs: until then everybody who renews on time has heard of it.
    pub signs_after: String,
    /// Until when the next one is good.
    pub not_after: String,
}

/// A CA certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaCertificate {
    /// The SHA-256 of its DER, 64 hexadecimal digits.
    pub fingerprint: String,
    /// From when it is valid.
    pub not_before: String,
    /// Until when.
    pub not_after: String,
    /// Itself.
    pub pem: String,
}
