//! Java's keystore, of which the real `keytool` says what Java trusts.

use engine::handing_on::DeliveryError;
use trust::on_host::{Amiss, OnHost};

use super::keystores::install_java;
use super::{Authority, World, bundle_of, in_store};

/// What Debian's ca-certificates-java does when it is told of links that came and went, but that dpkg does it in its turn, whose
/// database is the machine's and not the host's.
const JKS_KEYSTORE: &str = "mkdir -p /etc/ssl/certs/java
exec java -Xmx64m -jar /usr/share/ca-certificates-java/ca-certificates-java.jar -storepass changeit";

impl World {
    /// Of these, those in whom Java trusts by the keystore at `path`.
    pub(super) fn java_trusts(&self, path: &str, among: &[&Authority]) -> Vec<bool> {
        let listed = self.say(&format!("keytool -list -keystore {path} -storepass changeit"));
        let listed = listed.replace(':', "").to_lowercase();
        let print = |one: &&Authority| listed.contains(&one.anchor().fingerprint().to_string());
        among.iter().map(print).collect()
    }
}

/// `update-ca-certificates` tells Java nothing of what is gone when it makes all links anew.
#[tokio::test]
async fn javas_keystore_follows() {
    let world = World::debian();
    let (a, b) = (Authority::new("a"), Authority::new("b"));
    let both = bundle_of(&[&a, &b]);
    let places = OnHost { java: true, ..in_store() };
    world.say("rm -rf /etc/ssl/certs/java");
    // Where Java is not, all else is as it is to be; what goes there goes.
    let in_ours = || {
        let bundle = world.say("cat /etc/ssl/certs/ca-certificates.crt");
        [&a, &b].map(|one| bundle.contains(one.anchor().pem().trim_end()))
    };
    for (bundle, expected) in [(&both, [true, true]), (&bundle_of(&[&b]), [false, true])] {
        let failed = world.deliver(&places, bundle).await.unwrap_err();
        assert!(matches!(failed, DeliveryError::Amiss(Amiss::NoKeystore { .. })), "{failed}");
        assert_eq!(in_ours(), expected);
    }
    install_java(&world);
    world.replace("jks-keystore", JKS_KEYSTORE);
    world
        .say("cp /usr/local/bin/jks-keystore /etc/ca-certificates/update.d/; update-ca-certificates --fresh");
    let keeps = || world.java_trusts("/etc/ssl/certs/java/cacerts", &[&a, &b]);
    assert_eq!(world.delivered(&places, &both).await, (true, false));
    assert_eq!(keeps(), [true, true]);
    assert_eq!(world.delivered(&places, &both).await, (false, false));
    assert_eq!(world.delivered(&places, &bundle_of(&[&b])).await, (true, false));
    assert_eq!(keeps(), [false, true]);
    // What Java lost is noticed.
    world.say(&format!(
        "keytool -delete -noprompt -keystore /etc/ssl/certs/java/cacerts -storepass changeit -alias debian:provost-{}.pem",
        b.anchor().fingerprint()
    ));
    assert_eq!(keeps(), [false, false]);
    assert!(world.delivered(&places, &bundle_of(&[&b])).await.0);
    assert_eq!(keeps(), [false, true]);
    assert_eq!(world.withdrawn(&places).await, (true, false));
    assert_eq!(keeps(), [false, false]);
}
