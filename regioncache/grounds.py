"""Where a flight lands when it has no extent file: a record in the making, or a window of memory that is not kept."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from regioncache.memory import Memory
from regioncache.pages import MIB, Span
from regioncache.panes import Panes

WINDOW_BYTES = 16 * MIB
"""Readers this near to one another share a flight where nothing is kept (design, section 6)."""


class Packing:
    """Collects a small object whole and hands it to the packs when the flight closes."""

    def __init__(self, size: int, keep: Callable[[bytearray], Awaitable[bool]]) -> None:
        self._data = bytearray(size)
        self._landed = 0
        self._keep = keep

    def room(self) -> memoryview:
        return memoryview(self._data)[self._landed :]

    async def filled(self, nbytes: int) -> None:
        self._landed += nbytes

    def landed(self) -> int:
        return self._landed

    def read_landed(self, span: Span) -> memoryview:
        return memoryview(self._data)[span.start : span.end]

    async def read_landed_later(self, span: Span) -> memoryview:
        return self.read_landed(span)

    async def close(self) -> None:
        if self._landed == len(self._data):
            await self._keep(self._data)


class Window:
    """The last bytes of a run that nothing keeps. The flight waits while its slowest reader is a window behind.

    What it holds is part of the memory budget; where that is used up, the window is as narrow as one block.
    """

    def __init__(
        self,
        start: int,
        room: Callable[[int], Awaitable[None]],
        memory: Memory,
        limit: int = WINDOW_BYTES,
        panes: Panes | None = None,
    ) -> None:
        """`room(offset)` waits until the present readers have read up to `offset`, as far as they are waited for.

        `panes` are shared by the windows of a process.
        """
        self._panes = panes or Panes()
        self._blocks: deque[_Block] = deque()
        self._starting: dict[int, _Block] = {}
        """The same by offset: who reads on begins where a block does, and there are hundreds."""
        self._free = memoryview(b"")
        self._landed = start
        self._held = 0
        self._room = room
        self._memory = memory
        self._limit = limit

    def room(self) -> memoryview:
        if not len(self._free):
            self._free = memoryview(self._panes.take())
        return self._free

    async def filled(self, nbytes: int) -> None:
        data, self._free = self._free[:nbytes], self._free[nbytes:]
        taken = self._take(nbytes)
        while not taken and self._blocks:
            first = self._blocks[0]
            await self._room(first.offset + len(first.data))
            self._drop_first()
            taken = self._take(nbytes)
        # The least there must be is covered by what the flight holds for itself.
        block = self._starting[self._landed] = _Block(self._landed, data, taken, not len(self._free))
        self._blocks.append(block)
        self._held += nbytes
        self._landed += nbytes

    def first(self) -> int:
        """The object offset from which bytes may still be read."""
        return self._blocks[0].offset if self._blocks else self._landed

    def landed(self) -> int:
        return self._landed

    def read_landed(self, span: Span) -> memoryview:
        found = self._starting.get(span.start)
        if found is not None:
            return found.data[: span.end - span.start]
        for block in self._blocks:
            start = block.offset
            if start <= span.start < start + len(block.data):
                return block.data[span.start - start : span.end - start]
        raise LookupError(f"bytes from {span.start} have left the window")

    async def read_landed_later(self, span: Span) -> memoryview:
        return self.read_landed(span)

    async def close(self) -> None:
        """Nothing is kept: what has landed stays readable for those who hold the flight."""
        # It leads to the flight: as a cycle the window would lie in memory until it is collected.
        self._room = _nobody

    def leave(self) -> None:
        """Nobody reads here any more."""
        while self._blocks:
            self._drop_first()

    def _take(self, nbytes: int) -> bool:
        return self._held + nbytes <= self._limit and self._memory.take_now("window", nbytes)

    def _drop_first(self) -> None:
        block = self._blocks.popleft()
        self._starting.pop(block.offset, None)
        self._held -= len(block.data)
        if block.counted:
            self._memory.give("window", len(block.data))
        if block.last:
            pane = block.data.obj
            assert isinstance(pane, bytearray), "windows are made of panes"
            self._panes.give(pane)


@dataclass(frozen=True, slots=True)
class _Block:
    """Bytes at an object offset; `counted` in the memory budget or not; `last` of its pane."""

    offset: int
    data: memoryview
    counted: bool
    last: bool


async def _nobody(offset: int) -> None:
    """Waits for no reader."""
