"""A cache path that is out: nothing finds its entries, and they come back when a probe says that its disk is well.

They stay in memory, set aside. What is dropped, or replaced by something newer, meanwhile leaves the disk when the path
is back, and nobody is given it. So nothing needs to be read again: a disk that hung for ten seconds costs misses for so
long. Where the folder was removed it is made anew and begins empty, on the same file system only: where that is gone,
the pages would land on whatever lies beneath.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from functools import partial

from regioncache.store.base import StoreError
from regioncache.store.disk import FOLDERS, Disk
from regioncache.store.evict import S3Fifo
from regioncache.store.index import Index, Kind

AT_ONCE = 5000
"""Entries set aside or brought back in one go: a few milliseconds of the loop."""
FIRST_SECONDS, LAST_SECONDS = 1.0, 60.0
"""Between two probes, twice as long each time: what a disk that dies every minute costs is bounded."""
WELL_SECONDS = 600.0
"""A path that goes out again before it was well for so long goes on with the pauses it had."""
_PROBE = b"causeway " * 455 + b"\n"
_REMOVED_AT_ONCE = 256


class Returning:
    """Mutable state: the task that probes, the pause before its next probe, when the path came back last; `known`,
    whether what lies on the disk is in the index."""

    def __init__(
        self,
        number: int,
        disk: Disk,
        index: Index,
        fifo: S3Fifo,
        back: Callable[[bool], None],
        lose: Callable[[int], None],
    ) -> None:
        """Args: number: the path's; back: told on the loop whether the path has what it had, when it is in use again;
        lose: removes an entry that was dropped or replaced meanwhile, from index and disk."""
        self._number = number
        self._disk = disk
        self._index = index
        self._fifo = fifo
        self._back = back
        self._lose = lose
        self._task: asyncio.Task[None] | None = None
        self._pause = FIRST_SECONDS
        self._since = float("-inf")
        self.known = True

    def __repr__(self) -> str:
        return f"Returning({'probing' if self._task else 'in use'}, {self._pause:g} s)"

    def left(self) -> None:
        """The path is out: sets its entries aside, bit by bit, and begins to probe."""
        self._some(self._index.set_aside, 0)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Probes no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        if self._disk.calls.clock() - self._since >= WELL_SECONDS:
            self._pause = FIRST_SECONDS
        while self._disk.out is not None:
            await self._each(self._index.set_aside)
            same = await self._probed()
            self.known = True
            self._since = self._disk.calls.clock()
            if not same:
                await self._each(self._lost)
                self._disk.forget_held_back()
            self._disk.back()
            self._back(same)
            await self._each(self._return)
        self._task = None

    async def _probed(self) -> bool:
        """Probes until the path can be used; returns whether it has what it had, else it is empty."""
        disk = self._disk
        while True:
            await disk.calls.sleep(self._pause)
            self._pause = min(2 * self._pause, LAST_SECONDS)
            if disk.hangs():
                continue
            try:
                if await disk.tried(partial(probe, disk)) and self.known:
                    return True
                while await disk.tried(partial(clean_some, disk)):
                    pass
            except (OSError, StoreError):
                continue
            return False

    def _lost(self, slot: int) -> None:
        """The entry's file is gone, with the folder."""
        self._fifo.remove(slot)
        self._index.remove(slot)

    def _return(self, slot: int) -> None:
        if self._disk.out is None and not self._index.bring_back(slot):
            self._lose(slot)

    async def _each(self, do: Callable[[int], None]) -> None:
        """Does something with each entry of the path."""
        for start in range(0, len(self._index.kinds), AT_ONCE):
            self._some(do, start)
            await asyncio.sleep(0)

    def _some(self, do: Callable[[int], None], start: int) -> None:
        index = self._index
        for slot in range(start, min(start + AT_ONCE, len(index.kinds))):
            if index.kinds[slot] != Kind.FREE and index.paths[slot] == self._number:
                do(slot)


def probe(disk: Disk) -> bool:
    """Sees whether the path can be used: a file is written to the disk, read from there and removed. Blocks.

    Returns whether its folder is the one that was taken; else that was removed, and is made anew.

    Raises: OSError, StoreError: it cannot.
    """
    same = True
    try:
        disk.look()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        _make_anew(disk)
        same = False
    path = f"{disk.path}/probe"
    file = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    disk.write(file, [_PROBE], 0)
    os.fsync(file.fd)
    os.posix_fadvise(file.fd, 0, 0, os.POSIX_FADV_DONTNEED)
    read = bytes(disk.read(file, 0, len(_PROBE)))
    disk.unlink(path)
    if read != _PROBE:
        raise OSError(errno.EIO, "it gives back other bytes than were written")
    return same


def _make_anew(disk: Disk) -> None:
    beneath = disk.path
    while not beneath.exists():
        beneath = beneath.parent
    if disk.device not in {0, disk.calls.stat(str(beneath)).st_dev}:
        raise OSError(errno.ESTALE, "its file system is not there")
    disk.prepare()


def clean_some(disk: Disk) -> bool:
    """Removes some of what lies in the path's folders; returns whether that was not all. Blocks. Raises OSError."""
    count = 0
    for folder in FOLDERS:
        for directory, _, names in os.walk(disk.path / folder):
            for name in names[: _REMOVED_AT_ONCE - count]:
                disk.unlink(f"{directory}/{name}")
                count += 1
            if count >= _REMOVED_AT_ONCE:
                return True
    return False
