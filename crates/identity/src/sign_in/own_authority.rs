//! Sign-in by a certificate of our own authorities: the one for users, and the one for services.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base::{Explain, Kind, Timestamp};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use x509::{Certificate, Serial, VerifyError};

use super::attempt::Attempt;
use super::client_certificate::is_for_clients;
use super::method::{Away, Known, Method, Verdict};
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
    check(certificate, anchors, is_revoked, now)?;
    let name = format!("user certificate {} ({})", certificate.serial(), certificate.subject());
    let account = format!("user {}", certificate.subject());
    Ok(Principal::new(name, Role::Administrator, from).with_account(account.into()))
}

/// The same for a certificate of our services authority: a machine's or a program's. It may read and put artifacts
/// where services are let in, and nothing else.
///
/// # Errors
/// As for [`certificate`].
pub fn service_certificate(
    certificate: &Certificate,
    anchors: &[Certificate],
    is_revoked: impl Fn(&Serial) -> bool,
    now: Timestamp,
    from: Option<IpAddr>,
) -> Result<Principal, SignInError> {
    check(certificate, anchors, is_revoked, now)?;
    let name = format!("service certificate {} ({})", certificate.serial(), certificate.subject());
    let account = format!("service {}", certificate.subject());
    Ok(Principal::new(name, Role::Publisher, from).with_account(account.into()))
}

fn check(
    certificate: &Certificate,
    anchors: &[Certificate],
    is_revoked: impl Fn(&Serial) -> bool,
    now: Timestamp,
) -> Result<(), SignInError> {
    x509::verify(certificate, anchors, now).map_err(SignInError::Certificate)?;
    if is_revoked(&certificate.serial()) {
        return Err(SignInError::Certificate(VerifyError::Revoked));
    }
    Ok(())
}

/// Asks one of our own authorities whose certificate it is: [`certificate`] or [`service_certificate`], with what
/// the authority trusts and has revoked now.
pub type AskAuthority =
    Arc<dyn Fn(Certificate) -> BoxFuture<'static, Result<Principal, AskAuthorityError>> + Send + Sync>;

/// Why an authority of ours vouches for nobody.
#[derive(Debug)]
pub enum AskAuthorityError {
    /// It looked, and the certificate is not good.
    Refused(SignInError),
    /// It could not look.
    Unavailable(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for AskAuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "the certificate is not one of this authority's",
            Self::Unavailable(_) => "who asks could not be looked up",
        })
    }
}

impl Error for AskAuthorityError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(source) => Some(source),
            Self::Unavailable(source) => Some(&**source),
        }
    }
}

/// Holders of the certificates of one of our own authorities.
pub(crate) struct Holders {
    /// What the method is called.
    pub(crate) method: &'static str,
    pub(crate) authority: AskAuthority,
    pub(crate) roles: Roles,
}

impl Holders {
    async fn look(&self, certificate: &Certificate) -> Verdict {
        if !is_for_clients(certificate) {
            tracing::debug!(serial = %certificate.serial(), "a certificate is not for clients");
            return Verdict::Failure;
        }
        match (self.authority)(certificate.clone()).await {
            Ok(holder) => {
                let common_name = certificate.subject().common_name();
                match self.roles.of(common_name.as_deref(), []) {
                    Some(role) => {
                        let known = Known::new(holder.name().to_owned(), role);
                        Verdict::Success(Arc::new(known.with_account(holder.account().to_owned())))
                    }
                    None => Verdict::Failure,
                }
            }
            Err(error @ AskAuthorityError::Refused(_)) => {
                let error = base::report(&error);
                tracing::debug!(serial = %certificate.serial(), error, "a client certificate is not trusted");
                Verdict::Failure
            }
            Err(error @ AskAuthorityError::Unavailable(_)) => {
                tracing::warn!(
                    method = self.method,
                    error = base::report(&error),
                    "the authority could not be asked"
                );
                Verdict::Unavailable(Away::Store)
            }
        }
    }
}

impl Method for Holders {
    fn name(&self) -> &'static str {
        self.method
    }

    fn judge<'a>(&'a self, attempt: &'a Attempt<'a>, _: &'a Offer) -> BoxFuture<'a, Verdict> {
        match attempt.certificate {
            Some(certificate) => self.look(certificate).boxed(),
            None => std::future::ready(Verdict::Failure).boxed(),
        }
    }
}
