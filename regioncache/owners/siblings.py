"""Siblings: processes of the same host, whose files this one reads itself, in place of bytes over HTTP.

The owner is asked once where an extent or a packed object lies; that is remembered, bounded, and asked again every so
often while it is in use, so that eviction there knows. Whatever cannot be read here is read through the owner as ever.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from regioncache.cluster.members import Member
from regioncache.cluster.ownership import Ownership
from regioncache.errors import BadAnswer, CacheError
from regioncache.http.messages import Reply
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.pages import EXTENT_BYTES, PACKED_BYTES, FilePart, Meta, ObjectId, Span, Version
from regioncache.peers.desks import Desk, Values, for_members
from regioncache.peers.wire import BadPeerRequest
from regioncache.questions import Questions
from regioncache.store.base import LayoutTooNew, PageGone, StoreError, WouldBlock
from regioncache.store.beside import ExtentBeside, RecordBeside
from regioncache.store.disk import Disk, OpenFile, SystemCalls
from regioncache.store.header import BadHeader
from regioncache.store.whereabouts import Whereabout, Whereabouts

OPERATION = "where"
ASK_SECONDS = 1.0
ASK_BYTES = 16 * 1024
MOST_FILES = 256
"""Open extents, each a descriptor and up to 8 KiB of checksums; and as many segments."""
MOST_RECORDS = 16_384
"""Packed objects whose place is remembered: some 300 bytes each."""
ABSENT_SECONDS = 1.0
"""What an owner did not have is not asked for again within this: it is read through the owner meanwhile."""
FRESH_SECONDS = 10.0
"""After this the owner is asked again, behind, by the next use."""
IDLE_SECONDS = 30.0
"""What is not used for so long is closed: an evicted file takes its room on the disk until then."""
_GONE = (StoreError, OSError, BadHeader, LayoutTooNew)


@dataclass(frozen=True, slots=True)
class SiblingSettings:
    """Who is a sibling: members of `node`, whose files lie beneath `roots`."""

    node: str
    roots: tuple[Path, ...]


@dataclass(slots=True)
class Known:
    """What a sibling keeps, as it was told. `asked` and `used` are monotonic seconds."""

    owner: Member
    version: Version
    where: Whereabout
    kept: ExtentBeside | RecordBeside
    asked: float
    used: float
    looked: float = 0.0


@dataclass(slots=True)
class Siblings:
    """Mutable state: what is known, by object and extent; what owners did not have; segments that are open."""

    settings: SiblingSettings
    ownership: Ownership
    routes: MemberRoutes
    disk: Disk
    clock: Callable[[], float]
    _extents: OrderedDict[tuple[ObjectId, int], Known] = field(default_factory=OrderedDict)
    _records: OrderedDict[ObjectId, Known] = field(default_factory=OrderedDict)
    _segments: OrderedDict[str, OpenFile] = field(default_factory=OrderedDict)
    _absent: OrderedDict[tuple[ObjectId, int], float] = field(default_factory=OrderedDict)
    _questions: Questions[Known | None] = field(default_factory=Questions)
    _renewing: set[asyncio.Task[None]] = field(default_factory=set)
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
        try:
            packed = found.kept.now(oid)
        except WouldBlock:
            return None
        except (PageGone, OSError):
            del self._records[oid]
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
                held, data = await self.disk.run(found.kept.read, self.disk, oid)
                return data[span.start : span.end] if held.version == meta.version else None
            if not found.kept.holds(span):
                await self._look(found, found.kept)
            if not found.kept.holds(span):
                return None
            view = await self.disk.run(found.kept.read, span)
        except _GONE:
            self._forget(oid, extent)
            return None
        self._use(found, oid, extent)
        return view

    def desk(self, region: str, whereabouts: Whereabouts) -> dict[str, Desk]:
        """The desk at which siblings ask where something lies."""

        async def answer(_asker: str, values: Values) -> Reply:
            try:
                oid = ObjectId(bytes.fromhex(values["id"]), values["key"])
                found = whereabouts.of(oid, Version(values["version"]), int(values["extent"]))
            except (ValueError, KeyError) as fault:
                raise BadPeerRequest(f"the question where it lies is malformed: {fault}") from fault
            told = [] if found is None else [found.path, found.offset, found.length, found.learned_at]
            return Reply(200, [(b"content-type", b"application/json")], json.dumps(told).encode())

        return {OPERATION: for_members(region, answer)}

    def forget(self) -> None:
        """Goes by nothing that was told before: some of it shall be held no longer."""
        self._extents.clear()
        self._records.clear()

    async def stop(self) -> None:
        """Ends what is being asked, and closes everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._renewing:
            task.cancel()
        await asyncio.gather(*self._renewing, return_exceptions=True)
        await self._questions.stop()
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
        try:
            where = await self._where(owner, oid, version, extent)
        except CacheError:
            where = None
        if where is not None:
            try:
                kept = await self.disk.run(self._open, where)
                if isinstance(kept, RecordBeside) or kept.is_of(oid, version, extent):
                    return self._keep(oid, extent, Known(owner, version, where, kept, self.clock(), self.clock()))
            except _GONE:
                pass  # evicted between the answer and the look: it is not there
        self._absent[oid, extent] = self.clock()
        while len(self._absent) > MOST_RECORDS:
            self._absent.popitem(last=False)
        return None

    async def _where(self, owner: Member, oid: ObjectId, version: Version, extent: int) -> Whereabout | None:
        """Raises CacheError: the owner does not say."""
        values = {"id": oid.bucket.hex(), "key": oid.key, "version": version, "extent": str(extent)}
        body = await self.routes.ask(owner, OPERATION, values, seconds=ASK_SECONDS, most_bytes=ASK_BYTES)
        return _parsed(body, self.settings.roots)

    def _open(self, where: Whereabout) -> ExtentBeside | RecordBeside:
        """Blocks. Raises OSError, BadHeader, LayoutTooNew."""
        if not where.length:
            return ExtentBeside(self.disk, where)
        segment = self._segments.get(where.path)
        return RecordBeside(segment or self.disk.open(where.path, 0), where)

    def _keep(self, oid: ObjectId, extent: int, known: Known) -> Known:
        self._absent.pop((oid, extent), None)
        if isinstance(known.kept, RecordBeside):
            self._records[oid] = known
            self._segments[known.where.path] = known.kept.file
            if len(self._records) > MOST_RECORDS:
                self._records.popitem(last=False)
            if len(self._segments) > MOST_FILES:
                path, _ = self._segments.popitem(last=False)
                for one in [one for one, kept in self._records.items() if kept.where.path == path]:
                    del self._records[one]
        else:
            self._extents[oid, extent] = known
            if len(self._extents) > MOST_FILES:
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
            task = asyncio.ensure_future(self._renew(found, oid, extent))
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)

    async def _renew(self, found: Known, oid: ObjectId, extent: int) -> None:
        """Asks again; one that lies elsewhere now, or nowhere, is forgotten."""
        try:
            where: Whereabout | None = await self._where(found.owner, oid, found.version, extent)
        except BadAnswer:
            where = None
        except CacheError:
            where = found.where  # an owner too busy to say it is not to be asked for the bytes instead
        if where != found.where or found.kept.unlinked():
            self._forget(oid, extent)

    def _sweep_later(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        late = self.clock() - IDLE_SECONDS
        for place in [place for place, one in self._extents.items() if one.used < late]:
            del self._extents[place]
        for oid in [oid for oid, one in self._records.items() if one.used < late]:
            del self._records[oid]
        used = {one.where.path for one in self._records.values()}
        for path in [path for path in self._segments if path not in used]:
            del self._segments[path]
        self._sweeper = None
        if self._extents or self._records:
            self._sweep_later()


def siblings_of(
    settings: SiblingSettings | None,
    ownership: Ownership,
    routes: MemberRoutes,
    path: Path,
    clock: Callable[[], float],
) -> Siblings | None:
    """Returns what reads siblings' files, None: there are none; `path`, one of our own, is named in faults."""
    if settings is None:
        return None
    # Calls on siblings' files have threads of their own: a disk that hangs holds up no call on ours.
    return Siblings(settings, ownership, routes, Disk(path, 2, SystemCalls()), clock)


def _parsed(body: bytes, roots: tuple[Path, ...]) -> Whereabout | None:
    """What an owner said; only what lies beneath the node's own folders is ever opened."""
    try:
        told = json.loads(body)
        if not told:
            return None
        path, offset, length, learned_at = told
        where = Whereabout(str(path), int(offset), int(length), float(learned_at))
    except (ValueError, TypeError) as fault:
        raise BadAnswer(f"where it lies is malformed: {fault}") from fault
    inside = any(Path(where.path).is_relative_to(root) for root in roots) and ".." not in Path(where.path).parts
    if not inside or where.offset < 0 or not 0 <= where.length <= 2 * PACKED_BYTES:
        raise BadAnswer(f"{where.path!r} is not where this node keeps its cache")
    return where
