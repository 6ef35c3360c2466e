//! Files and servers that are not what they should be: the file and the cause are named, and nothing is lost.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use base::{Entropy, Span, Timestamp};
use testkit::{Caucase, Face, StandIn, StandInReply, openssl_ok};
use x509::{Certificate, CertificateTemplate, KeySpec, Name, PrivateKey, Serial, SigningRequest, extension};

use super::{By, Ours, become_user, contents};

/// A client of `url` with a key and its certificate in `one.pem`, in `crt.pem` and `key.pem`, and as a user in `user.pem`.
fn holder(ours: &Ours, url: &str) -> Caucase {
    let client = ours.client(url);
    become_user(&client, "user");
    client.make_request("one");
    let id = client.submit("service", "one.csr.pem");
    std::fs::rename(client.path("one.key.pem"), client.path("key.pem")).unwrap();
    client.run(&["--get-crt", &id, "crt.pem"]).ok();
    let write = |name: &str, text: String| {
        std::fs::write(client.path(name), text).unwrap();
        std::fs::set_permissions(client.path(name), Permissions::from_mode(0o600)).unwrap();
    };
    let (key, certificate) = (client.read("key.pem"), client.read("crt.pem"));
    write("one.pem", key.clone() + &certificate);
    client.make_request("other");
    let other = client.read("other.key.pem");
    write("cut.pem", one_less(&(key.clone() + &certificate)));
    write("cut.key.pem", key[..300].to_owned());
    write("two.pem", key.clone() + &other + &certificate);
    write("chain.pem", key.clone() + &certificate + &client.read("cas.crt.pem"));
    write("swapped.pem", other + &certificate);
    write("garbage.pem", "hello\n".to_owned());
    write("empty.pem", String::new());
    let folder = client.directory();
    openssl_ok(folder, &["pkey", "-in", "key.pem", "-aes128", "-passout", "pass:word", "-out", "locked.pem"]);
    openssl_ok(folder, &["x509", "-in", "crt.pem", "-outform", "DER", "-out", "crt.der"]);
    std::fs::create_dir(client.path("folder.pem")).unwrap();
    client
}

/// The text without its last line.
fn one_less(text: &str) -> String {
    text.trim_end().rsplit_once('\n').unwrap().0.to_owned()
}

#[test]
fn files_that_are_not_what_they_should_be_are_named_and_kept() {
    let server = By::Us(Face::Caucased).start("9", &[]);
    let ours = Ours::new();
    let client = holder(&ours, &server.url());
    let no_pair =
        |paths: &str| format!("Could not find (exactly) one matching key pair in {paths}, skipping");
    let error = |what: &str| format!("caucase: error: {what}");
    let mut cases: Vec<(Vec<&str>, String)> = Vec::new();
    for action in ["--renew-crt", "--revoke-crt"] {
        cases.extend([
            (vec![action, "cut.pem", ""], no_pair("['cut.pem']") + "\ncaucase: cut.pem is no whole PEM: "),
            (
                vec![action, "crt.pem", "cut.key.pem"],
                no_pair("['crt.pem', 'cut.key.pem']") + "\ncaucase: cut.key.pem is no whole PEM: ",
            ),
            (vec![action, "key.pem", "crt.pem"], no_pair("['key.pem', 'crt.pem']")),
            (vec![action, "crt.pem", "other.key.pem"], no_pair("['crt.pem', 'other.key.pem']")),
            (vec![action, "swapped.pem", ""], no_pair("['swapped.pem']")),
            (vec![action, "two.pem", ""], no_pair("['two.pem']")),
            (vec![action, "chain.pem", ""], no_pair("['chain.pem']")),
            (vec![action, "empty.pem", ""], no_pair("['empty.pem']")),
            (vec![action, "crt.pem", "locked.pem"], error("the private key in locked.pem is encrypted")),
            (
                vec![action, "crt.der", "key.pem"],
                no_pair("['crt.der', 'key.pem']") + "\ncaucase: crt.der is no PEM, but DER",
            ),
            (
                vec![action, "garbage.pem", ""],
                no_pair("['garbage.pem']") + "\ncaucase: garbage.pem is no PEM",
            ),
            (vec![action, "folder.pem", ""], error("folder.pem is no regular file")),
            (vec![action, "absent.pem", ""], error("there is no file absent.pem")),
        ]);
    }
    for file in ["cut.pem", "locked.pem", "garbage.pem", "folder.pem", "absent.pem", "two.pem", "crt.pem"] {
        cases.push((vec!["--user-key", file, "--list-csr"], String::new()));
    }
    cases.extend([
        (vec!["--send-csr", "garbage.pem"], error("garbage.pem is no PEM")),
        (
            vec!["--send-csr", "one.pem"],
            error("one.pem has no signing request in it, and one is to be there"),
        ),
        (vec!["--get-crt", "1", "garbage.pem", "--ca-crt", "garbage.pem"], error("garbage.pem is no PEM")),
        (vec!["--ca-crt", "cut.pem"], error("cut.pem is no whole PEM: ")),
        // A certificate that no CA certificate is.
        (
            vec!["--ca-crt", "crt.pem"],
            error("Local trust store is unusable: no CA certificate in crt.pem is valid"),
        ),
        (
            vec!["--user-key", "user.pem", "--revoke-other-crt", "chain.pem"],
            error("chain.pem has 2 certificates, and one"),
        ),
        (
            vec!["--user-key", "user.pem", "--sign-csr-with", "1", "one.pem"],
            error("one.pem has no signing request"),
        ),
        (vec!["--sign-csr", "x1"], error("`x1` is not the number of a request")),
    ]);
    client.run(&[]).ok();
    let before = contents(client.directory());
    for (words, expected) in cases {
        let ran = client.run(&[&["--threshold", "100"], &words[..]].concat());
        assert_eq!(ran.code, Some(1), "{words:?}: {ran:?}");
        let named = words.iter().any(|word| ran.stderr.contains(word.trim_end_matches(".pem")));
        assert!(ran.stderr.starts_with(&expected) && named, "{words:?}: {}", ran.stderr);
        assert_eq!(contents(client.directory()), before, "{words:?}");
    }
    // What cannot be read keeps nothing else from being done.
    let ran =
        client.run(&["--threshold", "100", "--renew-crt", "garbage.pem", "", "--renew-crt", "one.pem", ""]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_ne!(contents(client.directory()), before);
    // After all this it can be renewed still.
    client
        .run(&["--threshold", "100", "--renew-crt", "crt.pem", "key.pem", "--renew-crt", "one.pem", ""])
        .ok();
}

/// Keys that others may read are used, and there is one warning for each.
#[test]
fn exposed_keys_are_warned_about_once() {
    let server = By::Us(Face::Caucased).start("9", &[]);
    let ours = Ours::new();
    let client = holder(&ours, &server.url());
    std::fs::set_permissions(client.path("key.pem"), Permissions::from_mode(0o640)).unwrap();
    let ran = client.run(&["--renew-crt", "crt.pem", "key.pem", "--renew-crt", "crt.pem", "key.pem"]);
    assert_eq!(ran.ok(), "crt.pem did not reach renew threshold, not renewing\n".repeat(2));
    assert_eq!(
        ran.stderr,
        "caucase: warning: others may read the private key in key.pem (mode 0640); `chmod 600 key.pem` keeps it to its owner\n"
    );
}

/// A server of another authority is not believed, whatever it says.
#[test]
fn another_authority_is_not_believed() {
    let server = By::Us(Face::Caucased).start("9", &[]);
    let other = By::Us(Face::Caucased).start("9", &[]);
    let ours = Ours::new();
    let client = holder(&ours, &server.url());
    client.run(&["--update-user"]).ok();
    let before = contents(client.directory());
    let other_url = other.url();
    let turned = |words: &[&str]| {
        let arguments = [&["--ca-url", other_url.as_str(), "--threshold", "100"], words].concat();
        let ran = client.program("caucase", &arguments);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(contents(client.directory()), before, "{words:?}");
        ran.stderr
    };
    let foreign = "none of the revocation lists is signed by a CA certificate that is trusted\n";
    let said = turned(&[]);
    assert!(said.starts_with(&format!("caucase: error: what {other_url} says was revoked")), "{said}");
    let hint =
        "hint: the CA certificates that are trusted are in cas.crt.pem; is it the server whose they are";
    assert!(said.contains(foreign) && said.contains(hint), "{said}");
    assert!(turned(&["--renew-crt", "crt.pem", "key.pem"]).contains("/cas/crt/renew: "));
    let id = client.program(
        "caucase",
        &["--ca-url", &other_url, "--ca-crt", "x.crt", "--crl", "x.crl", "--send-csr", "one.csr.pem"],
    );
    let id = id.ok().split_once(' ').unwrap().0.to_owned();
    for name in ["x.crt", "x.crl"] {
        std::fs::remove_file(client.path(name)).unwrap();
    }
    let said = turned(&["--get-crt", &id, "new.pem"]);
    let expected = "is signed by none of the CA certificates in cas.crt.pem, and was not kept\n";
    assert_eq!(said, format!("caucase: error: the certificate of request {id} {expected}"));
    // Neither does the updater.
    let files = [
        "--cas-ca",
        "cas.crt.pem",
        "--ca",
        "cas.crt.pem",
        "--crl",
        "cas.crl.pem",
        "--crt",
        "crt.pem",
        "--key",
        "key.pem",
    ];
    let ran = client.program("caucase-updater", &[&["--ca-url", &other_url], &files[..]].concat());
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("caucase-updater: error: ") && ran.stderr.contains(foreign), "{ran:?}");
    assert!(ran.stderr.contains(hint), "{ran:?}");
    assert_eq!(contents(client.directory()), before);
}

/// An authority made by the test.
struct Authority {
    key: PrivateKey,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = PrivateKey::generate(KeySpec::P256).unwrap();
        let certificate = issued(&key, &key, true);
        Self { key, certificate }
    }
}

fn issued(key: &PrivateKey, issuer: &PrivateKey, is_authority: bool) -> Certificate {
    let now = base::Clock::system().now();
    let name = Name::from_common_name("ca").unwrap();
    let template = CertificateTemplate {
        serial: Serial::random(&Entropy::system()),
        issuer: name.clone(),
        subject: name,
        not_before: Timestamp::from_unix(now.as_unix() - 60),
        not_after: now + Span::days(1),
        public_key: key.public().clone(),
        extensions: vec![extension::basic_constraints(is_authority, None)],
    };
    template.sign(issuer)
}

/// What a server answers to a renewal is kept only if it is the right certificate: key and certificate stay otherwise.
#[test]
fn only_the_right_certificate_takes_the_place_of_the_old_one() {
    let ours = Ours::new();
    for (answer, expected) in [
        ("html", "the server's answer is no certificate: "),
        ("key", "the server's answer is a certificate of another key, and was not kept\n"),
        (
            "issuer",
            "the server's answer is a certificate that none of the trusted CA certificates stands for, and was not kept",
        ),
        ("500", "the server answered 500 to PUT http://127.0.0.1:"),
        ("redirection", "the server answered 302 to PUT http://127.0.0.1:"),
    ] {
        let (authority, other) = (Authority::new(), Authority::new());
        let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
        let old = issued(&key, &authority.key, false);
        let ca = authority.certificate.to_pem();
        let (foreign_key, foreign) = (PrivateKey::generate(KeySpec::Ed25519).unwrap(), other.key.clone());
        let server = StandIn::http(move |asked| {
            let reply = |status, body: String| StandInReply { status, headers: Vec::new(), body };
            Some(match (asked.path.as_str(), answer) {
                ("/cas/crt/ca.crt.pem", _) => reply(200, ca.clone()),
                ("/cas/crt/ca.crt.json", _) => reply(200, "[]".into()),
                ("/cas/crt/renew", "html") => reply(200, "<html>".into()),
                ("/cas/crt/renew", "key") => reply(200, issued(&foreign_key, &authority.key, false).to_pem()),
                ("/cas/crt/renew", "issuer") => {
                    let envelope: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
                    let payload: serde_json::Value =
                        serde_json::from_str(envelope["payload"].as_str().unwrap()).unwrap();
                    let request = payload["renew_csr_pem"].as_str().unwrap();
                    let request = SigningRequest::from_pem(request.as_bytes()).unwrap();
                    let now = base::Clock::system().now();
                    let name = Name::from_common_name("ca").unwrap();
                    let template = CertificateTemplate {
                        serial: Serial::random(&Entropy::system()),
                        issuer: name.clone(),
                        subject: name,
                        not_before: Timestamp::from_unix(now.as_unix() - 60),
                        not_after: now + Span::days(1),
                        public_key: request.public_key().clone(),
                        extensions: vec![],
                    };
                    reply(200, template.sign(&foreign).to_pem())
                }
                ("/cas/crt/renew", "redirection") => {
                    reply(302, String::new()).with("Location", "http://127.0.0.1:9/")
                }
                _ => reply(500, String::new()),
            })
        });
        let client = ours.client(&server.url(""));
        for (name, text) in [("key.pem", key.to_pem().expose().clone()), ("crt.pem", old.to_pem())] {
            std::fs::write(client.path(name), text).unwrap();
            std::fs::set_permissions(client.path(name), Permissions::from_mode(0o600)).unwrap();
        }
        let ran = client.run(&["--renew-crt", "crt.pem", "key.pem"]);
        assert_eq!(ran.code, Some(1), "{answer}: {ran:?}");
        assert!(ran.stderr.starts_with(&format!("caucase: error: {expected}")), "{answer}: {}", ran.stderr);
        assert_eq!(client.read("key.pem"), *key.to_pem().expose());
        assert_eq!(client.read("crt.pem"), old.to_pem());
    }
}

/// Somebody who takes one connection, reads what is asked, and says `answer`.
fn somebody(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut asked = [0; 8192];
        // Whoever asks does so in one piece.
        let _ = stream.read(&mut asked);
        let _ = stream.write_all(answer);
    });
    url
}

/// No answer, half of one, and what is no answer: all say which URL and what was wrong, and the updater goes on trying.
#[test]
fn servers_that_do_not_answer_are_named() {
    let ours = Ours::new();
    let cases: [(&[u8], &str); 3] = [
        (b"", "RemoteDisconnected: 'Remote end closed connection without response'\n"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "BadStatusLine: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf", ""),
    ];
    for (answer, exception) in cases {
        for program in ["caucase", "caucase-probe"] {
            let url = somebody(answer);
            let client = ours.client(&url);
            let ran = if program == "caucase" { client.run(&[]) } else { client.program(program, &[&url]) };
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
            let expected = format!("{program}: error: no answer to GET {url}/cas/crt/ca.crt.pem: ");
            assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
            assert!(contents(client.directory()).is_empty());
        }
        let client = ours.client(&somebody(answer));
        let updater = client.updater(&["--cas-ca", "a.pem", "--ca", "a.pem", "--crl", "l.pem"]);
        let said = updater.wait_for_stdout(|said| said.ends_with('\n')).unwrap();
        assert!(said.starts_with("Got a network error, retrying at "), "{said}");
        assert!(said.contains(exception), "{said}");
    }
    // What comes as a whole, and is something else.
    for (body, why) in
        [("<html>", "the CA certificate is not readable: "), ("", "the CA certificate is not readable: ")]
    {
        let server = StandIn::http(move |_| {
            Some(StandInReply { status: 200, headers: Vec::new(), body: body.into() })
        });
        let client = ours.client(&server.url(""));
        let ran = client.run(&[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let named = format!("caucase: error: what {} says of its CA certificates", server.url(""));
        assert!(ran.stderr.starts_with(&named) && ran.stderr.contains(why), "{}", ran.stderr);
        assert!(contents(client.directory()).is_empty());
    }
}
