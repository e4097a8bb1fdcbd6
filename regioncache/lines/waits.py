"""How long reads waited for a line, by class: plain counters for `causeway_line_wait_seconds`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

BOUNDS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
"""Seconds: upper bounds of the buckets; 25 s is where a read is told to slow down. The last bucket is open."""


@dataclass(slots=True)
class Histogram:
    """`counts[i]` waits were at most `BOUNDS[i]`, and longer than the bound before; `total` is their sum in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        at = next((at for at, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
        self.counts[at] += 1
        self.total += seconds


class Waits:
    """One histogram for each class; classes come from the policy, so there are few."""

    def __init__(self) -> None:
        self._by_class: dict[str, Histogram] = {}

    def observe(self, cls: str, seconds: float) -> None:
        self._by_class.setdefault(cls, Histogram()).observe(seconds)

    def by_class(self) -> Mapping[str, Histogram]:
        return self._by_class
