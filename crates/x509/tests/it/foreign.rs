//! What `openssl` writes, we read, and carry through unharmed.

use base::Span;
use x509::{
    Certificate, Crl, KeyError, KeyKind, KeySpec, ParseError, PrivateKey, SignatureError, SigningRequest,
    VerifyError, extension, oid,
};

use crate::openssl::OpenSsl;
use crate::ours::{START, authority, issue};

/// Every kind of alternative name, policies with notices of several kinds, and extensions nobody knows.
const ODD: &str = "
[req]
prompt = no
distinguished_name = subject
req_extensions = wanted
attributes = attributes
string_mask = pkix
[subject]
0.DC = example
1.DC = org
C = FR
O = Ünï & Sons, Ltd
OU = one + two
CN = host
emailAddress = a@example.org
[attributes]
challengePassword = secret
unstructuredName = somebody
[wanted]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, 1.3.6.1.4.1.311.20.2.2
subjectAltName = critical, @names
certificatePolicies = 1.3.6.1.4.1.37476.9000.70.9, @notice, 2.25.285541874270823339875695650038637483517.1
1.2.3.4.5.6 = critical, ASN1:UTF8String:nobody knows this
2.999.1 = DER:05:00
2.25.329800735698586629295641978511506172918 = ASN1:NULL
[names]
DNS.1 = host.example
DNS.2 = *.example
IP.1 = 192.0.2.1
IP.2 = 2001:db8::1
email.1 = a@example.org
URI.1 = https://example/a%20b
RID.1 = 1.2.3.4
dirName.1 = dir
otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:user@realm
[dir]
C = FR
CN = inner
[notice]
policyIdentifier = 1.3.5.8
CPS.1 = http://example/cps
userNotice.1 = @one
userNotice.2 = @two
[one]
explicitText = UTF8:Ünï
organization = Somebody
noticeNumbers = 1, 2, 3
[two]
explicitText = BMP:wide
";

/// The element of `der` (as `openssl asn1parse` sees it) that begins at `offset`.
fn element(openssl: &OpenSsl, der_file: &str, offset: usize) -> Vec<u8> {
    openssl.run(&format!("asn1parse -inform DER -in {der_file} -strparse {offset} -noout -out element.der"));
    openssl.read("element.der")
}

#[test]
fn an_odd_request_comes_through_unharmed() {
    let openssl = OpenSsl::new();
    openssl.write("odd.cnf", ODD);
    openssl.run("req -new -utf8 -newkey rsa:2048 -nodes -keyout key.pem -config odd.cnf -out odd.pem");
    openssl.run("req -in odd.pem -outform DER -out odd.der");
    let request = SigningRequest::from_pem(&openssl.read("odd.pem")).unwrap();
    assert_eq!(request.der(), openssl.read("odd.der"));
    assert_eq!(
        request.subject().to_string(),
        r"1.2.840.113549.1.9.1=a@example.org,CN=host,OU=one \+ two,O=Ünï & Sons\, Ltd,C=FR,DC=org,DC=example"
    );
    assert_eq!(request.extensions().len(), 8);
    assert_eq!(request.extension(&oid::SUBJECT_ALT_NAME).map(|names| names.critical), Some(true));
    let key = PrivateKey::from_pem(&openssl.read_text("key.pem")).unwrap();
    assert_eq!(request.public_key(), key.public());

    let policies =
        extension::parse_certificate_policies(&request.extension(&oid::CERTIFICATE_POLICIES).unwrap().value);
    let policies: Vec<_> = policies
        .unwrap()
        .iter()
        .map(|policy| (policy.oid.to_string(), policy.qualifiers.is_some()))
        .collect();
    let expected = [
        ("1.3.6.1.4.1.37476.9000.70.9", false),
        ("1.3.5.8", true),
        ("2.25.285541874270823339875695650038637483517.1", false),
    ];
    assert_eq!(policies, expected.map(|(oid, has_qualifiers)| (oid.to_owned(), has_qualifiers)));

    // Issued with all of it: subject, key and values have the bytes that openssl gave them.
    let ca_key = PrivateKey::generate(KeySpec::P256).unwrap();
    let ca = authority(&ca_key, "Test CA", vec![]);
    let mut bare = request.extensions().to_vec();
    bare.retain(|extension| extension.oid != oid::BASIC_CONSTRAINTS);
    let leaf = issue(&ca, &ca_key, &SigningRequest::build(&key, request.subject(), &bare));
    assert_eq!(leaf.subject().der(), request.subject().der());
    assert!(bare.iter().all(|asked| leaf.extension(&asked.oid) == Some(asked)));
    let values = bare.iter().map(|asked| &asked.value[..]);
    for bytes in [request.subject().der(), request.public_key().spki()].into_iter().chain(values) {
        let is_in = |der: &[u8]| der.windows(bytes.len()).any(|window| window == bytes);
        assert!(is_in(leaf.der()) && is_in(&openssl.read("odd.der")), "{bytes:02x?}");
    }
    openssl.write("leaf.pem", leaf.to_pem());
    let listing = |command: &str| {
        let text = openssl.run(command);
        let at = text.find("X509v3 Subject Alternative Name").unwrap();
        text[at..].lines().take(2).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listing("x509 -in leaf.pem -noout -text"), listing("req -in odd.pem -noout -text"));
}

#[test]
fn subjects_of_every_string_type_are_kept() {
    let openssl = OpenSsl::new();
    openssl.run("genpkey -algorithm ED25519 -out key.pem");
    for (mask, text) in
        [("nombstr", "Ünï"), ("MASK:0x800", "Ünï €"), ("utf8only", "Ünï €"), ("default", "Ünï €")]
    {
        openssl.write(
            "c.cnf",
            format!("[req]\nprompt=no\ndistinguished_name=d\nstring_mask={mask}\n[d]\nCN={text}\n"),
        );
        openssl.run("req -new -utf8 -key key.pem -config c.cnf -outform DER -out c.der");
        let request = SigningRequest::from_der(&openssl.read("c.der")).unwrap();
        assert_eq!(request.subject().common_name().as_deref(), Some(text), "{mask}");
        let der = openssl.read("c.der");
        assert!(der.windows(request.subject().der().len()).any(|window| window == request.subject().der()));
    }
}

#[test]
fn requests_of_every_kind_of_key_are_read() {
    let openssl = OpenSsl::new();
    let table = [
        ("-newkey rsa:2048", "", KeyKind::Rsa { bits: 2048 }),
        ("-newkey rsa:3072", "-sha512", KeyKind::Rsa { bits: 3072 }),
        ("-newkey rsa:2048", "-sigopt rsa_padding_mode:pss -sha384", KeyKind::Rsa { bits: 2048 }),
        ("-newkey rsa:2048 -pkeyopt rsa_keygen_pubexp:3", "", KeyKind::Rsa { bits: 2048 }),
        ("-newkey ec -pkeyopt ec_paramgen_curve:P-256", "", KeyKind::EcP256),
        ("-newkey ec -pkeyopt ec_paramgen_curve:P-256", "-sha512", KeyKind::EcP256),
        ("-newkey ec -pkeyopt ec_paramgen_curve:P-384", "-sha256", KeyKind::EcP384),
        ("-newkey ec -pkeyopt ec_paramgen_curve:P-521", "-sha512", KeyKind::EcP521),
        ("-newkey ed25519", "", KeyKind::Ed25519),
    ];
    for (key, options, kind) in table {
        openssl.run(&format!("req -new {key} -nodes -keyout key.pem {options} -subj /CN=x -out a.pem"));
        let request = SigningRequest::from_pem(&openssl.read("a.pem"))
            .unwrap_or_else(|error| panic!("{key} {options}: {error}"));
        assert_eq!(*request.public_key().kind(), kind);
        assert_eq!(
            openssl.run("pkey -in key.pem -pubout"),
            x509::pem::write("PUBLIC KEY", request.public_key().spki())
        );
        openssl.run(&format!("req -new -newhdr -key key.pem {options} -subj /CN=x -out a.pem -text"));
        assert!(openssl.read_text("a.pem").contains("NEW CERTIFICATE REQUEST"));
        assert!(SigningRequest::from_pem(&openssl.read("a.pem")).is_ok());
    }
}

#[test]
fn weak_and_strange_requests_are_refused() {
    let openssl = OpenSsl::new();
    let unsupported =
        |algorithm: &str| ParseError::Key(KeyError::Unsupported { algorithm: algorithm.into() });
    let table = [
        ("-newkey rsa:1024", ParseError::Key(KeyError::Size { bits: 1024 })),
        (
            "-newkey rsa:2048 -sha1",
            ParseError::Signature(SignatureError::Unsupported { algorithm: "1.2.840.113549.1.1.5".into() }),
        ),
        (
            "-newkey rsa:2048 -sha1 -sigopt rsa_padding_mode:pss",
            ParseError::Signature(SignatureError::Unsupported { algorithm: "1.2.840.113549.1.1.10".into() }),
        ),
        ("-newkey ec -pkeyopt ec_paramgen_curve:secp256k1", unsupported("1.3.132.0.10")),
        ("-newkey ed448", unsupported("1.3.101.113")),
        ("-newkey rsa-pss", unsupported("1.2.840.113549.1.1.10")),
        (
            "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            ParseError::Key(KeyError::Malformed),
        ),
    ];
    for (options, expected) in table {
        openssl.run(&format!("req -new {options} -nodes -keyout key.pem -subj /CN=x -out a.pem"));
        assert_eq!(SigningRequest::from_pem(&openssl.read("a.pem")).err(), Some(expected), "{options}");
    }
}

#[test]
fn private_keys_of_every_form_are_read() {
    let openssl = OpenSsl::new();
    let table = [
        ("genrsa -out key.pem 2048", ""),
        ("genrsa -traditional -out key.pem 2048", ""),
        ("ecparam -name prime256v1 -genkey -out key.pem", ""),
        ("ecparam -name secp384r1 -genkey -noout -out key.pem", ""),
        (
            "ecparam -name prime256v1 -genkey -noout -out sec1.pem",
            "pkcs8 -topk8 -nocrypt -in sec1.pem -out key.pem",
        ),
        ("genpkey -algorithm ED25519 -out key.pem", ""),
    ];
    for (make, convert) in table {
        openssl.run(make);
        if !convert.is_empty() {
            openssl.run(convert);
        }
        let key = PrivateKey::from_pem(&openssl.read_text("key.pem"))
            .unwrap_or_else(|error| panic!("{make}: {error}"));
        assert_eq!(
            openssl.run("pkey -in key.pem -pubout"),
            x509::pem::write("PUBLIC KEY", key.public().spki())
        );
    }
    for make in [
        "genrsa -traditional -aes128 -passout pass:secret -out key.pem 2048",
        "genpkey -algorithm ED25519 -aes256 -pass pass:secret -out key.pem",
    ] {
        openssl.run(make);
        assert_eq!(
            PrivateKey::from_pem(&openssl.read_text("key.pem")).err(),
            Some(KeyError::Encrypted),
            "{make}"
        );
    }
    for (make, expected) in [
        ("genrsa -out key.pem 1024", KeyError::Size { bits: 1024 }),
        (
            "ecparam -name secp521r1 -genkey -noout -out key.pem",
            KeyError::Unsupported { algorithm: "1.3.132.0.35".into() },
        ),
        ("genpkey -algorithm X25519 -out key.pem", KeyError::Unsupported { algorithm: "1.3.101.110".into() }),
    ] {
        openssl.run(make);
        assert_eq!(PrivateKey::from_pem(&openssl.read_text("key.pem")).err(), Some(expected), "{make}");
    }
}

#[test]
fn certificates_and_lists_are_read() {
    let openssl = OpenSsl::new();
    openssl.write(
        "ca.cnf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\ncrlnumber=crlnumber\ncertificate=ca.pem\nprivate_key=ca.key\n\
         default_md=sha256\ndefault_days=10\ndefault_crl_days=10\nnew_certs_dir=.\npolicy=p\nunique_subject=no\ncrl_extensions=c\nx509_extensions=e\n\
         [p]\ncommonName=supplied\n[c]\nauthorityKeyIdentifier=keyid:always,issuer:always\n[e]\nauthorityKeyIdentifier=keyid,issuer:always\n",
    );
    openssl.write("index", "");
    openssl.write("serial", "7FAB\n");
    openssl.write("crlnumber", "0100\n");
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=ca -days 20 -out ca.pem");
    openssl.run("req -new -newkey rsa:2048 -nodes -keyout a.key -subj /CN=a -out a.csr");
    openssl.run("ca -batch -notext -config ca.cnf -in a.csr -out a.pem");
    let ca = Certificate::from_pem(&openssl.read("ca.pem")).unwrap();
    let leaf = Certificate::from_pem(&openssl.read("a.pem")).unwrap();
    assert!(ca.is_ca() && !leaf.is_ca());
    assert_eq!((leaf.serial().to_string(), leaf.subject().to_string()), ("32683".into(), "CN=a".into()));
    assert_eq!(ca.subject_key_id(), Some(ca.public_key().key_id()));
    assert_eq!(x509::verify(&leaf, std::slice::from_ref(&ca), leaf.not_before()), Ok(&ca));

    let list = || {
        openssl.run("ca -gencrl -config ca.cnf -out crl.pem");
        let crl = Crl::from_pem(&openssl.read("crl.pem")).unwrap();
        assert_eq!(crl.verify_signature(ca.public_key()), Ok(()));
        assert_eq!(crl.authority_key_id(), ca.subject_key_id().as_ref().map(|id| &id.as_bytes()[..]));
        crl
    };
    let empty = list();
    assert_eq!((empty.number(), empty.entries()), (256, &[][..]));
    openssl.run("ca -revoke a.pem -config ca.cnf -crl_reason keyCompromise");
    let full = list();
    assert_eq!((full.number(), full.entries().len(), full.contains(&leaf.serial())), (257, 1, true));
    assert_eq!((full.next_update() - full.this_update()).as_seconds(), 10 * 86_400);
}

#[test]
fn what_is_not_version_3_is_refused() {
    let openssl = OpenSsl::new();
    openssl.run("req -new -newkey rsa:2048 -nodes -keyout a.key -subj /CN=a -out a.csr");
    openssl.run("x509 -req -in a.csr -signkey a.key -days 1 -out a.pem");
    assert_eq!(
        Certificate::from_pem(&openssl.read("a.pem")).err(),
        Some(ParseError::Version { what: "certificate" })
    );
    openssl.run("req -x509 -key a.key -subj /CN=a -set_serial 0 -out a.pem");
    assert_eq!(Certificate::from_pem(&openssl.read("a.pem")).err(), Some(ParseError::Serial));
    openssl.run("req -x509 -key a.key -subj /CN=a -set_serial -5 -out a.pem");
    assert_eq!(Certificate::from_pem(&openssl.read("a.pem")).err(), Some(ParseError::Serial));
}

/// It has no extensions that could say what it is for: it is somebody's, and never an authority's.
#[test]
fn a_holder_may_have_version_1_and_an_authority_may_not() {
    let openssl = OpenSsl::new();
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=ca -days 2 -out ca.pem");
    openssl.run("req -new -newkey rsa:2048 -nodes -keyout a.key -subj /CN=a -out a.csr");
    openssl.run("x509 -req -in a.csr -CA ca.pem -CAkey ca.key -days 1 -out a.der -outform DER");
    openssl.run("req -new -key ca.key -subj /CN=ca -out ca.csr");
    openssl.run("x509 -req -in ca.csr -signkey ca.key -days 2 -out ca1.der -outform DER");
    let authority = Certificate::from_pem(&openssl.read("ca.pem")).unwrap();
    let holder = Certificate::from_holder_der(&openssl.read("a.der")).unwrap();
    assert_eq!((holder.subject().to_string(), holder.is_ca()), ("CN=a".to_owned(), false));
    assert!(holder.extensions().is_empty() && Certificate::from_der(holder.der()).is_err());
    let now = holder.not_before();
    let verify =
        |anchor: &Certificate, now| x509::verify(&holder, std::slice::from_ref(anchor), now).map(drop);
    assert_eq!(verify(&authority, now), Ok(()));
    assert_eq!(verify(&authority, holder.not_after() + Span::seconds(1)), Err(VerifyError::Expired));
    // The same authority's name and key, in a certificate of version 1.
    let authority = Certificate::from_holder_der(&openssl.read("ca1.der")).unwrap();
    assert!(!authority.is_ca() && holder.verify_signature(authority.public_key()).is_ok());
    assert_eq!(verify(&authority, now), Err(VerifyError::UnknownIssuer));
    openssl.run("req -x509 -newkey rsa:2048 -nodes -keyout other.key -subj /CN=ca -out other.pem");
    let other = Certificate::from_pem(&openssl.read("other.pem")).unwrap();
    assert!(verify(&other, now).is_err(), "another authority of the same name");
}

/// Whoever only looks at what others are to trust sees what there is; nobody is believed for such a key.
#[test]
fn an_anchor_may_have_an_rsa_key_that_verifies_nothing() {
    let openssl = OpenSsl::new();
    for (bits, options) in [(512, ""), (1024, ""), (1024, "-sha256 -sigopt rsa_padding_mode:pss")] {
        let make = format!("req -x509 -newkey rsa:{bits} -nodes -keyout a.key {options} -subj /CN=a");
        openssl.run(&format!("{make} -outform DER -out a.der"));
        let der = openssl.read("a.der");
        let refused = Some(ParseError::Key(KeyError::Size { bits }));
        assert_eq!(
            (Certificate::from_der(&der).err(), Certificate::from_holder_der(&der).err()),
            (refused.clone(), refused)
        );
        let read = Certificate::from_anchor_der(&der).unwrap();
        assert_eq!(*read.public_key().kind(), KeyKind::UnfitRsa { bits: bits as u32 });
        assert_eq!((read.der(), read.is_ca()), (&der[..], true));
        assert!(read.verify_signature(read.public_key()).is_err(), "{bits} {options}");
    }
}

#[test]
fn openssl_agrees_on_where_things_are() {
    let openssl = OpenSsl::new();
    openssl.run("req -x509 -newkey ed25519 -nodes -keyout a.key -subj /CN=a -outform DER -out a.der");
    let certificate = Certificate::from_der(&openssl.read("a.der")).unwrap();
    // The subject is the sixth field: asn1parse lists a line for each element, offset first.
    let listing = openssl.run("asn1parse -inform DER -in a.der");
    let fields: Vec<usize> = listing
        .lines()
        .filter(|line| line.contains(":d=2 "))
        .map(|line| line.split(':').next().unwrap().trim().parse().unwrap())
        .collect();
    assert_eq!(element(&openssl, "a.der", fields[5]), certificate.subject().der());
    assert_eq!(element(&openssl, "a.der", fields[6]), certificate.public_key().spki());
    assert_eq!(
        x509::verify(&certificate, std::slice::from_ref(&certificate), certificate.not_before()),
        Ok(&certificate)
    );
    assert!(x509::verify(&certificate, std::slice::from_ref(&certificate), START).is_err());
}
