"""Doubting: from now on nothing learned before is believed of an object, or of a prefix, on any member."""

import asyncio
from collections.abc import Callable, Iterable

from regioncache.catalog import Catalog, Doubted
from regioncache.lists import Lists
from regioncache.owners.owners import Owners
from regioncache.pages import ObjectId


class Doubting:
    """Doubts here, and tells the other members to do so. Its state is that of its parts."""

    def __init__(self, catalog: Catalog, lists: Lists, owners: Owners, wall: Callable[[], float]) -> None:
        """`wall` is epoch seconds."""
        self._catalog = catalog
        self._lists = lists
        self._owners = owners
        self._wall = wall

    def object(self, bucket: bytes, key: str) -> Doubted:
        """What doubts one object from now on."""
        return Doubted(bucket, key, True, self._wall())

    def beneath(self, bucket: bytes, prefix: str) -> Doubted:
        """What doubts, from now on, all keys that begin so."""
        return Doubted(bucket, prefix, False, self._wall())

    def doubt(self, doubted: Doubted) -> int:
        """Doubts it here; returns how much was known of it."""
        bucket, key = doubted.bucket, doubted.key
        self._lists.doubt(bucket, key)
        if not doubted.whole:
            return self._catalog.doubt(bucket, key, doubted.at)
        oid = ObjectId(bucket, key)
        known = self._catalog.find(oid) is not None
        self._catalog.distrust(oid, doubted.at)
        return int(known)

    async def tell(self, doubts: Iterable[Doubted]) -> tuple[str, ...]:
        """Tells all other members; returns the names of those that could not be told all of it."""
        untold = await asyncio.gather(*(self._owners.tell_all(_values(one)) for one in doubts))
        return tuple(sorted(set().union(*untold)))


def _values(doubted: Doubted) -> dict[str, str]:
    """What a member is told. Not when: it doubts from when it hears, by its own clock."""
    return {"what": "object" if doubted.whole else "prefix", "id": doubted.bucket.hex(), "key": doubted.key}
