"""An opened read: one version of an object, the bytes meant, and where the first of them came from."""

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from regioncache.memory import Memory
from regioncache.pages import STEP_BYTES, Meta, Span
from regioncache.reader import Reader


@dataclass(frozen=True, slots=True)
class Terms:
    """What a mount and its cache rule say of a read."""

    fresh_seconds: float = 60.0
    """How old an answer about the newest version may be; 0 = ask each time, inf = never ask."""
    stale_seconds: float = math.inf
    """How old it may be when nobody can be asked."""
    keep: bool = True
    """Whether pages are kept (`admit`)."""

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


@dataclass(slots=True)
class Opened:
    """A read that may begin: the first piece is here. Close it, or stream it to its end."""

    meta: Meta
    span: Span
    source: str = "page"
    waited: Waited | None = None
    stale_seconds: float | None = None
    whole: memoryview | None = None
    _reader: Reader | None = None
    _memory: Memory | None = None
    _first: memoryview = field(default=memoryview(b""))

    async def stream(self) -> AsyncGenerator[memoryview]:
        """Yields the bytes of the span in pieces of at most 256 KiB; each is valid until the next is asked for."""
        if self.whole is not None:
            yield self.whole
            return
        if self._reader is None or self._memory is None:
            return
        try:
            async with self._memory.hold("door", STEP_BYTES):
                first, self._first = self._first, memoryview(b"")
                if len(first):
                    yield first
                async for piece in self._reader.pieces(self.span.start + len(first)):
                    yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Leaves the flights. Safe to call twice."""
        if self._reader is not None:
            self._reader.leave()
