//! What is to be trusted comes to hosts, and goes: real sshd hosts with Debian's own tools, and `curl`, which says whom it
//! trusts.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Secret, Span, Timestamp};
use engine::handing_on::{Delivered, DeliveryError, deliver, withdraw};
use ssh::{Address, Sessions, Target, UserKey};
use testkit::{Host, HostPlan, Hosts, Process};
use trust::Anchor;
use trust::on_host::{OnHost, Refused, Spot};
use x509::{Certificate, CertificateTemplate, KeySpec, KeyUsage, Name, PrivateKey, Serial, extension};

mod files;
mod java;
mod keystores;
mod killed;
mod stores;

const FOLDER: &str = "/usr/local/share/ca-certificates";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An authority, and what it signs.
struct Authority {
    key: PrivateKey,
    certificate: Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let extensions = vec![
            extension::basic_constraints(true, None),
            extension::key_usage(KeyUsage::KEY_CERT_SIGN, true),
        ];
        let certificate = signed(name, name, &key, &key, extensions);
        Self { key, certificate }
    }

    fn anchor(&self) -> Anchor {
        Anchor::from(&self.certificate)
    }

    /// An HTTPS server at `address` with a certificate of this authority, and its URL.
    fn serve(&self, folder: &Path, address: &str) -> (Process, String) {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let names = extension::subject_alt_name_address(address.parse().unwrap(), false);
        let issuer = self.certificate.subject().common_name().unwrap();
        let certificate = signed("server", &issuer, &self.key, &key, vec![names]);
        let file = folder.join("server.pem");
        std::fs::write(&file, format!("{}{}", certificate.to_pem(), key.to_pem().expose().as_str())).unwrap();
        let mut command = std::process::Command::new("openssl");
        command.args(["s_server", "-www", "-accept", &format!("{address}:0"), "-cert"]).arg(&file);
        let server = Process::spawn(&mut command);
        let said = server.wait_for_stdout(|said| said.contains("ACCEPT") && said.ends_with('\n')).unwrap();
        let at = said.lines().find_map(|line| line.strip_prefix("ACCEPT ")).unwrap().to_owned();
        (server, format!("https://{at}/"))
    }
}

pub(crate) fn signed(
    subject: &str,
    issuer: &str,
    signer: &PrivateKey,
    key: &PrivateKey,
    extensions: Vec<x509::Extension>,
) -> Certificate {
    let now: Timestamp = Clock::system().now();
    let template = CertificateTemplate {
        serial: Serial::from_decimal("1").unwrap(),
        issuer: Name::from_common_name(issuer).unwrap(),
        subject: Name::from_common_name(subject).unwrap(),
        not_before: now - Span::days(1),
        not_after: now + Span::days(30),
        public_key: key.public().clone(),
        extensions,
    };
    template.sign(signer)
}

/// A bundle of these.
fn bundle_of(authorities: &[&Authority]) -> Vec<Anchor> {
    let mut bundle: Vec<Anchor> = authorities.iter().map(|authority| authority.anchor()).collect();
    bundle.sort();
    bundle
}

struct World {
    folder: tempfile::TempDir,
    remote: Arc<Sessions>,
    hosts: Hosts,
}

impl World {
    fn new(plans: Vec<HostPlan>) -> Self {
        let limits = ssh::Limits { connect: Duration::from_secs(3), ..ssh::Limits::default() };
        let settings = ssh::Settings { limits, ..ssh::Settings::default() };
        let remote = Arc::new(Sessions::new(settings, Clock::system()));
        Self { folder: tempfile::tempdir().unwrap(), remote, hosts: Hosts::start(plans) }
    }

    /// A Debian with a trust store of its own, in which few others are: they are not what this is about.
    fn debian() -> Self {
        let world = Self::new(vec![HostPlan::new().own_trust().down_for(0.0)]);
        world.say("ls /usr/share/ca-certificates/mozilla/A*.crt | cut -d/ -f5- | head -n 4 >/etc/ca-certificates.conf");
        world.say("update-ca-certificates --fresh");
        world
    }

    /// Puts a program in front of the system's one of that name.
    fn replace(&self, program: &str, script: &str) {
        let path = self.host().folder().join("local/bin").join(program);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Takes it away again.
    fn restore(&self, program: &str) {
        std::fs::remove_file(self.host().folder().join("local/bin").join(program)).unwrap();
    }

    /// Which files of ours are in the folder.
    fn own(&self) -> String {
        self.say(&format!("cd {FOLDER}; ls -A"))
    }

    fn host(&self) -> &Host {
        &self.hosts[0]
    }

    fn target(&self, user: &str) -> Target {
        let key = UserKey::parse(&Secret::new(self.hosts.key())).unwrap();
        let target = Target::new(Address::new(self.host().address(), 22), user, key);
        target.pinned(self.host().host_key("ed25519").parse().unwrap())
    }

    async fn deliver(&self, places: &OnHost, bundle: &[Anchor]) -> Result<Delivered, DeliveryError> {
        deliver(&*self.remote, &self.target("admin"), places, bundle).await
    }

    /// Whether something was changed, and whether somebody else had changed something.
    async fn delivered(&self, places: &OnHost, bundle: &[Anchor]) -> (bool, bool) {
        let delivered = self.deliver(places, bundle).await.unwrap();
        (delivered.changed, delivered.drift.is_any())
    }

    async fn withdrawn(&self, places: &OnHost) -> (bool, bool) {
        let delivered = withdraw(&*self.remote, &self.target("admin"), places).await.unwrap();
        (delivered.changed, delivered.drift.is_any())
    }

    fn say(&self, script: &str) -> String {
        self.host().sh(script).ok().trim().to_owned()
    }

    /// Whether `curl` on the host trusts who answers at `url`, by the system's bundle and by its hashed links.
    fn trusts(&self, url: &str) -> bool {
        let curl = |options: &str| self.host().sh(&format!("curl -sS -o /dev/null {options} {url}")).code;
        let by_bundle = curl("");
        let nobody = self.host().path("/tmp/nobody.pem");
        std::fs::write(nobody, Authority::new("nobody").certificate.to_pem()).unwrap();
        let by_links = curl("--cacert /tmp/nobody.pem --capath /etc/ssl/certs");
        assert_eq!(by_bundle, by_links, "the bundle and the links are of one mind");
        assert!(matches!(by_bundle, Some(0 | 60)), "{by_bundle:?}");
        by_bundle == Some(0)
    }

    /// Which of these the host's bundle has.
    fn trusted(&self, among: &[Anchor]) -> Vec<Anchor> {
        let text = std::fs::read_to_string(self.host().path(BUNDLE)).unwrap();
        among.iter().filter(|anchor| text.contains(anchor.pem())).cloned().collect()
    }
}

/// The file that is refused, or the trust store.
fn path_of(refused: &Refused) -> &str {
    match &refused.at {
        Spot::File(path) => path,
        Spot::Store => "the trust store",
        Spot::Keystore => "Java's",
    }
}

fn in_store() -> OnHost {
    OnHost { system_store: true, ..OnHost::default() }
}

fn file_of(anchor: &Anchor) -> String {
    format!("{FOLDER}/provost-{}.crt", anchor.fingerprint())
}
