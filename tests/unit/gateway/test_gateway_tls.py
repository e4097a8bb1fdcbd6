"""A certificate follows its files, and a bad one closes no door."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.config import TlsSettings
from gateway.tls import Certificate, CertificateFault


def write_certificate(directory: Path, name: str, password: bytes | None = None) -> TlsSettings:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    (directory / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return TlsSettings(cert=directory / "cert.pem", key=directory / "key.pem")


def shown(certificate: Certificate) -> bytes:
    """The certificate that a client of this context sees, by a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    client = asking.wrap_bio(to_client, to_server)
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    seen = client.getpeercert(binary_form=True)
    assert seen is not None
    return seen


def test_a_renewed_certificate_is_shown_to_new_connections(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "old"))
    old = shown(certificate)
    write_certificate(tmp_path, "new")

    assert certificate.reload()

    assert shown(certificate) != old
    assert not certificate.reload()


def test_a_half_written_certificate_leaves_the_one_in_use(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "old"))
    old = shown(certificate)
    (tmp_path / "cert.pem").write_text("-----BEGIN CERT")

    with pytest.raises(CertificateFault, match=r"cert.pem with key .*key.pem cannot be used"):
        certificate.reload()

    assert shown(certificate) == old


@pytest.mark.parametrize("kept_file", ["cert.pem", "key.pem"])
def test_a_certificate_whose_key_has_not_come_yet_leaves_the_one_in_use(tmp_path: Path, kept_file: str) -> None:
    certificate = Certificate(write_certificate(tmp_path, "old"))
    old = shown(certificate)
    kept = (tmp_path / kept_file).read_bytes()
    write_certificate(tmp_path, "other")
    (tmp_path / kept_file).write_bytes(kept)

    with pytest.raises(CertificateFault):
        certificate.reload()

    assert shown(certificate) == old


def test_an_absent_certificate_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CertificateFault, match=r"none.pem cannot be read: No such file"):
        Certificate(TlsSettings(cert=tmp_path / "none.pem", key=tmp_path / "none.key"))


def test_a_key_with_a_password_is_refused_and_asks_nobody(tmp_path: Path) -> None:
    with pytest.raises(CertificateFault, match="the key must have no password"):
        Certificate(write_certificate(tmp_path, "locked", b"password"))
