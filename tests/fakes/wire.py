"""A line connection in virtual time that sends as early as a kernel would let it: the worst case for a quota.

A sender fills whatever window the receiver has opened, at once; a byte arrives a round trip after the read (or the
request) that made room for it. The wire counts what arrives, and checks no rule itself.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fakes.alarms import Alarms


@dataclass
class Wire:
    """Counts what arrives: `arrivals` are (when, payload bytes), in order."""

    alarms: Alarms
    round_trip: float
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    watch: Callable[[int], None] = lambda nbytes: None
    """Told just before `nbytes` arrive."""

    @property
    def total(self) -> int:
        """Payload bytes that arrived."""
        return sum(nbytes for _, nbytes in self.arrivals)

    def connect(self, buffer: int) -> "WireConnection":
        """Opens a connection whose kernel may hold `buffer` payload bytes."""
        return WireConnection(self, buffer)


class WireConnection:
    """One request at a time: `send`, then `receive` until the reply's end."""

    def __init__(self, wire: Wire, buffer: int) -> None:
        self._wire = wire
        self._buffer = buffer
        self._unsent = 0
        self._held = 0
        self._change: asyncio.Event = asyncio.Event()

    def send(self, length: int) -> None:
        """Asks for `length` bytes."""
        self._unsent = length
        self._open(min(length, self._buffer))

    async def head(self) -> None:
        """Waits for the head of the reply."""
        await self._wire.alarms.sleep(self._wire.round_trip)

    async def receive(self, nbytes: int) -> int:
        """Waits for data; returns how many of `nbytes` were read."""
        while not self._held:
            self._change.clear()
            await self._change.wait()
        got = min(nbytes, self._held)
        self._held -= got
        self._open(got)
        return got

    def _open(self, nbytes: int) -> None:
        nbytes = min(nbytes, self._unsent)
        self._unsent -= nbytes
        if nbytes:
            self._wire.alarms.later(self._wire.round_trip, lambda: self._arrive(nbytes))

    def _arrive(self, nbytes: int) -> None:
        self._wire.watch(nbytes)
        self._wire.arrivals.append((self._wire.alarms(), nbytes))
        self._held += nbytes
        self._change.set()
