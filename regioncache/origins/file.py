"""The file origin, read side: a directory that this node has mounted (a NAS, CephFS, a disk) as a bucket.

Every call that the file system may keep waiting runs on threads of the origin's own, and the loop waits for a bounded
time only. What is read is checked before anything of it is handed on: bytes between two looks at the same status are
bytes of one version, a file that changes or shrinks meanwhile is `VersionChanged`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from regioncache.errors import NoSuchObject, OriginUnavailable, RangeOutside, Unanswered, VersionChanged
from regioncache.lines.base import Crossing
from regioncache.origins.base import ListAsk, ListPage, Question, Reading, Want
from regioncache.origins.beneath import FILE, OpenFile, open_beneath
from regioncache.origins.filefacts import Raw, check_key, is_object, meta, raw
from regioncache.origins.filelist import Walk
from regioncache.origins.filenames import Runs
from regioncache.origins.root import FileCalls, Root
from regioncache.origins.threads import Signs, Silent, Threads
from regioncache.pages import STEP_BYTES, Meta, Span

T = TypeVar("T")

READERS = 8
"""Threads that open and read: a NAS over 10 Gbit/s has its fill with 8 reads of 256 KiB under way."""
LISTERS = 2
"""Threads that list: a walk is work of this node too, and holds up no reads."""
ANSWER_SECONDS = 10.0
"""For a file to be opened, for each step of it, and between two signs of life of a list."""
QUESTION_SECONDS = 2.0
"""For HEAD: three without an answer in 2 s mean that the origin is away (design, Consistency of a mount)."""


class _Found(NamedTuple):
    """An open file, as it was when it was opened."""

    opened: OpenFile
    version: Raw
    meta: Meta


@dataclass(slots=True)
class FileOrigin:
    """One directory. `name` is what it is called in faults, `wall` and `clock` give seconds.

    It is kept for as long as the process runs, whatever is applied: threads that hang stay bounded, and what it saw of
    its directory is remembered.
    """

    name: str
    directory: str
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    calls: FileCalls = field(default_factory=FileCalls, repr=False)
    answer_seconds: float = ANSWER_SECONDS
    question_seconds: float = QUESTION_SECONDS
    _root: Root = field(init=False, repr=False)
    _runs: Runs = field(init=False, repr=False)
    _readers: Threads = field(init=False, repr=False)
    _listers: Threads = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._root = Root(self.directory, self.name, self.calls)
        self._runs = Runs(self.clock, self.wall)
        self._readers = Threads(f"read {self.directory}", READERS)
        self._listers = Threads(f"list {self.directory}", LISTERS)

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """Opens a file and looks at it; see `Source.read`."""
        await crossing.prepay(len(want.span), 0)
        try:
            found = await self._open(want.key, self.answer_seconds)
            if want.version is not None and found.meta.version != want.version:
                raise VersionChanged(f"{self.name}: {want.key!r} was overwritten")
            if want.span.start >= found.meta.size:
                raise RangeOutside(found.meta.size)
        except BaseException:
            crossing.learned(0)
            raise
        span = Span(want.span.start, min(want.span.end, found.meta.size))
        crossing.learned(len(span))
        return _FileReading(self, want.key, found, crossing, span)

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """Asks for the newest version; see `Source.head`."""
        await crossing.prepay(0, 0)
        crossing.learned(0)
        found = await self._open(question.key, self.question_seconds)
        self.let_go(found)
        return found.meta

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """Lists by walking; see `Source.list`."""
        await crossing.prepay(0, 0)
        crossing.learned(0)

        def walk(signs: Signs) -> ListPage:
            return Walk(self._root, self._runs, ask, self.clock, signs).page()

        return await self._on(self._listers, walk, self.answer_seconds)

    async def _open(self, key: str, seconds: float) -> _Found:
        check_key(self.name, key)
        return await self._on(self._readers, lambda _: self._found(key), seconds)

    def _found(self, key: str) -> _Found:
        """Opens a file, on a thread."""
        now, top = self.wall(), self._root.open()
        try:
            opened = open_beneath(top.fd, key, FILE)
            status = opened.status()
        except OSError as fault:
            raise self._root.meaning(fault, key) from fault
        if not is_object(status):
            raise NoSuchObject(f"{self.name}: {key!r} is no object: it is a directory, a pipe or a device")
        return _Found(opened, raw(status), meta(key, status, now))

    def step(self, key: str, found: _Found, at: int, nbytes: int) -> bytes:
        """Reads bytes of the version that was opened, on a thread; raises VersionChanged, OriginUnavailable."""
        try:
            got = self.calls.pread(found.opened.fd, nbytes, at)
            now = raw(found.opened.status())
        except OSError as fault:
            raise OriginUnavailable(f"{self.name}: {key!r} broke off at {at}: {fault.strerror or fault}") from fault
        if now != found.version or not got:
            raise VersionChanged(f"{self.name}: {key!r} changed while it was read")
        return got

    async def stepped(self, key: str, found: _Found, at: int, nbytes: int) -> bytes:
        """`step`, waited for."""
        return await self._on(self._readers, lambda _: self.step(key, found, at, nbytes), self.answer_seconds)

    def let_go(self, found: _Found) -> None:
        """Closes a file, once no step of it is under way any more: on a thread, for that may take long too."""
        self._readers.let_go(found)

    async def _on(self, threads: Threads, call: Callable[[Signs], T], seconds: float) -> T:
        try:
            return await threads.run(call, seconds)
        except Silent as silence:
            raise Unanswered(f"{self.name} did not answer in time: {silence}") from silence


class _FileReading:
    """A file being read. Mutable state: `_at`, and `_found` until it is closed."""

    def __init__(self, origin: FileOrigin, key: str, found: _Found, crossing: Crossing, span: Span) -> None:
        self.meta = found.meta
        self.span = span
        self._origin, self._key, self._crossing = origin, key, crossing
        self._found: _Found | None = found
        self._at = span.start

    async def receive(self, into: memoryview) -> int:
        """Reads the next bytes; a step that comes too late lands in memory of its own, never in `into`."""
        wanted = min(len(into), self.span.end - self._at, STEP_BYTES)
        if not wanted or self._found is None:
            return 0
        room = await self._crossing.room(wanted)
        got = await self._origin.stepped(self._key, self._found, self._at, room)
        into[: len(got)] = got
        self._crossing.read(len(got))
        self._at += len(got)
        return len(got)

    def close(self) -> None:
        found, self._found = self._found, None
        if found is not None:
            self._origin.let_go(found)
