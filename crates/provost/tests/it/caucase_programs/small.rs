//! `caucase-probe`, `caucase-rerequest` and `caucase-key-id`, beside the stock ones.

use testkit::{Caucase, Caucased, Face, Ran, StandIn, StandInReply, key_and_request, openssl_ok, wait_for};

use super::{By, Ours, become_user, snapshot};

/// A good server is one, and whatever is not is none, to both.
#[test]
fn the_probe_finds_what_the_stock_one_finds() {
    let ours = Ours::new();
    let server = By::Us(Face::Up).start("0", &[]);
    let stock = By::Them.start("0", &[]);
    let page =
        StandIn::http(|_| Some(StandInReply { status: 200, headers: Vec::new(), body: "<html>".into() }));
    let other = By::Us(Face::Caucased).start("0", &[]);
    let super::Server::Ours(other) = other else { unreachable!() };
    for (url, is_good) in [
        (server.url(), true),
        (stock.url(), true),
        (page.url(""), false),
        // TLS answers there.
        (other.http_url("").replace(&other.port().to_string(), &(other.port() + 1).to_string()), false),
        ("http://127.0.0.1:9".to_owned(), false),
        ("http://name.invalid:8000".to_owned(), false),
    ] {
        let [came, expected]: [Ran; 2] = [Some(ours.folder()), None].map(|programs| {
            let mut client = Caucase::at(&url);
            client.switch_to(programs);
            client.program("caucase-probe", &[&url])
        });
        assert_eq!((came.code, came.stdout.as_str()), (expected.code, expected.stdout.as_str()), "{url}");
        assert_eq!(came.code == Some(0), is_good, "{came:?}");
        assert!(
            is_good && came.stderr.is_empty() || came.stderr.starts_with("caucase-probe: error: "),
            "{came:?}"
        );
    }
}

/// Everything of the template but the key, and nothing else; both make the same.
#[test]
fn a_rerequest_keeps_everything_but_the_key() {
    let ours = Ours::new();
    let mut client = Caucase::at("http://127.0.0.1:9");
    let options = [
        "-subj",
        "/C=FR/O=it's é/CN=again",
        "-utf8",
        "-addext",
        "subjectAltName=DNS:again.example,IP:2001:db8::1,URI:urn:x,email:a@example.org,otherName:1.2.3.4;UTF8:é",
        "-addext",
        "keyUsage=critical,digitalSignature,keyCertSign",
        "-addext",
        "extendedKeyUsage=serverAuth,1.2.3.4.5",
        "-addext",
        "certificatePolicies=1.2.3.4",
        "-addext",
        "1.2.3.4.5.6=critical,DER:0500",
        "-addext",
        "basicConstraints=critical,CA:TRUE,pathlen:3",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    key_and_request(client.directory(), "template", &options);
    let made = ["--template", "template.csr.pem", "--csr", "new.csr.pem", "--key", "new.key.pem"];
    let told = |client: &Caucase| {
        let ran = client.program("caucase-rerequest", &made);
        assert_eq!((ran.ok(), ran.stderr.as_str()), ("", ""));
        let text =
            openssl_ok(client.directory(), &["req", "-in", "new.csr.pem", "-noout", "-text", "-verify"]);
        let extensions =
            text.split_once("Attributes:").unwrap().1.split_once("Signature Algorithm").unwrap().0.to_owned();
        let subject = openssl_ok(client.directory(), &["req", "-in", "new.csr.pem", "-noout", "-subject"]);
        let of_request = openssl_ok(client.directory(), &["req", "-in", "new.csr.pem", "-noout", "-pubkey"]);
        assert_eq!(of_request, openssl_ok(client.directory(), &["pkey", "-in", "new.key.pem", "-pubout"]));
        let files = snapshot(client.directory());
        (extensions, subject, files["new.csr.pem"].clone(), files["new.key.pem"].clone(), of_request)
    };
    let theirs = told(&client);
    for name in ["new.csr.pem", "new.key.pem"] {
        std::fs::remove_file(client.path(name)).unwrap();
    }
    client.switch_to(Some(ours.folder()));
    let came = told(&client);
    assert_eq!((&came.0, &came.1, &came.2, &came.3), (&theirs.0, &theirs.1, &theirs.2, &theirs.3));
    assert_eq!(came.3, "0600 RSA PRIVATE KEY");
    // Once more: a new key in place of the one that is there.
    assert_ne!(told(&client).4, came.4);

    for (arguments, code, expected) in [
        (["template.key.pem", "x", "y"], 1, "template.key.pem has no signing request in it"),
        (["absent.pem", "x", "y"], 1, "there is no file absent.pem"),
        (["template.csr.pem", "new.key.pem", "new.key.pem"], 2, "--csr and --key name the same file"),
        (
            ["template.csr.pem", "new.csr.pem", "template.csr.pem"],
            2,
            "--template and --key name the same file",
        ),
        (["template.csr.pem", "template.key.pem", "y"], 1, "there is a private key in template.key.pem"),
        (["template.csr.pem", "absent/x", "y"], 1, "could not write absent/x"),
        (["template.csr.pem", "x", "absent/y"], 1, "could not write absent/y"),
    ] {
        let before = super::contents(client.directory());
        let [template, csr, key] = arguments;
        let ran = client.program("caucase-rerequest", &["--template", template, "--csr", csr, "--key", key]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert_eq!(super::contents(client.directory()), before, "nothing is left of it");
    }
}

/// Keys, and a backup of the stock server, are called the same by both.
#[test]
fn key_ids_are_those_of_the_stock_program() {
    let ours = Ours::new();
    let mut server = Caucased::start(&["--backup-directory", ".", "--user-auto-approve-count", "1"]);
    let mut client = Caucase::at(&server.url());
    let user = become_user(&client, "user");
    key_and_request(
        client.directory(),
        "ec",
        &["-subj", "/CN=ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    );
    key_and_request(client.directory(), "ed", &["-subj", "/CN=ed", "-newkey", "ed25519"]);
    // It makes a backup when it starts and somebody can read one.
    server.restart();
    let backups = || {
        let entries = std::fs::read_dir(server.directory()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "caucased")).collect::<Vec<_>>()
    };
    let backup = wait_for("a backup", || backups().pop());
    let backup = backup.to_str().unwrap();
    let words = ["--private-key", "user.pem", "ec.key.pem", "ed.key.pem", "--backup", backup];
    let expected = client.program("caucase-key-id", &words);
    client.switch_to(Some(ours.folder()));
    let came = client.program("caucase-key-id", &words);
    assert_eq!(came.ok(), expected.ok());
    let id = came.stdout.lines().next().unwrap().split_once(' ').unwrap().1;
    assert!(came.stdout.ends_with(&format!("{backup}\n  {id}\n")), "{}", came.stdout);
    assert!(user.is_file());

    std::fs::write(client.path("cut"), &std::fs::read(backup).unwrap()[..40]).unwrap();
    for (words, expected) in [
        (["--backup", "cut"], "cut is no backup of a caucased: it is cut off"),
        (["--backup", "user.pem"], "user.pem is no backup of a caucased: it begins with something else"),
        (["--private-key", "user.csr.pem"], "there is no private key in user.csr.pem"),
        (["--backup", "absent"], "could not read absent: No such file or directory (os error 2)"),
    ] {
        let ran = client.program("caucase-key-id", &words);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        assert_eq!(ran.stderr, format!("caucase-key-id: error: {expected}\n"));
    }
}
