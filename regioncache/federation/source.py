"""A bucket as a far region serves it: each question goes to the node there that it is for, or to one that forwards."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from regioncache.cluster.members import Member
from regioncache.cluster.ring import list_place, place
from regioncache.errors import CacheError, OriginTried, OriginUnavailable
from regioncache.federation.region import FarRegion, OpenCrossing
from regioncache.lines.base import Crossing
from regioncache.origins.base import ListAsk, ListPage, Part, Question, Reading, Want
from regioncache.owners.memberroutes import answered, closed
from regioncache.pages import EXTENT_BYTES, Meta, ObjectId, Span, Version
from regioncache.peers.client import PeerSource

MOST_SOURCES = 512
"""Nodes of a region that sources are kept for; with more they are made anew."""


@dataclass(frozen=True, slots=True)
class FarSource:
    """See `Source`. `node` makes the source of one node of the region; `open_crossing` the account of a probe."""

    region: FarRegion
    bucket_id: bytes
    node: Callable[[Member, Callable[[int], None]], PeerSource]
    open_crossing: OpenCrossing
    _sources: dict[Member, PeerSource] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What it is called in faults and in `explain`: the region, or its only node."""
        known = self.region.nodes.everyone()
        return self._at(known[0]).name if len(known) == 1 else f"region {self.region.name}"

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """See `Source.read`."""

        async def put(node: Member) -> Reading:
            asked = self._at(node).read(want, crossing)
            return await answered(asked, partial(self.region.alive, node, self.open_crossing), closed)

        at = place(ObjectId(self.bucket_id, want.key), want.span.start // EXTENT_BYTES)
        reading, node = await self.region.ask(at, crossing, self.open_crossing, put)
        return FarReading(reading, partial(self.region.failed, node))

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """See `Source.head`."""

        async def put(node: Member) -> Meta:
            asked = self._at(node).head(question, crossing)
            return await answered(asked, partial(self.region.alive, node, self.open_crossing))

        at = place(ObjectId(self.bucket_id, question.key), 0)
        return (await self.region.ask(at, crossing, self.open_crossing, put))[0]

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """See `PartSource.part`."""

        async def put(node: Member) -> Part:
            asked = self._at(node).part(question, number, version, crossing)
            return await answered(asked, partial(self.region.alive, node, self.open_crossing))

        at = place(ObjectId(self.bucket_id, question.key), 0)
        return (await self.region.ask(at, crossing, self.open_crossing, put))[0]

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """See `Source.list`."""

        async def put(node: Member) -> ListPage:
            asked = self._at(node).list(ask, question, crossing)
            return await answered(asked, partial(self.region.alive, node, self.open_crossing))

        at = list_place(self.bucket_id, ask.prefix)
        return (await self.region.ask(at, crossing, self.open_crossing, put))[0]

    def _at(self, node: Member) -> PeerSource:
        source = self._sources.get(node)
        if source is None:
            if len(self._sources) >= MOST_SOURCES:
                self._sources.clear()
            heard = partial(self.region.heard, open_crossing=self.open_crossing)
            source = self._sources[node] = self.node(node, heard)
        return source


class FarReading:
    """A reply of one node of a far region; that it breaks off is remembered of the node."""

    def __init__(self, reading: Reading, failed: Callable[[CacheError], None]) -> None:
        self._reading = reading
        self._failed = failed
        self.meta: Meta = reading.meta
        self.span: Span = reading.span

    async def receive(self, into: memoryview) -> int:
        """See `Reading.receive`."""
        try:
            return await self._reading.receive(into)
        except OriginTried:
            raise  # the node is there: what it reads from broke off
        except OriginUnavailable as broke_off:
            self._failed(broke_off)
            raise

    def close(self) -> None:
        """See `Reading.close`."""
        self._reading.close()
