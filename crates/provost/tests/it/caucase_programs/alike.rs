//! The same arguments: the same output, the same exit code, the same files.

use std::collections::BTreeMap;
use std::path::Path;

use testkit::{Caucase, Face, Ran, key_and_request};

use super::{By, Ours, snapshot};
use crate::houses::certificates_in;

/// What one step came to.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    step: String,
    code: Option<i32>,
    stdout: String,
    stderr: Vec<String>,
    files: BTreeMap<String, String>,
    /// Whose the certificates in the files are.
    subjects: Vec<String>,
}

/// What is called `{NAME}` in a step is the number of the request in `NAME.csr.pem`.
const STEPS: &[&[&str]] = &[
    // The first call trusts whoever answers, and tells the hook; the second one has nothing to tell.
    &["--on-renew", "echo hook; echo words >&2"],
    &["--on-renew", "echo hook"],
    // Requests, pending and approved.
    &["--send-csr", "a.csr.pem", "b.csr.pem"],
    &["--send-csr", "c.csr.pem"],
    &["--get-crt", "{a}", "a.key.pem"],
    &["--get-crt", "{a}", "a.key.pem"],
    &["--get-crt", "{a}", "copy.crt.pem", "--on-renew", "echo hook"],
    &["--get-crt", "{b}", "b.key.pem"],
    &["--get-crt", "{a}", "b.key.pem"],
    &["--get-crt", "12345", "b.key.pem"],
    &["--get-crt", "+1_2 ", "b.key.pem"],
    &["--get-crt", "{b}", "b.key.pem", "--get-crt", "12345", "b.key.pem"],
    &["--get-crt", "nonsense", "b.key.pem"],
    &["--get-csr", "{b}", "fetched.csr.pem", "--on-renew", "echo hook"],
    &["--get-csr", "{b}", "fetched.csr.pem"],
    &["--get-csr", "12345", "fetched.csr.pem"],
    // A user, who decides.
    &["--mode", "user", "--send-csr", "u.csr.pem"],
    &["--mode", "user", "--get-crt", "{u}", "u.key.pem"],
    &["--list-csr"],
    &["--user-key", "u.key.pem", "--list-csr"],
    &["--user-key", "u.key.pem", "--mode=user", "--list"],
    &["--user-key", "u.key.pem", "--sign-csr", "{b}", "{c}", "--reject-csr", "{b}"],
    &["--user-key", "u.key.pem", "--sign-csr-with", "{b}", "template.csr.pem", "--reject-csr", "{b}"],
    &["--user-key", "absent.pem", "--list-csr"],
    &["--sign-csr", "{b}"],
    &["--user-key", "u.key.pem", "--sign-csr-with", "{b}", "template.csr.pem"],
    &["--user-key", "u.key.pem", "--sign-csr", "{b}"],
    &["--user-key", "u.key.pem", "--reject-csr", "{c}"],
    &["--user-key", "u.key.pem", "--reject-csr", "{c}"],
    &["--get-crt", "{b}", "b.crt.pem", "--get-crt", "{c}", "c.key.pem"],
    &["--send-csr", "d.csr.pem"],
    &["--user-key", "u.key.pem", "--list-csr"],
    &["--user-key", "u.key.pem", "--sign-csr", "{d}"],
    &["--get-crt", "{d}", "d.crt.pem"],
    // Renewals, early and due, in one file and in two, and the hook that fails.
    &["--renew-crt", "a.key.pem", "", "--renew-crt", "b.crt.pem", "b.key.pem"],
    &["--thresh", "100", "--renew-crt", "a.key.pem", "", "--on-renew", "echo hook"],
    &["--thresh", "100", "--renew-crt", "b.crt.pem", "b.key.pem", "--on-renew", "echo hook; exit 5"],
    &["--thresh", "100", "--renew-crt", "link.crt.pem", "link.key.pem", "--key-len", "3072"],
    &["--renew-crt", "b.crt.pem", "c.key.pem"],
    &["--renew-crt", "b.crt.pem", ""],
    &["--renew-crt", "b.key.pem", "b.crt.pem"],
    &["--renew-crt", "both.pem", "b.key.pem"],
    &["--renew-crt", "absent.pem", "b.key.pem"],
    &["--renew-crt", "u.key.pem", ""],
    // Who has not got it in order is told by the worst of it.
    &["--ca-crt", "1.crt.pem", "--renew-crt", "b.crt.pem", "c.key.pem", "--on-renew", "echo hook; exit 5"],
    &["--ca-crt", "2.crt.pem", "--renew-crt", "b.crt.pem", "c.key.pem", "--on-renew", "echo hook"],
    &["--ca-crt", "3.crt.pem", "--get-csr", "12345", "x.pem", "--on-renew", "echo hook; exit 5"],
    // What is no request.
    &["--send-csr", "a.key.pem"],
    &["--send-csr", "absent.csr.pem"],
    &["--send-csr", "two.csr.pem"],
    &["--send-csr", "a.csr.pem", "absent.csr.pem"],
    // Revocations.
    &["--revoke-crt", "copy.crt.pem", "b.key.pem"],
    &["--revoke-crt", "a.key.pem", "", "--on-renew", "echo hook"],
    &["--revoke-crt", "a.key.pem", ""],
    &["--thresh", "100", "--renew-crt", "a.key.pem", ""],
    &["--user-key", "u.key.pem", "--revoke-other-crt", "b.crt.pem"],
    &["--user-key", "u.key.pem", "--revoke-other-crt", "b.key.pem"],
    &["--revoke-other-crt", "copy.crt.pem"],
    &["--user-key", "u.key.pem", "--revoke-serial", "99", "1_00"],
    &["--user-key", "u.key.pem", "--revoke-serial", "99"],
    // Trust in folders, and of users.
    &[
        "--ca-crt",
        "trust",
        "--crl",
        "trust",
        "--update-user",
        "--user-ca-crt",
        "users",
        "--user-crl",
        "users",
    ],
    &["--ca-crt", "trust", "--crl", "trust", "--update-user", "--on-renew", "echo hook"],
    // Usage.
    &["--get-crt", "1"],
    &["--get", "1", "x"],
    &["--mode", "users"],
    &["--threshold", "x"],
    &["--revoke-serial", "0x10"],
    &["word"],
];

/// Does all steps, and tells what came of each.
fn steps(client: &Caucase) -> Vec<Came> {
    let folder = client.directory();
    for name in ["a", "b", "c", "u"] {
        client.make_request(name);
    }
    // What would steer a terminal is shown as Python shows it.
    let name = "/CN=d, \"one\"\u{1b}[31m\ttab\u{9f}\u{200b}/O=it's é/emailAddress=d@example.org";
    key_and_request(folder, "d", &["-subj", name, "-utf8"]);
    let template = ["-subj", "/CN=given/O=us", "-addext", "subjectAltName=DNS:a.example"];
    key_and_request(folder, "template", &template);
    let read = |name: &str| client.read(name);
    std::fs::write(client.path("two.csr.pem"), read("a.csr.pem") + &read("b.csr.pem")).unwrap();
    // A certificate and its key that are somewhere else.
    std::fs::create_dir(client.path("elsewhere")).unwrap();
    for (link, to) in [("link.crt.pem", "elsewhere/crt.pem"), ("link.key.pem", "elsewhere/key.pem")] {
        std::os::unix::fs::symlink(to, client.path(link)).unwrap();
    }
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut came = Vec::new();
    for step in STEPS {
        if step.contains(&"link.crt.pem") {
            std::fs::rename(client.path("d.crt.pem"), client.path("elsewhere/crt.pem")).unwrap();
            std::fs::rename(client.path("d.key.pem"), client.path("elsewhere/key.pem")).unwrap();
        }
        if step.contains(&"both.pem") {
            let both = read("b.crt.pem") + &read("b.key.pem") + &read("c.key.pem");
            std::fs::write(client.path("both.pem"), both).unwrap();
        }
        let words: Vec<String> = step
            .iter()
            .map(|word| {
                ids.iter()
                    .fold((*word).to_owned(), |word, (name, id)| word.replace(&format!("{{{name}}}"), id))
            })
            .collect();
        let ran = client.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        if step.contains(&"--send-csr") {
            for line in ran.stdout.lines() {
                let (id, path) = line.split_once(' ').unwrap();
                ids.insert(path.trim_end_matches(".csr.pem").to_owned(), id.to_owned());
            }
        }
        came.push(normal(step.join(" "), &ran, &ids, folder));
    }
    came
}

/// A step without what cannot be the same twice: numbers of requests, and what tracebacks say in other words.
fn normal(step: String, ran: &Ran, ids: &BTreeMap<String, String>, folder: &Path) -> Came {
    let plain = |text: &str| {
        ids.iter().fold(text.to_owned(), |text, (name, id)| {
            let wide = format!("{{{name}}}");
            text.replace(&format!("{id:>20}"), &format!("{wide:>20}")).replace(id, &wide)
        })
    };
    let mut files = snapshot(folder);
    // Called by the identifier of a key, which is another one for each server.
    let folders: Vec<_> =
        files.keys().filter(|name| name.contains('/') && !name.starts_with("else")).cloned().collect();
    for name in folders {
        let what = files.remove(&name).unwrap();
        let (folder, file) = name.split_once('/').unwrap();
        let (hex, kind) = file.split_once('.').unwrap();
        assert!(hex.len() == 40, "{name}");
        files.insert(format!("{folder}/HEX.{kind}"), what);
    }
    let mut subjects = Vec::new();
    for (name, what) in
        files.iter().filter(|(name, what)| !name.contains("HEX") && what.contains("CERTIFICATE"))
    {
        if what.ends_with("REQUEST") {
            continue;
        }
        for certificate in certificates_in(&folder.join(name)) {
            let subject = certificate.subject().to_string();
            // An authority's has the port of its server in it.
            let subject = subject.split(" at ").next().unwrap().to_owned();
            let extensions: Vec<_> = certificate.extensions().iter().map(|one| one.oid.to_string()).collect();
            let kind = certificate.public_key().kind();
            subjects.push(format!("{name}: {subject} {kind:?} {}", extensions.join(" ")));
        }
    }
    let mut stdout = plain(&ran.stdout);
    if step.contains("--list") {
        // Requests are listed by their numbers, which are random.
        let mut lines: Vec<_> = stdout.lines().collect();
        lines.sort_unstable();
        stdout = lines.join("\n");
    }
    Came { step, code: ran.code, stdout, stderr: said(ran), files, subjects }
}

/// What was said on standard error, where it says what it has to: a traceback and its line are one failure, and usage is
/// everybody's own.
fn said(ran: &Ran) -> Vec<String> {
    let stderr = ran.stderr.as_str();
    if ran.code == Some(2) && (stderr.contains("usage: ") || stderr.contains("Usage: ")) {
        return vec!["usage".to_owned()];
    }
    let mut lines = Vec::new();
    for line in stderr.lines() {
        if line.starts_with("Traceback (most recent call last)") || line.starts_with("caucase: error: ") {
            lines.push("one failure".to_owned());
            break;
        }
        lines.push(match line.split_once(" in [") {
            // A set, in whatever order.
            Some((before, paths)) => {
                let (paths, after) = paths.split_once(']').unwrap();
                let mut paths: Vec<_> = paths.split(", ").collect();
                paths.sort_unstable();
                format!("{before} in [{}]{after}", paths.join(", "))
            }
            None => line.to_owned(),
        });
    }
    lines
}

fn alike(server: By) {
    let ours = Ours::new();
    let (one, other) = (server.start("1", &[]), server.start("1", &[]));
    let our_client = ours.client(&one.url());
    let their_client = Caucase::at(&other.url());
    let (came, expected) = std::thread::scope(|scope| {
        let came = scope.spawn(|| steps(&our_client));
        let expected = steps(&their_client);
        (came.join().unwrap(), expected)
    });
    assert_eq!(came.len(), expected.len());
    for (came, expected) in came.iter().zip(&expected) {
        assert_eq!(came, expected, "ours, and theirs");
    }
    // Had it all failed in the same way, this would show little.
    let codes = |code| expected.iter().filter(|came| came.code == Some(code)).count();
    assert_eq!([0, 1, 2, 3].map(codes), [27, 32, 7, 2]);
}

/// `caucase` under its own name is like the stock one, with our server.
#[test]
fn caucase_is_like_the_stock_one_at_provost_up() {
    alike(By::Us(Face::Up));
}

/// The same with our server under its old name.
#[test]
fn caucase_is_like_the_stock_one_at_caucased() {
    alike(By::Us(Face::Caucased));
}

/// The same with the stock server.
#[test]
fn caucase_is_like_the_stock_one_at_the_stock_server() {
    alike(By::Them);
}
