"""Certificates for tests: self-signed, for loopback and any names, with an end of the test's choice."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.config import TlsSettings

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_LATE = BEGIN + datetime.timedelta(days=36_500)


def pem_pair(
    name: str, until: datetime.datetime = _LATE, password: bytes | None = None, hosts: Sequence[str] = ()
) -> tuple[bytes, bytes]:
    """A certificate, its own authority, and its key; valid since 2026, or since the day before an earlier end."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *map(x509.DNSName, hosts)]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(BEGIN, until - datetime.timedelta(days=1)))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return built.public_bytes(form), key.private_bytes(form, kind, hidden)


def write_certificate(
    directory: Path, name: str, password: bytes | None = None, until: datetime.datetime = _LATE
) -> TlsSettings:
    """Writes `cert.pem` and `key.pem`, in place."""
    cert, key = pem_pair(name, until, password)
    (directory / "cert.pem").write_bytes(cert)
    (directory / "key.pem").write_bytes(key)
    return TlsSettings(cert=directory / "cert.pem", key=directory / "key.pem")


class Authority:
    """One that signs nodes' certificates."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            _begun(self._name, self._name, self._key, _LATE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = made.public_bytes(serialization.Encoding.PEM)

    def write(
        self, directory: Path, name: str, until: datetime.datetime = _LATE, hosts: Sequence[str] = ("127.0.0.1",)
    ) -> None:
        """Writes `peer.pem`, `peer.key` and `ca.pem`: a certificate for these hosts or addresses, and its authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [
            x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts
        ]
        made = (
            _begun(subject, self._name, key, until)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        form, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        (directory / "peer.pem").write_bytes(made.public_bytes(form))
        (directory / "peer.key").write_bytes(key.private_bytes(form, kind, serialization.NoEncryption()))
        (directory / "ca.pem").write_bytes(self.pem)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(BEGIN, until - datetime.timedelta(days=1)))
        .not_valid_after(until)
    )
