//! What pkilint (PKIX profile) says of the certificates and revocation lists we make: nothing of WARNING or
//! above, but for what is accepted here with a reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base::{Clock, Entropy, Span, Timestamp};
use ca::{Admission, Authority, AuthorityName, Ground, Names, Profile};
use futures_executor::block_on;
use serde_json::json;
use store::{Memory, SealingKey};
use testkit::{Answer, Face, House, Plan, Process, exchange, http, witness};
use x509::{Certificate, Crl, Digest, KeyKind, KeySpec, Name, PrivateKey, SigningRequest};

use crate::houses::{
    RSA, certificates_in, csr, ended_without_a_fault, envelope, get, key, plan, put_json, request,
};

/// A finding that stays: the certificate it is about, its code, and why.
type Accepted = (&'static str, &'static str, &'static str);

const HOST_FORM: &str = "pkix.invalid_domain_name_syntax";
const DOMAIN_COMPONENTS: &str = "pkix.name_domain_components_invalid_domain_name";
const URI_FORM: &str = "pkix.invalid_uri_syntax";
const MAILBOX_FORM: &str = "pkix.invalid_email_address_syntax";
const OTHER_MAILBOX_FORM: &str = "pkix.smtp_utf8_mailbox_domain_part_invalid_syntax";
const UNREADABLE: &str = "itu.invalid_asn1_syntax";
const NOT_EVEN_LOADED: &str = "unreadable";

const ONE_LABEL: &str = "RFC 1123 §2.1 allows one label; pkilint wants a domain that could be public";
const ONE_CHARACTER: &str =
    "RFC 1034 §3.5 allows labels of one character; pkilint wants a domain that could be public";
const DIGIT_AT_END: &str = "RFC 1123 §2.1 wants a letter in the last label; pkilint wants one at its end";
const WILDCARD: &str =
    "RFC 5280 §4.2.1.6 leaves wildcards to those who use them; RFC 9525 §6.3 says what they mean";
const SCHEME: &str = "RFC 5280 §4.2.1.6 allows any scheme; pkilint knows those of the web and a few more";
const URI_PARTS: &str = "RFC 3986 allows it there; pkilint does not expect it";
const NUMBER: &str = "X.660 and X.667 allow arcs of any size, 2.999 and numbers of one octet; pkilint reads no such object identifiers";

/// Names whose syntax is right, and which a fleet may need, but which pkilint does not know. There is no other
/// way to write them, so they are certified only where the operator says `ca.names = "any"` (the rule is in
/// `crates/ca/src/names.rs`).
const IN_CORPUS: &[Accepted] = &[
    ("services/dns-wildcard", HOST_FORM, WILDCARD),
    ("services/dns-wildcard-one-label", HOST_FORM, WILDCARD),
    ("services/dns-one-label", HOST_FORM, ONE_LABEL),
    ("services/dns-one-character", HOST_FORM, ONE_CHARACTER),
    ("services/dns-digit-at-end", HOST_FORM, DIGIT_AT_END),
    ("services/subject-dc-one", DOMAIN_COMPONENTS, ONE_LABEL),
    ("services/subject-dc-one-character", DOMAIN_COMPONENTS, ONE_CHARACTER),
    ("services/subject-email-one-label", MAILBOX_FORM, ONE_LABEL),
    ("services/email-one-label", MAILBOX_FORM, ONE_LABEL),
    ("services/email-one-character", MAILBOX_FORM, ONE_CHARACTER),
    ("services/email-digit-at-end", MAILBOX_FORM, DIGIT_AT_END),
    ("services/other-mailbox-one-label", OTHER_MAILBOX_FORM, ONE_LABEL),
    ("services/uri-host-one-label", URI_FORM, ONE_LABEL),
    ("services/uri-localhost", URI_FORM, ONE_LABEL),
    ("services/uri-host-one-character", URI_FORM, ONE_CHARACTER),
    ("services/uri-host-digit-at-end", URI_FORM, DIGIT_AT_END),
    ("services/uri-spiffe", URI_FORM, SCHEME),
    ("services/uri-spiffe-one-label", URI_FORM, SCHEME),
    ("services/uri-scheme-unknown", URI_FORM, SCHEME),
    ("services/uri-urn", URI_FORM, SCHEME),
    ("services/uri-ldaps", URI_FORM, SCHEME),
    ("services/uri-mailto", URI_FORM, SCHEME),
    ("services/uri-data", URI_FORM, SCHEME),
    ("services/uri-ftp-no-host", URI_FORM, URI_PARTS),
    ("services/uri-port-zeros", URI_FORM, URI_PARTS),
    ("services/uri-user-colons-escape", URI_FORM, URI_PARTS),
    ("services/uri-query-equals", URI_FORM, URI_PARTS),
    ("services/uri-query-escape", URI_FORM, URI_PARTS),
    ("services/uri-fragment-path", URI_FORM, URI_PARTS),
    ("services/uri-fragment-query", URI_FORM, URI_PARTS),
    ("services/cp-cps-urn", URI_FORM, SCHEME),
    ("services/cp-cps-one-label", URI_FORM, ONE_LABEL),
    ("services/cp-cps-any-policy", URI_FORM, ONE_LABEL),
    ("services/subject-attribute-uuid", NOT_EVEN_LOADED, NUMBER),
    ("services/subject-attribute-2-999", NOT_EVEN_LOADED, NUMBER),
    ("services/subject-attribute-short", NOT_EVEN_LOADED, NUMBER),
    ("services/dir-attribute-uuid", UNREADABLE, NUMBER),
    ("services/rid-uuid", UNREADABLE, NUMBER),
    ("services/rid-2-999", UNREADABLE, NUMBER),
    ("services/rid-short", UNREADABLE, NUMBER),
    ("services/rid-40-octets", UNREADABLE, NUMBER),
    ("services/other-uuid", UNREADABLE, NUMBER),
    ("services/other-2-999", UNREADABLE, NUMBER),
    ("services/other-short", UNREADABLE, NUMBER),
    ("services/other-40-octets", UNREADABLE, NUMBER),
    ("services/eku-uuid", UNREADABLE, NUMBER),
    ("services/eku-2-999", UNREADABLE, NUMBER),
    ("services/eku-short", UNREADABLE, NUMBER),
    ("services/cp-uuid", UNREADABLE, NUMBER),
    ("services/cp-2-999", UNREADABLE, NUMBER),
    ("services/cp-qualifier-uuid", UNREADABLE, NUMBER),
];

/// What pkilint shall look at, in one run: it takes long to start.
struct Lint {
    directory: tempfile::TempDir,
    lines: Vec<String>,
}

impl Lint {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), lines: Vec::new() }
    }

    /// Writes `content` to `NAME.pem`.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory.path().join(format!("{name}.pem"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        format!("{name}.pem")
    }

    fn certificate(&mut self, name: &str, certificate: &Certificate) {
        let file = self.file(name, certificate.to_pem().as_bytes());
        self.lines.push(format!("cert {file}"));
    }

    /// A certificate, and whether it follows from `issuer`, which is here already.
    fn issued(&mut self, name: &str, certificate: &Certificate, issuer: &str) {
        self.certificate(name, certificate);
        self.lines.push(format!("chain {issuer}.pem {name}.pem"));
    }

    fn list(&mut self, name: &str, list: &[u8]) {
        let file = self.file(name, list);
        self.lines.push(format!("crl {file}"));
    }

    /// pkilint finds just what is accepted.
    #[track_caller]
    fn finds_only(self, accepted: &[Accepted]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/witness/lint.py");
        let mut python = Command::new(witness("python"));
        python.arg(script).current_dir(self.directory.path());
        let mut process = Process::spawn(&mut python);
        process.say(format!("{}\n", self.lines.join("\n")).as_bytes());
        let ran = process.wait();
        let mut findings: Vec<&str> = ran.ok().lines().collect();
        assert_eq!(findings.pop(), Some("done"), "{ran:#?}");
        let mut expected: BTreeSet<_> = accepted.iter().map(|(about, code, _)| (*about, *code)).collect();
        let mut seen = BTreeSet::new();
        for finding in findings {
            let columns: Vec<&str> = finding.split('\t').collect();
            let [line, _severity, code, _said] = columns[..] else { panic!("{finding}") };
            // Of a chain, the last one is what was issued.
            let about = line.rsplit(' ').next().unwrap().trim_end_matches(".pem");
            assert!(expected.contains(&(about, code)), "{finding}");
            seen.insert((about, code));
        }
        expected.retain(|finding| !seen.contains(finding));
        assert!(expected.is_empty(), "pkilint no longer finds {expected:?}");
    }
}

/// Asks at 127.0.0.1, whatever the house is called.
#[track_caller]
fn ask(house: &House, request: Vec<u8>) -> Answer {
    exchange(("127.0.0.1", house.port()), request)
}

#[track_caller]
fn put_request(house: &House, authority: &str, text: &[u8]) -> Answer {
    ask(house, request("PUT", &format!("/{authority}/csr"), &[], text))
}

#[track_caller]
fn fetch(house: &House, path: &str) -> Certificate {
    Certificate::from_pem(&ask(house, get(path)).body).unwrap()
}

/// The certificate for a request that was taken.
#[track_caller]
fn certificate(house: &House, authority: &str, taken: &Answer) -> Certificate {
    assert_eq!(taken.status, 201, "{taken:?}");
    fetch(house, &format!("/{authority}/crt/{}", taken.header("location").unwrap()))
}

/// One line of the corpus' README.
struct Odd {
    name: String,
    text: Vec<u8>,
    /// The reason it is refused for, if it is.
    refused: Option<String>,
}

/// `provost up`, told which names to certify, or as it comes.
fn certifying(names: Option<&str>) -> Plan {
    names.map_or_else(|| plan(Face::Up), |names| plan(Face::Up).option("ca-names", names))
}

/// The requests, and what is said of them where these names are certified.
fn corpus(names: Option<&str>) -> Vec<Odd> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/corpus/csr"));
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let all: Vec<Odd> = rows
        .map(|row| {
            let columns: Vec<&str> = row.split(" | ").collect();
            let [name, answer, as_it_comes, _] = columns[..] else { panic!("{row}") };
            let name = name.strip_suffix(".pem`").unwrap();
            let text = std::fs::read(folder.join(format!("{name}.pem"))).unwrap();
            let answer = if names.is_none() && !as_it_comes.is_empty() { as_it_comes } else { answer };
            Odd { name: name.to_owned(), text, refused: (answer != "issued").then(|| answer.to_owned()) }
        })
        .collect();
    assert_eq!(names_in(&folder), all.iter().map(|odd| odd.name.clone()).collect::<BTreeSet<_>>());
    all
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| Some(file.strip_suffix(".pem")?.to_owned())).collect()
}

/// Every odd request is answered as the corpus says: signed, with a certificate that passes pkilint, or
/// refused with the rule it breaks, and not stored.
fn answers(names: Option<&str>, accepted: &[Accepted]) {
    let house = certifying(names)
        .option("service-auto-approve-count", "10000")
        .option("user-auto-approve-count", "10000")
        .start();
    let mut lint = Lint::new();
    lint.certificate("services", &fetch(&house, "/cas/crt/ca.crt.pem"));
    lint.certificate("users", &fetch(&house, "/cau/crt/ca.crt.pem"));
    for odd in corpus(names) {
        let answer = put_request(&house, "cas", &odd.text);
        match &odd.refused {
            None => {
                assert_eq!(answer.status, 201, "{}: {}", odd.name, answer.text());
                let issued = certificate(&house, "cas", &answer);
                lint.issued(&format!("services/{}", odd.name), &issued, "services");
            }
            Some(reason) => {
                assert_eq!((answer.status, answer.text().trim_end()), (400, reason.as_str()), "{}", odd.name);
                // Had it been stored, these bytes would be known now.
                assert_eq!(put_request(&house, "cas", &odd.text).status, 400, "{}", odd.name);
            }
        }
        let answer = put_request(&house, "cau", &odd.text);
        let read = SigningRequest::from_pem(&odd.text);
        let is_rsa = read.is_ok_and(|read| matches!(read.public_key().kind(), KeyKind::Rsa { .. }));
        if is_rsa && odd.refused.is_none() {
            let issued = certificate(&house, "cau", &answer);
            lint.issued(&format!("users/{}", odd.name), &issued, "users");
        } else {
            assert_eq!(answer.status, 400, "{}: {}", odd.name, answer.text());
            assert_eq!(put_request(&house, "cau", &odd.text).status, 400, "{}", odd.name);
        }
    }
    ended_without_a_fault(house);
    lint.finds_only(accepted);
}

#[test]
fn odd_requests_are_refused_with_a_reason_or_make_certificates_without_a_fault() {
    answers(None, &[]);
}

#[test]
fn with_any_names_pkilint_has_just_those_to_complain_about() {
    answers(Some("any"), IN_CORPUS);
}

/// Whether a request is refused at once for this `reason`; others wait for somebody who may sign something else.
fn is_refused_at_once(reason: &str) -> bool {
    let waits = reason.starts_with("the request names nobody")
        || reason.starts_with("a key usage was requested that")
        || reason.starts_with("the requested keyUsage has both");
    !waits
}

/// What is malformed or has a name that is not certified here is not even taken. Of the rest somebody who looks is
/// told the same, and may sign with a template instead.
fn nobody_approves_what_is_refused(names: Option<&str>) {
    let house = certifying(names).option("service-max-csr", "10000").start();
    let administrator = http::holder_of(&house.administrator());
    for odd in corpus(names) {
        let Some(reason) = odd.refused.filter(|reason| !reason.starts_with("Not a CSR")) else { continue };
        let at_once = is_refused_at_once(&reason);
        let mut taken = put_request(&house, "cas", &odd.text);
        if at_once {
            assert_eq!((taken.status, taken.text().trim_end()), (400, reason.as_str()), "{}", odd.name);
            taken = put_request(&house, "cas", csr(&key(KeySpec::P256), &odd.name).as_bytes());
        }
        assert_eq!(taken.status, 201, "{}: {}", odd.name, taken.text());
        let url = house.https_url(&format!("/cas/crt/{}", taken.header("location").unwrap()));
        let approve = |template: Option<Vec<u8>>| {
            let approval = administrator.put(&url);
            let answer = match template {
                Some(text) => approval.header("Content-Type", "application/pkcs10").body(text),
                None => approval,
            }
            .send()
            .unwrap();
            (answer.status().as_u16(), answer.text().unwrap().trim_end().to_owned())
        };
        if !at_once {
            assert_eq!(approve(None), (400, reason.clone()), "{}", odd.name);
        }
        let key = key(KeySpec::P256);
        // What a request may not ask for, a template may not either; key usages depend on the key.
        if !odd.name.starts_with("ku-") {
            let reason = format!("the template cannot be certified: {reason}");
            assert_eq!(approve(Some(odd.text.clone())), (400, reason), "{}", odd.name);
        }
        let template = csr(&key, "a good name").into_bytes();
        assert_eq!(approve(Some(template)).0, 204, "{}", odd.name);
        assert_eq!(certificate(&house, "cas", &taken).subject().to_string(), "CN=a good name");
    }
    ended_without_a_fault(house);
}

#[test]
fn what_cannot_be_certified_cannot_be_approved_either() {
    nobody_approves_what_is_refused(Some("any"));
}

#[test]
fn what_is_not_strict_cannot_be_approved_either() {
    nobody_approves_what_is_refused(None);
}

/// Who has a certificate with any name keeps that name; nobody gets another one.
#[test]
fn what_was_certified_before_names_were_strict_is_renewed() {
    let mut house = certifying(Some("any")).option("service-auto-approve-count", "1").start();
    let holder = key(RSA);
    let asked = |key: &PrivateKey| {
        let names = [x509::extension::subject_alt_name_dns("localhost", false).unwrap()];
        SigningRequest::build(key, &Name::from_common_name("x").unwrap(), &names).to_pem()
    };
    let old = certificate(&house, "cas", &put_request(&house, "cas", asked(&holder).as_bytes()));
    let waits = asked(&key(RSA));
    let number = |taken: &Answer| (taken.status, taken.header("location").map(str::to_owned));
    let taken = number(&put_request(&house, "cas", waits.as_bytes()));
    house.stop();
    house.set("ca-names", "strict");
    house.start();

    let renewal = json!({"crt_pem": old.to_pem(), "renew_csr_pem": csr(&key(RSA), "y")});
    let renewed = ask(&house, put_json("/cas/crt/renew", &envelope(&renewal, Digest::Sha256, &holder)));
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let renewed = Certificate::from_pem(&renewed.body).unwrap();
    let names = |certificate: &Certificate| {
        let is_names = |extension: &&x509::Extension| extension.oid == x509::oid::SUBJECT_ALT_NAME;
        certificate.extensions().iter().find(is_names).cloned().unwrap()
    };
    assert_eq!((renewed.subject(), names(&renewed)), (old.subject(), names(&old)));

    let reason = "the requested dNSName \"localhost\" has a host name of one label; only the setting `ca.names = \"any\"` allows that";
    let refused = put_request(&house, "cas", asked(&key(RSA)).as_bytes());
    assert_eq!((refused.status, refused.text().trim_end()), (400, reason));
    // What waited before waits still, and nobody approves it.
    assert_eq!(number(&put_request(&house, "cas", waits.as_bytes())), taken);
    let url = house.https_url(&format!("/cas/crt/{}", taken.1.unwrap()));
    let refused = http::holder_of(&house.administrator()).put(url).send().unwrap();
    assert_eq!((refused.status().as_u16(), refused.text().unwrap().trim_end()), (400, reason));
    ended_without_a_fault(house);
}

/// Who comes from the original finds that any names are certified, as there.
#[test]
fn by_its_old_name_it_certifies_any_name() {
    let house = plan(Face::Caucased).option("service-auto-approve-count", "1").start();
    let corpus = corpus(Some("any"));
    let wildcard = corpus.iter().find(|odd| odd.name == "dns-wildcard").unwrap();
    assert_eq!(put_request(&house, "cas", &wildcard.text).status, 201);
    ended_without_a_fault(house);
}

/// All that a house makes for itself, and its revocation lists, whatever its name.
fn own(host: &str, accepted: &[Accepted]) {
    let house = plan(Face::Up)
        .host(host)
        .option("bind", "127.0.0.1")
        .option("service-auto-approve-count", "1")
        .option("user-auto-approve-count", "1")
        .start();
    let mut lint = Lint::new();
    let [server_ca] = certificates_in(&house.data().join("server-ca.pem")).try_into().unwrap();
    let [server] = certificates_in(&house.data().join("server.key.pem")).try_into().unwrap();
    let [administrator] = certificates_in(&house.administrator()).try_into().unwrap();
    lint.certificate("server-ca", &server_ca);
    lint.issued("server", &server, "server-ca");
    for (authority, name) in [("cas", "services"), ("cau", "users")] {
        lint.certificate(name, &fetch(&house, &format!("/{authority}/crt/ca.crt.pem")));
        lint.list(&format!("{name}-empty-list"), &ask(&house, get(&format!("/{authority}/crl"))).body);

        let holder = key(RSA);
        let taken = put_request(&house, authority, csr(&holder, "holder").as_bytes());
        let issued = certificate(&house, authority, &taken);
        lint.issued(&format!("{name}-holder"), &issued, name);
        let revoke = envelope(&json!({"revoke_crt_pem": issued.to_pem()}), Digest::Sha256, &holder);
        assert_eq!(ask(&house, put_json(&format!("/{authority}/crt/revoke"), &revoke)).status, 204);
        let lists = ask(&house, get(&format!("/{authority}/crl"))).body;
        let [list] = Crl::all_from_pem(&lists).unwrap().try_into().unwrap();
        assert!(list.contains(&issued.serial()));
        lint.list(&format!("{name}-list"), &lists);
    }
    lint.issued("administrator", &administrator, "users");
    ended_without_a_fault(house);
    lint.finds_only(accepted);
}

#[test]
fn a_house_with_an_ipv4_address_makes_good_certificates() {
    own("127.0.0.1", &[]);
}

#[test]
fn a_house_with_an_ipv6_address_makes_good_certificates() {
    own("[2001:db8::1]", &[]);
}

#[test]
fn a_house_with_a_domain_name_makes_good_certificates() {
    own("ca.example.com", &[]);
}

/// The operator chose the name, and nothing is refused for it; what certificates say follows from it (caucase
/// contract, section 6).
#[test]
fn a_house_with_a_name_of_one_label_has_just_that_name_held_against_it() {
    own(
        "localhost",
        &[
            ("server-ca", HOST_FORM, ONE_LABEL),
            ("server", HOST_FORM, ONE_LABEL),
            ("services-holder", URI_FORM, ONE_LABEL),
        ],
    );
}

/// With a clock moved by hand: both CA certificates of a rollover, what each signs, and their lists.
#[test]
fn a_rollover_makes_good_certificates() {
    let clock = Clock::manual(Timestamp::from_unix(1_790_000_000));
    let entropy = Entropy::seeded(1);
    let leaf_life = Span::days(93);
    let ground = Ground {
        engine: Arc::new(Memory::new()),
        sealing: Arc::new(SealingKey::generate(&entropy)),
        clock: clock.clone(),
        entropy,
        keys: Arc::new(|spec| Box::pin(async move { PrivateKey::generate(spec) })),
        token: None,
    };
    let profile = Profile {
        name: AuthorityName::Services,
        issuer_common_name: "Caucase CAS at ca.example.com:8000".into(),
        issuer_extensions: Vec::new(),
        leaf_life,
        issuer_life: leaf_life.fraction(4, 1),
        issuer_key: RSA,
        crl_addresses: server::crl_addresses("ca.example.com:8000"),
        names: Names::Any,
        admission: Admission {
            pending_max: 10,
            automatic_max: 10,
            lock_automatic_max: false,
            keys_for_backup: false,
            keep_issued: Span::days(1),
            keep_fetched: Span::days(1),
        },
    };
    let authority = block_on(Authority::open(profile, ground)).unwrap();
    let holder = key(KeySpec::P256);
    let issue = |name: &str| {
        let request = SigningRequest::build(&holder, &Name::from_common_name(name).unwrap(), &[]);
        let id = block_on(authority.submit(&request, &request.to_pem())).unwrap();
        let pem = block_on(authority.certificate(id)).unwrap();
        Certificate::from_pem(pem.as_bytes()).unwrap()
    };
    let mut lint = Lint::new();
    let before = issue("before");
    clock.advance(Span::days(190));
    let passive = issue("while the second is passive");
    clock.advance(Span::days(95));
    let active = issue("by the second");
    let text = "whatever a dialect says".to_owned();
    let signature = holder.sign_statement(Digest::Sha256, &ca::signed_text(&text, Digest::Sha256)).unwrap();
    let statement = ca::Statement { text, digest: Digest::Sha256, signature };

    let [first, second] = block_on(authority.anchors()).unwrap().try_into().unwrap();
    lint.issued("first", &first, "first");
    lint.issued("second", &second, "second");
    lint.issued("before", &before, "first");
    lint.issued("passive", &passive, "first");
    lint.issued("active", &active, "second");
    for revoked in [false, true] {
        if revoked {
            block_on(authority.revoke_own(statement.clone().by(active.clone()).unwrap())).unwrap();
        }
        let lists = &block_on(authority.published()).unwrap().lists;
        assert_eq!(lists.len(), 2);
        for (list, name) in lists.iter().zip(["first", "second"]) {
            lint.list(&format!("{name}-{revoked}"), list.pem.as_bytes());
            lint.list(&format!("{name}-{revoked}-der"), &list.der);
        }
    }
    lint.finds_only(&[]);
}
