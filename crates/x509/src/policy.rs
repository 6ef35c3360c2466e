//! Under which policies a certificate was issued (RFC 5280 §4.2.1.4).

use crate::attribute;
use crate::der_reader::{Element, Reader, tag};
use crate::der_writer::{Writer, sequence};
use crate::error::ParseError;
use crate::internet_name;
use crate::oid::{self, ObjectIdentifier};

/// DisplayText (RFC 5280 §4.2.1.4), in characters.
const NOTICE_LENGTH_MAX: usize = 200;
const IA5_STRING: u8 = 0x16;

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

    /// The same policy without what RFC 5280 §4.2.1.4 and RFC 6818 §3 do not want of its qualifiers:
    ///
    /// - Of a user notice only the text stays, as UTF8String, and only if it has 1 to 200 characters and
    ///   none of them is a control or combining character; references to notices go.
    /// - The address of a statement stays if it is a URI.
    /// - Other qualifiers stay, but for those of anyPolicy.
    #[must_use]
    pub fn tidied(self) -> Self {
        let read = || {
            let der = self.qualifiers.as_deref()?;
            let mut qualifiers = Reader::whole(der, tag::SEQUENCE, "qualifiers").ok()?;
            let mut kept = Writer::default();
            while !qualifiers.is_empty() {
                let qualifier = qualifiers.any().ok()?;
                if let Some(tidy) = tidy_qualifier(&self.oid, qualifier.der) {
                    kept.raw(&tidy);
                }
            }
            let kept = kept.into_bytes();
            (!kept.is_empty()).then(|| sequence(|writer| writer.raw(&kept)))
        };
        Self { oid: self.oid, qualifiers: read() }
    }

    /// The kinds of its qualifiers; none when they cannot be read.
    pub(crate) fn qualifier_kinds(&self) -> Vec<ObjectIdentifier> {
        self.read_qualifiers().into_iter().map(|(kind, _)| kind).collect()
    }

    /// The addresses of statements among its qualifiers.
    pub(crate) fn statements(&self) -> Vec<String> {
        let qualifiers = self.read_qualifiers().into_iter();
        let statements = qualifiers.filter(|(kind, _)| *kind == oid::POLICY_STATEMENT);
        statements.filter_map(|(_, value)| attribute::text(&value)).collect()
    }

    fn read_qualifiers(&self) -> Vec<(ObjectIdentifier, Element<'_>)> {
        let read = || {
            let der = self.qualifiers.as_deref()?;
            let mut qualifiers = Reader::whole(der, tag::SEQUENCE, "qualifiers").ok()?;
            let mut all = Vec::new();
            while !qualifiers.is_empty() {
                let mut qualifier = qualifiers.inside(tag::SEQUENCE).ok()?;
                all.push((qualifier.oid().ok()?, qualifier.any().ok()?));
            }
            Some(all)
        };
        read().unwrap_or_default()
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

/// What stays of one qualifier.
fn tidy_qualifier(policy: &ObjectIdentifier, der: &[u8]) -> Option<Vec<u8>> {
    let mut qualifier = Reader::whole(der, tag::SEQUENCE, "qualifier").ok()?;
    let kind = qualifier.oid().ok()?;
    let value = qualifier.any().ok()?;
    qualifier.finish().ok()?;
    match kind {
        oid::POLICY_STATEMENT => {
            let is_ascii = value.tag == IA5_STRING;
            let address = std::str::from_utf8(value.content).ok()?;
            (is_ascii && internet_name::is_uri(address)).then(|| der.to_vec())
        }
        oid::USER_NOTICE => {
            let text = notice_text(value.der)?;
            Some(sequence(|qualifier| {
                qualifier.oid(&oid::USER_NOTICE);
                qualifier.sequence(|notice| notice.element(tag::UTF8_STRING, text.as_bytes()));
            }))
        }
        _ => (*policy != oid::ANY_POLICY).then(|| der.to_vec()),
    }
}

/// The text of a UserNotice, `SEQUENCE { noticeRef NoticeReference OPTIONAL, explicitText DisplayText
/// OPTIONAL }`, if it is one that may stay.
fn notice_text(der: &[u8]) -> Option<String> {
    let mut notice = Reader::whole(der, tag::SEQUENCE, "notice").ok()?;
    notice.optional(tag::SEQUENCE).ok()?;
    let text = attribute::text(&notice.any().ok()?)?;
    notice.finish().ok()?;
    // It should be in Unicode's normalization form C. All text below the combining characters is; of text
    // beyond we do not know.
    let is_plain = text.chars().all(|character| !character.is_control() && character < '\u{300}');
    (is_plain && (1..=NOTICE_LENGTH_MAX).contains(&text.chars().count())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der_writer::element;

    /// A policy with one qualifier of this kind.
    fn with_qualifier(policy: ObjectIdentifier, kind: ObjectIdentifier, value: &[u8]) -> Policy {
        let qualifiers = sequence(|qualifiers| {
            qualifiers.sequence(|qualifier| {
                qualifier.oid(&kind);
                qualifier.raw(value);
            });
        });
        Policy { oid: policy, qualifiers: Some(qualifiers) }
    }

    #[test]
    fn notices_are_plain_text() {
        let policy = ObjectIdentifier::new("1.2.3").unwrap();
        let reference = sequence(|reference| reference.element(tag::UTF8_STRING, b"organization"));
        let long = "é".repeat(200);
        let over = "é".repeat(201);
        for (reference, tag, text, expected) in [
            (&[][..], tag::UTF8_STRING, "text".as_bytes(), Some("text")),
            (&reference, tag::UTF8_STRING, b"text", Some("text")),
            (&[], 0x1a, b"text", Some("text")),
            (&[], 0x1e, &[0, 0xe9], Some("é")),
            (&[], 0x16, b"text", Some("text")),
            (&[], tag::UTF8_STRING, long.as_bytes(), Some(&long)),
            (&[], tag::UTF8_STRING, over.as_bytes(), None),
            (&[], tag::UTF8_STRING, b"", None),
            (&[], tag::UTF8_STRING, b"a\nb", None),
            (&[], tag::UTF8_STRING, "e\u{301}".as_bytes(), None),
            (&[], tag::UTF8_STRING, &[0xff], None),
            (&[], tag::NULL, b"", None),
        ] {
            let notice = sequence(|notice| {
                notice.raw(reference);
                notice.element(tag, text);
            });
            let tidied = with_qualifier(policy, oid::USER_NOTICE, &notice).tidied();
            let expected = match expected {
                Some(text) => Policy::with_notice(policy, text),
                None => Policy { oid: policy, qualifiers: None },
            };
            assert_eq!(tidied, expected, "{text:02x?}");
        }
        let only_reference = sequence(|notice| notice.raw(&reference));
        assert_eq!(with_qualifier(policy, oid::USER_NOTICE, &only_reference).tidied().qualifiers, None);
    }

    #[test]
    fn other_qualifiers_stay_if_they_may() {
        let (policy, other) = (oid::SERVER_AUTH, oid::CLIENT_AUTH);
        let statement = |text: &[u8]| element(IA5_STRING, text);
        for (policy, kind, value, stays) in [
            (policy, oid::POLICY_STATEMENT, statement(b"http://example.com/cps"), true),
            (policy, oid::POLICY_STATEMENT, statement(b"see our web site"), false),
            (policy, oid::POLICY_STATEMENT, element(tag::UTF8_STRING, b"http://example.com/cps"), false),
            (policy, other, element(tag::NULL, b""), true),
            (oid::ANY_POLICY, other, element(tag::NULL, b""), false),
            (oid::ANY_POLICY, oid::POLICY_STATEMENT, statement(b"http://example.com/cps"), true),
        ] {
            let asked = with_qualifier(policy, kind, &value);
            let expected = if stays { asked.qualifiers.clone() } else { None };
            assert_eq!(asked.tidied(), Policy { oid: policy, qualifiers: expected }, "{value:02x?}");
        }
        for qualifiers in [&[0x30, 0][..], &[0x30, 2, 5, 0]] {
            let empty = Policy { oid: policy, qualifiers: Some(qualifiers.to_vec()) };
            assert_eq!(empty.tidied().qualifiers, None);
        }
        let plain = Policy { oid: policy, qualifiers: None };
        assert_eq!(plain.clone().tidied(), plain);
    }

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
