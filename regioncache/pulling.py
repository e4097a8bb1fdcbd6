"""Pulling: a member that will own an extent takes from its owner what that one has of it. Nobody else is asked."""

from collections.abc import Callable

from namespace.resolver import Place
from regioncache.errors import OriginUnavailable
from regioncache.fetching import Job
from regioncache.flights import Flight, missing
from regioncache.newest import Newest
from regioncache.origins.base import Payer
from regioncache.owners.holdings import Held
from regioncache.pages import Meta, ObjectId, Span
from regioncache.reader import Shelf

PAYER = Payer("other", "prefetch")


class Pulling:
    """Brings what owners hand over. Its state is that of its parts."""

    def __init__(self, shelf: Shelf, newest: Newest, keeps: Callable[[Place], bool]) -> None:
        """`keeps` says whether the cache rules keep what is at a place."""
        self._shelf = shelf
        self._newest = newest
        self._keeps = keeps

    async def pull(self, place: Place, oid: ObjectId, extent: int) -> int:
        """Takes over what the owner of an extent has of it; returns the bytes that moved.

        Raises OriginUnavailable where the owner does not answer, or does not give what it has.
        """
        owners = self._newest.owners
        owner = owners.ownership.owner(oid, extent)
        if owner is None or not self._keeps(place):
            return 0  # it is ours by now: what comes of it is asked for when it is read
        ticket = self._newest.catalog.ticket()
        held = await owners.ask(owner, place, oid, extent)
        if held is None:
            raise OriginUnavailable(f"member {owner.name} does not say what it holds")
        meta = held.meta
        if meta is None or not meta.settled:
            return 0
        if held.doubted:
            self._newest.catalog.distrust(oid, meta.learned_at)
        self._newest.hear(oid, meta, ticket)
        if not meta.size:
            await self._shelf.store.pack(oid, meta, b"")
            return 0
        before = self._bytes(oid, meta, place.bucket.page, held)
        for run in missing_runs(self._shelf, oid, meta, place.bucket.page, held):
            flight = Flight(oid, run, place.bucket.page, PAYER, meta.version, meta)
            self._shelf.flights.add(flight, meta.version)
            self._shelf.filler.start(Job(flight, place, (), keep=True, lender=owner))
            while not flight.done:
                await flight.change()
            if flight.fault is not None:
                raise OriginUnavailable(f"not all of it came: {flight.fault}")
        return self._bytes(oid, meta, place.bucket.page, held) - before

    def _bytes(self, oid: ObjectId, meta: Meta, page_bytes: int, held: Held) -> int:
        store = self._shelf.store
        found = [run for wanted in held.runs for run in store.present(oid, meta.version, page_bytes, wanted)]
        return sum(min(run.end * page_bytes, meta.size) - run.start * page_bytes for run in found)


def missing_runs(shelf: Shelf, oid: ObjectId, meta: Meta, page_bytes: int, held: Held) -> list[Span]:
    """Returns the runs that another member holds, and that are neither here nor on their way."""
    flying = [flight.brings(page_bytes) for flight in shelf.flights.of(oid, meta.version) if not flight.through]
    return [
        run
        for wanted in held.runs
        for run in missing(wanted, [*shelf.store.present(oid, meta.version, page_bytes, wanted), *flying])
    ]
