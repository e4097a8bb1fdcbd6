"""What members of a cluster ask one another beyond reading: what one holds, whether it is alive, what it must know.

All of it is answered from memory; nothing here leads to a source. A far region finds none of these desks.
"""

import json
from collections.abc import Callable

from regioncache.doubting import Doubting
from regioncache.doubts import Doubts
from regioncache.errors import BadAnswer, NotSupported
from regioncache.http.messages import Reply
from regioncache.newest import Newest
from regioncache.owners.holdings import Held
from regioncache.pages import EXTENT_BYTES, Meta, ObjectId, Span
from regioncache.peers.desks import Desk, Values, for_members
from regioncache.peers.wire import BadPeerRequest, parse_facts
from regioncache.places import Places
from regioncache.pulling import Pulling
from regioncache.standing import Standing

NEWER_SECONDS = 0.5
"""Whoever asks what is held here has a newer view: it is a moment away."""
JSON = [(b"content-type", b"application/json")]


class MemberDesks:
    """Answers members of the own region, by what the parts of the cache know."""

    def __init__(
        self,
        region: str,
        newest: Newest,
        doubting: Doubting,
        doubts: Doubts,
        places: Places,
        pulling: Pulling,
        wall: Callable[[], float],
    ) -> None:
        """`region` is our own; `wall` is epoch seconds."""
        self._region = region
        self._newest = newest
        self._store = newest.shelf.store
        self._flights = newest.shelf.flights
        self._ownership = newest.owners.ownership
        self._doubting = doubting
        self._doubts = doubts
        self._places = places
        self._pulling = pulling
        self._wall = wall

    def desks(self) -> dict[str, Desk]:
        """The desks by operation."""
        desks: dict[str, Desk] = {"held": self.held, "alive": self.alive, "tell": self.tell, "pull": self.pull}
        return {operation: for_members(self._region, desk) for operation, desk in desks.items()}

    async def alive(self, region: str, values: Values) -> Reply:
        """Says that the process is there, and which view it goes by."""
        return Reply(200, JSON, json.dumps({"epoch": self._ownership.epoch}).encode())

    async def held(self, region: str, values: Values) -> Reply:
        """Says what is known of an object, and which pages of an extent are here or landing."""
        try:
            oid, epoch = _object(values), int(values["epoch"])
            extent, page_bytes = int(values["extent"]), int(values["page"])
            per_extent = EXTENT_BYTES // page_bytes
            if extent < 0 or page_bytes < 0:
                raise ValueError(f"extent {extent}, pages of {page_bytes} bytes")
        except (ValueError, KeyError, ZeroDivisionError) as fault:
            raise BadPeerRequest(f"the question what is held is malformed: {fault}") from fault
        ownership = self._ownership
        if ownership.epoch < epoch:
            # By the older view something might still be asked of a source after this was answered.
            await ownership.newer(epoch - 1, NEWER_SECONDS)
        meta = await self._newest.recall(oid)
        # No await from here: what is said goes together.
        opening = self._flights.opening(oid, Standing.HELD) is not None
        if meta is None:
            return self._said(Held(ownership.epoch, opening=opening))
        doubted = self._newest.catalog.age(oid, meta, self._wall()) is None
        pages = Span(extent * per_extent, (extent + 1) * per_extent)
        runs = self._runs(oid, meta, page_bytes, pages)
        return self._said(Held(ownership.epoch, meta, doubted, opening, tuple(runs)))

    async def tell(self, region: str, values: Values) -> Reply:
        """Hears what another member has learned, or that something is not to be believed any more."""
        try:
            match values["what"]:
                case "learned":
                    self._learn(_object(values), values["object"])
                case "object" | "prefix" as what:
                    oid = _object(values)
                    doubting = self._doubting
                    doubting.doubt((doubting.object if what == "object" else doubting.beneath)(*oid))
                case what:
                    raise BadPeerRequest(f"{what!r} is nothing that a member tells")
        except (ValueError, KeyError, BadAnswer) as fault:
            raise BadPeerRequest(f"what is told is malformed: {fault}") from fault
        await self._doubts.kept()
        return Reply(200, JSON, b"{}")

    async def pull(self, region: str, values: Values) -> Reply:
        """Takes over what the owner of an extent has of it, within the region."""
        try:
            oid, extent = _object(values), int(values["extent"])
            place = self._places.of(values["bucket"], oid.key)
        except (ValueError, KeyError) as fault:
            raise BadPeerRequest(f"what is to be pulled is malformed: {fault}") from fault
        if place is None or place.bucket.id != oid.bucket:
            raise NotSupported("this member has another topology: it knows no such bucket")
        moved = await self._pulling.pull(place, oid, extent)
        return Reply(200, JSON, json.dumps({"moved": moved}).encode())

    def _learn(self, oid: ObjectId, told: str) -> None:
        meta, _ = parse_facts(told.encode("ascii"), self._wall())
        catalog = self._newest.catalog
        if catalog.age(oid, meta, self._wall()) is not None:  # a doubt that came since says more
            self._newest.hear(oid, meta, catalog.ticket())

    def _runs(self, oid: ObjectId, meta: Meta, page_bytes: int, pages: Span) -> list[Span]:
        whole = pages.within(Span(0, -(-meta.size // page_bytes)))
        if not len(whole):
            return []
        runs = self._store.present(oid, meta.version, page_bytes, whole)
        flying = self._flights.of(oid, meta.version, Standing.HELD)
        return [*runs, *(run for flight in flying if len(run := flight.brings(page_bytes).within(whole)))]

    def _said(self, held: Held) -> Reply:
        return Reply(200, JSON, held.body(self._wall()))


def _object(values: Values) -> ObjectId:
    return ObjectId(bytes.fromhex(values["id"]), values["key"])
