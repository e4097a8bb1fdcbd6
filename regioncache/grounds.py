"""Where a flight lands when it has no extent file: a record in the making, or a window of memory that is not kept."""

from collections import deque
from collections.abc import Awaitable, Callable

from regioncache.pages import MIB, Span

WINDOW_BYTES = 16 * MIB
"""Readers this near to one another share a flight where nothing is kept (design, section 6)."""


class Packing:
    """Collects a small object whole and hands it to the packs when the flight closes."""

    def __init__(self, size: int, keep: Callable[[bytes], Awaitable[bool]]) -> None:
        self._data = bytearray(size)
        self._landed = 0
        self._keep = keep

    async def write(self, offset: int, data: memoryview) -> None:
        self._data[offset : offset + len(data)] = data
        self._landed = offset + len(data)

    def landed(self) -> int:
        return self._landed

    def read_landed(self, span: Span) -> memoryview:
        return memoryview(self._data)[span.start : span.end]

    async def read_landed_later(self, span: Span) -> memoryview:
        return self.read_landed(span)

    async def close(self) -> None:
        if self._landed == len(self._data):
            await self._keep(bytes(self._data))


class Window:
    """The last bytes of a run that nothing keeps. The flight waits while its slowest reader is a window behind."""

    def __init__(self, start: int, room: Callable[[int], Awaitable[None]], limit: int = WINDOW_BYTES) -> None:
        """`room(offset)` waits until every present reader has read up to `offset`, or none is left."""
        self._blocks: deque[tuple[int, bytes]] = deque()
        self._landed = start
        self._held = 0
        self._room = room
        self._limit = limit

    async def write(self, offset: int, data: memoryview) -> None:
        if self._held + len(data) > self._limit and self._blocks:
            first, block = self._blocks[0]
            await self._room(first + len(block))
        while self._blocks and self._held + len(data) > self._limit:
            self._held -= len(self._blocks.popleft()[1])
        self._blocks.append((offset, bytes(data)))
        self._held += len(data)
        self._landed = offset + len(data)

    def first(self) -> int:
        """The object offset from which bytes may still be read."""
        return self._blocks[0][0] if self._blocks else self._landed

    def landed(self) -> int:
        return self._landed

    def read_landed(self, span: Span) -> memoryview:
        for start, block in self._blocks:
            if start <= span.start < start + len(block):
                return memoryview(block)[span.start - start : span.end - start]
        raise LookupError(f"bytes from {span.start} have left the window")

    async def read_landed_later(self, span: Span) -> memoryview:
        return self.read_landed(span)

    async def close(self) -> None:
        """Nothing is kept: what has landed stays readable for those who hold the flight."""
