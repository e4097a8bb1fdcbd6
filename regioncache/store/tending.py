"""What is done behind to what is held: labels made anew when the rules change, and what has outlived its time let go.

All of it in small portions: a few thousand entries are looked over, or a few dozen keys read, before others have the
loop again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

from regioncache.pages import ObjectId
from regioncache.store import groupfile
from regioncache.store.base import HEADER_BYTES, Freed
from regioncache.store.cachepath import CachePath
from regioncache.store.groups import Grouping
from regioncache.store.index import Index, Kind
from regioncache.store.keeping import MOST_PINNED, Keeping
from regioncache.store.keyreading import Keys
from regioncache.store.labelling import Labelling
from regioncache.store.quotas import Quotas

_SWEPT_AT_ONCE = 4096
"""Entries looked over in one go: a fraction of a millisecond of the loop."""
_READ_AT_ONCE = 64
_WALKS = 3
"""Over all paths, as long as entries moved meanwhile, perhaps to one that was passed already."""
Covers = Callable[[ObjectId], bool]
LEAST_SECONDS, MOST_SECONDS = 1.0, 60.0
"""Between two sweeps; within them a tenth of the shortest ttl, so that nothing stays much longer than it may."""


class Tending:
    """All cache paths of a process. Mutable state: the task that sweeps; all else is its parts'."""

    def __init__(
        self, paths: list[CachePath], index: Index, keeping: Keeping, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._paths = paths
        self._index = index
        self._sleep = sleep
        self.keeping = keeping
        self.labelling = Labelling(index, keeping, self._begin)
        self.quotas = Quotas(paths, keeping.groups)
        self.on_gone: Callable[[], None] = _nobody_hears
        self._sweeping: asyncio.Task[None] | None = None
        keeping.on_groups = self._write_groups
        for path in paths:
            path.look = self.labelling.look
            path.on_back = self._back
        self._begin()

    def __repr__(self) -> str:
        return f"Tending({self.keeping!r}, {self.labelling!r})"

    def regroup(self, grouping: Grouping) -> None:
        """See `Store.regroup`."""
        self.keeping.regroup(grouping)
        # A cache may have been made smaller by a restart, or newest partitions may have become more.
        if any(path.fifo.pinned > path.limit_bytes * MOST_PINNED for path in self._paths):
            self.keeping.anew()
        self.labelling.start(self._paths)
        self._begin()

    async def sweep(self) -> None:
        """See `Store.sweep`."""
        index, keeping, gone = self._index, self.keeping, False
        for start in range(0, len(index.kinds), _SWEPT_AT_ONCE):
            if keeping.expiring:
                for slot in range(start, min(start + _SWEPT_AT_ONCE, len(index.kinds))):
                    gone = (index.kinds[slot] != Kind.FREE and keeping.past(slot) and self._expire(slot)) or gone
            await asyncio.sleep(0)
        await self.quotas.trim()
        if gone:
            self.on_gone()

    def _expire(self, slot: int) -> bool:
        path = self._paths[self._index.paths[slot]]
        if path.disk.out is not None or slot in path.fifo.held():
            return False
        if self._index.has_tails(slot):
            # Its header stays as long as another extent is there; it has given up its pages.
            if self._index.links.weight[slot] <= HEADER_BYTES:
                return False
            path.leaving.hollow(slot, "ttl")
            return True
        path.leave(slot, "ttl")
        return True

    async def free(self, covers: Covers, *, pinned: bool, why: str = "free", rest: float = 0.0) -> Freed:
        """See `Store.free`."""
        objects: set[ObjectId] = set()
        nbytes = spared = 0
        for _ in range(_WALKS):
            moved, spared = self._moved(), 0
            for path, slots in self._portions():
                await self._rest(path, rest)
                for slot, oid in (await Keys(self._index).of(path, slots)).items():
                    if self._index.kinds[slot] == Kind.FREE or not covers(oid):
                        continue
                    if self.keeping.pinned(slot, oid) and not pinned:
                        spared += self._index.links.weight[slot]
                        continue
                    objects.add(oid)
                    nbytes += path.leave(slot, why)
            if self._moved() == moved:
                break
        if objects:
            self.on_gone()
        paths_out = (str(path.disk.path) for path in self._paths if path.disk.out is not None)
        return Freed(len(objects), nbytes, spared, tuple(paths_out))

    async def _rest(self, path: CachePath, seconds: float) -> None:
        """Lets others have the loop and, where there is no hurry, the disk: what was dropped last is off it then."""
        if not seconds:
            await asyncio.sleep(0)
            return
        with suppress(OSError):
            await path.disk.append(lambda: None)
        await self._sleep(seconds)

    def _moved(self) -> int:
        return sum(path.moved_bytes for path in self._paths)

    def _portions(self) -> Iterator[tuple[CachePath, list[int]]]:
        """Yields what is held on each path in use, a few dozen entries at a time."""
        index = self._index
        for path in self._paths:
            for start in range(0, len(index.kinds), _SWEPT_AT_ONCE):
                slots = range(start, min(start + _SWEPT_AT_ONCE, len(index.kinds)))
                kinds, paths = index.kinds, index.paths
                held = [slot for slot in slots if kinds[slot] != Kind.FREE and paths[slot] == path.number]
                for at in range(0, max(1, len(held)), _READ_AT_ONCE):
                    yield path, held[at : at + _READ_AT_ONCE] if path.disk.out is None else []

    def _begin(self) -> None:
        """Sweeps from now on, if there is a reason to; new labels may have put an account above its quota."""
        wanted = self.keeping.expiring or any(account.over(0) > 0 for account in self.keeping.groups.accounts())
        if wanted and self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep_on())

    async def _sweep_on(self) -> None:
        while True:
            await self.sweep()
            if not self.keeping.expiring:
                break
            shortest = min(ttl for ttl in self.keeping.groups.ttls if ttl is not None)
            await self._sleep(min(max(shortest / 10, LEAST_SECONDS), MOST_SECONDS))
        self._sweeping = None

    def _back(self) -> None:
        """A path that was out has entries that nobody looked at meanwhile."""
        if self.keeping.labelled != "":
            self._write_groups()
            self.labelling.start(self._paths)

    def _write_groups(self) -> None:
        raw = groupfile.encode(self.keeping.labelled, self.keeping.groups)
        for path in self._paths:
            path.disk.behind(groupfile.write, path.disk.path, raw)

    async def close(self) -> None:
        """Ends what runs behind; the rest of it is done after the next start."""
        await self.labelling.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])


def _nobody_hears() -> None:
    return
