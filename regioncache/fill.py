"""Fills: brings the pages of a flight from the first route that has them, and lands them.

A flight that loses its connection goes on from its last landed block, by the next route if need be; nothing is asked
twice in parallel. One that reads through the owner of its extent goes on by whoever that is meanwhile.
"""

import asyncio
import time
from collections.abc import Callable

from regioncache.cluster.members import Member
from regioncache.errors import (
    BadAnswer,
    CacheError,
    NodeStopping,
    NotSoon,
    OriginNeedsMending,
    OriginTried,
    OriginUnavailable,
    SlowDown,
    VersionChanged,
    WrongVersion,
)
from regioncache.fetching import Abandoned, Fetching, Job, remaining
from regioncache.flights import Flight, Flights
from regioncache.grounds import Window
from regioncache.health import WayId
from regioncache.hot import HotObjects
from regioncache.memory import Memory
from regioncache.owners.owners import Leg, Moved, Owners, is_silence
from regioncache.owners.patience import BEGUN_SECONDS
from regioncache.pages import ObjectId
from regioncache.sources import Route, Sources
from regioncache.standing import Standing
from regioncache.store.base import NotKept
from regioncache.store.store import Store
from regioncache.tally import Tally

ROUNDS = 3
"""Over the routes without a whole page's progress."""
NODES = 2
"""Of a far region that break off one after the other, before the next route."""
BACKOFF_SECONDS = 0.1
"""Before the second round over the routes; four times as much before the third."""
PATIENT_FLIGHTS = 16
"""Flights that wait on for a line that has no room soon; they hold 12 MiB, of the 14 that the least budget keeps for
flights. One more ends: nothing of it was asked for yet."""


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
        owners: Owners | None = None,
    ) -> None:
        """`on_fault` is told of faults that should not be; `on_change` of objects that were overwritten in flight;

        `on_part` of pages that a failed flight had brought in part: that part is lost with it. Without `owners`
        everything is this process's own.
        """
        self.owners = owners or Owners(sources, time.monotonic)
        self._fetching = Fetching(store, hot, flights, sources, memory, tally)
        self._flights = flights
        self._sources = sources
        self._memory = memory
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
            # So it is where another member owns the extent now.
            flight.fault = None if isinstance(fault, Abandoned | Moved) else fault
            if isinstance(fault, VersionChanged):
                self._on_change(flight.oid)
        except asyncio.CancelledError:
            flight.fault = NodeStopping("the node is stopping; ask another one", 1.0)
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
        if job.flight.through:
            return await self._through_owner(job)
        if job.lender is not None:
            return await self._bring(job, self.owners.route(job.lender, job.place.bucket, Standing.HELD))
        if await self._from_members(job):
            return None
        flight, attempt, tried = job.flight, 0, set[WayId]()
        fault: CacheError = OriginUnavailable("no route was tried")
        while routes := [route for route in self._sources.of(job.place) if route.id not in tried]:
            for route in routes:
                before = flight.landed
                try:
                    return await self._bring_by_any(job, route)
                except (OriginUnavailable, BadAnswer) as failed:
                    fault = failed
                    if flight.landed - before >= flight.page_bytes:
                        attempt = 0
                    elif isinstance(failed, OriginTried | OriginNeedsMending):
                        tried.add(route.id)
                if flight.abandoned:
                    self._tell_part(flight)
                    raise Abandoned("nobody waits for another try") from fault
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

    async def _bring_by_any(self, job: Job, route: Route) -> None:
        """Brings what remains by one route; where a node of a far region breaks off, by another one there."""
        for _ in range(NODES):
            try:
                return await self._bring(job, route)
            except (OriginUnavailable, BadAnswer) as fault:
                if not is_silence(fault) or not route.others() or job.flight.abandoned:
                    raise
        return await self._bring(job, route)

    async def _from_members(self, job: Job) -> bool:
        """Brings what comes first from members that hold it, also while no source answers; True: that was all."""
        flight, owners = job.flight, self.owners
        if owners.ownership.alone:
            return False
        while loan := await owners.from_member(flight, job.place):
            await self._borrow(job, *loan)
            if flight.ground is not None and not len(remaining(flight)):
                return True
            if flight.abandoned:
                raise Abandoned("nobody waits for what others hold")
        return False

    async def _through_owner(self, job: Job) -> None:
        """Reads through the owner, whoever that is meanwhile; waits for it, and goes to no source itself."""
        flight, owners = job.flight, self.owners
        patience = owners.patience(BEGUN_SECONDS)
        while True:
            epoch, before = owners.ownership.epoch, flight.landed
            owner = owners.ownership.owner(flight.oid, flight.extent)
            if owner is None:
                raise Moved(f"{flight.oid.key!r}, extent {flight.extent}, is ours now")
            try:
                return await self._bring(job, owners.route(owner, job.place.bucket))
            except WrongVersion as fault:
                raise VersionChanged(str(fault)) from fault
            except SlowDown as late:
                # The owner is there: who has begun waits as long as it does, others are told to come again.
                flight.tell_late(late)
                owners.progress(patience)
                failed: CacheError = late
            except (OriginUnavailable, BadAnswer) as fault:
                if not is_silence(fault) and not isinstance(fault, BadAnswer):
                    raise
                failed = fault if isinstance(fault, OriginUnavailable) else OriginUnavailable(str(fault))
            if not flight.waiting():
                raise Abandoned("nobody waits for the owner")
            if flight.landed > before:
                owners.progress(patience)
            await owners.pause(failed, patience, epoch)

    def _tell_part(self, flight: Flight) -> None:
        if flight.landed % flight.page_bytes and not flight.through and not isinstance(flight.ground, Window):
            self._on_part(flight.oid, flight.landed // flight.page_bytes)

    async def _bring(self, job: Job, route: Route) -> None:
        """Brings what remains of the run, by one request or, while others wait for the line, several."""
        await self._next(job, route)
        while len(remaining(job.flight)):
            if job.flight.abandoned:
                raise Abandoned("nobody waits for what another request would bring")
            await self._next(job, route)

    async def _next(self, job: Job, route: Route) -> None:
        """One request: for what another member holds, as its owner, to that one; for all else by the route."""
        flight = job.flight
        straight = flight.through or job.lender is not None
        leg = Leg(route) if straight else await self.owners.leg(flight, job.place, route)
        await (self._borrow(job, *leg) if isinstance(leg, tuple) else self._fetch(job, leg))

    async def _borrow(self, job: Job, leg: Leg, member: Member) -> None:
        """One request for what another member holds; where that does not give it, it is asked for elsewhere."""
        try:
            await self._fetching.request(job, leg, patient=False)
        except (Abandoned, NotKept):
            raise
        except CacheError:
            self.owners.not_given(job.flight, member)

    async def _fetch(self, job: Job, leg: Leg) -> None:
        """One request. Where the line has no room soon, who waits is told to come again, and the flight waits on."""
        try:
            return await self._fetching.request(job, leg, patient=False)
        except NotSoon as late:
            if not job.keep or self._patient >= PATIENT_FLIGHTS:
                raise
            job.flight.tell_late(late)
        self._patient += 1
        try:
            await self._fetching.request(job, leg, patient=True)
        finally:
            self._patient -= 1
