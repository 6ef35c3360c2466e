//! caucase's interface, as those ask it who hold certificates of its authorities, or trust them: `/cas` and `/cau`
//! (caucase contract, sections 3 and 7.1).
//!
//! ```text
//! ServerUrl ──► Server ──► PEM, numbers of requests     (ask, ask_error)
//! chain, anchors, follow, certificates                   which CA certificates there are (chain)
//! lists ──► which revocation lists there are             (lists)
//! statement: what is signed by the key of a certificate
//! ```
//! What comes over plain HTTP, or from a server whose certificate says nothing, is believed where a signature of a CA
//! certificate that is known covers it, and nowhere else.

mod ask;
mod ask_error;
mod chain;
mod lists;
mod statement;
mod url;

use std::fmt;
use std::str::FromStr;

use reqwest::Method;

pub use ask::{Pending, Server};
pub use ask_error::{AskError, Fault};
pub use chain::{Unusable, anchors, certificates, follow, pinned};
pub use lists::{Lists, UnusableLists};
pub use url::{BadServerUrl, ServerUrl};

use crate::request::Request;

/// One of a server's two authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// `cas`, whose certificates services have.
    Services,
    /// `cau`, whose certificates users have.
    Users,
}

/// A text that is the name of neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no authority: there are `cas`, of services, and `cau`, of users")]
pub struct BadAuthority(String);

impl Authority {
    /// As it is called in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Services => "cas",
            Self::Users => "cau",
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Authority {
    type Err = BadAuthority;

    fn from_str(text: &str) -> Result<Self, BadAuthority> {
        [Self::Services, Self::Users]
            .into_iter()
            .find(|authority| authority.name() == text)
            .ok_or_else(|| BadAuthority(text.to_owned()))
    }
}

/// The oldest CA certificate that is valid, PEM.
#[must_use]
pub fn oldest(authority: Authority) -> Request {
    Request::new(Method::GET, "", &[authority.name(), "crt", "ca.crt.pem"], None)
}

/// The chain of those that followed.
#[must_use]
pub fn chain(authority: Authority) -> Request {
    Request::new(Method::GET, "", &[authority.name(), "crt", "ca.crt.json"], None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_have_names() {
        assert_eq!(
            (oldest(Authority::Services).path(), "cas".parse()),
            ("/cas/crt/ca.crt.pem", Ok(Authority::Services))
        );
        assert_eq!(
            (chain(Authority::Users).path(), "cau".parse()),
            ("/cau/crt/ca.crt.json", Ok(Authority::Users))
        );
        assert!("CAS".parse::<Authority>().unwrap_err().to_string().contains("`CAS` is no authority"));
    }
}
