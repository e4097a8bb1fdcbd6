"""What is held, object by object, what is pinned first and then the newest: for who hands it over."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from itertools import groupby

from regioncache.pages import ObjectId
from regioncache.store.cachepath import CachePath
from regioncache.store.index import Index, Kind
from regioncache.store.keeping import Keeping
from regioncache.store.keyreading import Keys

_READ_AT_ONCE = 64


async def objects(paths: list[CachePath], index: Index, keeping: Keeping) -> AsyncIterator[ObjectId]:
    """Yields every object that is held when this begins; what comes meanwhile may be left out.

    Of each object there is one head, its packed record or its first extent, whatever else of it is held.
    """
    keys = Keys(index)
    pinned = bytes(keeping.groups.keeps[group].pinned for group in index.links.group)
    # A million entries are a second of work: in a thread, over copies.
    slots = await asyncio.to_thread(_ordered, bytes(index.kinds), array("I", index.brought), pinned)
    for start in range(0, len(slots), _READ_AT_ONCE):
        portion = [slot for slot in slots[start : start + _READ_AT_ONCE] if index.kinds[slot] != Kind.FREE]
        found: dict[int, ObjectId] = {}
        for number, of_path in groupby(sorted(portion, key=index.paths.__getitem__), index.paths.__getitem__):
            if paths[number].disk.out is None:
                found.update(await keys.of(paths[number], list(of_path)))
        for slot in portion:
            if slot in found:
                yield found[slot]


def _ordered(kinds: bytes, brought: "array[int]", pinned: bytes) -> list[int]:
    heads = [slot for slot, kind in enumerate(kinds) if kind in (Kind.PACKED, Kind.HEAD)]
    heads.sort(key=lambda slot: (pinned[slot], brought[slot]), reverse=True)
    return heads
