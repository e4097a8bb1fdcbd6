"""Nodes of one region that hold leases of one line, and the office of the region at its other end, over loopback."""

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.pairs import UNITS
from namespace import codec
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.model import Topology
from namespace.rpc.channels import RpcTls
from namespace.rpc.serving import RpcServer
from namespace.rpc.signing import Trust
from policy.model import LinePolicy, Policy
from regioncache.errors import CacheError, SlowDown
from regioncache.http.client import Client
from regioncache.http.messages import Reply, Request
from regioncache.http.server import Server
from regioncache.leasing.app import Leasing, LeasingSettings
from regioncache.ledger import Ledger
from regioncache.lines.line import Line
from regioncache.origins.base import Payer
from regioncache.pages import KIB
from regioncache.peers.desks import Questioner, operation_of, values_of
from tests.fakes.hearing import Heard

SECRET = "a secret of both regions"
LINE, FAR, NEAR = "bj-use1", "idc-bj", "aws-use1"
DIRECTION = f"{FAR}>{NEAR}"


def topology(*doors: str) -> Topology:
    """Two regions and the line between them; the far one's nodes are behind these peer doors."""
    value = {
        "regions": {FAR: {"nodes": list(doors)}, NEAR: {}},
        "lines": {LINE: {"between": [FAR, NEAR], "capacity": "10Gbps"}},
    }
    return codec.topology(value, UNITS)


def rules(**line: object) -> Policy:
    """The policy of the line: 25 MB/s unless told otherwise."""
    return Policy.model_validate({"lines": {LINE: {"quota": "200Mbps", **line}}})


def _settings(
    region: str, node: str, path: Path, heard: Heard, faults: list[BaseException], **more: object
) -> LeasingSettings:
    client = Client()
    questioner = Questioner(region, lambda _: SECRET, client)
    given: dict[str, object] = {"process": lambda: 1, "members": tuple, "leased": True, **more}
    return LeasingSettings(
        region=region, node=node, directory=path, secrets=lambda _: SECRET, questioner=questioner, clock=time.monotonic,
        wall=time.time, tidings=heard.tidings(), on_fault=faults.append, **given,  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass
class OfficeNode:
    """The far region's only node: a peer door that says where the office is, and a control port."""

    path: Path
    policy: Policy
    door: Server
    where: str
    heard: Heard = field(default_factory=Heard)
    faults: list[BaseException] = field(default_factory=list)
    tls: RpcTls | None = None
    port: int = 0
    leasing: Leasing | None = None
    _control: RpcServer | None = None

    @classmethod
    async def start(cls, path: Path, policy: Policy) -> "OfficeNode":
        """Begins with its peer door; `open` makes it an office."""

        async def answer(request: Request) -> Reply:
            if node.leasing is None or operation_of(request.target) != "office":
                return Reply(503)
            try:
                return await node.leasing.desk()(NEAR, values_of(request.target))
            except CacheError as fault:
                return Reply(503, body=str(fault).encode())

        door = Server(answer)
        host, port = await door.listen(("127.0.0.1", 0))
        node = cls(path, policy, door, f"{host}:{port}")
        return node

    async def open(self) -> None:
        """Is the office from here on."""
        self.leasing = Leasing(_settings(FAR, "bj-1", self.path, self.heard, self.faults, leased=False), dict)
        self.leasing.adopt(topology(self.where), self.policy)
        self._control = RpcServer(
            [self.leasing.service()], Trust(FAR, lambda _: SECRET), lambda _, fault: self.faults.append(fault)
        )
        self.port = await self._control.start(f"127.0.0.1:{self.port}", self.tls)
        await self.leasing.start(f"{'' if self.tls is None else 'https://'}127.0.0.1:{self.port}")
        while LINE not in self.leasing.offices():
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """Is not there any more, and leaves nobody a word."""
        control, self._control, leasing, self.leasing = self._control, None, self.leasing, None
        if control is not None:
            await control.stop(0.0)
        if leasing is not None:
            await leasing.stop()

    async def close(self) -> None:
        await self.kill()
        await self.door.stop(0.0)


@dataclass
class LeasedNode:
    """A node that debits a line as fast as its lease lets it, while it reads."""

    line: Line
    leasing: Leasing
    ledger: Ledger
    heard: Heard
    faults: list[BaseException]
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def debited(self) -> float:
        """Debited bytes that are covered by now."""
        seen = self.line.statistics()
        return seen.debited - seen.debt

    @property
    def rate(self) -> float:
        """What it may use now, bytes/s."""
        return self.leasing.statistics()[LINE].rate

    @property
    def state(self) -> str:
        return self.leasing.statistics()[LINE].state

    def read(self, payer: Payer, streams: int = 2) -> None:
        """Reads from now on."""
        self.readers += [asyncio.create_task(self._read(payer)) for _ in range(streams)]

    async def rest(self) -> None:
        """Reads no more."""
        for task in self.readers:
            task.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)
        self.readers.clear()

    async def close(self) -> None:
        await self.rest()
        await self.leasing.stop()
        self.ledger.close()

    async def _read(self, payer: Payer) -> None:
        while True:
            crossing = self.line.crossing(lambda: payer, "train-bj", lambda: "unique")
            try:
                left = 4096 * KIB
                await crossing.prepay(left, 128 * KIB)
                crossing.learned(left)
                while left:
                    got = await crossing.room(min(left, 256 * KIB))
                    crossing.read(got)
                    left -= got
                    await asyncio.sleep(0)
            except SlowDown:
                await asyncio.sleep(0.05)
            finally:
                crossing.close()


@asynccontextmanager
async def leased_nodes(
    path: Path, count: int = 3, tls: RpcTls | None = None, authorities: RpcTls | None = None, **line: object
) -> AsyncIterator[tuple[OfficeNode, list[LeasedNode]]]:
    """An office that is open, and `count` nodes that talk to it, by TLS where its side of that is given."""
    policy = rules(**line)
    (path / "office").mkdir()
    office = await OfficeNode.start(path / "office", policy)
    office.tls = tls
    await office.open()
    nodes: list[LeasedNode] = []
    try:
        for number in range(count):
            nodes.append(
                await _node(path / f"node{number}", f"cache-{number}", office, policy, authorities or RpcTls())
            )
        yield office, nodes
        assert office.faults + [fault for node in nodes for fault in node.faults] == []
    finally:
        for node in nodes:
            await node.close()
        await office.close()


async def _node(path: Path, name: str, office: OfficeNode, policy: Policy, authorities: RpcTls) -> LeasedNode:
    node = _leased(path, name, topology(office.where), policy, authorities=lambda: authorities)
    await node.leasing.start("127.0.0.1:1")
    return node


def _leased(path: Path, name: str, known: Topology, policy: Policy, **more: object) -> LeasedNode:
    path.mkdir(exist_ok=True)
    ledger, heard, faults = Ledger.open(path / "ledger"), Heard(), []
    of_line: LinePolicy = policy.lines[LINE]
    line = Line(LINE, DIRECTION, of_line, ledger, leased=True, tidings=heard.tidings())
    leasing = Leasing(_settings(NEAR, name, path, heard, faults, **more), lambda: {LINE: line})
    leasing.adopt(known, policy)
    return LeasedNode(line, leasing, ledger, heard, faults)


@dataclass
class ClusterNode:
    """A node of a region that has the office of its line itself, elected in its etcd."""

    node: LeasedNode
    etcd: Etcd
    control: RpcServer
    address: str

    @classmethod
    async def start(cls, path: Path, name: str, policy: Policy, urls: list[str], process: int) -> "ClusterNode":
        """`urls` are etcd's; the office is in the region of these nodes."""
        etcd = Etcd(EtcdAccess.of(*urls))
        value = {
            "regions": {FAR: {}, NEAR: {}},
            "lines": {LINE: {"between": [FAR, NEAR], "capacity": "10Gbps", "office": NEAR}},
        }
        node = _leased(path, name, codec.topology(value, UNITS), policy, etcd=etcd, process=lambda: process)
        trust = Trust(NEAR, lambda _: SECRET)
        control = RpcServer([node.leasing.service()], trust, lambda _, fault: node.faults.append(fault))
        address = f"127.0.0.1:{await control.start('127.0.0.1:0')}"
        await node.leasing.start(address)
        return cls(node, etcd, control, address)

    @property
    def in_office(self) -> bool:
        return LINE in self.node.leasing.offices()

    async def silence(self) -> None:
        """Its control port answers nobody any more, as after a `kill -9`; what it reads it reads on."""
        await self.control.stop(0.0)

    async def close(self) -> None:
        await self.node.close()
        await self.control.stop(0.0)
        await self.etcd.close()


@dataclass(slots=True)
class Excess:
    """The most that was debited in any interval above `quota` x T, of totals that take a while to read.

    Each is of some moment between `before` and `after`; an interval is counted from before its first reading to after
    its last. So what is found is never too much, even where the process waited for its core while it read.
    """

    quota: float
    most: float = 0.0
    _lowest: float = math.inf

    def note(self, before: float, total: float, after: float) -> None:
        """Takes a total that was read between the moments `before` and `after`, seconds."""
        self.most = max(self.most, total - self.quota * after - self._lowest)
        self._lowest = min(self._lowest, total - self.quota * before)


class Sum:
    """What nodes together debited, sampled: the most of any interval against quota x T + burst."""

    def __init__(self, nodes: list[LeasedNode], quota: float) -> None:
        self._nodes = nodes
        self._excess = Excess(quota)
        self.total = 0.0
        self._sampling = asyncio.create_task(self._sample())

    @property
    def excess(self) -> float:
        return self._excess.most

    async def stop(self) -> None:
        self._sampling.cancel()
        await asyncio.gather(self._sampling, return_exceptions=True)

    async def _sample(self) -> None:
        for _ in itertools.count():
            before = time.monotonic()
            self.total = sum(node.debited for node in self._nodes)
            self._excess.note(before, self.total, time.monotonic())
            await asyncio.sleep(0.01)
