"""Fetching: one request of a flight, from the question to what has landed of its answer.

What was received and is thrown away is relabelled in the ledger: `retry` when it is asked again, `over_read` when
nobody wants it any more.
"""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from namespace.resolver import Place
from regioncache.cluster.members import Member
from regioncache.errors import (
    CacheError,
    OriginUnavailable,
    RangeOutside,
    VersionChanged,
    WrongVersion,
)
from regioncache.flights import Flight, Flights, Ground, rank
from regioncache.grounds import Packing, Window
from regioncache.hot import LARGEST_BYTES, HotObjects
from regioncache.lines.base import Crossing
from regioncache.memory import Memory
from regioncache.origins.base import Hops, Reading, Want
from regioncache.owners.owners import Leg
from regioncache.pages import BLOCK_BYTES, EXTENT_BYTES, MIB, PACKED_BYTES, STEP_BYTES, Meta, ObjectId, Span, page_span
from regioncache.panes import Panes, kept_beside
from regioncache.sources import Route, Sources
from regioncache.store.base import NotKept
from regioncache.store.store import Store
from regioncache.tally import Tally
from regioncache.tracing import Passage

FINISH_BYTES = 8 * MIB
"""An abandoned flight finishes its request if no more than this remains (line-rules, Flight)."""
FLIGHT_BYTES = 3 * STEP_BYTES
"""What a flight holds of the memory budget: the batch being filled, the one being written, the one still being read."""
PATIENCE_SECONDS = 2.0
"""Where nothing is kept, a reader that stands still holds up the others at its flight for so long."""


class Abandoned(CacheError):
    """Nobody waits any more and too much remains."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a flight is to bring, and what the reader's mount says of keeping it."""

    flight: Flight
    place: Place
    hops: Hops
    keep: bool
    fresh_seconds: float = 0.0
    again: frozenset[int] = frozenset()
    """Pages that were here, or partly here, before: they count `refetch`."""
    learned: Callable[[Meta], None] | None = None
    """Told once what the first reply says of an unknown object."""
    lender: Member | None = None
    """Who hands over what it holds, where nobody else is to be asked."""


class Fetching:
    """Makes the requests of flights. Its state is that of its parts."""

    def __init__(
        self, store: Store, hot: HotObjects, flights: Flights, sources: Sources, memory: Memory, tally: Tally
    ) -> None:
        self._store = store
        self._hot = hot
        self._flights = flights
        self._sources = sources
        self._memory = memory
        self._tally = tally
        self._panes = Panes(kept_beside(memory.budget))

    async def request(self, job: Job, leg: Leg, *, patient: bool) -> None:
        flight, route = job.flight, leg.route
        progress = _Progress(job, remaining(flight).start)
        crossing = route.crossing(flight.payer, progress.kind)
        crossing.patient = patient
        flight.began(route.kind, route.line, crossing)
        passage = route.traced(flight.trail, "read")
        try:
            async with self._sources.turn(route, "read", rank(flight.payer().cls)) as waited:
                if waited and flight.abandoned:
                    raise Abandoned("nobody waits any more for what was not asked for yet")
                await self._exchange(job, leg, crossing, progress, passage)
        except (Abandoned, NotKept):
            crossing.spoil(progress.beyond_page(), "over_read")
            raise
        except CacheError:
            crossing.spoil(progress.beyond_block(), "retry")
            raise
        finally:
            if passage is not None:
                fault = sys.exception()
                left = isinstance(fault, Abandoned)  # for want of readers: no fault
                passage.end(None if left else fault, crossing.waited, progress.received)
            flight.ended()
            crossing.close()

    async def _exchange(
        self, job: Job, leg: Leg, crossing: Crossing, progress: "_Progress", passage: Passage | None
    ) -> None:
        """Asks for what remains and receives it, within the memory budget."""
        flight = job.flight
        await self._memory.take("flight", FLIGHT_BYTES)
        try:
            reading = await self._ask(job, leg.route, crossing, remaining(flight, leg.end), passage)
            if passage is not None:
                passage.far.mark("head")
            try:
                await self._receive(job, reading, progress)
            finally:
                reading.close()
        finally:
            before, flight.unwritten = flight.unwritten, _unwritten(flight)
            self._memory.give("flight", FLIGHT_BYTES + before - flight.unwritten)

    async def _ask(self, job: Job, route: Route, crossing: Crossing, left: Span, passage: Passage | None) -> Reading:
        flight, payer = job.flight, job.flight.payer()
        wanted = _whole_pages(left, crossing.request_wanted(len(left)), flight.page_bytes)
        if passage is not None:
            payer = replace(payer, trail=passage.far)
        want = Want(job.place.key, flight.version, wanted, payer, job.hops, job.fresh_seconds)
        try:
            return await self._sources.ask(route, route.source.read(want, crossing), crossing)
        except RangeOutside as outside:
            if flight.meta is None:
                raise
            # What lay inside the version known lies outside now.
            raise VersionChanged(f"{flight.oid.key!r} has {outside.size} bytes now") from outside

    async def _receive(self, job: Job, reading: Reading, progress: "_Progress") -> None:
        flight = job.flight
        if flight.meta is None:
            self._learn(job, reading)
        elif (reading.meta.version, reading.meta.size) != (flight.version, flight.meta.size):
            raise WrongVersion(f"{flight.oid.key!r} came in version {reading.meta.version}, not {flight.version}")
        if flight.ground is None:
            flight.ground = await self._ground(job, keep=job.keep and reading.meta.settled)
            flight.notify()
        await self._land(flight, flight.ground, reading, progress)

    async def _land(self, flight: Flight, ground: Ground, reading: Reading, progress: "_Progress") -> None:
        """Receives straight into the ground, and tells it of whole blocks only: a broken one is asked for again."""
        at, end, filled = reading.span.start, reading.span.end, 0
        while at < end:
            room = ground.room()[: end - at]
            got = await reading.receive(room[filled:])
            if not got:
                raise OriginUnavailable(f"the reply for {flight.oid.key!r} ended {end - at - filled} bytes short")
            filled += got
            progress.received += got
            self._tally.brought += got
            whole = filled if filled == len(room) else filled - filled % BLOCK_BYTES
            if not whole:
                continue
            await ground.filled(whole)
            at, filled = at + whole, filled - whole
            if isinstance(ground, Window):
                flight.gone_to = ground.first()
            progress.kept_to = at
            flight.notify()
            if flight.abandoned and end - at > FINISH_BYTES:
                raise Abandoned("nobody waits for the rest")

    def _learn(self, job: Job, reading: Reading) -> None:
        flight, meta = job.flight, reading.meta
        flight.meta = meta
        last = -(-meta.size // flight.page_bytes)
        flight.pages = Span(min(flight.pages.start, last), min(flight.pages.end, last))
        if job.learned is not None:
            job.learned(meta)
        self._flights.add(flight, meta.version)
        flight.notify()

    async def _pack(self, oid: ObjectId, meta: Meta, data: bytearray) -> bool:
        try:
            return await self._store.pack(oid, meta, data)
        finally:
            self._hot.drop(oid)

    async def _warm(self, oid: ObjectId, meta: Meta, data: bytearray) -> bool:
        """What another member keeps on its disk is kept in memory here, where it is small."""
        self._hot.keep(oid, meta, memoryview(data))
        return True

    async def _ground(self, job: Job, *, keep: bool) -> Ground:
        flight, meta = job.flight, job.flight.meta
        assert meta is not None
        if flight.through and meta.settled and meta.size <= LARGEST_BYTES:
            return Packing(meta.size, partial(self._warm, flight.oid, meta))
        if keep and meta.size <= min(PACKED_BYTES, flight.page_bytes):
            # Nothing here leads back to the flight: as a cycle the object would lie in memory until it is collected.
            return Packing(meta.size, partial(self._pack, flight.oid, meta))
        if keep and len(flight.pages):
            extent = flight.pages.start * flight.page_bytes // EXTENT_BYTES
            landing = await self._store.land(flight.oid, meta, flight.page_bytes, extent, flight.pages)
            if landing is not None:
                return landing
        window = Window(flight.pages.start * flight.page_bytes, _room(flight), self._memory, panes=self._panes)
        flight.on_left = window.leave
        flight.abandoned = not flight.waiting()
        return window


def remaining(flight: Flight, until: int | None = None) -> Span:
    """The bytes still to bring: from the last landed block on, up to where a request ends."""
    size = flight.meta.size if flight.meta is not None else (1 << 63) - 1
    whole = page_span(flight.pages, flight.page_bytes, size)
    start = flight.landed if flight.ground is not None else whole.start
    return Span(start, whole.end if until is None else min(whole.end, until))


def _unwritten(flight: Flight) -> int:
    """The bytes of a small object that wait for the disk: they stay in the memory budget until they are written."""
    return flight.ground.landed() if isinstance(flight.ground, Packing) else 0


def _whole_pages(left: Span, nbytes: int, page_bytes: int) -> Span:
    """The first `nbytes` of what remains, rounded up to the end of a page."""
    end = -(-(left.start + nbytes) // page_bytes) * page_bytes
    return Span(left.start, min(end, left.end))


class _Progress:
    """What one request of a flight has brought, for the ledger's kinds."""

    def __init__(self, job: Job, start: int) -> None:
        self._page_bytes = job.flight.page_bytes
        self._again = job.again
        self._start = start
        self.received = 0
        self.kept_to = start

    def kind(self) -> str:
        """What the next bytes count as."""
        return "refetch" if (self._start + self.received) // self._page_bytes in self._again else "unique"

    def beyond_block(self) -> int:
        """Bytes received behind the last landed block: a resumed flight asks for them again."""
        return self._start + self.received - self.kept_to

    def beyond_page(self) -> int:
        """Bytes received behind the last whole page: an abandoned flight throws them away."""
        kept = self.kept_to - self.kept_to % self._page_bytes
        return self._start + self.received - max(kept, self._start)


def _room(flight: Flight) -> Callable[[int], Awaitable[None]]:
    return lambda offset: flight.readers_at(offset, PATIENCE_SECONDS)
