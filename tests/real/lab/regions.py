"""Two regions as the issue draws them: a bucket in idc-bj, a node in each, a counting proxy on the line between.

The reader asks the node of aws-use1; that asks the node of idc-bj through the line's proxy; that asks its bucket
through the bucket's proxy. The proxies are outside the program and count what really passes.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.lab.certificates import Certificate
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.proxy import CountingProxy, counting_proxy
from tests.real.lab.s3 import ACCESS, SECRET, S3Server

HOME, AWAY = "idc-bj", "aws-use1"
LINE = "bj-use1"
BUCKET = "data"


@dataclass(frozen=True, slots=True)
class Regions:
    """The running pair. `line` counts between the nodes, `origin` between the home node and its bucket."""

    store: S3Server
    home: Node
    away: Node
    line: CountingProxy
    origin: CountingProxy


def topology(bucket_url: str, home_peer: str, **mount: Any) -> dict[str, Any]:
    """The pair's topology: `/ns/data` is the store's bucket `data`. `mount` goes over the mount's settings."""
    bucket = {
        "provider": "s3",
        "bucket": BUCKET,
        "region": HOME,
        "endpoints": {"internal": bucket_url},
        "credentials": {"env": "LAB_BUCKET"},
    }
    return {
        "regions": {HOME: {"provider": "idc", "nodes": [home_peer]}, AWAY: {"provider": "aws"}},
        "lines": {LINE: {"between": [HOME, AWAY], "capacity": "10Gbps"}},
        "buckets": {"data-bj": bucket},
        "mounts": {"/ns/data": {"bucket": "data-bj", "consistency": {"max_age": "1h"}, **mount}},
    }


def policy(quota: str, **line: Any) -> dict[str, Any]:
    """A policy with a quota (`200 Mbit/s`) on the line; `line` goes over the line's settings."""
    return {"lines": {LINE: {"quota": quota, "overhead": 1.0, **line}}}


@contextlib.contextmanager
def two_regions(
    directory: Path,
    store: S3Server,
    rules: Mapping[str, Any] | None,
    *,
    mount: Mapping[str, Any] | None = None,
    away: Mapping[str, Any] | None = None,
    home: Mapping[str, Any] | None = None,
    tls: Certificate | None = None,
) -> Iterator[Regions]:
    """Runs the pair over `store`, whose bucket `data` must exist. `away` and `home` are arguments of `node`.

    With `tls` the S3 door of `away` speaks https.
    """
    here, there = Place(HOME, directory / HOME), Place(AWAY, directory / AWAY, tls=tls)
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(counting_proxy(store.address, directory, name="origin-proxy"))
        line = stack.enter_context(counting_proxy(here.peer, directory, name="line-proxy", frames=True))
        env = credentials()
        near = stack.enter_context(node(here, far=[AWAY], env=env, **(home or {})))
        far = stack.enter_context(node(there, far=[HOME], env=env, **(away or {})))
        document = topology(origin.url, line.address, **(mount or {}))
        near.apply(document, rules)
        far.apply(document, rules)
        yield Regions(store, near, far, line, origin)


def credentials() -> dict[str, str]:
    """The environment that `credentials: {env: LAB_BUCKET}` reads."""
    return {"LAB_BUCKET": f"{ACCESS}:{SECRET}"}
