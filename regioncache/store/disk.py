"""One cache path's file system: its lock, its layout, its threads, and every system call the store makes on it.

Whatever may block runs on the path's own threads, so that a slow or dead disk holds up nobody else. A full disk stops
admission; an I/O error, or a call that does not return, takes the path out: its contents become misses, and who waits
for it is let go at once.
"""

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from regioncache.store.base import LAYOUT, LayoutTooNew, NoCachePath, PathInUse
from regioncache.store.handing import Handing, fail

P = ParamSpec("P")
T = TypeVar("T")
Piece = bytes | bytearray | memoryview

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A failed call with one of these says that the file system takes no more."""
BROKEN = {
    errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EREMOTEIO, errno.EUCLEAN, errno.ETIMEDOUT,
    errno.ENOTCONN, errno.ESHUTDOWN,
}  # fmt: skip
"""A failed call with one of these says that the disk itself is ill."""
FOLDERS = ("extents", "packs")
_LAST_PATIENCE_SECONDS = 1.0
"""That long a stop waits for calls on a path that is out."""
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
    stat: Callable[[str], os.stat_result] = os.stat
    clock: Callable[[], float] = time.monotonic
    """By which a call's time is taken."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Between two probes of a path that is out."""
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Between two steps of a move from one disk to another."""


class OpenFile:
    """A file descriptor that closes itself when its last user lets go: a reader never reads through a reused one."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Disk:
    """One cache path. Mutable state besides the threads: `out` (the reason) and `outs` (how often), `full`, the lock,
    and the calls held back."""

    def __init__(self, path: Path, threads: int, calls: SystemCalls) -> None:
        self.path = path
        self.calls = calls
        self.out: str | None = None
        self.outs = 0
        """What began before the path was last taken out must not go on after it came back."""
        self.full = False
        self._directory = (0, 0)
        """The path's device and inode when it was taken."""
        self.on_failure: Callable[[OSError], None] = self.failed
        """Told on the loop of a call behind that failed, and of one that does not return."""
        self._lock: OpenFile | None = None
        self._handing = Handing(threads, calls.clock, self._hang)
        self._held_back: list[Callable[[], None]] = []
        """Calls behind that wait until the path is in use again."""
        self._owed: set[str] = set()
        """Files that could not be removed: the index has forgotten them, but a restart would find them again."""
        self.disk_bytes = 0
        """Of the whole file system, when the path was taken."""

    def __repr__(self) -> str:
        state = f"out: {self.out}" if self.out else "full" if self.full else "in use"
        return f"Disk({str(self.path)!r}, {state})"

    @property
    def device(self) -> int:
        """The file system that the path was taken on; 0: it never was."""
        return self._directory[0]

    def prepare(self) -> None:
        """Makes the folders, takes the lock and looks at the layout.

        Raises: PathInUse, LayoutTooNew, NoCachePath.
        """
        try:
            self._lock = None
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = OpenFile(os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            fcntl.flock(self._lock.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check_layout()
            made = self.calls.stat(str(self.path))
            self._directory = made.st_dev, made.st_ino
            for folder in FOLDERS:
                (self.path / folder).mkdir(exist_ok=True)
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
        """Starts a blocking call on one of the path's threads; one that nobody waits for any more is not begun."""
        return self.start_late(_unwanted, partial(call, *args))

    def start_late(self, late: Callable[[T], None], call: Callable[[], T]) -> asyncio.Future[T]:
        """As `start`; `late` is told what came of it when nobody waits for it any more."""
        return self._refused() or self._handing.any_thread(call, late)

    async def run(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Runs a blocking call on one of the path's threads."""
        return await self.start(call, *args, **_)

    async def append(self, call: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Runs a blocking call on the path's appending thread: one at a time, in order.

        It is done even if the caller is cancelled: what the index has forgotten must leave the disk.
        """
        return await asyncio.shield(self.start_append(_unwanted, partial(call, *args)))

    def start_append(self, late: Callable[[T], None], call: Callable[[], T]) -> asyncio.Future[T]:
        """Starts a blocking call on the path's appending thread, where each is done, however late."""
        return self._refused() or self._handing.in_order(call, late)

    def behind(self, call: Callable[P, None], *args: P.args, **_: P.kwargs) -> None:
        """Has a call run on the appending thread, and goes on; `close` waits for it, a failure goes to `on_failure`.

        While the path is out it is held back.
        """
        if self.out is not None:
            self._held_back.append(partial(call, *args))
            return
        self._handing.in_order(partial(call, *args), _unwanted).add_done_callback(self._behind_done)

    def _behind_done(self, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, OSError):
            self.on_failure(error)
        elif error is not None:
            raise error

    def tried(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Starts a call that shall find out whether a path that is out can be used again."""
        return self._handing.in_order(call, _unwanted)

    def _refused(self) -> "asyncio.Future[Any] | None":
        """What a call gets while the path is out."""
        if self.out is None:
            return None
        refused = asyncio.get_running_loop().create_future()
        fail(refused, OSError(errno.ESHUTDOWN, f"out: {self.out}"))
        return refused

    @property
    def slow(self) -> bool:
        """Whether the disk does not keep up with what it is asked."""
        return self._handing.slow

    def _hang(self, error: OSError) -> None:
        self.on_failure(error)

    def hangs(self) -> bool:
        """Whether calls from before the path was taken out have still not returned."""
        return not self._handing.idle()

    def back(self) -> None:
        """Takes the path into use again, and does what was held back."""
        self.out, self.full = None, False
        held_back, self._held_back = self._held_back, []
        owed, self._owed = self._owed, set()
        for path in owed:
            self.behind(self.unlink, path)
        for call in held_back:
            self.behind(call)

    def forget_held_back(self) -> None:
        """What was held back concerned files that are not there any more."""
        self._held_back.clear()
        self._owed.clear()

    def look(self) -> tuple[int, int]:
        """Returns the file system's free bytes and all of its bytes. Raises OSError.

        ESTALE: the path is another directory than at the start. It was removed, or its file system unmounted, and new
        files would land on whatever disk lies beneath.
        """
        try:
            found = self.calls.stat(str(self.path))
            for folder in FOLDERS:
                self.calls.stat(f"{self.path}/{folder}")
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
        elif error.errno in BROKEN and self.out is None:
            self.out = f"{error.strerror or error}"
            self.outs += 1

    def open(self, path: str, flags: int) -> OpenFile:
        """Opens a file. Raises OSError."""
        return OpenFile(self.calls.open(path, flags | os.O_CLOEXEC, 0o600))

    def read(self, file: OpenFile, offset: int, nbytes: int) -> memoryview:
        """Reads up to `nbytes`, fewer only at the file's end. Blocks. Raises OSError."""
        view = memoryview(bytearray(nbytes))
        done = 0
        while done < nbytes:
            got = self.calls.preadv(file.fd, [view[done:]], offset + done, 0)
            self._handing.alive()
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
            self._handing.alive()
            total += done
            while views and done >= len(views[0]):
                done -= len(views.pop(0))
            if done:
                views[0] = views[0][done:]
        return total

    def unlink(self, path: str) -> None:
        """Removes a file; one that is gone already is as good. Raises OSError.

        Where the disk is ill that is done when the path is in use again.
        """
        try:
            self.calls.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in BROKEN:
                self._owed.add(path)
            raise
        finally:
            self._handing.alive()

    def close(self) -> None:
        """Waits for what runs behind, ends the threads and gives the path back. Blocks.

        Calls that hang are left behind, and the path with them: no other process may have it before they are gone.
        """
        patience = None if self.out is None else _LAST_PATIENCE_SECONDS
        if self._handing.close(patience):
            self._lock = None

    def unwatch(self) -> None:
        """Nobody waits any more."""
        self._handing.unwatch()


def take(disks: list[Disk]) -> None:
    """Takes the disks; one that is broken is out, as long as there is another. Blocks. Raises StoreError."""
    broken: list[NoCachePath] = []
    for disk in disks:
        try:
            disk.prepare()
        except NoCachePath as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in BROKEN:
                raise
            disk.out = f"{error.__cause__.strerror} at the start"
            broken.append(error)
    if len(broken) == len(disks):
        raise broken[0]


def _unwanted(_: object) -> None:
    """Nothing needs to be done about what came too late."""
