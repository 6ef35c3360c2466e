//! Sign-in methods: how somebody proves who they are.

use std::net::IpAddr;

use base::{Explain, Kind, Timestamp};
use x509::{Certificate, Serial, VerifyError};

use crate::{Principal, Role};

/// Why a sign-in failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignInError {
    /// No means of sign-in was offered.
    #[error("no client certificate was presented")]
    Nothing,
    /// The certificate offered is not good, or no longer.
    #[error("Certificate verification error: {0}")]
    Certificate(VerifyError),
}

impl Explain for SignInError {
    fn kind(&self) -> Kind {
        match self {
            Self::Nothing | Self::Certificate(_) => Kind::Unauthenticated,
        }
    }
}

/// Signs in the holder of `certificate`, who proved possession of its key in the TLS handshake.
///
/// `anchors` are the users authority's certificates that are trusted now, `is_revoked` knows its
/// revocations. One level of privilege: every user is an administrator (caucase contract, section 1).
///
/// # Errors
/// [`SignInError::Certificate`] when the certificate is expired, foreign or revoked.
pub fn certificate(
    certificate: &Certificate,
    anchors: &[Certificate],
    is_revoked: impl Fn(&Serial) -> bool,
    now: Timestamp,
    from: Option<IpAddr>,
) -> Result<Principal, SignInError> {
    x509::verify(certificate, anchors, now).map_err(SignInError::Certificate)?;
    if is_revoked(&certificate.serial()) {
        return Err(SignInError::Certificate(VerifyError::Revoked));
    }
    let name = format!("user certificate {} ({})", certificate.serial(), certificate.subject());
    Ok(Principal::new(name, Role::Administrator, from))
}
