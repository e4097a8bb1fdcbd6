"""What the clients ask: a node that speaks http and one that speaks https, over the same two stores.

A bucket's address is `DOMAIN/BUCKET` (path style) or `BUCKET.DOMAIN` (virtual-host style). Nothing on the machine
knows these names, nor the authority: a client runs where /etc/hosts and /etc/ssl/certs are others, its own.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.clients.authority import Authority, authority
from tests.real.clients.objects import BIG, KEYS, put_objects
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.process import tool
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import S3Server, moto, versitygw
from tests.real.lab.sign import Keys

DOMAIN = "s3.causeway.test"
SCHEMES = ("http", "https")
_ELSEWHERE = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/ssl/certs && shift 2 && exec "$@"'


@dataclass(frozen=True, slots=True)
class Stage:
    """The running nodes, by scheme, and a key of both; `etag` is that of the big object."""

    nodes: dict[str, Node]
    keys: Keys
    trust: Authority
    etag: str
    directory: Path

    def elsewhere(self) -> list[str]:
        """What starts a command where the machine knows our names and trusts our authority."""
        own = [str(self.directory / name) for name in ("hosts", "certs")]
        return [*_unshared(), "sh", "-c", _ELSEWHERE, "sh", *own]


@contextlib.contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Starts everything; ends with it."""
    trust = authority(directory, "127.0.0.1", (DOMAIN, f"*.{DOMAIN}"))
    write_machine(directory, trust)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(versitygw(directory))
        odder = stack.enter_context(moto(directory))
        put_objects(store, odder, directory)
        nodes = {}
        for scheme in SCHEMES:
            place = Place(HOME, directory / scheme, tls=trust.door if scheme == "https" else None, domain=DOMAIN)
            nodes[scheme] = running = stack.enter_context(node(place, env=credentials()))
            running.apply(topology(store, odder))
        keys = key_of_all(list(nodes.values()))
        tags = [learn(one, keys, trust) for one in nodes.values()]
        yield Stage(nodes, keys, trust, tags[0], directory)


def key_of_all(nodes: list[Node]) -> Keys:
    """One access key, the same at each node."""
    args = ["keys", "add", "reader", "--tenant", "rec", "--read", "/ns/data", "--json"]
    for one in nodes:
        args += ["--to", one.admin, "--token-file", str(one.place.directory / "cache" / "admin.token")]
    made = json.loads(nodes[0].cli(*args))
    return Keys(made["id"], made["secret"])


def learn(node: Node, keys: Keys, trust: Authority) -> str:
    """Has the node learn all checksums, so that whole reads bring them for the client to verify; returns the ETag."""
    client = node.client(keys, verify=str(trust.cert))
    tags = {key: client.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")["ETag"] for key in KEYS}
    return str(tags[BIG])


def topology(store: S3Server, odder: S3Server) -> dict[str, object]:
    """`/ns/data` is one store's bucket, `/ns/data/odd` in it the other's."""

    def bucket(server: S3Server) -> dict[str, object]:
        return {
            "provider": "s3",
            "bucket": BUCKET,
            "region": HOME,
            "endpoints": {"internal": server.url},
            "credentials": {"env": "LAB_BUCKET"},
        }

    fresh = {"consistency": {"max_age": "1h"}}
    return {
        "regions": {HOME: {"provider": "idc"}},
        "buckets": {"data-bj": bucket(store), "odd-bj": bucket(odder)},
        "mounts": {"/ns/data": {"bucket": "data-bj", **fresh}, "/ns/data/odd": {"bucket": "odd-bj", **fresh}},
    }


def write_machine(directory: Path, trust: Authority) -> None:
    """The files that a client finds in /etc/hosts and /etc/ssl/certs."""
    # Not the domain itself: who asks there in path style finds nobody, so that no style passes for the other.
    (directory / "hosts").write_text(f"127.0.0.1 localhost {BUCKET}.{DOMAIN}\n")
    certs = directory / "certs"
    certs.mkdir()
    (certs / "ca-certificates.crt").write_bytes(trust.cert.read_bytes())
    # OpenSSL and its kin look an authority up by the hash of its name.
    hashed = subprocess.run(
        [tool("openssl"), "x509", "-noout", "-subject_hash", "-in", trust.cert], capture_output=True, check=True
    )
    (certs / f"{hashed.stdout.decode().strip()}.0").write_bytes(trust.cert.read_bytes())


def _unshared() -> list[str]:
    mapped = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [tool("unshare"), *mapped, "--mount", "--propagation", "private"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no mount namespace of one's own here: {tried.stderr.strip()}")
    return command
