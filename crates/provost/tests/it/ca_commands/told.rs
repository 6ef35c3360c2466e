//! What is said, asked and done where something is missing or wrong.

use std::path::Path;
use std::process::Command;

use testkit::{Cable, Face, Pass, Process, Recorder, Reply};

use super::Holder;
use crate::houses::{ended_without_a_fault, plan, up};
use crate::program::PROVOST;

/// What is said is of use to whoever goes on with it.
#[test]
fn what_is_said_helps() {
    let house = plan(Face::Up).option("service-auto-approve-count", "1").start();
    let holder = Holder::of(&house.http_url(""));
    std::fs::copy(house.administrator(), holder.path("admin.pem")).unwrap();
    // Issued at once, fetched by hand: the key is free for another request.
    let asked = holder.shown("request --key one.key --key-type p256 --dns one.example");
    assert_eq!(asked["state"], "issued");
    let id = asked["id"].as_str().unwrap();
    holder.run(&format!("fetch {id} one.crt")).ok();
    let again = holder.run("request --key one.key --key-type p256 --dns two.example");
    assert!(again.stderr.starts_with("submitted; a user approves it with `provost ca approve "), "{again:?}");
    // A certificate without a common name is called by its names.
    let (_, said) = holder.refused("revoke one.crt one.key");
    assert!(said.contains("was not confirmed"), "{said}");
    let line = holder.run("renew one.crt one.key --force").stderr;
    assert!(line.starts_with("one.crt has DNS:one.example, serial "), "{line}");
    // A key that is there is what it is.
    let (code, said) = holder.refused("request --key one.key --key-type rsa-2048 --name one");
    assert_eq!(code, 65);
    assert!(
        said.starts_with("error: the private key in one.key is p256, and --key-type says rsa-2048\n"),
        "{said}"
    );
    // What is no number names nothing.
    for line in ["fetch ca.crt.pem zz.pem", "show ca.crt.json", "approve ../1 --user-key admin.pem"] {
        let (code, said) = holder.refused(line);
        assert!(code == 2 && said.contains("decimal number"), "{line}: {code} {said}");
    }
    assert!(!holder.path("zz.pem").exists());
    // Nor does a folder; and a server is where it is.
    for line in ["revoke . one.key --yes", "renew . one.key", &format!("fetch {id} .")] {
        let (code, said) = holder.refused(line);
        let is_told = [". is no regular file", ".: it names no file"].iter().any(|what| said.contains(what));
        assert!(code == 65 && is_told, "{line}: {code} {said}");
    }
    let away = holder.refused("list --server http://127.0.0.1:1 --user-key admin.pem");
    assert!(away.0 == 69 && away.1.contains("https://127.0.0.1:2/cas/csr"), "{away:?}");
    assert!(away.1.contains("It is that of plain HTTP, and HTTPS is at the next port"), "{away:?}");
    let users = holder.run("request --users --key two.key --key-type rsa-2048 --name ada");
    assert!(users.stderr.contains(" --users`, then `provost ca fetch "), "{users:?}");
    // Names that turn around what stands beside them are seen to.
    holder.run("request --key three.key --key-type ed25519 --name ev\u{202e}gnp").ok();
    let listed = holder.run("list --user-key admin.pem");
    assert!(listed.ok().contains("CN=ev\u{fffd}gnp"), "{listed:?}");
}

/// The client file says which server is asked, who asks, and whose certificate it is to have.
#[test]
fn the_client_file_says_who_asks_whom() {
    let (house, other) = (up(), up());
    let holder = Holder::of("");
    let run = |line: &str, data: &Path| {
        testkit::run(holder.command(line).env_remove("PROVOST_SERVER").env("PROVOST_DATA", data))
    };
    run("list", &house.data()).ok();
    run(&format!("list --server {}", house.https_url("")), &house.data()).ok();
    let id = run("request --key web.key --name web", &house.data()).ok().trim_end().to_owned();
    run(&format!("approve {id}"), &house.data()).ok();
    // Another server's certificate is not from those that the client file names.
    let certificate = other.data().join("server-ca.pem");
    let ran = run(&format!("list --server-ca {}", certificate.display()), &house.data());
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.stderr.contains("certificate"), "{ran:?}");
    let nobody = holder.run("list --server nonsense");
    assert_eq!(nobody.code, Some(65), "{nobody:?}");
    let nothing = testkit::run(holder.command("trust").env_remove("PROVOST_SERVER"));
    assert_eq!(nothing.code, Some(65));
    assert!(
        nothing
            .stderr
            .starts_with("error: nothing says which server to ask\nhint: name one with --server URL"),
        "{nothing:?}"
    );
}

/// On its own machine a server is found though nobody knows its name, and its certificate has to have that name.
#[test]
fn a_name_that_nobody_knows_is_found_on_its_own_machine() {
    let house = plan(Face::Up).host("ca.invalid").option("bind", "127.0.0.1").start();
    let holder = Holder::of("");
    let here = |mut command: Command| {
        command.env_remove("PROVOST_SERVER");
        testkit::run(command.env("PROVOST_DATA", house.data()))
    };
    here(holder.command("list")).ok();
    let id = here(holder.command("request --key web.key --key-type p256 --name web --out web.crt"));
    here(holder.command(&format!("approve {}", id.ok().trim_end()))).ok();
    here(holder.command("request --key web.key --key-type p256 --name web --out web.crt")).ok();
    holder.has_a_pair("web.crt", "web.key", "cas.crt.pem");
    here(holder.command("rotate --dry-run")).ok();
    for words in [["cluster", "list"], ["host", "list"]] {
        let mut command = Command::new(PROVOST);
        command.args(words).current_dir(holder.folder()).env_clear().env("HOME", "/nonexistent");
        here(command).ok();
    }
    // Whoever answers there has to have the certificate of the name that is asked for.
    let said = std::fs::read_to_string(house.data().join("client.toml")).unwrap();
    assert!(said.contains("https://ca.invalid:") && said.contains("address = \"127.0.0.1\""), "{said}");
    let folder = house.data().display().to_string();
    let said = said.replace("https://ca.invalid:", "https://else.invalid:");
    let said = said.replace("= \"server-ca.pem\"", &format!("= \"{folder}/server-ca.pem\""));
    let said = said.replace("= \"admin.pem\"", &format!("= \"{folder}/admin.pem\""));
    std::fs::write(holder.path("else.toml"), said).unwrap();
    let ran = here(holder.command("list --client-config else.toml"));
    assert!(ran.code == Some(69) && ran.stderr.contains("certificate"), "{ran:?}");
    // Nor does anybody go there who does not look at it.
    let text = std::fs::read_to_string(holder.path("else.toml")).unwrap();
    let without: Vec<_> = text.lines().filter(|line| !line.starts_with("ca = ")).collect();
    std::fs::write(holder.path("else.toml"), without.join("\n")).unwrap();
    let ran = here(holder.command("list --client-config else.toml"));
    assert!(ran.code == Some(69) && ran.stderr.contains("Nothing here knows the name in it"), "{ran:?}");
    // Another name is nobody's here.
    let ran = here(holder.command("list --server https://other.invalid:2"));
    assert!(ran.code == Some(69) && ran.stderr.contains("Nothing here knows the name in it"), "{ran:?}");
    ended_without_a_fault(house);
}

/// A server that says what nobody understands, or nothing, or is not there: the cause is named, and no file is touched.
#[test]
fn a_server_that_is_out_of_order_changes_nothing() {
    let house = plan(Face::Up).option("service-auto-approve-count", "9").start();
    let holder = Holder::of(&house.http_url(""));
    holder.run("request --key web.key --name web --out web.crt").ok();
    holder.run("crl").ok();
    let names = ["cas.crt.pem", "cas.crl.pem", "web.crt", "web.key"];
    let files = names.map(|name| holder.read(name));
    let garbage = Recorder::start(|_| Reply::Answer(200, "text/html", "<html>moved</html>".into()));
    let hangs_up = Recorder::start(|_| Reply::HangUp);
    let broken = Recorder::start(|_| Reply::Answer(503, "text/plain", "later".into()));
    let cable = Cable::to(house.port());
    cable.set(Pass::Questions);
    let cut = format!("http://127.0.0.1:{}", cable.port());
    for (server, code) in [
        (garbage.url(), 65),
        (hangs_up.url(), 69),
        (broken.url(), 69),
        (cut, 69),
        ("http://127.0.0.1:1".to_owned(), 69),
    ] {
        for line in ["renew web.crt web.key --force", "crl", "trust"] {
            let ran = holder.run(&format!("{line} --server {server}"));
            assert_eq!(ran.code, Some(code), "{line} {server}: {ran:?}");
            assert!(ran.stderr.contains("error: "), "{ran:?}");
        }
    }
    assert_eq!(names.map(|name| holder.read(name)), files);
    let left = std::fs::read_dir(holder.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with('.')));

    // What is no number is no fault of ours.
    let (code, said) = holder.refused(&format!(
        "request --key new.key --key-type p256 --name new --ca none.pem --server {}",
        garbage.url()
    ));
    assert!(code == 65 && said.contains("/cas/csr is no number of a request\n"), "{code} {said}");

    // Files that are not what they are to be.
    for (name, text, code) in [
        ("cut.crt", &files[2][..400], 65),
        ("empty.crt", "", 65),
        ("wrong.crt", &files[0], 65),
        ("absent.crt", "", 66),
    ] {
        if code == 65 {
            std::fs::write(holder.path(name), text).unwrap();
        }
        let (found, said) = holder.refused(&format!("renew {name} web.key --force"));
        assert_eq!(found, code, "{said}");
        assert!(said.contains(name), "{said}");
    }
    assert_eq!(holder.read("web.key"), files[3]);
    ended_without_a_fault(house);
}

/// On a terminal it is asked before anything is revoked.
#[test]
fn a_terminal_is_asked_before_revoking() {
    let house = plan(Face::Up).option("service-auto-approve-count", "9").start();
    let holder = Holder::of(&house.http_url(""));
    holder.run("request --key web.pem --name web --out web.pem").ok();
    for (answer, code) in [("n\n", 75), ("\n", 75), ("y\n", 0)] {
        let mut command = Command::new("script");
        let line = format!("{PROVOST} ca revoke web.pem");
        command.args(["-qec", &line, "/dev/null"]).current_dir(holder.folder());
        command.env("PROVOST_SERVER", house.http_url("")).env("HOME", "/nonexistent");
        let mut process = Process::spawn(&mut command);
        process.wait_for_stdout(|said| said.contains("Revoke it? [y/N] ")).unwrap();
        process.say(answer.as_bytes());
        let ran = process.wait();
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(
            ran.stdout.contains("about to revoke the certificate in web.pem: CN=web, serial "),
            "{ran:?}"
        );
    }
    assert_eq!(holder.refused("revoke web.pem --yes").0, 65, "it is revoked");
    let (code, said) = holder.refused("renew web.pem --force");
    assert!(
        code == 65 && said.contains("&& provost ca request --key web.pem --out web.pem --name …`"),
        "{said}"
    );
    // Whoever asked with a signing request is told of nothing that has it taken for a key.
    holder.run("request --key csr.key --key-type p256 --name csr --out csr.pem").ok();
    let new = ["req", "-new", "-key", "csr.key", "-subj", "/CN=csr", "-out", "csr.csr"];
    testkit::openssl_ok(holder.folder(), &new);
    holder.run("request --csr csr.csr --out csr.pem").ok();
    holder.run("revoke csr.pem csr.key --yes").ok();
    let (code, said) = holder.refused("renew csr.pem");
    assert!(
        code == 65 && said.ends_with("hint: where its key is in a file of its own, name that one as well\n"),
        "{said}"
    );
    holder.run("crl").ok();
    let (code, said) = holder.refused("request --csr csr.csr --out csr.pem");
    let hint = "`mv csr.pem csr.pem.revoked`, and then --csr with the signing request of that key; or --key FILE with --name";
    assert!(code == 65 && said.contains(hint) && !said.contains("--key csr.csr"), "{said}");
    std::fs::remove_file(holder.path("cas.crl.pem")).unwrap();
    // Nor is it what somebody asks for who knows that it was revoked.
    holder.run("crl").ok();
    let (code, said) = holder.refused("request --key web.pem --name web --out web.pem");
    assert!(code == 65 && said.contains("error: the certificate in web.pem, serial "), "{said}");
    assert!(
        said.contains("was revoked\nhint: it cannot be renewed any more; if there is to be another"),
        "{said}"
    );
    holder.run("crl --crl lists.pem").ok();
    std::fs::write(holder.path("keyed.pem"), holder.read("web.pem")).unwrap();
    let (code, said) = holder.refused("crl --crl keyed.pem");
    assert!(code == 65 && said.contains("is not replaced"), "{code} {said}");
}

/// Nothing is submitted for a certificate that could not be kept, and what is there is told from what is asked for.
#[test]
fn what_cannot_be_kept_is_not_asked_for() {
    let house = plan(Face::Up).option("service-auto-approve-count", "9").start();
    let holder = Holder::of(&house.http_url(""));
    holder.run("request --key web.key --name web --dns web.example --out web.crt").ok();
    for (line, code, expected) in [
        ("request --key new.key --name new --out web.crt", 65, "there is something else in it than"),
        ("request --key new.key --name new --out cas.crt.pem", 2, "--out and --ca are the same file"),
        (
            "request --key web.key --name other --dns other.example --out web.crt",
            65,
            "error: the certificate in web.crt is for CN=web DNS:web.example, and CN=other DNS:other.example was asked for\n",
        ),
    ] {
        let before = holder.read("web.crt");
        let (found, said) = holder.refused(line);
        assert!(found == code && said.contains(expected), "{line}: {found} {said}");
        assert!(!holder.path(".new.key.provost-request").exists(), "{line}");
        assert_eq!(holder.read("web.crt"), before, "{line}");
    }
    // Nor is a key made for it.
    let (code, said) = holder.refused("request --key z.key --key-type p256 --name z --out nodir/z.crt");
    assert!(said.starts_with("error: could not write nodir/z.crt"), "{code} {said}");
    assert!(!holder.path("z.key").exists() && !holder.path(".z.key.provost-request").exists());
    holder.run("request --key web.key --name web --out web.crt").ok();
}
