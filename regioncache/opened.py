"""An opened read: one version of an object, the bytes meant, and where the first of them came from."""

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from regioncache.memory import Memory
from regioncache.pages import STEP_BYTES, FilePart, Meta, Span
from regioncache.reader import Reader
from regioncache.rooms import Rooms
from regioncache.tracing import Trail

NOTHING = FilePart(memoryview(b""), None, 0)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a mount and its cache rule say of a read."""

    fresh_seconds: float = 60.0
    """How old an answer about the newest version may be; 0 = ask each time, inf = never ask."""
    stale_seconds: float = math.inf
    """How old it may be when nobody can be asked."""
    keep: bool = True
    """Whether pages are kept (`admit`)."""
    second_read: bool = False
    """Whether they are kept only if they were read before."""

    @property
    def hold_seconds(self) -> float:
        """How long a reader waits for a question about the newest version before it gets the cached one."""
        return 0.3 if self.fresh_seconds else 2.0


@dataclass(frozen=True, slots=True)
class Waited:
    """Seconds that the line made a read wait, as far as known when the headers leave."""

    line: str
    cls: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Means:
    """What the readers of a process share to hand out pieces: the budget, and memory to read into."""

    memory: Memory
    rooms: Rooms


@dataclass(slots=True)
class Opened:
    """A read that may begin: the first piece is here. Close it, or stream it to its end.

    `pull` and `stream` give the same bytes, each going on where the other stopped: one what is at hand, the other all.
    Mutable state: `_first` the first piece until it is given, `_at` where the next one begins, `_room` what pieces are
    read into, `_holds` whether the budget was charged for it.
    """

    meta: Meta
    span: Span
    source: str = "page"
    waited: Waited | None = None
    stale_seconds: float | None = None
    whole: memoryview | None = None
    _reader: Reader | None = None
    _means: Means | None = None
    _first: FilePart = NOTHING
    _room: memoryview | None = None
    trail: Trail | None = None
    """Of a traced read that was not a hit at a glance."""
    _at: int = field(init=False)
    _holds: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._at = self.span.start

    def pull(self) -> FilePart | None:
        """The next piece, at most 256 KiB, where it is at hand; valid until the next one is asked for.

        None: there is none, or it must be waited for, in `stream`.
        """
        reader, means = self._reader, self._means
        if reader is None or means is None or self._at >= self.span.end:
            return None
        if not self._holds:
            self._holds = means.memory.take_now("door", STEP_BYTES)
            if not self._holds:
                return None
        part: FilePart | None = self._taken_first()
        if part is None:
            if self._room is None:
                self._room = means.rooms.take()
            part = reader.now(self._at, self._room)
        if part is not None:
            self._at += len(part.view)
        return part

    async def stream(self) -> AsyncGenerator[memoryview]:
        """Yields the bytes of the span in pieces of at most 256 KiB; each is valid until the next is asked for."""
        try:
            if self.whole is not None:
                yield self.whole
            reader, means = self._reader, self._means
            if reader is None or means is None or self.whole is not None:
                return
            if not self._holds:
                await means.memory.take("door", STEP_BYTES)
                self._holds = True
            while self._at < self.span.end:
                part = self.pull()
                if part is None:
                    part = FilePart(await reader.piece(self._at), None, 0)
                    self._at += len(part.view)
                yield part.view
        finally:
            self.close()

    def close(self) -> None:
        """Leaves the flights and gives the memory back: nobody looks at a piece any more. Safe to call twice."""
        if self._reader is not None:
            self._reader.leave()
        if self.trail is not None:
            self.trail.end()
        if self._means is None:
            return
        room, self._room = self._room, None
        if room is not None:
            self._means.rooms.give(room)
        if self._holds:
            self._holds = False
            self._means.memory.give("door", STEP_BYTES)

    def _taken_first(self) -> FilePart | None:
        first, self._first = self._first, NOTHING
        return first if len(first.view) else None
