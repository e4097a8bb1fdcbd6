"""Frees what no mount shows any more: nobody can read it, and its room belongs to what is read.

What a change of the mounts hides has an hour in which it may come back; then all that is held is looked over, a few
dozen entries at a time, and what showed neither when that hour began nor shows now goes, pinned or not. What another
mount still shows stays. A namespace without any mount is taken for one that was lost, and frees nothing. Over a
restart a file says for which mounts all was right: with others the hour begins anew.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from namespace.model import Topology
from regioncache.pages import ObjectId
from regioncache.places import Shown
from regioncache.store.base import Freed, StoreStatistics
from regioncache.tidings import UNHEARD, Tidings

GRACE_SECONDS = 3600.0
"""An apply that took out the wrong mount is found and taken back by then, and nothing is fetched again for it. Keeping
it as long costs nothing: what is not read is what leaves first for others."""
REST_SECONDS = 0.02
"""Between two times 64 entries: a million are looked over in some six minutes, and reads have the disk in between."""
WHY = "unmounted"


class Held(Protocol):
    """The store, as far as this goes."""

    def statistics(self) -> StoreStatistics:
        """See `Store.statistics`."""
        ...

    async def free(
        self, covers: Callable[[ObjectId], bool], *, pinned: bool = False, why: str = "free", rest: float = 0.0
    ) -> Freed:
        """See `Store.free`."""
        ...


class Unmounting:
    """Mutable state: the mounts in force (`_now`), those that are still to be compared with the ones before, whether
    something was hidden since the hour began (`_due`), the two tasks, and what the file says."""

    def __init__(
        self,
        store: Held,
        file: Path,
        tidings: Tidings = UNHEARD,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._file = file
        self._tidings = tidings
        self._sleep = sleep
        held = store.statistics()
        self._found = bool(held.extents or held.packed or held.paths_out)
        """Whether the disks had anything at the start."""
        self._now = Shown(Topology(regions={}))
        self._before: Shown | None = None
        self._coming: deque[Shown] = deque()
        self._due = False
        self._hour = False
        """Whether one has begun, and what it is for has not been freed."""
        self._comparing: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._noting = asyncio.Lock()
        self._noted: str | None = None

    def __repr__(self) -> str:
        doing = [name for name, task in (("comparing", self._comparing), ("freeing", self._sweeping)) if task]
        return f"<Unmounting {' and '.join(doing) or 'idle'}>"

    def adopt(self, shown: Shown) -> None:
        """Goes on with these mounts."""
        self._now = shown
        if shown.mounted:
            self._coming.append(shown)
        if self._coming and self._comparing is None:
            self._comparing = asyncio.get_running_loop().create_task(self._compare())

    async def settled(self) -> None:
        """Waits until nothing is to be compared, or freed."""
        while task := self._comparing or self._sweeping:
            await asyncio.wait([task])

    async def stop(self) -> None:
        """Ends what is under way; the rest is done after the next start."""
        for task in (self._comparing, self._sweeping):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def _compare(self) -> None:
        try:
            while self._coming:
                shown = self._coming.popleft()
                # 100,000 mounts take a while.
                hidden = await asyncio.to_thread(self._hides, self._before, shown)
                self._before = shown
                self._due = self._due or hidden
                if self._due and self._sweeping is None:
                    self._sweeping = asyncio.get_running_loop().create_task(self._sweep())
                await self._note()
        finally:
            self._comparing = None

    def _hides(self, before: Shown | None, shown: Shown) -> bool:
        """Whether something that showed before may show no more. Blocks."""
        name = shown.digest
        if before is not None:
            return shown.hides(before)
        self._noted = _read(self._file)
        return self._noted != name and self._found

    async def _sweep(self) -> None:
        try:
            while self._due:
                self._due, self._hour = False, True
                then = self._now
                await self._sleep(GRACE_SECONDS)
                unshown = partial(self._unshown, then)
                freed = await self._store.free(unshown, pinned=True, why=WHY, rest=REST_SECONDS)
                if freed.objects:
                    self._tidings.news(
                        f"{freed.objects} objects that no mount shows any more were removed from the cache, "
                        f"{freed.nbytes} bytes on disk"
                    )
                # What could not be looked at, now or at all, is looked at in an hour.
                self._due = self._due or bool(freed.paths_out) or not self._now.mounted
                self._hour = self._due
                await self._note()
        finally:
            self._sweeping = None

    def _unshown(self, then: Shown, oid: ObjectId) -> bool:
        now = self._now
        return now.mounted and not now.paths(oid) and not then.paths(oid)

    async def _note(self) -> None:
        """Writes for which mounts all that is held is right, if it is."""
        async with self._noting:
            clean = not self._due and not self._hour
            name = self._before.digest if clean and self._before is not None else ""
            if name != self._noted:
                try:
                    await asyncio.to_thread(_write, self._file, name)
                except OSError:
                    # Then the next start looks it all over: nothing is lost by that.
                    name = ""
                self._noted = name


def _read(file: Path) -> str:
    """What the file says; nothing where it cannot be read."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _write(file: Path, name: str) -> None:
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(name)
    os.replace(fresh, file)
