"""Whose the entries are: keys lie on the disks, not in memory, and are read there some dozens at a time."""

from collections.abc import Iterable

from regioncache.pages import ObjectId
from regioncache.store.base import LayoutTooNew, PageGone
from regioncache.store.cachepath import CachePath
from regioncache.store.header import START_BYTES, BadHeader, decode_identity
from regioncache.store.index import Index, Kind
from regioncache.store.record import BadRecord, decode_facts


class Keys:
    """Reads whose an entry is."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def of(self, path: CachePath, slots: list[int]) -> dict[int, ObjectId]:
        """Returns the objects of those entries that are still there when they were read.

        What is damaged is dropped and counted; what cannot be read now is left out.
        """
        index = self._index
        # What was gathered before others had the loop may have moved since.
        slots = [slot for slot in slots if index.paths[slot] == path.number]
        were = {slot: self._entry(slot) for slot in slots}
        packed = [slot for slot in slots if index.kinds[slot] == Kind.PACKED]
        extents = [slot for slot in slots if index.kinds[slot] in (Kind.HEAD, Kind.TAIL)]
        found = await self._of_packed(path, packed) if packed else {}
        if extents:
            found.update(await self._of_extents(path, extents))
        # What moved to another path meanwhile, or gave its slot to another entry, is not this path's to change.
        return {slot: oid for slot, oid in found.items() if self._entry(slot) == were[slot]}

    def _entry(self, slot: int) -> tuple[int, int, int]:
        """What a slot holds, and where."""
        index = self._index
        return index.paths[slot], index.kinds[slot], index.keys[slot]

    async def _of_packed(self, path: CachePath, slots: list[int]) -> dict[int, ObjectId]:
        index = self._index
        slots.sort(key=index.packed_place)
        before = [(self._entry(slot), index.packed_place(slot)) for slot in slots]
        found: dict[int, ObjectId] = {}
        try:
            heads = await path.packs.heads(slots)
        except OSError as error:
            path.failed(error)
            return found
        for slot, was, head in zip(slots, before, heads, strict=True):
            if (self._entry(slot), index.packed_place(slot)) != was:
                continue
            try:
                found[slot] = decode_facts(head)[0]
            except BadRecord:
                path.spoilt(slot)
        return found

    async def _of_extents(self, path: CachePath, slots: list[int]) -> dict[int, ObjectId]:
        found: dict[int, ObjectId] = {}
        closed: dict[int, str] = {}
        for slot in slots:
            if self._index.paths[slot] != path.number:
                continue
            if path.is_open(slot):
                try:
                    found[slot] = (await path.open(slot)).identity.oid
                except PageGone:
                    continue
                except OSError as error:
                    path.failed(error)
            else:
                closed[slot] = path.file_path(self._index.keys[slot], self._index.place[slot])
        if closed:
            found.update(await self._of_closed(path, closed))
        return found

    async def _of_closed(self, path: CachePath, closed: dict[int, str]) -> dict[int, ObjectId]:
        index, found = self._index, dict[int, ObjectId]()
        try:
            read = await path.disk.run(_read_keys, path, list(closed.values()))
        except OSError as error:
            path.failed(error)
            return found
        for (slot, name), oid in zip(closed.items(), read, strict=True):
            there = index.kinds[slot] != Kind.FREE and index.paths[slot] == path.number
            if not there or name != path.file_path(index.keys[slot], index.place[slot]):
                continue
            if isinstance(oid, ObjectId):
                found[slot] = oid
            elif isinstance(oid, OSError) and not isinstance(oid, FileNotFoundError):
                path.failed(oid)
            else:
                path.unreadable(slot, name)
        return found


def _read_keys(path: CachePath, names: Iterable[str]) -> list[ObjectId | OSError | BadHeader | LayoutTooNew]:
    """Blocks."""
    found: list[ObjectId | OSError | BadHeader | LayoutTooNew] = []
    for name in names:
        try:
            file = path.disk.open(name, 0)
            found.append(decode_identity(path.disk.read(file, 0, START_BYTES)).oid)
        except (OSError, BadHeader, LayoutTooNew) as error:
            found.append(error)
    return found
