//! Object identifiers, and those that certificates are made of.
//!
//! const-oid's type stops at arcs of 32 bits and knows no `2.999`; certificates in the field have arcs
//! of 128 bits (`2.25.` and a UUID, X.667), and those must come through.

use std::fmt;

/// An object identifier of up to 63 bytes, whose arcs have up to 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectIdentifier {
    length: u8,
    /// The content of the DER element; zeros after `length`.
    bytes: [u8; Self::LENGTH_MAX],
}

impl ObjectIdentifier {
    const LENGTH_MAX: usize = 63;

    /// Reads the content of a DER element; `None` when it is empty, too long, cut off in the middle of
    /// an arc, or has an arc that is longer than need be or above 128 bits.
    #[must_use]
    pub fn from_bytes(content: &[u8]) -> Option<Self> {
        if content.is_empty() || content.len() > Self::LENGTH_MAX {
            return None;
        }
        let mut rest = content;
        while !rest.is_empty() {
            (_, rest) = split_arc(rest)?;
        }
        let mut bytes = [0; Self::LENGTH_MAX];
        bytes[..content.len()].copy_from_slice(content);
        Some(Self { length: content.len() as u8, bytes })
    }

    /// Reads the dotted form, as in `1.3.6.1`; `None` when it has fewer than two arcs, an arc is no
    /// number in its plainest form, or the whole is too long.
    #[must_use]
    pub const fn new(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let mut oid = Self { length: 0, bytes: [0; Self::LENGTH_MAX] };
        let mut root = None;
        let (mut at, mut arcs) = (0, 0);
        // A trailing dot leaves an arc without digits, so the loop runs once more at the end.
        while at <= text.len() {
            let Some((arc, next)) = read_arc(text, at) else { return None };
            match (arcs, root) {
                (0, _) if arc <= 2 => root = Some(arc),
                (1, Some(root)) if arc < 40 || (root == 2 && arc <= u128::MAX - 80) => {
                    if !oid.push(root * 40 + arc) {
                        return None;
                    }
                }
                (0 | 1, _) => return None,
                _ => {
                    if !oid.push(arc) {
                        return None;
                    }
                }
            }
            arcs += 1;
            at = next + 1;
        }
        if arcs < 2 { None } else { Some(oid) }
    }

    /// Reads the dotted form, for constants.
    ///
    /// # Panics
    /// When [`ObjectIdentifier::new`] would give `None`; in a constant that is an error of compilation.
    #[must_use]
    pub const fn new_unwrap(text: &str) -> Self {
        match Self::new(text) {
            Some(oid) => oid,
            None => panic!("not an object identifier"),
        }
    }

    /// The content of its DER element.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether it is `prefix` or below it.
    #[must_use]
    pub fn starts_with(&self, prefix: &Self) -> bool {
        // An arc's last byte says that it is the last, so equal bytes are equal arcs.
        self.as_bytes().starts_with(prefix.as_bytes())
    }

    /// Whether programs read it that know no more than RFC 5280 asks for (appendix B: arcs of 28 bits), in 3 to
    /// 39 octets, and no second arc above 39.
    pub(crate) fn is_readable_by_all(&self) -> bool {
        let octets = self.as_bytes();
        let mut rest = octets;
        let mut are_small = true;
        while let Some((arc, after)) = split_arc(rest) {
            are_small &= arc >> 28 == 0;
            rest = after;
        }
        // The first octet holds the first two arcs: 40 times the one, and the other.
        are_small && (3..=39).contains(&octets.len()) && octets[0] < 120
    }

    /// With `from` at its beginning replaced by `to`; `None` when it is not `from` or below it, or when
    /// the result would be too long.
    #[must_use]
    pub fn rebase(&self, from: &Self, to: &Self) -> Option<Self> {
        let below = self.as_bytes().strip_prefix(from.as_bytes())?;
        Self::from_bytes(&[to.as_bytes(), below].concat())
    }

    /// Appends an arc in base 128, most significant digit first; false when there is no room.
    const fn push(&mut self, arc: u128) -> bool {
        let mut digits = 1;
        while digits < 19 && arc >> (7 * digits) != 0 {
            digits += 1;
        }
        if self.length as usize + digits > Self::LENGTH_MAX {
            return false;
        }
        let mut left = digits;
        while left > 0 {
            left -= 1;
            let more = if left > 0 { 0x80 } else { 0 };
            self.bytes[self.length as usize] = (arc >> (7 * left)) as u8 & 0x7f | more;
            self.length += 1;
        }
        true
    }
}

/// The number in `text` from `at`, and where it ends; `None` when there is none there, or it has a zero
/// too many, or it is above 128 bits.
const fn read_arc(text: &[u8], at: usize) -> Option<(u128, usize)> {
    let (mut arc, mut end) = (0_u128, at);
    while end < text.len() && text[end] != b'.' {
        if !text[end].is_ascii_digit() {
            return None;
        }
        let Some(shifted) = arc.checked_mul(10) else { return None };
        let Some(more) = shifted.checked_add((text[end] - b'0') as u128) else { return None };
        (arc, end) = (more, end + 1);
    }
    if end == at || (text[at] == b'0' && end > at + 1) { None } else { Some((arc, end)) }
}

/// The first arc of `bytes` and what follows it.
fn split_arc(bytes: &[u8]) -> Option<(u128, &[u8])> {
    // A first digit of zero would be a second way to write the same arc (X.690 §8.19.2).
    if bytes.first() == Some(&0x80) {
        return None;
    }
    let mut arc = 0_u128;
    for (at, byte) in bytes.iter().enumerate() {
        if arc.leading_zeros() < 7 {
            return None;
        }
        arc = arc << 7 | u128::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((arc, &bytes[at + 1..]));
        }
    }
    None
}

impl fmt::Display for ObjectIdentifier {
    /// The dotted form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_bytes();
        let mut is_first = true;
        while let Some((arc, after)) = split_arc(rest) {
            if is_first {
                let root = (arc / 40).min(2);
                write!(f, "{root}.{}", arc - root * 40)?;
            } else {
                write!(f, ".{arc}")?;
            }
            (rest, is_first) = (after, false);
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: ObjectIdentifier = ObjectIdentifier::new_unwrap($text);)*
    };
}

constants! {
    /// subjectKeyIdentifier (RFC 5280 §4.2.1.2).
    SUBJECT_KEY_ID = "2.5.29.14";
    /// keyUsage (RFC 5280 §4.2.1.3).
    KEY_USAGE = "2.5.29.15";
    /// subjectAltName (RFC 5280 §4.2.1.6).
    SUBJECT_ALT_NAME = "2.5.29.17";
    /// basicConstraints (RFC 5280 §4.2.1.9).
    BASIC_CONSTRAINTS = "2.5.29.19";
    /// cRLNumber (RFC 5280 §5.2.3).
    CRL_NUMBER = "2.5.29.20";
    /// nameConstraints (RFC 5280 §4.2.1.10).
    NAME_CONSTRAINTS = "2.5.29.30";
    /// cRLDistributionPoints (RFC 5280 §4.2.1.13).
    CRL_DISTRIBUTION_POINTS = "2.5.29.31";
    /// certificatePolicies (RFC 5280 §4.2.1.4).
    CERTIFICATE_POLICIES = "2.5.29.32";
    /// authorityKeyIdentifier (RFC 5280 §4.2.1.1).
    AUTHORITY_KEY_ID = "2.5.29.35";
    /// extKeyUsage (RFC 5280 §4.2.1.12).
    EXTENDED_KEY_USAGE = "2.5.29.37";
    /// anyExtendedKeyUsage.
    ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0";
    /// id-kp-serverAuth.
    SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
    /// id-kp-clientAuth.
    CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
    /// id-kp-OCSPSigning.
    OCSP_SIGNING = "1.3.6.1.5.5.7.3.9";
    /// id-kp-timeStamping.
    TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
    /// anyPolicy.
    ANY_POLICY = "2.5.29.32.0";
    /// id-qt-cps, the qualifier of a policy that is the address of a statement.
    POLICY_STATEMENT = "1.3.6.1.5.5.7.2.1";
    /// id-qt-unotice, the qualifier of a policy that is a user notice.
    USER_NOTICE = "1.3.6.1.5.5.7.2.2";
    /// extensionRequest, the attribute of a signing request that holds extensions (RFC 2985 §5.4.2).
    EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
    /// commonName.
    COMMON_NAME = "2.5.4.3";
    /// domainComponent.
    DOMAIN_COMPONENT = "0.9.2342.19200300.100.1.25";
    /// emailAddress (RFC 2985 §5.2.1).
    EMAIL_ADDRESS = "1.2.840.113549.1.9.1";
    /// id-on-SmtpUTF8Mailbox, a mailbox with characters outside ASCII (RFC 9598 §3).
    SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9";
    /// rsaEncryption.
    RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
    /// id-mgf1.
    MGF1 = "1.2.840.113549.1.1.8";
    /// id-RSASSA-PSS.
    RSASSA_PSS = "1.2.840.113549.1.1.10";
    /// sha256WithRSAEncryption.
    RSA_SHA256 = "1.2.840.113549.1.1.11";
    /// sha384WithRSAEncryption.
    RSA_SHA384 = "1.2.840.113549.1.1.12";
    /// sha512WithRSAEncryption.
    RSA_SHA512 = "1.2.840.113549.1.1.13";
    /// id-sha256.
    SHA256 = "2.16.840.1.101.3.4.2.1";
    /// id-sha384.
    SHA384 = "2.16.840.1.101.3.4.2.2";
    /// id-sha512.
    SHA512 = "2.16.840.1.101.3.4.2.3";
    /// id-PBES2 (RFC 8018 §A.4).
    PBES2 = "1.2.840.113549.1.5.13";
    /// id-PBKDF2 (RFC 8018 §A.2).
    PBKDF2 = "1.2.840.113549.1.5.12";
    /// id-hmacWithSHA1.
    HMAC_SHA1 = "1.2.840.113549.2.7";
    /// id-hmacWithSHA256.
    HMAC_SHA256 = "1.2.840.113549.2.9";
    /// id-hmacWithSHA384.
    HMAC_SHA384 = "1.2.840.113549.2.10";
    /// id-hmacWithSHA512.
    HMAC_SHA512 = "1.2.840.113549.2.11";
    /// aes128-CBC-PAD.
    AES128_CBC = "2.16.840.1.101.3.4.1.2";
    /// aes192-CBC-PAD.
    AES192_CBC = "2.16.840.1.101.3.4.1.22";
    /// aes256-CBC-PAD.
    AES256_CBC = "2.16.840.1.101.3.4.1.42";
    /// des-EDE3-CBC.
    DES_EDE3_CBC = "1.2.840.113549.3.7";
    /// id-ecPublicKey.
    EC_PUBLIC_KEY = "1.2.840.10045.2.1";
    /// prime256v1, also called secp256r1 and P-256.
    P256 = "1.2.840.10045.3.1.7";
    /// secp384r1, also called P-384.
    P384 = "1.3.132.0.34";
    /// secp521r1, also called P-521.
    P521 = "1.3.132.0.35";
    /// ecdsa-with-SHA256.
    ECDSA_SHA256 = "1.2.840.10045.4.3.2";
    /// ecdsa-with-SHA384.
    ECDSA_SHA384 = "1.2.840.10045.4.3.3";
    /// ecdsa-with-SHA512.
    ECDSA_SHA512 = "1.2.840.10045.4.3.4";
    /// id-Ed25519.
    ED25519 = "1.3.101.112";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let uuid = "2.25.285541874270823339875695650038637483517.1";
        for text in [
            "0.0",
            "0.39",
            "1.2.840.113549",
            "2.5.29.15",
            "2.999.3",
            "2.40",
            uuid,
            "2.25.340282366920938463463374607431768211455",
        ] {
            let oid = ObjectIdentifier::new(text).unwrap();
            assert_eq!(oid.to_string(), text);
            assert_eq!(ObjectIdentifier::from_bytes(oid.as_bytes()), Some(oid), "{text}");
        }
        assert_eq!(RSA_ENCRYPTION.as_bytes(), &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]);
    }

    #[test]
    fn those_that_not_everybody_reads() {
        let many = |count: usize| format!("1.2{}", ".3".repeat(count));
        let table = [
            ("2.5.29.15", true),
            ("1.2.268435455", true),
            ("0.9.2342", true),
            ("2.39.1.1", true),
            (&many(38), true),
            ("1.2.3", false),
            ("1.2.268435456", false),
            ("2.40.1.1", false),
            ("2.999.1", false),
            ("2.25.285541874270823339875695650038637483517", false),
            (&many(39), false),
        ];
        for (text, expected) in table {
            assert_eq!(ObjectIdentifier::new(text).unwrap().is_readable_by_all(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_bad_text() {
        for text in [
            "",
            "1",
            "3.1",
            "1.40",
            "1.2.",
            ".1.2",
            "1..2",
            "1.02",
            "1.-2",
            "1.a",
            "1.2.340282366920938463463374607431768211456",
        ] {
            assert_eq!(ObjectIdentifier::new(text), None, "{text}");
        }
        assert_eq!(ObjectIdentifier::new(&format!("1.2{}", ".1".repeat(63))), None);
    }

    #[test]
    fn refuses_bad_bytes() {
        let too_long = [1_u8; 64];
        let above_128_bits = [&[0x2a][..], &[0xff; 18], &[0x7f]].concat();
        for bytes in [&[][..], &[0x2a, 0x86], &[0x2a, 0x80, 1], &too_long, &above_128_bits] {
            assert_eq!(ObjectIdentifier::from_bytes(bytes), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn moves_to_another_root() {
        let oid = |text| ObjectIdentifier::new(text).unwrap();
        let (old, new) =
            (oid("2.25.285541874270823339875695650038637483517"), oid("1.3.6.1.4.1.37476.9000.70.0"));
        assert_eq!(
            oid("2.25.285541874270823339875695650038637483517.0").rebase(&old, &new),
            Some(oid("1.3.6.1.4.1.37476.9000.70.0.0"))
        );
        assert_eq!(new.rebase(&old, &new), None);
        assert!(oid("1.3.6.1.4.1.37476.9000.70.0.5").starts_with(&new));
        assert!(!oid("1.3.6.1.4.1.37476.9000.70.1").starts_with(&new));
    }
}
