//! Java's keystore.

use engine::handing_on::DeliveryError;
use trust::on_host::{Amiss, OnHost};

use super::{Authority, World, bundle_of, in_store};

/// As Debian's ca-certificates-java does: it is told of links that came and went, and keeps what they name. `keytool`
/// tells what it keeps in its own words.
const JKS_KEYSTORE: &str = r#"touch /etc/keystore
while read -r line; do
    link=${line#?}
    grep -v " debian:${link##*/}\$" /etc/keystore >/etc/keystore.new
    case $line in +*)
        echo "$(openssl x509 -in "$link" -noout -fingerprint -sha256 | sed 's/.*=//') debian:${link##*/}" >>/etc/keystore.new
    esac
    mv /etc/keystore.new /etc/keystore
done
mkdir -p /etc/ssl/certs/java && cp /etc/keystore /etc/ssl/certs/java/cacerts"#;
const KEYTOOL: &str = r#"[ "$*" = "-list -keystore /etc/ssl/certs/java/cacerts -storepass changeit" ] || exit 1
echo 'Keystore type: JKS'
while read -r print alias; do
    printf '%s, Nov 22, 2026, trustedCertEntry,\nCertificate fingerprint (SHA-256): %s\n' "$alias" "$print"
done </etc/ssl/certs/java/cacerts"#;

/// With stand-ins for what Debian makes Java's keystore with, which is the machine's and not the host's.
/// `update-ca-certificates` is the real one, which tells Java nothing of what is gone when it makes all links anew.
#[tokio::test]
async fn javas_keystore_follows() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let both = bundle_of(&[&a, &b]);
    let places = OnHost { java: true, ..in_store() };
    world.say("rm -rf /etc/ssl/certs/java");
    let failed = world.deliver(&places, &both).await.unwrap_err();
    assert!(matches!(failed, DeliveryError::Amiss(Amiss::NoKeystore { .. })), "{failed}");
    world.replace("keytool", KEYTOOL);
    world.replace("jks-keystore", JKS_KEYSTORE);
    world
        .say("cp /usr/local/bin/jks-keystore /etc/ca-certificates/update.d/; update-ca-certificates --fresh");
    let keeps = || {
        let text = std::fs::read_to_string(world.host().path("/etc/ssl/certs/java/cacerts")).unwrap();
        [&a, &b].map(|one| text.contains(&format!("debian:provost-{}.pem", one.anchor().fingerprint())))
    };
    assert_eq!(world.delivered(&places, &both).await, (true, false));
    assert_eq!(keeps(), [true, true]);
    assert_eq!(world.delivered(&places, &both).await, (false, false));
    assert_eq!(world.delivered(&places, &bundle_of(&[&b])).await, (true, false));
    assert_eq!(keeps(), [false, true]);
    // What Java lost is noticed.
    world.say(": >/etc/ssl/certs/java/cacerts");
    assert!(world.delivered(&places, &bundle_of(&[&b])).await.0);
    assert_eq!(keeps(), [false, true]);
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(keeps(), [false, false]);
}
