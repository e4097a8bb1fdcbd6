"""System calls of a disk that fails, hangs or turns read-only when it is told to, and is well again when it is told to.

Nothing here depends on time: a call that hangs does so until `heal`, the clock stands still until `pass_seconds`, and
probes wait for `probe`.
"""

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regioncache.store.disk import Piece, SystemCalls

ALL = frozenset({"open", "preadv", "pwritev", "unlink", "statvfs"})


@dataclass(slots=True)
class FaultyDisk:
    """Faults of all calls on files beneath `path`; files opened before count as well."""

    path: Path
    number: int = 0
    """The errno that the calls of `which` fail with; 0: none."""
    which: frozenset[str] = ALL
    device: int | None = None
    """What the folder's file system is said to be; None: what it is."""
    _well: threading.Event = field(default_factory=threading.Event)
    _hangs: frozenset[str] = frozenset()
    hanging: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released by each call that begins to hang."""
    _now: float = 0.0
    _probes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    pauses: list[float] = field(default_factory=list)
    fds: set[int] = field(default_factory=set)

    def calls(self) -> SystemCalls:
        """What the store is given."""
        return SystemCalls(
            self._open, self._preadv, self._pwritev, self._unlink, self._statvfs, self._stat, self.now, self._sleep
        )

    def fails(self, number: int, *which: str) -> None:
        """From now on these calls fail; all, where none is named."""
        self.number, self.which = number, frozenset(which) or ALL

    def hang(self, *which: str) -> None:
        """From now on these calls do not return; all, where none is named."""
        self._well.clear()
        self._hangs = frozenset(which) or ALL

    def heal(self) -> None:
        """All is well again; what hung goes on."""
        self.number, self._hangs = 0, frozenset()
        self._well.set()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._now

    def pass_seconds(self, seconds: float) -> None:
        """Time goes by."""
        self._now += seconds

    def probe(self, times: int = 1) -> None:
        """Lets the path that is out be probed so often."""
        for _ in range(times):
            self._probes.release()

    async def hung(self) -> None:
        """Returns when one more call hangs."""
        await asyncio.to_thread(self.hanging.acquire)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._probes.acquire()

    def _strike(self, what: str, name: str | int) -> None:
        mine = name in self.fds if isinstance(name, int) else str(name).startswith(str(self.path))
        if not mine:
            return
        if what in self._hangs:
            self.hanging.release()
            self._well.wait()
        if self.number and what in self.which:
            raise OSError(self.number, os.strerror(self.number))

    def _open(self, path: str, flags: int, mode: int) -> int:
        self._strike("open", path)
        fd = os.open(path, flags, mode)
        (self.fds.add if path.startswith(str(self.path)) else self.fds.discard)(fd)
        return fd

    def _preadv(self, fd: int, buffers: Sequence[bytearray | memoryview], offset: int, flags: int) -> int:
        if flags and ("preadv" in self._hangs or self.number):
            raise BlockingIOError(errno.EAGAIN, "not in memory")
        self._strike("preadv", fd)
        return os.preadv(fd, buffers, offset, flags)

    def _pwritev(self, fd: int, pieces: Sequence[Piece], offset: int) -> int:
        self._strike("pwritev", fd)
        return os.pwritev(fd, pieces, offset)

    def _unlink(self, path: str) -> None:
        self._strike("unlink", path)
        os.unlink(path)

    def _statvfs(self, path: str) -> os.statvfs_result:
        self._strike("statvfs", path)
        return os.statvfs(path)

    def _stat(self, path: str) -> os.stat_result:
        found = os.stat(path)
        if self.device is None:
            return found
        return os.stat_result([*found[:2], self.device, *found[3:]])
