"""One cache path: its disk, its extents and packs, and what leaves when room is needed.

The loop owns the index and all tables; blocking work is handed to the disk's threads. Change state first, without an
await; then await.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable

from regioncache.store.base import (
    HEADER_BYTES,
    LayoutTooNew,
    PageGone,
    StoreSettings,
    WouldBlock,
)
from regioncache.store.disk import FULL, Disk
from regioncache.store.evict import S3Fifo
from regioncache.store.extentfile import ExtentFile
from regioncache.store.fullness import Fullness
from regioncache.store.header import BadHeader, Identity
from regioncache.store.index import Index, Kind
from regioncache.store.keeping import Keeping
from regioncache.store.leaving import Doomed, Leaving
from regioncache.store.opentable import OpenTable
from regioncache.store.packs import Packs
from regioncache.store.returning import Returning
from regioncache.store.space import LEAST_FREE, Space
from regioncache.store.tiers import Below
from regioncache.store.watching import Watching
from regioncache.tidings import UNHEARD, Tidings

_ROUNDS = 256
"""Most such rounds for one admission: 64 MiB among small objects take 64; beyond it admission is refused."""
_LOST = {errno.EIO, errno.EUCLEAN}
"""A read that fails with one of these will fail again."""


class CachePath:
    """Mutable state: `opened` and `_opening` (extent files by slot), `landings` open, the counters."""

    def __init__(
        self,
        number: int,
        disk: Disk,
        index: Index,
        settings: StoreSettings,
        keeping: Keeping,
        tidings: Tidings = UNHEARD,
    ) -> None:
        self.number = number
        self._tidings = tidings
        self.disk = disk
        self.fullness = Fullness(disk, tidings)
        disk.on_failure = self.failed
        self.index = index
        self.limit_bytes = settings.limit(disk.disk_bytes, number)
        self.space = Space(self.limit_bytes)
        self.keeping = keeping
        self.fifo = (Below if settings.tier(number) else S3Fifo)(index.links, keeping.groups)
        self.look: Callable[[CachePath, list[int]], Awaitable[int]] = _nobody_looks
        """Finds the groups of entries that eviction must know of; returns of how many."""
        self.on_back: Callable[[], None] = _nobody_hears
        """Told when the path was out and is in use again."""
        self._settings = settings
        self.packs = Packs(number, disk, index, settings, self.spoilt)
        self.returning = Returning(number, disk, index, self.fifo, self._back, self.drop)
        self._watching = Watching(disk, self.space, self._coming)
        self.opened: OpenTable[ExtentFile] = OpenTable(settings.open_files)
        self._opening: dict[int, asyncio.Future[ExtentFile]] = {}
        self._vain: set[asyncio.Future[ExtentFile]] = set()
        """Openings of files that were dropped meanwhile: they are removed when they are there."""
        self.landing: dict[int, ExtentFile] = {}
        """Extent files with landings under way, by slot: never closed, never evicted."""
        self.leaving = Leaving(self, settings.high, settings.low)
        self.corrupt = 0
        self.tier = settings.tier(number)
        self.moved_bytes = 0
        """What came from another tier."""

    def __repr__(self) -> str:
        return f"CachePath({str(self.disk.path)!r}, {self.fifo!r}, {self.packs!r})"

    def file_path(self, digest: int, generation: int) -> str:
        """Where an extent's file lies. Generations never recur, so that removing one cannot hit its successor."""
        name = f"{digest:032x}"
        return f"{self.disk.path}/extents/{name[:2]}/{name}-{generation:08x}"

    async def room(self, nbytes: int) -> bool:
        """Makes room for `nbytes`: what leaves for it is off the disk when this returns. False: there can be none.

        What others have written to the file system makes nothing leave but what one write takes the place of, and
        nothing at all where they have filled it (see `space`): the cache keeps what it has.
        """
        for _ in range(_ROUNDS):
            if not await self._looked(nbytes):
                return False
            short = self._short(nbytes)
            if short is None:
                return False
            if short <= 0:
                self.disk.full = False
                self.space.admitted(nbytes)
                self.leaving.watch(nbytes)
                return True
            if not await self.leaving.some(short):
                break
        if self.space.narrow:
            self.fullness.stops("others hold its file system, and nothing here can leave for what is new")
        return False

    def _short(self, nbytes: int) -> int | None:
        """How many bytes must leave for `nbytes` more; None where there shall be no room."""
        disk, space = self.disk, self.space
        short = space.short(nbytes, self.fifo.used + self.packs.dead_bytes, full=disk.full)
        if short is None:
            self.fullness.stops(
                f"less than {LEAST_FREE:.0%} of its file system is free, though the cache is within its size"
            )
        return short

    async def _looked(self, nbytes: int) -> bool:
        """Sees that the free space is known; False where nothing can be kept: the path is out, or does not keep up."""
        try:
            await self._watching.know(nbytes)
        except OSError as error:
            self.failed(error)
            return False
        return self.disk.out is None and not self.disk.slow

    def _coming(self) -> int:
        """Bytes that were admitted and may not be in the file system yet."""
        index, weight = self.index, self.index.links.weight
        return sum(
            max(0, weight[slot] - HEADER_BYTES - index.present[slot].bit_count() * index.length[slot])
            for slot in self.fifo.held()
        )

    async def looked_at(self, slots: list[int]) -> int:
        """See `leaving.Left`: of how many of these entries the groups are known now."""
        return await self.look(self, slots)

    def hollow(self, slot: int) -> asyncio.Future[ExtentFile]:
        """Gives back what an extent's pages take on the disk, but not its header."""
        index = self.index
        index.present[slot] = 0
        path, file = self.file_path(index.keys[slot], index.place[slot]), self.opened.pop(slot)

        def hollow() -> ExtentFile:
            hollowed = file or ExtentFile.open(self.disk, path)
            hollowed.hollow()
            return hollowed

        # As an opening: whoever wants the file next gets it when it is hollow, not before.
        return self._begin(slot, hollow)

    def leave(self, slot: int, why: str) -> int:
        """Drops an entry for a reason that is counted; returns its bytes."""
        nbytes = self.index.links.weight[slot]
        self.leaving.gone_bytes[why] += nbytes
        self.drop(slot)
        return nbytes

    def drop(self, slot: int) -> None:
        """Forgets an entry and removes it from the disk behind."""
        self.fifo.remove(slot)
        self.remove(self.forget(slot))

    def forget(self, slot: int) -> list[Doomed]:
        """Takes an entry out of index and tables; returns what is to be removed."""
        index = self.index
        if index.kinds[slot] == Kind.PACKED:
            self.packs.died(slot)
            index.remove(slot)
            return []
        file = self.opened.pop(slot) or self.landing.get(slot)
        self.landing.pop(slot, None)
        doomed = Doomed(self.file_path(index.keys[slot], index.place[slot]), file)
        index.remove(slot)
        opening = self._opening.pop(slot, None)
        if opening is not None:
            self._vain.add(opening)
            opening.add_done_callback(lambda ready: self._opened_in_vain(ready, doomed.path))
        if file is not None:
            file.gone = True
        return [doomed]

    def _opened_in_vain(self, ready: asyncio.Future[ExtentFile], path: str) -> None:
        self._vain.discard(ready)
        if not ready.cancelled() and ready.exception() is None:
            ready.result().gone = True
            self.remove([Doomed(path, ready.result())])

    def remove(self, doomed: list[Doomed]) -> None:
        """Removes files behind."""
        if doomed:
            self.disk.behind(self.unlink, doomed)

    def unlink(self, doomed: list[Doomed]) -> None:
        """Removes files. Blocks. Raises OSError."""
        for one in doomed:
            self.disk.unlink(one.path)
            one.file = None

    def open_now(self, slot: int) -> ExtentFile:
        """The extent's file, if it is open. Raises WouldBlock."""
        file = self.opened.get(slot)
        if file is None:
            file = self.landing.get(slot)
            if file is None:
                raise WouldBlock(f"extent {self.index.keys[slot]:032x} is not open")
        file.touched = True
        return file

    async def open(self, slot: int) -> ExtentFile:
        """The extent's file; opened once for all who ask meanwhile. Raises PageGone, OSError."""
        file = self.opened.get(slot) or self.landing.get(slot)
        if file is not None:
            return file
        path = self.file_path(self.index.keys[slot], self.index.place[slot])
        opening = self._opening.get(slot) or self._begin(slot, lambda: ExtentFile.open(self.disk, path))
        try:
            return await asyncio.shield(opening)
        except (BadHeader, LayoutTooNew, FileNotFoundError) as error:
            self.space.changed()  # perhaps the whole folder is gone
            self.unreadable(slot, path)
            raise PageGone(f"{path} cannot be read: {error}: fetch it again") from error

    def unreadable(self, slot: int, path: str) -> None:
        """An extent's file is no longer what it was: it is dropped and counted."""
        index = self.index
        held = index.kinds[slot] != Kind.FREE and path == self.file_path(index.keys[slot], index.place[slot])
        if held and slot not in self._opening:
            self.corrupt += 1
            self.drop(slot)

    def create(self, slot: int, identity: Identity) -> None:
        """Begins to make the extent's file; `open` waits for it."""
        path = self.file_path(self.index.keys[slot], self.index.place[slot])
        label = self.index.label(slot)

        def too_late(made: ExtentFile) -> None:
            self.remove([Doomed(path, made)])

        self._begin(slot, lambda: ExtentFile.create(self.disk, path, identity, label), too_late)

    def _begin(
        self, slot: int, call: Callable[[], ExtentFile], too_late: Callable[[ExtentFile], None] = lambda _: None
    ) -> asyncio.Future[ExtentFile]:
        opening = self._opening[slot] = self.disk.start_late(too_late, call)
        opening.add_done_callback(lambda ready: self._opened(slot, ready))
        return opening

    def _opened(self, slot: int, ready: asyncio.Future[ExtentFile]) -> None:
        failed = ready.cancelled() or ready.exception() is not None
        if self._opening.get(slot) is not ready:
            return
        del self._opening[slot]
        if not failed:
            self.opened.put(slot, ready.result())

    def is_open(self, slot: int) -> bool:
        """Whether the extent's file is open, or is being opened."""
        return slot in self._opening or slot in self.landing or self.opened.get(slot) is not None

    def brought(self, slot: int, file: ExtentFile) -> None:
        """Bytes of the extent came from elsewhere, now."""
        if not file.gone:
            self.index.brought[slot] = int(self.keeping.now())
            file.label = self.index.label(slot)

    def at_rest(self, slot: int, holds: int = 0) -> bool:
        """Whether nothing is under way with the entry, but for what those do who hold it so often."""
        return slot not in self._opening and slot not in self.landing and self.fifo.holds(slot) == holds

    def moved_away(self, slot: int) -> list[Doomed]:
        """The extent lies on another path from now on; returns what is to be removed here."""
        doomed = Doomed(self.file_path(self.index.keys[slot], self.index.place[slot]), self.opened.pop(slot))
        if doomed.file is not None:
            doomed.file.gone = True
        self.fifo.remove(slot)
        return [doomed]

    def hold(self, slot: int) -> None:
        """A landing begins: the extent stays until `release`."""
        self.fifo.hold(slot)

    def release(self, slot: int) -> None:
        """Takes one `hold` back."""
        self.fifo.release(slot)

    def lighten(self, slot: int, nbytes: int) -> None:
        """The extent takes `nbytes` less of the disk than was charged, or more if negative."""
        self.fifo.reweigh(slot, max(HEADER_BYTES, self.index.links.weight[slot] - nbytes))

    def landed(self, slot: int, file: ExtentFile, unlanded: int) -> None:
        """A landing ended, `unlanded` of its bytes did not become whole pages."""
        file.landings -= 1
        if file.gone:
            return
        self.fifo.release(slot)
        self.lighten(slot, unlanded)
        if not file.landings:
            self.landing.pop(slot, None)

    def spoilt(self, slot: int) -> None:
        """A packed record is damaged: it is dropped and counted."""
        self.corrupt += 1
        self.drop(slot)

    def spoilt_page(self, slot: int, file: ExtentFile, page: int) -> bool:
        """A page's checksum is wrong: it is dropped and counted. False where it was not held any more."""
        index, bit = self.index, 1 << page
        if file.gone or not index.present[slot] & bit:
            return False
        self.corrupt += 1
        index.set_present(slot, index.present[slot] & ~bit)
        file.bad |= bit
        self.disk.behind(file.save)
        return True

    def failed(self, error: OSError, slot: int | None = None) -> None:
        """A system call failed. Where that takes the path out, its contents are misses until it is back.

        Args:
            slot: what could not be read. Where the disk has lost it, it shall not take the path out again.
        """
        was_in = self.disk.out is None
        self.disk.failed(error)
        if was_in and self.disk.out is not None:
            self._tidings.warning(
                f"cache path {self.disk.path} is out: {error}; what it held is fetched again and nothing is kept "
                "there until it can be written and read: mend the disk"
            )
            self._leave()
        elif was_in and error.errno in FULL:
            self.fullness.stops(str(error))
        elif error.errno == errno.ENOENT:
            self.space.changed()
        if slot is not None and error.errno in _LOST and self.index.kinds[slot] != Kind.FREE:
            self.drop(slot)

    def started(self) -> None:
        """The loop runs: a path that could not be used at the start is probed like any other."""
        if self.disk.out is not None:
            self._tidings.warning(
                f"cache path {self.disk.path} is out: {self.disk.out}; nothing is kept there until it can be written "
                "and read: mend the disk"
            )
            self.returning.known = False
            self.returning.left()

    def _leave(self) -> None:
        """What is under way ends unkept."""
        for slot, file in self.landing.items():
            file.gone = True
            self.fifo.let_go(slot)
            held = self.index.present[slot].bit_count() * self.index.length[slot]
            self.fifo.reweigh(slot, HEADER_BYTES + held)
        self.landing.clear()
        self.opened.clear()
        self._opening.clear()
        self.returning.left()

    def _back(self, same: bool) -> None:
        """The path is in use again."""
        self.space.changed()
        if same:
            self.packs.resume()
        else:
            self.packs = Packs(self.number, self.disk, self.index, self._settings, self.spoilt)
            self.limit_bytes = self.space.limit_bytes = self._settings.limit(self.disk.disk_bytes, self.number)
        self.on_back()
        what = "what it held is there again" if same else "it begins empty"
        self._tidings.news(f"cache path {self.disk.path} is back: {what}")

    async def close(self) -> None:
        """Ends what is under way and gives the path back."""
        await self.leaving.close()
        await self.returning.close()
        await self.packs.close()
        while under_way := [*self._opening.values(), *self._vain]:
            await asyncio.wait(under_way)
        self.opened.clear()
        await asyncio.to_thread(self.disk.close)
        self.disk.unwatch()


async def _nobody_looks(path: CachePath, slots: list[int]) -> int:
    return 0


def _nobody_hears() -> None:
    return
