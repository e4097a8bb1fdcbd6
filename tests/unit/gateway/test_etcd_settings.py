"""`etcd` of node.yaml: a list of servers, or servers with certificates, a user and a password; and what it loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import parse
from namespace.etcdclient.config import EtcdAccess, Server
from namespace.etcdclient.errors import EtcdRefused
from policy.yamlfile import Faults

LEAST = "region: aws-use1\ncache: {paths: [/nvme0/causeway]}\n"


def access(text: str, directory: Path) -> EtcdAccess:
    settings = parse(LEAST + text, "node.yaml", directory).etcd
    assert settings is not None
    return settings.access()


def test_a_list_of_servers_is_enough(tmp_path: Path) -> None:
    found = access("etcd: [http://10.0.0.11:2379, 'http://[::1]:2380', http://etcd.example]\n", tmp_path)

    assert [one.address for one in found.servers] == ["10.0.0.11:2379", "[::1]:2380", "etcd.example:2379"]
    assert not any(one.secure for one in found.servers)


def test_certificates_and_password_are_read_beside_the_file(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(name)
    (tmp_path / "password").write_text("short\n")

    found = access(
        "etcd: {servers: [https://e:2379], tls: {ca: ca, cert: cert, key: key},"
        " user: cw, password: {file: password}}\n",
        tmp_path,
    )

    assert found == EtcdAccess((Server("https://e:2379", "e:2379", True),), b"ca", b"cert", b"key", "cw", "short")
    assert "short" not in repr(found)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[]", "at least 1 item"),
        ("[10.0.0.11:2379]", "write http://HOST:PORT"),
        ("[http://h:99999]", "write http://HOST:PORT"),
        ("[http://h:2379/v3]", "more than a host and a port"),
        ("[http://u:p@h:2379]", "keys of their own"),
        ("[http://h:2379, http://h]", "named twice"),
        ("{servers: [http://h], tls: {ca: x}}", "`tls` is for https servers"),
        ("{servers: [https://h], tls: {cert: x}}", "goes with its key"),
        ("{servers: [http://h], user: u}", "goes with a password"),
        ("{servers: [http://h], user: u, password: p}", "named, never written here"),
        ("{servers: [http://h], pasword: {file: p}}", "pasword"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(written: str, told: str) -> None:
    with pytest.raises(Faults, match=told) as refused:
        parse(f"{LEAST}etcd: {written}\n", "node.yaml", Path("/"))
    assert all(str(fault).startswith("node.yaml:3:") for fault in refused.value.faults)


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EtcdRefused, match=f"{tmp_path}/none, named under `etcd`"):
        access("etcd: {servers: [https://e], tls: {ca: none}}\n", tmp_path)


def test_a_node_without_etcd_loads_no_grpc() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, gateway.app, gateway.cli.main; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(found.stdout.split())
    assert not {one for one in loaded if one.split(".")[0] in {"grpc", "google"}}
    assert "namespace.etcdclient.client" not in loaded
