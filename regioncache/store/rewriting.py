"""Half-dead segments are rewritten, one after the other, behind everything else: the live records move, the rest goes.

A record that dies while it moves is buried where it went. A crash in between leaves two copies, of which the later
one counts.
"""

import asyncio
import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from regioncache.pages import MIB
from regioncache.store.appending import Appending, Placed
from regioncache.store.disk import Disk
from regioncache.store.identity import squeeze
from regioncache.store.index import Index, Kind
from regioncache.store.label import UNKNOWN, Label
from regioncache.store.queues import NOT_ON_DISK
from regioncache.store.record import BadRecord, Entry, Line, What, decode_entries, decode_record
from regioncache.store.segment import Segment

_STEP_BYTES = MIB
"""Bytes moved in one go: what is packed meanwhile waits no longer than for one large write."""


@dataclass(frozen=True, slots=True)
class Old:
    """A record to be moved."""

    digest: int
    offset: int
    length: int
    learned_at: float
    label: Label


@dataclass(slots=True)
class _Moved:
    """Of a step: each record with where it went, None where it could not be read; and what ended the step early."""

    records: list[tuple[Old, Placed | None]] = field(default_factory=list)
    error: OSError | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rewriter tells its packs."""

    moved: Callable[[Placed], None]
    """A record was written again, into this segment."""
    died: Callable[[Placed, int], None]
    """It died meanwhile; its object's hash."""
    spoilt: Callable[[int], None]
    """The slot's record turned out damaged."""
    gone: Callable[[Segment], None]
    """Nothing points to the segment any more; its files are removed next."""
    learned: Callable[[int], None]
    """What the slot's journal entry says has changed since it was written."""


class Rewriting:
    """Mutable state: the segments `_due`, the task under way."""

    def __init__(self, number: int, disk: Disk, index: Index, appending: Appending, outcome: Outcome) -> None:
        self._number = number
        self._disk = disk
        self._index = index
        self._appending = appending
        self._outcome = outcome
        self._due: dict[int, Segment] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"Rewriting({len(self._due)} due, {'under way' if self._task else 'idle'})"

    def look(self, segment: Segment) -> None:
        """More of the segment died: it is due when that is half of it."""
        if segment.dead * 2 >= segment.end:
            self._due[segment.number] = segment

    def start(self) -> None:
        """Starts rewriting what is due, unless that is under way or nothing is."""
        if self._task is None and self._next() is not None and not self._closing:
            self._task = asyncio.get_running_loop().create_task(self._rewrite_all())

    async def settled(self) -> None:
        """Waits until nothing is due, or lets the others have the loop."""
        if self._task is None:
            await asyncio.sleep(0)
        else:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Ends after the segment under way; the rest goes on after the next start."""
        self._closing = True
        if self._task is not None:
            await self._task

    def _next(self) -> Segment | None:
        return next((segment for segment in self._due.values() if segment is not self._appending.active), None)

    async def _rewrite_all(self) -> None:
        try:
            while not self._closing and self._disk.out is None and (segment := self._next()) is not None:
                await self._rewrite(segment)
        except OSError as error:
            self._disk.on_failure(error)
        finally:
            self._task = None

    async def _rewrite(self, segment: Segment) -> None:
        lines = await self._disk.append(lambda: list(decode_entries(segment.journal())))
        for batch in self._batches(segment, lines):
            moving = self._disk.start_append(self._moved_late, partial(self._move, segment, batch))
            moved = await asyncio.shield(moving)
            for old, placed in moved.records:
                self._moved(segment, old, placed)
            if moved.error is not None:
                raise moved.error
        if not segment.all_dead():
            # The journal did not tell of all: what it kept back cannot be moved.
            for slot in range(len(self._index.kinds)):
                if self._points_to(slot, segment):
                    self._outcome.spoilt(slot)
        del self._due[segment.number]
        self._outcome.gone(segment)
        await self._disk.append(segment.unlink)

    def _batches(self, segment: Segment, lines: list[Line]) -> Iterator[list[Old]]:
        """Yields what is still live at that moment, in steps."""
        batch: list[Old] = []
        nbytes = 0
        for digest, offset, length, _, what, *_ in lines:
            slot = self._live(segment, digest, offset) if what == What.KEPT else None
            if slot is None:
                continue
            batch.append(Old(digest, offset, length, self._index.learned[slot], self._index.label(slot)))
            nbytes += length
            if nbytes >= _STEP_BYTES:
                yield batch
                batch, nbytes = [], 0
        yield batch

    def _live(self, segment: Segment, digest: int, offset: int) -> int | None:
        """The slot that points to the record, if one does."""
        slot = self._index.slots.get(digest, self._index.aside.get(digest))
        if slot is None or not self._points_to(slot, segment) or self._index.place[slot] != offset:
            return None
        return slot

    def _points_to(self, slot: int, segment: Segment) -> bool:
        index = self._index
        packed_here = index.kinds[slot] == Kind.PACKED and index.paths[slot] == self._number
        return packed_here and index.segment[slot] == segment.number

    def _move(self, segment: Segment, batch: list[Old]) -> "_Moved":
        moved = _Moved()
        for old in batch:
            try:
                moved.records.append((old, self._move_one(segment, old)))
            except OSError as error:
                # Those before it lie in the journal of another segment: nobody else knows of them.
                moved.error = error
                break
        return moved

    def _move_one(self, segment: Segment, old: Old) -> Placed | None:
        try:
            raw = self._disk.read(segment.opened(), old.offset, old.length)
            _, meta, _ = decode_record(raw)
        except BadRecord:
            return None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return None  # the disk has lost it: the others shall not wait for that
        entry = Entry(old.digest, 0, old.length, old.learned_at, What.KEPT, squeeze(meta.version), old.label)
        return self._appending.write_now([raw], entry)

    def _moved_late(self, moved: "_Moved") -> None:
        """Nobody waits any more: the records count where they were."""
        for old, placed in moved.records:
            if placed is not None:
                self._outcome.moved(placed)
                self._outcome.died(placed, old.digest)

    def _moved(self, segment: Segment, old: Old, placed: Placed | None) -> None:
        slot = self._live(segment, old.digest, old.offset)
        if placed is None:
            if slot is not None:
                self._outcome.spoilt(slot)
            return
        self._outcome.moved(placed)
        if slot is None:
            self._outcome.died(placed, old.digest)
            return
        self._index.segment[slot] = placed.segment.number
        self._index.place[slot] = placed.offset
        segment.dead += old.length
        segment.moved += old.length
        if old.label.group == UNKNOWN:
            self._index.links.labelled[slot] = NOT_ON_DISK
        if (self._index.learned[slot], self._index.label(slot)) != (old.learned_at, old.label):
            self._outcome.learned(slot)
