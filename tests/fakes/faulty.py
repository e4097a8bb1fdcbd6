"""Faults over any source: each is queued and hits the next request of its kind, then things go well again."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from regioncache.errors import (
    BadAnswer,
    CacheError,
    NoSuchObject,
    NotSupported,
    OriginForbids,
    OriginUnavailable,
    SlowDown,
)
from regioncache.lines.base import Crossing
from regioncache.origins.base import ListAsk, ListPage, Part, PartSource, Question, Reading, Source, Want
from regioncache.pages import Meta, Span, Version


@dataclass(slots=True)
class Fault:
    """What goes wrong: `error` after `after` bytes of the body (0: instead of an answer), or a stall there.

    A stall waits for `released`; with an error too, that is raised once it is released. `reached` is set when the
    request has come to the fault, so that a test need not sleep for it.
    """

    error: CacheError | None = None
    after: int = 0
    stall: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def strike(self) -> None:
        """Happens now."""
        self.reached.set()
        if self.stall:
            await self.released.wait()
        if self.error is not None:
            raise self.error


def status_500() -> Fault:
    return Fault(OriginUnavailable("the origin answered 500"))


def status_503(retry_after: float = 2.0) -> Fault:
    return Fault(SlowDown("the origin answered 503", retry_after))


def status_403() -> Fault:
    return Fault(OriginForbids("the origin answered 403"))


def status_404() -> Fault:
    return Fault(NoSuchObject("the origin answered 404"))


def away() -> Fault:
    return Fault(OriginUnavailable("connection refused"))


def wrong_etag() -> Fault:
    return Fault(BadAnswer("the answer has another ETag than If-Match asked for"))


def whole_to_a_range() -> Fault:
    return Fault(BadAnswer("the origin answered 200 to a ranged request"))


def short_body(after: int) -> Fault:
    return Fault(OriginUnavailable("the body ended short of its length"), after=after)


def reset(after: int) -> Fault:
    return Fault(OriginUnavailable("connection reset"), after=after)


def stall(after: int = 0) -> Fault:
    return Fault(after=after, stall=True)


class Faulty:
    """A source that does what `source` does, except for the faults given to `next`."""

    def __init__(self, source: Source, *faults: Fault) -> None:
        self.name = source.name
        self.source = source
        self.asked = 0
        self._next: deque[Fault] = deque(faults)
        self.always: Fault | None = None

    def next(self, *faults: Fault) -> None:
        """Queues faults, one for each of the next requests; `Fault()` lets one pass."""
        self._next.extend(faults)

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """As Source.read."""
        fault = self._take()
        if fault is not None and fault.after == 0:
            await _strike(fault, crossing)
        reading = await self.source.read(want, crossing)
        return reading if fault is None or fault.after == 0 else _FaultyReading(reading, fault)

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """As Source.head."""
        fault = self._take()
        if fault is not None:
            await _strike(fault, crossing)
        return await self.source.head(question, crossing)

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """As PartSource.part."""
        fault = self._take()
        if fault is not None:
            await _strike(fault, crossing)
        if not isinstance(self.source, PartSource):
            raise NotSupported(f"{self.name} tells no parts")
        return await self.source.part(question, number, version, crossing)

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """As Source.list."""
        fault = self._take()
        if fault is not None:
            await _strike(fault, crossing)
        return await self.source.list(ask, question, crossing)

    def _take(self) -> Fault | None:
        self.asked += 1
        return self._next.popleft() if self._next else self.always


async def _strike(fault: Fault, crossing: Crossing) -> None:
    try:
        await fault.strike()
    except BaseException:
        crossing.close()
        raise


class _FaultyReading:
    """Gives `fault.after` bytes, then the fault."""

    def __init__(self, reading: Reading, fault: Fault) -> None:
        self.meta: Meta = reading.meta
        self.span: Span = reading.span
        self._reading, self._fault = reading, fault
        self._left = fault.after

    async def receive(self, into: memoryview) -> int:
        if self._left == 0 and not self._fault.released.is_set():
            await self._fault.strike()
        most = len(into) if self._left == 0 else min(len(into), self._left)
        n = await self._reading.receive(into[:most])
        self._left = max(0, self._left - n)
        return n

    def close(self) -> None:
        self._reading.close()
