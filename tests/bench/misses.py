"""Misses beside varnish and nginx as caches, and the origin itself: one node in the bucket's region, no line.

Each turn reads keys that no cache has seen; on the origin's disk they are second names of the same files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.pairs import Outcome, Run, compare_walls, in_turns, show
from tests.bench.stage import CLIENT_CORE, GIB, KIB, MIB, SERVER_CORE, again, causeway, origin, origin_keys, put_many
from tests.real.lab.caches import nginx_cache, varnish
from tests.real.lab.load import get, load
from tests.real.lab.process import Child
from tests.real.lab.proxy import counting_proxy
from tests.real.lab.regions import BUCKET
from tests.real.lab.s3 import S3Server
from tests.real.lab.sign import Keys

MEMORY_MIB = 256


@dataclass(frozen=True, slots=True)
class Miss:
    """One bench: `count` cold objects of `size` bytes over so many connections, each read `readers` times at once."""

    name: str
    wanted: str
    count: int
    size: int
    connections: int
    readers: int = 1


MISSES = (
    Miss("miss_1g", "<= 1.2", 1, GIB, 1),
    Miss("miss_100k", "<= 1.1", 10_000, 100 * KIB, 32),
    Miss("miss_8x1g", "<= 1.2", 1, GIB, 8, readers=8),
)


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields the outcome of each bench that is named."""
    chosen = [miss for miss in MISSES if miss.name in names]
    if not chosen:
        return
    for each in ("varnish", "nginx"):
        (directory / each).mkdir()
    with (
        origin(directory) as store,
        causeway(directory, store, memory=f"{MEMORY_MIB}MiB") as ours,
        varnish(directory / "varnish", store.address, cpu=SERVER_CORE) as varnished,
        nginx_cache(directory / "nginx", store.address, cpu=SERVER_CORE) as cached,
    ):
        key, straight = ours.key("bench", "bench", "/ns/data"), origin_keys(store)
        idle = ours.process.resident_bytes()
        for miss in chosen:
            first = put_many(store, f"{miss.name}/first/", miss.count, miss.size, different=16)
            turned = [first, *(another(store, first, miss, turn) for turn in range(1, turns))]
            sides = {
                "causeway": Side(directory, miss, turned, ours.address, ours.address, key, ours.process),
                "varnish": Side(directory, miss, turned, varnished.address, store.address, straight, varnished.process),
                "nginx": Side(directory, miss, turned, cached.address, store.address, straight, cached.process),
                "origin": Side(directory, miss, turned, store.address, store.address, straight, store.process),
            }
            runs = in_turns(sides, turns)
            outcome = compare_walls(miss.name, runs)
            show(outcome, miss.wanted, runs)
            grown = (ours.process.peak_bytes() - idle) / MIB
            print(f"  resident: {grown:.0f} MiB above idle at most so far, budget {MEMORY_MIB} MiB")
            yield outcome
        print(f"  {read_once(store, directory)}")


def another(store: S3Server, first: list[tuple[str, int]], miss: Miss, turn: int) -> list[tuple[str, int]]:
    """The same objects under names of their own for a later turn."""
    copies = [(key.replace("/first/", f"/turn{turn}/"), shift) for key, shift in first]
    for (source, _), (copy, _) in zip(first, copies, strict=True):
        again(store, source, copy)
    return copies


@dataclass(frozen=True, slots=True)
class Side:
    """Reads a turn's keys cold through one server and compares every byte."""

    directory: Path
    miss: Miss
    turned: list[list[tuple[str, int]]]
    address: str
    signed_for: str
    key: Keys
    server: Child

    def __call__(self, turn: int) -> Run:
        gets = [
            get(self.signed_for, BUCKET, name, self.key, size=self.miss.size, shift=shift)
            for name, shift in self.turned[turn]
            for _ in range(self.miss.readers)
        ]
        before = self.server.cpu_seconds()
        seen = load(self.address, gets, self.directory, connections=self.miss.connections, cpu=CLIENT_CORE)
        if seen.faults:
            raise AssertionError(f"{self.miss.name} at {self.address}: {seen.faults[0]}")
        return Run(len(gets), seen.seconds, self.server.cpu_seconds() - before)


def read_once(store: S3Server, directory: Path) -> str:
    """Counts, outside the program, how often 8 readers of one cold object make the origin send it."""
    again(store, put_many(store, "once/", 1, GIB, different=1)[0][0], "once/again")
    (directory / "once").mkdir()
    with counting_proxy(store.address, directory) as proxy:
        through = S3Server(proxy.host, proxy.port, store.process, store.root)
        with causeway(directory / "once", through) as node:
            key = node.key("once", "bench", "/ns/data")
            gets = [get(node.address, BUCKET, "once/again", key, size=GIB)] * 8
            seen = load(node.address, gets, directory, connections=8, cpu=CLIENT_CORE)
            sent = proxy.report().payload_of("GET")
    verdict = "right bytes" if not seen.faults else seen.faults[0]
    return f"8 readers of one cold 1 GiB object: the origin sent {sent / GIB:.3f} GiB; {verdict}"
