"""The packed objects of one cache path: segments, who writes to which, and the rewriting of half-dead ones.

The loop knows what is live; the appending thread alone writes. A record's death is journaled, so that a restart does
not bring back what was forgotten.
"""

import asyncio
import errno
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from regioncache.pages import MIB
from regioncache.store.base import StoreSettings, WouldBlock
from regioncache.store.disk import Disk, OpenFile, Piece
from regioncache.store.identity import squeeze
from regioncache.store.index import Index, Kind
from regioncache.store.opentable import OpenTable
from regioncache.store.record import (
    ENTRY,
    RECORD_BYTES_LIMIT,
    BadRecord,
    Entry,
    Line,
    What,
    decode_entries,
    decode_record,
)
from regioncache.store.segment import Segment

_STEP_BYTES = MIB
"""Bytes moved in one go when a segment is rewritten: reads of the path wait no longer than for one large write."""


Spoilt = Callable[[int], None]
_NAME = re.compile(r"[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class Old:
    """A record to be moved."""

    digest: int
    offset: int
    length: int
    learned_at: float


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a record was written."""

    segment: Segment
    offset: int
    length: int


class Packs:
    """Mutable state: `segments` by number (the loop's), `_active` (the appending thread's), `_opened` (the loop's)."""

    def __init__(self, number: int, disk: Disk, index: Index, settings: StoreSettings, spoilt: Spoilt) -> None:
        """Args: number: the path's; spoilt: told of a slot whose record turned out damaged."""
        self._number = number
        self._disk = disk
        self._index = index
        self._spoilt = spoilt
        # A small store has small segments: what is dead in the one being written cannot be had back.
        share = settings.limit(disk.disk_bytes) // 16
        self._segment_bytes = min(settings.segment_bytes, max(share, 2 * RECORD_BYTES_LIMIT))
        self.segments: dict[int, Segment] = {}
        self.dead_bytes = 0
        """Bytes that nothing points to any more."""
        self._unwritten: deque[tuple[Segment, Entry]] = deque()
        self._due: dict[int, Segment] = {}
        self._active: Segment | None = None
        self._last_number = 0
        self._opened: OpenTable[Segment] = OpenTable(settings.open_files)
        self._preadv = disk.calls.preadv
        self._rewriting: asyncio.Task[None] | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"Packs({len(self.segments)} segments, {self.dead_bytes} bytes dead)"

    def read_now(self, slot: int, limit: int | None = None) -> memoryview:
        """Returns the record's bytes, the first `limit` or all, unchecked. Raises WouldBlock, OSError."""
        index = self._index
        segment = self.segments[index.segment[slot]]
        file = segment.file
        if file is None:
            raise WouldBlock(segment.path)
        segment.touched = True
        length = index.length[slot] if limit is None else min(limit, index.length[slot])
        buffer = bytearray(length)
        try:
            got = self._preadv(file.fd, (buffer,), index.place[slot], os.RWF_NOWAIT)
        except BlockingIOError:
            raise WouldBlock(segment.path) from None
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise WouldBlock(segment.path) from None
            raise
        if got != length:
            raise WouldBlock(segment.path)
        return memoryview(buffer)

    async def read(self, slot: int) -> memoryview:
        """Returns the record's bytes, unchecked; fewer where the segment was cut. Raises OSError."""
        segment = self.segments[self._index.segment[slot]]
        place, length = self._index.place[slot], self._index.length[slot]
        file = segment.file or await self._open(segment)
        return await self._disk.run(self._disk.read, file, place, length)

    async def _open(self, segment: Segment) -> OpenFile:
        file = await self._disk.run(segment.opened)
        self._keep_open(segment)
        return file

    def _keep_open(self, segment: Segment) -> None:
        let_go = self._opened.put(segment.number, segment)
        if let_go is not None and let_go is not self._active:
            let_go.file = None

    def _register(self, segment: Segment) -> None:
        """A segment was written to, perhaps for the first time."""
        if segment.number not in self.segments:
            self.segments[segment.number] = segment
            self._keep_open(segment)

    async def append(self, pieces: list[Piece], entry: Entry) -> Placed:
        """Writes a record and its journal entry (whose place is filled in). Raises OSError."""
        placed = await self._disk.append(self._append, pieces, entry)
        self._register(placed.segment)
        return placed

    def _append(self, pieces: list[Piece], entry: Entry) -> Placed:
        segment = self._room_for(entry.length)
        at = segment.append(pieces)
        segment.enter([Entry(entry.digest, at, entry.length, entry.learned_at, entry.what, entry.version)])
        return Placed(segment, at, entry.length)

    def _room_for(self, length: int) -> Segment:
        active = self._active
        if active is None or active.end + length > self._segment_bytes:
            fresh = Segment(self._disk, self._last_number + 1)
            fresh.create()
            self._last_number += 1
            if active is not None:
                active.seal()
            self._active = active = fresh
        return active

    def died(self, slot: int) -> None:
        """The record that the slot points to is no longer wanted; journals it and rewrites the segment in time."""
        index = self._index
        segment = self.segments[index.segment[slot]]
        self.bury(segment, index.keys[slot], index.place[slot], index.length[slot])

    def bury(self, segment: Segment, digest: int, offset: int, length: int) -> None:
        """A record that nothing points to was written, or is left; journals that and rewrites the segment in time."""
        self.count_dead(segment, length)
        self._journal(segment, Entry(digest, offset, length, 0.0, What.GONE))
        self.rewrite()

    def count_dead(self, segment: Segment, length: int) -> None:
        """Nothing points to `length` bytes of the segment any more."""
        segment.dead += length
        self.dead_bytes += length
        if segment.dead * 2 >= segment.end:
            self._due[segment.number] = segment

    def learned(self, slot: int) -> None:
        """The slot's `learned` changed: journals it."""
        index = self._index
        place, length, learned = index.place[slot], index.length[slot], index.learned[slot]
        entry = Entry(index.keys[slot], place, length, learned, What.LEARNED)
        self._journal(self.segments[index.segment[slot]], entry)

    def _journal(self, segment: Segment, entry: Entry) -> None:
        self._unwritten.append((segment, entry))
        if len(self._unwritten) == 1:
            self._disk.behind(self._write_entries)

    def _write_entries(self) -> None:
        # On the appending thread. The loop may add meanwhile: what it adds to an empty queue has a call of its own.
        by_segment: dict[Segment, list[Entry]] = {}
        while self._unwritten:
            segment, entry = self._unwritten.popleft()
            by_segment.setdefault(segment, []).append(entry)
        for segment, entries in by_segment.items():
            segment.enter(entries)
            if segment is not self._active:
                segment.seal()

    def rewrite(self) -> None:
        """Starts rewriting half-dead segments, unless that is under way or there is none."""
        if self._rewriting is None and self._half_dead() is not None:
            self._rewriting = asyncio.get_running_loop().create_task(self._rewrite())

    async def rewritten(self) -> None:
        """Waits until no half-dead segment is left, or lets the others have the loop."""
        if self._rewriting is None:
            await asyncio.sleep(0)
        else:
            await asyncio.wait([self._rewriting])

    def _half_dead(self) -> Segment | None:
        return next((segment for segment in self._due.values() if segment is not self._active), None)

    async def _rewrite(self) -> None:
        try:
            while not self._closing and self._disk.out is None and (segment := self._half_dead()) is not None:
                await self._rewrite_one(segment)
        except OSError as error:
            self._disk.failed(error)
        finally:
            self._rewriting = None

    async def _rewrite_one(self, segment: Segment) -> None:
        lines = await self._disk.run(lambda: list(decode_entries(segment.journal())))
        for batch in self._batches(segment, lines):
            for old, placed in await self._disk.append(self._move, segment, batch):
                self._moved(segment, old, placed)
        del self.segments[segment.number], self._due[segment.number]
        self.dead_bytes -= segment.dead - segment.moved
        self._opened.pop(segment.number)
        await self._disk.append(segment.unlink)

    def _batches(self, segment: Segment, lines: list[Line]) -> Iterator[list[Old]]:
        """Yields what is still live at that moment, in steps that keep the appending thread for a short while."""
        batch: list[Old] = []
        for digest, offset, length, _, what, _ in lines:
            if what == What.KEPT and self._live(segment, digest, offset):
                learned_at = self._index.learned[self._index.slots[digest]]
                batch.append(Old(digest, offset, length, learned_at))
                if sum(old.length for old in batch) >= _STEP_BYTES:
                    yield batch
                    batch = []
        yield batch

    def _live(self, segment: Segment, digest: int, offset: int) -> bool:
        index = self._index
        slot = index.slots.get(digest)
        if slot is None or index.kinds[slot] != Kind.PACKED or index.paths[slot] != self._number:
            return False
        return index.segment[slot] == segment.number and index.place[slot] == offset

    def _move(self, segment: Segment, batch: list[Old]) -> list[tuple[Old, Placed | None]]:
        return [(old, self._move_one(segment, old)) for old in batch]

    def _move_one(self, segment: Segment, old: Old) -> Placed | None:
        raw = self._disk.read(segment.opened(), old.offset, old.length)
        try:
            _, meta, _ = decode_record(raw)
        except BadRecord:
            return None
        entry = Entry(old.digest, 0, old.length, old.learned_at, What.KEPT, squeeze(meta.version))
        return self._append([raw], entry)

    def _moved(self, segment: Segment, old: Old, placed: Placed | None) -> None:
        index = self._index
        live = self._live(segment, old.digest, old.offset)
        if placed is None:
            if live:
                self._spoilt(index.slots[old.digest])
            return
        self._register(placed.segment)
        if not live:
            self.bury(placed.segment, old.digest, placed.offset, placed.length)
            return
        slot = index.slots[old.digest]
        index.segment[slot] = placed.segment.number
        index.place[slot] = placed.offset
        segment.dead += old.length
        segment.moved += old.length

    def load(self, placed: Callable[[Segment, Line], None]) -> tuple[int, int]:
        """Reads every journal at the start, oldest segment first, and tells `placed` of each line in order.

        Blocks. Returns how many files were unreadable and how many unknown. Raises OSError, LayoutTooNew.
        """
        found = list((self._disk.path / "packs").iterdir())
        names = sorted(path for path in found if path.suffix == ".seg" and _NAME.match(path.stem))
        dropped = 0
        for path in names:
            segment = Segment(self._disk, int(path.stem, 16))
            self._last_number = segment.number
            try:
                segment.check()
            except BadRecord:
                segment.unlink()
                dropped += 1
            else:
                dropped += self._load_one(segment, placed)
                self._active = segment if segment.end < self._segment_bytes else None
        journals = [path for path in found if path.suffix == ".idx" and _NAME.match(path.stem)]
        for path in journals:
            if not path.with_suffix(".seg").exists():
                self._disk.unlink(str(path))
        return dropped, len(found) - len(names) - len(journals)

    def _load_one(self, segment: Segment, placed: Callable[[Segment, Line], None]) -> int:
        self.segments[segment.number] = segment
        end, journaled, lines = segment.end, 0, 0
        for line in decode_entries(segment.journal()):
            digest, offset, length, learned_at, what, version = line
            if offset + length > end:
                break
            lines += 1
            journaled = max(journaled, offset + length)
            if version is None:
                try:
                    version = segment.version_at(offset)
                except BadRecord:
                    self.count_dead(segment, length)
                    continue
            placed(segment, (digest, offset, length, learned_at, what, version))
        adopted, torn = segment.complete(journaled, lines * ENTRY.size)
        for entry in adopted:
            placed(segment, (entry.digest, entry.offset, entry.length, entry.learned_at, What.KEPT, entry.version))
        segment.file = None
        return 1 if torn else 0

    async def close(self) -> None:
        """Waits for a rewriting under way; the rest of it goes on after the next start."""
        if self._rewriting is not None:
            self._closing = True
            await self._rewriting
