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
/// What the status of a host is that Provost gave it; there may be others, of somebody else's. One can look for these.
pub const STATUSES: [&str; 6] =
    ["new", "investigating", "bootstrapping", "disassociated", "active", "failed"];
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
