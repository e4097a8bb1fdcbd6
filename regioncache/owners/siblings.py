"""Siblings: processes of the same host, whose files this one reads itself, in place of bytes over HTTP.

The owner is asked once where an extent or a packed object lies; that is remembered, bounded, and asked again every so
often while it is in use, of many at once, so that eviction there knows. Whatever cannot be read here is read through
the owner as ever.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from regioncache.cluster.members import Member
from regioncache.cluster.ownership import Ownership
from regioncache.owners.inquiries import Answer, Inquiries, Untold
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.pages import EXTENT_BYTES, PACKED_BYTES, FilePart, Meta, ObjectId, Span, Version
from regioncache.questions import Questions
from regioncache.store.base import LayoutTooNew, PageGone, StoreError, WouldBlock
from regioncache.store.beside import ExtentBeside, RecordBeside, unlinked
from regioncache.store.disk import Disk, OpenFile, SystemCalls
from regioncache.store.header import BadHeader
from regioncache.store.whereabouts import Sought, Whereabout

MOST_RECORDS = 16_384
"""Packed objects whose place is remembered: some 500 bytes each."""
ABSENT_SECONDS = 1.0
"""What an owner did not have is not asked for again within this: it is read through the owner meanwhile."""
FRESH_SECONDS = 10.0
"""After this the owner is asked again, behind, by the next use."""
GATHER_SECONDS = 1.0
"""What is to be asked again is gathered for so long: one question for each of it would cost more than the reads do."""
IDLE_SECONDS = 30.0
"""What is not used for so long is closed: an evicted file takes its room on the disk until then. Where objects lie in a
closed segment is remembered: of those that are read from memory mostly, one hit in 32 comes by."""
_GONE = (StoreError, OSError, BadHeader, LayoutTooNew)


@dataclass(frozen=True, slots=True)
class SiblingSettings:
    """Who is a sibling: members of `node`, whose files lie beneath `roots`; with this process they are `workers`."""

    node: str
    roots: tuple[Path, ...]
    workers: int


@dataclass(slots=True)
class Known:
    """What a sibling keeps, as it was told. `asked` and `used` are monotonic seconds."""

    owner: Member
    version: Version
    sought: Sought
    where: Whereabout
    kept: ExtentBeside | RecordBeside
    asked: float
    used: float
    looked: float = 0.0

    def still(self, where: Whereabout) -> bool:
        """Whether it lies there; when it was last found to be the newest may have changed."""
        if replace(where, learned_at=self.where.learned_at) != self.where:
            return False
        if isinstance(self.kept, ExtentBeside):
            return not self.kept.unlinked()
        if where != self.where:
            self.where, self.kept = where, replace(self.kept, where=where)
        return True


@dataclass(slots=True)
class Siblings:
    """Mutable state: what is known, by object and extent; what owners did not have; segments that are open; what is to
    be asked again."""

    settings: SiblingSettings
    ownership: Ownership
    looking: Inquiries
    again: Inquiries
    """Apart from `looking`, where a reader waits."""
    disk: Disk
    clock: Callable[[], float]
    most_files: int
    """Open extents, each a descriptor and up to 8 KiB of checksums; and as many segments."""
    _extents: OrderedDict[tuple[ObjectId, int], Known] = field(default_factory=OrderedDict)
    _records: OrderedDict[ObjectId, Known] = field(default_factory=OrderedDict)
    _segments: OrderedDict[str, OpenFile] = field(default_factory=OrderedDict)
    _absent: OrderedDict[tuple[ObjectId, int], float] = field(default_factory=OrderedDict)
    _questions: Questions[Known | None] = field(default_factory=Questions)
    _stale: list[tuple[Known, ObjectId, int]] = field(default_factory=list)
    _renewer: asyncio.TimerHandle | None = None
    _sweeper: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Siblings: {len(self._extents)} extents, {len(self._records)} packed objects>"

    def part_now(self, oid: ObjectId, version: Version, span: Span, room: memoryview) -> FilePart | None:
        """Bytes of one extent, checked, that a sibling keeps and the kernel has in memory; None: there are none."""
        found = self._extents.get((oid, span.start // EXTENT_BYTES))
        if found is None or found.version != version:
            return None
        assert isinstance(found.kept, ExtentBeside), "extents are kept apart from records"
        try:
            part = found.kept.part_now(span, room)
        except WouldBlock:
            return None
        except PageGone:
            if found.kept.holds(span):  # what lies there is damaged: the owner shall find out
                del self._extents[oid, span.start // EXTENT_BYTES]
            return None
        except OSError:
            self._extents.pop((oid, span.start // EXTENT_BYTES), None)
            return None
        self._use(found, oid, span.start // EXTENT_BYTES)
        return part

    def packed_now(self, oid: ObjectId) -> tuple[Meta, memoryview] | None:
        """As `part_now`, a whole small object."""
        found = self._records.get(oid)
        if found is None:
            return None
        assert isinstance(found.kept, RecordBeside), "records are kept apart from extents"
        file = self._segments.get(found.where.path)
        if file is None:
            return None
        try:
            packed = found.kept.now(file, oid)
        except WouldBlock:
            return None
        except (PageGone, OSError):
            self._forget(oid, 0)
            self._segments.pop(found.where.path, None)
            return None
        self._use(found, oid, 0)
        return packed

    async def read(self, oid: ObjectId, meta: Meta, span: Span) -> memoryview | None:
        """Bytes that a sibling keeps, asked for and opened where need be; None: read through the owner."""
        extent = span.start // EXTENT_BYTES
        span = Span(span.start, min(span.end, (extent + 1) * EXTENT_BYTES))
        found = await self._known(oid, meta, extent)
        if found is None:
            return None
        try:
            if isinstance(found.kept, RecordBeside):
                _, data = await self._record(found.kept, oid)
                self._use(found, oid, 0)
                return data[span.start : span.end]
            if not found.kept.holds(span):
                await self._look(found, found.kept)
            if not found.kept.holds(span):
                return None
            view = await self.disk.run(found.kept.read, span)
        except _GONE:
            self._forget(oid, extent)
            self._segments.pop(found.where.path, None)
            return None
        self._use(found, oid, extent)
        return view

    async def _record(self, kept: RecordBeside, oid: ObjectId) -> tuple[Meta, memoryview]:
        """Raises StoreError, PageGone, OSError."""
        file = await self._segment(kept.where.path)
        try:
            return kept.now(file, oid)
        except WouldBlock:
            return await self.disk.run(kept.read, self.disk, file, oid)

    async def _segment(self, path: str) -> OpenFile:
        """Raises StoreError, OSError."""
        file = self._segments.get(path)
        if file is None:
            file = self._segments[path] = await self.disk.run(self.disk.open, path, os.O_RDONLY)
            if len(self._segments) > self.most_files:
                self._segments.popitem(last=False)
            if self._sweeper is None:
                self._sweep_later()
        return file

    def forget(self) -> None:
        """Goes by nothing that was told before: some of it shall be held no longer."""
        self._extents.clear()
        self._records.clear()

    async def stop(self) -> None:
        """Ends what is being asked, and closes everything."""
        for timer in (self._sweeper, self._renewer):
            if timer is not None:
                timer.cancel()
        await self._questions.stop()
        await self.looking.stop()
        await self.again.stop()
        self._extents.clear()
        self._records.clear()
        self._segments.clear()
        await asyncio.to_thread(self.disk.close)
        self.disk.unwatch()

    async def _known(self, oid: ObjectId, meta: Meta, extent: int) -> Known | None:
        found = self._extents.get((oid, extent)) or (self._records.get(oid) if meta.size <= PACKED_BYTES else None)
        if found is not None and found.version == meta.version:
            return found
        owner = self.ownership.owner(oid, extent)
        if owner is None or owner.node != self.settings.node:
            return None
        if self.clock() - self._absent.get((oid, extent), float("-inf")) < ABSENT_SECONDS:
            return None
        version = meta.version
        task = self._questions.ask((oid, extent, version), lambda: self._ask(owner, oid, version, extent))
        return await asyncio.shield(task)

    async def _ask(self, owner: Member, oid: ObjectId, version: Version, extent: int) -> Known | None:
        sought = Sought.of(oid, version, extent)
        where = await self.looking.where(owner, sought)
        if isinstance(where, Whereabout):
            try:
                kept = await self._opened(where, version)
                if isinstance(kept, RecordBeside) or kept.is_of(oid, version, extent):
                    now = self.clock()
                    return self._keep(oid, extent, Known(owner, version, sought, where, kept, now, now))
            except _GONE:
                pass  # evicted between the answer and the look: it is not there
        self._absent[oid, extent] = self.clock()
        while len(self._absent) > MOST_RECORDS:
            self._absent.popitem(last=False)
        return None

    async def _opened(self, where: Whereabout, version: Version) -> ExtentBeside | RecordBeside:
        """Raises StoreError, OSError, BadHeader, LayoutTooNew."""
        if not where.length:
            return await self.disk.run(ExtentBeside, self.disk, where)
        await self._segment(where.path)
        return RecordBeside(where, version)

    def _keep(self, oid: ObjectId, extent: int, known: Known) -> Known:
        self._absent.pop((oid, extent), None)
        if isinstance(known.kept, RecordBeside):
            self._records[oid] = known
            if len(self._records) > MOST_RECORDS:
                self._records.popitem(last=False)
        else:
            self._extents[oid, extent] = known
            if len(self._extents) > self.most_files:
                self._extents.popitem(last=False)
            if self._sweeper is None:
                self._sweep_later()
        return known

    def _forget(self, oid: ObjectId, extent: int) -> None:
        self._extents.pop((oid, extent), None)
        self._records.pop(oid, None)

    async def _look(self, found: Known, kept: ExtentBeside) -> None:
        if self.clock() - found.looked >= ABSENT_SECONDS:
            found.looked = self.clock()
            await self.disk.run(kept.look)

    def _use(self, found: Known, oid: ObjectId, extent: int) -> None:
        now = found.used = self.clock()
        if now - found.asked >= FRESH_SECONDS:
            found.asked = now
            self._stale.append((found, oid, extent))
            if self._renewer is None:
                self._renewer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.renew)

    def renew(self) -> None:
        """Asks again for what was used and is to be asked for again; a timer calls it."""
        stale, self._stale, self._renewer = self._stale, [], None
        for found, oid, extent in stale:
            answer = self.again.where(found.owner, found.sought)
            answer.add_done_callback(partial(self._renewed, found, oid, extent))

    def _renewed(self, found: Known, oid: ObjectId, extent: int, answer: Answer) -> None:
        """One that lies elsewhere now, or nowhere, is forgotten."""
        if answer.cancelled():
            return
        where = answer.result()
        if where is Untold.SILENT:  # an owner too busy to say it is not to be asked for the bytes instead
            where = found.where
        if not isinstance(where, Whereabout) or not found.still(where):
            self._forget(oid, extent)
        segment = self._segments.get(found.where.path)
        if segment is not None and unlinked(segment):
            del self._segments[found.where.path]

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        late = self.clock() - IDLE_SECONDS
        for place in [place for place, one in self._extents.items() if one.used < late]:
            del self._extents[place]
        used = {one.where.path for one in self._records.values() if one.used >= late}
        for path in [path for path in self._segments if path not in used]:
            del self._segments[path]
        self._sweeper = None
        if self._extents or self._segments:
            self._sweep_later()


def siblings_of(
    settings: SiblingSettings | None,
    ownership: Ownership,
    routes: MemberRoutes,
    path: Path,
    clock: Callable[[], float],
    most_files: int,
) -> Siblings | None:
    """Returns what reads siblings' files, None: there are none; `path`, one of our own, is named in faults."""
    if settings is None:
        return None
    looking, again = (Inquiries(routes, settings.roots) for _ in range(2))
    # Calls on siblings' files have threads of their own: a disk that hangs holds up no call on ours.
    return Siblings(settings, ownership, looking, again, Disk(path, 2, SystemCalls()), clock, most_files)
