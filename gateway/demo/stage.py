"""Two regions on this machine: a bucket, a node in each region, and the line between them with its counting proxy."""

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.cli.client import AdminClient
from gateway.demo import documents
from gateway.demo.children import Child, Family
from gateway.demo.documents import AWAY, HOME, Store

READY = r"causeway: node .*: s3 (http://\S+), peer http://(\S+), admin (http://\S+)\n"
MOTO_READY = r"Running on (http://127\.0\.0\.1:\d+)"


@dataclass(frozen=True, slots=True)
class NodeAt:
    """A running node and where it listens: URLs of the S3 door and the admin port, address of the peer door."""

    region: str
    s3: str
    peer: str
    admin: str
    token_file: Path

    def client(self) -> AdminClient:
        """A client of its admin port."""
        return AdminClient(self.admin, self.token_file.read_text("utf-8").strip())


@dataclass(frozen=True, slots=True)
class Key:
    """An access key as `causeway keys add` made it."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The two regions. `key` opens /ns/demo on aws-use1's node."""

    home: NodeAt
    away: NodeAt
    line: Child
    key: Key


def start_store(family: Family, bucket: str) -> Store:
    """Starts moto_server as the bucket of idc-bj. Raises ChildEnded."""
    program = "import sys; from moto.server import main; main(sys.argv[1:])"
    found = family.serve(
        "bucket", [sys.executable, "-W", "ignore", "-c", program, "-H", "127.0.0.1", "-p", "0"], MOTO_READY
    )
    # moto checks no signatures: any key will do.
    return Store(found[1], bucket, "", "demo", secrets.token_hex(16))


def build(family: Family, directory: Path, store: Store, cache_bytes: int) -> Stage:
    """Starts both nodes and the proxy, puts topology and policy in force, makes a key.

    Raises:
        ChildEnded: a process ended.
        CommandFault: a node refused.
    """
    documents.write(directory / "pair.secret", secrets.token_hex(32))
    home = _node(family, directory, HOME, AWAY, cache_bytes, store)
    line = family.start("line", [sys.executable, "-m", "gateway.demo.lineproxy", home.peer])
    away = _node(family, directory, AWAY, HOME, cache_bytes, None)
    files = [
        documents.write(directory / "topology.yaml", documents.topology_yaml(store, line.ask("address")["address"])),
        documents.write(directory / "policy.yaml", documents.policy_yaml()),
    ]
    body = {"files": [{"name": file.name, "text": file.read_text("utf-8")} for file in files], "dry_run": False}
    for node in (home, away):
        node.client().post("apply", body)
    made: dict[str, Any] = away.client().post(
        "keys", {"name": "demo", "tenant": documents.TENANT, "read": [documents.MOUNT]}
    )
    return Stage(home, away, line, Key(made["id"], made["secret"]))


def _node(family: Family, directory: Path, region: str, other: str, cache_bytes: int, store: Store | None) -> NodeAt:
    place = directory / region
    place.mkdir()
    config = documents.write(place / "node.yaml", documents.node_yaml(region, other, cache_bytes))
    # Only the home region holds the bucket's credentials.
    env = {} if store is None else {documents.CREDENTIALS: f"{store.access_key}:{store.secret_key}"}
    command = [sys.executable, "-m", "gateway", "up", "--config", str(config)]
    found = family.serve(f"node {region}", command, READY, env)
    return NodeAt(region, found[1], found[2], found[3], place / "cache" / "admin.token")
