"""Handing over: a member that leaves has those that will own what it owns pull it first, within the region alone.

What is pinned goes first, then the newest. It is done when a whole walk over what is held has moved nothing: what is
brought here meanwhile is handed over too. Nothing is fetched for it from anywhere else.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from namespace.model import Bucket
from regioncache.cluster.members import Member
from regioncache.errors import BadAnswer, CacheError, OriginUnavailable
from regioncache.newest import Newest
from regioncache.owners.owners import Owners
from regioncache.pages import EXTENT_BYTES, Meta, ObjectId, Span
from regioncache.store.store import Store

AT_ONCE = 8
"""Extents on their way at a time: small objects cost a round trip each, and large ones share the network."""
WALKS = 5
"""After so many the rest is what readers bring at this moment; it is brought again where they read next."""
PULL_SECONDS = 120.0
"""For one extent, at 5 Mbit/s."""
ANSWER_BYTES = 4096
TRIES = 20
PAUSE_SECONDS = 0.5
"""Between two tries; a member that is gone is out of the view after 10 s, and another one is next."""


@dataclass(frozen=True, slots=True)
class HandoverStatistics:
    """What was handed over so far: extents and packed objects that were looked at, bytes that moved."""

    running: bool
    looked_at: int
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class _Item:
    """An extent, or a packed object, of a version that is held here."""

    bucket: Bucket
    oid: ObjectId
    meta: Meta
    extent: int


class Handover:
    """Mutable state: how far it is."""

    def __init__(self, store: Store, newest: Newest, owners: Owners, bucket: Callable[[bytes], Bucket | None]) -> None:
        """`bucket` finds a bucket of the topology in force by its id."""
        self._store = store
        self._newest = newest
        self._owners = owners
        self._bucket = bucket
        self._running = False
        self._looked_at = 0
        self._moved_bytes = 0

    def statistics(self) -> HandoverStatistics:
        """How far it is."""
        return HandoverStatistics(self._running, self._looked_at, self._moved_bytes)

    async def run(self) -> None:
        """Hands over all that is owned here. Raises OriginUnavailable where a member does not take what it will own."""
        self._running = True
        try:
            for _ in range(WALKS):
                before = self._moved_bytes
                await self._walk()
                if self._moved_bytes == before:
                    return
        finally:
            self._running = False

    async def _walk(self) -> None:
        coming = asyncio.Queue[_Item | None](AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._take(coming))
                async for oid in self._store.objects():
                    for item in await self._items(oid):
                        await coming.put(item)
                for _ in range(AT_ONCE):
                    await coming.put(None)
        except* OriginUnavailable as several:
            raise several.exceptions[0] from several

    async def _items(self, oid: ObjectId) -> list[_Item]:
        bucket, meta = self._bucket(oid.bucket), await self._newest.recall(oid)
        if bucket is None or meta is None:
            return []
        per_extent, pages = EXTENT_BYTES // bucket.page, -(-meta.size // bucket.page)
        items = []
        for extent in range(-(-meta.size // EXTENT_BYTES) or 1):
            run = Span(extent * per_extent, (extent + 1) * per_extent).within(Span(0, pages))
            held = not pages or self._store.present(oid, meta.version, bucket.page, run)
            if held and not self._owners.through(oid, extent):
                items.append(_Item(bucket, oid, meta, extent))
        return items

    async def _take(self, coming: "asyncio.Queue[_Item | None]") -> None:
        while (item := await coming.get()) is not None:
            await self._hand_over(item)
            self._looked_at += 1

    async def _hand_over(self, item: _Item) -> None:
        ownership, fault = self._owners.ownership, OriginUnavailable("nobody was asked")
        for _ in range(TRIES):
            epoch, member = ownership.epoch, ownership.next_owner(item.oid, item.extent)
            if member is None:
                return  # nobody is left who could have it
            try:
                moved = await self._pulled(item, member)
            except CacheError as failed:
                fault = OriginUnavailable(f"member {member.name} does not take over {item.oid.key!r}: {failed}")
            else:
                self._moved_bytes += moved
                return
            await ownership.newer(epoch, PAUSE_SECONDS)
        raise fault

    async def _pulled(self, item: _Item, member: Member) -> int:
        values = {
            "bucket": item.bucket.name,
            "id": item.oid.bucket.hex(),
            "key": item.oid.key,
            "extent": str(item.extent),
        }
        routes = self._owners.routes
        body = await routes.ask(member, "pull", values, seconds=PULL_SECONDS, most_bytes=ANSWER_BYTES)
        try:
            return int(json.loads(body)["moved"])
        except (ValueError, KeyError, TypeError) as fault:
            raise BadAnswer(f"member {member.name} does not say what it took over: {fault}") from fault
