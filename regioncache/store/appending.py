"""What is written to the segments of one cache path: on one thread, in order, many records in one go.

The loop queues; while the thread writes one batch the next one gathers. Nobody's cancellation undoes a queued record:
its `done` is called on the loop in any case, so that what lies on the disk is in the index, or buried.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from regioncache.pages import MIB
from regioncache.store.disk import Disk, Piece
from regioncache.store.record import Entry
from regioncache.store.segment import Segment

_BATCH_BYTES = 4 * MIB
"""Most that is written in one go: a few milliseconds of the thread, before deaths are journaled and moves made."""

_BATCH_RECORDS = 256
"""And most records: of tiny ones it is the entering into the index that takes the time, and that is the loop's."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a record was written."""

    segment: Segment
    offset: int
    length: int


Done = Callable[[Placed | OSError], None]
_Queued = tuple[list[Piece], Entry, Done]


class Appending:
    """Mutable state: `_queue` and `_busy` (the loop's), `_unwritten` and `_journaling` (both threads'), `active` and
    `last_number` (the appending thread's)."""

    def __init__(self, disk: Disk, segment_bytes: int, late: Callable[[Placed, int], None]) -> None:
        """Args: late: told of records, each with its object's hash, that were written when that was given up."""
        self._disk = disk
        self._late = late
        self._segment_bytes = segment_bytes
        self._queue: deque[_Queued] = deque()
        self._busy = False
        self._journaling = False
        self._unwritten: deque[tuple[Segment, Entry]] = deque()
        self.active: Segment | None = None
        """The segment that is written to; others only read it."""
        self.last_number = 0

    def __repr__(self) -> str:
        return f"Appending({len(self._queue)} queued, to {self.active!r})"

    def begin(self, segment: Segment) -> None:
        """At the start: the segment was the last one, and may have room."""
        self.last_number = segment.number
        self.active = segment if segment.end < self._segment_bytes else None

    def put(self, pieces: list[Piece], entry: Entry, done: Done) -> None:
        """Queues a record and its journal entry (whose place is filled in)."""
        self._queue.append((pieces, entry, done))
        if not self._busy:
            self._busy = True
            self._start()

    def _start(self) -> None:
        batch: list[_Queued] = []
        room = _BATCH_BYTES
        while self._queue and room > 0 and len(batch) < _BATCH_RECORDS:
            batch.append(self._queue.popleft())
            room -= batch[-1][1].length

        def late(written: list[Placed | OSError]) -> None:
            for (_, entry, _), placed in zip(batch, written, strict=True):
                if isinstance(placed, Placed):
                    self._late(placed, entry.digest)

        appended = self._disk.start_append(late, lambda: self._write(batch))
        appended.add_done_callback(lambda written: self._written(batch, written))

    def _written(self, batch: list[_Queued], written: asyncio.Future[list[Placed | OSError]]) -> None:
        error = written.exception()
        if error is not None and not isinstance(error, OSError):
            raise error
        outcome = written.result() if error is None else [error] * len(batch)
        for (_, _, done), placed in zip(batch, outcome, strict=True):
            done(placed)
        if self._queue:
            self._start()
        else:
            self._busy = False

    def _write(self, batch: list[_Queued]) -> list[Placed | OSError]:
        placed: list[Placed | OSError] = []
        at = 0
        while at < len(batch):
            try:
                segment = self._room_for(batch[at][1].length)
                count = self._fitting(segment, batch, at)
                placed.extend(self._write_to(segment, batch[at : at + count]))
            except OSError as error:
                count = len(batch) - at
                placed.extend([error] * count)
            at += count
        return placed

    def _fitting(self, segment: Segment, batch: list[_Queued], at: int) -> int:
        end, count = segment.end, 0
        for _, entry, _ in batch[at:]:
            end += entry.length
            if count and end > self._segment_bytes:
                break
            count += 1
        return count

    def _write_to(self, segment: Segment, batch: list[_Queued]) -> list[Placed]:
        at = before = segment.end
        placed, entries = [], []
        for _, entry, _ in batch:
            placed.append(Placed(segment, at, entry.length))
            entries.append(replace(entry, offset=at))
            at += entry.length
        segment.append([piece for pieces, _, _ in batch for piece in pieces])
        try:
            segment.enter(entries)
        except OSError:
            # Not in the journal, not in the index: the next record takes their place.
            segment.end = before
            raise
        return placed

    def write_now(self, pieces: list[Piece], entry: Entry) -> Placed:
        """Writes one record and its journal entry. Blocks, on the appending thread. Raises OSError."""
        (placed,) = self._write_to(self._room_for(entry.length), [(pieces, entry, lambda _: None)])
        return placed

    def _room_for(self, length: int) -> Segment:
        active = self.active
        if active is None or active.end + length > self._segment_bytes:
            fresh = Segment(self._disk, self.last_number + 1)
            fresh.create()
            self.last_number += 1
            if active is not None:
                active.seal()
            self.active = active = fresh
        return active

    def journal(self, segment: Segment, entry: Entry) -> None:
        """Queues an entry about a record that is there already."""
        self._unwritten.append((segment, entry))
        if not self._journaling:
            self.resume()

    def resume(self) -> None:
        """Goes on journaling, where that had failed."""
        self._journaling = True
        self._disk.behind(self._write_entries)

    def _write_entries(self) -> None:
        # On the appending thread. The loop may add meanwhile: what it adds from here on may have a call of its own.
        self._journaling = False
        by_segment: dict[Segment, list[Entry]] = {}
        while self._unwritten:
            segment, entry = self._unwritten.popleft()
            by_segment.setdefault(segment, []).append(entry)
        while by_segment:
            segment, entries = next(iter(by_segment.items()))
            try:
                segment.enter(entries)
            except OSError:
                # A death that is not journaled would be undone by a restart.
                self._unwritten.extend((each, entry) for each, left in by_segment.items() for entry in left)
                raise
            del by_segment[segment]
            if segment is not self.active:
                segment.seal()

    async def settled(self) -> None:
        """Waits until nothing is queued."""
        while self._busy:
            with contextlib.suppress(OSError):
                await self._disk.append(lambda: None)
            await asyncio.sleep(0)
