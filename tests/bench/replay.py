"""Traces of reads, and what a cache of a given size hits of them: S3-FIFO as the store has it, plain LRU, the optimum.

Pure and seeded: the same trace gives the same figures on every machine. Hits are counted in reads and in bytes.
"""

import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from regioncache.store.evict import Links, S3Fifo

OBJECTS_PER_PLACE = 10
"""Of the zipf traces: objects for each that the cache can hold."""
ZIPF = 0.9
"""Exponent of popularity; data sets and web objects lie between 0.7 and 1."""
SCAN_SHARE = 0.4
"""Of the cache, that each scan reads once between two stretches of the zipf trace."""
MOST_WEIGHT, MEDIAN_WEIGHT, WEIGHT_SPREAD = 4096, 20, 1.5
"""Of objects of different size, in blocks of 16 KiB: from one block to a whole extent, lognormal."""
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
