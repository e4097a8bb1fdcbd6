"""The packed objects of one cache path: their segments, how they are read, and what dies in them.

The loop knows what is live; the appending thread alone writes. A record's death is journaled, so that a restart does
not bring back what was forgotten.
"""

import errno
import os
import re
from collections.abc import Callable

from regioncache.store.appending import Appending, Done, Placed
from regioncache.store.base import StoreSettings, WouldBlock
from regioncache.store.disk import Disk, OpenFile, Piece
from regioncache.store.index import Index
from regioncache.store.opentable import OpenTable
from regioncache.store.record import (
    ENTRY,
    HEAD_BYTES,
    RECORD_BYTES_LIMIT,
    BadRecord,
    Entry,
    Line,
    What,
    adopted_line,
    decode_entries,
    facts_end,
)
from regioncache.store.rewriting import Outcome, Rewriting
from regioncache.store.segment import Segment

_HEAD_GUESS = 1024
"""Facts are rarely longer."""
_NAME = re.compile(r"[0-9a-f]{8}$")


class Packs:
    """Mutable state, the loop's: `segments` by number, those open, the count of dead bytes."""

    def __init__(
        self, number: int, disk: Disk, index: Index, settings: StoreSettings, spoilt: Callable[[int], None]
    ) -> None:
        """Args: number: the path's; spoilt: told of a slot whose record turned out damaged."""
        self._disk = disk
        self._index = index
        # A small store has small segments: what is dead in the one being written cannot be had back.
        share = settings.limit(disk.disk_bytes, number) // 16
        self._appending = Appending(disk, min(settings.segment_bytes, max(share, 2 * RECORD_BYTES_LIMIT)), self._late)
        outcome = Outcome(lambda placed: self._register(placed.segment), self.bury, spoilt, self._gone, self.learned)
        self._rewriting = Rewriting(number, disk, index, self._appending, outcome)
        self.segments: dict[int, Segment] = {}
        self.dead_bytes = 0
        """Bytes that nothing points to any more."""
        self._opened: OpenTable[Segment] = OpenTable(settings.open_files)
        self._preadv = disk.calls.preadv

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

    async def heads(self, slots: list[int]) -> list[memoryview]:
        """Returns the beginnings of some records, unchecked: what holds the facts; nothing where the record is gone.

        Raises OSError.
        """
        index = self._index
        wanted: list[tuple[OpenFile | None, int, int]] = []
        for slot in slots:
            segment = self.segments.get(index.segment[slot])
            if segment is None:
                wanted.append((None, 0, 0))
                continue
            place, length = index.place[slot], min(HEAD_BYTES, index.length[slot])
            wanted.append((segment.file or await self._open(segment), place, length))
        return await self._disk.run(lambda: [_head(self._disk, *one) for one in wanted])

    async def _open(self, segment: Segment) -> OpenFile:
        file = await self._disk.run(segment.opened)
        self._keep_open(segment)
        return file

    def _keep_open(self, segment: Segment) -> None:
        let_go = self._opened.put(segment.number, segment)
        if let_go is not None and let_go is not self._appending.active:
            let_go.file = None

    def _register(self, segment: Segment) -> None:
        """A segment was written to, perhaps for the first time."""
        if segment.number not in self.segments:
            self.segments[segment.number] = segment
            self._keep_open(segment)

    def append(self, pieces: list[Piece], entry: Entry, done: Done) -> None:
        """Queues a record; `done` is told on the loop where it was written, or why it was not."""

        def written(placed: Placed | OSError) -> None:
            if isinstance(placed, Placed):
                self._register(placed.segment)
            done(placed)

        self._appending.put(pieces, entry, written)

    def _late(self, placed: Placed, digest: int) -> None:
        self._register(placed.segment)
        self.bury(placed, digest)

    def resume(self) -> None:
        """The path is in use again: goes on with what had failed."""
        self._appending.resume()
        self.rewrite()

    def died(self, slot: int) -> None:
        """The record that the slot points to is no longer wanted."""
        index = self._index
        segment = self.segments[index.segment[slot]]
        self.bury(Placed(segment, index.place[slot], index.length[slot]), index.keys[slot])

    def bury(self, placed: Placed, digest: int) -> None:
        """Nothing points to the record: journals that and rewrites the segment in time."""
        self.count_dead(placed.segment, placed.length)
        self._appending.journal(placed.segment, Entry(digest, placed.offset, placed.length, 0.0, What.GONE))
        self.rewrite()

    def count_dead(self, segment: Segment, length: int) -> None:
        """Nothing points to `length` bytes of the segment any more."""
        segment.dead += length
        self.dead_bytes += length
        self._rewriting.look(segment)

    def _gone(self, segment: Segment) -> None:
        del self.segments[segment.number]
        self.dead_bytes -= segment.dead - segment.moved
        self._opened.pop(segment.number)

    def learned(self, slot: int) -> None:
        """The slot's `learned`, or its label, changed: journals it."""
        index = self._index
        place, length, learned = index.place[slot], index.length[slot], index.learned[slot]
        entry = Entry(index.keys[slot], place, length, learned, What.LEARNED, None, index.label(slot))
        self._appending.journal(self.segments[index.segment[slot]], entry)

    def rewrite(self) -> None:
        """Starts rewriting half-dead segments, if there are any."""
        self._rewriting.start()

    async def rewritten(self) -> None:
        """Waits until no half-dead segment is left, or lets the others have the loop."""
        await self._rewriting.settled()

    def load(self, placed: Callable[[Segment, Line], None]) -> tuple[int, int]:
        """Reads every journal at the start, oldest segment first, and tells `placed` of each line in order.

        Blocks. Returns how many files were unreadable and how many unknown. Raises OSError, LayoutTooNew.
        """
        found = list((self._disk.path / "packs").iterdir())
        names = sorted(path for path in found if path.suffix == ".seg" and _NAME.match(path.stem))
        dropped = 0
        for path in names:
            segment = Segment(self._disk, int(path.stem, 16))
            self._appending.last_number = segment.number
            try:
                segment.check()
            except BadRecord:
                segment.unlink()
                dropped += 1
            else:
                dropped += self._load_one(segment, placed)
                self._appending.begin(segment)
        journals = [path for path in found if path.suffix == ".idx" and _NAME.match(path.stem)]
        for path in journals:
            if not path.with_suffix(".seg").exists():
                self._disk.unlink(str(path))
        return dropped, len(found) - len(names) - len(journals)

    def _load_one(self, segment: Segment, placed: Callable[[Segment, Line], None]) -> int:
        self.segments[segment.number] = segment
        end, journaled, lines = segment.end, 0, 0
        for line in decode_entries(segment.journal()):
            # A million times: what is rare stands apart.
            behind = line[1] + line[2]
            if behind > end:
                break
            lines += 1
            journaled = max(journaled, behind)
            if line[5] is not None:
                placed(segment, line)
                continue
            try:
                version = segment.version_at(line[1])
            except BadRecord:
                self.count_dead(segment, line[2])
            else:
                placed(segment, (*line[:5], version, *line[6:]))
        adopted, torn = segment.complete(journaled, lines * ENTRY.size)
        for entry in adopted:
            placed(segment, adopted_line(entry))
        segment.file = None
        return 1 if torn else 0

    async def close(self) -> None:
        """Waits for what is queued, and for the segment that is being rewritten."""
        await self._appending.settled()
        await self._rewriting.close()


def _head(disk: Disk, file: OpenFile | None, place: int, length: int) -> memoryview:
    """Reads a record's beginning, more of it only where its facts are long. Blocks. Raises OSError."""
    if file is None:
        return memoryview(b"")
    short = disk.read(file, place, min(length, _HEAD_GUESS))
    return short if facts_end(short) <= len(short) else disk.read(file, place, length)
