//! Signed JSON (caucase contract, sections 3.1 to 3.3).
//!
//! ```text
//! {"payload": TEXT, "digest": "sha256", "signature": BASE64}      signed
//! {"payload": TEXT, "digest": null}                               unsigned, for users over HTTPS
//! ```
//! `payload` is a JSON document as text; the signature covers that very text, so it is never written anew.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use ca::Statement;
use serde::Deserialize;
use serde_json::json;
use x509::{Certificate, Digest, Serial, SigningRequest};

/// Padding may be missing; everything else is strict.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why an envelope cannot be used. The text is the answer's body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(String);

fn malformed(what: impl std::fmt::Display) -> Malformed {
    Malformed(what.to_string())
}

/// What came in an envelope: a statement, or words that only a signed-in user may say.
#[derive(Debug)]
pub(super) enum Envelope {
    Signed(Statement),
    Unsigned(String),
}

#[derive(Deserialize)]
struct Outer {
    payload: String,
    // Null is a word of its own; that it is missing is an error.
    #[serde(deserialize_with = "Option::deserialize")]
    digest: Option<String>,
    #[serde(default)]
    signature: Option<String>,
}

/// Opens an envelope without believing it.
pub(super) fn open(body: &[u8]) -> Result<Envelope, Malformed> {
    if !is_object(body) {
        return Err(malformed("Invalid json: not an object"));
    }
    let outer: Outer =
        serde_json::from_slice(body).map_err(|error| malformed(format!("Invalid json: {error}")))?;
    let Some(digest) = outer.digest else {
        return Ok(Envelope::Unsigned(outer.payload));
    };
    let digest = Digest::from_name(&digest).ok_or_else(|| malformed("Unsupported digest"))?;
    let signature = outer.signature.ok_or_else(|| malformed("Missing signature"))?;
    let compact: String = signature.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let signature = LENIENT.decode(compact).map_err(|_| malformed("The signature is not base64"))?;
    Ok(Envelope::Signed(Statement { text: outer.payload, digest, signature }))
}

/// What a holder who renews says.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) old: Certificate,
    pub(super) request: SigningRequest,
    /// The PEM text the request was read from.
    pub(super) request_text: String,
}

/// Reads the payload of a renewal.
pub(super) fn renewal(payload: &str) -> Result<Renewal, Malformed> {
    #[derive(Deserialize)]
    struct Payload {
        crt_pem: String,
        renew_csr_pem: String,
    }
    let payload: Payload = parse_payload(payload)?;
    Ok(Renewal {
        old: certificate(&payload.crt_pem)?,
        request: SigningRequest::from_pem(payload.renew_csr_pem.as_bytes())
            .map_err(|error| malformed(format!("Not a CSR: {error}")))?,
        request_text: payload.renew_csr_pem,
    })
}

/// What is to be revoked.
#[derive(Debug)]
pub(super) enum Revocation {
    Certificate(Certificate),
    Serial(Serial),
}

/// Reads the payload of a revocation. The serial is looked at only when there is no certificate.
pub(super) fn revocation(payload: &str) -> Result<Revocation, Malformed> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        // A certificate that is null is a mistake, and not the same as none.
        #[serde(default, deserialize_with = "some")]
        revoke_crt_pem: Option<String>,
        #[serde(default, borrow)]
        revoke_serial: Option<&'a serde_json::value::RawValue>,
    }
    let payload: Payload<'_> = parse_payload(payload)?;
    if let Some(pem) = payload.revoke_crt_pem {
        return Ok(Revocation::Certificate(certificate(&pem)?));
    }
    let serial =
        payload.revoke_serial.ok_or_else(|| malformed("Neither revoke_crt_pem nor revoke_serial"))?;
    Serial::from_decimal(serial.get())
        .map(Revocation::Serial)
        .ok_or_else(|| malformed("revoke_serial is not the serial number of a certificate"))
}

/// A value that must be there, because its name is.
fn some<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Whether the document is an object, if it is JSON at all. serde takes arrays for structures as well.
fn is_object(document: &[u8]) -> bool {
    document.trim_ascii_start().starts_with(b"{")
}

fn parse_payload<'a, T: Deserialize<'a>>(payload: &'a str) -> Result<T, Malformed> {
    if !is_object(payload.as_bytes()) {
        return Err(malformed("Invalid json payload: not an object"));
    }
    serde_json::from_str(payload).map_err(|error| malformed(format!("Invalid json payload: {error}")))
}

fn certificate(pem: &str) -> Result<Certificate, Malformed> {
    Certificate::from_pem(pem.as_bytes()).map_err(|error| malformed(format!("Not a certificate: {error}")))
}

/// That one CA certificate follows another, in words that clients know.
pub(super) fn succession(old: &Certificate, new: &Certificate) -> String {
    json!({ "old_pem": old.to_pem(), "new_pem": new.to_pem() }).to_string()
}

/// A statement as clients take it.
pub(super) fn seal(statement: &Statement) -> serde_json::Value {
    json!({
        "payload": statement.text,
        "digest": statement.digest.name(),
        // The original's encoder ends it with a newline; some old decoders want it.
        "signature": format!("{}\n", STANDARD.encode(&statement.signature)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_read_strictly() {
        for (body, expected) in [
            ("", "Invalid json"),
            ("[]", "Invalid json"),
            (r#"{"digest":null}"#, "Invalid json: missing field `payload`"),
            (r#"{"payload":"{}"}"#, "Invalid json: missing field `digest`"),
            (r#"{"payload":{},"digest":null}"#, "Invalid json"),
            (r#"{"payload":"{}","digest":"md5","signature":""}"#, "Unsupported digest"),
            (r#"{"payload":"{}","digest":"sha256"}"#, "Missing signature"),
            (r#"{"payload":"{}","digest":"sha256","signature":"é"}"#, "The signature is not base64"),
            (r#"{"payload":"{}","digest":["sha256"],"signature":""}"#, "Invalid json"),
        ] {
            let error = open(body.as_bytes()).expect_err(body);
            assert!(error.to_string().starts_with(expected), "{body}: {error}");
        }
        assert!(
            matches!(open(br#"{"payload":"x","digest":null}"#), Ok(Envelope::Unsigned(text)) if text == "x")
        );
        let signed =
            open(br#"{"payload":"x","digest":"sha384","signature":"AA ==\n"}"#).expect("an envelope");
        assert!(matches!(signed, Envelope::Signed(Statement { signature, .. }) if signature == [0]));
    }

    #[test]
    fn serials_are_whole_positive_numbers() {
        for payload in [
            r#"{"revoke_serial":"1"}"#,
            r#"{"revoke_serial":1.5}"#,
            r#"{"revoke_serial":1e3}"#,
            r#"{"revoke_serial":-1}"#,
            r#"{"revoke_serial":0}"#,
            r#"{"revoke_serial":null}"#,
            r#"{"revoke_serial":true}"#,
            r#"{"revoke_crt_pem":null}"#,
            r#"{"revoke_crt_pem":null,"revoke_serial":9}"#,
            "{}",
            "[]",
            "[null,7]",
        ] {
            assert!(revocation(payload).is_err(), "{payload}");
        }
        let large = r#"{"revoke_serial": 730750818665451459101842416358141509827966271487 }"#;
        assert!(matches!(revocation(large), Ok(Revocation::Serial(_))));
    }
}
