"""Makes the corpus of odd signing requests, and the README that says what becomes of each.

Run it with the Python of the witnesses (`cargo xtask witnesses` prints where they are), in this folder.
Requests with elliptic curve keys come out the same every time; those whose keys cannot be derived from
their names are made once and then kept.
"""

import base64
import hashlib
import pathlib
import textwrap

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519

HERE = pathlib.Path(__file__).parent
ISSUED = "issued"
ROWS = []


# DER.

def tlv(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        length = bytes([size])
    else:
        digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(digits)]) + digits
    return bytes([tag]) + length + content


def seq(*parts):
    return tlv(0x30, *parts)


def set_of(*parts):
    return tlv(0x31, *parts)


def oid(text):
    arcs = [int(arc) for arc in text.split(".")]
    arcs[:2] = [arcs[0] * 40 + arcs[1]]
    out = b""
    for arc in arcs:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        out += bytes(reversed(digits))
    return tlv(6, out)


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(content):
    return tlv(4, content)


def bits(content, unused=0):
    return tlv(3, bytes([unused]), content)


NULL = tlv(5)
TRUE = tlv(1, b"\xff")
UTF8, NUMERIC, PRINTABLE, T61, IA5, VISIBLE, UNIVERSAL, BMP = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1A, 0x1C, 0x1E


def string(tag, text):
    if isinstance(text, bytes):
        return tlv(tag, text)
    codec = {BMP: "utf-16-be", UNIVERSAL: "utf-32-be", T61: "latin-1"}.get(tag, "utf-8")
    return tlv(tag, text.encode(codec))


# Names.

CN, SN, C, L, ST, STREET, O, OU = (f"2.5.4.{n}" for n in (3, 5, 6, 7, 8, 9, 10, 11))
DC, UID, EMAIL = "0.9.2342.19200300.100.1.25", "0.9.2342.19200300.100.1.1", "1.2.840.113549.1.9.1"


def attribute(kind, text, tag=UTF8):
    return seq(oid(kind), string(tag, text))


def name(*attributes):
    """Each attribute is (kind, text[, tag]); a list of them is one relative name."""
    sets = [attributes_ if isinstance(attributes_, list) else [attributes_] for attributes_ in attributes]
    return seq(*(set_of(*sorted(attribute(*one) for one in many)) for many in sets))


HOST = name((CN, "host"))
NOBODY = name()


# Keys.

def derived(curve, label):
    seed = hashlib.sha512(label.encode()).digest() + hashlib.sha512(label.encode() + b"+").digest()
    order_bits = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}[curve.name]
    return ec.derive_private_key(int.from_bytes(seed, "big") >> (1024 - order_bits + 8), curve)


def spki(key):
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sign(key, message):
    """An AlgorithmIdentifier and a signature."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = seq(oid("1.2.840.10045.4.3.2"))
        return algorithm, key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm = seq(oid("1.2.840.113549.1.1.11"), NULL)
        return algorithm, key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, x25519.X25519PrivateKey):
        return seq(oid("1.3.101.110")), b"\x01" * 64
    return seq(oid("1.3.101.112")), key.sign(message)


# Requests.

EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
KU, EKU, SAN, BC, NC, CP, SKI, AKI = (f"2.5.29.{n}" for n in (15, 37, 17, 19, 30, 32, 14, 35))


def ext(kind, value, critical=False):
    return seq(oid(kind), TRUE if critical else b"", octets(value))


def san(*names, critical=False):
    return ext(SAN, seq(*names), critical)


def general(number, content, constructed=False):
    return tlv((0xA0 if constructed else 0x80) | number, content.encode() if isinstance(content, str) else content)


def email(text):
    return general(1, text)


def dns(text):
    return general(2, text)


def uri(text):
    return general(6, text)


def address(*octets_):
    return general(7, bytes(octets_))


def other(kind, value):
    return general(0, oid(kind) + tlv(0xA0, value), True)


def extension_request(*extensions):
    return seq(oid(EXTENSION_REQUEST), set_of(seq(*extensions)))


def request(file, subject=HOST, extensions=(), key=None, attributes=None, public=None, version=0, signed=None):
    key = key or derived(ec.SECP256R1(), file)
    if attributes is None:
        attributes = [extension_request(*extensions)] if extensions else []
    public = public(key) if callable(public) else public or spki(key)
    info = seq(integer(version), subject, public, tlv(0xA0, *attributes))
    algorithm, signature = sign(key, info if signed is None else signed)
    return seq(info, algorithm, bits(signature))


def pem(der, label="CERTIFICATE REQUEST"):
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


NOT_OWN = "the signing request's own signature is not good:"


STRICT = "the requested {}; only the setting `ca.names = \"any\"` allows that"
ONE_LABEL = "has a host name of one label"
ONE_CHARACTER = "has a host name whose last label has one character"
NO_LETTER = "has a host name that does not end with a letter"
WILDCARD = "has a wildcard"
SCHEME = "has a scheme other than ftp, ftps, git, http, https, ldap, rtsp, sftp, ssh or telnet"
NUMBER = "is an object identifier that not everybody can read (RFC 5280 appendix B)"


def add(file, answer, what, subject=HOST, extensions=(), text=None, strict=None, **how):
    """One request and its row. `text` makes the file of its PEM; a `key` that is a function is called once.
    `strict` is what is said of it where only strict names are certified, if that is something else."""
    path = HERE / f"{file}.pem"
    ROWS.append((path.name, answer, STRICT.format(strict) if strict else "", what))
    if callable(how.get("key")):
        if path.exists():
            return
        how["key"] = how["key"]()
    written = pem(request(file, subject, extensions, **how))
    path.write_text(text(written) if text else written)


# Subjects.

NAMELESS = "the request names nobody: both subject and subjectAltName are empty"
A1 = "(RFC 5280 appendix A.1)"
A4 = "(RFC 5280 §4.1.2.4)"

add("subject-none-san-not-critical", ISSUED, "no subject, names not critical: they become critical",
    NOBODY, [san(dns("host.example.com"))])
add("subject-none-san-critical", ISSUED, "no subject, names critical", NOBODY,
    [san(dns("host.example.com"), critical=True)])
add("subject-none-san-none", NAMELESS, "neither subject nor names", NOBODY)
add("subject-none-san-empty", NAMELESS, "no subject, and a list of names without names", NOBODY, [san()])
add("subject-san-critical", ISSUED, "subject, and names that are critical: they become not critical",
    HOST, [san(dns("host.example.com"), critical=True)])
add("subject-san-empty", ISSUED, "subject, and a list of names without names: it is left out", HOST, [san()])
add("subject-huge", ISSUED, "200 organizational units of 64 characters",
    name((CN, "host"), *((OU, f"{n:064}") for n in range(200))))
add("subject-multi-valued", ISSUED, "three attributes in one relative name",
    name((O, "Company"), [(CN, "host"), (OU, "unit"), (SN, "1", PRINTABLE)]))
add("subject-twice-in-one", "the requested commonName appears twice in one relative distinguished name (X.501 §9.3)",
    "two common names in one relative name", name([(CN, "a"), (CN, "b")]))
add("subject-two-common-names", ISSUED, "two common names, each in its own relative name",
    name((CN, "a"), (CN, "b")))
add("subject-bmp", ISSUED, "BMPString", name((CN, "hôte €", BMP)))
add("subject-bmp-odd", f"the requested commonName is not text {A4}", "BMPString of three octets",
    name((CN, b"\0a\0", BMP)))
add("subject-bmp-surrogate", f"the requested commonName is not text {A4}", "BMPString with half a surrogate pair",
    name((CN, b"\xd8\x00", BMP)))
add("subject-t61", ISSUED, "T61String with Latin-1 in it", name((CN, "hôte", T61)))
add("subject-universal", f'the requested commonName "hôte" is a UniversalString, which is out of use {A4}', "UniversalString", name((CN, "hôte", UNIVERSAL)))
add("subject-utf8", ISSUED, "UTF8String with characters of all lengths", name((CN, "hôte € 🏠 主机")))
add("subject-utf8-broken", f"the requested commonName is not text {A4}", "UTF8String that is not UTF-8",
    name((CN, b"h\xf4te")))
add("subject-utf8-control", ISSUED, "UTF8String with a line feed and a NUL", name((CN, "a\nb\0c")))
add("subject-printable", ISSUED, "PrintableString with all its punctuation", name((CN, "a '()+,-./:=?", PRINTABLE)))
add("subject-printable-at", 'the requested commonName "a@b_c*" has characters that no PrintableString has (X.680 §41.4)',
    "PrintableString with characters outside its alphabet", name((CN, "a@b_c*", PRINTABLE)))
add("subject-printable-latin", f"the requested commonName is not text {A4}", "PrintableString with Latin-1 in it",
    name((CN, b"h\xf4te", PRINTABLE)))
add("subject-ia5", f'the requested commonName "host" is not a DirectoryString {A4}', "IA5String",
    name((CN, "host", IA5)))
add("subject-numeric", f'the requested commonName "1" is not a DirectoryString {A4}', "NumericString",
    name((CN, "1", NUMERIC)))
add("subject-integer", f"the requested commonName is not text {A4}", "an INTEGER", name((CN, b"\x01", 2)))
add("subject-cn-64", ISSUED, "a common name of 64 characters", name((CN, "é" * 64)))
add("subject-cn-65", f"the requested commonName has 65 characters, more than 64 {A1}",
    "a common name of 65 characters", name((CN, "x" * 65)))
add("subject-cn-empty", f"the requested commonName is empty {A1}", "a common name of no characters", name((CN, "")))
add("subject-o-65", f"the requested organizationName has 65 characters, more than 64 {A1}",
    "an organization of 65 characters", name((CN, "host"), (O, "x" * 65)))
add("subject-l-128", ISSUED, "a locality of 128 characters", name((CN, "host"), (L, "x" * 128)))
add("subject-st-129", f"the requested stateOrProvinceName has 129 characters, more than 128 {A1}",
    "a state of 129 characters", name((CN, "host"), (ST, "x" * 129)))
add("subject-country", ISSUED, "a country", name((C, "FR", PRINTABLE), (CN, "host")))
COUNTRY = f"is not a country of two letters as PrintableString {A1}"
add("subject-country-3", f'the requested countryName "FRA" {COUNTRY}', "a country of three letters",
    name((C, "FRA", PRINTABLE), (CN, "host")))
add("subject-country-utf8", f'the requested countryName "FR" {COUNTRY}', "a country as UTF8String",
    name((C, "FR"), (CN, "host")))
add("subject-serial-number", ISSUED, "serialNumber", name((CN, "host"), (SN, "2026-1", PRINTABLE)))
add("subject-serial-number-utf8", f'the requested serialNumber "1" is not a PrintableString {A1}',
    "serialNumber as UTF8String", name((CN, "host"), (SN, "1")))
add("subject-serial-number-65", f"the requested serialNumber has 65 characters, more than 64 {A1}",
    "serialNumber of 65 characters", name((CN, "host"), (SN, "1" * 65, PRINTABLE)))
add("subject-dc", ISSUED, "domain components", name((DC, "com", IA5), (DC, "example", IA5), (CN, "host")))
add("subject-dc-one", ISSUED, "one domain component", name((DC, "local", IA5), (CN, "host")),
    strict=f'domainComponent "local" {ONE_LABEL}')
add("subject-dc-one-character", ISSUED, "domain components, the last of one character",
    name((DC, "b", IA5), (DC, "a", IA5)), strict=f'domainComponent "a.b" {ONE_CHARACTER}')
add("subject-dc-bad", 'the requested domainComponent "a b.com" is not a host name (RFC 4519 §2.4)',
    "a domain component with a space", name((DC, "com", IA5), (DC, "a b", IA5)))
add("subject-dc-utf8", f'the requested domainComponent "com" is not an IA5String {A4}',
    "a domain component as UTF8String", name((DC, "com"), (CN, "host")))
add("subject-uid", ISSUED, "userId", name((UID, "user"), (CN, "host")))
add("subject-street", ISSUED, "street, postal code, business category, pseudonym, organization identifier, title, "
    "given name, surname, initials, generation, qualifier",
    name((STREET, "1 rue"), ("2.5.4.17", "59000"), ("2.5.4.15", "Private"), ("2.5.4.65", "nobody"),
         ("2.5.4.97", "VATFR-1"), ("2.5.4.12", "Dr"), ("2.5.4.42", "Given"), ("2.5.4.4", "Sur"),
         ("2.5.4.43", "G"), ("2.5.4.44", "III"), ("2.5.4.46", "q", PRINTABLE)))
add("subject-unknown-attribute", ISSUED, "an attribute nobody knows, as UTF8String", name(("1.2.3.4", "x")))
add("subject-unknown-attribute-ia5", f'the requested 1.2.3.4 "x" is not a DirectoryString {A4}',
    "an attribute nobody knows, as IA5String", name(("1.2.3.4", "x", IA5)))
UUID = "2.25.285541874270823339875695650038637483517"
for file, kind, what in (
    ("uuid", UUID, "an attribute made from a UUID (X.667)"),
    ("2-999", "2.999.1", "an attribute of the arc for examples"),
    ("short", "1.2.3", "an attribute with a number of two octets"),
    ("28-bits", "1.2.268435456", "an attribute with an arc above 28 bits"),
):
    add(f"subject-attribute-{file}", ISSUED, what, name((kind, "x")), strict=f'attribute "{kind}" {NUMBER}')
add("subject-unknown-bmp", ISSUED, "an attribute nobody knows, as BMPString", name(("1.2.3.4", "é", BMP)))
add("subject-unknown-t61", ISSUED, "an attribute nobody knows, as T61String", name(("1.2.3.4", b"\x01\x7f\xff", T61)))
add("subject-uid-long", ISSUED, "a userId of 40000 characters", name((UID, "x" * 40000)))
add("subject-qualifier-empty", ISSUED, "a dnQualifier of no characters", name((CN, "x"), ("2.5.4.46", "", PRINTABLE)))
add("subject-country-odd", ISSUED, "a country that there is not", name((C, "?1", PRINTABLE), (CN, "x")))
add("subject-utf8-odd", ISSUED, "a byte order mark, a noncharacter, a private character, and marks of direction",
    name((CN, "\ufeff\uffff\ue000\u202ea\u0301")))
add("subject-bmp-empty", f"the requested commonName is empty {A1}", "BMPString of no characters", name((CN, "", BMP)))
add("subject-empty-set", "Not a CSR: the name is malformed", "a relative name without attributes", seq(set_of()))
add("subject-street-129", f"the requested streetAddress has 129 characters, more than 128 {A1}", "a street of 129 characters",
    name((STREET, "x" * 129)))
NO_TIME = "is not a GeneralizedTime YYYYMMDDHHMMSSZ (RFC 3739 §3.3.1)"
add("subject-birth-impossible", f'the requested dateOfBirth "19701301000000Z" {NO_TIME}', "a date of birth in the thirteenth month",
    name((CN, "x"), ("1.3.6.1.5.5.7.9.1", "19701301000000Z", 0x18)))
add("subject-birth-year-0", f'the requested dateOfBirth "00000101000000Z" {NO_TIME}', "a date of birth in the year 0",
    name((CN, "x"), ("1.3.6.1.5.5.7.9.1", "00000101000000Z", 0x18)))
add("subject-unstructured", ISSUED, "unstructuredName and unstructuredAddress of PKCS #9",
    name(("1.2.840.113549.1.9.2", "x", IA5), ("1.2.840.113549.1.9.8", "y", PRINTABLE)))
add("subject-person", ISSUED, "date and place of birth, gender, citizenship, residence (RFC 3739)",
    name((CN, "x"), ("1.3.6.1.5.5.7.9.1", "19700101000000Z", 0x18), ("1.3.6.1.5.5.7.9.2", "Lille"),
         ("1.3.6.1.5.5.7.9.3", "F", PRINTABLE), ("1.3.6.1.5.5.7.9.4", "FR", PRINTABLE),
         ("1.3.6.1.5.5.7.9.5", "FR", PRINTABLE)))
add("subject-gender", 'the requested gender "X" is neither M nor F (RFC 3739 §3.3.3)', "a gender beyond RFC 3739",
    name(("1.3.6.1.5.5.7.9.3", "X", PRINTABLE)))
add("subject-extension-request", 'the requested extensionRequest "x" is not an attribute of names',
    "extensionRequest as an attribute of the subject", name((EXTENSION_REQUEST, "x")))
add("subject-email", ISSUED, "a mailbox in the subject that is in the names as well",
    name((CN, "x"), (EMAIL, "user@example.com", IA5)), [san(email("user@example.com"))])
add("subject-email-one-label", ISSUED, "a mailbox at a domain of one label, in both places",
    name((CN, "x"), (EMAIL, "root@localhost", IA5)), [san(email("root@localhost"))],
    strict=f'emailAddress "root@localhost" {ONE_LABEL}')
add("subject-email-case", ISSUED,
    "a mailbox in the subject, and the same without capitals in the names: both are names then",
    name((CN, "x"), (EMAIL, "User@Example.COM", IA5)), [san(email("user@example.com"))])
add("subject-email-no-san", ISSUED,
    "a mailbox in the subject only: it becomes a name as well", name((CN, "x"), (EMAIL, "user@example.com", IA5)))
add("subject-email-other-san", ISSUED,
    "a mailbox in the subject, another one in the names: both are names then",
    name((CN, "x"), (EMAIL, "user@example.com", IA5)), [san(email("other@example.com"))])
BAD_EMAIL = "is not a mailbox (RFC 5280 §4.1.2.6, RFC 5321 §4.1.2)"
add("subject-email-bad", f'the requested emailAddress "nobody" {BAD_EMAIL}', "a mailbox that is none",
    name((CN, "x"), (EMAIL, "nobody", IA5)))
add("subject-email-utf8", f'the requested emailAddress "user@example.com" {BAD_EMAIL}', "a mailbox as UTF8String",
    name((CN, "x"), (EMAIL, "user@example.com")), [san(email("user@example.com"))])
add("subject-set-order", "the requested relative distinguished name is not in the order of DER (X.690 §11.6)", "the set of a relative name not in the order of DER",
    seq(set_of(attribute(OU, "unit"), attribute(CN, "host"))))

# Host names.

A6 = "(RFC 5280 §4.2.1.6)"
BAD_HOST = "is not a host name (RFC 5280 §4.2.1.6, RFC 1034 §3.5)"


def host(file, text, what, good, shown=None, strict=None):
    answer = ISSUED if good else f'the requested dNSName "{shown or text}" {BAD_HOST}'
    add(f"dns-{file}", answer, what, HOST, [san(dns(text))], strict=strict and f'dNSName "{text}" {strict}')


host("plain", "host.example.com", "a host name", True)
host("case", "Host-1.Example.COM", "capitals and a digit", True)
host("one-label", "localhost", "a host name of one label", True, strict=ONE_LABEL)
host("digit-at-end", "backend.zone1", "a last label with a digit at its end", True, strict=NO_LETTER)
host("one-character", "a.b", "a last label of one character", True, strict=ONE_CHARACTER)
host("digits-first", "1.2.3.4a", "a last label with a letter behind a digit", True)
host("underscore-last", "host.my_zone", "an underscore within the last label", True)
host("a-label-bad", "xn--a.example.com", "an international name that is none", True)
host("two-hyphens", "ab--cd.example.com", "two hyphens in third place", True)
host("wildcard", "*.example.com", "a wildcard as the whole first label", True, strict=WILDCARD)
host("wildcard-one-label", "*.localhost", "a wildcard before a host name of one label", True, strict=WILDCARD)
host("wildcard-partial", "w*.example.com", "a wildcard as a part of a label", False)
host("wildcard-middle", "a.*.example.com", "a wildcard as another label", False)
host("wildcard-alone", "*", "a wildcard alone", False)
host("underscore", "my_host.example.com", "an underscore within a label", True)
host("underscore-first", "_dmarc.example.com", "an underscore at the beginning", False)
host("trailing-dot", "host.example.com.", "a dot at the end", False)
host("two-dots", "a..b.example.com", "an empty label", False)
host("hyphen-first", "-a.example.com", "a hyphen at the beginning", False)
host("space", "a b.example.com", "a space", False)
host("line-feed", "a.example.com\n", "a line feed at the end", False, r"a.example.com\n")
host("nul", "a.example.com\0.evil.example", "a NUL within", False, r"a.example.com\0.evil.example")
host("address", "192.0.2.1", "an address", False)
host("port", "host.example.com:443", "a port", False)
host("label-63", "x" * 63 + ".example.com", "a label of 63 characters", True)
host("label-64", "x" * 64 + ".example.com", "a label of 64 characters", False)
LONG = ".".join(["x" * 61] * 4)
host("253", LONG + ".fr.io", "253 characters", True)
host("254", LONG + ".fr.com", "254 characters", False, (LONG + ".fr.com")[:80] + "…")
host("a-label", "xn--caf-dma.example.com", "an international name in its ASCII form", True)
add("dns-u-label", f'the requested dNSName "café.example.com" is not an IA5String {A6}', "an international name as it is",
    HOST, [san(dns("café.example.com"))])
add("dns-latin", f'the requested dNSName "caf\ufffd.example.com" is not an IA5String {A6}', "the same in Latin-1",
    HOST, [san(general(2, b"caf\xe9.example.com"))])
add("dns-empty", f"the requested dNSName is empty {A6}", "no characters", HOST, [san(dns(""))])
add("dns-many", ISSUED, "300 host names", HOST, [san(*(dns(f"host{n}.example.com") for n in range(300)))])
add("dns-one-bad", f'the requested dNSName "a b" {BAD_HOST}', "one bad name among good ones", HOST,
    [san(dns("a.example.com"), dns("a b"), dns("b.example.com"))])
add("dns-twice", ISSUED, "the same name twice", HOST, [san(dns("a.example.com"), dns("a.example.com"))])

# Mailboxes.

BAD_MAILBOX = "is not a mailbox (RFC 5280 §4.2.1.6, RFC 5321 §4.1.2)"


def mailbox(file, text, what, good, strict=None):
    answer = ISSUED if good else f'the requested rfc822Name "{text}" {BAD_MAILBOX}'.replace('\\"', '"')
    add(f"email-{file}", answer, what, HOST, [san(email(text))], strict=strict and f'rfc822Name "{text}" {strict}')


mailbox("plain", "user@example.com", "a mailbox", True)
mailbox("plus", "first.last+tag@mail.example.com", "a mailbox with a tag", True)
mailbox("no-at", "example.com", "no @", False)
mailbox("two-at", "a@b@example.com", "two @", False)
mailbox("one-label", "root@localhost", "a domain of one label", True, strict=ONE_LABEL)
mailbox("digit-at-end", "root@backend.zone1", "a domain with a digit at its end", True, strict=NO_LETTER)
mailbox("one-character", "root@a.b", "a domain whose last label has one character", True, strict=ONE_CHARACTER)
mailbox("specials", "!#$%&'*+-/=?^_`{|}~@example.com", "all punctuation that needs no quotes", True)
mailbox("domain-number", "root@1", "a domain of digits", False)
mailbox("brackets", "<user@example.com>", "angle brackets", False)
mailbox("space", "a b@example.com", "a space", False)
mailbox("literal", "user@[192.0.2.1]", "an address instead of a domain", False)
mailbox("literal-6", "user@[IPv6:2001:db8::1]", "an IPv6 address instead of a domain", False)
mailbox("local-64", "x" * 64 + "@example.com", "64 characters before the @", True)
add("email-local-65", f'the requested rfc822Name "{"x" * 65}@example.com" {BAD_MAILBOX}', "65 characters before the @",
    HOST, [san(email("x" * 65 + "@example.com"))])
add("email-quoted", ISSUED, "a quoted local part", HOST, [san(email('"a,b"@example.com'))])
add("email-quoted-space", ISSUED, "a space and a quote in a quoted local part", HOST, [san(email(r'"a\ b\"c"@example.com'))])
add("email-non-ascii", f'the requested rfc822Name "é@example.com" is not an IA5String {A6}', "characters outside ASCII",
    HOST, [san(email("é@example.com"))])
add("email-empty", f"the requested rfc822Name is empty {A6}", "no characters", HOST, [san(email(""))])

# URIs.

BAD_URI = "is not an absolute URI whose host is a host name or an address (RFC 5280 §4.2.1.6, RFC 3986)"


def resource(file, text, what, good, strict=None):
    answer = ISSUED if good else f'the requested uniformResourceIdentifier "{text}" {BAD_URI}'
    add(f"uri-{file}", answer, what, HOST, [san(uri(text))],
        strict=strict and f'uniformResourceIdentifier "{text}" {strict}')


resource("http", "http://example.com:8000/a/b?c=d#e", "a web address", True)
resource("user", "https://user:pass@example.com/", "a user and a password", True)
resource("v4", "http://192.0.2.1/", "an IPv4 address", True)
resource("v6", "http://[2001:db8::1]:80/", "an IPv6 address", True)
resource("spiffe", "spiffe://example.org/ns/service", "a SPIFFE identity", True, strict=SCHEME)
resource("urn", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "no authority", True, strict=SCHEME)
resource("ldap", "ldap://directory.example.com/cn=x", "LDAP", True)
resource("relative", "/a/b", "relative", False)
resource("scheme-relative", "//example.com/a", "no scheme", False)
resource("no-authority", "http:///a", "a web address without a host", False)
resource("host-one-label", "http://host/a", "a host of one label", True, strict=ONE_LABEL)
resource("localhost", "http://localhost:8000/", "this machine, and a port", True, strict=ONE_LABEL)
resource("host-digit-at-end", "http://backend.zone1/", "a host with a digit at its end", True, strict=NO_LETTER)
resource("spiffe-one-label", "spiffe://td/x", "a SPIFFE identity in a trust domain of one label", True, strict=SCHEME)
resource("scheme-unknown", "x-ours://host.example.com/a", "a scheme nobody registered", True, strict=SCHEME)
resource("file", "file:///a", "an authority without a host", False)
resource("host-number", "http://1/", "a host of digits", False)
resource("escape", "http://example.com/%C3%A9", "percent-encoded characters", True)
resource("escape-bad", "http://example.com/%zz", "a percent sign that encodes nothing", False)
resource("query-bad", "http://example.com/?a={b}", "braces in the query", False)
resource("space", "http://example.com/a b", "a space", False)
resource("port", "http://example.com:99999/", "a port there is not", False)
QUERY = "has a query that does not begin with a word"
FRAGMENT = "has a `/` or a `?` within its fragment"
resource("host-one-character", "http://a.b/", "a host whose last label has one character", True, strict=ONE_CHARACTER)
resource("capitals", "HTTP://EXAMPLE.COM/", "capitals", True)
resource("mapped", "http://[::ffff:192.0.2.1]/", "an IPv4 address in an IPv6 address", True)
resource("port-zeros", "http://example.com:0080/", "a port with zeros before it", True,
         strict="has a port that begins with a zero")
resource("user-empty", "http://@example.com/", "a user without a name", True)
resource("user-colons", "http://a:b:c@example.com/", "a password with a colon", True)
resource("user-colons-escape", "http://a:b:%20@example.com/", "a password with a colon and a percent-encoded character",
         True, strict="has a user with two colons and a percent sign")
resource("user-escape", "http://%20%22:%20@example.com/", "a user and a password with percent-encoded characters", True)
resource("path-specials", "http://example.com/-._~!$&'()*+,;=:@/", "all punctuation of paths", True)
resource("no-path", "http://example.com?a", "a query behind the host", True)
resource("fragment", "http://example.com#a", "a fragment behind the host", True)
resource("query-and", "http://example.com/?&a=b", "a query that begins with an ampersand", True)
resource("query-equals", "http://example.com/?=a", "a query that begins with an equals sign", True, strict=QUERY)
resource("query-escape", "http://example.com/?%20", "a query that begins with a percent sign", True, strict=QUERY)
resource("query-second", "http://example.com/?a/?b=?:@", "punctuation within a query", True)
resource("fragment-slash", "http://example.com/#/a", "a fragment that begins with a slash", True)
resource("fragment-path", "http://example.com/#a/b", "a path as a fragment", True, strict=FRAGMENT)
resource("fragment-query", "http://example.com/#a?b", "a question mark in a fragment", True, strict=FRAGMENT)
resource("ldap-no-host", "ldap:///dc=example?cn?sub?(cn=x)", "LDAP without a host", True)
resource("ldap-one-label", "ldap://directory/", "LDAP, and a host of one label", True, strict=ONE_LABEL)
resource("ldaps", "ldaps://directory.example.com/", "LDAP over TLS", True, strict=SCHEME)
resource("ssh", "ssh://git@example.com:22/a", "SSH", True)
resource("ftp-no-host", "ftp:/a", "FTP without a host", True, strict="has no host")
resource("mailto", "mailto:user@example.com", "a mailbox as a URI", True, strict=SCHEME)
resource("data", "data:,a", "data", True, strict=SCHEME)
add("uri-non-ascii", f'the requested uniformResourceIdentifier "http://example.com/é" is not an IA5String {A6}',
    "characters outside ASCII", HOST, [san(uri("http://example.com/é"))])
add("uri-empty", f"the requested uniformResourceIdentifier is empty {A6}", "no characters", HOST, [san(uri(""))])

# Other kinds of names.

add("ip-4", ISSUED, "an IPv4 address", HOST, [san(address(192, 0, 2, 1))])
add("ip-16", ISSUED, "an IPv6 address", HOST, [san(general(7, bytes(15) + b"\1"))])
add("ip-8", f"the requested iPAddress has 8 octets, neither 4 nor 16 {A6}", "an address and a mask", HOST,
    [san(address(192, 0, 2, 0, 255, 255, 255, 0))])
add("ip-0", f"the requested iPAddress has 0 octets, neither 4 nor 16 {A6}", "no octets", HOST, [san(address())])
add("rid", ISSUED, "registeredID", HOST, [san(general(8, oid("1.2.3.4")[2:]))])
add("rid-empty", f"the requested registeredID is malformed {A6}", "registeredID of no octets", HOST, [san(general(8, b""))])
for file, kind, what in (
    ("uuid", UUID, "made from a UUID (X.667)"),
    ("2-999", "2.999.1", "of the arc for examples"),
    ("short", "1.2.3", "of two octets"),
    ("40-octets", "1.2" + ".3" * 39, "of 40 octets"),
):
    add(f"rid-{file}", ISSUED, f"registeredID {what}", HOST, [san(general(8, oid(kind)[2:]))],
        strict=f'registeredID "{kind if len(kind) <= 80 else kind[:80] + "…"}" {NUMBER}')
    add(f"other-{file}", ISSUED, f"otherName of a kind {what}", HOST, [san(other(kind, NULL))],
        strict=f'otherName "{kind if len(kind) <= 80 else kind[:80] + "…"}" {NUMBER}')
add("dir-email-one-label", ISSUED, "directoryName with a mailbox at a domain of one label", HOST,
    [san(general(4, name((EMAIL, "root@localhost", IA5)), True))],
    strict=f'directoryName: emailAddress "root@localhost" {ONE_LABEL}')
add("dir-dc-one", ISSUED, "directoryName with one domain component", HOST,
    [san(general(4, name((DC, "local", IA5)), True))], strict=f'directoryName: domainComponent "local" {ONE_LABEL}')
add("dir-attribute-uuid", ISSUED, "directoryName with an attribute made from a UUID", HOST,
    [san(general(4, name((UUID, "x")), True))], strict=f'directoryName: attribute "{UUID}" {NUMBER}')
add("dir", ISSUED, "directoryName", HOST, [san(general(4, name((C, "FR", PRINTABLE), (CN, "x")), True))])
add("dir-empty", f"the requested directoryName is empty {A6}", "directoryName without attributes", HOST,
    [san(general(4, NOBODY, True))])
add("dir-bad", f'the requested directoryName: countryName "FRA" {COUNTRY}', "directoryName with a bad attribute", HOST,
    [san(general(4, name((C, "FRA", PRINTABLE)), True))])
UPN, SRV, UTF8_MAILBOX = "1.3.6.1.4.1.311.20.2.3", "1.3.6.1.5.5.7.8.7", "1.3.6.1.5.5.7.8.9"
add("other-upn", ISSUED, "the user principal name of Microsoft", HOST, [san(other(UPN, string(UTF8, "user@corp")))])
add("other-srv", ISSUED, "SRVName (RFC 4985)", HOST, [san(other(SRV, string(IA5, "_ldap.example.com")))])
add("other-unknown", ISSUED, "otherName of a kind nobody knows", HOST, [san(other("1.2.3.4", NULL))])
add("other-malformed", f"the requested otherName is malformed {A6}", "otherName without a value", HOST,
    [san(general(0, oid(UPN), True))])
add("other-mailbox", ISSUED, "SmtpUTF8Mailbox", HOST, [san(other(UTF8_MAILBOX, string(UTF8, "é@xn--caf-dma.example.com")))])
add("other-mailbox-ascii", 'the requested SmtpUTF8Mailbox "a@example.com" belongs in an rfc822Name: all of it is ASCII '
    "(RFC 9598 §3)", "SmtpUTF8Mailbox of ASCII", HOST, [san(other(UTF8_MAILBOX, string(UTF8, "a@example.com")))])
add("other-mailbox-u-label", 'the requested SmtpUTF8Mailbox "é@café.example" has no host name in lower-case ASCII '
    "behind its @ (RFC 9598 §3)", "SmtpUTF8Mailbox at an international domain as it is", HOST,
    [san(other(UTF8_MAILBOX, string(UTF8, "é@café.example")))])
add("other-mailbox-one-label", ISSUED, "SmtpUTF8Mailbox at a domain of one label", HOST,
    [san(other(UTF8_MAILBOX, string(UTF8, "é@localhost")))], strict=f'SmtpUTF8Mailbox "é@localhost" {ONE_LABEL}')
add("other-mailbox-ia5", "the requested SmtpUTF8Mailbox is not a UTF8String (RFC 9598 §3)", "SmtpUTF8Mailbox as IA5String",
    HOST, [san(other(UTF8_MAILBOX, string(IA5, "a@example.com")))])
add("x400", "the requested x400Address is a kind of name that is not certified", "x400Address", HOST,
    [san(general(3, seq(tlv(0x61, string(PRINTABLE, "FR"))), True))])
add("edi", ISSUED, "ediPartyName", HOST,
    [san(general(5, tlv(0xA0, string(UTF8, "assigner")) + tlv(0xA1, string(UTF8, "party")), True))])
for form, tag in (("printable", PRINTABLE), ("t61", T61), ("bmp", BMP)):
    add(f"edi-{form}", ISSUED, "ediPartyName with another string", HOST,
        [san(general(5, tlv(0xA1, string(tag, "party " * 100)), True))])
add("other-nested", ISSUED, "otherName with a structure within", HOST,
    [san(other("1.2.3.4", seq(set_of(oid("2.999.1"), integer(-1 % 256), tlv(1, b"\1")), tlv(0x18, b"?"), tlv(0xA5, NULL))))])
add("other-upn-number", ISSUED, "a user principal name that is a number", HOST, [san(other(UPN, integer(1)))])
add("other-srv-utf8", ISSUED, "SRVName as UTF8String", HOST, [san(other(SRV, string(UTF8, "_ldap.é.example")))])
add("edi-malformed", f"the requested ediPartyName is malformed {A6}", "ediPartyName without a party", HOST,
    [san(general(5, tlv(0xA0, string(UTF8, "assigner")), True))])
add("san-unknown-kind", "the requested subjectAltName is malformed", "a tag that no kind of name has", HOST,
    [san(general(9, b"x"))])
add("san-primitive-directory", "the requested subjectAltName is malformed", "directoryName that is not constructed", HOST,
    [san(general(4, name((CN, "x"))))])
add("san-not-a-list", "the requested subjectAltName is malformed", "a string instead of a list of names", HOST,
    [ext(SAN, string(IA5, "host.example.com"))])
add("san-trailing", "the requested subjectAltName is malformed", "something behind the list of names", HOST,
    [ext(SAN, seq(dns("a.example.com")) + NULL)])
add("san-every-kind", ISSUED, "one of each kind, without a subject", NOBODY,
    [san(other(UPN, string(UTF8, "u")), email("a@example.com"), dns("a.example.com"),
         general(4, name((CN, "x")), True), general(5, tlv(0xA1, string(UTF8, "p")), True),
         uri("http://example.com/"), address(192, 0, 2, 1), general(8, oid("1.2.3.5")[2:]))])

# Key usage.

RSA = lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
CANNOT = "a key usage was requested that {} keys cannot have ({})"


def usage(file, answer, what, first, second=None, unused=0, critical=True, **how):
    content = bytes([first]) if second is None else bytes([first, second])
    add(f"ku-{file}", answer, what, HOST, [ext(KU, bits(content, unused), critical)], **how)


usage("all", CANNOT.format("P-256", "RFC 8813 §3"), "all nine bits, elliptic curve", 0xFF, 0x80, 7)
usage("all-rsa", CANNOT.format("RSA-2048", "RFC 3279 §2.3.1"), "all nine bits, RSA", 0xFF, 0x80, 7, key=RSA)
usage("signing", ISSUED, "digitalSignature and nonRepudiation", 0xC0, unused=6)
usage("not-critical", ISSUED, "digitalSignature, not critical: it becomes critical", 0x80, unused=7, critical=False)
usage("encipherment-rsa", ISSUED, "keyEncipherment and dataEncipherment, RSA", 0x30, unused=4, key=RSA)
usage("encipherment", CANNOT.format("P-256", "RFC 8813 §3"), "keyEncipherment, elliptic curve", 0x20, unused=5)
usage("agreement", ISSUED, "keyAgreement, elliptic curve", 0x08, unused=3)
usage("agreement-rsa", CANNOT.format("RSA-2048", "RFC 3279 §2.3.1"), "keyAgreement, RSA", 0x88, unused=3, key=RSA)
usage("agreement-ed25519", CANNOT.format("Ed25519", "RFC 9295 §3"), "keyAgreement, Ed25519", 0x88, unused=3,
      key=lambda: ed25519.Ed25519PrivateKey.generate())
usage("encipher-only", ISSUED, "encipherOnly with keyAgreement", 0x09)
usage("decipher-only", ISSUED, "decipherOnly with keyAgreement", 0x08, 0x80, 7)
usage("both-only", "the requested keyUsage has both encipherOnly and decipherOnly (RFC 5280 §4.2.1.3)",
      "encipherOnly and decipherOnly with keyAgreement", 0x09, 0x80, 7)
usage("encipher-only-alone", ISSUED, "encipherOnly without keyAgreement: it is left out, and so is the extension", 0x01)
usage("encipher-only-signing", ISSUED, "encipherOnly with digitalSignature: it is left out", 0x81)
usage("ca", ISSUED, "keyCertSign and cRLSign only: the extension is left out", 0x06, unused=1)
usage("ca-signing", ISSUED, "keyCertSign with digitalSignature: it is left out", 0x84, unused=2)
usage("zeros", ISSUED, "zeros at the end", 0x80, 0x00)
usage("padding", "the requested keyUsage cannot be read: the keyUsage extension is malformed",
      "unused bits that are set", 0xFF, unused=7)
usage("ten-bits", "the requested keyUsage cannot be read: the keyUsage extension is malformed", "a tenth bit", 0x80, 0x40, 6)
add("ku-none", ISSUED, "no bits: the extension is left out", HOST, [ext(KU, bits(b""), True)])
add("ku-not-bits", "the requested keyUsage cannot be read: the keyUsage extension is malformed", "a number instead of bits",
    HOST, [ext(KU, integer(128), True)])

# Extended key usage.

PURPOSE = "1.3.6.1.5.5.7.3."
ANY = "2.5.29.37.0"


def purposes(file, answer, what, kinds, critical=False, strict=None):
    add(f"eku-{file}", answer, what, HOST, [ext(EKU, seq(*(oid(kind) for kind in kinds)), critical)], strict=strict)


purposes("server-client", ISSUED, "serverAuth and clientAuth", [PURPOSE + "1", PURPOSE + "2"])
purposes("critical", ISSUED, "clientAuth, critical", [PURPOSE + "2"], True)
purposes("empty", ISSUED, "no purposes: the extension is left out", [])
purposes("ocsp", ISSUED, "OCSPSigning only: the extension is left out", [PURPOSE + "9"], True)
purposes("ocsp-server", ISSUED, "OCSPSigning and serverAuth: the first is left out", [PURPOSE + "9", PURPOSE + "1"])
purposes("any", ISSUED, "anyExtendedKeyUsage and others, critical: it becomes not critical",
         [ANY, PURPOSE + "1", "1.2.3.4"], True)
purposes("twice", ISSUED, "the same purpose twice", [PURPOSE + "1", PURPOSE + "1"])
purposes("time-stamping", ISSUED, "timeStamping, not critical: it becomes critical", [PURPOSE + "8"])
purposes("time-stamping-any", ISSUED, "timeStamping and anyExtendedKeyUsage", [PURPOSE + "8", ANY])
purposes("microsoft", ISSUED, "smart card logon", ["1.3.6.1.4.1.311.20.2.2"])
purposes("uuid", ISSUED, "a purpose made from a UUID (X.667)", [UUID], strict=f'purpose "{UUID}" {NUMBER}')
for file, kind, what in (
    ("2-999", "2.999.1", "a purpose of the arc for examples"),
    ("short", "1.2", "a purpose with a number of one octet"),
    ("28-bits", "1.2.268435456", "a purpose with an arc above 28 bits"),
):
    purposes(file, ISSUED, what, [PURPOSE + "1", kind], strict=f'purpose "{kind}" {NUMBER}')
purposes("64-octets", "the requested extendedKeyUsage cannot be read: the extKeyUsage extension is malformed",
         "a purpose with a number of 64 octets", ["1.2" + ".3" * 63])
purposes("many", ISSUED, "300 purposes", [f"1.2.3.{n}" for n in range(300)])
purposes("all", ISSUED, "all purposes of RFC 5280", [PURPOSE + str(n) for n in (1, 2, 3, 4, 8, 9)], True)
add("eku-malformed", "the requested extendedKeyUsage cannot be read: the extKeyUsage extension is malformed",
    "a string instead of a list", HOST, [ext(EKU, string(UTF8, "serverAuth"))])

# Policies.

OTHER_UUID = "2.25.329800735698586629295641978511506172918"
OWN, LEGACY, ANY_POLICY = "1.3.6.1.4.1.37476.9000.70.0", "2.25.285541874270823339875695650038637483517", "2.5.29.32.0"
CPS, NOTICE = "1.3.6.1.5.5.7.2.1", "1.3.6.1.5.5.7.2.2"


def policy(kind, *qualifiers):
    return seq(oid(kind), seq(*qualifiers) if qualifiers else b"")


def notice(tag, text, reference=b""):
    return seq(oid(NOTICE), seq(reference, string(tag, text) if text is not None else b""))


def policies(file, what, *all_, critical=False, answer=ISSUED, strict=None):
    add(f"cp-{file}", answer, what, HOST, [ext(CP, seq(*all_), critical)], strict=strict)


REFERENCE = seq(string(UTF8, "organization"), seq(integer(1), integer(2)))
policies("plain", "a policy", policy("1.2.3.4"))
policies("critical", "a policy, critical", policy("1.2.3.4"), critical=True)
policies("empty", "no policies")
policies("twice", "the same policy twice: once is enough", policy("1.2.3.4"), policy("1.2.3.4"))
policies("any", "anyPolicy", policy(ANY_POLICY))
policies("any-qualifier", "anyPolicy with a qualifier it may not have: it is left out",
         policy(ANY_POLICY, seq(oid("1.2.3.5"), NULL)))
policies("own", "the original's own policies: they are left out", policy(OWN), policy(OWN + ".0"), policy(OWN + ".5"))
policies("legacy", "the original's legacy policies: they move", policy(LEGACY + ".0"), policy(LEGACY + ".7"))
policies("notice-utf8", "a user notice", policy("1.2.3.4", notice(UTF8, "Read this")))
policies("notice-visible", "a user notice as VisibleString: it becomes UTF8String",
         policy("1.2.3.4", notice(VISIBLE, "Read this")))
policies("notice-bmp", "a user notice as BMPString: it becomes UTF8String", policy("1.2.3.4", notice(BMP, "Read this")))
policies("notice-ia5", "a user notice as IA5String: it becomes UTF8String", policy("1.2.3.4", notice(IA5, "Read this")))
policies("notice-200", "a user notice of 200 characters", policy("1.2.3.4", notice(UTF8, "é" * 200)))
policies("notice-201", "a user notice of 201 characters: it is left out", policy("1.2.3.4", notice(UTF8, "x" * 201)))
policies("notice-empty", "a user notice of no characters: it is left out", policy("1.2.3.4", notice(UTF8, "")))
policies("notice-control", "a user notice of two lines: it is left out", policy("1.2.3.4", notice(UTF8, "a\nb")))
policies("notice-not-nfc", "a user notice that is not normalized: it is left out",
         policy("1.2.3.4", notice(UTF8, "e\u0301")))
policies("notice-reference", "a user notice with a reference: the text stays",
         policy("1.2.3.4", notice(UTF8, "Read this", REFERENCE)))
policies("notice-only-reference", "a user notice with nothing but a reference: it is left out",
         policy("1.2.3.4", notice(UTF8, None, REFERENCE)))
policies("cps", "the address of a statement", policy("1.2.3.4", seq(oid(CPS), string(IA5, "https://example.com/cps"))))
policies("cps-urn", "the address of a statement without a host", policy("1.2.3.4", seq(oid(CPS), string(IA5, "urn:cps:1"))),
         strict=f'cPSuri "urn:cps:1" {SCHEME}')
policies("cps-one-label", "the address of a statement at a host of one label",
         policy("1.2.3.4", seq(oid(CPS), string(IA5, "http://host/"))), strict=f'cPSuri "http://host/" {ONE_LABEL}')
policies("cps-any-policy", "the address of a statement about anyPolicy at a host of one label",
         policy(ANY_POLICY, seq(oid(CPS), string(IA5, "http://host/"))), strict=f'cPSuri "http://host/" {ONE_LABEL}')
policies("several-qualifiers", "two addresses, two notices and two that nobody knows",
         policy("1.2.3.4", *(seq(oid(CPS), string(IA5, f"https://example.com/{n}")) for n in (1, 2)),
                notice(UTF8, "a"), notice(UTF8, "b"), *(seq(oid("1.2.3.5"), NULL) for _ in (1, 2))))
policies("uuid", "a policy made from a UUID (X.667)", policy(OTHER_UUID), strict=f'policy "{OTHER_UUID}" {NUMBER}')
policies("2-999", "a policy of the arc for examples", policy("2.999.1"), strict=f'policy "2.999.1" {NUMBER}')
policies("qualifier-uuid", "a qualifier made from a UUID (X.667)", policy("1.2.3.4", seq(oid(UUID), NULL)),
         strict=f'policy qualifier "{UUID}" {NUMBER}')
policies("qualifier-nested", "a qualifier with a structure within",
         policy("1.2.3.4", seq(oid("1.2.3.5"), seq(oid("2.999.1"), tlv(1, b"\1"), tlv(0x18, b"?")))))
policies("many", "300 policies", *(policy(f"1.2.3.{n}") for n in range(300)))
policies("cps-bad", "the address of a statement that is none: it is left out",
         policy("1.2.3.4", seq(oid(CPS), string(IA5, "see our site"))))
policies("cps-utf8", "the address of a statement as UTF8String: it is left out",
         policy("1.2.3.4", seq(oid(CPS), string(UTF8, "https://example.com/cps"))))
policies("unknown-qualifier", "a qualifier nobody knows", policy("1.2.3.4", seq(oid("1.2.3.5"), NULL)))
policies("no-qualifiers", "a list of qualifiers without qualifiers: it is left out", seq(oid("1.2.3.4"), seq()))
policies("malformed", "a number instead of a policy", integer(1),
         answer="the requested certificatePolicies cannot be read: the certificatePolicies extension is malformed")

# Other extensions: left out.

add("bc-ca", ISSUED, "a CA, critical: left out", HOST, [ext(BC, seq(TRUE, integer(3)), True)])
add("nc", ISSUED, "name constraints: left out", HOST, [ext(NC, seq(tlv(0xA0, seq(dns("example.com")))), True)])
add("key-ids", ISSUED, "key identifiers of somebody else: replaced", HOST,
    [ext(SKI, octets(bytes(20))), ext(AKI, seq(general(0, bytes(20))))])
add("unknown-critical", ISSUED, "a critical extension nobody knows: left out", HOST, [ext("1.2.3.4", NULL, True)])
add("must-staple", ISSUED, "TLS feature, certificate template name, SMIME capabilities: left out", HOST,
    [ext("1.3.6.1.5.5.7.1.24", seq(integer(5))), ext("1.3.6.1.4.1.311.20.2", string(BMP, "WebServer")),
     ext("1.2.840.113549.1.9.15", seq(seq(oid("2.16.840.1.101.3.4.1.42"))))])
AIA, IAN, POLICY_CONSTRAINTS, POLICY_MAPPINGS, INHIBIT, CDP, FRESHEST, SDA = (
    "1.3.6.1.5.5.7.1.1", "2.5.29.18", "2.5.29.36", "2.5.29.33", "2.5.29.54", "2.5.29.31", "2.5.29.46", "2.5.29.9")
add("for-authorities", ISSUED, "what only an authority may say, critical: left out", HOST,
    [ext(AIA, seq(), True), ext(IAN, seq(dns("x")), True), ext(POLICY_CONSTRAINTS, seq(), True),
     ext(POLICY_MAPPINGS, seq(), True), ext(INHIBIT, integer(0)), ext(CDP, seq(), True), ext(FRESHEST, seq(), True),
     ext(SDA, seq(), True), ext("1.3.6.1.4.1.11129.2.4.3", NULL, True), ext("1.3.6.1.4.1.11129.2.4.2", octets(b"")),
     ext("1.3.6.1.5.5.7.1.3", seq(seq(oid("1.3.6.1.5.5.7.11.1")))), ext("2.5.29.16", seq(), True)])
add("malformed-but-left-out", ISSUED, "extensions that would be left out, malformed", HOST,
    [ext(BC, b"\0"), ext(SKI, b"?"), ext("2.5.29.16", b"")])
add("extension-twice", "Not a CSR: the extension 2.5.29.17 appears twice",
    "the same extension twice", HOST, [san(dns("a.example.com")), san(dns("b.example.com"))])
add("extension-malformed", "Not a CSR: the list of extensions is malformed", "an extension without a value", HOST, [seq(oid(SAN))])

# Attributes.

MICROSOFT = [
    seq(oid("1.3.6.1.4.1.311.13.2.3"), set_of(string(IA5, "10.0.19041.2"))),
    seq(oid("1.3.6.1.4.1.311.21.20"), set_of(seq(integer(9), string(UTF8, "host"), string(UTF8, "user"), string(UTF8, "cmd")))),
    seq(oid("1.3.6.1.4.1.311.13.2.2"), set_of(seq(integer(1), string(BMP, "Provider"), bits(b"")))),
]
CHALLENGE = seq(oid("1.2.840.113549.1.9.7"), set_of(string(UTF8, "secret")))
NAMES = extension_request(san(dns("a.example.com")))
add("attribute-challenge", ISSUED, "challengePassword: not certified", attributes=[CHALLENGE, NAMES])
add("attribute-microsoft", ISSUED, "what Windows adds: not certified", attributes=[*MICROSOFT, NAMES])
add("attribute-two-lists", "Not a CSR: the extension 1.2.840.113549.1.9.14 appears twice", "two lists of extensions", attributes=[NAMES, extension_request(ext(EKU, seq(oid(PURPOSE + "1"))))])
add("attribute-two-values", "Not a CSR: the signing request is malformed", "one attribute with two lists of extensions",
    attributes=[seq(oid(EXTENSION_REQUEST), set_of(seq(san(dns("a.example.com"))), seq(san(dns("b.example.com")))))])
add("attribute-empty-list", ISSUED, "a list of extensions without extensions",
    attributes=[seq(oid(EXTENSION_REQUEST), set_of(seq()))])

# Keys.

ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ed25519").digest())


def pkcs1(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def numbered(size, exponent=65537):
    return lambda: rsa.generate_private_key(public_exponent=exponent, key_size=size)


add("rsa-2048", ISSUED, "RSA, 2048 bits", key=numbered(2048))
add("rsa-3072", ISSUED, "RSA, 3072 bits", key=numbered(3072))
add("rsa-4096", ISSUED, "RSA, 4096 bits", key=numbered(4096))
add("rsa-8192", ISSUED, "RSA, 8192 bits", key=numbered(8192))
add("rsa-exponent-3", ISSUED, "RSA with exponent 3", key=numbered(2048, 3))
add("rsa-2056", ISSUED, "RSA, 2056 bits", key=numbered(2056))
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
add("rsa-no-parameters", "Not a CSR: the key is malformed", "RSA without the NULL of its parameters", key=numbered(2048),
    public=lambda key: seq(seq(oid(RSA_ENCRYPTION)), bits(pkcs1(key))))
add("rsa-odd-parameters", "Not a CSR: the key is malformed", "RSA with a number for parameters", key=numbered(2048),
    public=lambda key: seq(seq(oid(RSA_ENCRYPTION), integer(1)), bits(pkcs1(key))))
add("rsa-1024", "Not a CSR: RSA keys of 1024 bits are not supported", "RSA, 1024 bits", key=numbered(1024))
add("ec-p256", ISSUED, "P-256")
add("ec-p384", ISSUED, "P-384", key=derived(ec.SECP384R1(), "ec-p384"))
add("ec-p521", ISSUED, "P-521", key=derived(ec.SECP521R1(), "ec-p521"))
add("ed25519-null", "Not a CSR: the key is malformed", "Ed25519 with parameters", key=ED25519,
    public=seq(seq(oid("1.3.101.112"), NULL), bits(spki(ED25519)[-32:])))
POINT = derived(ec.SECP256R1(), "point")


def point_of(key, form):
    return key.public_key().public_bytes(serialization.Encoding.X962, form)


EC, P256 = "1.2.840.10045.2.1", "1.2.840.10045.3.1.7"
add("ec-compressed", ISSUED, "a compressed point", key=POINT, public=seq(
    seq(oid(EC), oid(P256)), bits(point_of(POINT, serialization.PublicFormat.CompressedPoint))))
add("ec-hybrid", "Not a CSR: the key is malformed", "a hybrid point", key=POINT, public=seq(seq(oid(EC), oid(P256)), bits(
    bytes([6 + point_of(POINT, serialization.PublicFormat.UncompressedPoint)[-1] % 2])
    + point_of(POINT, serialization.PublicFormat.UncompressedPoint)[1:])))
add("ec-unused-bits", "Not a CSR: the key is malformed", "a point with unused bits", key=POINT, public=seq(
    seq(oid(EC), oid(P256)), bits(point_of(POINT, serialization.PublicFormat.UncompressedPoint), 1)))
add("ec-no-curve", "Not a CSR: the key is malformed", "an elliptic curve that is not named", key=POINT, public=seq(
    seq(oid(EC)), bits(point_of(POINT, serialization.PublicFormat.UncompressedPoint))))
PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = bytes.fromhex("04" "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                  "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EXPLICIT = seq(integer(1), seq(oid("1.2.840.10045.1.1"), integer(PRIME)),
               seq(octets((PRIME - 3).to_bytes(32, "big")), octets(B.to_bytes(32, "big"))),
               octets(G), integer(ORDER), integer(1))
add("ec-explicit", "Not a CSR: the key is malformed", "the parameters of the curve spelt out", key=POINT, public=seq(
    seq(oid(EC), EXPLICIT), bits(point_of(POINT, serialization.PublicFormat.UncompressedPoint))))
add("ec-off-curve", f"Not a CSR: {NOT_OWN} the signature does not verify", "a point that is not on the curve", key=POINT, public=seq(
    seq(oid(EC), oid(P256)), bits(b"\4" + b"\1" * 64)))
add("ec-secp256k1", "Not a CSR: keys of the kind 1.3.132.0.10 are not supported", "another curve", key=lambda: ec.generate_private_key(ec.SECP256K1()))
add("ed25519", ISSUED, "Ed25519", key=ED25519)
add("x25519", "Not a CSR: keys of the kind 1.3.101.110 are not supported", "X25519, which cannot sign", key=x25519.X25519PrivateKey.from_private_bytes(hashlib.sha256(b"x").digest()))


def pss(key):
    return seq(seq(oid("1.2.840.113549.1.1.10")), bits(key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.PKCS1)))


add("rsa-pss", "Not a CSR: keys of the kind 1.2.840.113549.1.1.10 are not supported", "RSA for PSS signatures only", key=numbered(2048), public=pss)

# Text.

add("text-new-label", ISSUED, "the label NEW CERTIFICATE REQUEST",
    text=lambda text: text.replace("CERTIFICATE", "NEW CERTIFICATE"))
add("text-around", ISSUED, "text before and after", text=lambda text: f"Subject: host\n\n{text}\nthat was all\n")
add("text-crlf", ISSUED, "lines that end as on Windows", text=lambda text: text.replace("\n", "\r\n"))
add("text-one-line", ISSUED, "base64 on one line",
    text=lambda text: "\n".join(["-----BEGIN CERTIFICATE REQUEST-----", "".join(text.split("\n")[1:-2]),
                                 "-----END CERTIFICATE REQUEST-----", ""]))
add("text-twice", "Not a CSR: there is more than one PEM block, `CERTIFICATE REQUEST` alone was expected", "two requests", text=lambda text: text * 2)
add("text-cut", "Not a CSR: the PEM block `CERTIFICATE REQUEST` has no END line of its own", "cut in the middle", text=lambda text: text[: len(text) // 2])
add("text-certificate", "Not a CSR: a PEM block `CERTIFICATE REQUEST` was expected, not `CERTIFICATE`", "the label of a certificate", text=lambda text: text.replace(" REQUEST", ""))
add("text-not-base64", "Not a CSR: the PEM block `CERTIFICATE REQUEST` is not base64", "not base64", text=lambda text: text.replace("M", "*"))
add("signature-wrong", f"Not a CSR: {NOT_OWN} the signature does not verify", "a signature over something else", signed=b"something else")
add("version-2", "Not a CSR: the signing request has an unsupported version", "version 2", version=1)
add("text-empty", "Not a CSR: there is no PEM block `CERTIFICATE REQUEST`", "nothing at all", text=lambda text: "")


# The README.

HEAD = """\
# Odd signing requests

What people send, and what they might. `make.py` makes these files, and this one.

The answer is what the services authority says when it approves everything and `ca.names` is `any`: `issued`, or
the reason it gives; the other one is said where it is `strict`, as it comes, if that makes a difference. Whatever
is issued there passes pkilint (PKIX profile), and so does what is issued with `any`, but for the findings that
`crates/provost/tests/it/pkilint.rs` accepts and explains. Leaving out means that the certificate lacks it.

| file | answer with `any` | answer as it comes | what it is |
| --- | --- | --- | --- |
"""


def cell(text):
    return text.replace("|", "\\|")


for file in HERE.glob("*.pem"):
    if file.name not in {row[0] for row in ROWS}:
        file.unlink()
rows = (f"| `{file}` | {cell(answer)} | {cell(strict)} | {cell(what)} |\n" for file, answer, strict, what in ROWS)
(HERE / "README.md").write_text(HEAD + "".join(rows))
