"""Readers at several nodes at once, and what they saw together."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.real.lab.federation import Federation, Machine
from tests.real.lab.load import Load, Loaded
from tests.real.lab.reads import Read


@dataclass(slots=True)
class Crowd:
    """Raw clients under way, one process at each node; `seen` once the `with` has ended."""

    loads: dict[str, Load] = field(default_factory=dict)
    seen: dict[str, Loaded] = field(default_factory=dict)

    @property
    def faults(self) -> tuple[str, ...]:
        """What any of them saw that was not right."""
        return tuple(f"{name}: {fault}" for name, one in self.seen.items() for fault in one.faults)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.seen.values())

    @property
    def count(self) -> int:
        """Requests answered."""
        return sum(one.count for one in self.seen.values())

    @property
    def statuses(self) -> set[int]:
        return {status for one in self.seen.values() for status in one.statuses}

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        return max(one.ended for one in self.seen.values()) - min(one.started for one in self.seen.values())

    @property
    def longest(self) -> float:
        """Seconds of the request that took longest."""
        return max((one.longest for one in self.seen.values()), default=0.0)

    @property
    def longest_first(self) -> float:
        """Seconds until the first byte of the request that waited longest for it."""
        return max((took for one in self.seen.values() for took in one.first), default=0.0)

    def p99_between(self, start: float, end: float) -> float:
        """Seconds to the last byte that 99 % of the requests which ended in [start, end) stayed under."""
        took = [one for loaded in self.seen.values() for one in loaded.lasts_between(start, end)]
        return statistics.quantiles(took, n=100)[98] if len(took) > 1 else 0.0

    def check(self) -> None:
        """Raises if one of them has died."""
        for load in self.loads.values():
            if load.process.process.poll() not in {None, 0}:
                load.process.check()


@contextmanager
def crowd(
    running: Federation,
    reads: Mapping[Machine, Sequence[Read]],
    connections: int | Sequence[int],
    *,
    lasting: bool = False,
    **more: Any,
) -> Iterator[Crowd]:
    """Starts a raw client of so many connections for each node; at the end of the `with` it waits for all of them.

    `connections` are of each, or of one after the other; `more` is as `load.loading` takes it. Those that are `lasting`
    read all the time that the `with` runs: each has an answer before it begins, and is told to end after it.
    """
    made = Crowd()
    counts = [connections] * len(reads) if isinstance(connections, int) else connections
    with ExitStack() as stack:
        for (machine, plan), count in zip(reads.items(), counts, strict=True):
            under_way = stack.enter_context(running.loading(machine, plan, count, lasting=lasting, **more))
            made.loads[f"{machine.place.region}/{machine.name}"] = under_way
        for load in made.loads.values() if lasting else ():
            load.wait_begun()
        yield made
        for load in made.loads.values() if lasting else ():
            load.end()
        made.seen = {name: load.result() for name, load in made.loads.items()}
