"""Entries are looked at behind, path by path, to find the groups that a new grouping puts them into.

A few dozen keys are read at a time, on one of a path's threads, so that reads have the others. What an eviction comes
upon is looked at first.
"""

import asyncio
from collections.abc import Callable

from regioncache.store.base import PageGone
from regioncache.store.cachepath import CachePath
from regioncache.store.index import Index, Kind
from regioncache.store.keeping import Keeping
from regioncache.store.keyreading import Keys

_AT_ONCE = 64
"""Keys read in one call of a thread, and entered in one go: a fraction of a millisecond of the loop."""
_SCANNED_AT_ONCE = 4096
"""Slots passed over without letting others have the loop: a fraction of a millisecond too."""

_WALKS = 4
"""At most, until one finds nothing: what moved to another path may have been missed on both."""


class Labelling:
    """Mutable state: the walk under way, how many slots are to be passed and were, how many entries were looked at."""

    def __init__(self, index: Index, keeping: Keeping, walked: Callable[[], None]) -> None:
        """Args: walked: told when all that could be was labelled."""
        self._walked = walked
        self._index = index
        self._keeping = keeping
        self._keys = Keys(index)
        self._walk: asyncio.Task[None] | None = None
        self._closing = False
        self._to_pass = 0
        self._passed = 0
        self.looked_at = 0

    def __repr__(self) -> str:
        return f"Labelling(about {self.left()} left, {self.looked_at} looked at)"

    def left(self) -> int:
        """About how many entries are still to be looked at."""
        if self._walk is None:
            return 0
        return len(self._index) * max(0, self._to_pass - self._passed) // max(1, self._to_pass)

    async def look(self, path: CachePath, slots: list[int]) -> int:
        """Labels these entries of the path, as far as they can be read; returns how many are labelled or gone."""
        keeping = self._keeping
        if keeping.grouping is None:
            return 0
        whose = await self._keys.of(path, slots)
        # By the grouping in force now, which may be newer than when reading began.
        changed = [
            slot
            for slot, oid in whose.items()
            if keeping.stale(slot) and keeping.label(slot, oid, path.fifo, path.limit_bytes)
        ]
        self.looked_at += len(whose)
        for slot in changed:
            await self._write(path, slot)
        return sum(self._index.kinds[slot] == Kind.FREE or not keeping.stale(slot) for slot in slots)

    async def _write(self, path: CachePath, slot: int) -> None:
        """Writes the entry's label to the disk."""
        index = self._index
        if index.kinds[slot] == Kind.PACKED:
            path.packs.learned(slot)
        elif index.kinds[slot] != Kind.FREE:
            try:
                file = await path.open(slot)
            except PageGone:
                return
            except OSError as error:
                path.failed(error)
                return
            if not file.gone:
                file.label = index.label(slot)
                path.disk.behind(file.save)

    def start(self, paths: list[CachePath]) -> None:
        """Looks at all that is to be looked at, behind; what is under way ends."""
        if self._walk is not None:
            self._walk.cancel()
        if not self._closing:
            self._passed, self._to_pass = 0, len(paths) * len(self._index.kinds)
            walk = self._walk = asyncio.get_running_loop().create_task(self._walk_all(paths))
            walk.add_done_callback(self._ended)

    def _ended(self, walk: asyncio.Task[None]) -> None:
        if self._walk is walk:
            self._walk = None

    async def done(self) -> None:
        """Waits until all that can be is labelled."""
        while self._walk is not None:
            await asyncio.wait([self._walk])

    async def close(self) -> None:
        """Ends what is under way; the rest is looked at after the next start."""
        self._closing = True
        if self._walk is not None:
            self._walk.cancel()
        await self.done()

    async def _walk_all(self, paths: list[CachePath]) -> None:
        whole = False
        for _ in range(_WALKS):
            before = self.looked_at
            async with asyncio.TaskGroup() as group:
                walks = [group.create_task(self._walk_over(path)) for path in paths]
            whole = all(walk.result() for walk in walks)
            if self.looked_at == before:
                break
        if whole:
            self._keeping.complete()
        self._walked()

    async def _walk_over(self, path: CachePath) -> bool:
        """Looks at a path's entries; whether all are labelled."""
        whole = True
        for start in range(0, len(self._index.kinds), _SCANNED_AT_ONCE):
            due = self._due(path, start, min(start + _SCANNED_AT_ONCE, len(self._index.kinds)))
            for at in range(0, len(due), _AT_ONCE):
                if path.disk.out is not None:
                    return False
                batch = due[at : at + _AT_ONCE]
                whole = await self.look(path, batch) == len(batch) and whole
            self._passed += _SCANNED_AT_ONCE
            await asyncio.sleep(0)
        return whole

    def _due(self, path: CachePath, start: int, end: int) -> list[int]:
        index, links = self._index, self._index.links
        labelled, kinds, paths, now = links.labelled, index.kinds, index.paths, links.round
        return [
            slot
            for slot in range(start, end)
            if labelled[slot] != now and kinds[slot] != Kind.FREE and paths[slot] == path.number
        ]
