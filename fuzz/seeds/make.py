"""Makes the seeds anew, with the library `cryptography` (48 was used): python make.py

The key is made once and stays: what it signed is signed again after it was changed."""

import base64
import datetime
import hashlib
import io
import json
import pathlib
import sqlite3
import subprocess
import tarfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

HERE = pathlib.Path(__file__).parent
DER, PEM = Encoding.DER, Encoding.PEM
BEGIN = datetime.datetime(2026, 11, 1)
END = datetime.datetime(2060, 1, 1)


def key():
    path = HERE / 'key.pem'
    if not path.exists():
        made = ed25519.Ed25519PrivateKey.generate()
        path.write_bytes(made.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()))
    return load_pem_private_key(path.read_bytes(), None)


KEY = key()
RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())


def digest(key):
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def write(folder, name, data):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(data.encode() if isinstance(data, str) else data)



def common(value):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


ODD = x509.Name([
    x509.RelativeDistinguishedName([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Ünï & "Co", <Söns>+'),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ' #leading'),
    ]),
    x509.RelativeDistinguishedName([
        x509.NameAttribute(NameOID.COMMON_NAME, 'wide', x509.name._ASN1Type.BMPString)]),
    x509.RelativeDistinguishedName([
        x509.NameAttribute(NameOID.COMMON_NAME, 'wider', x509.name._ASN1Type.UniversalString)]),
    x509.RelativeDistinguishedName([
        x509.NameAttribute(NameOID.DOMAIN_COMPONENT, 'example', x509.name._ASN1Type.IA5String)]),
])


def usage(**more):
    every = dict.fromkeys(('digital_signature', 'content_commitment', 'key_encipherment', 'data_encipherment',
                           'key_agreement', 'key_cert_sign', 'crl_sign', 'encipher_only', 'decipher_only'), False)
    return x509.KeyUsage(**{**every, **more})


NOTICE = x509.PolicyInformation(ObjectIdentifier('1.3.6.1.4.1.37476.9000.70.0.0'),
                                [x509.UserNotice(None, 'Auto-signed caucase certificate')])
LEGACY = x509.PolicyInformation(
    ObjectIdentifier('2.25.285541874270823339875695650038637483517.0'), ['http://example/cps'])
NAMES = x509.SubjectAlternativeName([
    x509.DNSName('host.example'), x509.RFC822Name('someone@example'),
    x509.UniformResourceIdentifier('http://example/'), x509.DirectoryName(common('directory')),
    x509.OtherName(ObjectIdentifier('1.2.3'), b'\x05\x00'), x509.RegisteredID(ObjectIdentifier('1.2.3.4')),
])
EXTENSIONS = {
    'usages': [(usage(digital_signature=True, key_agreement=True, decipher_only=True), True),
               (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING]), False)],
    'authority': [(usage(key_cert_sign=True, crl_sign=True), True),
                  (x509.BasicConstraints(True, 3), True)],
    'names': [(NAMES, True)],
    'policies': [(x509.CertificatePolicies([NOTICE, LEGACY]), False)],
    'unknown': [(x509.UnrecognizedExtension(ObjectIdentifier('1.2.3.4.5'), b'\x04\x00'), True)],
    'none': [],
}


def request(subject, key, extensions):
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(key, digest(key))


def certificate(subject, key, extensions, issuer=None, signer=None, end=END):
    builder = x509.CertificateBuilder(
        issuer or subject, subject, key.public_key(), 0x1234567890abcdef, BEGIN, end)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    signer = signer or key
    return builder.sign(signer, digest(signer))


def requests():
    for label, extensions in EXTENSIONS.items():
        write('request', f'{label}.der', request(common('client'), KEY, extensions).public_bytes(DER))
    write('request', 'odd.der', request(ODD, KEY, []).public_bytes(DER))
    write('request', 'nameless.der', request(x509.Name([]), KEY, [(NAMES, False)]).public_bytes(DER))
    write('request', 'everything.der', request(
        ODD, KEY, [EXTENSIONS[some][0] for some in ('usages', 'authority', 'names', 'policies', 'unknown')][1:]
    ).public_bytes(DER))
    for label, key in (('rsa', RSA), ('p256', P256), ('p384', P384)):
        write('request', f'{label}.der', request(common(label), key, EXTENSIONS['names']).public_bytes(DER))
    pem = request(common('client'), KEY, []).public_bytes(PEM).decode()
    write('request', 'text.pem', 'Some words before it\n' + pem.replace('\n', '\r\n') + 'and after it')
    write('request', 'new.pem', pem.replace('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'))


def certificates():
    key_id = x509.SubjectKeyIdentifier.from_public_key(KEY.public_key())
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.public_key())
    permitted = x509.NameConstraints([x509.DNSName('host.example')], None)
    authority = certificate(common('Caucase CAS at host.example'), KEY, [
        (key_id, False), (authority_id, False), *EXTENSIONS['authority'], (permitted, True)])
    point = x509.DistributionPoint([x509.UniformResourceIdentifier('http://host.example/cas/crl/1')], None, None, None)
    leaf = certificate(ODD, P256, [
        (x509.BasicConstraints(False, None), True), (authority_id, False),
        (x509.CRLDistributionPoints([point]), False), *EXTENSIONS['names'], *EXTENSIONS['policies'],
    ], authority.subject, KEY, datetime.datetime(2049, 12, 31, 23, 59, 59))
    write('certificate', 'authority.der', authority.public_bytes(DER))
    write('certificate', 'leaf.der', leaf.public_bytes(DER))
    write('certificate', 'rsa.der', certificate(common('rsa'), RSA, EXTENSIONS['usages']).public_bytes(DER))
    write('certificate', 'both.pem', leaf.public_bytes(PEM) + authority.public_bytes(PEM))
    write('certificate', 'one.pem', leaf.public_bytes(PEM))
    return leaf


def revocation_lists():
    def make(entries, extensions=()):
        builder = x509.CertificateRevocationListBuilder(common('Caucase CAS at host.example'), BEGIN, END)
        builder = builder.add_extension(x509.CRLNumber(300), False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.public_key()), False)
        for serial, reason in entries:
            entry = x509.RevokedCertificateBuilder(serial, BEGIN)
            if reason:
                entry = entry.add_extension(x509.CRLReason(reason), False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(KEY, None)
    write('revocation_list', 'empty.der', make([]).public_bytes(DER))
    several = make([(1, None), (2 ** 158 + 7, x509.ReasonFlags.key_compromise), (255, x509.ReasonFlags.superseded)])
    write('revocation_list', 'several.der', several.public_bytes(DER))
    write('revocation_list', 'several.pem', several.public_bytes(PEM))


def private_keys():
    for label, key in (('rsa', RSA), ('p256', P256), ('p384', P384), ('ed25519', KEY)):
        write('private_key', f'{label}.der', key.private_bytes(DER, PrivateFormat.PKCS8, NoEncryption()))
        if key is not KEY:
            old = PrivateFormat.TraditionalOpenSSL
            write('private_key', f'{label}.old.pem', key.private_bytes(PEM, old, NoEncryption()))
            write('private_key', f'{label}.old.der', key.private_bytes(DER, old, NoEncryption()))
    secret = BestAvailableEncryption(b'secret')
    write('private_key', 'encrypted.pem', P256.private_bytes(PEM, PrivateFormat.PKCS8, secret))
    write('private_key', 'old.encrypted.pem', P256.private_bytes(PEM, PrivateFormat.TraditionalOpenSSL, secret))


def envelopes(leaf):
    def signed(payload, algorithm=hashes.SHA256()):
        payload = json.dumps(payload)
        pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.MAX_LENGTH)
        text = payload.encode() + algorithm.name.encode() + b' '
        signature = base64.encodebytes(RSA.sign(text, pss, algorithm)).decode()
        return json.dumps({'payload': payload, 'digest': algorithm.name, 'signature': signature})

    def unsigned(payload):
        return json.dumps({'payload': json.dumps(payload), 'digest': None})
    pem = leaf.public_bytes(PEM).decode()
    csr = request(common('client'), KEY, []).public_bytes(PEM).decode()
    write('envelope', 'renew.json', signed({'crt_pem': pem, 'renew_csr_pem': csr}))
    write('envelope', 'renew.payload.json', json.dumps({'crt_pem': pem, 'renew_csr_pem': csr}))
    write('envelope', 'revoke.json', signed({'revoke_crt_pem': pem}, hashes.SHA512()))
    write('envelope', 'revoke.payload.json', json.dumps({'revoke_crt_pem': pem, 'x': [[[{}]]]}))
    write('envelope', 'unsigned.json', unsigned({'revoke_crt_pem': pem}))
    write('envelope', 'serial.json', unsigned({'revoke_serial': 2 ** 158}))
    write('envelope', 'serial.payload.json', '{"revoke_serial": 730750818665451459101842416358141509827966271487 }')
    write('envelope', 'escapes.json', '{"payload":"\\u00fc\\ud83d\\ude00\\n","digest":"sha384","signature":"AA ==\\n"}')


def web():
    for index, text in enumerate((
            '/', '//cas//crt/%63a.crt.pem', '/cas/csr/123', '/cau/crt/renew', '/cas/crl/12.der', '/%ff%2e%2F%',
            'origin=https%3A%2F%2Fa.example&return=http://b/?x=1+2', 'grant=1&return_to=https://b&origin=null',
            'other=1; cors="{\\"https://a\\":\\"x.y.z\\"\\054\\"https://b\\":\\"\\"}"; last=2', 'cors={}',
            'cors="\\303\\274\\"', 'https://a.example/<script>"\'&')):
        write('web', f'{index:02}', text)


def fleet():
    for index, (path, body) in enumerate((
            ('//api/v0/host/10.0.0.1', '{"ssh_priv_key": "a2V5", "remote_user": "core", "cluster": "web"}'),
            ('/api/v0/host/', '{"address": "fe80::1%eth0", "cpus": 2, "memory": -1, "status": "active"}'),
            ('/api%2Fv0/cluster/web/hosts', '{"old": ["a"], "new": ["b", "c"]}'),
            ('/api/v0/cluster/web', '{"network": "default", "container_manager": ""}'),
            ('/api/v0/cluster/web/deploy', '{"version": "7.2.6", "name": "web"}'),
            ('/api/v0/network/n', '{"type": "flanneld_service", "options": {"address": "a:1", "x": [1.5e300]}}'),
            ('/api/v0/containermanager/k8s/', '{"type": "kubernetes", "options": {"token": "\\u00e9"}}'),
            ('/api/v0/clusters', '[]'))):
        write('fleet', f'{index:02}', f'{path}\n{body}')


def sign_in():
    bcrypt = '$2b$04$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBu.'
    for index, text in enumerate((
            'Basic YWxpY2U6c2VjcmV0', 'basic  Og', 'Bearer abc.def-ghi', 'bearer: abc', 'alice:sec:ret', bcrypt,
            '{"alice": {"hash": "' + bcrypt + '", "role": "operator"}, "bob": {}}',
            'https://keystone.example:5000/v3/auth/tokens', 'http://[::1]/a?b=c')):
        write('sign_in', f'{index:02}', text)


def entries():
    """As the module `attestation` of the crate `entry` says, by another implementation."""
    digest = hashlib.sha512(b'hello').hexdigest()
    spki = KEY.public_key().public_bytes(DER, PublicFormat.SubjectPublicKeyInfo)
    statement = {
        'sha512': digest, 'url': 'http://example.invalid/\u00e9', 'size': 1.5, 'os': ['debian', '12.9', 'bookworm'],
        'multiarch': 'x86_64-linux-gnu', 'provost': {
            'v': 1, 'key': 'file-urlmd5:abc', 'size': 5, 'created': 1763740800, 'expires': 1795276800,
            'signer': hashlib.sha256(spki).hexdigest(), 'sequence': 7, 'revokes': [digest]}}
    form = json.dumps(statement, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
    signature = KEY.sign(b'provost cache entry v1\n' + form.encode())
    statement['provost']['sig'] = base64.b64encode(signature).decode()
    attested = [json.dumps(statement), base64.b64encode(bytes(128)).decode()]
    old = [json.dumps({'sha512': digest, 'machine': 'x86_64', 'os': "('debian', '8.10', '')"}), '']
    write('entry', 'attested.json', json.dumps(attested))
    write('entry', 'old.json', json.dumps(old))
    write('entry', 'list.json', json.dumps([attested, old, [old[0], None], [1], 'x']))
    write('entry', 'values.json', '[null, true, -0, 1e400, NaN, -Infinity, 12345678901234567890, 5e-324, "\\ud83d\\ude00\\udc00", {}]')
    write('entry', 'object.json', '{"a": {"b": [1.0, 1e21, 1e-7]}, "\\u20ac": "\\u0000\\/", "a": 2}')


def filters():
    items = '\n'.join(json.dumps({'a': value, 'b': 1}) for value in (1, 2.5, 'x', None, [1, 2], {'k': 1}, True, 10 ** 20))
    for index, criteria in enumerate(('a>=1\na<<9', 'a==[1,2]\nb>0', 'a>>"w"\nb<<2', ' a<=NaN', 'a<{"k":2}')):
        write('filter', f'{index:02}', f'{criteria}\n\n{items}')


def configurations():
    for index, text in enumerate((
        '[networkcache]\ndownload-cache-url = http://127.0.0.1/%%20\nsignature-certificate-list =\n  '
        '-----BEGIN CERTIFICATE-----\n  MIIB\n\n  # c\n  -----END CERTIFICATE-----\n',
        '[DEFAULT]\nh = x\n[s]\no: %(h)s%(H)s\n p = q\n[t] more\nO = 1\n; d\n',
        '[a]\no = %(p)s\np = %(q)s%(q)s\nq = %(r)s%(r)s\nr = 5%%\n[b]\nr = %(r)s\n',
    )):
        write('ini', f'{index:02}', text)


def block(name, size, prefix=''):
    fields = [(0, name.encode()), (100, b'0000600'), (108, b'0000000'), (116, b'0000000'), (124, b'%011o' % size),
              (136, b'00000000000'), (148, b' ' * 8), (156, b'0'), (257, b'ustar\00000'), (345, prefix.encode())]
    made = bytearray(512)
    for at, field in fields:
        made[at:at + len(field)] = field
    made[148:156] = b'%06o\0 ' % sum(made)
    return bytes(made)


def archives():
    lines = b'{"key":"/ca/services/crl","text":"{\\"v\\":1}"}\n{"key":"/x","base64":"/wA="}\n'
    contents = b'an object'
    digest = hashlib.sha512(contents).hexdigest()
    whole = b''
    for prefix, name, part in (
        ('', 'backup.json', b'{"format":1}\n'),
        ('', 'files/store.key', b'{}'),
        ('blobs/' + digest[:64], digest[64:], contents),
        ('', 'records/00000001.jsonl', lines),
    ):
        whole += block(name, len(part), prefix) + part + bytes(-len(part) % 512)
    end = json.dumps({'sha512': hashlib.sha512(whole).hexdigest()}).encode()
    whole += block('end.json', len(end)) + end + bytes(-len(end) % 512) + bytes(1024)
    write('archive', 'whole', whole)
    write('archive', 'records', lines)
    # For the recipient of the target's identity; a file is another one each time.
    recipient = 'age1ufpx5275j5gv79t3jfuhs8q27tfp8c06kggelrlr66zfwpefsehsxn093c'
    for name, clear in (('age', whole), ('age-empty', b'')):
        write('archive', name, subprocess.run(['age', '-r', recipient], input=clear, capture_output=True, check=True).stdout)


def signatures():
    small = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'seed')])
    for which, signer in (('rsa', small), ('p256', P256)):
        certificate = x509.CertificateBuilder(name, name, signer.public_key(), 1, BEGIN, END).sign(signer, hashes.SHA256())
        if which == 'rsa':
            made = signer.sign(b'message', padding.PKCS1v15(), hashes.SHA1())
        else:
            made = signer.sign(b'message', ec.ECDSA(hashes.SHA1()))
        pem = certificate.public_bytes(PEM).decode()
        write('signature', which, f'{base64.b64encode(made).decode()}\nwords\n{pem}more\n{pem}')
    pkcs8 = small.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    write('signature', 'key', f'\n{pkcs8}')
    pkcs1 = small.private_bytes(PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    write('signature', 'old.key', f'aA==\n{pkcs1}')


def tars():
    def member(name, kind=tarfile.REGTYPE, link='', data=b'', mode=0o755):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size, info.mode = kind, link, len(data), mode
        return info, data

    long = 'top/' + 'folder/' * 20 + 'file'
    plain = [
        member('top/', tarfile.DIRTYPE), member('top/bin', tarfile.DIRTYPE, mode=0o555),
        member('top/bin/tool', data=b'#!/bin/sh\n', mode=0o4755), member('top/bin/alias', tarfile.SYMTYPE, 'tool'),
        member('top/lib', tarfile.SYMTYPE, '../top/bin'), member('top/same', tarfile.LNKTYPE, 'top/bin/tool'),
        member('./top/empty'),
    ]
    for name, form, members in (
        ('plain', tarfile.USTAR_FORMAT, plain),
        ('gnu', tarfile.GNU_FORMAT, [member(long, data=b'x' * 600), member('top/l', tarfile.SYMTYPE, long[4:])]),
        ('pax', tarfile.PAX_FORMAT, [member(long + '\u00e9', data=b'y'), member('top/l', tarfile.SYMTYPE, long[4:] + '\u00e9')]),
        ('up', tarfile.USTAR_FORMAT, [member('top/../../x', data=b'x'), member('/top/x'), member('top/a', tarfile.SYMTYPE, '../..')]),
        ('through', tarfile.USTAR_FORMAT, [
            member('top/a', tarfile.SYMTYPE, 'b'), member('top/b', tarfile.DIRTYPE), member('top/a/c', data=b'z'),
        ]),
        ('odd', tarfile.GNU_FORMAT, [member('top/fifo', tarfile.FIFOTYPE), member('top/dev', tarfile.CHRTYPE)]),
    ):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode='w', format=form) as archive:
            for info, data in members:
                archive.addfile(info, io.BytesIO(data))
        # Without the zeros at its end, of which there are more than of all else.
        write('tar', name, out.getvalue().rstrip(b'\0').ljust(len(out.getvalue().rstrip(b'\0')) + 1023 & ~511, b'\0'))
    sparse = bytearray(512)
    sparse[:5], sparse[100:107], sparse[124:135], sparse[156:157] = b'top/s', b'0000644', b'00000000010', b'S'
    sparse[257:265], sparse[386:397], sparse[398:409] = b'ustar  \0', b'00000001000', b'00000000010'
    sparse[483:494] = b'00000001010'
    sparse[148:156] = b' ' * 8
    sparse[148:156] = f'{sum(sparse):06o}\0 '.encode()
    write('tar', 'sparse', bytes(sparse) + b'12345678'.ljust(512, b'\0'))


def pem_blocks():
    write('pem', 'several', '''text
-----BEGIN A-----
AAAA
-----END A-----
more
-----BEGIN LONGER NAME-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,00
 continued

AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AA==
-----END LONGER NAME-----
''')
    write('pem', 'crlf', '-----BEGIN A B-----\r\nAAAA\r\nAAA=  \r\n-----END A B-----')


def databases():
    """Of caucase: small pages, so that changes meet what SQLite makes of them, and not only what is in rows."""
    def filled(text, older):
        database = sqlite3.connect(':memory:')
        database.execute('PRAGMA page_size = 512')
        of = (lambda pem: pem.decode()) if text else (lambda pem: pem)
        issuer = certificate(common('CA'), P256, [
            (x509.BasicConstraints(True, 0), True), (x509.SubjectKeyIdentifier.from_public_key(P256.public_key()), False),
        ], common('CA'), P256)
        asked = request(common('holder'), P384, [])
        issued = certificate(common('holder'), P384, [], common('CA'), P256)
        waiting = request(common('late'), KEY, [])
        identifier = lambda key: of(x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex().encode())
        private = P256.private_bytes(PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        tables = {
            'ca': ('expiration_date INTEGER, key TEXT, crt TEXT', [(2 ** 31, of(private), of(issuer.public_bytes(PEM)))]),
            'crt': ('id INTEGER PRIMARY KEY, key_id TEXT, expiration_date INTEGER, csr TEXT, crt TEXT', [
                (5, identifier(P384), 2 ** 31, of(asked.public_bytes(PEM)), of(issued.public_bytes(PEM))),
                (7, identifier(KEY), None, of(waiting.public_bytes(PEM)), None),
            ]),
            'revoked': ('serial TEXT PRIMARY KEY, revocation_date INTEGER, expiration_date INTEGER', [('12345', 5, 2 ** 31)]),
            'counter': ('name TEXT PRIMARY KEY, value INTEGER', [('received_csr', 2), ('crl_number', 3)]),
            'config_once': ('name TEXT PRIMARY KEY, value TEXT', [('auto_sign_csr_amount', '1')]),
            'config': ('name TEXT PRIMARY KEY, value TEXT', [] if older else [('crl_last_update', '1790000000')]),
        }
        if older:
            listed = x509.CertificateRevocationListBuilder().issuer_name(common('CA')).last_update(BEGIN).next_update(END)
            listed = listed.add_extension(x509.CRLNumber(3), False).sign(P256, hashes.SHA256())
            tables['crl'] = ('expiration_date INTEGER, crl TEXT', [(5, of(listed.public_bytes(PEM)))])
        for table, (columns, rows) in tables.items():
            database.execute(f'CREATE TABLE cas{table} ({columns})')
            for row in rows:
                database.execute(f'INSERT INTO cas{table} VALUES ({", ".join("?" * len(row))})', row)
            if table != 'crl':
                # The other authorities have issued nothing yet.
                for prefix in ('cau', 'http_cas'):
                    database.execute(f'CREATE TABLE {prefix}{table} ({columns})')
        database.commit()
        return database.serialize()
    write('database', 'python3', filled(False, False))
    write('database', 'python2', filled(True, False))
    write('database', 'older', filled(True, True))


def backups():
    """What the original makes, which has to be installed as well."""
    from caucase.ca import UserCertificateAuthority
    from caucase.storage import SQLite3Storage
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        storage = SQLite3Storage(f'{folder}/x', 'cau', enforce_unique_key_id=True, crt_keep_time=3600,
                                 crt_read_keep_time=3600)
        users = UserCertificateAuthority(storage=storage, ca_subject_dict={'CN': 'users'}, ca_key_size=2048,
                                         crt_life_time=3650, auto_sign_csr_amount=1)
        user = rsa.generate_private_key(65537, 2048)
        users.appendCertificateSigningRequest(request(common('user'), user, []).public_bytes(PEM))
        made = []
        assert users.doBackup(made.append)
        write('backup', 'whole', b''.join(made))
        write('dump', 'whole', b''.join(storage.dumpIterator()))
    (HERE / 'backup.key.pem').write_bytes(
        user.private_bytes(PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
def links():
    digest = lambda text: hashlib.sha256(text).hexdigest()
    link = (
        f'provost-audit-link 1\nnumber 51\nprevious {digest(b"0")}\nat 1700000000999\ntotal 4802\n'
        f'event {digest(b"1")} 00000001700000000123-910a2dec89025cc1\n'
        f'event {digest(b"2")} 00000001700000000124-0badc0de0badc0de\n'
    )
    anchor = f'provost-audit-anchor 1\nnumber 50\nhash {digest(b"0")}\nat 1700000000999\ntotal 4800\n'
    for index, text in enumerate((link, anchor, f'50:{digest(b"0")}', f'AAAA\n{link}')):
        write('link', f'{index:02}', text)


requests()
revocation_lists()
private_keys()
envelopes(certificates())
web()
fleet()
sign_in()
entries()
filters()
configurations()
archives()
signatures()
tars()
pem_blocks()
databases()
backups()
links()
