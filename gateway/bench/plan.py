"""Which reads a bench makes, and what they showed. A core: it reads nothing itself."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MOST_READS = 100_000
"""Of one pass: some 50 MB of memory for what they showed."""
SEED = 7
"""Random ranges are the same each time, so that two benches compare."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object beneath the path."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Planned:
    """One read: the bytes [start, end) of an object; `whole` asks without a range."""

    path: str
    start: int
    end: int
    whole: bool

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Done:
    """One read as its reader saw it. Seconds are from the first try on; `whole_seconds` None: it was cut off."""

    planned: Planned
    nbytes: int
    first_seconds: float | None = None
    whole_seconds: float | None = None
    source: str = ""
    line: str = ""
    waited_seconds: float = 0.0
    slowed_down: int = 0
    """How often it was told to come again."""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds; 0 where nothing was timed."""

    p50: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass showed. `rate` is bytes/s of all readers; `sources` reads by `x-causeway-source`."""

    name: str
    reads: int
    cut_off: int
    failed: int
    slowed_down: int
    nbytes: int
    seconds: float
    rate: float
    first: Times
    whole: Times
    sources: Mapping[str, int]
    waited: int
    """Reads that a line made wait before their headers left."""
    waited_seconds: Times
    lines: tuple[str, ...]
    fault: str


def planned(
    found: Iterable[Found], range_bytes: int | None, most_bytes: int, readers: int, *, at_random: bool = False
) -> list[Planned]:
    """Returns the reads of a pass, about `most_bytes` of them, at least one for each reader.

    Args:
        found: the objects.
        range_bytes: each read asks for so many; None: for whole objects.
        most_bytes: where to stop planning.
        readers: that read beside each other; where there are fewer reads, they read the same ones.
        at_random: in another order than that of keys and offsets, the same each time.
    """
    reads: list[Planned] = []
    total = 0
    for one in found:
        for read in _of(one, range_bytes):
            if reads and (total >= most_bytes or len(reads) >= MOST_READS):
                break
            reads.append(read)
            total += len(read)
        else:
            continue
        break
    if at_random:
        random.Random(SEED).shuffle(reads)  # noqa: S311 - an order, not a secret
    return reads * -(-readers // len(reads)) if 0 < len(reads) < readers else reads


def _of(found: Found, range_bytes: int | None) -> Iterable[Planned]:
    if range_bytes is None or not found.size:
        return (Planned(found.path, 0, found.size, True),)
    return (
        Planned(found.path, start, min(start + range_bytes, found.size), False)
        for start in range(0, found.size, range_bytes)
    )


def again(done: Sequence[Done]) -> list[Planned]:
    """Returns the same reads once more; of one that was cut off, what it had got."""
    reads = []
    for one in done:
        read = one.planned
        if one.whole_seconds is not None:
            reads.append(read)
        elif one.nbytes:
            reads.append(Planned(read.path, read.start, read.start + one.nbytes, False))
    return reads


def summary(name: str, done: Sequence[Done], seconds: float) -> Pass:
    """Returns what a pass of so many seconds showed."""
    waits = [one.waited_seconds for one in done if one.waited_seconds]
    faults = [one.fault for one in done if one.fault]
    nbytes = sum(one.nbytes for one in done)
    return Pass(
        name=name,
        reads=sum(one.whole_seconds is not None for one in done),
        cut_off=sum(one.whole_seconds is None and not one.fault for one in done),
        failed=len(faults),
        slowed_down=sum(one.slowed_down for one in done),
        nbytes=nbytes,
        seconds=seconds,
        rate=nbytes / seconds if seconds else 0.0,
        first=times([one.first_seconds for one in done if one.first_seconds is not None]),
        whole=times([one.whole_seconds for one in done if one.whole_seconds is not None]),
        sources=dict(Counter(one.source for one in done if one.source).most_common()),
        waited=len(waits),
        waited_seconds=times(waits),
        lines=tuple(sorted({one.line for one in done if one.line})),
        fault=faults[0] if faults else "",
    )


def times(seconds: Iterable[float]) -> Times:
    """Returns the median, the 99th percentile (nearest rank) and the longest."""
    ordered = sorted(seconds)
    if not ordered:
        return Times(0.0, 0.0, 0.0)
    return Times(_rank(ordered, 0.5), _rank(ordered, 0.99), ordered[-1])


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
