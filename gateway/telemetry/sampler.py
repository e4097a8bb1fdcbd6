"""Which requests are traced, decided before anything is made for one. A core: it is told the time and the chance.

A request that belongs to a trace goes by that: sampled there, it is traced here, up to a rate, so that no client can
make the node trace everything; not sampled there, it is not traced. All others, and those above the rate, go by the
share.
"""

from collections.abc import Callable
from typing import Final

from gateway.telemetry.w3c import Parent
from policy.bucket import TokenBucket

ROOT: Final = Parent(0, 0, True)
"""The beginning of a trace of our own."""


class Sampler:
    """Mutable state: the bucket of the traces that were asked for."""

    __slots__ = ("_asked", "_chance", "_share")

    def __init__(self, share: float, asked_per_second: float, chance: Callable[[], float], now: float) -> None:
        """Args:
        share: of the requests that belong to no trace, 0 to 1.
        asked_per_second: traces that others may ask for.
        chance: a number in [0, 1) at each call.
        now: monotonic seconds.
        """
        self._share = share
        self._chance = chance
        self._asked = TokenBucket(asked_per_second, max(1.0, asked_per_second), now) if asked_per_second else None

    def chosen(self) -> bool:
        """Whether a request that belongs to no trace is traced."""
        return self._chance() < self._share

    def of(self, parent: Parent, now: float) -> Parent | None:
        """What a request goes by that belongs to a trace; None: it is not traced."""
        if not parent.sampled:
            return None
        if self._asked is not None and self._asked.level(now) >= 1:
            self._asked.take(1, now)
            return parent
        return parent if self.chosen() else None
