"""Hits beside nginx: everything is in the cache, SigV4 is checked, one process on one core each.

nginx sends the same files, unsigned, by sendfile with one worker.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.pairs import Outcome, Run, compare_rates, in_turns, show
from tests.bench.stage import GIB, KIB, MIB, SERVER_CORE, causeway, origin, put_many
from tests.bench.wrk import Wrk
from tests.real.lab.caches import nginx_static
from tests.real.lab.load import Get, get, load
from tests.real.lab.process import Child
from tests.real.lab.regions import BUCKET
from tests.real.lab.sign import Keys

RIDE_SECONDS = 4.0
RANGE = 64 * KIB


@dataclass(frozen=True, slots=True)
class Hit:
    """One bench: `count` objects of `size` bytes read by so many connections; `ranges` random ones of 64 KiB if set."""

    name: str
    wanted: str
    count: int
    size: int
    connections: int
    ranges: int = 0

    @property
    def bytes_each(self) -> int:
        return RANGE if self.ranges else self.size


HITS = (
    Hit("hit_4k", ">= 0.5", 1000, 4 * KIB, 32),
    Hit("hit_100k", ">= 0.7", 1000, 100 * KIB, 32),
    Hit("hit_1m", ">= 0.8", 1000, MIB, 32),
    Hit("stream_1g", ">= 0.8", 1, GIB, 1),
    Hit("range_64k", ">= 0.6", 1, GIB, 32, ranges=4000),
)


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields the outcome of each bench that is named."""
    chosen = [hit for hit in HITS if hit.name in names]
    if not chosen:
        return
    (directory / "nginx").mkdir()
    with origin(directory) as store, causeway(directory, store, memory="1GiB") as ours:
        key = ours.key("bench", "bench", "/ns/data")
        with nginx_static(directory / "nginx", store.root or directory, cpu=SERVER_CORE) as theirs:
            for hit in chosen:
                # As many bytes in memory for both: nginx would send 64 files of 1,000 names from the processor's cache.
                made = put_many(store, f"{hit.name}/", hit.count, hit.size, different=hit.count)
                warm(ours.address, key, made, hit, directory)
                sides = {
                    "causeway": side(directory, hit, made, ours.address, key, ours.process),
                    "nginx": side(directory, hit, made, theirs.address, None, theirs.process),
                }
                runs = in_turns(sides, turns)
                outcome = compare_rates(hit.name, runs)
                show(outcome, hit.wanted, runs)
                yield outcome


def warm(address: str, key: Keys, made: list[tuple[str, int]], hit: Hit, directory: Path) -> None:
    """Reads everything twice and compares it, so that what is measured are hits and the right bytes."""
    gets = [get(address, BUCKET, name, key, size=hit.size, shift=shift) for name, shift in made]
    for _ in range(2):
        seen = load(address, gets, directory, connections=min(hit.connections, len(gets)))
        if seen.faults:
            raise AssertionError(f"{hit.name}: {seen.faults[0]}")


def side(
    directory: Path, hit: Hit, made: list[tuple[str, int]], address: str, key: Keys | None, server: Child
) -> "Side":
    """One side's turns. Ranges are the same for both, by seed."""
    chance = random.Random(7)
    gets: list[Get] = []
    for number in range(hit.ranges or len(made)):
        name, shift = made[number % len(made)]
        at = chance.randrange(hit.size - RANGE) if hit.ranges else 0
        span = (at, at + RANGE) if hit.ranges else None
        gets.append(get(address, BUCKET, name, key, size=hit.size, span=span, shift=shift))
    label = "signed" if key else "unsigned"
    return Side(Wrk(gets, directory, f"{hit.name}-{label}"), hit, address, server)


@dataclass(frozen=True, slots=True)
class Side:
    """Loads one server for some seconds and reads its CPU before and after."""

    wrk: Wrk
    hit: Hit
    address: str
    server: Child
    seconds: float = RIDE_SECONDS

    def __call__(self, turn: int) -> Run:
        before = self.server.cpu_seconds()
        ridden = self.wrk.ride(self.address, self.hit.connections, self.seconds)
        cpu = self.server.cpu_seconds() - before
        # By bytes, since a long answer may be under way when the time is up.
        requests = ridden.bytes / self.hit.bytes_each if self.hit.size == GIB else ridden.requests
        return Run(requests, ridden.seconds, cpu, f"p99 {ridden.p99 * 1000:.1f} ms")
