"""Runs pkilint (PKIX profile) over many files in one process.

Reads lines of `KIND FILE…` from standard input and writes a line for each finding of the severity WARNING
or above: the line it is about, the severity, the code of the finding, and what pkilint says, separated by
tabs. KIND is `cert`, `crl` or `chain` (issuer, subject), as the command line tools of pkilint have them.
The last line is `done`.
"""

import pathlib
import sys

from pkilint import loader, pkix
from pkilint.bin import lint_pkix_signer_signee_cert_chain as chain
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity

CERTIFICATE = certificate.create_pkix_certificate_validator_container(
    certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
    [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ],
)
CRL = crl.create_pkix_crl_validator_container(
    [
        pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
        pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
    ],
    [
        crl.create_issuer_validator_container([]),
        crl.create_validity_validator_container([]),
        crl.create_extensions_validator_container([]),
    ],
)
CHAIN = (
    chain.create_decoder_validation_container(),
    chain.create_issuer_validation_container(),
    chain.create_subject_validation_container(),
)


def lint(kind, files):
    substrates = [pathlib.Path(file).read_bytes() for file in files]
    if kind == "cert":
        return CERTIFICATE.validate(loader.load_certificate(*substrates, "certificate").root)
    if kind == "crl":
        return CRL.validate(loader.load_crl(*substrates, "crl").root)
    assert kind == "chain", kind
    documents = {}
    for role, substrate in zip(("issuer", "subject"), substrates, strict=True):
        documents[role] = loader.load_certificate(substrate, role, role, documents)
    decoding, of_issuer, of_subject = CHAIN
    issuer, subject = documents["issuer"].root, documents["subject"].root
    results = decoding.validate(issuer) + decoding.validate(subject)
    return results + of_issuer.validate(issuer) + of_subject.validate(subject)


def report(line, severity, code, message):
    print(line, severity, code, (message or "").encode("unicode_escape").decode(), sep="\t")


for line in map(str.strip, sys.stdin):
    kind, *files = line.split()
    try:
        results = lint(kind, files)
    except ValueError as error:
        report(line, ValidationFindingSeverity.FATAL, "unreadable", str(error))
        continue
    for result in results:
        for description in result.finding_descriptions:
            if description.finding.severity <= ValidationFindingSeverity.WARNING:
                report(line, description.finding.severity, description.finding.code, description.message)
print("done")
