"""Keeps it known which partitions are the newest where a cache rule pins those: their parents are listed by and by.

As often as the mount lets its lists age; where the origin is away, less and less often, and the last known stays.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from gateway.walking import TooMany, Walk
from namespace.consistency import MaxAge
from namespace.errors import NamespaceError
from namespace.resolver import Resolver
from policy.pattern import Pattern
from regioncache.errors import CacheError
from regioncache.regrouping import Regrouping
from regioncache.tidings import Tidings

LEAST_SECONDS = 10.0
MOST_SECONDS = 600.0
"""Between two listings of a pattern: a mount may let lists age less, or for ever, and partitions come by the hour."""
RETRY_SECONDS = 30.0
"""After a listing that failed; twice as much after each further one, up to `MOST_SECONDS`."""
LISTING_SECONDS = 60.0
SPARE = 16
"""Listed beyond the newest: where some are deleted, those that take their place are known."""
_MOMENTS = 64


@dataclass(slots=True)
class _Due:
    """When a pattern is listed again, and how often it could not be."""

    at: float = -math.inf
    failed: int = 0


class PartitionWatch:
    """Mutable state: what is due when, by pattern; when which moment of the partitions was; the patterns told of."""

    def __init__(
        self,
        regrouping: Regrouping,
        resolver: Resolver,
        walk: Callable[[], Walk],
        clock: Callable[[], float],
        tidings: Tidings,
        on_fault: Callable[[BaseException], None],
    ) -> None:
        """Args:
        walk: makes a new walk over the tree.
        clock: monotonic seconds.
        on_fault: told of what should not be; the pattern is tried again all the same.
        """
        self._regrouping = regrouping
        self._resolver = resolver
        self._walk = walk
        self._clock = clock
        self._tidings = tidings
        self._on_fault = on_fault
        self._due: dict[str, _Due] = {}
        self._moments: deque[tuple[float, int]] = deque(maxlen=_MOMENTS)
        self._told: set[str] = set()
        self._changed = asyncio.Event()
        regrouping.on_rules = self.soon

    def soon(self) -> None:
        """Other rules or mounts are in force: everything is due."""
        self._due.clear()
        self._changed.set()

    async def watch(self) -> None:
        """Lists what is due, for ever."""
        while True:
            self._changed.clear()
            wait = await self.look()
            try:
                async with asyncio.timeout(None if math.isinf(wait) else wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def look(self) -> float:
        """Lists what is due now; returns in how many seconds something is due again, infinite for never."""
        now, counts = self._clock(), self._regrouping.now.newest_counts()
        self._moments.append((now, self._regrouping.partitions.moment()))
        due = [pattern for pattern in counts if self._due.setdefault(pattern, _Due()).at <= now]
        await asyncio.gather(*(self._list(pattern, counts[pattern]) for pattern in due))
        now = self._clock()
        return max(
            0.0, min((self._due[pattern].at for pattern in counts if pattern in self._due), default=math.inf) - now
        )

    async def _list(self, pattern: str, count: int) -> None:
        due, walk = self._due[pattern], self._walk()
        found: list[str] = []
        try:
            async with asyncio.timeout(LISTING_SECONDS), aclosing(walk.matching(Pattern.parse(pattern))) as partitions:
                async for partition in partitions:
                    found.append(partition)
                    if len(found) >= count + SPARE:
                        break
        except Exception as fault:
            due.at = self._clock() + min(RETRY_SECONDS * 2**due.failed, MOST_SECONDS)
            due.failed = min(due.failed + 1, 16)
            self._tell(pattern, fault)
            return
        due.failed, due.at = 0, self._clock() + self._pace(pattern)
        whole = len(found) < count + SPARE
        self._regrouping.listed(pattern, found, self._as_of(walk.age), whole=whole)

    def _tell(self, pattern: str, fault: Exception) -> None:
        """An origin that is away is told of elsewhere."""
        if not isinstance(fault, CacheError | NamespaceError | TimeoutError):
            self._on_fault(fault)
        elif isinstance(fault, TooMany) and pattern not in self._told:
            self._told.add(pattern)
            self._tidings.warning(
                f"cache rule {pattern}: its newest partitions are known only as they are read: {fault}"
            )

    def _as_of(self, age: float) -> int:
        """The moment for which a list of this age speaks: what was seen later it cannot take back."""
        learned = self._clock() - age
        return max((moment for at, moment in self._moments if at <= learned), default=0)

    def _pace(self, pattern: str) -> float:
        literal = pattern.partition("*")[0].rpartition("/")[0]
        within = self._resolver.table.within(f"{literal}/")
        mounts = (*within.mounts, *((within.mount,) if within.mount is not None else ()))
        ages = [mount.consistency.seconds for mount in mounts if isinstance(mount.consistency, MaxAge)]
        return min(max(min(ages, default=MOST_SECONDS), LEAST_SECONDS), MOST_SECONDS)
