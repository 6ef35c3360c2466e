//! The first and the last part of a copy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of all this.
pub const FORMAT: u64 = 1;
/// The name of the first part.
pub const BEGIN: &str = "backup.json";
/// How long the first part, the last one, and each part with records may be.
pub const PART_BYTES_MAX: u64 = 16 << 20;
/// How many objects are named one by one that are missing or damaged.
pub const NAMED_MAX: usize = 1000;
/// What the keys of claims begin with: they are of those who run, and no part of a copy.
pub const CLAIMS: &str = "/claim/";

/// The first part.
#[derive(Debug, Serialize, Deserialize)]
pub struct Begin {
    /// [`FORMAT`].
    pub format: u64,
    /// The program that made it.
    pub made_by: String,
    /// When it was begun, as in RFC 3339.
    pub made_at: String,
    /// Where the records were: `embedded` or `etcd`.
    pub store: String,
    /// Where artifacts were: `directory`, `bucket` or `none`.
    pub artifacts: String,
    /// The files that follow.
    pub files: Vec<FileCopy>,
}

/// A file of the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCopy {
    /// What it is called in a data directory.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// Their SHA-512.
    pub sha512: String,
    /// Whether the settings have it elsewhere than in the data directory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_elsewhere: bool,
}

/// The last part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The store's revision that the records are of.
    pub revision: u64,
    /// How many records.
    pub records: u64,
    /// The same by what their keys begin with.
    pub records_of: BTreeMap<String, u64>,
    /// How many objects are in the copy.
    pub blobs: u64,
    /// How many bytes they have.
    pub blob_bytes: u64,
    /// How many objects the records name.
    pub blobs_named: u64,
    /// How many of those are in a bucket, and how many bytes they have as far as it is known.
    pub in_bucket: u64,
    /// See above.
    pub in_bucket_bytes: u64,
    /// How many objects the records name that there were not, when it was made.
    pub missing: u64,
    /// The first of them.
    pub missing_first: Vec<String>,
    /// How many objects had other bytes than their names say: what is copied of them is of no use.
    pub damaged: u64,
    /// The first of them.
    pub damaged_first: Vec<String>,
    /// The CA certificates.
    pub authorities: Vec<HeldAuthority>,
    /// The SHA-512 of all bytes before the header of this part.
    pub sha512: String,
}

/// A CA certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAuthority {
    /// Of which authority.
    pub authority: String,
    /// Its subject.
    pub subject: String,
    /// When it ends.
    pub not_after: String,
    /// SHA-256, as openssl shows it.
    pub fingerprint: String,
    /// The PKCS#11 token that has its key, which is not in the copy then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl End {
    /// What it says, in lines.
    pub fn summary(&self) -> Vec<String> {
        let of: Vec<String> =
            self.records_of.iter().map(|(trade, count)| format!("{trade} {count}")).collect();
        let mut lines =
            vec![format!("  {} records at revision {} ({})", self.records, self.revision, of.join(", "))];
        lines.push(format!("  {} artifacts and long entries, {} bytes", self.blobs, self.blob_bytes));
        if self.in_bucket > 0 {
            lines.push(format!(
                "  {} artifacts are in a bucket ({} bytes), and are not in it",
                self.in_bucket, self.in_bucket_bytes
            ));
        }
        for (count, what, first) in [
            (self.missing, "artifacts are named by records and were not there", &self.missing_first),
            (self.damaged, "artifacts were damaged, and are not put back", &self.damaged_first),
        ] {
            if count > 0 {
                lines.push(format!("  {count} {what}, as {}", first.first().map_or("", String::as_str)));
            }
        }
        for held in &self.authorities {
            lines.push(format!(
                "  {} authority: {}, until {}, {}",
                held.authority, held.subject, held.not_after, held.fingerprint
            ));
            if let Some(token) = &held.token {
                lines.push(format!("    its key is in the PKCS#11 token `{token}`, and not in the backup"));
            }
        }
        lines
    }
}

/// The name of the part with an object.
pub fn blob_part(digest: base::Sha512) -> String {
    let text = digest.to_string();
    format!("blobs/{}/{}", &text[..64], &text[64..])
}

/// The object in the part of that name.
pub fn blob_of(name: &str) -> Option<base::Sha512> {
    let (first, second) = name.strip_prefix("blobs/")?.split_once('/')?;
    if first.len() != 64 {
        return None;
    }
    base::Sha512::parse(&format!("{first}{second}"))
}

/// The name of a part with records.
pub fn records_part(number: u64) -> String {
    format!("records/{number:08}.jsonl")
}

/// What a key counts for: the first word in it.
pub fn trade_of(key: &str) -> &str {
    key.split('/').find(|word| !word.is_empty()).unwrap_or("")
}

/// Counts a record for its trade. There are few; whatever more a strange store has is counted together.
pub fn count(records_of: &mut BTreeMap<String, u64>, key: &str) {
    const TRADES_MAX: usize = 32;
    let trade = trade_of(key);
    let known = records_of.contains_key(trade) || records_of.len() < TRADES_MAX;
    *records_of.entry(if known { trade } else { "…" }.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use base::Sha512;

    use super::*;

    #[test]
    fn objects_have_names_that_tar_takes() {
        let digest = Sha512::of(b"x");
        let name = blob_part(digest);
        assert!(archive::tar::header(&name, 1).is_some());
        assert_eq!(blob_of(&name), Some(digest));
        for name in ["blobs/x", "blobs/x/y", "files/x", &name[..100], &name.replacen("blobs/", "blobs/0", 1)]
        {
            assert_eq!(blob_of(name), None, "{name}");
        }
    }

    #[test]
    fn records_count_for_their_trades() {
        let mut of = BTreeMap::new();
        for key in ["/ca/services/crl", "/ca/users/crl", "/commissaire/hosts/x", "", "//x"] {
            count(&mut of, key);
        }
        let of: Vec<_> = of.iter().map(|(trade, count)| (trade.as_str(), *count)).collect();
        assert_eq!(of, [("", 1), ("ca", 2), ("commissaire", 1), ("x", 1)]);
    }
}
