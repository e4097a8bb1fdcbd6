"""When a cache path's file system is looked at: before bytes are admitted, where what is known of it is too old.

One look at a time, and whoever comes meanwhile waits for it. Where all is known nobody queues: a lock lets in one each
time round the loop, and behind those who waited for a look all others would stand in line.
"""

import asyncio
from collections.abc import Callable

from regioncache.store.disk import Disk
from regioncache.store.space import Space


class Watching:
    """The look at one path. Mutable state: the lock."""

    def __init__(self, disk: Disk, space: Space, coming: Callable[[], int]) -> None:
        """Args: coming: returns the bytes that were admitted and may not be in the file system yet."""
        self._disk = disk
        self._space = space
        self._coming = coming
        self._looking = asyncio.Lock()

    async def know(self, nbytes: int) -> None:
        """Sees that the free space is known well enough for `nbytes` more. Raises OSError."""
        if not self._unknown(nbytes):
            return
        async with self._looking:
            if self._unknown(nbytes):
                coming, since = self._coming(), self._space.since
                free, disk_bytes = await self._disk.run(self._disk.look)
                self._space.look(free, disk_bytes, coming, since)

    def _unknown(self, nbytes: int) -> bool:
        return self._disk.out is None and (self._disk.full or self._space.stale(nbytes))
