//! What the options of each plugin are, as a method of sign-in.

use std::path::Path;

use identity::sign_in::{
    BasicConfig, ClientCertificateConfig, KeystoneConfig, MethodConfig, OpenShiftConfig, TokenReviewConfig,
    users,
};

use super::options::Options;

/// Names and passwords.
pub fn basic(options: &mut Options) -> BasicConfig {
    let role = options.role();
    let file = options.path("filepath");
    let inline = options.take("users");
    if inline.is_none() && file.is_none() {
        options
            .notes
            .push(options.problem("users", "there are neither `users` nor a `filepath`, so nobody signs in"));
    }
    let (found, wrong) = inline.map(|value| users(&value, role)).unwrap_or_default();
    // As with the original: they cannot sign in, and everybody else can.
    options.notes.extend(wrong.iter().map(|wrong| options.problem("users", wrong)).collect::<Vec<_>>());
    let cache_seconds = options.cache_seconds(BasicConfig::CACHE_SECONDS);
    BasicConfig { users: found, file, role, cache_seconds }
}

/// Certificates of the authorities in its own file, or in that of the whole server.
/// `server_wide` is what people call the latter.
pub fn client_certificate(
    options: &mut Options,
    client_verify_file: Option<&Path>,
    server_wide: &str,
) -> Option<MethodConfig> {
    let common_name = options.text("cn").filter(|name| !name.is_empty());
    let roles = options.roles();
    let ca_file = options.path("ca_file").or_else(|| client_verify_file.map(Path::to_owned));
    if ca_file.is_none() {
        let what = format!(
            "is missing, and so is {server_wide}: no client certificate is trusted, so nobody signs in by one"
        );
        options.notes.push(options.problem("ca_file", &what));
    }
    Some(MethodConfig::ClientCertificate(ClientCertificateConfig { common_name, ca_file: ca_file?, roles }))
}

/// A Keystone, for passwords and for tokens.
pub fn keystone(options: &mut Options) -> Option<KeystoneConfig> {
    let service = options.service("url");
    let domain = options.text("domain").unwrap_or_else(|| "Default".to_owned());
    let roles = options.roles();
    Some(KeystoneConfig { service: service?, domain, roles })
}

/// An OpenShift.
pub fn openshift(options: &mut Options) -> Option<MethodConfig> {
    let service = options.service("openshift_endpoint");
    let roles = options.roles();
    Some(MethodConfig::OpenShift(OpenShiftConfig { service: service?, roles }))
}

/// A Kubernetes.
pub fn token_review(options: &mut Options) -> Option<MethodConfig> {
    let service = options.service("url");
    let token_file = options.needed_path("token_file");
    let audiences = options.texts("audiences");
    // Whoever may make tokens in a cluster is not by that an administrator here.
    let roles = options.roles_or_none();
    let config = TokenReviewConfig { service: service?, token_file: token_file?, audiences, roles };
    Some(MethodConfig::TokenReview(config))
}
