"""Two regions in one process: nodes, a bucket behind them, a topology and a policy between them."""

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.admin.answers import MadeKey, NewKey
from gateway.app import Node
from gateway.config import NodeSettings, parse
from gateway.pairs import File

SECRET = "a-secret-between-the-two-regions"
FAR, NEAR = "idc-bj", "aws-use1"
RENTED = "gpu-7"
LINE = "bj-use1"
DIRECTION = f"{FAR}>{NEAR}"
MIB = 1024 * 1024


def settings(
    folder: Path,
    region: str,
    *,
    size: str = "2GiB",
    memory: str = "256MiB",
    peer: str = "127.0.0.1:0",
    peer_tls: str = "",
    domain: str | None = None,
    telemetry: dict[str, object] | None = None,
    paths: Sequence[object] = (),
    secret: str = SECRET,
) -> NodeSettings:
    """node.yaml of a node on loopback, with ports of the kernel's choice; `paths` of its cache instead of one.

    `peer_tls` is a folder beneath `folder` with the node's certificate among nodes.
    """
    (folder / "pair.secret").write_text(secret)
    value = {
        "region": region,
        "node": f"{region}-0",
        "memory": memory,
        "listen": {
            "s3": {"address": "127.0.0.1:0", "domain": domain},
            "peer": _peer(peer, peer_tls),
            "admin": "127.0.0.1:0",
        },
        "secrets": {other: {"file": "pair.secret"} for other in (FAR, NEAR, RENTED)},
        "cache": {"paths": list(paths) or [f"cache-{region}"], "size": size},
        **({} if telemetry is None else {"telemetry": telemetry}),
    }
    return parse(yaml.safe_dump(value), "node.yaml", folder)


def _peer(address: str, tls: str) -> object:
    if not tls:
        return address
    files = {"cert": f"{tls}/peer.pem", "key": f"{tls}/peer.key", "ca": f"{tls}/ca.pem"}
    return {"address": address, "tls": files}


def topology(
    origin: str,
    far_node: str | None,
    *,
    capacity: str = "10Gbps",
    mount: dict[str, object] | None = None,
    bucket: dict[str, object] | None = None,
    endpoint_line: bool = True,
) -> dict[str, object]:
    """One bucket at home in `idc-bj`, mounted at /ns/train, and one line to `aws-use1`."""
    return {
        "regions": {
            FAR: {"provider": "idc", "nodes": [far_node] if far_node else []},
            NEAR: {"provider": "aws"},
        },
        "lines": {
            LINE: {"between": [FAR, NEAR], "capacity": capacity, "carries": "private" if endpoint_line else "public"}
        },
        "buckets": {
            "train-bj": {
                "provider": "s3",
                "bucket": "bucket1",
                "region": FAR,
                "endpoints": {"internal": origin},
                "credentials": {"env": "CAUSEWAY_TEST_ORIGIN"},
                **(bucket or {}),
            }
        },
        "mounts": {"/ns/train": {"bucket": "train-bj", "consistency": "immutable", **(mount or {})}},
    }


@dataclass(slots=True)
class World:
    """Running nodes by region. `key` opens /ns in both; `ahead` is how far their wall clocks are ahead, seconds.

    They go with the machine's, unless they are `stopped`: then only `ahead` moves them.
    """

    folder: Path
    nodes: dict[str, Node] = field(default_factory=dict)
    key: MadeKey | None = None
    ahead: float = 0.0
    apart: dict[str, float] = field(default_factory=dict)
    """How far the wall clock of one node is ahead of the others', seconds, by its name here."""
    stopped: float | None = None

    def wall(self) -> float:
        return (time.time() if self.stopped is None else self.stopped) + self.ahead

    def wall_of(self, name: str) -> Callable[[], float]:
        """The clock of one node, which may be set while it runs."""
        return lambda: self.wall() + self.apart.get(name, 0.0)

    def url(self, region: str) -> str:
        """The S3 door of a region's node."""
        return f"http://{self.nodes[region].running.addresses['s3']}"

    def peer(self, region: str) -> str:
        """The peer address of a region's node."""
        return str(self.nodes[region].running.addresses["peer"])

    async def start(self, region: str, *, limited: bool = True, **knobs: Any) -> Node:
        """Starts a region's node, again if it ran before: its cache is where it was."""
        made, wall = settings(self.folder, region, **knobs), self.wall_of(region)
        node = await Node.start(made, access_every=0, limited=limited, wall=wall)
        self.nodes[region] = node
        return node

    async def apply(
        self, region: str, topology: dict[str, object], policy: dict[str, object] | None = None
    ) -> tuple[str, ...]:
        """Puts files in force at one node; returns the warnings."""
        files = [File("topology.yaml", yaml.safe_dump(topology))]
        files.append(File("policy.yaml", yaml.safe_dump(policy or {"lines": {}})))
        return (await self.nodes[region].operations.apply(tuple(files), "test", False)).warnings

    async def admit(self, region: str, *, name: str = "reader", tenant: str = "rec", cls: str = "training") -> MadeKey:
        """Makes a key that opens everything, the same in each region."""
        known = self.key
        new = NewKey(name, tenant, cls, ("backfill", "interactive"), ("/ns",))
        if known is not None and name == "reader":
            new = NewKey(name, tenant, cls, ("backfill", "interactive"), ("/ns",), id=known.id, secret=known.secret)
        made = await self.nodes[region].operations.add_key(new, "test")
        if name == "reader":
            self.key = made
        return made

    async def stop(self, region: str) -> None:
        """Stops a region's node in good order."""
        node = self.nodes.pop(region, None)
        if node is not None:
            await node.stop(1.0)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """An empty world in a folder of its own; whatever runs in it at the end is stopped."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="causeway-flow-")))
        made = World(folder)
        try:
            yield made
        finally:
            for region in list(made.nodes):
                await made.stop(region)


@asynccontextmanager
async def two_regions(
    origin: str,
    *,
    policy: dict[str, object] | None = None,
    between: Callable[[str], str] | None = None,
    limited: bool = True,
    telemetry: dict[str, object] | None = None,
    **shape: object,
) -> AsyncIterator[World]:
    """Both regions up, the topology in force in both.

    `between` is given the far node's peer address and returns the one that the near node shall use (a proxy's).
    """
    async with world() as made:
        await made.start(FAR, telemetry=telemetry)
        await made.start(NEAR, limited=limited, telemetry=telemetry)
        far = made.peer(FAR)
        await made.apply(FAR, topology(origin, far, **shape), policy)  # type: ignore[arg-type]
        await made.apply(NEAR, topology(origin, between(far) if between else far, **shape), policy)  # type: ignore[arg-type]
        for region in (FAR, NEAR):
            await made.admit(region)
        yield made
