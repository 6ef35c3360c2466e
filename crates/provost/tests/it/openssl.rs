//! What `openssl` makes of our certificates and revocation lists.

use testkit::{Caucase, key_and_request, openssl, openssl_ok};

use crate::houses::{RSA, ended_without_a_fault, issued, key, up};

/// Certificates name a place where `openssl` finds the revocation list by itself, in DER.
#[test]
fn openssl_fetches_the_revocation_list_itself() {
    let house = up();
    let client = Caucase::of(&house);
    client.obtain("good", &house.administrator());
    client.obtain("bad", &house.administrator());
    let verify = |file: &str| {
        let arguments = ["verify", "-crl_check", "-crl_download", "-CAfile", "cas.crt.pem", file];
        openssl(client.directory(), &arguments)
    };
    assert_eq!(verify("good.key.pem").ok(), "good.key.pem: OK\n");
    assert_eq!(verify("bad.key.pem").ok(), "bad.key.pem: OK\n");
    client.run(&["--revoke-crt", "bad.key.pem", ""]).ok();
    assert_eq!(verify("good.key.pem").ok(), "good.key.pem: OK\n");
    let revoked = verify("bad.key.pem");
    assert_ne!(revoked.code, Some(0));
    assert!(revoked.stderr.contains("certificate revoked"), "{}", revoked.stderr);
    ended_without_a_fault(house);
}

/// Every extension of a CA certificate, a service's certificate and a revocation list, in the order of the
/// contract (sections 6.1, 6.3, 6.5).
#[test]
fn certificates_and_lists_are_as_the_contract_says() {
    let house = up();
    let directory = house.directory();
    let certificate = issued(&house, &key(RSA), "service");
    std::fs::write(directory.join("leaf.pem"), certificate.to_pem()).unwrap();
    Caucase::of(&house)
        .run(&["--ca-crt", &in_house(&house, "ca.pem"), "--crl", &in_house(&house, "crl.pem")])
        .ok();
    let number = certificate.authority_key_id().map(|id| base::hex::encode(&id)).unwrap();
    let number = x509::KeyId::from_hex(&number).unwrap().decimal();
    let netloc = house.http();

    let ca = openssl_ok(directory, &["x509", "-in", "ca.pem", "-noout", "-text"]);
    let extensions = ca.split_once("X509v3 extensions:\n").unwrap().1;
    let names: Vec<_> =
        extensions.lines().filter(|line| line.starts_with("            X509v3")).map(str::trim).collect();
    assert_eq!(
        names,
        [
            "X509v3 Subject Key Identifier:",
            "X509v3 Authority Key Identifier:",
            "X509v3 Basic Constraints: critical",
            "X509v3 Key Usage: critical"
        ]
    );
    assert!(
        extensions.contains("CA:TRUE, pathlen:0") && extensions.contains("Certificate Sign, CRL Sign"),
        "{ca}"
    );
    assert!(ca.contains(&format!("Subject: CN = Caucase CAS at {netloc}\n")), "{ca}");
    assert!(ca.contains("Signature Algorithm: sha256WithRSAEncryption"), "{ca}");

    let leaf = openssl_ok(directory, &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    let extensions = leaf.split_once("X509v3 extensions:\n").unwrap().1;
    let names: Vec<_> =
        extensions.lines().filter(|line| line.starts_with("            X509v3")).map(str::trim).collect();
    assert_eq!(
        names,
        [
            "X509v3 Basic Constraints: critical",
            "X509v3 Subject Key Identifier:",
            "X509v3 Authority Key Identifier:",
            "X509v3 CRL Distribution Points:"
        ]
    );
    let addresses: Vec<_> = leaf.lines().filter_map(|line| line.trim().strip_prefix("URI:")).collect();
    let at = format!("http://{netloc}/cas/crl/{number}");
    assert_eq!(addresses, [format!("{at}.der"), at.clone()], "{leaf}");
    // L, and four L; back-dated by ten seconds.
    assert_eq!(certificate.not_after() - certificate.not_before(), base::Span::days(93));
    let [ca] = crate::houses::certificates_in(&directory.join("ca.pem")).try_into().unwrap();
    assert_eq!(ca.not_after() - ca.not_before(), base::Span::days(372));

    let crl = openssl_ok(directory, &["crl", "-in", "crl.pem", "-noout", "-text"]);
    let names: Vec<_> =
        crl.lines().filter(|line| line.starts_with("            X509v3")).map(str::trim).collect();
    assert_eq!(names, ["X509v3 CRL Number:", "X509v3 Authority Key Identifier:"], "{crl}");
    assert!(crl.contains("Version 2 (0x1)") && crl.contains("No Revoked Certificates."), "{crl}");
    let [crl] = x509::Crl::all_from_pem(&std::fs::read(directory.join("crl.pem")).unwrap())
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(crl.next_update() - crl.this_update(), base::Span::days(93).fraction(33, 100));
}

fn in_house(house: &testkit::House, name: &str) -> String {
    house.directory().join(name).to_str().unwrap().to_owned()
}

/// What is left of an extension when nothing in it may be kept is nothing; the original left it empty.
#[test]
fn extensions_are_never_empty() {
    let house = up();
    let client = Caucase::of(&house);
    let options = [
        ["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
        ["-addext", "extendedKeyUsage=OCSPSigning"],
        ["-addext", "certificatePolicies=1.3.6.1.4.1.37476.9000.70.0.0"],
        ["-addext", "basicConstraints=critical,CA:TRUE"],
    ];
    key_and_request(
        client.directory(),
        "one",
        &[&["-subj", "/CN=one"], options.concat().as_slice()].concat(),
    );
    let id = client.submit("service", "one.csr.pem");
    client.run_as(&house.administrator(), &["--sign-csr", &id]).ok();
    client.run(&["--get-crt", &id, "one.key.pem"]).ok();
    let text = openssl_ok(client.directory(), &["x509", "-in", "one.key.pem", "-noout", "-text"]);
    for gone in ["X509v3 Key Usage", "X509v3 Extended Key Usage", "X509v3 Certificate Policies"] {
        assert!(!text.contains(gone), "{text}");
    }
    assert!(text.contains("X509v3 Basic Constraints: critical\n                CA:FALSE\n"), "{text}");
    ended_without_a_fault(house);
}
