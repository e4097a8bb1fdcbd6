"""From counters that only tell sums to slots of five minutes: what was counted between two looks, and when.

A difference goes to the slot in which the look before it was made. Looks come every few seconds, and one at each
boundary of a slot, so that this is the slot it was counted in; after a kill it is too, unless a boundary lay within the
last seconds. Clocks that are set back or forward change where bytes are put, never how many there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from regioncache.ledger import Entry

SLOT_SECONDS = 300
BEFORE = 0
"""The slot of what was counted before there was a history, or so long ago that its slots are kept no more."""
MOST_CELLS = 65_536
"""Kept in memory while the disk takes nothing; beyond it all goes to the slots that there are."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one counter counted in one slot. `slot` is where it begins, seconds since the epoch."""

    slot: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written at once; the same number again is the same batch, tried again."""

    number: int
    cells: Mapping[Cell, int]


def slot_of(moment: float) -> int:
    """Returns where the slot of a moment (epoch seconds) begins."""
    return int(moment // SLOT_SECONDS) * SLOT_SECONDS


class Slotting:
    """Mutable state: `_had`, the counters at the last look, `_slot` the one it was made in, `_cells` what is not in a
    batch yet, `_batch` the one that is being written."""

    def __init__(self, had: Mapping[Entry, int], noted: float, number: int) -> None:
        """Args: had: counters that the history has. noted: the moment of that, 0 for none. number: of the last batch
        written."""
        self._had = dict(had)
        self._slot = slot_of(noted) if noted > 0 else BEFORE
        self._cells: dict[Cell, int] = {}
        self._batch: Batch | None = None
        self._number = number

    def look(self, totals: Mapping[Entry, int], now: float) -> None:
        """The counters are these at `now` (epoch seconds); one that is not among them is 0."""
        for entry, count in totals.items():
            if more := count - self._had.get(entry, 0):
                self._add(entry, more)
        for entry in self._had.keys() - totals.keys():
            self._add(entry, -self._had[entry])
        self._had = dict(totals)
        if len(self._cells) < MOST_CELLS:
            self._slot = slot_of(now)

    def batch(self) -> Batch | None:
        """What is to be written now: the one that could not be, or all that came since; None: nothing did."""
        if self._batch is None and self._cells:
            self._number += 1
            self._batch, self._cells = Batch(self._number, self._cells), {}
        return self._batch

    def written(self) -> None:
        """The batch is on the disk."""
        self._batch = None

    def unwritten(self) -> dict[Cell, int]:
        """What the disk has not got."""
        cells = dict(self._cells)
        for cell, count in (self._batch.cells if self._batch is not None else {}).items():
            cells[cell] = cells.get(cell, 0) + count
        return cells

    def _add(self, entry: Entry, count: int) -> None:
        cell = Cell(self._slot, entry)
        left = self._cells.get(cell, 0) + count
        if left:
            self._cells[cell] = left
        else:
            self._cells.pop(cell, None)
