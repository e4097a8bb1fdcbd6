"""One cache path's file system: its lock, its layout, its threads, and every system call the store makes on it.

Whatever may block runs on the path's own threads, so that a slow or dead disk holds up nobody else. A full disk stops
admission; an I/O error takes the path out: its contents become misses.
"""

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from regioncache.store.base import LAYOUT, LayoutTooNew, NoCachePath, PathInUse

P = ParamSpec("P")
T = TypeVar("T")
Piece = bytes | bytearray | memoryview

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A failed call with one of these says that the file system takes no more."""
_BROKEN = {errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EREMOTEIO, errno.EUCLEAN}
_PIECES_AT_ONCE = 1024
"""Linux takes no more in one pwritev (IOV_MAX)."""


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """The system calls that move the cache's bytes; a test gives ones that fail."""

    open: Callable[[str, int, int], int] = os.open
    preadv: Callable[[int, Sequence[bytearray | memoryview], int, int], int] = os.preadv
    pwritev: Callable[[int, Sequence[Piece], int], int] = os.pwritev
    unlink: Callable[[str], None] = os.unlink
    statvfs: Callable[[str], os.statvfs_result] = os.statvfs


class OpenFile:
    """A file descriptor that closes itself when its last user lets go: a reader never reads through a reused one."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Disk:
    """One cache path. The only mutable state besides the threads: `out` (the reason) and `full`."""

    def __init__(self, path: Path, threads: int, calls: SystemCalls) -> None:
        self.path = path
        self.calls = calls
        self.out: str | None = None
        self.full = False
        self._directory = (0, 0)
        """The path's device and inode when it was taken."""
        self.on_failure: Callable[[OSError], None] = self.failed
        """Told on the loop of a call behind that failed."""
        self._lock: OpenFile | None = None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="disk")
        self._appender = ThreadPoolExecutor(1, thread_name_prefix="disk-append")
        self.disk_bytes = 0
        """Of the whole file system, when the path was taken."""

    def __repr__(self) -> str:
        state = f"out: {self.out}" if self.out else "full" if self.full else "in use"
        return f"Disk({str(self.path)!r}, {state})"

    def prepare(self) -> None:
        """Makes the folders, takes the lock and looks at the layout.

        Raises: PathInUse, LayoutTooNew, NoCachePath.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = OpenFile(os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            fcntl.flock(self._lock.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check_layout()
            made = self.path.stat()
            self._directory = made.st_dev, made.st_ino
            (self.path / "extents").mkdir(exist_ok=True)
            (self.path / "packs").mkdir(exist_ok=True)
            self.disk_bytes = self.look()[1]
        except BlockingIOError as error:
            raise PathInUse(f"cache path {self.path} is in use by another process: stop it, or name another") from error
        except OSError as error:
            raise NoCachePath(f"cache path {self.path} cannot be used: {error}; mend it, or name another") from error

    def _check_layout(self) -> None:
        mark = self.path / "layout"
        if mark.exists():
            word = mark.read_text(errors="replace").strip()
            if word.isdigit() and int(word) > LAYOUT:
                raise LayoutTooNew(
                    f"cache path {self.path} has layout {word}, this version knows up to {LAYOUT}: "
                    "start the later version again, or empty the path"
                )
            if word == str(LAYOUT):
                return
        fresh = self.path / "layout.new"
        fresh.write_text(f"{LAYOUT}\n")
        fresh.rename(mark)

    def start(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> asyncio.Future[T]:
        """Starts a blocking call on one of the path's threads."""
        return asyncio.get_running_loop().run_in_executor(self._pool, call, *args)

    async def run(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Runs a blocking call on one of the path's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)

    async def append(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Runs a blocking call on the path's appending thread: one at a time, in order.

        It is done even if the caller is cancelled: what the index has forgotten must leave the disk.
        """
        appended = self.start_append(call, *args, **_)
        appended.add_done_callback(_seen)
        return await asyncio.shield(appended)

    def start_append(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> asyncio.Future[T]:
        """Starts a blocking call on the path's appending thread."""
        return asyncio.get_running_loop().run_in_executor(self._appender, call, *args)

    def behind(self, call: Callable[P, None], *args: P.args, **_: P.kwargs) -> None:
        """Has a call run on the appending thread, and goes on; `close` waits for it, a failure goes to `on_failure`."""
        loop = asyncio.get_running_loop()
        self._appender.submit(partial(call, *args)).add_done_callback(partial(self._behind_done, loop))

    def _behind_done(self, loop: asyncio.AbstractEventLoop, future: Future[None]) -> None:
        error = future.exception()
        if isinstance(error, OSError):
            if not loop.is_closed():
                loop.call_soon_threadsafe(self.on_failure, error)
        elif error is not None:
            raise error

    def look(self) -> tuple[int, int]:
        """Returns the file system's free bytes and all of its bytes. Raises OSError.

        ESTALE: the path is another directory than at the start. It was removed, or its file system unmounted, and new
        files would land on whatever disk lies beneath.
        """
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            found = None
        if found is None or self._directory != (found.st_dev, found.st_ino):
            raise OSError(errno.ESTALE, "it was removed or unmounted under the running node")
        at = self.calls.statvfs(str(self.path))
        return at.f_bavail * at.f_frsize, at.f_blocks * at.f_frsize

    def failed(self, error: OSError) -> None:
        """Takes note of a failed call: a full disk is full until room is found, a broken one takes the path out.

        What is neither (too many open files, a file that is gone) is that one call's fault.
        """
        if error.errno in FULL:
            self.full = True
        elif error.errno in _BROKEN and self.out is None:
            self.out = f"{error.strerror or error}"

    def open(self, path: str, flags: int) -> OpenFile:
        """Opens a file. Raises OSError."""
        return OpenFile(self.calls.open(path, flags | os.O_CLOEXEC, 0o600))

    def read(self, file: OpenFile, offset: int, nbytes: int) -> memoryview:
        """Reads up to `nbytes`, fewer only at the file's end. Blocks. Raises OSError."""
        view = memoryview(bytearray(nbytes))
        done = 0
        while done < nbytes:
            got = self.calls.preadv(file.fd, [view[done:]], offset + done, 0)
            if not got:
                break
            done += got
        return view[:done]

    def write(self, file: OpenFile, pieces: Sequence[Piece], offset: int) -> int:
        """Writes all of it; returns how many bytes that is. Blocks. Raises OSError."""
        views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
        total = 0
        while views:
            done = self.calls.pwritev(file.fd, views[:_PIECES_AT_ONCE], offset + total)
            total += done
            while views and done >= len(views[0]):
                done -= len(views.pop(0))
            if done:
                views[0] = views[0][done:]
        return total

    def unlink(self, path: str) -> None:
        """Removes a file; one that is gone already is as good. Raises OSError."""
        try:
            self.calls.unlink(path)
        except FileNotFoundError:
            return

    def close(self) -> None:
        """Waits for what runs behind, ends the threads and gives the path back. Blocks."""
        self._appender.shutdown(wait=True)
        self._pool.shutdown(wait=True)
        self._lock = None


def _seen(done: "asyncio.Future[T]") -> None:
    """A failure is the caller's to handle; where that was cancelled it shows at the next call."""
    if not done.cancelled():
        done.exception()
