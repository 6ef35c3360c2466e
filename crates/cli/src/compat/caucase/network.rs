//! What the network does wrong, in Python's words, which supervisors' logs are searched for.

use client::compat::caucase::{AskError, Fault};

use super::python::quoted;
use crate::holder::HolderError;

/// The exception that Python would have raised, and its text: `ConnectionRefusedError: '[Errno 111] Connection refused'`.
/// Nothing where it is not the network's fault.
pub(super) fn exception(error: &HolderError) -> Option<String> {
    let HolderError::Ask(AskError::Network { fault, why, .. }) = error else { return None };
    let (class, text) = match fault {
        Fault::Refused => ("ConnectionRefusedError", "[Errno 111] Connection refused"),
        Fault::Unresolved => ("gaierror", "[Errno -2] Name or service not known"),
        Fault::Reset => ("ConnectionResetError", "[Errno 104] Connection reset by peer"),
        Fault::Closed => ("RemoteDisconnected", "Remote end closed connection without response"),
        Fault::Silent => ("TimeoutError", "timed out"),
        Fault::Unwelcome => ("SSLError", why.as_str()),
        Fault::Garbled => ("BadStatusLine", why.as_str()),
        Fault::Other => ("OSError", why.as_str()),
    };
    Some(format!("{class}: {}", quoted(text)))
}

#[cfg(test)]
mod tests {
    use client::Method;

    use super::*;

    #[test]
    fn faults_are_named_as_python_names_them() {
        for (fault, expected) in [
            (Fault::Refused, "ConnectionRefusedError: '[Errno 111] Connection refused'"),
            (Fault::Unresolved, "gaierror: '[Errno -2] Name or service not known'"),
            (Fault::Reset, "ConnectionResetError: '[Errno 104] Connection reset by peer'"),
            (Fault::Closed, "RemoteDisconnected: 'Remote end closed connection without response'"),
            (Fault::Silent, "TimeoutError: 'timed out'"),
            (Fault::Garbled, r#"BadStatusLine: "it's no HTTP""#),
            (Fault::Other, r#"OSError: "it's no HTTP""#),
        ] {
            let why = "it's no HTTP".to_owned();
            let error = AskError::Network { method: Method::GET, url: "http://ca".into(), why, fault };
            assert_eq!(exception(&error.into()).as_deref(), Some(expected));
        }
        let refused = AskError::Refused {
            method: Method::GET,
            url: "http://ca".into(),
            status: 500,
            detail: None,
            retry_after: None,
            is_of_other_key: false,
        };
        assert_eq!(exception(&refused.into()), None);
    }
}
