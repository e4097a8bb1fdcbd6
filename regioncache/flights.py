"""Flights: one fetch under way for a run of missing pages. Later askers attach and get each page as it lands.

`missing` is the pure part: which runs of an asked span nobody holds and nobody brings. A flight outlives its callers;
what is debited for it goes to the best class among its present waiters, there to the tenant that waits longest.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from regioncache.errors import CacheError
from regioncache.lines.base import Crossing
from regioncache.origins.base import Payer
from regioncache.pages import EXTENT_BYTES, Meta, ObjectId, Span, Version
from regioncache.standing import Standing
from regioncache.tracing import Trail

CLASSES = ("interactive", "training", "prefetch", "backfill")
"""Best first. A class that is none of these ranks behind them."""


def rank(cls: str) -> int:
    """Returns how urgent a class is, 0 the most."""
    return CLASSES.index(cls) if cls in CLASSES else len(CLASSES)


def missing(pages: Span, taken: Iterable[Span]) -> list[Span]:
    """Returns the runs of `pages` that no span of `taken` covers, in order."""
    runs: list[Span] = []
    at = pages.start
    for span in sorted(taken):
        if span.end <= at or not len(span):
            continue
        if span.start >= pages.end:
            break
        if span.start > at:
            runs.append(Span(at, span.start))
        at = span.end
    if at < pages.end:
        runs.append(Span(at, pages.end))
    return runs


class Ground(Protocol):
    """Where a flight lands: a file on disk, a packed record in the making, or a window of memory that is not kept."""

    def room(self) -> memoryview:
        """Where the next bytes of the run go: whole blocks of it, or all up to the run's end."""
        ...

    async def filled(self, nbytes: int) -> None:
        """The first `nbytes` of `room()` have come; what lies in it behind them is at the beginning of the next."""
        ...

    def landed(self) -> int:
        """The object offset up to which bytes may be read."""
        ...

    def read_landed(self, span: Span) -> memoryview:
        """Bytes that have landed; raises LookupError where they have left the window already, WouldBlock, PageGone."""
        ...

    async def read_landed_later(self, span: Span) -> memoryview:
        """As `read_landed`, from the disk if need be."""
        ...

    async def close(self) -> None:
        """Keeps what is whole; nothing more is written."""
        ...


@dataclass(slots=True, eq=False)
class Waiter:
    """One reader at a flight: who pays while it waits, and up to where it has read."""

    payer: Payer
    at: int
    trail: Trail | None = None
    """Of a traced reader that came when the flight was under way."""
    late: CacheError | None = None
    """Said to who waited when the line had no room soon: to come again."""
    before: dict[str, float] = field(default_factory=dict)
    """What the flight had waited for lines when the reader came."""


@dataclass(slots=True, eq=False)
class Flight:
    """One run of pages on its way. Mutable state: waiters, version, pages (once the size is known), ground, fault,
    done, the request in hand (source, line, crossing)."""

    oid: ObjectId
    pages: Span
    page_bytes: int
    starter: Payer
    version: Version | None = None
    meta: Meta | None = None
    source: str = ""
    ground: Ground | None = None
    fault: CacheError | None = None
    done: bool = False
    abandoned: bool = False
    gone_to: int = 0
    """The object offset up to which bytes have left a window again; 0 where they are kept."""
    on_left: Callable[[], None] | None = None
    """Called when the flight is over and its last reader has left; perhaps more than once."""
    unwritten: int = 0
    """Bytes of the memory budget that it holds until it has landed for good."""
    ticket: int = 0
    """The catalog's ticket of the question that a flight of unknown version is."""
    line: str = ""
    crossing: Crossing | None = None
    """The account of the request in hand, None between two of them."""
    trail: Trail | None = None
    """Of a flight whose starter is traced."""
    through: bool = False
    """Whether it reads through the owner, which is another member: nothing of it is kept on disk."""
    at_source: bool = False
    """Whether it has gone to a source, so that a new owner waits for it; asking members alone it has not."""
    _waits: dict[str, float] = field(default_factory=dict)
    _held_up: bool = False
    _waiters: list[Waiter] = field(default_factory=list)
    _wakers: "dict[asyncio.Future[None], int | None]" = field(default_factory=dict)
    """Who waits for a change, and at which offset he lacks bytes."""

    def __repr__(self) -> str:
        state = "done" if self.done else f"landed {self.landed}"
        pages = f"{self.pages.start}..{self.pages.end}"
        return f"<Flight {self.oid.key!r} pages {pages} {state}, {len(self._waiters)} waiting>"

    @property
    def extent(self) -> int:
        """The one extent that it is of."""
        return self.pages.start * self.page_bytes // EXTENT_BYTES

    def open_to(self, standing: Standing) -> bool:
        """Whether one who asks so may wait here: two who are asked as owners must never wait for one another."""
        if standing is Standing.READER:
            return True
        return not self.through and (standing is Standing.OWNER or self.at_source)

    @property
    def landed(self) -> int:
        """The object offset up to which bytes may be read from this flight."""
        return self.ground.landed() if self.ground is not None else self.pages.start * self.page_bytes

    def reaches(self, at: int) -> bool:
        """Whether a reader at this object offset may wait here."""
        inside = self.pages.start * self.page_bytes <= at < self.pages.end * self.page_bytes
        return inside and self.gone_to <= at

    def lacks(self, at: int) -> bool:
        """Whether a reader at this object offset must wait here for more to land."""
        return self.reaches(at) and (self.ground is None or self.ground.landed() <= at)

    def brings(self, page_bytes: int) -> Span:
        """The pages, of a reader's size, that it can still have whole from this flight.

        The sizes differ where the bucket's was changed a moment ago.
        """
        start = max(self.pages.start * self.page_bytes, self.gone_to)
        end = self.pages.end * self.page_bytes
        whole = self.meta is not None and end >= self.meta.size
        last = -(-end // page_bytes) if whole else end // page_bytes
        return Span(min(-(-start // page_bytes), last), last)

    def attach(self, payer: Payer, at: int) -> Waiter:
        """A reader comes; demand promotes the flight to its class."""
        waiter = Waiter(payer, at, before=self.waits)
        if payer.trail is not None and payer is not self.starter:
            waiter.trail = payer.trail.begin("join", {"causeway.offset": at}, link=self.trail)
        self._waiters.append(waiter)
        self.abandoned = False
        if self.crossing is not None:
            self.crossing.promote()
        return waiter

    def detach(self, waiter: Waiter, *, comes_again: bool = False) -> None:
        """A reader goes; the last one leaves the flight abandoned, unless he was told to come again for it."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if waiter.trail is not None:
            waiter.trail.end()
        self.abandoned = not self._waiters and not comes_again
        self._release()
        self.notify()

    def tell_late(self, late: CacheError) -> None:
        """It will not begin soon: who waits for its first bytes shall come again. It goes on."""
        for waiter in self._waiters:
            waiter.late = late
        self.notify(everyone=True)

    def end(self) -> None:
        """It brings nothing more."""
        self.done = True
        if self.trail is not None:
            self.trail.end(self.fault)
        self._release()
        self.notify()

    def began(self, source: str, line: str | None, crossing: Crossing) -> None:
        """A request is in hand."""
        self.source, self.line, self.crossing = source, line or "", crossing

    def ended(self) -> None:
        """The request in hand is over."""
        self._waits, self.crossing = self.waits, None

    @property
    def waits(self) -> dict[str, float]:
        """Seconds waited for room so far, by line; "" where no line was."""
        waits = dict(self._waits)
        if self.crossing is not None and self.crossing.waited:
            waits[self.line] = waits.get(self.line, 0.0) + self.crossing.waited
        return waits

    def waits_of(self, waiter: Waiter) -> dict[str, float]:
        """Seconds waited for room since a reader came, by line; those before were not his."""
        waited = {line: seconds - waiter.before.get(line, 0.0) for line, seconds in self.waits.items()}
        return {line: seconds for line, seconds in waited.items() if seconds > 0}

    def waiting(self) -> int:
        return len(self._waiters)

    def advance(self, waiter: Waiter, at: int) -> None:
        """A reader has read up to `at`."""
        waiter.at = at
        if self._held_up:
            self.notify()

    async def readers_at(self, offset: int, patience_seconds: float) -> None:
        """Waits until every present reader has read up to `offset`, or none is left.

        A reader that stands still is waited for so long, and no longer while another one wants what comes next.
        """
        self._held_up = True
        try:
            while self._waiters and (slowest := self._slowest()) < offset:
                try:
                    async with asyncio.timeout(patience_seconds):
                        await self.change()
                except TimeoutError:
                    if self._slowest() == slowest and any(waiter.at >= self.landed for waiter in self._waiters):
                        return
        finally:
            self._held_up = False

    def _slowest(self) -> int:
        """Up to where all have read who can still be served from here."""
        return min((waiter.at for waiter in self._waiters if waiter.at >= self.gone_to), default=self.landed)

    def payer(self) -> Payer:
        """Who pays for the next step."""
        if not self._waiters:
            return Payer(self.starter.tenant, "prefetch")
        return min(self._waiters, key=lambda waiter: rank(waiter.payer.cls)).payer

    def _release(self) -> None:
        if self.done and not self._waiters and self.on_left is not None:
            self.on_left()

    def notify(self, *, everyone: bool = False) -> None:
        """Something changed: wakes who waits for it, but nobody who would see that he lacks the same bytes still."""
        wakers = self._wakers
        for waker, at in list(wakers.items()):
            if everyone or at is None or self.done or not self.lacks(at):
                del wakers[waker]
                if not waker.done():
                    waker.set_result(None)

    async def change(self, at: int | None = None) -> None:
        """Waits for the next change; a reader who lacks bytes `at` an offset, for the next that ends this."""
        waker = asyncio.get_running_loop().create_future()
        self._wakers[waker] = at
        try:
            await waker
        finally:
            self._wakers.pop(waker, None)


@dataclass(frozen=True, slots=True)
class FlightStatistics:
    opening: int
    flying: int
    waiting: int


class Flights:
    """All flights of a node: those that still learn which version they bring, and those of a known version."""

    def __init__(self) -> None:
        self._opening: dict[tuple[ObjectId, bool], Flight] = {}
        self._flying: dict[tuple[ObjectId, Version], list[Flight]] = {}

    def opening(self, oid: ObjectId, standing: Standing = Standing.READER) -> Flight | None:
        """The flight that asks for an unknown object at this moment, one that reads through its owner last."""
        found = self._opening.get((oid, False))
        if found is not None and found.open_to(standing):
            return found
        return self._opening.get((oid, True)) if standing is Standing.READER else None

    def open(self, flight: Flight) -> None:
        self._opening[flight.oid, flight.through] = flight

    def add(self, flight: Flight, version: Version) -> None:
        """The flight's version is known (now): readers of that version may join it."""
        flight.version = version
        self._opened(flight)
        self._flying.setdefault((flight.oid, version), []).append(flight)

    def remove(self, flight: Flight) -> None:
        self._opened(flight)
        if flight.version is None:
            return
        flying = self._flying.get((flight.oid, flight.version), [])
        if flight in flying:
            flying.remove(flight)
        if not flying:
            self._flying.pop((flight.oid, flight.version), None)

    def _opened(self, flight: Flight) -> None:
        if self._opening.get((flight.oid, flight.through)) is flight:
            del self._opening[flight.oid, flight.through]

    def of(self, oid: ObjectId, version: Version, standing: Standing = Standing.READER) -> list[Flight]:
        """The flights of one version of an object that are open to who asks."""
        flying = self._flying.get((oid, version), [])
        return flying if standing is Standing.READER else [flight for flight in flying if flight.open_to(standing)]

    def bringing(self, oid: ObjectId, version: Version, at: int, standing: Standing = Standing.READER) -> Flight | None:
        """The flight that brings the byte at this object offset."""
        return next((flight for flight in self.of(oid, version, standing) if flight.reaches(at)), None)

    def __iter__(self) -> Iterator[Flight]:
        yield from self._opening.values()
        for flying in self._flying.values():
            yield from flying

    def statistics(self) -> FlightStatistics:
        everyone = list(self)
        return FlightStatistics(
            len(self._opening), len(everyone) - len(self._opening), sum(f.waiting() for f in everyone)
        )
