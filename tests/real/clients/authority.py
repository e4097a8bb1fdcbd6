"""An authority and the door's certificate under it: unlike Python's, some clients trust no certificate as its own."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.real.lab.certificates import Certificate


@dataclass(frozen=True, slots=True)
class Authority:
    """`cert`: PEM file to trust; `door`: what it vouches for."""

    cert: Path
    door: Certificate


def authority(directory: Path, address: str, names: Sequence[str]) -> Authority:
    """Makes both, valid since yesterday: for an IP address, and for names (`*.DOMAIN` among them)."""
    root_key, door_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = _named("authority of the clients' tests")
    root = (
        _begun(root_name, root_name, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    known = [x509.IPAddress(ipaddress.ip_address(address)), *map(x509.DNSName, names)]
    door = (
        _begun(_named("door of the clients' tests"), root_name, door_key)
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    trusted = directory / "authority.pem"
    made = Certificate(directory / "door.pem", directory / "door.key")
    trusted.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    made.cert.write_bytes(door.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    made.key.write_bytes(door_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return Authority(trusted, made)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(yesterday)
        .not_valid_after(yesterday + datetime.timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, key_cert_sign: bool = False, digital_signature: bool = False) -> x509.KeyUsage:
    """Python from 3.13 on takes no authority that does not say that it signs certificates."""
    none = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(key_cert_sign=key_cert_sign, digital_signature=digital_signature, **none)
