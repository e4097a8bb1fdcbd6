"""Traces of reads, and what a cache of a given size hits of them: S3-FIFO as the store has it, plain LRU, the optimum.

Pure and seeded: the same trace gives the same figures on every machine. Hits are counted in reads and in bytes.
"""

import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from regioncache.store.evict import S3Fifo
from regioncache.store.queues import Links
from regioncache.store.tiers import HIGH, Below, comes_down, goes_down

OBJECTS_PER_PLACE = 10
"""Of the zipf traces: objects for each that the cache can hold."""
ZIPF = 0.9
"""Exponent of popularity; data sets and web objects lie between 0.7 and 1."""
SCAN_SHARE = 0.4
"""Of the cache, that each scan reads once between two stretches of the zipf trace."""
MOST_WEIGHT, MEDIAN_WEIGHT, WEIGHT_SPREAD = 4096, 20, 1.5
"""Of objects of different size, in blocks of 16 KiB: from one block to a whole extent, lognormal."""
FAST_SHARE = 0.25
"""Of the capacity, that the fast one of two tiers has."""
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Trace:
    """Reads of numbered objects by a cache of `capacity`; `weights` are the objects'."""

    name: str
    seed: int
    reads: Sequence[int]
    weights: Sequence[int]
    capacity: int


@dataclass(frozen=True, slots=True)
class Hits:
    """Shares of the reads, and of the bytes read, that were hits."""

    reads: float
    bytes: float


def traces(places: int, seed: int, *, weighted: bool) -> Iterator[Trace]:
    """Yields zipf, loop of 1.2 x the cache, and zipf + scan, for a cache of about `places` objects."""
    objects = OBJECTS_PER_PLACE * places
    zipf = _zipf(objects, 50 * places, seed)
    loop = list(range(int(1.2 * places))) * 40
    stretches = [zipf[at : at + 2 * places] for at in range(0, len(zipf), 2 * places)]
    length = int(SCAN_SHARE * places)
    scans = [list(range(objects + at, objects + at + length)) for at in range(0, length * len(stretches), length)]
    scanned = [key for pair in zip(stretches, scans, strict=True) for part in pair for key in part]
    for name, reads in (("zipf", zipf), ("loop", loop), ("zipf + scan", scanned)):
        weights = _weights(max(reads) + 1, seed) if weighted else [1] * (max(reads) + 1)
        touched = len(loop) // 40 if name == "loop" else objects
        capacity = int(sum(weights[:touched]) * (1 / 1.2 if name == "loop" else 1 / OBJECTS_PER_PLACE))
        yield Trace(f"{name}, {'bytes' if weighted else 'objects'}", seed, reads, weights, capacity)


def lru(trace: Trace) -> Hits:
    """What was used longest ago leaves."""
    held: OrderedDict[int, int] = OrderedDict()
    used = 0

    def read(key: int) -> bool:
        nonlocal used
        if key in held:
            held.move_to_end(key)
            return True
        held[key] = trace.weights[key]
        used += held[key]
        while used > trace.capacity:
            used -= held.popitem(last=False)[1]
        return False

    return counted(trace, read)


def s3fifo(trace: Trace) -> Hits:
    """The store's own queues on one disk."""
    links = Links()
    links.grow(len(trace.weights))
    fifo, fingerprints, held = S3Fifo(links), list(range(len(trace.weights))), set[int]()

    def read(key: int) -> bool:
        if key in held:
            fifo.touch(key)
            return True
        while held and fifo.used + trace.weights[key] > trace.capacity:
            victim = fifo.evict(trace.capacity, fingerprints)
            assert victim is not None
            held.remove(victim)
        fifo.admit(key, trace.weights[key], key)
        held.add(key)
        return False

    return counted(trace, read)


@dataclass(frozen=True, slots=True)
class TwoTiers:
    """Hits of two tiers together and of the fast one alone, and entries moved down and up for each read."""

    both: Hits
    fast: float
    down: float
    up: float


def two_tiers(trace: Trace) -> TwoTiers:
    """The store's queues on a fast disk with a quarter of the room and a slow one, and what moves between them."""
    cache, count = _Tiered(trace), len(trace.reads)
    both = counted(trace, cache.read)
    return TwoTiers(both, cache.fast_hits / count, cache.down / count, cache.up / count)


class _Tiered:
    """Mutable state: the two queues, which of them has an object, and the counts."""

    def __init__(self, trace: Trace) -> None:
        links = Links()
        links.grow(len(trace.weights))
        self._weights = trace.weights
        self._fingerprints = list(range(len(trace.weights)))
        self._fast, self._slow = S3Fifo(links), Below(links)
        self._room = int(trace.capacity * FAST_SHARE)
        self._below = trace.capacity - self._room
        self._place: dict[int, S3Fifo] = {}
        self.fast_hits = self.down = self.up = 0

    def read(self, key: int) -> bool:
        """Whether the read is a hit."""
        self._fast.behind = len(self._slow)
        found = self._place.get(key)
        if found is None:
            self._make_room(self._weights[key])
            self._fast.admit(key, self._weights[key], key)
            self._place[key] = self._fast
            return False
        found.touch(key)
        self.fast_hits += found is self._fast
        self._come_up()
        return True

    def _make_room(self, weight: int) -> None:
        while len(self._fast) and self._fast.used + weight > self._room:
            victim = self._fast.evict(self._room, self._fingerprints)
            assert victim is not None
            del self._place[victim]
            if goes_down(self._fast, self._slow, self._weights[victim], self._below * HIGH):
                self._go_down(victim, reused=self._fast.reused)

    def _go_down(self, key: int, *, reused: bool) -> None:
        weight = self._weights[key]
        while len(self._slow) and self._slow.used + weight > self._below:
            gone = self._slow.evict(self._below, self._fingerprints)
            assert gone is not None
            del self._place[gone]
        comes_down(self._slow, key, weight, key, reused=reused, group=0)
        self._place[key] = self._slow
        self.down += 1

    def _come_up(self) -> None:
        key = self._slow.hottest()
        if key is None or self._place.get(key) is not self._slow:
            return
        self._slow.remove(key)
        del self._place[key]
        self._make_room(self._weights[key])
        self._fast.readmit(key, self._weights[key])
        self._place[key] = self._fast
        self.up += 1


def belady(trace: Trace) -> Hits:
    """What is needed again latest leaves: the optimum for objects of one size, and near it for others."""
    following = [_NEVER] * len(trace.reads)
    last: dict[int, int] = {}
    for at in range(len(trace.reads) - 1, -1, -1):
        following[at] = last.get(trace.reads[at], _NEVER)
        last[trace.reads[at]] = at
    held: dict[int, int] = {}
    latest: list[tuple[int, int]] = []
    used, at = 0, -1

    def read(key: int) -> bool:
        nonlocal used, at
        at += 1
        hit = key in held
        used += 0 if hit else trace.weights[key]
        held[key] = following[at]
        heapq.heappush(latest, (-following[at], key))
        while used > trace.capacity:
            when, victim = heapq.heappop(latest)
            if held.get(victim) == -when:
                del held[victim]
                used -= trace.weights[victim]
        return hit

    return counted(trace, read)


def counted(trace: Trace, read: Callable[[int], bool]) -> Hits:
    """Reads the trace; `read` says whether a read was a hit."""
    hits = hit_bytes = total = 0
    for key in trace.reads:
        total += trace.weights[key]
        if read(key):
            hits += 1
            hit_bytes += trace.weights[key]
    return Hits(hits / len(trace.reads), hit_bytes / total)


def _zipf(objects: int, count: int, seed: int) -> list[int]:
    chance = random.Random(seed)
    popularity = itertools.accumulate(1 / (rank + 1) ** ZIPF for rank in range(objects))
    by_rank = list(range(objects))
    chance.shuffle(by_rank)
    return [by_rank[rank] for rank in chance.choices(range(objects), cum_weights=list(popularity), k=count)]


def _weights(count: int, seed: int) -> list[int]:
    chance = random.Random(seed + 1)
    drawn = (chance.lognormvariate(0, WEIGHT_SPREAD) * MEDIAN_WEIGHT for _ in range(count))
    return [min(MOST_WEIGHT, max(1, round(weight))) for weight in drawn]
