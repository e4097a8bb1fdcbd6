"""Rooms: memory that held pages are read into, used again: it stays in the processor's cache and needs no zeroing.

One room takes one step and the blocks at its edges. A reply has at most one, for as long as it has unsent bytes in it;
what it holds is counted with the reply's step (`memory`), what lies idle here is bounded by `kept`.
"""

from regioncache.pages import BLOCK_BYTES, STEP_BYTES

ROOM_BYTES = STEP_BYTES + 2 * BLOCK_BYTES
"""A step that begins within a block touches two blocks that it does not need whole."""


class Rooms:
    """Mutable state: `_idle`, the one used last at the end."""

    __slots__ = ("_idle", "_kept")

    def __init__(self, kept: int = 8) -> None:
        """Args:
        kept: idle rooms kept, of 384 KiB each; more are used at once by slow readers only, which need none made soon.
        """
        self._kept = kept
        self._idle: list[memoryview] = []

    def __repr__(self) -> str:
        return f"Rooms({len(self._idle)} idle)"

    def take(self) -> memoryview:
        """A room whose bytes are anybody's."""
        return self._idle.pop() if self._idle else memoryview(bytearray(ROOM_BYTES))

    def give(self, room: memoryview) -> None:
        """Takes back a room that nobody looks into any more."""
        if len(self._idle) < self._kept:
            self._idle.append(room)
