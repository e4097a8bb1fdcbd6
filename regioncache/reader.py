"""A reader: one span of one version of an object, piece by piece, from the disk or from the flights that bring it."""

from dataclasses import dataclass, field

from namespace.resolver import Place
from regioncache.errors import CacheError, NotHeld, OriginUnavailable, VersionChanged
from regioncache.fetching import Job
from regioncache.fill import Filler
from regioncache.firstreads import FirstReads
from regioncache.flights import Flight, Flights, Ground, Waiter, missing
from regioncache.hot import HotObjects
from regioncache.origins.base import Hops, Payer
from regioncache.owners.siblings import Siblings
from regioncache.pages import (
    EXTENT_BYTES,
    MIB,
    PACKED_BYTES,
    STEP_BYTES,
    FilePart,
    Meta,
    ObjectId,
    Span,
    by_extent,
    cover,
)  # fmt: skip
from regioncache.spoilt import Spoilt
from regioncache.standing import Standing
from regioncache.store.base import CorruptPage, NotKept, PageGone, WouldBlock
from regioncache.store.store import Store
from regioncache.tally import Tally

AHEAD_BYTES = 8 * MIB
"""The next extent is asked for when no more than this remains of the one before: more than a round trip of 40 ms at
1 Gbit/s brings, so that a sequential reader does not wait at the seam."""
LANE_BYTES = 4 * MIB
"""What one of several flights beside each other brings: at 16 of its round trips the one that is lost to the request
costs 6 %, and a reader that leaves leaves little to finish."""
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
    spoilt: Spoilt = field(default_factory=Spoilt)
    first_reads: FirstReads = field(default_factory=FirstReads)
    siblings: Siblings | None = None
    """Other processes of this host; None: there are none, or they are no members of its cluster."""


@dataclass(slots=True)
class Reader:
    """Reads `span`. Mutable state: `_attached`, `_lanes`, `keep`; `source` and `waits` are known after the first piece.

    `begun` is set when the reply's headers may have left: what changes after that cannot be answered by a restart.
    """

    shelf: Shelf
    place: Place
    meta: Meta
    span: Span
    payer: Payer
    hops: Hops
    keep: bool
    source: str = "page"
    waits: dict[str, float] = field(default_factory=dict)
    begun: bool = False
    standing: Standing = Standing.READER
    _attached: list[tuple[Flight, Waiter]] = field(default_factory=list)
    _lanes: int = 1
    """Flights to be kept under way: more than one where a connection is too slow for its line."""

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

    def leave(self, *, comes_again: bool = False) -> None:
        """Detaches from every flight; they go on for a reader that was told to come again. Safe to call twice."""
        for flight, waiter in self._attached:
            told = waiter.late is not None and not self.begun
            flight.detach(waiter, comes_again=(comes_again or told) and self.keep)
        self._attached.clear()

    async def piece(self, at: int) -> memoryview:
        """Returns the next bytes, at most a step. Raises the flight's fault, which all of its readers share."""
        span = Span(at, min(at + STEP_BYTES, self.span.end))
        self._let_pass(at)
        for _ in range(TRIES):
            flight = self._landing_at(at)
            if flight is None:
                held = await self._held(span)
                if held is not None:
                    self.shelf.tally.read["page"] += len(held)
                    return held
                if self.shelf.siblings is not None and self.standing is Standing.READER:
                    beside = await self.shelf.siblings.read(self.oid, self.meta, span)
                    if beside is not None:
                        return self._from_sibling(beside)
                flight = self._landing_at(at)
                if flight is None and await self._opened_meanwhile(at):
                    continue
                flight = flight or self._start(at)
            landed = await self._landed(flight, span)
            if landed is not None:
                return landed
        raise OriginUnavailable(
            f"pages of {self.place.path!r} leave the cache before they are read; is it too small?", 1.0
        )

    def now(self, at: int, room: memoryview) -> FilePart | None:
        """The next bytes, at most a step, if they are held and in the kernel's cache; else None.

        A reader that takes part in a flight gets what lands from `piece`.
        """
        if self._attached:
            return None
        end = at + STEP_BYTES
        # Later steps begin at whole blocks; none goes across the border of two extents.
        end = self.span.end if self.span.end <= end else end - end % STEP_BYTES
        span = Span(at, min(end, (at // EXTENT_BYTES + 1) * EXTENT_BYTES))
        if self.shelf.siblings is not None:
            beside = self.shelf.siblings.part_now(self.oid, self.meta.version, span, room)
            if beside is not None:
                self._from_sibling(beside.view)
                return beside
        try:
            part = self.shelf.store.part_now(self.oid, self.meta.version, span, room)
        except CorruptPage as damage:
            self._spoilt(at, damage)
            return None
        except (WouldBlock, PageGone):
            return None
        self.shelf.tally.read["page"] += len(part.view)
        return part

    def _from_sibling(self, view: memoryview) -> memoryview:
        self.shelf.tally.read["sibling"] += len(view)
        self.source = "sibling"
        return view

    def _spoilt(self, at: int, damage: CorruptPage) -> None:
        first = 0 if self.packed else at // EXTENT_BYTES * (EXTENT_BYTES // self.page_bytes)
        self.shelf.spoilt.add(self.oid, first + damage.page)

    async def _held(self, span: Span) -> memoryview | None:
        """The first bytes of the span if they are on disk; a damaged page ends them."""
        while True:
            try:
                return await (self._held_packed(span) if self.packed else self._held_pages(span))
            except CorruptPage as damage:
                # The store has dropped it: the next look finds what lies before it, or nothing.
                self._spoilt(span.start, damage)
            except PageGone:
                return None

    async def _held_packed(self, span: Span) -> memoryview | None:
        store, oid = self.shelf.store, self.oid
        try:
            found = store.packed_now(oid)
        except WouldBlock:
            found = await store.packed(oid)
        return found[1][span.start : span.end] if found and found[0].version == self.meta.version else None

    async def _held_pages(self, span: Span) -> memoryview | None:
        store, oid, version = self.shelf.store, self.oid, self.meta.version
        pages = cover(span, self.page_bytes)
        runs = store.present(oid, version, self.page_bytes, pages)
        if not runs or runs[0].start != pages.start:
            return None
        part = Span(span.start, min(span.end, runs[0].end * self.page_bytes))
        try:
            return store.read_now(oid, version, part)
        except WouldBlock:
            return await store.read(oid, version, part)

    async def _opened_meanwhile(self, at: int) -> bool:
        """Whether a flight begun before the version was known may bring the byte; waits until that one knows more.

        Attached no longer than that: it may bring another version.
        """
        opening = self.shelf.flights.opening(self.oid, self.standing)
        if opening is None or not opening.reaches(at):
            return False
        waiter = self._attach(opening, at)
        while opening.meta is None and not opening.done:
            self._raise_late(waiter)
            await opening.change()
        self._detach(opening)
        return True

    def _raise_late(self, waiter: Waiter) -> None:
        """A reply that has begun waits on; another is told to come again."""
        if waiter.late is not None and not self.begun:
            raise again(waiter.late)

    async def _landed(self, flight: Flight, span: Span) -> memoryview | None:
        """The first bytes of the span once the flight has them; None where they must be looked for anew."""
        at = span.start
        waiter = self._attach(flight, at)
        flight.advance(waiter, at)  # not from where it was attached: what lies between, this reader does not want
        while not flight.done and flight.lacks(at):
            self._raise_late(waiter)
            await flight.change(at)
        if flight.ground is not None and flight.landed > at:
            landed = await _from_ground(flight.ground, Span(at, min(span.end, flight.landed)))
            if landed is not None:
                self.shelf.tally.read[flight.source] += len(landed)
                self.source, self.waits = flight.source, flight.waits_of(waiter)
                flight.advance(waiter, at + len(landed))
                self._go_ahead(flight, at)
                return landed
            if flight.reaches(at) and not flight.done:
                # What landed cannot be read back: to look again at once would find the same.
                await flight.change()
        self._detach(flight)
        if flight.done and flight.landed <= at:
            self._take_note(flight.fault)
        return None

    def _take_note(self, fault: CacheError | None) -> None:
        """A flight ended before it brought what this reader waits for."""
        if isinstance(fault, NotKept):
            self.keep = False
        elif fault is not None:
            self.shelf.tally.version_changed += self.begun and isinstance(fault, VersionChanged)
            raise again(fault)

    def _let_pass(self, at: int) -> None:
        """Detaches from flights that have nothing more for a reader at this offset: they hold memory."""
        for pair in list(self._attached):
            flight = pair[0]
            if flight.pages.start * self.page_bytes <= at and not flight.reaches(at):
                self._detach(flight)

    def _landing_at(self, at: int) -> Flight | None:
        for flight, _ in self._attached:
            if flight.reaches(at):
                return flight
        return self.shelf.flights.bringing(self.oid, self.meta.version, at, self.standing)

    def _start(self, at: int) -> Flight:
        """Starts what is missing from the page at hand on; returns the flight that brings it."""
        page = at // self.page_bytes
        # It turned out bad or gone a moment ago, whatever the index says by now.
        self._bring(at, gone=Span(page, page + 1))
        found = self._landing_at(at)
        assert found is not None, "the page at hand is held, on its way, or was missing and is on its way now"
        return found

    def _bring(self, at: int, gone: Span) -> int:
        """Starts a flight for every missing run of this extent, or lane, that the reader wants; returns its end.

        `gone` are pages that are missing though the index may still say otherwise.
        """
        wanted = cover(Span(at, self.span.end), self.page_bytes)
        extent, pages = next(by_extent(wanted, self.page_bytes))
        through = self._through(extent)
        if self._lanes > 1:
            lane = min(LANE_BYTES, -(-(self.span.end - at) // self._lanes))
            pages = pages.within(Span(pages.start, pages.start + -(-lane // self.page_bytes)))
        held = [] if self.packed else self.shelf.store.present(self.oid, self.meta.version, self.page_bytes, pages)
        held = [part for run in held for part in missing(run, [gone])]
        flights, version = self.shelf.flights, self.meta.version
        flying = [flight.brings(self.page_bytes) for flight in flights.of(self.oid, version, self.standing)]
        opening = flights.opening(self.oid, self.standing)
        flying += [opening.brings(self.page_bytes)] if opening is not None else []
        again = self._had_before(extent, pages)
        for run in missing(pages, [*held, *flying]):
            flight = Flight(self.oid, run, self.page_bytes, self.payer, version, self.meta, through=through)
            flights.add(flight, version)
            self._attach(flight, run.start * self.page_bytes)
            mine = frozenset(page for page in again if run.start <= page < run.end)
            self.shelf.filler.start(Job(flight, self.place, self.hops, self.keep and not through, again=mine))
        return pages.end * self.page_bytes

    def _through(self, extent: int) -> bool:
        """Whether an extent is read through another member; raises NotHeld, NotOwner where it must not be brought."""
        if self.standing is Standing.HELD:
            raise NotHeld(f"{self.place.path!r} is not held here, nor on its way")
        return self.shelf.filler.owners.through(self.oid, extent, self.standing)

    def _had_before(self, extent: int, pages: Span) -> frozenset[int]:
        """Pages of which bytes came before: damaged ones, and the first of each run that a crash tore."""
        spoilt = self.shelf.spoilt.take(self.oid, pages)
        if self.packed:
            return spoilt
        return spoilt | {run.start for run in self.shelf.store.torn_runs(self.oid, self.meta.version, extent)}

    def _go_ahead(self, flight: Flight, at: int) -> None:
        """Starts the next extent's flight early enough that the line is not idle between the two."""
        if self.standing is Standing.HELD:
            return
        if flight.crossing is not None:
            self._lanes = flight.crossing.lanes(self._flying())
        if self._lanes > 1:
            self._fill_lanes(at)
            return
        end = flight.pages.end * self.page_bytes
        if end >= self.span.end or flight.landed < end - AHEAD_BYTES or end - at > 2 * EXTENT_BYTES:
            return
        page = end // self.page_bytes
        if self._landing_at(end) is None and not self.shelf.store.present(
            self.oid, self.meta.version, self.page_bytes, Span(page, page + 1)
        ):
            self._start(end)

    def _fill_lanes(self, at: int) -> None:
        """Starts flights ahead of the reader until every lane has one, unless he falls behind them."""
        most = at + 2 * self._lanes * LANE_BYTES
        ahead = max((flight.pages.end * self.page_bytes for flight, _ in self._attached), default=at)
        while ahead < min(self.span.end, most) and self._flying() < self._lanes:
            ahead = self._bring(ahead, gone=Span(0, 0))

    def _flying(self) -> int:
        """How many flights are under way for this reader."""
        return sum(not flight.done for flight, _ in self._attached)

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


async def _from_ground(ground: Ground, span: Span) -> memoryview | None:
    """Bytes that have landed, or None where they cannot be had from there any more."""
    try:
        try:
            return ground.read_landed(span)
        except WouldBlock:
            return await ground.read_landed_later(span)
    except (LookupError, PageGone, OSError):
        return None


def again(fault: CacheError) -> CacheError:
    """The same fault for one more reader: an exception raised twice would collect both tracebacks."""
    same = type(fault).__new__(type(fault))
    same.args = fault.args
    same.__dict__.update(fault.__dict__)
    same.__cause__ = fault.__cause__
    return same
