//! The stock client's whole life: PyPI's `caucase`, unmodified, against both names of the program.

use testkit::{Caucase, Face, House, key_and_request, openssl, openssl_ok};

use crate::houses::{certificates_in, ended_without_a_fault, plan};

/// The serial number of the certificate in a file, as `openssl` and JSON have it.
fn serial(client: &Caucase, file: &str) -> String {
    certificates_in(&client.path(file)).pop().unwrap().serial().to_string()
}

/// Whether `openssl` finds the certificate in `file` good, by the CA and the revocation list the client has.
fn verifies(client: &Caucase, file: &str) -> Result<(), String> {
    let lists = ["verify", "-crl_check", "-CAfile", "cas.crt.pem", "-CRLfile", "cas.crl.pem", file];
    let ran = openssl(client.directory(), &lists);
    if ran.code == Some(0) { Ok(()) } else { Err(ran.stderr) }
}

fn a_service(face: Face) {
    let house = plan(face).start();
    let admin = house.administrator();
    let client = Caucase::of(&house);

    // It asks, and asks again: the same bytes are the same request.
    client.make_request("one");
    let id = client.submit("service", "one.csr.pem");
    assert_eq!(client.submit("service", "one.csr.pem"), id);
    let ran = client.run(&["--get-crt", &id, "one.key.pem"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), format!("{id} CSR still pending\n").as_str()));
    let listed = client.run_as(&admin, &["--list-csr"]);
    assert_eq!(
        listed.ok(),
        format!(
            "-- pending service CSRs --\n\
             {:>20} | subject preview (fetch csr and check full content !)\n\
             {id:>20} | '<Name(CN=one)>'\n\
             -- end of pending service CSRs --\n",
            "csr_id"
        )
    );
    client.run(&["--get-csr", &id, "copy.pem"]).ok();
    assert_eq!(client.read("copy.pem"), client.read("one.csr.pem"), "byte for byte");

    // It is signed, once.
    assert_eq!(client.run_as(&admin, &["--sign-csr", &id]).ok(), "");
    let again = client.run_as(&admin, &["--sign-csr", &id]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("(404, "), "{}", again.stderr);
    let ran = client.run(&["--get-crt", &id, "one.key.pem"]);
    assert_eq!(ran.ok(), format!("{id} was (originally) manually approved\n"));
    verifies(&client, "one.key.pem").unwrap();
    let first = serial(&client, "one.key.pem");
    client.run(&["--get-csr", &id, "signed.pem"]).ok();

    // It renews when it is due, and not before; the old certificate stays good.
    std::fs::copy(client.path("one.key.pem"), client.path("old.pem")).unwrap();
    let early = client.run(&["--threshold", "1", "--renew-crt", "one.key.pem", ""]);
    assert!(early.ok().ends_with("did not reach renew threshold, not renewing\n"), "{early:?}");
    assert_eq!(serial(&client, "one.key.pem"), first);
    client.run(&["--threshold", "100", "--renew-crt", "one.key.pem", ""]).ok();
    let second = serial(&client, "one.key.pem");
    assert_ne!(second, first);
    verifies(&client, "one.key.pem").unwrap();
    verifies(&client, "old.pem").unwrap();
    let subject = ["x509", "-in", "one.key.pem", "-noout", "-subject"];
    assert_eq!(openssl_ok(client.directory(), &subject), "subject=CN = one\n");

    // Its owner revokes the old one, with nothing but its key; that works once.
    client.run(&["--revoke-crt", "old.pem", ""]).ok();
    assert!(verifies(&client, "old.pem").unwrap_err().contains("certificate revoked"));
    verifies(&client, "one.key.pem").unwrap();
    for refused in [["--revoke-crt", "old.pem", ""], ["--renew-crt", "old.pem", ""]] {
        let ran = client.run(&[&["--threshold", "100"][..], &refused].concat());
        assert_eq!(ran.code, Some(1));
        let reason = "b'Certificate verification error: certificate revoked'";
        assert!(ran.stderr.contains("(400, ") && ran.stderr.contains(reason), "{}", ran.stderr);
    }

    // An administrator revokes the new one, and serial numbers nobody has seen.
    client.run_as(&admin, &["--revoke-other-crt", "one.key.pem"]).ok();
    assert!(verifies(&client, "one.key.pem").unwrap_err().contains("certificate revoked"));
    client.run_as(&admin, &["--revoke-serial", "4660"]).ok();
    let twice = client.run_as(&admin, &["--revoke-serial", "4660"]);
    assert_eq!(twice.code, Some(1));
    assert!(twice.stderr.contains("(409, "), "{}", twice.stderr);
    let list = openssl_ok(client.directory(), &["crl", "-in", "cas.crl.pem", "-noout", "-text"]);
    assert_eq!(list.matches("Serial Number: ").count(), 3, "{list}");
    assert!(list.contains("Serial Number: 1234\n"), "{list}");
    // One for the first list, and one for each revocation.
    let number = openssl_ok(client.directory(), &["crl", "-in", "cas.crl.pem", "-noout", "-crlnumber"]);
    assert_eq!(number, "crlNumber=0x04\n");
    ended_without_a_fault(house);
}

/// A service asks, is approved, fetches, renews, revokes; an administrator lists, signs and revokes.
#[test]
fn a_service_lives_its_whole_life_at_provost_up() {
    a_service(Face::Up);
}

/// The same at `caucased`, where the first user's request makes the administrator.
#[test]
fn a_service_lives_its_whole_life_at_caucased() {
    a_service(Face::Caucased);
}

fn templates_and_rejections(face: Face) {
    let house = plan(face).start();
    let admin = house.administrator();
    let client = Caucase::of(&house);

    // A template gives subject and extensions; the key stays the one that was asked for.
    client.make_request("asked");
    let names = ["-subj", "/CN=given/O=us", "-addext", "subjectAltName=DNS:a.example,IP:192.0.2.1"];
    let uses = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"];
    let purposes = ["-addext", "extendedKeyUsage=serverAuth,OCSPSigning"];
    key_and_request(client.directory(), "template", &[&names[..], &uses, &purposes].concat());
    let id = client.submit("service", "asked.csr.pem");
    client.run_as(&admin, &["--sign-csr-with", &id, "template.csr.pem"]).ok();
    let ran = client.run(&["--get-crt", &id, "asked.key.pem"]);
    assert_eq!(ran.ok(), format!("{id} was (originally) manually approved\n"), "the key fits");
    let wanted = "keyUsage,extendedKeyUsage,subjectAltName,basicConstraints";
    let text = openssl_ok(
        client.directory(),
        &["x509", "-in", "asked.key.pem", "-noout", "-subject", "-ext", wanted],
    );
    assert_eq!(
        text,
        "subject=CN = given, O = us\n\
         X509v3 Basic Constraints: critical\n    CA:FALSE\n\
         X509v3 Key Usage: critical\n    Digital Signature\n\
         X509v3 Extended Key Usage: \n    TLS Web Server Authentication\n\
         X509v3 Subject Alternative Name: \n    DNS:a.example, IP Address:192.0.2.1\n"
    );

    // What is rejected is forgotten, and may be asked for anew.
    client.make_request("unwanted");
    let id = client.submit("service", "unwanted.csr.pem");
    client.run_as(&admin, &["--reject-csr", &id]).ok();
    let ran = client.run(&["--get-crt", &id, "unwanted.key.pem"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, format!("{id} not found - maybe CSR was rejected ?\n"));
    assert!(client.run_as(&admin, &["--reject-csr", &id]).stderr.contains("(404, "));
    assert_ne!(client.submit("service", "unwanted.csr.pem"), id);

    // A number in two lists at once does nothing.
    let ran = client.run_as(&admin, &["--sign-csr", "1", "--reject-csr", "1"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("A given CSR_ID cannot be in more than one of"), "{}", ran.stderr);
    // Nobody but a user may see what is pending.
    assert_ne!(client.run(&["--list-csr"]).code, Some(0));
    assert_ne!(client.run_as(&client.path("asked.key.pem"), &["--list-csr"]).code, Some(0));

    // Trust may be kept in directories: one file for each, named by the key.
    client
        .run(&[
            "--ca-crt",
            "trust",
            "--crl",
            "trust",
            "--update-user",
            "--user-ca-crt",
            "users",
            "--user-crl",
            "users",
        ])
        .ok();
    for (folder, authority) in [("trust", "CAS"), ("users", "CAU")] {
        let mut files: Vec<_> =
            std::fs::read_dir(client.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let [ca, crl] = files.as_slice() else { panic!("{files:?}") };
        let [found] = certificates_in(ca).try_into().unwrap();
        assert_eq!(found.subject().common_name(), Some(format!("Caucase {authority} at {}", house.http())));
        let key = found.subject_key_id().unwrap();
        assert!(
            ca.ends_with(format!("{key}.ca.pem")) && crl.ends_with(format!("{key}.crl.pem")),
            "{files:?}"
        );
    }
    ended_without_a_fault(house);
}

/// `--sign-csr-with`, `--reject-csr`, refusals, and CA and CRL paths that are directories.
#[test]
fn templates_rejections_and_directories_work_at_provost_up() {
    templates_and_rejections(Face::Up);
}

/// The same at `caucased`.
#[test]
fn templates_rejections_and_directories_work_at_caucased() {
    templates_and_rejections(Face::Caucased);
}

/// The arguments for what concerns users.
fn user<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--mode", "user"], arguments].concat()
}

fn a_user(face: Face) {
    let house = plan(face).start();
    let admin = house.administrator();
    let client = Caucase::of(&house);

    client.make_request("second");
    let id = client.submit("user", "second.csr.pem");
    let pending = client.run_as(&admin, &user(&["--list-csr"]));
    assert!(pending.ok().contains("-- pending user CSRs --"), "{pending:?}");
    assert!(pending.stdout.contains("'<Name(CN=second)>'"), "{pending:?}");
    client.run_as(&admin, &user(&["--sign-csr", &id])).ok();
    let ran = client.run(&user(&["--get-crt", &id, "second.key.pem"]));
    assert_eq!(ran.ok(), format!("{id} was (originally) manually approved\n"));
    let second = client.path("second.key.pem");

    // Whoever is a user may do everything, at once.
    client.obtain("service", &second);
    // After a renewal both certificates are good, until one is revoked.
    std::fs::copy(&second, client.path("old.pem")).unwrap();
    client.run(&user(&["--threshold", "100", "--renew-crt", "second.key.pem", ""])).ok();
    for file in ["old.pem", "second.key.pem"] {
        client.run_as(&client.path(file), &["--list-csr"]).ok();
    }
    client.run_as(&second, &user(&["--update-user", "--revoke-other-crt", "old.pem"])).ok();
    let refused = client.run_as(&client.path("old.pem"), &["--list-csr"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("(401, "), "{}", refused.stderr);
    client.run_as(&second, &["--list-csr"]).ok();
    // Users' revocations are in the users' list, which `--update-user` keeps.
    let verify = ["verify", "-crl_check", "-CAfile", "cau.crt.pem", "-CRLfile", "cau.crl.pem", "old.pem"];
    assert!(openssl(client.directory(), &verify).stderr.contains("certificate revoked"));
    ended_without_a_fault(house);
}

/// A second user is approved by the first, acts, renews, and is revoked.
#[test]
fn a_user_lives_a_whole_life_at_provost_up() {
    a_user(Face::Up);
}

/// The same at `caucased`.
#[test]
fn a_user_lives_a_whole_life_at_caucased() {
    a_user(Face::Caucased);
}

/// The first user of `caucased` is approved by itself, the second one waits.
#[test]
fn the_first_user_of_caucased_is_approved_by_itself() {
    let house = plan(Face::Caucased).start();
    let client = Caucase::of(&house);
    let fetched = |name: &str| {
        client.make_request(name);
        let id = client.submit("user", &format!("{name}.csr.pem"));
        let ran = client.run(&["--mode", "user", "--get-crt", &id, &format!("{name}.key.pem")]);
        (ran.code, ran.stdout.replace(&id, "ID"))
    };
    assert_eq!(fetched("first"), (Some(0), "ID was (originally) automatically approved\n".to_owned()));
    assert_eq!(fetched("second"), (Some(2), "ID CSR still pending\n".to_owned()));
    client.run_as(&client.path("first.key.pem"), &["--list-csr"]).ok();
}

/// Whether a new request of this name is approved by itself, and the client says so.
fn is_automatic(client: &Caucase, name: &str) -> bool {
    client.make_request(name);
    let id = client.submit("service", &format!("{name}.csr.pem"));
    let ran = client.run(&["--get-crt", &id, &format!("{name}.key.pem")]);
    match ran.code {
        Some(0) => assert_eq!(ran.stdout, format!("{id} was (originally) automatically approved\n")),
        _ => assert_eq!(ran.stdout, format!("{id} CSR still pending\n")),
    }
    ran.code == Some(0)
}

fn automatic_approval(face: Face) {
    let mut house = plan(face).option("service-auto-approve-count", "2").start();
    let client = Caucase::of(&house);
    let outcomes = ["a", "b", "c"].map(|name| is_automatic(&client, name));
    assert_eq!(outcomes, [true, true, false]);

    // The certificate says so, in the very words of the original, and still does after a renewal.
    let policy = "30423040060d2b0601040182a464c628460000302f302d06082b0601050507020230210c1f4175746f2d7369676e\
                  65642063617563617365206365727469666963617465";
    let policies = |file: &str| {
        let [certificate] = certificates_in(&client.path(file)).try_into().unwrap();
        let policies = x509::oid::CERTIFICATE_POLICIES;
        certificate.extension(&policies).map(|found| base::hex::encode(&found.value))
    };
    assert_eq!(policies("a.key.pem").as_deref(), Some(policy));
    client.run(&["--threshold", "100", "--renew-crt", "a.key.pem", ""]).ok();
    assert_eq!(policies("a.key.pem").as_deref(), Some(policy));

    // More are approved only beyond what was received; renewals did not count.
    house.stop();
    house.set("service-auto-approve-count", "4");
    house.set("lock-auto-approve-count", "");
    house.start();
    assert_eq!(["d", "e"].map(|name| is_automatic(&client, name)), [true, false]);

    // Once locked, the count is what it was, whatever the options say.
    house.stop();
    house.set("service-auto-approve-count", "100");
    house.start();
    assert!(!is_automatic(&client, "f"));

    // Nobody can claim the mark for themselves.
    let claim = ["-subj", "/CN=liar", "-addext", "certificatePolicies=1.3.6.1.4.1.37476.9000.70.0.0,1.2.3.4"];
    key_and_request(client.directory(), "liar", &claim);
    let id = client.submit("service", "liar.csr.pem");
    client.run_as(&house.administrator(), &["--sign-csr", &id]).ok();
    let ran = client.run(&["--get-crt", &id, "liar.key.pem"]);
    assert_eq!(ran.ok(), format!("{id} was (originally) manually approved\n"));
    assert_eq!(policies("liar.key.pem").as_deref(), Some("3007300506032a0304"));
    ended_without_a_fault(house);
}

/// The first requests are approved by themselves, are marked, and are counted for good.
#[test]
fn services_are_approved_by_themselves_up_to_a_count_at_provost_up() {
    automatic_approval(Face::Up);
}

/// The same at `caucased`.
#[test]
fn services_are_approved_by_themselves_up_to_a_count_at_caucased() {
    automatic_approval(Face::Caucased);
}

/// So many requests may wait and no more; those known already are no new ones.
#[test]
fn pending_requests_are_limited() {
    let house = plan(Face::Up).option("service-max-csr", "2").start();
    let client = Caucase::of(&house);
    for name in ["a", "b", "c"] {
        client.make_request(name);
    }
    let first = client.submit("service", "a.csr.pem");
    let _second = client.submit("service", "b.csr.pem");
    let full = client.run(&["--send-csr", "c.csr.pem"]);
    assert_eq!(full.code, Some(1));
    assert!(full.stderr.contains("(507, "), "{}", full.stderr);
    assert_eq!(client.submit("service", "a.csr.pem"), first);
    client.run_as(&house.administrator(), &["--reject-csr", &first]).ok();
    let _third = client.submit("service", "c.csr.pem");
    ended_without_a_fault(house);
}

/// What a restart in the middle must not change: everything that was told, byte for byte.
fn after(house: &mut House, end: impl Fn(&mut House)) {
    let client = Caucase::of(house);
    client.obtain("one", &house.administrator());
    client.make_request("waiting");
    let id = client.submit("service", "waiting.csr.pem");
    client.run(&["--revoke-crt", "one.key.pem", ""]).ok();
    client.run(&["--update-user"]).ok();
    let (list, users) = (client.read("cas.crl.pem"), client.read("cau.crl.pem"));

    end(house);
    house.start();
    assert_eq!(client.submit("service", "waiting.csr.pem"), id);
    client.run_as(&house.administrator(), &["--sign-csr", &id]).ok();
    let ran = client.run(&["--get-crt", &id, "waiting.key.pem"]);
    assert_eq!(ran.ok(), format!("{id} was (originally) manually approved\n"));
    for file in ["cas.crl.pem", "cau.crl.pem", "cas.crt.pem", "cau.crt.pem"] {
        std::fs::remove_file(client.path(file)).unwrap();
    }
    client.run(&["--update-user"]).ok();
    assert_eq!(client.read("cas.crl.pem"), list);
    assert_eq!(client.read("cau.crl.pem"), users);
    // And the list goes on from there.
    client.run_as(&house.administrator(), &["--revoke-serial", "99"]).ok();
    assert_ne!(client.read("cas.crl.pem"), list);
}

/// SIGTERM and a new start in the middle of it all: the same revocation lists, byte for byte.
#[test]
fn a_restart_changes_nothing_at_provost_up() {
    after(&mut plan(Face::Up).start(), |house| drop(house.stop()));
}

/// SIGKILL and a new start in the middle of it all: the same revocation lists, byte for byte.
#[test]
fn a_sigkill_changes_nothing_at_caucased() {
    after(&mut plan(Face::Caucased).start(), House::kill);
}
