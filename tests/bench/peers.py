"""Reads through a region's other member beside hits of the same objects at their owner: two nodes, one etcd, no line.

The owner's cache is warm, the reader keeps nothing. CPU is that of both nodes together.
"""

import contextlib
import http.client
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.pairs import Outcome, Run, in_turns, show
from tests.bench.stage import CLIENT_CORE, GIB, MIB, SERVER_CORE, origin, own_region, put_many
from tests.bench.wrk import Wrk
from tests.real.lab.etcd import etcd
from tests.real.lab.load import Get, get, load
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import S3Server
from tests.real.lab.sign import Keys

RIDE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class PeerRead:
    """One bench: objects of `size` bytes that one member owns, of `count` made, read by so many connections."""

    name: str
    count: int
    size: int
    connections: int


READS = (PeerRead("peer_1m", 128, MIB, 16), PeerRead("peer_64m", 8, 64 * MIB, 4))
WANTED = ">= 0.5, <= 0.5 CPU s/GB"


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields the outcome of each bench that is named."""
    chosen = [read for read in READS if read.name in names]
    if not chosen:
        return
    with origin(directory) as store, members(directory, store) as (reader, owner):
        key = owner.key("bench", "bench", "/ns/data")
        for read in chosen:
            gets = owned(put_many(store, f"{read.name}/", read.count, read.size, different=4), read, reader, owner, key)
            sides = {}
            for name, asked in (("peer", reader), ("hit", owner)):
                wrk = Wrk([get(asked.address, BUCKET, one, key, size=read.size) for one, _ in gets], directory, name)
                warm(asked, gets, read, key, directory)
                sides[name] = Side(wrk, read, asked.address, (reader, owner))
            runs = in_turns(sides, turns)
            outcome = compare(read.name, runs)
            show(outcome, WANTED, runs)
            yield outcome


@contextlib.contextmanager
def members(directory: Path, store: S3Server) -> Iterator[tuple[Node, Node]]:
    """Two members of one region: the reader beside the client, the owner on a core of its own."""
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(etcd(directory))
        nodes = []
        for name, core in (("n1", CLIENT_CORE), ("n2", SERVER_CORE)):
            said = {"node": name, "etcd": servers.urls}
            place = Place(HOME, directory / name)
            nodes.append(stack.enter_context(node(place, memory="1GiB", cpu=core, env=credentials(), settings=said)))
        nodes[0].apply(own_region(store.url))
        for one in nodes:
            one.process.wait_until(lambda one=one: one.ready() and one.cli("members").count("active") == len(nodes))
        yield nodes[0], nodes[1]


def owned(made: list[tuple[str, int]], read: PeerRead, reader: Node, owner: Node, key: Keys) -> list[tuple[str, int]]:
    """Those of the objects that the owner answers from its disk, and the reader through the owner."""
    found = []
    for name, shift in made:
        for _ in range(2):
            sources = [
                source(asked, get(asked.address, BUCKET, name, key, size=read.size)) for asked in (reader, owner)
            ]
        if sources == ["peer", "page"]:
            found.append((name, shift))
    if not found:
        raise AssertionError(f"{read.name}: of {len(made)} objects none is read through {owner.place.directory.name}")
    return found


def source(asked: Node, one: Get) -> str | None:
    """Where a node says that it had an object from."""
    connection = http.client.HTTPConnection(asked.address, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", one.target, headers=one.headers)
        answer = connection.getresponse()
        answer.read()
        return answer.getheader("x-causeway-source")


def warm(asked: Node, made: list[tuple[str, int]], read: PeerRead, key: Keys, directory: Path) -> None:
    """Reads everything once and compares it."""
    gets = [get(asked.address, BUCKET, name, key, size=read.size, shift=shift) for name, shift in made]
    seen = load(asked.address, gets, directory, connections=min(read.connections, len(gets)))
    if seen.faults:
        raise AssertionError(f"{read.name}: {seen.faults[0]}")


@dataclass(frozen=True, slots=True)
class Side:
    """Loads one member for some seconds and reads the CPU of both before and after."""

    wrk: Wrk
    read: PeerRead
    address: str
    nodes: Sequence[Node]
    seconds: float = RIDE_SECONDS

    def __call__(self, turn: int) -> Run:
        before = [one.process.cpu_seconds() for one in self.nodes]
        ridden = self.wrk.ride(self.address, self.read.connections, self.seconds)
        used = [one.process.cpu_seconds() - was for one, was in zip(self.nodes, before, strict=True)]
        # By bytes: a long answer may be under way when the time is up.
        price = [f"{each / ridden.bytes * 1e9:.2f}" for each in used]
        note = f"CPU s/GB: reader {price[0]}, owner {price[1]}"
        return Run(ridden.bytes / self.read.size, ridden.seconds, sum(used), note)


def compare(name: str, runs: Mapping[str, Sequence[Run]]) -> Outcome:
    """Ratio of throughput; the CPU of both nodes is in the table, and its price per GB is said here."""
    peer, hit = runs["peer"], runs["hit"]
    size = next(read.size for read in READS if read.name == name)
    for side, each in runs.items():
        print(f"{name} {side}: {statistics.median(run.cpu / run.requests for run in each) * 1e9 / size:.3f} CPU s/GB")
    value, beside = (statistics.median(run.rate * size / GIB for run in each) for each in (peer, hit))
    return Outcome(name, value, "GiB/s", beside, value / beside)
