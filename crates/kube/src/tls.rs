//! How TLS is spoken with an API server.

use base::Clock;
use rustls::ClientConfig;
use tls::{Identity, TlsError};

use crate::settings::{Settings, SettingsError, Trust};

pub(crate) fn config(settings: &Settings, clock: &Clock) -> Result<ClientConfig, SettingsError> {
    let is_https = settings.server.is_https();
    let trust = match &settings.trust {
        _ if !is_https => tls::Trust::Nobody,
        Trust::System => tls::Trust::System,
        Trust::Only(pem) => tls::Trust::Only(pem),
        Trust::Anyone => tls::Trust::Anyone,
    };
    let certificate = settings.credentials.certificate.as_ref();
    if certificate.is_some() && !is_https {
        return Err(SettingsError::CertificateWithoutTls);
    }
    let identity = certificate.map(|own| Identity { chain: &own.chain, key: &own.key });
    tls::config(trust, identity, clock.clone()).map_err(|error| match error {
        TlsError::NoAuthorities => SettingsError::NoAuthorities,
        TlsError::Authorities(reason) => SettingsError::Authorities(reason),
        TlsError::Identity(reason) => SettingsError::Certificate(reason),
    })
}
