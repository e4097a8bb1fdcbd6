"""Causeway's nodes as real processes: settings written, started by the command line, applied to, asked."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.real.lab.certificates import Certificate
from tests.real.lab.process import Child, answers, child, free_port, within
from tests.real.lab.s3 import s3_client
from tests.real.lab.sign import Keys

PAIR_SECRET = "the-secret-of-the-pair-0123456789abcdef0123456789"
PROGRAM = str(Path(sys.executable).with_name("causeway"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node will live, settled before it starts, so that a topology and a proxy can name it."""

    region: str
    directory: Path
    host: str = "127.0.0.1"
    netns: str | None = None
    s3_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    tls: Certificate | None = None
    """Of the S3 door; None: plain http."""
    domain: str | None = None
    """Of the S3 door's virtual hosts; None: path style alone."""
    control_port: int = field(default_factory=free_port)
    """Opened by members of a cluster alone."""

    @property
    def peer(self) -> str:
        return f"{self.host}:{self.peer_port}"

    @property
    def config(self) -> Path:
        return self.directory / "node.yaml"


class Node:
    """A running node."""

    def __init__(self, place: Place, process: Child) -> None:
        self.place, self.process = place, process

    @property
    def address(self) -> str:
        """host:port of the S3 door."""
        return f"{self.place.host}:{self.place.s3_port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.place.tls else 'http'}://{self.address}"

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.place.admin_port}"

    def cli(self, *args: str) -> str:
        """Runs `causeway ARGS` with this node's settings, in its namespace; returns stdout, raises with stderr."""
        command = [PROGRAM, *args]
        if self.place.netns is not None:
            command = ["ip", "netns", "exec", self.place.netns, *command]
        env = {**os.environ, "CAUSEWAY_CONFIG": str(self.place.config)}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=120)
        if done.returncode != 0:
            raise ChildProcessError(f"causeway {' '.join(args)} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, topology: Mapping[str, Any], policy: Mapping[str, Any] | None = None) -> None:
        """Puts topology and policy in force here, and waits until the node serves."""
        files = []
        for name, document in (("topology", topology), ("policy", policy)):
            if document is not None:
                path = self.place.directory / f"{name}.yaml"
                path.write_text(yaml.safe_dump(document, sort_keys=False))
                files.append(str(path))
        self.cli("apply", *files)
        self.process.wait_until(self.ready)

    def key(self, name: str, tenant: str, *read: str, cls: str = "training", may: Sequence[str] = ()) -> Keys:
        """Makes an access key that opens the paths for reading."""
        args = ["keys", "add", name, "--tenant", tenant, "--class", cls, "--json"]
        for path in read:
            args += ["--read", path]
        for one in may:
            args += ["--may-class", one]
        made = json.loads(self.cli(*args))
        return Keys(made["id"], made["secret"])

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Asks the API of the admin port (`/api/v1/PATH`) as administrator; raises HTTPError with its answer."""
        return json.loads(within(self.place.netns, lambda: self._ask(method, path, body))())

    def _ask(self, method: str, path: str, body: Any) -> bytes:
        token = (self.place.directory / "cache" / "admin.token").read_text().strip()
        sent = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        asked = urllib.request.Request(f"{self.admin}/api/v1/{path}", sent, headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as reply:
            answer: bytes = reply.read()
        return answer

    def ready(self) -> bool:
        """Whether it says that it serves."""
        return within(self.place.netns, answers(f"{self.admin}/readyz"))()

    def client(self, keys: Keys, **more: Any) -> Any:
        """A boto3 client of the S3 door."""
        if self.place.tls is not None:
            more.setdefault("verify", str(self.place.tls.cert))
        return s3_client(self.url, keys.access, keys.secret, **more)

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The admin port's metrics: (name, labels) -> value."""
        text = within(self.place.netns, self._metrics)()
        families = text_string_to_metric_families(text)
        return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}

    def _metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=60) as reply:
            text: str = reply.read().decode()
        return text

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all samples that carry the labels."""
        wanted = set(labels.items())
        return sum(value for (found, carried), value in self.metrics().items() if found == name and wanted <= carried)


@contextlib.contextmanager
def node(
    place: Place,
    *,
    far: Sequence[str] = (),
    memory: str = "256MiB",
    cache: str = "8GiB",
    cpu: int | None = None,
    env: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    before: Sequence[str] = (),
    wait: bool = True,
) -> Iterator[Node]:
    """Runs `causeway up` until the `with` ends. `far`: the regions it shares the pair's secret with.

    Returns once the admin port answers, or at once without `wait`.

    `settings` go over what is written to node.yaml, `before` is a command that starts the program. Starting twice at
    one place is a restart: the cache is kept.
    """
    place.directory.mkdir(parents=True, exist_ok=True)
    secret = place.directory / "pair.secret"
    secret.write_text(PAIR_SECRET)
    secret.chmod(0o600)
    host = place.host
    door: dict[str, Any] = {"address": f"{host}:{place.s3_port}"}
    if place.tls is not None:
        door["tls"] = {"cert": str(place.tls.cert), "key": str(place.tls.key)}
    if place.domain is not None:
        door["domain"] = place.domain
    written: dict[str, Any] = {
        "region": place.region,
        "node": f"{place.region}-1",
        "memory": memory,
        "listen": {
            "s3": door,
            "peer": f"{host}:{place.peer_port}",
            "admin": f"127.0.0.1:{place.admin_port}",
        },
        "secrets": {region: {"file": str(secret)} for region in (place.region, *far)},
        "cache": {"paths": [str(place.directory / "cache")], "size": cache},
    }
    if settings is not None and "etcd" in settings:
        written["listen"]["control"] = f"{host}:{place.control_port}"
    place.config.write_text(yaml.safe_dump({**written, **(settings or {})}, sort_keys=False))
    (place.directory / "cache").mkdir(exist_ok=True)
    args = [*before, PROGRAM, "up", "--config", str(place.config)]
    with child(f"node-{place.region}", args, place.directory, cpu=cpu, netns=place.netns, env=env) as process:
        if wait:
            process.wait_until(within(place.netns, answers(f"http://127.0.0.1:{place.admin_port}/healthz")))
        yield Node(place, process)
