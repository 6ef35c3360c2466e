//! What can go wrong with a question to etcd, and what is known then.

use super::calls::Repeat;
use super::json::Refused;
use crate::Error;

/// How much is shown of an answer that was not expected.
const SAID_CHARACTERS_MAX: usize = 200;

/// gRPC's codes (<https://grpc.io/docs/guides/status-codes/>) that etcd answers with, as far as they matter.
pub(super) mod code {
    pub(in super::super) const INVALID_ARGUMENT: u32 = 3;
    pub(in super::super) const NOT_FOUND: u32 = 5;
    pub(in super::super) const PERMISSION_DENIED: u32 = 7;
    pub(in super::super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(in super::super) const FAILED_PRECONDITION: u32 = 9;
    pub(in super::super) const OUT_OF_RANGE: u32 = 11;
    pub(in super::super) const UNIMPLEMENTED: u32 = 12;
    pub(in super::super) const UNAUTHENTICATED: u32 = 16;
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// Nothing was done, as it could not be sent or only reads.
    Unavailable(String),
    /// It was sent. Whether it was or will be done is not known.
    Unknown(String),
    /// etcd refused, and did nothing.
    Refused(Refusal),
    /// The answer is longer than is read.
    TooLong,
}

impl CallError {
    /// For an answer that cannot be understood.
    pub(super) fn broken(reason: String, repeat: Repeat) -> Self {
        match repeat {
            Repeat::Reads => Self::Unavailable(reason),
            Repeat::Guarded | Repeat::Never => Self::Unknown(reason),
        }
    }

    /// For an answer that is too long to be read.
    pub(super) fn too_long(repeat: Repeat) -> Self {
        match repeat {
            Repeat::Reads => Self::TooLong,
            Repeat::Guarded | Repeat::Never => Self::Unknown("etcd's answer is too long".into()),
        }
    }

    /// As an error of something that only reads.
    pub(super) fn reading(self, doing: &'static str) -> Error {
        match self {
            Self::Unavailable(reason) | Self::Unknown(reason) => Error::Unavailable { doing, reason },
            Self::Refused(refusal) => refusal.explain(doing),
            Self::TooLong => Error::Engine { doing, reason: "etcd's answer is too long".into() },
        }
    }
}

/// What etcd says when it refuses.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: u32,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn explain(self, doing: &'static str) -> Error {
        if self.code == code::RESOURCE_EXHAUSTED && self.message.contains("space exceeded") {
            return Error::Full;
        }
        if self.code == code::OUT_OF_RANGE && self.message.contains("compacted") {
            return Error::Forgotten { reason: self.message };
        }
        let reason = format!("etcd refuses: {}", self.message);
        if self.is_of_the_user() { Error::Refused { doing, reason } } else { Error::Engine { doing, reason } }
    }

    /// Whether somebody else might be let in, or be allowed this.
    fn is_of_the_user(&self) -> bool {
        self.code == code::PERMISSION_DENIED
            || self.is_of_the_token()
            || self.message.contains("authentication failed")
    }

    /// Whether signing in again may help: the token has ended, there was none, or etcd's users have changed.
    pub(super) fn is_of_the_token(&self) -> bool {
        self.code == code::UNAUTHENTICATED
            || ["user name is empty", "auth store is old", "revision in header is old"]
                .iter()
                .any(|sign| self.message.contains(sign))
    }

    /// Whether etcd has too much to do, and did not begin with this.
    pub(super) fn is_of_load(&self) -> bool {
        self.code == code::RESOURCE_EXHAUSTED && self.message.contains("too many requests")
    }
}

/// Why one attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    NotSent(String),
    Lost(String),
    Refused(Refusal),
    TooLong,
}

/// What an answer means that is no good one.
pub(super) fn refused(status: u16, body: &[u8]) -> Failure {
    let Ok(refused) = serde_json::from_slice::<Refused>(body) else {
        let said: String = String::from_utf8_lossy(body).trim().chars().take(SAID_CHARACTERS_MAX).collect();
        return match status {
            404 | 405 => {
                let message = "what answers there is not etcd's JSON gateway, or it is switched off".into();
                Failure::Refused(Refusal { code: code::UNIMPLEMENTED, message })
            }
            // In front of its gateway etcd speaks plainly.
            400 | 401 | 403 => Failure::Refused(Refusal { code: code::FAILED_PRECONDITION, message: said }),
            _ => Failure::Lost(format!("it answers {status}, {said:?}")),
        };
    };
    if refused.code == code::RESOURCE_EXHAUSTED && refused.message.contains("larger than max") {
        // Some versions limit what their gateway takes from etcd itself.
        return Failure::TooLong;
    }
    match refused.code {
        code::INVALID_ARGUMENT
        | code::NOT_FOUND
        | code::PERMISSION_DENIED
        | code::RESOURCE_EXHAUSTED
        | code::FAILED_PRECONDITION
        | code::OUT_OF_RANGE
        | code::UNIMPLEMENTED
        | code::UNAUTHENTICATED => Failure::Refused(Refusal { code: refused.code, message: refused.message }),
        // No leader, a timeout within etcd, a lost leader: it may have been passed on.
        _ => Failure::Lost(refused.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an operator can put right is not a fault of ours.
    #[test]
    fn refusals_of_the_user_are_told_from_faults() {
        for (code, message, expected) in [
            (code::INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password", true),
            (code::PERMISSION_DENIED, "etcdserver: permission denied", true),
            (code::UNAUTHENTICATED, "etcdserver: invalid auth token", true),
            (code::INVALID_ARGUMENT, "etcdserver: user name is empty", true),
            (code::INVALID_ARGUMENT, "etcdserver: key is not provided", false),
            (code::UNIMPLEMENTED, "what answers there is not etcd's JSON gateway", false),
        ] {
            let error = Refusal { code, message: message.to_owned() }.explain("reading");
            assert_eq!(matches!(error, Error::Refused { .. }), expected, "{error}");
        }
    }

    #[test]
    fn what_did_nothing_is_told_from_what_may_have() {
        let check = |status, body: &str, expected: &str| {
            let found = format!("{:?}", refused(status, body.as_bytes()));
            assert!(found.starts_with(expected), "{body}: {found}");
        };
        check(400, r#"{"error":"x","message":"x","code":3}"#, "Refused");
        check(401, r#"{"error":"x","message":"etcdserver: invalid auth token","code":16}"#, "Refused");
        check(429, r#"{"message":"etcdserver: mvcc: database space exceeded","code":8}"#, "Refused");
        check(429, r#"{"message":"grpc: received message larger than max (9 vs. 4)","code":8}"#, "TooLong");
        check(503, r#"{"message":"etcdserver: request timed out","code":14}"#, "Lost");
        check(503, r#"{"message":"etcdserver: no leader","code":14}"#, "Lost");
        check(500, r#"{"message":"?","code":2}"#, "Lost");
        check(404, "404 page not found", "Refused");
        check(400, "CommonName of client ...", "Refused");
        check(502, "<html>", "Lost");
    }
}
