//! Who a certificate is for.
//!
//! **The rule for names:** a name is certified as it was asked for when its syntax is that of its kind, and
//! otherwise the request is refused, with the rule that the name breaks.
//!
//! ```text
//! dNSName    a host name (RFC 1123 §2.1), perhaps with `*` as its first label (RFC 9525 §6.3)
//! rfc822Name Local-part@Domain (RFC 5321 §4.1.2), the domain a host name
//! URI        absolute (RFC 3986), its host, if it has one, a host name or an address
//! iPAddress  4 octets or 16
//! others     well-formed (RFC 5280 §4.2.1.6)
//! ```
//! A host name may have one label only, and, since people have such hosts, underscores within its labels.
//! Nobody is asked whether a name is public, or a scheme registered: a fleet may have hosts called `localhost` or
//! `db1`, and SPIFFE identities. Linters for certificates of the web do ask, and under [`Names::Strict`] nothing is
//! certified that they complain about. An operator whose fleet needs such names chooses [`Names::Any`]. (What
//! pkilint says of them is listed, with reasons, in `crates/provost/tests/it/pkilint.rs`.)
//!
//! The rules for a name by itself are in `x509`; here are those for all names of a certificate together.

use x509::{BadName, Extension, GeneralName, Name, extension, general_name, oid, strict};

use crate::error::DraftError;

/// Which names are certified, of those whose syntax is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// All of them.
    Any,
    /// Those that everybody who reads certificates takes (`x509::strict`).
    Strict,
}

/// Looks at all names and numbers that a certificate for `subject` with `extensions` would carry.
///
/// # Errors
/// The first one that [`Names::Strict`] does not allow; also when an extension cannot be read.
pub(crate) fn are_strict(subject: &Name, extensions: &[Extension]) -> Result<(), DraftError> {
    let not_strict = |checked: Result<(), BadName>| checked.map_err(DraftError::NotStrict);
    not_strict(strict::name(subject))?;
    for Extension { oid, value, .. } in extensions {
        match *oid {
            oid::SUBJECT_ALT_NAME => {
                let names = general_name::parse_all(value).map_err(DraftError::Name)?;
                not_strict(names.iter().try_for_each(strict::general_name))?;
            }
            oid::EXTENDED_KEY_USAGE => {
                let purposes = extension::parse_extended_key_usage(value)
                    .map_err(DraftError::extension("extendedKeyUsage"))?;
                not_strict(purposes.iter().try_for_each(|purpose| strict::number("purpose", purpose)))?;
            }
            oid::CERTIFICATE_POLICIES => {
                let policies = extension::parse_certificate_policies(value)
                    .map_err(DraftError::extension("certificatePolicies"))?;
                not_strict(policies.iter().try_for_each(strict::policy))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The subjectAltName extension of a certificate for `subject`, as `asked`; none if it would be empty.
///
/// It is critical when it is all that names the holder, and only then (RFC 5280 §4.2.1.6). A mailbox in the
/// subject, where `openssl req` asks for one, is an alternative name too (RFC 5280 §4.1.2.6): it is added behind
/// the others when it is not there.
///
/// # Errors
/// [`DraftError::Nameless`], or the first rule that a name breaks.
pub(crate) fn alternative_names(
    subject: &Name,
    asked: Option<&Extension>,
) -> Result<Option<Extension>, DraftError> {
    subject.check().map_err(DraftError::Name)?;
    let value = asked.map(|asked| asked.value.as_slice());
    let names = value.map(general_name::parse_all).transpose().map_err(DraftError::Name)?.unwrap_or_default();
    let mut missing = subject.texts(&oid::EMAIL_ADDRESS);
    missing.sort_unstable();
    missing.dedup();
    missing.retain(|email| !names.iter().any(|name| matches!(name, GeneralName::Email(is) if is == email)));
    match value {
        _ if !missing.is_empty() => {
            let value = general_name::with_emails(value, &missing).map_err(DraftError::Name)?;
            Ok(Some(Extension { oid: oid::SUBJECT_ALT_NAME, critical: false, value }))
        }
        Some(value) if !names.is_empty() => {
            let (oid, critical) = (oid::SUBJECT_ALT_NAME, subject.is_empty());
            Ok(Some(Extension { oid, critical, value: value.to_vec() }))
        }
        _ if subject.is_empty() => Err(DraftError::Nameless),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &[u8] = &[0x30, 3, 0x82, 1, b'a'];
    const EMAIL: &[u8] = b"\x30\x07\x81\x05a@b.c";
    const EMPTY: &[u8] = &[0x30, 0];

    fn asked(critical: bool, value: &[u8]) -> Extension {
        Extension { oid: oid::SUBJECT_ALT_NAME, critical, value: value.to_vec() }
    }

    /// A subject with one emailAddress, `a@b.c`.
    fn by_email() -> Name {
        let value = b"\x30\x16\x31\x14\x30\x12\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01\x16\x05a@b.c";
        Name::from_der(value).unwrap()
    }

    #[test]
    fn alternative_names_are_critical_when_there_is_no_subject() {
        let (nobody, host) = (Name::empty(), Name::from_common_name("host").unwrap());
        for was_critical in [false, true] {
            let asked = asked(was_critical, HOST);
            for (subject, is_critical) in [(&nobody, true), (&host, false)] {
                let names = alternative_names(subject, Some(&asked)).unwrap().unwrap();
                assert_eq!((names.critical, names.value.as_slice()), (is_critical, HOST));
            }
        }
    }

    #[test]
    fn a_certificate_is_for_somebody() {
        let (nobody, host) = (Name::empty(), Name::from_common_name("host").unwrap());
        let empty = asked(true, EMPTY);
        for names in [None, Some(&empty)] {
            assert!(matches!(alternative_names(&nobody, names), Err(DraftError::Nameless)));
            assert!(matches!(alternative_names(&host, names), Ok(None)));
        }
    }

    #[test]
    fn a_mailbox_in_the_subject_is_an_alternative_name_too() {
        let (with_email, with_host, with_none) = (asked(true, EMAIL), asked(true, HOST), asked(true, EMPTY));
        let both = b"\x30\x0a\x82\x01a\x81\x05a@b.c";
        for (names, expected) in [
            (None, EMAIL),
            (Some(&with_none), EMAIL),
            (Some(&with_email), EMAIL),
            (Some(&with_host), both.as_slice()),
        ] {
            let names = alternative_names(&by_email(), names).unwrap().unwrap();
            assert_eq!((names.critical, names.value.as_slice()), (false, expected));
        }
    }

    #[test]
    fn strictness_looks_at_the_subject_and_at_all_that_is_kept() {
        let host = Name::from_common_name("host").unwrap();
        let uuid = x509::ObjectIdentifier::new("2.25.285541874270823339875695650038637483517").unwrap();
        let statement = b"\x30\x12\x30\x10\x06\x08\x2b\x06\x01\x05\x05\x07\x02\x01\x16\x04u:va";
        let policy = |oid, qualifiers| x509::Policy { oid, qualifiers };
        let by_statement = policy(oid::CLIENT_AUTH, Some(statement.to_vec()));
        let short = x509::ObjectIdentifier::new("1.2").unwrap();
        let table = [
            (&host, None, None),
            (&host, Some(extension::extended_key_usage(&[oid::SERVER_AUTH], false)), None),
            (&host, Some(asked(false, b"\x30\x06\x82\x04a.bc")), None),
            (&host, Some(asked(false, HOST)), Some("dNSName \"a\" has a host name of one label")),
            (
                &by_email(),
                None,
                Some("emailAddress \"a@b.c\" has a host name whose last label has one character"),
            ),
            (
                &host,
                Some(extension::extended_key_usage(&[oid::SERVER_AUTH, uuid], false)),
                Some(
                    "purpose \"2.25.285541874270823339875695650038637483517\" is an object identifier that not \
                     everybody can read (RFC 5280 appendix B)",
                ),
            ),
            (
                &host,
                Some(extension::certificate_policies(&[policy(short, None)], false)),
                Some(
                    "policy \"1.2\" is an object identifier that not everybody can read (RFC 5280 appendix B)",
                ),
            ),
            (
                &host,
                Some(extension::certificate_policies(&[by_statement], false)),
                Some(
                    "cPSuri \"u:va\" has a scheme other than ftp, ftps, git, http, https, ldap, rtsp, sftp, ssh or \
                     telnet",
                ),
            ),
        ];
        for (subject, extension, fault) in table {
            let extensions: Vec<_> = extension.into_iter().collect();
            let told = are_strict(subject, &extensions).err().map(|error| error.to_string());
            let expected = fault.map(|fault| {
                format!("the requested {fault}; only the setting `ca.names = \"any\"` allows that")
            });
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_bad_name_is_refused_with_its_rule() {
        let host = Name::from_common_name("host").unwrap();
        let error = alternative_names(&host, Some(&asked(false, &[0x30, 2, 0x82, 0]))).unwrap_err();
        assert_eq!(error.to_string(), "the requested dNSName is empty (RFC 5280 §4.2.1.6)");
        let country = Name::from_der(b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x06\x13\x01F").unwrap();
        assert!(matches!(alternative_names(&country, None), Err(DraftError::Name(_))));
    }
}
