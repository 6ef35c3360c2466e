//! Why a server of caucase's dialect gave no answer, or none that can be used.

use std::error::Error as _;
use std::io;

use base::{Explain, Kind};
use reqwest::Method;
use x509::{KeyKind, PublicKey};

use crate::answer::one_line;
use crate::client::BuildError;

/// Why there is no answer, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The network, or the server at its other end.
    #[error("no answer to {method} {url}: {why}")]
    Network {
        /// What was asked.
        method: Method,
        /// Of which URL.
        url: String,
        /// Why, in one line.
        why: String,
        /// What it was.
        fault: Fault,
    },
    /// The server says no.
    #[error("the server answered {status} to {method} {url}{}", said(.detail))]
    Refused {
        /// What was asked.
        method: Method,
        /// Of which URL.
        url: String,
        /// The answer's status.
        status: u16,
        /// What the server says about it, in one line.
        detail: Option<String>,
        /// After how many seconds it wants to be asked again (RFC 9110, section 10.2.3).
        retry_after: Option<u64>,
        /// Whether another key than an RSA one signed what was asked, or is in it.
        is_of_other_key: bool,
    },
    /// The answer is longer than anything that could be meant.
    #[error("the answer to {method} {url} is longer than {bytes_max} bytes")]
    TooLarge {
        /// What was asked.
        method: Method,
        /// Of which URL.
        url: String,
        /// How much is taken.
        bytes_max: usize,
    },
    /// The server speaks another language.
    #[error("the answer to {method} {url} is no {wanted}")]
    Garbled {
        /// What was asked.
        method: Method,
        /// Of which URL.
        url: String,
        /// What it should have been.
        wanted: &'static str,
    },
    /// Nobody can be asked: a certificate and its key are of no use for TLS.
    #[error("the user's certificate and key cannot be used for TLS")]
    Identity(#[source] BuildError),
}

/// What goes wrong on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The name has no address.
    Unresolved,
    /// Nobody listens there.
    Refused,
    /// The other end broke the connection.
    Reset,
    /// The other end ended the connection before it had answered.
    Closed,
    /// Nothing was said for too long.
    Silent,
    /// The other end does not take the certificate that it was shown, or misses one.
    Unwelcome,
    /// What was said is no HTTP, or no TLS.
    Garbled,
    /// Anything else.
    Other,
}

fn said(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
}

impl AskError {
    /// Whether asking again later may help, without anybody doing anything: it is the network's.
    #[must_use]
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Network { .. })
    }

    /// Whether a renewal was refused because the certificate was revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        matches!(self, Self::Refused { status: 400, url, detail: Some(detail), .. }
            if url.ends_with("/crt/renew") && detail.ends_with("revoked"))
    }

    /// The same, where `keys` signed what was asked, or were in it.
    pub(super) fn about_keys(mut self, keys: &[&PublicKey]) -> Self {
        if let Self::Refused { is_of_other_key, .. } = &mut self {
            *is_of_other_key = keys.iter().any(|key| !matches!(key.kind(), KeyKind::Rsa { .. }));
        }
        self
    }

    /// The status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl AskError {
    /// After how many seconds the server wants to be asked again, if it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Explain for AskError {
    fn kind(&self) -> Kind {
        match self {
            Self::Network { fault: Fault::Silent, .. } => Kind::TimedOut,
            Self::Network { fault: Fault::Unwelcome, .. } => Kind::Unauthenticated,
            Self::Network { .. } => Kind::Unavailable,
            Self::Refused { status, .. } => match status {
                401 => Kind::Unauthenticated,
                403 => Kind::Forbidden,
                404 => Kind::NotFound,
                409 => Kind::Conflict,
                413 => Kind::TooLarge,
                507 => Kind::Full,
                408 => Kind::TimedOut,
                429 | 500.. => Kind::Unavailable,
                _ => Kind::Invalid,
            },
            Self::TooLarge { .. } => Kind::TooLarge,
            // What somebody else says is no fault of ours.
            Self::Garbled { .. } => Kind::Invalid,
            Self::Identity(error) => error.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Network { fault: Fault::Refused, url, .. } if url.starts_with("https://") => Some(
                "is the URL right, and the server running? It is that of plain HTTP, and HTTPS is at the next port"
                    .into(),
            ),
            Self::Network { fault: Fault::Refused, .. } => {
                Some("is the URL right, and the server running?".into())
            }
            Self::Network { fault: Fault::Unresolved, .. } => Some(
                "is the URL right? Nothing here knows the name in it: DNS or /etc/hosts has to, or the URL has the address".into(),
            ),
            Self::Network { fault: Fault::Unwelcome, .. } => {
                Some("the user's certificate is not taken: is it of this server's users, and neither over nor revoked?".into())
            }
            // With TLS 1.3 the reason often comes too late to be heard.
            Self::Network { fault: fault @ (Fault::Closed | Fault::Reset | Fault::Garbled), url, why, .. }
                if url.starts_with("https://")
                    && (*fault != Fault::Garbled || why.starts_with("received fatal alert")) => Some(
                "where a user's certificate is not taken, it ends like this: is it of this server's users, and neither over \
                 nor revoked?"
                    .into(),
            ),
            // The original's HTTPS port ends like this, too.
            Self::Network { fault: Fault::Closed | Fault::Reset, .. } => Some(
                "is the server being stopped or started? If it always ends like this, look at the URL: it is that of plain \
                 HTTP, and HTTPS is at the next port"
                    .into(),
            ),
            Self::Network { fault: Fault::Garbled, .. } => Some(
                "something else answers there; the URL is that of plain HTTP, and HTTPS is at the next port"
                    .into(),
            ),
            Self::Refused { status: 401, .. } => {
                Some("this takes the certificate of a user that is neither over nor revoked".into())
            }
            Self::Refused { status: 500, is_of_other_key: true, .. } => {
                Some("the original server knows RSA keys only, for renewing and for revoking one's own".into())
            }
            Self::Refused { .. } if self.is_revoked() => {
                Some("it cannot be renewed any more: ask for another one, with a new key".into())
            }
            Self::Refused { status: 409, url, .. } if url.ends_with("/crt/revoke") => {
                Some("it is revoked already".into())
            }
            Self::Refused { status: 507, .. } => {
                Some("too many requests wait already: somebody has to approve or reject some".into())
            }
            _ => None,
        }
    }
}

impl AskError {
    /// What the network did to a request.
    pub(super) fn network(method: &Method, url: &str, error: reqwest::Error) -> Self {
        let fault = Fault::of(&error);
        let why = innermost(&error.without_url());
        Self::Network { method: method.clone(), url: url.to_owned(), why, fault }
    }
}

/// What went wrong at the bottom of it: what is above says how the libraries are stacked. Where they end with an address to read
/// at, it is left out.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    one_line(text.split(": http").next().unwrap_or(&text))
}

/// Whether the other end said, in TLS, that it does not take the certificate it was shown, or that it wants one: wherever in
/// `error` that is, as it comes during the handshake or only when the answer is read.
fn is_unwelcome(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::AlertDescription as Alert;
    if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref() {
        return matches!(
            alert,
            Alert::UnknownCA
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::CertificateRequired
                | Alert::AccessDenied
        );
    }
    // What an I/O error was made of is not its source: that is the source of what it was made of.
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    within.is_some_and(|within| is_unwelcome(within)) || error.source().is_some_and(is_unwelcome)
}

impl Fault {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Silent;
        }
        if is_unwelcome(error) {
            return Self::Unwelcome;
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                match error.kind() {
                    io::ErrorKind::ConnectionRefused => return Self::Refused,
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => return Self::Reset,
                    io::ErrorKind::TimedOut => return Self::Silent,
                    io::ErrorKind::UnexpectedEof => return Self::Closed,
                    io::ErrorKind::InvalidData => return Self::Garbled,
                    _ => {}
                }
            }
            let text = error.to_string();
            if text.starts_with("dns error") || text.contains("failed to lookup address") {
                return Self::Unresolved;
            }
            if text == "connection closed"
                || text.contains("connection closed before")
                || text.contains("IncompleteMessage")
            {
                return Self::Closed;
            }
            if text.contains("invalid HTTP") || text.contains("parsed") {
                return Self::Garbled;
            }
            cause = error.source();
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use x509::{KeySpec, PrivateKey};

    use super::*;

    /// What the original cannot do with other keys is not said to whoever has one that it knows.
    #[test]
    fn a_server_that_is_out_of_order_is_told_from_one_that_knows_rsa_alone() {
        let [rsa, other] =
            [KeySpec::Rsa { bits: 2048 }, KeySpec::P256].map(|spec| PrivateKey::generate(spec).unwrap());
        let hint = |status, keys: &[&PrivateKey]| {
            let (method, url) = (Method::PUT, "http://ca/cas/crt/renew".to_owned());
            let refused = AskError::Refused {
                method,
                url,
                status,
                detail: None,
                retry_after: None,
                is_of_other_key: false,
            };
            let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
            refused.about_keys(&keys).help().unwrap_or_default()
        };
        assert!(hint(500, &[&other, &other]).contains("RSA keys only"));
        assert!(hint(500, &[&rsa, &other]).contains("RSA keys only"));
        assert_eq!(hint(500, &[&rsa, &rsa]), "");
        assert_eq!(hint(503, &[&other]), "");
    }
}
