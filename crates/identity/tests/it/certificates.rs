//! TLS client certificates, shown in real handshakes.

use std::sync::Arc;

use base::{Clock, Span};
use identity::Role;
use identity::sign_in::{
    AskAuthority, AskAuthorityError, ClientCertificateConfig, MethodConfig, Roles, SignInError,
    check_authorities,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use x509::{
    Certificate, CertificateTemplate, Extension, KeySpec, KeyUsage, Name, ObjectIdentifier, PrivateKey,
    Serial, VerifyError, extension, oid,
};

use crate::world::{Request, World};

/// Somebody who issues certificates.
pub(crate) struct Authority {
    key: PrivateKey,
    clock: Clock,
    pub(crate) certificate: Certificate,
}

/// A certificate and its key.
pub(crate) struct Holder {
    pub(crate) certificate: Certificate,
    key: PrivateKey,
}

impl Authority {
    pub(crate) fn new(name: &str, clock: &Clock) -> Self {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let name = Name::from_common_name(name).unwrap();
        let extensions = vec![
            extension::basic_constraints(true, None),
            extension::key_usage(KeyUsage::KEY_CERT_SIGN, true),
        ];
        let certificate = issue(clock, &name, &name, &key, extensions, &key);
        Self { key, clock: clock.clone(), certificate }
    }

    /// A certificate for `subject`, for `purposes` or any.
    pub(crate) fn issue(
        &self,
        subject: &Name,
        purposes: &[ObjectIdentifier],
        more: Vec<Extension>,
    ) -> Holder {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let mut extensions = vec![extension::basic_constraints(false, None)];
        if !purposes.is_empty() {
            extensions.push(extension::extended_key_usage(purposes, false));
        }
        extensions.extend(more);
        let issuer = self.certificate.subject();
        let certificate = issue(&self.clock, issuer, subject, &key, extensions, &self.key);
        Holder { certificate, key }
    }

    pub(crate) fn client(&self, name: &str) -> Holder {
        self.issue(&Name::from_common_name(name).unwrap(), &[oid::CLIENT_AUTH], Vec::new())
    }

    /// For the server at `address`: certificate and key, as PEM.
    pub(crate) fn server_pem(&self, address: &str) -> String {
        let name = extension::subject_alt_name_address(address.parse().unwrap(), false);
        let subject = Name::from_common_name("server").unwrap();
        let holder = self.issue(&subject, &[oid::SERVER_AUTH], vec![name]);
        holder.certificate.to_pem() + holder.key.to_pem().expose()
    }
}

fn issue(
    clock: &Clock,
    issuer: &Name,
    subject: &Name,
    key: &PrivateKey,
    extensions: Vec<Extension>,
    signer: &PrivateKey,
) -> Certificate {
    let template = CertificateTemplate {
        serial: Serial::from_decimal("4711").unwrap(),
        issuer: issuer.clone(),
        subject: subject.clone(),
        not_before: clock.now() - Span::days(1),
        not_after: clock.now() + Span::days(365),
        public_key: key.public().clone(),
        extensions,
    };
    template.sign(signer)
}

/// What the server sees of `holder` after a TLS handshake that trusts `authority`.
fn shown(holder: &Holder, authority: &Authority) -> Certificate {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let der = |certificate: &Certificate| CertificateDer::from(certificate.der().to_vec());
    let key =
        |key: &PrivateKey| PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_pkcs8_der().expose().clone()));
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority.certificate)).unwrap();
    let roots = Arc::new(roots);
    let name = extension::subject_alt_name_dns("server", false).unwrap();
    let server = authority.issue(&Name::empty(), &[oid::SERVER_AUTH], vec![name]);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![der(&server.certificate)], key(&server.key))
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![der(&holder.certificate)], key(&holder.key))
        .unwrap();
    let name = ServerName::try_from("server").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &wire[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    Certificate::from_der(&server.peer_certificates().unwrap()[0]).unwrap()
}

fn presents(certificate: &Certificate) -> Request {
    Request::of("/api/v0/hosts").presenting(certificate)
}

#[tokio::test]
async fn a_client_is_known_by_its_common_name() {
    let world = World::new();
    let (ours, other) = (Authority::new("ca", &world.clock), Authority::new("ca", &world.clock));
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let config = |common_name: Option<&str>| ClientCertificateConfig {
        common_name: common_name.map(str::to_owned),
        ca_file: ca_file.clone(),
        roles: Roles::everybody(Role::Administrator),
    };
    let any = world.stack(vec![MethodConfig::ClientCertificate(config(None))]);
    let empty = world.stack(vec![MethodConfig::ClientCertificate(config(Some("")))]);
    let bob = world.stack(vec![MethodConfig::ClientCertificate(config(Some("bob")))]);
    let alice = shown(&ours.client("alice"), &ours);
    assert_eq!(presents(&alice).said(&any).await, "denied", "there is no file yet");
    assert_eq!(any.may_present(&alice), Err(VerifyError::UnknownIssuer));

    std::fs::write(&ca_file, ours.certificate.to_pem()).unwrap();
    let known = |name: &str| format!("client {name} (certificate 4711): administrator");
    for stack in [&any, &empty] {
        assert_eq!(presents(&alice).said(stack).await, known("alice"));
    }
    assert_eq!(presents(&alice).said(&bob).await, "denied");
    assert_eq!(presents(&shown(&ours.client("bob"), &ours)).said(&bob).await, known("bob"));
    assert_eq!(Request::of("/").said(&any).await, "denied");
    assert_eq!(any.may_present(&alice), Ok(()));

    let foreign = other.client("alice").certificate;
    assert_eq!(presents(&foreign).said(&any).await, "denied", "of the same name, with another key");
    assert!(any.may_present(&foreign).is_err());
    let common_name = Name::from_common_name("alice").unwrap();
    let server = ours.issue(&common_name, &[oid::SERVER_AUTH], Vec::new()).certificate;
    assert_eq!(presents(&server).said(&any).await, "denied", "it is for servers only");
    let nameless = ours.issue(&Name::empty(), &[], Vec::new()).certificate;
    assert_eq!(presents(&nameless).said(&any).await, "denied");
    let for_anything = ours.issue(&common_name, &[], Vec::new()).certificate;
    assert_eq!(presents(&for_anything).said(&any).await, known("alice"));

    // Both authorities count from now on, and then the other alone.
    std::fs::write(&ca_file, ours.certificate.to_pem() + &other.certificate.to_pem()).unwrap();
    assert_eq!(presents(&foreign).said(&any).await, known("alice"));
    assert_eq!(presents(&alice).said(&any).await, known("alice"));
    std::fs::write(&ca_file, other.certificate.to_pem()).unwrap();
    assert_eq!(presents(&alice).said(&any).await, "denied");

    world.pass(366 * 86_400);
    assert_eq!(presents(&foreign).said(&any).await, "denied");
    assert_eq!(any.may_present(&foreign), Err(VerifyError::Expired));
}

#[tokio::test]
async fn common_names_have_roles() {
    let world = World::new();
    let ours = Authority::new("ca", &world.clock);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, ours.certificate.to_pem()).unwrap();
    let mut roles = Roles { others: None, ..Roles::everybody(Role::Reader) };
    roles.users.insert("alice".into(), Role::Operator);
    let config = ClientCertificateConfig { common_name: None, ca_file, roles };
    let stack = world.stack(vec![MethodConfig::ClientCertificate(config)]);
    let alice = ours.client("alice").certificate;
    assert_eq!(presents(&alice).said(&stack).await, "client alice (certificate 4711): operator");
    assert_eq!(presents(&ours.client("bob").certificate).said(&stack).await, "denied");
}

#[tokio::test]
async fn our_own_users_have_roles_by_common_name() {
    let mut world = World::new();
    let users = Authority::new("users", &world.clock);
    let (anchors, clock) = (vec![users.certificate.clone()], world.clock.clone());
    let authority: AskAuthority = Arc::new(move |certificate: Certificate| {
        let name = certificate.subject().common_name();
        let signed_in = match name.as_deref() {
            Some("broken") => Err(AskAuthorityError::Unavailable("the store is gone".into())),
            name => {
                let is_revoked = |_: &Serial| name == Some("revoked");
                identity::certificate(&certificate, &anchors, is_revoked, clock.now(), None)
                    .map_err(AskAuthorityError::Refused)
            }
        };
        Box::pin(std::future::ready(signed_in))
    });
    world.ground.users_authority = Some(authority.clone());
    world.ground.services_authority = Some(authority);
    let mut roles = Roles::everybody(Role::Administrator);
    roles.users.insert("alice".into(), Role::Reader);
    let stack = world.stack(vec![MethodConfig::UsersAuthority(roles)]);
    let said = async |name: &str| presents(&shown(&users.client(name), &users)).said(&stack).await;
    assert_eq!(said("alice").await, "user certificate 4711 (CN=alice): reader");
    assert_eq!(said("bob").await, "user certificate 4711 (CN=bob): administrator");
    assert_eq!(said("revoked").await, "denied");
    assert_eq!(said("broken").await, "unavailable");
    let foreign = Authority::new("users", &world.clock).client("bob").certificate;
    assert_eq!(presents(&foreign).said(&stack).await, "denied");
    let services = world.stack(vec![MethodConfig::ServicesAuthority(Roles::everybody(Role::Publisher))]);
    let bob = presents(&shown(&users.client("bob"), &users)).said(&services).await;
    assert_eq!(bob, "user certificate 4711 (CN=bob): publisher");
    // One that says what it is for, and not for clients, is for nobody to sign in with.
    let name = Name::from_common_name("bob").unwrap();
    for (purposes, expected) in [
        (&[oid::SERVER_AUTH][..], "denied"),
        (&[oid::SERVER_AUTH, oid::CLIENT_AUTH], "user certificate 4711 (CN=bob): publisher"),
        (&[], "user certificate 4711 (CN=bob): publisher"),
    ] {
        let certificate = users.issue(&name, purposes, Vec::new()).certificate;
        assert_eq!(presents(&certificate).said(&services).await, expected, "{purposes:?}");
    }
    let error = AskAuthorityError::Refused(SignInError::Nothing);
    assert_eq!(
        base::report(&error),
        "the certificate is not one of this authority's: no client certificate was presented"
    );
}

/// One that cannot be used voids the whole file, so that it is told before anybody comes.
#[test]
fn a_file_of_authorities_has_nothing_else_in_it() {
    let clock = Clock::system();
    let good = Authority::new("good", &clock);
    let client = good.client("alice").certificate.to_pem();
    let good = good.certificate.to_pem();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clients.pem");
    let check = |text: &str, expected: &str| {
        std::fs::write(&file, text).unwrap();
        let said = check_authorities(&file).err().map(|error| error.to_string()).unwrap_or_default();
        let start = format!("the certificates of authorities in {} cannot be used: ", file.display());
        assert_eq!(said.strip_prefix(&start).unwrap_or(&said), expected, "{text}");
    };
    assert!(check_authorities(&file).is_ok(), "it may come later");
    check(&format!("{good}and words\n{good}"), "");
    check("words", "there is no certificate in it");
    let leaf = "certificate 2 in it (CN=alice) cannot be an authority's: it does not say CA:TRUE in its \
                basicConstraints";
    check(&format!("{good}{client}"), leaf);
    let old = "certificate 2 in it (CN=old) cannot be an authority's: it is not of X.509 version 3";
    check(&format!("{good}{}{good}", include_str!("version1.pem")), old);
    let broken = "certificate 1 in it cannot be an authority's: the certificate is malformed";
    check("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", broken);
}
