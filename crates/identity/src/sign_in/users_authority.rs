//! Sign-in by a certificate of our own users authority.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base::{Explain, Kind, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use x509::{Certificate, Serial, VerifyError};

use super::attempt::Attempt;
use super::method::{Known, Method, Verdict};
use super::offer::Offer;
use super::roles::Roles;
use crate::{Principal, Role};

/// Why a sign-in by certificate failed.
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
    Ok(Principal::new(name_of(certificate), Role::Administrator, from))
}

/// How the history names the holder.
fn name_of(certificate: &Certificate) -> String {
    format!("user certificate {} ({})", certificate.serial(), certificate.subject())
}

/// Asks the users authority whose certificate it is: [`certificate`], with what the authority trusts and has
/// revoked now.
pub type UsersAuthority =
    Arc<dyn Fn(Certificate) -> BoxFuture<'static, Result<Principal, UsersAuthorityError>> + Send + Sync>;

/// Why the users authority vouches for nobody.
#[derive(Debug)]
pub enum UsersAuthorityError {
    /// It looked, and the certificate is not good.
    Refused(SignInError),
    /// It could not look.
    Unavailable(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for UsersAuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "the certificate is not a user's",
            Self::Unavailable(_) => "who asks could not be looked up",
        })
    }
}

impl Error for UsersAuthorityError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(source) => Some(source),
            Self::Unavailable(source) => Some(&**source),
        }
    }
}

/// Holders of our own users authority's certificates.
pub(crate) struct Users {
    pub(crate) authority: UsersAuthority,
    pub(crate) roles: Roles,
}

impl Users {
    async fn look(&self, certificate: &Certificate) -> Verdict {
        match (self.authority)(certificate.clone()).await {
            Ok(user) => {
                let common_name = certificate.subject().common_name();
                match self.roles.of(common_name.as_deref(), []) {
                    Some(role) => Verdict::Success(Arc::new(Known::new(user.name().to_owned(), role))),
                    None => Verdict::Failure,
                }
            }
            Err(error @ UsersAuthorityError::Refused(_)) => {
                let error = base::report(&error);
                tracing::debug!(serial = %certificate.serial(), error, "a client certificate is not trusted");
                Verdict::Failure
            }
            Err(error @ UsersAuthorityError::Unavailable(_)) => {
                tracing::warn!(error = base::report(&error), "the users authority could not be asked");
                Verdict::Unavailable
            }
        }
    }
}

impl Method for Users {
    fn name(&self) -> &'static str {
        "users-authority"
    }

    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, _: &'a Offer) -> BoxFuture<'a, Verdict> {
        match attempt.certificate {
            Some(certificate) => self.look(certificate).boxed(),
            None => std::future::ready(Verdict::Failure).boxed(),
        }
    }
}
