"""Runs a client's driver in a process of its own, at every door it knows how to ask, and reads what it saw."""

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.clients.client import PATH, PLACE, Client
from tests.real.clients.objects import BIG, RANGES, TABLE
from tests.real.clients.stage import DOMAIN, SCHEMES, Stage
from tests.real.lab.regions import BUCKET

_SECONDS = 500
"""Below the time that a test has, so that a client that hangs is named."""


@dataclass(frozen=True, slots=True)
class Saw:
    """What a client saw, by (scheme, style) and operation, and how many ranges it was sent by each node."""

    told: dict[tuple[str, str], dict[str, dict[str, Any]]]
    ranged: dict[str, int]

    def of(self, scheme: str, style: str, operation: str) -> Any:
        """What the operation gave; raises with the client's own words where it failed."""
        told = self.told[scheme, style][operation]
        if "fault" in told:
            raise AssertionError(told["fault"])
        return told["saw"]


def ask(client: Client, command: list[str], on: Stage, scratch: Path) -> Saw:
    """Has the client do all that it can do."""
    doors = [
        {
            "scheme": scheme,
            "style": style,
            "host": "127.0.0.1" if style == PATH else DOMAIN,
            "port": on.nodes[scheme].place.s3_port,
        }
        for scheme in SCHEMES
        for style in client.styles
    ]
    asked = {
        "doors": doors,
        "bucket": BUCKET,
        "access": on.keys.access,
        "secret": on.keys.secret,
        "region": on.keys.region,
        "keys": client.keys,
        "prefixes": client.prefixes,
        "many": "many/",
        "big": BIG,
        "ranges": RANGES,
        "etag": on.etag,
        "table": TABLE,
        "delta": "delta",
        "scratch": str(scratch),
    }
    before = _ranged(on)
    saw = json.loads(_run([*on.elsewhere(), *command], json.dumps(asked), _environment(client, on, scratch)))
    told = {(door["scheme"], door["style"]): saw[f"{door['scheme']} {door['style']}"] for door in doors}
    return Saw(told, {scheme: count - before[scheme] for scheme, count in _ranged(on).items()})


def _ranged(on: Stage) -> dict[str, int]:
    return {
        scheme: int(node.metric("causeway_requests_total", door="s3", code="206")) for scheme, node in on.nodes.items()
    }


def _environment(client: Client, on: Stage, scratch: Path) -> dict[str, str]:
    """What a user sets: keys, region, and the authority for those that look for it in a place of their own."""
    trust = str(on.trust.cert)
    return {
        "PATH": os.pathsep.join([str(PLACE / "node" / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"]),
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "CLIENT_HOME": str(PLACE / client.name),
        "AWS_ACCESS_KEY_ID": on.keys.access,
        "AWS_SECRET_ACCESS_KEY": on.keys.secret,
        "AWS_REGION": on.keys.region,
        "AWS_DEFAULT_REGION": on.keys.region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": trust,
        "CURL_CA_BUNDLE": trust,
        "SSL_CERT_FILE": trust,
        "NODE_EXTRA_CA_CERTS": trust,
    }


def _run(command: list[str], told: str, env: dict[str, str]) -> str:
    """The driver's stdout. Whatever it started ends with it."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        encoding="utf-8",
    )
    try:
        out, err = process.communicate(told, timeout=_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != 0:
        raise ChildProcessError(f"{command[-1]} exited with {process.returncode}: {err[-4000:]}")
    return out
