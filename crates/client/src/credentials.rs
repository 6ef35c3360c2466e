//! What proves who asks.

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use zeroize::Zeroize;

/// What goes into the `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorization {
    /// A user name and a password (RFC 7617).
    Basic {
        /// The name; it has no colon.
        username: String,
        /// The password.
        password: Secret<String>,
    },
    /// A token (RFC 6750).
    Bearer(Secret<String>),
}

/// Everything that is presented with a request.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// What goes into the `Authorization` header.
    pub authorization: Option<Authorization>,
    /// A client certificate and its key, both PEM, for TLS.
    pub certificate: Option<Secret<Vec<u8>>>,
}

impl Authorization {
    /// The header's value, marked so that nothing logs it. An error when a token has what no header may have.
    pub(crate) fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut text = match self {
            Self::Basic { username, password } => {
                let mut pair = format!("{username}:{}", password.expose());
                let encoded = STANDARD.encode(&pair);
                pair.zeroize();
                format!("Basic {encoded}")
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let header = HeaderValue::from_str(&text);
        text.zeroize();
        header.map(|mut header| {
            header.set_sensitive(true);
            header
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_what_the_rfcs_say() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let basic = Authorization::Basic { username: "Aladdin".into(), password: secret("open sesame") };
        assert_eq!(basic.header().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let utf8 = Authorization::Basic { username: "test".into(), password: secret("123£") };
        assert_eq!(utf8.header().unwrap(), "Basic dGVzdDoxMjPCow==");
        let bearer = Authorization::Bearer(secret("mF_9.B5f-4.1JqM"));
        assert_eq!(bearer.header().unwrap(), "Bearer mF_9.B5f-4.1JqM");
        assert!(bearer.header().unwrap().is_sensitive());
        assert!(Authorization::Bearer(secret("a\nb")).header().is_err());
        assert_eq!(format!("{bearer:?}"), "Bearer(Secret(..))");
    }
}
