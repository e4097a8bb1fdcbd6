"""Two workers of a node beside one: what a request costs where half of them meet the worker that is not the owner.

Both nodes are the same but for `workers`, and all of a node runs on the server's core, the client on the other: so CPU
per request is the program's own cost. Not pinned, one of two workers runs beside the client, and the kernel's part is
measured too: loops that wake for each request, where a busy one finds several at once, and cores that take work from
one another. That is said below the table. CPU is that of all processes of the node, its supervisor too.
"""

import contextlib
import os
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regioncache.hot import HITS_BETWEEN_TOUCHES, LARGEST_BYTES
from tests.bench.hits import RIDE_SECONDS, Hit
from tests.bench.pairs import Outcome, Run, in_turns, show
from tests.bench.stage import KIB, MIB, SERVER_CORE, origin, own_region, put_many
from tests.bench.wrk import Wrk
from tests.real.lab.etcd import etcd
from tests.real.lab.load import Get, get, load
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.process import family
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import S3Server

HITS = (Hit("workers_4k", "<= 1.3", 1000, 4 * KIB, 32), Hit("workers_1m", "<= 1.15", 600, MIB, 32))
SOURCES = ("page", "sibling", "peer", "line", "origin")
WARM = 0.95
"""Of the bytes: a worker's first read of an object goes through its owner."""
WARM_SECONDS = 180.0
READS_EACH = 3 * HITS_BETWEEN_TOUCHES
"""Of a small object by two workers, until both know where it lies: at first it is in memory, and comes from there."""


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields the outcome of each bench that is named."""
    chosen = [hit for hit in HITS if hit.name in names]
    if not chosen:
        return
    with origin(directory) as store, contextlib.ExitStack() as stack:
        nodes = {
            name: stack.enter_context(member(directory / str(count), store, count))
            for name, count in (("two workers", 2), ("one", 1))
        }
        for hit in chosen:
            made = put_many(store, f"{hit.name}/", hit.count, hit.size, different=hit.count)
            sides = {name: side(one, made, hit) for name, one in nodes.items()}
            runs = in_turns(sides, turns)
            outcome = compare(hit.name, runs)
            show(outcome, hit.wanted, runs)
            for one in nodes.values():
                pin(one, None)
            free = compare(hit.name, in_turns(sides, turns))
            print(f"  not pinned: ratio {free.ratio:.2f}, {free.value:.1f} us beside {free.beside:.1f}")
            for one in nodes.values():
                pin(one, SERVER_CORE)
            yield outcome


@contextlib.contextmanager
def member(directory: Path, store: S3Server, workers: int) -> Iterator[Node]:
    """A node of so many workers, the whole cluster of its etcd."""
    directory.mkdir()
    with etcd(directory) as servers:
        said = {"node": "n1", "etcd": servers.urls, "workers": workers}
        # The workers' own ports lie behind that for peers: the kernel's choice, so that none is taken.
        place = Place(HOME, directory / "node", peer_port=0, control_port=0)
        env = credentials()
        with node(place, memory="1GiB", cache="40GiB", cpu=SERVER_CORE, env=env, settings=said) as running:
            running.apply(own_region(store.url))
            running.process.wait_until(lambda: running.metric("causeway_members", state="active") == workers)
            yield running


def pin(one: Node, core: int | None) -> None:
    """Has all of a node run on a core, or wherever there is one."""
    cores = range(os.cpu_count() or 1) if core is None else [core]
    for process in family(one.process.pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def side(one: Node, made: list[tuple[str, int]], hit: Hit) -> "Side":
    """One node's turns; its caches are warm."""
    key = one.key(hit.name, "bench", "/ns/data")
    gets = [get(one.address, BUCKET, name, key, size=hit.size, shift=shift) for name, shift in made]
    one.process.wait_until(lambda: warmed(one, gets, hit), WARM_SECONDS)
    made = Side(Wrk(gets, one.place.directory, hit.name), hit, one)
    left = READS_EACH * hit.count if hit.size <= LARGEST_BYTES else 0
    while left > 0:
        left -= int(made(0).requests)
    return made


def warmed(one: Node, gets: Sequence[Get], hit: Hit) -> bool:
    """Reads everything and compares it; whether nearly all of it came from the node's own files."""
    before = read(one)
    seen = load(one.address, gets, one.place.directory, connections=hit.connections)
    if seen.faults:
        raise AssertionError(f"{hit.name}: {seen.faults[0]}")
    return here(read(one) - before) >= WARM


def read(one: Node) -> Counter[str]:
    """Bytes read so far, by where they came from."""
    return Counter({name: int(one.metric("causeway_read_bytes_total", source=name)) for name in SOURCES})


def here(seen: Counter[str]) -> float:
    """The share of bytes that came from the node's own files, or from memory."""
    return (seen["page"] + seen["sibling"]) / seen.total()


@dataclass(frozen=True, slots=True)
class Side:
    """Loads one node for some seconds and reads the CPU of its processes before and after."""

    wrk: Wrk
    hit: Hit
    node: Node
    seconds: float = RIDE_SECONDS

    def __call__(self, turn: int) -> Run:
        cpu, before = self.node.process.cpu_seconds(), read(self.node)
        ridden = self.wrk.ride(self.node.address, self.hit.connections, self.seconds)
        cpu = self.node.process.cpu_seconds() - cpu
        through = 1 - here(read(self.node) - before)
        return Run(ridden.requests, ridden.seconds, cpu, f"{through:.0%} through the owner" if through else "")


def compare(name: str, runs: Mapping[str, Sequence[Run]]) -> Outcome:
    """Ratio of CPU per request, of turns side by side; lower is better."""
    two, one = ([run.cpu_each for run in each] for each in runs.values())
    ratio = statistics.median(a / b for a, b in zip(two, one, strict=True))
    return Outcome(name, statistics.median(two), "us CPU/request", statistics.median(one), ratio)
