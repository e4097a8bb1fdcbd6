"""Fills: brings the pages of a flight from the first route that has them, and lands them.

A flight that loses its connection goes on from its last landed block, by the next route if need be; nothing is asked
twice in parallel. What was received and is thrown away is relabelled in the ledger: `retry` when it is asked again,
`over_read` when nobody wants it any more.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from namespace.resolver import Place
from regioncache.errors import (
    BadAnswer,
    CacheError,
    NotSoon,
    OriginNeedsMending,
    OriginTried,
    OriginUnavailable,
    RangeOutside,
    VersionChanged,
    WrongVersion,
)
from regioncache.flights import Flight, Flights, Ground, rank
from regioncache.grounds import Packing, Window
from regioncache.health import WayId
from regioncache.hot import HotObjects
from regioncache.lines.base import Crossing
from regioncache.memory import Memory
from regioncache.origins.base import Reading, Want
from regioncache.pages import BLOCK_BYTES, EXTENT_BYTES, MIB, PACKED_BYTES, STEP_BYTES, Meta, ObjectId, Span, page_span
from regioncache.sources import Route, Sources
from regioncache.store.base import NotKept
from regioncache.store.store import Store
from regioncache.tally import Tally
from regioncache.tracing import Passage

FINISH_BYTES = 8 * MIB
"""An abandoned flight finishes its request if no more than this remains (line-rules, Flight)."""
FLIGHT_BYTES = 3 * STEP_BYTES
"""What a flight holds of the memory budget: the batch being filled, the one being written, the one still being read."""
ROUNDS = 3
"""Over the routes without a whole page's progress."""
BACKOFF_SECONDS = 0.1
"""Before the second round over the routes; four times as much before the third."""
PATIENT_FLIGHTS = 16
"""Flights that wait on for a line that has no room soon; they hold 12 MiB, of the 14 that the least budget keeps for
flights. One more ends: nothing of it was asked for yet."""
PATIENCE_SECONDS = 2.0
"""Where nothing is kept, a reader that stands still holds up the others at its flight for so long."""


class _Abandoned(CacheError):
    """Nobody waits any more and too much remains."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a flight is to bring, and what the reader's mount says of keeping it."""

    flight: Flight
    place: Place
    hops: int
    keep: bool
    fresh_seconds: float = 0.0
    again: frozenset[int] = frozenset()
    """Pages that were here, or partly here, before: they count `refetch`."""
    learned: Callable[[Meta], None] | None = None
    """Told once what the first reply says of an unknown object."""


class Filler:
    """Runs flights, each in a task of its own that ends before `stop` returns.

    Mutable state: `_tasks`, and `_landings`, those of them that are at their last step; `_patient`, how many wait on.
    """

    def __init__(
        self,
        store: Store,
        hot: HotObjects,
        flights: Flights,
        sources: Sources,
        memory: Memory,
        tally: Tally,
        on_fault: Callable[[BaseException], None],
        *,
        on_change: Callable[[ObjectId], None] = lambda oid: None,
        on_part: Callable[[ObjectId, int], None] = lambda oid, page: None,
    ) -> None:
        """`on_fault` is told of faults that should not be; `on_change` of objects that were overwritten in flight;

        `on_part` of pages that a failed flight had brought in part: that part is lost with it.
        """
        self._store = store
        self._hot = hot
        self._flights = flights
        self._sources = sources
        self._memory = memory
        self._tally = tally
        self._on_fault = on_fault
        self._on_change = on_change
        self._on_part = on_part
        self._tasks: set[asyncio.Task[None]] = set()
        self._landings: set[asyncio.Task[None]] = set()
        self._patient = 0

    def start(self, job: Job) -> None:
        """Starts the flight; it is registered already, and leaves the register when it ends."""
        flight = job.flight
        if flight.starter.trail is not None:
            pages = {"causeway.first_page": flight.pages.start, "causeway.pages": len(flight.pages)}
            flight.trail = flight.starter.trail.begin("flight", pages)
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._landings.discard(task)

    async def stop(self) -> None:
        """Ends all flights; whole pages are kept."""
        for task in self._tasks - self._landings:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        flight = job.flight
        try:
            await self._rounds(job)
        except CacheError as fault:
            # To end for want of readers is no fault: one who comes while it lands goes on with another flight.
            flight.fault = None if isinstance(fault, _Abandoned) else fault
            if isinstance(fault, VersionChanged):
                self._on_change(flight.oid)
        except asyncio.CancelledError:
            flight.fault = OriginUnavailable("the node is stopping; ask another one", 1.0)
            raise
        except Exception as fault:
            flight.fault = OriginUnavailable(f"the fill of {flight.oid.key!r} failed: {type(fault).__name__}", 1.0)
            self._on_fault(fault)
        finally:
            # From here on nobody cancels: what came is kept.
            task = asyncio.current_task()
            assert task is not None
            self._landings.add(task)
            await self._land_for_good(flight)

    async def _land_for_good(self, flight: Flight) -> None:
        try:
            if flight.ground is not None:
                await flight.ground.close()
        except Exception as fault:
            self._on_fault(fault)
        finally:
            self._memory.give("flight", flight.unwritten)
            # No await from here on: who finds no flight must find its pages.
            self._flights.remove(flight)
            flight.end()

    async def _rounds(self, job: Job) -> None:
        flight, attempt, tried = job.flight, 0, set[WayId]()
        fault: CacheError = OriginUnavailable("no route was tried")
        while routes := [route for route in self._sources.of(job.place) if route.id not in tried]:
            for route in routes:
                before = flight.landed
                try:
                    return await self._bring(job, route)
                except (OriginUnavailable, BadAnswer) as failed:
                    fault = failed
                    if flight.landed - before >= flight.page_bytes:
                        attempt = 0
                    elif isinstance(failed, OriginTried | OriginNeedsMending):
                        tried.add(route.id)
                if flight.abandoned:
                    self._tell_part(flight)
                    raise _Abandoned("nobody waits for another try") from fault
            attempt += 1
            if attempt >= ROUNDS:
                break
            await asyncio.sleep(BACKOFF_SECONDS * 4 ** (attempt - 1))
        self._tell_part(flight)
        if isinstance(fault, WrongVersion):
            raise VersionChanged(str(fault)) from fault
        if isinstance(fault, BadAnswer):
            raise OriginUnavailable(str(fault)) from fault
        raise fault

    def _tell_part(self, flight: Flight) -> None:
        if flight.landed % flight.page_bytes and not isinstance(flight.ground, Window):
            self._on_part(flight.oid, flight.landed // flight.page_bytes)

    async def _bring(self, job: Job, route: Route) -> None:
        """Brings what remains of the run, by one request or, while others wait for the line, several."""
        await self._fetch(job, route)
        while len(self._remaining(job.flight)):
            if job.flight.abandoned:
                raise _Abandoned("nobody waits for what another request would bring")
            await self._fetch(job, route)

    async def _fetch(self, job: Job, route: Route) -> None:
        """One request. Where the line has no room soon, who waits is told to come again, and the flight waits on."""
        try:
            return await self._request(job, route, patient=False)
        except NotSoon as late:
            if not job.keep or self._patient >= PATIENT_FLIGHTS:
                raise
            job.flight.tell_late(late)
        self._patient += 1
        try:
            await self._request(job, route, patient=True)
        finally:
            self._patient -= 1

    async def _request(self, job: Job, route: Route, *, patient: bool) -> None:
        flight = job.flight
        progress = _Progress(job, self._remaining(flight).start)
        crossing = route.crossing(flight.payer, progress.kind)
        crossing.patient = patient
        flight.began(route.kind, route.line, crossing)
        passage = route.traced(flight.trail, "read")
        try:
            async with self._sources.turn(route, "read", rank(flight.payer().cls)) as waited:
                if waited and flight.abandoned:
                    raise _Abandoned("nobody waits any more for what was not asked for yet")
                await self._exchange(job, route, crossing, progress, passage)
        except (_Abandoned, NotKept):
            crossing.spoil(progress.beyond_page(), "over_read")
            raise
        except CacheError:
            crossing.spoil(progress.beyond_block(), "retry")
            raise
        finally:
            if passage is not None:
                fault = sys.exception()
                left = isinstance(fault, _Abandoned)  # for want of readers: no fault
                passage.end(None if left else fault, crossing.waited, progress.received)
            flight.ended()
            crossing.close()

    async def _exchange(
        self, job: Job, route: Route, crossing: Crossing, progress: "_Progress", passage: Passage | None
    ) -> None:
        """Asks for what remains and receives it, within the memory budget."""
        flight = job.flight
        await self._memory.take("flight", FLIGHT_BYTES)
        try:
            reading = await self._ask(job, route, crossing, self._remaining(flight), passage)
            if passage is not None:
                passage.far.mark("head")
            try:
                await self._receive(job, reading, progress)
            finally:
                reading.close()
        finally:
            before, flight.unwritten = flight.unwritten, _unwritten(flight)
            self._memory.give("flight", FLIGHT_BYTES + before - flight.unwritten)

    async def _ask(
        self, job: Job, route: Route, crossing: Crossing, remaining: Span, passage: Passage | None
    ) -> Reading:
        flight, payer = job.flight, job.flight.payer()
        wanted = _whole_pages(remaining, crossing.request_wanted(len(remaining)), flight.page_bytes)
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

    def _remaining(self, flight: Flight) -> Span:
        """The bytes still to bring: from the last landed block on."""
        size = flight.meta.size if flight.meta is not None else (1 << 63) - 1
        whole = page_span(flight.pages, flight.page_bytes, size)
        return Span(flight.landed, whole.end) if flight.ground is not None else whole

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
                raise _Abandoned("nobody waits for the rest")

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

    async def _ground(self, job: Job, *, keep: bool) -> Ground:
        flight, meta = job.flight, job.flight.meta
        assert meta is not None
        if keep and meta.size <= min(PACKED_BYTES, flight.page_bytes):
            # Nothing here leads back to the flight: as a cycle the object would lie in memory until it is collected.
            return Packing(meta.size, partial(self._pack, flight.oid, meta))
        if keep and len(flight.pages):
            extent = flight.pages.start * flight.page_bytes // EXTENT_BYTES
            landing = await self._store.land(flight.oid, meta, flight.page_bytes, extent, flight.pages)
            if landing is not None:
                return landing
        window = Window(flight.pages.start * flight.page_bytes, _room(flight), self._memory)
        flight.on_left = window.leave
        flight.abandoned = not flight.waiting()
        return window


def _unwritten(flight: Flight) -> int:
    """The bytes of a small object that wait for the disk: they stay in the memory budget until they are written."""
    return flight.ground.landed() if isinstance(flight.ground, Packing) else 0


def _whole_pages(remaining: Span, nbytes: int, page_bytes: int) -> Span:
    """The first `nbytes` of what remains, rounded up to the end of a page."""
    end = -(-(remaining.start + nbytes) // page_bytes) * page_bytes
    return Span(remaining.start, min(end, remaining.end))


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
