//! What went wrong, in our words.

use object_store::Error as StoreError;

use crate::blobs::contract::Error;

/// What the servers say when there is no room: the status (RFC 4918 §11.5), MinIO's words, and those of quotas.
const FULL: [&str; 3] = ["507 Insufficient", "StorageFull", "QuotaExceeded"];
/// What `object_store` says before a status that is an error.
const STATUS: &str = "non-2xx status code: ";
/// What it says of a redirection, which S3 answers with to who asks in the wrong region.
const REDIRECT: &str = "redirect without LOCATION";
/// No more of what a server says is repeated, in characters.
const SAID_MAX: usize = 300;

/// Whether it is said that there is no such object. A bucket that is not there is another matter.
pub(super) fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. }) && !cause(error).contains("NoSuchBucket")
}

/// What was said, in our words.
pub(super) fn failed(doing: &'static str) -> impl Fn(StoreError) -> Error {
    move |error| told(doing, &cause(&error))
}

/// What the innermost error says: each one outside of it repeats all that is within.
fn cause(error: &StoreError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn told(doing: &'static str, cause: &str) -> Error {
    let reason = said(cause);
    let status = cause.split_once(STATUS).and_then(|(_, rest)| rest.get(..3)).unwrap_or_default();
    match status {
        _ if FULL.iter().any(|word| cause.contains(word)) => Error::Full,
        "416" => Error::Damaged { reason: "it has become shorter".into() },
        // These may pass, and were tried again for long enough.
        "408" | "429" => Error::Unavailable { doing, reason },
        _ if status.starts_with(['3', '4']) || cause.contains(REDIRECT) => Error::Refused { doing, reason },
        _ => Error::Unavailable { doing, reason },
    }
}

/// What the server said, in short. Its whole answer is long XML, in which it repeats what was signed, and with it
/// what is secret of a temporary key.
fn said(cause: &str) -> String {
    let of = |tag: &str| {
        let (_, rest) = cause.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(text, _)| text)
    };
    let said = match (of("Code"), of("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => cause.split('<').next().unwrap_or_default().trim_end_matches([' ', ':']).to_owned(),
    };
    said.chars().take(SAID_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_in_short_and_by_its_kind() {
        let check = |cause: &str, expected: Error| assert_eq!(told("reading", cause), expected, "{cause}");
        let status = |status: &str, xml: &str| format!("Server returned {STATUS}{status}: {xml}");
        let refused = |reason: &str| Error::Refused { doing: "reading", reason: reason.into() };
        let unavailable = |reason: &str| Error::Unavailable { doing: "reading", reason: reason.into() };
        let signed = "<Error><Code>SignatureDoesNotMatch</Code><Message>They differ.</Message>\
                      <CanonicalRequest>x-amz-security-token:hunter2</CanonicalRequest></Error>";
        check(&status("403 Forbidden", signed), refused("SignatureDoesNotMatch: They differ."));
        check(&status("404 Not Found", "<Code>NoSuchBucket</Code>"), refused("NoSuchBucket"));
        let html = status("400 Bad Request", "<html>hunter2</html>");
        check(&html, refused("Server returned non-2xx status code: 400 Bad Request"));
        check(
            &format!("Received {REDIRECT}, wrong region"),
            refused(&format!("Received {REDIRECT}, wrong region")),
        );
        check(&status("503 Slow Down", "<Code>SlowDown</Code>"), unavailable("SlowDown"));
        check(&status("429 Too Many Requests", "<Code>Later</Code>"), unavailable("Later"));
        check(
            "error sending request: connection refused",
            unavailable("error sending request: connection refused"),
        );
        check(&status("507 Insufficient Storage", "<Code>XMinioStorageFull</Code>"), Error::Full);
        check(&status("403 Forbidden", "<Code>QuotaExceeded</Code>"), Error::Full);
        check(&status("416 Range", ""), Error::Damaged { reason: "it has become shorter".into() });
        check(&"ä".repeat(1000), unavailable(&"ä".repeat(SAID_MAX)));
    }
}
