"""The account of lines over a time: what is asked, and from the rows of all members' ledgers to the answer.

A core: it is told the time, the rows and the prices. Bytes are payload, as in the ledger; a carrier that bills what is
on the wire bills the line's `overhead` more.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.admin.answers import Moved, MovedRow
from namespace import keys
from policy import units
from policy.errors import UnitError
from regioncache.history.file import Row
from regioncache.history.slots import SLOT_SECONDS, slot_of
from regioncache.ledger import ONCE_KINDS

NAMES = ("line", "direction", "tenant", "class", "bucket", "kind", "slot", "node")
"""What an account may be grouped by."""
USUAL = ("line", "tenant", "class", "bucket")
GB = 10**9
DAY_SECONDS = 86_400
_PRICED = ("line", "kind")
"""Of each row, whatever it is asked by: a price belongs to a line, and a once ratio is made of kinds."""


@dataclass(frozen=True, slots=True)
class Period:
    """A question: slots that begin in [since, until), grouped by these names."""

    since: int
    until: int
    by: tuple[str, ...]

    @classmethod
    def of(cls, since: str, until: str, by: str, now: float) -> "Period":
        """Returns the question as people write it, or ValueError naming what is accepted.

        Args:
            since: a duration before `now`, or a date or moment; the slot in which it lies is the first.
            until: the same; a day is meant to its end; empty: now.
            by: names, with commas between; empty: the usual.
        """
        end = moment(until, now, end=True) if until else now
        begin = moment(since, now, end=False)
        if begin >= end:
            raise ValueError(
                f"the time from {since!r} to {until or 'now'!r} is empty: the first comes before the second"
            )
        names = tuple(name.strip() for name in by.split(",")) if by else USUAL
        for name in names:
            if name not in NAMES:
                raise ValueError(f"{name!r} is nothing to group by; known: {', '.join(NAMES)}")
        return cls(slot_of(begin), math.ceil(end / SLOT_SECONDS) * SLOT_SECONDS, tuple(dict.fromkeys(names)))

    @property
    def columns(self) -> tuple[str, ...]:
        """What each ledger is asked for."""
        return tuple(dict.fromkeys((*(name for name in self.by if name != "node"), *_PRICED)))


def moment(text: str, now: float, *, end: bool) -> float:
    """Returns the moment (epoch seconds) of a duration before now, or of a date: its end, or where it begins.

    Raises ValueError naming what is accepted.
    """
    try:
        return now - units.duration(text)
    except UnitError:
        pass
    try:
        found = keys.until(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time; write 1h, 30d, 2026-03-06 or 2026-03-06T18:00+08:00") from None
    return found if end or {":", "T", " "} & set(text) else found - DAY_SECONDS


def account(
    period: Period,
    parts: Mapping[str, Iterable[Row]],
    prices: Mapping[str, float],
    unasked: Sequence[tuple[str, str]] = (),
) -> Moved:
    """Returns the answer: the rows of each node by name, in the order of bytes, or of time where it is by slot.

    Args:
        parts: rows by node, as `period.columns` has them.
        prices: of 10^9 bytes, by line.
        unasked: nodes that are missing, and why.
    """
    groups: dict[tuple[str | int, ...], dict[tuple[str, str], int]] = {}
    for node, rows in parts.items():
        for row in rows:
            names = dict(zip(period.columns, row.names, strict=True)) | {"node": node}
            sums = groups.setdefault(tuple(names[name] for name in period.by), {})
            each = (str(names["line"]), str(names["kind"]))
            sums[each] = sums.get(each, 0) + row.nbytes
    made = [_row(dict(zip(period.by, names, strict=True)), sums, prices) for names, sums in groups.items()]
    made.sort(key=lambda row: (row.names.get("slot", 0), -row.nbytes, *map(str, row.names.values())))
    whole: dict[tuple[str, str], int] = {}
    for sums in groups.values():
        for each, nbytes in sums.items():
            whole[each] = whole.get(each, 0) + nbytes
    return Moved(
        period.since, period.until, period.by, tuple(made), _row({}, whole, prices), tuple(parts), tuple(unasked)
    )


def _row(names: dict[str, str | int], sums: Mapping[tuple[str, str], int], prices: Mapping[str, float]) -> MovedRow:
    kinds: dict[str, int] = {}
    cost: float | None = 0.0
    for (line, kind), nbytes in sums.items():
        kinds[kind] = kinds.get(kind, 0) + nbytes
        cost = None if cost is None or line not in prices else cost + nbytes / GB * prices[line]
    brought = sum(kinds.get(kind, 0) for kind in ONCE_KINDS)
    once = kinds.get("unique", 0) / brought if brought > 0 else None
    return MovedRow(names, sum(kinds.values()), kinds, cost, once)
