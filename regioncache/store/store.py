"""The store: objects kept on the region's disks, found without waiting, read checked, landed page by page.

One version of an object is held at a time; which is newest is what the later `learned_at` said. Reads of what the
kernel has in memory never wait (`*_now`); where they would, the awaiting twin reads on the disk's threads.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from regioncache.pages import EXTENT_BYTES, FilePart, Meta, ObjectId, Span, Version, by_extent
from regioncache.store.admission import Admission
from regioncache.store.base import (
    HEADER_BYTES,
    CorruptPage,
    Freed,
    PageGone,
    StoreSettings,
    StoreStatistics,
)
from regioncache.store.cachepath import CachePath
from regioncache.store.counting import counted
from regioncache.store.disk import Disk, Piece, SystemCalls, take
from regioncache.store.extentfile import ExtentFile
from regioncache.store.groups import Grouping
from regioncache.store.identity import extent_digest, object_digest, squeeze
from regioncache.store.index import Index, Kind, extend, runs
from regioncache.store.keeping import Keeping, steady
from regioncache.store.landing import Landing
from regioncache.store.loading import Found, load
from regioncache.store.moving import Moving
from regioncache.store.record import HEAD_BYTES, BadRecord, decode_facts, decode_record
from regioncache.store.tending import Covers, Tending
from regioncache.store.walking import objects
from regioncache.store.whereabouts import Whereabouts
from regioncache.tidings import UNHEARD, Tidings


class Store:
    """All cache paths of a process under one index. Built by `Store.open`; all mutable state is its parts'."""

    def __init__(self, paths: list[CachePath], index: Index, found: Found, tending: Tending) -> None:
        self._paths = paths
        self._index = index
        self._found = found
        self._keeping = tending.keeping
        self._tending = tending
        self.whereabouts = Whereabouts(paths, index, tending.keeping)
        self._admission = Admission(paths, index, found.last_generation, tending.keeping, tending.quotas)
        self._moving = Moving(paths, index, tending.keeping, self._admission.next_generation, paths[0].disk.calls.rest)

    @classmethod
    async def open(
        cls,
        settings: StoreSettings,
        calls: SystemCalls | None = None,
        tidings: Tidings = UNHEARD,
        now: Callable[[], float] | None = None,
    ) -> "Store":
        """Takes the cache paths and rebuilds the index from headers and journals; `tidings` hears of its disks.

        Args:
            now: seconds since the epoch that never go back while the process runs; None: the system's.

        Raises: PathInUse, LayoutTooNew, NoCachePath.
        """
        index = Index()
        keeping = Keeping(index.links, index.brought, now or steady(time.time, time.monotonic), tidings)
        disks = [Disk(path, settings.threads, calls or SystemCalls()) for path in settings.paths]

        def prepare() -> tuple[list[CachePath], Found]:
            take(disks)
            paths = [CachePath(number, disk, index, settings, keeping, tidings) for number, disk in enumerate(disks)]
            return paths, load(paths, index)

        try:
            paths, found = await asyncio.to_thread(prepare)
        except BaseException:
            for disk in disks:
                disk.close()
            raise
        for path in paths:
            path.packs.rewrite()
            path.started()
        store = cls(paths, index, found, Tending(paths, index, keeping, (calls or SystemCalls()).sleep))
        store._moving.start()
        return store

    def __repr__(self) -> str:
        return f"Store({self._paths!r}, {self._index!r})"

    def newest(self, oid: ObjectId) -> Version | None:
        """Which version is held; None where the object is not. Memory only."""
        return self._index.newest(object_digest(oid))

    def recall_now(self, oid: ObjectId) -> Meta | None:
        """What is known of the version held, or None. Raises WouldBlock."""
        index = self._index
        slot = index.slots.get(object_digest(oid))
        if slot is None:
            return None
        path = self._paths[index.paths[slot]]
        try:
            if index.kinds[slot] == Kind.PACKED:
                whose, meta = decode_facts(path.packs.read_now(slot, HEAD_BYTES), index.learned[slot])
                return meta if whose == oid else None
            file = path.open_now(slot)
        except OSError as error:
            path.failed(error, slot)
            return None
        except BadRecord:
            path.spoilt(slot)
            return None
        return file.identity.meta if file.identity.oid == oid else None

    async def recall(self, oid: ObjectId) -> Meta | None:
        """As `recall_now`, from the disk if need be; metadata that cannot be read count as not held."""
        index = self._index
        slot = index.slots.get(object_digest(oid))
        if slot is None:
            return None
        path = self._paths[index.paths[slot]]
        try:
            if index.kinds[slot] == Kind.PACKED:
                held = await self.packed(oid)
                return None if held is None else held[0]
            file = await path.open(slot)
        except OSError as error:
            path.failed(error)
            return None
        except PageGone:
            return None
        return file.identity.meta if file.identity.oid == oid else None

    def packed_now(self, oid: ObjectId) -> tuple[Meta, memoryview] | None:
        """A whole small object, checked; None where it is not packed here. Raises WouldBlock, CorruptPage."""
        index = self._index
        slot = index.slots.get(object_digest(oid))
        if slot is None or index.kinds[slot] != Kind.PACKED or (self._keeping.expiring and self._keeping.past(slot)):
            return None
        path = self._paths[index.paths[slot]]
        try:
            whose, meta, data = decode_record(path.packs.read_now(slot), index.learned[slot])
        except OSError as error:
            path.failed(error, slot)
            return None
        except BadRecord as error:
            path.spoilt(slot)
            raise CorruptPage(f"packed {oid.key!r} on {path.disk.path}: {error}: fetch it again") from error
        if whose.key != oid.key or whose.bucket != oid.bucket:
            return None
        path.fifo.touch(slot)
        return meta, data

    async def packed(self, oid: ObjectId) -> tuple[Meta, memoryview] | None:
        """As `packed_now`, from the disk if need be. Raises CorruptPage."""
        index = self._index
        of_object = object_digest(oid)
        slot = index.slots.get(of_object)
        if slot is None or index.kinds[slot] != Kind.PACKED or (self._keeping.expiring and self._keeping.past(slot)):
            return None
        path, place, learned_at = self._paths[index.paths[slot]], index.packed_place(slot), index.learned[slot]
        try:
            whose, meta, data = decode_record(await path.packs.read(slot), learned_at)
        except (BadRecord, FileNotFoundError) as error:
            if index.slots.get(of_object) != slot or index.packed_place(slot) != place:
                # Moved, replaced or dropped while the thread read.
                return await self.packed(oid)
            path.spoilt(slot)
            raise CorruptPage(f"packed {oid.key!r} on {path.disk.path}: {error}: fetch it again") from error
        except OSError as error:
            path.failed(error, slot if index.slots.get(of_object) == slot else None)
            return None
        if whose != oid:
            return None
        if index.slots.get(of_object) == slot:
            path.fifo.touch(slot)
        return meta, data

    def present(self, oid: ObjectId, version: Version, page_bytes: int, pages: Span) -> list[Span]:
        """Returns the runs of `pages` that are held of that version, in order. Memory only."""
        of_object = object_digest(oid)
        per_extent = EXTENT_BYTES // page_bytes
        if pages.start // per_extent == (pages.end - 1) // per_extent:
            return self._present_in(of_object, version, page_bytes, pages)
        found: list[Span] = []
        for _, part in by_extent(pages, page_bytes):
            extend(found, self._present_in(of_object, version, page_bytes, part))
        return found

    def _present_in(self, of_object: int, version: Version, page_bytes: int, pages: Span) -> list[Span]:
        """As `present`, for pages of one extent."""
        index = self._index
        per_extent = EXTENT_BYTES // page_bytes
        extent, first = divmod(pages.start, per_extent)
        slot = self._slot(of_object, version, extent)
        if slot is None or (self._keeping.expiring and self._keeping.past(slot)):
            return []
        if index.kinds[slot] == Kind.PACKED:
            return [pages]
        if index.length[slot] != page_bytes:
            return []
        count = pages.end - pages.start
        bits = index.present[slot] >> first
        everything = (1 << count) - 1
        return [pages] if bits & everything == everything else runs(bits, pages.start, count)

    def _slot(self, of_object: int, version: Version, extent: int) -> int | None:
        index = self._index
        slot = index.slots.get(extent_digest(of_object, version, extent))
        if slot is None or (extent == 0 and index.versions[slot] != squeeze(version)):
            return None
        return slot

    def read_now(self, oid: ObjectId, version: Version, span: Span) -> memoryview:
        """Returns bytes that lie within pages held, checked, from the kernel's memory.

        Whole blocks of 64 KiB are read: steps that begin at a multiple of that cost least.

        Raises: WouldBlock, PageGone (not held any more), CorruptPage (dropped now).
        """
        extent = span.start // EXTENT_BYTES
        base = extent * EXTENT_BYTES
        if span.end > base + EXTENT_BYTES:
            early = self.read_now(oid, version, Span(span.start, base + EXTENT_BYTES))
            late = self.read_now(oid, version, Span(base + EXTENT_BYTES, span.end))
            return memoryview(b"".join((early, late)))
        return self.part_now(oid, version, span).view

    def part_now(self, oid: ObjectId, version: Version, span: Span, room: memoryview | None = None) -> FilePart:
        """As `read_now`, of one extent, and tells where the bytes lie; those of a packed object lie nowhere.

        Args:
            room: memory to read into, for two blocks more than the span has; else it is made.
        """
        index = self._index
        extent = span.start // EXTENT_BYTES
        base = extent * EXTENT_BYTES
        slot = index.slots.get(extent_digest(object_digest(oid), version, extent))
        if slot is None or index.kinds[slot] == Kind.PACKED:
            return FilePart(self._within(self.packed_now(oid), oid, version, span), None, 0)
        path = self._paths[index.paths[slot]]
        file = path.open_now(slot)
        self._check_held(file, slot, oid, version, span)
        try:
            view = file.read_now(span.start - base, span.end - base, room)
        except CorruptPage as error:
            path.spoilt_page(slot, file, error.page)
            raise
        except OSError as error:
            path.failed(error, slot)
            raise PageGone(f"{oid.key!r} cannot be read from {path.disk.path}: {error}: fetch it again") from error
        path.fifo.touch(slot)
        return FilePart(view, file.file, HEADER_BYTES + span.start - base)

    async def read(self, oid: ObjectId, version: Version, span: Span) -> memoryview:
        """As `read_now`, from the disk if need be. Raises PageGone, CorruptPage."""
        extent = span.start // EXTENT_BYTES
        base = extent * EXTENT_BYTES
        if span.end > base + EXTENT_BYTES:
            early = await self.read(oid, version, Span(span.start, base + EXTENT_BYTES))
            late = await self.read(oid, version, Span(base + EXTENT_BYTES, span.end))
            return memoryview(b"".join((early, late)))
        index = self._index
        digest = extent_digest(object_digest(oid), version, extent)
        slot = index.slots.get(digest)
        if slot is None or index.kinds[slot] == Kind.PACKED:
            return self._within(await self.packed(oid), oid, version, span)
        path = self._paths[index.paths[slot]]
        try:
            file = await path.open(slot)
            if index.slots.get(digest) != slot:
                raise PageGone(f"{oid.key!r} was dropped meanwhile: fetch it again")
            self._check_held(file, slot, oid, version, span)
            view = await path.disk.run(file.read, span.start - base, span.end - base)
        except CorruptPage as error:
            if index.slots.get(digest) != slot or not path.spoilt_page(slot, file, error.page):
                raise PageGone(f"{oid.key!r} was dropped meanwhile: fetch it again") from error
            raise
        except OSError as error:
            path.failed(error, slot if index.slots.get(digest) == slot else None)
            raise PageGone(f"{oid.key!r} cannot be read from {path.disk.path}: {error}: fetch it again") from error
        if index.slots.get(digest) == slot:
            path.fifo.touch(slot)
        return view

    def _check_held(self, file: ExtentFile, slot: int, oid: ObjectId, version: Version, span: Span) -> None:
        # The hash found the file; only equal identities prove that it is the one.
        if file.key != oid.key or file.bucket != oid.bucket or file.version != version:
            raise PageGone(f"{oid.key!r} is not held in version {version}: fetch it")
        page_bytes = file.identity.page_bytes
        first = (span.start - file.first_byte) // page_bytes
        bits = (1 << ((span.end - 1 - file.first_byte) // page_bytes + 1 - first)) - 1
        if self._index.present[slot] >> first & bits != bits or span.end > file.identity.meta.size:
            raise PageGone(f"{oid.key!r}: not all of {span} is held: fetch it")

    def _within(self, held: tuple[Meta, memoryview] | None, oid: ObjectId, version: Version, span: Span) -> memoryview:
        if held is None or held[0].version != version or span.end > held[0].size:
            raise PageGone(f"{oid.key!r} is not held in version {version}: fetch it")
        return held[1][span.start : span.end]

    async def pack(self, oid: ObjectId, meta: Meta, data: Piece) -> bool:
        """Keeps a whole small object. False where it is not admitted: disk full, metadata too large, not newest."""
        return await self._admission.pack(oid, meta, data)

    async def land(self, oid: ObjectId, meta: Meta, page_bytes: int, extent: int, pages: Span) -> Landing | None:
        """Begins to keep `pages` (counted from the object's start) of one extent; the run is noted on disk.
        Runs under way on one extent must not overlap. None: not admitted, as with `pack`."""
        return await self._admission.land(oid, meta, page_bytes, extent, pages)

    async def relearn(self, oid: ObjectId, meta: Meta) -> None:
        """The version held has new metadata or a later `learned_at`; another version that is newer drops it."""
        self._index.outdate_older(object_digest(oid), squeeze(meta.version), meta.learned_at)
        held, index = await self.recall(oid), self._index
        slot = index.slots.get(object_digest(oid))
        if held is None or slot is None:
            return
        if index.versions[slot] != squeeze(held.version):
            # Another version came while the thread read: what is learned is of that one, or against it.
            await self.relearn(oid, meta)
            return
        if held == meta or meta.learned_at < max(held.learned_at, index.learned[slot]):
            return
        if held.version == meta.version and self._index.kinds[slot] == Kind.PACKED:
            await self._relearn_packed(oid, held, meta)
        else:
            await self._admission.relearn(oid, meta)

    async def _relearn_packed(self, oid: ObjectId, held: Meta, meta: Meta) -> None:
        if self._admission.relearn_packed_now(oid, held, meta):
            return
        whole = await self.packed(oid)
        if whole is not None and whole[0].version == meta.version:
            await self._admission.pack(oid, meta, whole[1], self.brought(oid))

    def forget(self, oid: ObjectId) -> None:
        """Drops the object, whatever version is held; what is landing is not kept."""
        self._admission.forget(oid)

    def torn(self, oid: ObjectId, version: Version, extent: int) -> Span | None:
        """The first run that was under way when the process died, from its first missing page on."""
        return next(iter(self.torn_runs(oid, version, extent)), None)

    def torn_runs(self, oid: ObjectId, version: Version, extent: int) -> list[Span]:
        """All runs of the extent that were under way when the process died and have not been landed since."""
        slot = self._slot(object_digest(oid), version, extent)
        return [] if slot is None else self._index.torn_runs(slot, extent)

    def brought(self, oid: ObjectId) -> float | None:
        """When bytes of the object's beginning were last brought, seconds since the epoch; None: it is not held."""
        slot = self._index.slots.get(object_digest(oid))
        return None if slot is None else float(self._index.brought[slot])

    def statistics(self) -> StoreStatistics:
        """What is held and what happened since the start."""
        return counted(self._paths, self._index, self._found, self._tending)

    def regroup(self, grouping: Grouping) -> None:
        """Puts a grouping in force: at once for what comes and for what its groups mean; what is held is looked at
        behind, unless it was labelled by this grouping before."""
        self._tending.regroup(grouping)

    async def regrouped(self) -> None:
        """Waits until all that is held is labelled, as far as it can be read."""
        await self._tending.labelling.done()

    async def sweep(self) -> None:
        """Lets go what has outlived its time, and what is above a quota that was lowered; else done every so often."""
        await self._tending.sweep()

    async def free(self, covers: Covers, *, pinned: bool = False, why: str = "free", rest: float = 0.0) -> Freed:
        """Drops what is held of the objects that `covers` (called on the loop) says; nothing is kept of what lands.

        Args:
            why: one of `REASONS`.
            rest: seconds between two portions of a few dozen entries, where there is no hurry.
        """
        return await self._tending.free(covers, pinned=pinned, why=why, rest=rest)

    def objects(self) -> AsyncIterator[ObjectId]:
        """Yields all objects that are held, what is pinned first and then the newest."""
        return objects(self._paths, self._index, self._keeping)

    def on_gone(self, hear: Callable[[], None]) -> None:
        """Has somebody told, who keeps copies, that entries left for another reason than room."""
        self._tending.on_gone = hear

    async def close(self) -> None:
        """Ends what is under way behind and gives the cache paths back; landings are closed before."""
        await self._moving.close()
        await self._tending.close()
        for path in self._paths:
            await path.close()
