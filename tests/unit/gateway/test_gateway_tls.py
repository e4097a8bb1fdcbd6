"""A certificate follows its files, and a bad one closes no door."""

import ssl
from pathlib import Path

import pytest

from gateway.config import TlsSettings
from gateway.tls import Certificate, CertificateFault
from tests.fakes.certificates import write_certificate


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


def test_a_pair_that_is_replaced_while_it_is_loaded_is_never_mixed(tmp_path: Path, monkeypatch) -> None:
    certificate = Certificate(write_certificate(tmp_path, "old"))
    old = shown(certificate)
    write_certificate(tmp_path, "new")
    read = Path.read_bytes

    def replaced(path: Path) -> bytes:
        """The key is that of a third certificate by the time it is read."""
        found = read(path)
        if path.name == "cert.pem":
            write_certificate(tmp_path, "newest")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", replaced)
        with pytest.raises(CertificateFault):
            certificate.reload()
    assert shown(certificate) == old

    assert certificate.reload()
    assert shown(certificate) != old


def test_no_copy_of_the_key_stays_open(tmp_path: Path) -> None:
    certificate = Certificate(write_certificate(tmp_path, "old"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("a", "b", "c"):
        write_certificate(tmp_path, name)
        certificate.reload()

    assert len(list(Path("/proc/self/fd").iterdir())) == before
