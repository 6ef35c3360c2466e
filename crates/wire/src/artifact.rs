//! What is in the artifact cache, and how it is looked after.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// Its name: the SHA-512 of its bytes, 128 lower-case hexadecimal digits.
    pub sha512: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it came.
    pub at: String,
    /// Who put it there.
    pub by: String,
    /// When it came or was last read, within an hour.
    pub used_at: String,
    /// Since when no entry names it any more, or when somebody last asked for it after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unnamed_since: Option<String>,
}

/// An artifact, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactReport {
    /// The artifact.
    pub artifact: Artifact,
    /// Whether it is pinned itself.
    pub is_pinned: bool,
    /// The keys of entries that name it, the first thousand entries'.
    pub keys: Vec<String>,
}

/// A key of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryKey {
    /// The key.
    pub key: String,
    /// How many entries it has.
    pub entries: u64,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CacheEntry {
    /// Its key.
    pub key: String,
    /// Its place among those of its key: what came later is larger.
    pub place: u64,
    /// When it came.
    pub at: String,
    /// Who put it there.
    pub by: String,
    /// The artifact that it names.
    pub sha512: String,
    /// What was signed, character for character.
    pub text: String,
    /// The signature, or nothing.
    pub signature: String,
    /// The SHA-512 of the text of the entry by which its signer withdrew it, where the server knows its signers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<String>,
}

/// Artifacts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactNames {
    /// Their names, at most a thousand.
    #[schemars(length(max = 1000))]
    pub sha512: Vec<String>,
}

/// An upload that may come in several pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Upload {
    /// How many bytes have come.
    pub offset: u64,
    /// How many bytes it has in all, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its name, once all of it has come and is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
}

/// That something stays, whatever the rules say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pin {
    /// The key whose entries stay, and with them the artifacts that they name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The artifact that stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
    /// Since when.
    pub at: String,
    /// Who said so.
    pub by: String,
    /// Why.
    pub note: String,
}

/// That something is to stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPin {
    /// Why; at most 1,000 bytes are kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// That what the rules do not keep is to be removed now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCollection {
    /// Whether only to tell what that would be.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether blobs go as well that neither are artifacts nor have an entry in them, as far as this server's database knows:
    /// a crash leaves some. Not for one that was put back from a backup, or that shares its bucket with another.
    #[serde(default)]
    pub strays: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Collection {
    /// How many entries.
    pub entries: u64,
    /// How many artifacts.
    pub artifacts: u64,
    /// How many artifacts will go after the time of grace, unless somebody wants them.
    pub waiting: u64,
    /// How many blobs that are neither artifacts nor entries, which a crash leaves.
    pub strays: u64,
    /// How many bytes of artifacts and of those.
    pub bytes: u64,
    /// The first thousand of them.
    pub removed: Vec<Removed>,
    /// Whether it was stopped before its end.
    pub is_partial: bool,
}

/// Something that was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// The artifact, or the one that the entry names.
    pub sha512: String,
    /// The entry's key; it is an artifact where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When the entry came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How many bytes the artifact has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How far everything that is kept was read again, to see whether it is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scrub {
    /// When this round began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When the last whole round ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// How many bytes were read in this round.
    pub bytes: u64,
    /// How many were damaged in this round, those that the disk does not give among them.
    pub damaged: u64,
    /// Those of them that were put aside, the first thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put_aside: Vec<String>,
    /// Those of them that the disk does not give, the first thousand: they are put aside when the next round finds them so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
    /// Whether somebody asked for this round, which is not over.
    #[serde(default)]
    pub is_asked_for: bool,
    /// About how much of this round is done.
    #[serde(default)]
    pub percent: u8,
    /// Whether this round is over.
    pub is_whole: bool,
}
