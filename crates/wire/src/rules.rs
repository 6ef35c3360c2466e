//! The rules for texts in requests, as regular expressions (ECMA-262): for the description. The server's rooms hold
//! to them by themselves.

/// The name of a cluster, a network or a container manager.
pub const NAME: &str = "^[A-Za-z0-9_-]{1,200}$";
/// The address of a host.
pub const ADDRESS: &str = "^[A-Za-z0-9._:%][A-Za-z0-9._:%-]{0,254}$";
/// Who to be on a host.
pub const REMOTE_USER: &str = "^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,199}$";
/// The fingerprint of a public key, as OpenSSH prints it.
pub const FINGERPRINT: &str = "^SHA256:[A-Za-z0-9+/]{43}$";
/// A label's key.
pub const LABEL_KEY: &str = "^[A-Za-z0-9._/-]{1,128}$";
/// A label's value.
pub const LABEL_VALUE: &str = "^[A-Za-z0-9._-]{0,63}$";
/// A label that hosts are found by, `KEY=VALUE`.
pub const LABEL: &str = "^[A-Za-z0-9._/-]{1,128}=[A-Za-z0-9._-]{0,63}$";
/// What is deployed: no blanks, and nothing that commands take for an option.
pub const VERSION: &str = "^[!-,.-~][!-~]{0,199}$";
/// What hosts are counted as by their status, and looked for by: one that Provost gave it, or `other` for whatever
/// somebody else has said when it was added.
pub const STATUSES: [&str; 7] =
    ["new", "investigating", "bootstrapping", "disassociated", "active", "failed", "other"];
/// An operation of a cluster.
pub const OPERATION_ID: &str = "^[0-9]{1,16}$";
/// Some of a cluster's hosts: `3`, `25%`.
pub const SHARE: &str = "^0*([1-9][0-9]{0,8}|([1-9][0-9]?|100)%)$";
/// A moment in UTC, to the second: `2026-11-22T01:00:00Z`. Not everything that looks like it is one.
pub const UTC: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
/// A maintenance window: `mon,wed 22:00-04:00`.
pub const WINDOW: &str = concat!(
    "^(daily|(mon|tue|wed|thu|fri|sat|sun)(,(mon|tue|wed|thu|fri|sat|sun))*) ",
    "([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
);
/// What is shown instead of a secret.
pub const HIDDEN: &str = "********";
/// The most labels on a host.
pub const LABELS_MAX: u32 = 32;
/// What `If-Match` and `If-None-Match` say (RFC 9110 §8.8.3, §13.1): `*`, or a list that may have gaps.
pub const ENTITY_TAGS: &str = concat!(
    r"^([\t ]*\*[\t ]*|[\t ,]*(",
    r#"(W/)?"[!#-~]*"([\t ]*,[\t ,]*(W/)?"[!#-~]*")*"#,
    r"([\t ]*,[\t ,]*|[\t ]*))?)$"
);
/// The name of an artifact: the SHA-512 of its bytes.
pub const SHA512: &str = "^[0-9a-f]{128}$";
/// What an upload is called.
pub const UPLOAD: &str = "^[0-9a-f]{32}$";
/// Whether the last bytes of an upload come now (RFC 9651, a boolean).
pub const UPLOAD_COMPLETE: &str = r"^\?[01]$";
/// A number of bytes.
pub const BYTES: &str = "^[0-9]{1,15}$";
/// What the bytes of an upload are: among other digests, `sha-512=:BASE64:` (RFC 9530).
pub const REPR_DIGEST: &str = "^sha-512=:[A-Za-z0-9+/]{85}[AQgw]==:$";
/// The key of entries: no control characters, and at most 800 bytes, which an expression cannot say.
pub const ENTRY_KEY: &str = r"^[^\u0000-\u001f\u007f-\u009f]{1,800}$";

/// What names of providers and requirers of trust look like.
pub const TRUST_NAME: &str = "^[a-z0-9][a-z0-9._-]{0,62}$";
/// What the fingerprint of a certificate looks like: its SHA-256.
pub const CERTIFICATE_FINGERPRINT: &str = "^[0-9a-f]{64}$";
