//! Extensions of certificates, requests and revocation lists (RFC 5280 §4.2 and §5.2): how they are
//! read, and how those that a certificate authority sets are made.
//!
//! An extension's value is kept verbatim; the functions here look into those they are named after.

use std::net::IpAddr;

use crate::der_reader::{Reader, tag};
use crate::der_writer::{Writer, element, sequence};
use crate::error::{NameError, ParseError};
use crate::key_usage::KeyUsage;
use crate::number::KeyId;
use crate::oid::{self, ObjectIdentifier};
use crate::policy::Policy;

/// One extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// What it is.
    pub oid: ObjectIdentifier,
    /// Whether whoever does not understand it must refuse the certificate.
    pub critical: bool,
    /// What it says: DER, verbatim.
    pub value: Vec<u8>,
}

/// The tags of a GeneralName (RFC 5280 §4.2.1.6).
const DNS_NAME: u8 = tag::context(2);
const URI: u8 = tag::context(6);
const IP_ADDRESS: u8 = tag::context(7);

/// What basicConstraints says (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject is a CA.
    pub ca: bool,
    /// How many CAs may follow it in a chain.
    pub path_length: Option<u64>,
}

impl BasicConstraints {
    /// Reads the value of the extension.
    ///
    /// # Errors
    /// When it is malformed, or gives a path length without being a CA.
    pub fn parse(value: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::whole(value, tag::SEQUENCE, "basicConstraints extension")?;
        let ca = reader.flag()?;
        let path_length = if ca && !reader.is_empty() { Some(reader.number()?) } else { None };
        reader.finish()?;
        Ok(Self { ca, path_length })
    }
}

/// basicConstraints, critical. The path length is left out when `ca` is false.
#[must_use]
pub fn basic_constraints(ca: bool, path_length: Option<u8>) -> Extension {
    let value = sequence(|constraints| {
        if ca {
            constraints.element(tag::BOOLEAN, &[0xff]);
            if let Some(length) = path_length {
                constraints.unsigned(&[length]);
            }
        }
    });
    Extension { oid: oid::BASIC_CONSTRAINTS, critical: true, value }
}

/// keyUsage. `uses` should not be empty (RFC 5280 §4.2.1.3).
#[must_use]
pub fn key_usage(uses: KeyUsage, critical: bool) -> Extension {
    Extension { oid: oid::KEY_USAGE, critical, value: uses.to_der() }
}

/// extKeyUsage with `purposes` in this order; there should be at least one (RFC 5280 §4.2.1.12).
#[must_use]
pub fn extended_key_usage(purposes: &[ObjectIdentifier], critical: bool) -> Extension {
    let value = sequence(|writer| purposes.iter().for_each(|purpose| writer.oid(purpose)));
    Extension { oid: oid::EXTENDED_KEY_USAGE, critical, value }
}

/// The purposes that the value of an extKeyUsage extension lists; none when it is empty, which RFC 5280
/// forbids.
///
/// # Errors
/// When it is malformed.
pub fn parse_extended_key_usage(value: &[u8]) -> Result<Vec<ObjectIdentifier>, ParseError> {
    let mut reader = Reader::whole(value, tag::SEQUENCE, "extKeyUsage extension")?;
    let mut purposes = Vec::new();
    while !reader.is_empty() {
        purposes.push(reader.oid()?);
    }
    Ok(purposes)
}

/// certificatePolicies with `policies` in this order; there should be at least one.
#[must_use]
pub fn certificate_policies(policies: &[Policy], critical: bool) -> Extension {
    Extension { oid: oid::CERTIFICATE_POLICIES, critical, value: Policy::encode_all(policies) }
}

/// The policies in the value of a certificatePolicies extension; none when it is empty, which RFC 5280
/// forbids.
///
/// # Errors
/// When it is no sequence of policies; what the qualifiers say is not looked at.
pub fn parse_certificate_policies(value: &[u8]) -> Result<Vec<Policy>, ParseError> {
    Policy::parse_all(value)
}

/// subjectAltName with one host name.
///
/// # Errors
/// When `host` is not ASCII.
pub fn subject_alt_name_dns(host: &str, critical: bool) -> Result<Extension, NameError> {
    let host = ascii(host)?;
    let value = sequence(|names| names.element(DNS_NAME, host));
    Ok(Extension { oid: oid::SUBJECT_ALT_NAME, critical, value })
}

/// subjectAltName with one address.
#[must_use]
pub fn subject_alt_name_address(address: IpAddr, critical: bool) -> Extension {
    let value = sequence(|names| match address {
        IpAddr::V4(address) => names.element(IP_ADDRESS, &address.octets()),
        IpAddr::V6(address) => names.element(IP_ADDRESS, &address.octets()),
    });
    Extension { oid: oid::SUBJECT_ALT_NAME, critical, value }
}

/// nameConstraints, critical: only host names that are `host` or end with it behind a dot.
///
/// # Errors
/// When `host` is not ASCII.
pub fn name_constraints_dns(host: &str) -> Result<Extension, NameError> {
    let host = ascii(host)?;
    Ok(name_constraints(|permitted| permitted.element(DNS_NAME, host), None))
}

/// nameConstraints, critical: only the address `address`, and no host name.
#[must_use]
pub fn name_constraints_address(address: IpAddr) -> Extension {
    // An address and a mask of the same length (RFC 5280 §4.2.1.10).
    let range = match address {
        IpAddr::V4(address) => [&address.octets()[..], &[0xff; 4]].concat(),
        IpAddr::V6(address) => [&address.octets()[..], &[0xff; 16]].concat(),
    };
    // Every host name ends with the empty one.
    name_constraints(|permitted| permitted.element(IP_ADDRESS, &range), Some((DNS_NAME, b"")))
}

fn name_constraints(permitted: impl FnOnce(&mut Writer), excluded: Option<(u8, &[u8])>) -> Extension {
    let value = sequence(|constraints| {
        constraints.nested(tag::constructed(0), |subtrees| subtrees.sequence(permitted));
        if let Some((kind, name)) = excluded {
            constraints.nested(tag::constructed(1), |subtrees| {
                subtrees.sequence(|subtree| subtree.element(kind, name));
            });
        }
    });
    Extension { oid: oid::NAME_CONSTRAINTS, critical: true, value }
}

/// subjectKeyIdentifier, not critical.
#[must_use]
pub fn subject_key_id(key_id: KeyId) -> Extension {
    Extension {
        oid: oid::SUBJECT_KEY_ID,
        critical: false,
        value: element(tag::OCTET_STRING, key_id.as_bytes()),
    }
}

/// The bytes in the value of a subjectKeyIdentifier extension.
///
/// # Errors
/// When it is malformed.
pub fn parse_subject_key_id(value: &[u8]) -> Result<&[u8], ParseError> {
    let mut reader = Reader::new(value, "subjectKeyIdentifier extension");
    let id = reader.expect(tag::OCTET_STRING)?.content;
    reader.finish()?;
    Ok(id)
}

/// authorityKeyIdentifier with the key identifier only, not critical.
#[must_use]
pub fn authority_key_id(key_id: KeyId) -> Extension {
    let value = sequence(|writer| writer.element(tag::context(0), key_id.as_bytes()));
    Extension { oid: oid::AUTHORITY_KEY_ID, critical: false, value }
}

/// The key identifier in the value of an authorityKeyIdentifier extension, if it has one.
///
/// # Errors
/// When it is malformed.
pub fn parse_authority_key_id(value: &[u8]) -> Result<Option<&[u8]>, ParseError> {
    let mut reader = Reader::whole(value, tag::SEQUENCE, "authorityKeyIdentifier extension")?;
    let id = reader.optional(tag::context(0))?.map(|id| id.content);
    // The issuer's name and serial number, which are of no use here.
    reader.optional(tag::constructed(1))?;
    reader.optional(tag::context(2))?;
    reader.finish()?;
    Ok(id)
}

/// cRLDistributionPoints, not critical: one point with all of `addresses`, in this order.
///
/// # Errors
/// When an address is not ASCII.
pub fn crl_distribution_point<A: AsRef<str>>(addresses: &[A]) -> Result<Extension, NameError> {
    let addresses = addresses.iter().map(|address| ascii(address.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let value = sequence(|points| {
        points.sequence(|point| {
            point.nested(tag::constructed(0), |name| {
                name.nested(tag::constructed(0), |full_name| {
                    addresses.iter().for_each(|address| full_name.element(URI, address));
                });
            });
        });
    });
    Ok(Extension { oid: oid::CRL_DISTRIBUTION_POINTS, critical: false, value })
}

/// cRLNumber, not critical.
pub(crate) fn crl_number(number: u64) -> Extension {
    let mut value = Writer::default();
    value.unsigned(&number.to_be_bytes());
    Extension { oid: oid::CRL_NUMBER, critical: false, value: value.into_bytes() }
}

fn ascii(text: &str) -> Result<&[u8], NameError> {
    if text.is_ascii() { Ok(text.as_bytes()) } else { Err(NameError::NotAscii) }
}

/// Reads `Extensions`: `reader` stands before the SEQUENCE. The same extension must not come twice.
pub(crate) fn read_all(reader: &mut Reader<'_>) -> Result<Vec<Extension>, ParseError> {
    let mut reader = reader.inside(tag::SEQUENCE)?.named("list of extensions");
    let mut all: Vec<Extension> = Vec::new();
    while !reader.is_empty() {
        let mut extension = reader.inside(tag::SEQUENCE)?;
        let oid = extension.oid()?;
        let critical = extension.flag()?;
        let value = extension.expect(tag::OCTET_STRING)?.content.to_vec();
        extension.finish()?;
        if all.len() == COUNT_MAX {
            return Err(reader.malformed());
        }
        if all.iter().any(|held| held.oid == oid) {
            return Err(ParseError::DuplicateExtension { oid });
        }
        all.push(Extension { oid, critical, value });
    }
    Ok(all)
}

/// How many extensions are read: far more than anyone has, and few enough to compare each with all.
const COUNT_MAX: usize = 256;

/// Appends `Extensions`.
pub(crate) fn write_all(writer: &mut Writer, extensions: &[Extension]) {
    writer.sequence(|list| {
        for extension in extensions {
            list.sequence(|writer| {
                writer.oid(&extension.oid);
                if extension.critical {
                    writer.element(tag::BOOLEAN, &[0xff]);
                }
                writer.element(tag::OCTET_STRING, &extension.value);
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(extension: &Extension) -> String {
        base::hex::encode(&extension.value)
    }

    #[test]
    fn values_are_exact() {
        let id = KeyId::new([0xab; 20]);
        let ab = "ab".repeat(20);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let table = [
            (basic_constraints(false, None), "3000".to_owned()),
            (basic_constraints(false, Some(0)), "3000".into()),
            (basic_constraints(true, None), "30030101ff".into()),
            (basic_constraints(true, Some(0)), "30060101ff020100".into()),
            (subject_key_id(id), format!("0414{ab}")),
            (authority_key_id(id), format!("30168014{ab}")),
            (extended_key_usage(&[oid::SERVER_AUTH], false), "300a06082b06010505070301".into()),
            (name_constraints_dns("a.b").unwrap(), "3009a00730058203612e62".into()),
            (name_constraints_address(ip("1.2.3.4")), "3014a00c300a870801020304ffffffffa10430028200".into()),
            (
                name_constraints_address(ip("2001:db8::1")),
                format!("302ca0243022872020010db8{}01{}a10430028200", "00".repeat(11), "ff".repeat(16)),
            ),
            (subject_alt_name_dns("a", true).unwrap(), "3003820161".into()),
            (subject_alt_name_address(ip("1.2.3.4"), true), "3006870401020304".into()),
            (subject_alt_name_address(ip("::1"), true), format!("30128710{}01", "00".repeat(15))),
            (
                crl_distribution_point(&["u:1", "u:2"]).unwrap(),
                "30103 00ea00ca00a8603753a318603753a32".replace(' ', ""),
            ),
            (crl_number(128), "02020080".into()),
        ];
        for (extension, expected) in table {
            assert_eq!(hex(&extension), expected, "{}", extension.oid);
        }
    }

    #[test]
    fn names_are_ascii() {
        assert_eq!(name_constraints_dns("é"), Err(NameError::NotAscii));
        assert_eq!(subject_alt_name_dns("é", false), Err(NameError::NotAscii));
        assert_eq!(crl_distribution_point(&["http://é/"]), Err(NameError::NotAscii));
    }

    #[test]
    fn what_is_made_is_read() {
        let id = KeyId::new([7; 20]);
        assert_eq!(parse_subject_key_id(&subject_key_id(id).value), Ok(&[7; 20][..]));
        assert_eq!(parse_authority_key_id(&authority_key_id(id).value), Ok(Some(&[7; 20][..])));
        let constraints = BasicConstraints::parse(&basic_constraints(true, Some(3)).value);
        assert_eq!(constraints, Ok(BasicConstraints { ca: true, path_length: Some(3) }));
        let purposes = [oid::SERVER_AUTH, oid::ANY_EXTENDED_KEY_USAGE];
        assert_eq!(parse_extended_key_usage(&extended_key_usage(&purposes, true).value).unwrap(), purposes);
        assert_eq!(parse_extended_key_usage(&[0x30, 0]).unwrap(), []);
    }

    #[test]
    fn malformed_values_are_refused() {
        assert!(BasicConstraints::parse(&[0x30, 3, 2, 1, 0]).is_err());
        assert!(BasicConstraints::parse(&[0x30, 3, 1, 1, 0]).is_err());
        assert!(BasicConstraints::parse(&[]).is_err());
        assert!(parse_extended_key_usage(&[0x30, 2, 5, 0]).is_err());
        assert!(parse_subject_key_id(&[4, 1]).is_err());
        assert!(parse_authority_key_id(&[0x30, 2, 5, 0]).is_err());
    }

    #[test]
    fn lists_are_read_as_they_are_written() {
        let list = [basic_constraints(true, None), subject_key_id(KeyId::new([1; 20]))];
        let read = |list: &[Extension]| {
            let mut writer = Writer::default();
            write_all(&mut writer, list);
            read_all(&mut Reader::new(&writer.into_bytes(), "test"))
        };
        assert_eq!(read(&list).unwrap(), list);
        let twice = [list[0].clone(), list[1].clone(), list[0].clone()];
        assert_eq!(read(&twice), Err(ParseError::DuplicateExtension { oid: oid::BASIC_CONSTRAINTS }));
    }
}
