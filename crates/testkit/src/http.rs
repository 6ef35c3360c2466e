//! HTTP clients that do not verify the server, as caucase's do not, and follow no redirection.

use std::path::Path;
use std::sync::Once;

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Identity};

use crate::wait::LIMIT;

pub use reqwest::Method;
pub use reqwest::blocking::Response;

fn builder() -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Somebody else in this process may have chosen the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    Client::builder().user_agent("testkit").no_proxy().redirect(Policy::none()).timeout(LIMIT)
}

/// A client without a certificate.
#[must_use]
pub fn anybody() -> Client {
    builder().tls_danger_accept_invalid_certs(true).build().unwrap()
}

/// A client that presents the certificate in `file`, whose key is in it as well.
#[must_use]
pub fn holder_of(file: &Path) -> Client {
    let pem = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let identity = Identity::from_pem(&pem).unwrap();
    builder().tls_danger_accept_invalid_certs(true).identity(identity).build().unwrap()
}

/// A client that does verify the server, and trusts the certificate in `file` alone.
#[must_use]
pub fn trusting(file: &Path) -> Client {
    let pem = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let root = Certificate::from_pem(&pem).unwrap();
    builder().tls_certs_only([root]).build().unwrap()
}

/// The value of a header, which must be text.
#[must_use]
pub fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().unwrap().to_owned())
}
