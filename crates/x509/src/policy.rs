//! Under which policies a certificate was issued (RFC 5280 §4.2.1.4).

use crate::der_reader::{Reader, tag};
use crate::der_writer::{Writer, sequence};
use crate::error::ParseError;
use crate::oid::{self, ObjectIdentifier};

/// One policy and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which policy.
    pub oid: ObjectIdentifier,
    /// The DER of the sequence of qualifiers, verbatim.
    pub qualifiers: Option<Vec<u8>>,
}

impl Policy {
    /// A policy with a user notice: `text` as explicitText in UTF8String, no reference. RFC 5280 asks for
    /// at most 200 characters.
    #[must_use]
    pub fn with_notice(oid: ObjectIdentifier, text: &str) -> Self {
        let qualifiers = sequence(|qualifiers| {
            qualifiers.sequence(|qualifier| {
                qualifier.oid(&oid::USER_NOTICE);
                qualifier.sequence(|notice| notice.element(tag::UTF8_STRING, text.as_bytes()));
            });
        });
        Self { oid, qualifiers: Some(qualifiers) }
    }

    /// Reads the value of a certificatePolicies extension.
    pub(crate) fn parse_all(value: &[u8]) -> Result<Vec<Self>, ParseError> {
        let mut policies = Reader::whole(value, tag::SEQUENCE, "certificatePolicies extension")?;
        let mut all = Vec::new();
        while !policies.is_empty() {
            let mut policy = policies.inside(tag::SEQUENCE)?;
            let oid = policy.oid()?;
            let qualifiers = policy.optional(tag::SEQUENCE)?.map(|qualifiers| qualifiers.der.to_vec());
            policy.finish()?;
            all.push(Self { oid, qualifiers });
        }
        Ok(all)
    }

    /// The value of a certificatePolicies extension with `policies`, in this order.
    pub(crate) fn encode_all(policies: &[Self]) -> Vec<u8> {
        sequence(|writer| policies.iter().for_each(|policy| policy.write(writer)))
    }

    fn write(&self, writer: &mut Writer) {
        writer.sequence(|policy| {
            policy.oid(&self.oid);
            policy.raw(self.qualifiers.as_deref().unwrap_or_default());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_comes_out_as_caucase_writes_it() {
        let oid = ObjectIdentifier::new("1.3.6.1.4.1.37476.9000.70.0.0").unwrap();
        let policies = [Policy::with_notice(oid, "Auto-signed caucase certificate")];
        let value = Policy::encode_all(&policies);
        assert_eq!(
            base::hex::encode(&value),
            "30423040060d2b0601040182a464c628460000302f302d06082b06010505070202\
             30210c1f4175746f2d7369676e6564206361756361736520636572746966696361\
             7465"
        );
        assert_eq!(Policy::parse_all(&value).unwrap(), policies);
    }

    #[test]
    fn reads_several() {
        let plain = Policy { oid: oid::SERVER_AUTH, qualifiers: None };
        let uuid = ObjectIdentifier::new("2.25.285541874270823339875695650038637483517.0").unwrap();
        let policies = [plain, Policy::with_notice(uuid, "ünï")];
        assert_eq!(Policy::parse_all(&Policy::encode_all(&policies)).unwrap(), policies);
        assert_eq!(Policy::parse_all(&[0x30, 0]).unwrap(), []);
    }

    #[test]
    fn refuses_other_shapes() {
        for value in [&[][..], &[0x30, 2, 0x30, 0], &[0x30, 5, 0x06, 3, 0x55, 4, 3], &[0x30, 0, 0]] {
            assert!(Policy::parse_all(value).is_err(), "{value:02x?}");
        }
        let extra = [0x30, 9, 0x30, 7, 0x06, 3, 0x55, 4, 3, 0x05, 0];
        assert!(Policy::parse_all(&extra).is_err());
    }
}
