"""A reader: one span of one version of an object, piece by piece, from the disk or from the flights that bring it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from namespace.resolver import Place
from regioncache.errors import CacheError, OriginUnavailable, VersionChanged
from regioncache.fill import Filler, Job
from regioncache.flights import Flight, Flights, Ground, Waiter, missing
from regioncache.hot import HotObjects
from regioncache.origins.base import Payer
from regioncache.pages import EXTENT_BYTES, MIB, PACKED_BYTES, STEP_BYTES, Meta, ObjectId, Span, by_extent, cover
from regioncache.store.base import CorruptPage, NotKept, PageGone, WouldBlock
from regioncache.store.store import Store
from regioncache.tally import Tally

AHEAD_BYTES = 8 * MIB
"""The next extent is asked for when no more than this remains of the one before: more than a round trip of 40 ms at
1 Gbit/s brings, so that a sequential reader does not wait at the seam."""
TRIES = 100
"""A page that vanished this often between landing and reading means a cache that cannot keep what is read."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The parts that a reader takes pages from."""

    store: Store
    hot: HotObjects
    flights: Flights
    filler: Filler
    tally: Tally


@dataclass(slots=True)
class Reader:
    """Reads `span`. Mutable state: `_attached` and `_bad`; `source` and `waits` are known after the first piece."""

    shelf: Shelf
    place: Place
    meta: Meta
    span: Span
    payer: Payer
    hops: int
    keep: bool
    source: str = "page"
    waits: dict[str, float] = field(default_factory=dict)
    _attached: list[tuple[Flight, Waiter]] = field(default_factory=list)
    _bad: set[int] = field(default_factory=set)

    @property
    def oid(self) -> ObjectId:
        return ObjectId(self.place.bucket.id, self.place.key)

    @property
    def page_bytes(self) -> int:
        return self.place.bucket.page

    @property
    def packed(self) -> bool:
        """Whether the object is small enough to be packed."""
        return self.meta.size <= min(PACKED_BYTES, self.page_bytes)

    def join(self, flight: Flight, waiter: Waiter) -> None:
        """Takes over a flight that the opener attached to already."""
        self._attached.append((flight, waiter))

    async def pieces(self, at: int) -> AsyncGenerator[memoryview]:
        """Yields the bytes from `at` on; a piece stays valid until the next one is asked for."""
        try:
            while at < self.span.end:
                piece = await self.piece(at)
                at += len(piece)
                yield piece
        finally:
            self.leave()

    def leave(self) -> None:
        """Detaches from every flight. Safe to call twice."""
        for flight, waiter in self._attached:
            flight.detach(waiter)
        self._attached.clear()

    async def piece(self, at: int) -> memoryview:
        """Returns the next bytes, at most a step. Raises the flight's fault, which all of its readers share."""
        span = Span(at, min(at + STEP_BYTES, self.span.end))
        for _ in range(TRIES):
            flight = self._landing_at(at)
            if flight is None:
                held = await self._held(span)
                if held is not None:
                    self.shelf.tally.read["page"] += len(held)
                    return held
                flight = self._landing_at(at) or self._start(at)
            waiter = self._attach(flight, at)
            while not flight.done and flight.reaches(at) and (flight.ground is None or flight.landed <= at):
                await flight.change()
            if flight.landed > at and flight.ground is not None:
                landed = await _landed(flight.ground, Span(at, min(span.end, flight.landed)))
                if landed is None:
                    self._detach(flight)
                    continue
                self.shelf.tally.read[flight.source] += len(landed)
                self._tell(flight)
                waiter.at = at + len(landed)
                self._go_ahead(flight, at)
                return landed
            if flight.done:
                self._detach(flight)
                if flight.fault is not None and not isinstance(flight.fault, NotKept):
                    self.shelf.tally.version_changed += isinstance(flight.fault, VersionChanged)
                    raise _again(flight.fault)
        raise OriginUnavailable(
            f"pages of {self.place.path!r} leave the cache before they are read; is it too small?", 1.0
        )

    def now(self, span: Span) -> memoryview | None:
        """The bytes of a span of at most a step if they are held and in the kernel's cache; else None."""
        store, oid = self.shelf.store, self.oid
        try:
            if self.packed:
                found = store.packed_now(oid)
                return found[1][span.start : span.end] if found and found[0].version == self.meta.version else None
            pages = cover(span, self.page_bytes)
            if store.present(oid, self.meta.version, self.page_bytes, pages) != [pages]:
                return None
            return store.read_now(oid, self.meta.version, span)
        except (WouldBlock, PageGone):
            return None

    async def _held(self, span: Span) -> memoryview | None:
        """The first bytes of the span if they are on disk."""
        store, oid, version = self.shelf.store, self.oid, self.meta.version
        try:
            if self.packed:
                try:
                    found = store.packed_now(oid)
                except WouldBlock:
                    found = await store.packed(oid)
                return found[1][span.start : span.end] if found and found[0].version == version else None
            pages = cover(span, self.page_bytes)
            runs = store.present(oid, version, self.page_bytes, pages)
            if not runs or runs[0].start != pages.start:
                return None
            part = Span(span.start, min(span.end, runs[0].end * self.page_bytes))
            try:
                return store.read_now(oid, version, part)
            except WouldBlock:
                return await store.read(oid, version, part)
        except CorruptPage:
            self._bad.add(span.start // self.page_bytes)
            return None
        except PageGone:
            return None

    def _landing_at(self, at: int) -> Flight | None:
        for flight, _ in self._attached:
            if flight.reaches(at):
                return flight
        return self.shelf.flights.bringing(self.oid, self.meta.version, at)

    def _start(self, at: int) -> Flight:
        """Starts a flight for every missing run of this extent that the reader wants; returns the one at `at`."""
        page = at // self.page_bytes
        wanted = cover(Span(at, self.span.end), self.page_bytes)
        extent, pages = next(by_extent(wanted, self.page_bytes))
        held = [] if self.packed else self.shelf.store.present(self.oid, self.meta.version, self.page_bytes, pages)
        # The page at hand turned out bad or gone a moment ago, whatever the index says by now.
        held = [part for run in held for part in missing(run, [Span(page, page + 1)])]
        flying = [flight.brings for flight in self.shelf.flights.of(self.oid, self.meta.version)]
        torn = self.shelf.store.torn(self.oid, self.meta.version, extent)
        for run in missing(pages, [*held, *flying]):
            flight = Flight(self.oid, run, self.page_bytes, self.payer, self.meta.version, self.meta)
            self.shelf.flights.add(flight, self.meta.version)
            self._attach(flight, run.start * self.page_bytes)
            again = Span(run.start, run.start + 1) if run.start in self._bad else None
            if torn is not None and torn.start <= run.start < torn.end:
                again, torn = torn, None
            self.shelf.filler.start(Job(flight, self.place, self.hops, self.keep, torn=again))
        found = self._landing_at(at)
        assert found is not None, "the page at hand is held, on its way, or was missing and is on its way now"
        return found

    def _go_ahead(self, flight: Flight, at: int) -> None:
        """Starts the next extent's flight early enough that the line is not idle between the two."""
        end = flight.pages.end * self.page_bytes
        if end >= self.span.end or flight.landed < end - AHEAD_BYTES or end - at > 2 * EXTENT_BYTES:
            return
        page = end // self.page_bytes
        if self._landing_at(end) is None and not self.shelf.store.present(
            self.oid, self.meta.version, self.page_bytes, Span(page, page + 1)
        ):
            self._start(end)

    def _attach(self, flight: Flight, at: int) -> Waiter:
        for mine, waiter in self._attached:
            if mine is flight:
                return waiter
        waiter = flight.attach(self.payer, at)
        self._attached.append((flight, waiter))
        return waiter

    def _detach(self, flight: Flight) -> None:
        for pair in self._attached:
            if pair[0] is flight:
                flight.detach(pair[1])
                self._attached.remove(pair)
                return

    def _tell(self, flight: Flight) -> None:
        self.source = flight.source
        self.waits = flight.waits


async def _landed(ground: Ground, span: Span) -> memoryview | None:
    """Bytes that have landed, or None where they cannot be had from there any more."""
    try:
        return ground.read_landed(span)
    except WouldBlock:
        try:
            return await ground.read_landed_later(span)
        except PageGone:
            return None
    except (LookupError, PageGone):
        return None


def _again(fault: CacheError) -> CacheError:
    """The same fault for one more reader: an exception raised twice would collect both tracebacks."""
    again = type(fault).__new__(type(fault))
    again.args = fault.args
    again.__dict__.update(fault.__dict__)
    again.__cause__ = fault.__cause__
    return again
