"""Moves entries between disks of different speed, behind everything else: at most so many bytes a second, one by one.

An entry stays where it is, readable, until its copy is whole; then the index points to the copy, in one go. What
became of the entry meanwhile (dropped, replaced, more of it landed) ends the move, and the copy is removed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from regioncache.pages import MIB
from regioncache.store.appending import Placed
from regioncache.store.base import HEADER_BYTES, PageGone
from regioncache.store.cachepath import CachePath
from regioncache.store.copying import CannotRead, copied
from regioncache.store.index import Index, Kind
from regioncache.store.keeping import Keeping, takes_pinned
from regioncache.store.leaving import Doomed
from regioncache.store.queues import NOT_ON_DISK
from regioncache.store.record import BadRecord, Entry, What, decode_record
from regioncache.store.spread import best_of
from regioncache.store.tiers import Below, comes_down, goes_down

BYTES_PER_SECOND = 64 * MIB
"""Of all moves together: a fraction of what a hard disk writes in a row, so that reads have the rest."""
_TURN_SECONDS = 1.0
_UPS_A_TURN = 16
_DOWNS_A_TURN = 1024
"""Entries of a path that move before the other paths have their turn."""


class Moving:
    """Mutable state: the task; everything else is the paths' and the index'."""

    def __init__(
        self,
        paths: list[CachePath],
        index: Index,
        keeping: Keeping,
        generation: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Args: generation: gives the next one, for a file's name."""
        self._paths = paths
        self._index = index
        self._keeping = keeping
        self._generation = generation
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        for path in paths:
            path.leaving.moves_down = partial(self._moves_down, path)

    def __repr__(self) -> str:
        return f"Moving({'under way' if self._task else 'not begun'}, {len({path.tier for path in self._paths})} tiers)"

    def start(self) -> None:
        """Begins, where there is more than one tier."""
        if len({path.tier for path in self._paths}) > 1:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ends; a move under way is given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._sleep(_TURN_SECONDS)
            await self.turn()

    async def turn(self) -> None:
        """Does what is to be moved now: first down, so that there is room, then up."""
        for path in self._in_use():
            below = self._next_tier(path)
            path.fifo.behind = sum(len(other.fifo) for other in below)
            if below:
                await self._empty(path, below)
        for path in self._in_use():
            if isinstance(path.fifo, Below):
                await self._raise(path, path.fifo)

    def _in_use(self) -> Iterator[CachePath]:
        return (path for path in self._paths if path.disk.out is None and not path.disk.slow)

    def _next_tier(self, path: CachePath) -> list[CachePath]:
        below = [other for other in self._in_use() if other.tier > path.tier]
        return [other for other in below if other.tier == min(one.tier for one in below)]

    def _moves_down(self, path: CachePath) -> bool:
        return any(other.tier > path.tier for other in self._in_use())

    async def _empty(self, path: CachePath, below: list[CachePath]) -> None:
        """Takes what leaves first off a path that is fuller than its mark."""
        index = self._index
        for _ in range(_DOWNS_A_TURN):
            if path.disk.out is not None or path.fifo.used <= path.leaving.mark:
                return
            slot = path.fifo.evict(path.limit_bytes, index.keys)
            if slot is not None:
                await self._down(slot, path, below)
            elif not path.fifo.unlabelled or not await path.looked_at(path.fifo.unlabelled):
                return

    async def _down(self, slot: int, path: CachePath, below: list[CachePath]) -> None:
        """What has just left the queues of its path goes down, if that is worth it; else it leaves the cache."""
        index, reused = self._index, path.fifo.reused
        weight, entry = index.links.weight[slot], (index.place[slot], index.keys[slot])
        to = best_of(below, index.keys[slot])
        # What its path could not pin may be pinned below.
        pinned = to is not None and self._keeping.let_go(slot) and takes_pinned(to.fifo, to.limit_bytes, weight)
        if to is not None and (pinned or goes_down(path.fifo, to.fifo, weight, to.leaving.mark)):
            # It keeps its place until it is there.
            path.fifo.readmit(slot, weight, index.label(slot).group)
            if await self.move(slot, path, to, reused=reused):
                if pinned and self._still(slot, to, to):
                    index.links.labelled[slot] = NOT_ON_DISK
                    await to.looked_at([slot])
                return
            if entry != (index.place[slot], index.keys[slot]) or not path.at_rest(slot) or path.disk.out is not None:
                return
            path.fifo.remove(slot)
        path.leaving.one(slot)
        await asyncio.sleep(0)

    async def _raise(self, path: CachePath, fifo: Below) -> None:
        """Brings up what is used again and again."""
        above = [other for other in self._in_use() if other.tier < path.tier]
        fastest = [other for other in above if other.tier == min(one.tier for one in above)]
        for _ in range(_UPS_A_TURN):
            slot = fifo.hottest()
            to = None if slot is None else best_of(fastest, self._index.keys[slot])
            if slot is None or to is None:
                return
            if self._still(slot, path, to) and self._may_rise(slot, to):
                await self.move(slot, path, to, reused=True)

    def _may_rise(self, slot: int, to: CachePath) -> bool:
        """What is pinned stays below where the faster path has as much of that as it may."""
        group, weight = self._index.links.group[slot], self._index.links.weight[slot]
        return not to.fifo.groups.keeps[group].pinned or takes_pinned(to.fifo, to.limit_bytes, weight)

    async def move(self, slot: int, path: CachePath, to: CachePath, *, reused: bool) -> bool:
        """Moves an entry; False where that cannot be, or where something came of it meanwhile."""
        if not path.at_rest(slot):
            return False
        path.hold(slot)
        index = self._index
        entry = self._entry(slot)
        try:
            if index.kinds[slot] == Kind.PACKED:
                return await self._move_packed(slot, path, to, reused=reused)
            return await self._move_extent(slot, path, to, reused=reused)
        except PageGone:
            return False
        except CannotRead as failed:
            path.failed(failed.fault)
            return False
        except OSError as error:
            to.failed(error)
            return False
        finally:
            if entry == self._entry(slot):
                path.release(slot)

    def _entry(self, slot: int) -> tuple[int, ...]:
        """What tells an entry from the next one of its slot. A packed one may get another place on its path."""
        index, kind = self._index, self._index.kinds[slot]
        return index.paths[slot], kind, 0 if kind == Kind.PACKED else index.place[slot], index.keys[slot]

    async def _pace(self, nbytes: int) -> None:
        await self._sleep(nbytes / BYTES_PER_SECOND)

    async def _move_extent(self, slot: int, path: CachePath, to: CachePath, *, reused: bool) -> bool:
        index, links = self._index, self._index.links
        weight, present, place = links.weight[slot], index.present[slot], index.place[slot]
        if not await to.room(HEADER_BYTES + present.bit_count() * index.length[slot]):
            return False
        try:
            file = await path.open(slot)
        except OSError as fault:
            raise CannotRead(fault) from fault
        identity, label = file.identity, file.label
        fresh = self._generation()
        name = to.file_path(index.keys[slot], fresh)
        copy = await copied(file, present, to.disk, name, self._pace)
        # No await from here: what was copied is what is there.
        same = (weight, present, place) == (links.weight[slot], index.present[slot], index.place[slot])
        alone = not file.gone and path.at_rest(slot, holds=1)
        if not (same and alone and file.identity is identity and file.label is label and self._still(slot, path, to)):
            to.remove([Doomed(name, copy)])
            return False
        doomed = path.moved_away(slot)
        index.place[slot] = fresh
        self._enter(slot, to, weight, reused=reused)
        to.opened.put(slot, copy)
        path.remove(doomed)
        return True

    async def _move_packed(self, slot: int, path: CachePath, to: CachePath, *, reused: bool) -> bool:
        index = self._index
        place, length, digest = index.packed_place(slot), index.length[slot], index.keys[slot]
        if not await to.room(length):
            return False
        try:
            raw = await path.packs.read(slot)
        except OSError as fault:
            raise CannotRead(fault) from fault
        await self._pace(length)
        try:
            decode_record(raw)
        except BadRecord:
            return False
        learned, label = index.learned[slot], index.label(slot)
        entry = Entry(digest, 0, length, learned, What.KEPT, index.versions[slot], label)
        moved: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(placed: Placed | OSError) -> None:
            if isinstance(placed, OSError):
                to.failed(placed)
                moved.set_result(False)
                return
            same = index.kinds[slot] == Kind.PACKED and index.packed_place(slot) == place and index.keys[slot] == digest
            same = same and index.learned[slot] == learned and index.label(slot) == label
            if not same or not self._still(slot, path, to):
                to.packs.bury(placed, digest)
                moved.set_result(False)
                return
            path.fifo.remove(slot)
            path.packs.died(slot)
            index.segment[slot], index.place[slot] = placed.segment.number, placed.offset
            self._enter(slot, to, length, reused=reused)
            moved.set_result(True)

        to.packs.append([raw], entry, done)
        return await asyncio.shield(moved)

    def _still(self, slot: int, path: CachePath, to: CachePath) -> bool:
        """Whether the entry is found on `path`, and both paths are in use."""
        index = self._index
        found = index.slots.get(index.keys[slot]) == slot and index.paths[slot] == path.number
        return found and path.disk.out is None and to.disk.out is None

    def _enter(self, slot: int, to: CachePath, weight: int, *, reused: bool) -> None:
        index = self._index
        index.paths[slot] = to.number
        comes_down(to.fifo, slot, weight, index.keys[slot], reused=reused, group=index.label(slot).group)
        to.moved_bytes += weight
