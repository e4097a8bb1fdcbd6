"""What a reading showed, and whether the promises held: right bytes, once, within the quota."""

from collections.abc import Sequence
from dataclasses import dataclass

from policy.units import show_rate, show_size

# What a clock, and a count by slots of 10 ms, may blur (line-rules: each bound is checked to 2 %).
TOLERANCE = 0.02

MISSED = 0.01
"""Of what is read again, so much may be asked for again: questions about the newest version, an object overwritten."""

Slot = tuple[float, float, int]
"""First moment, last moment (seconds of the system's clock) and the payload bytes between."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the line may carry: `quota` bytes/s of payload x `overhead`, beyond it `burst` and what was prepaid."""

    quota: float
    overhead: float
    burst: int


@dataclass(frozen=True, slots=True)
class Pass:
    """One reading of everything, in bytes.

    The node's account: `asked`, `held` (of those, from its cache), `ledger` (over the line), `prepaid` (the most there
    can have been). The proxy's: `crossed` and `slots`. The reader's: `faults`, bytes that differ and reads that failed.
    """

    name: str
    seconds: float
    objects: int
    asked: int
    held: int
    ledger: int
    prepaid: int
    crossed: int
    slots: tuple[Slot, ...]
    once_ratio: float
    faults: tuple[str, ...] = ()


def rate(slots: Sequence[Slot], overhead: float) -> float:
    """Returns the bytes/s, with overhead, from the first byte on the line to the last; 0 where there were too few."""
    if not slots or slots[-1][1] <= slots[0][0]:
        return 0.0
    return sum(slot[2] for slot in slots) * overhead / (slots[-1][1] - slots[0][0])


def above_quota(slots: Sequence[Slot], terms: Terms) -> float:
    """Returns the most by which any interval passed quota x T (bytes with overhead; 0 where there were none).

    In any interval T: bytes on the line <= quota x T + burst + what was prepaid when it began (line-rules, Burst).
    """
    allowed = terms.quota * (1 + TOLERANCE)
    most, best_start, seen = 0.0, float("-inf"), 0.0
    for first, last, payload in slots:
        # An interval begins here, or began where it had least behind it already.
        best_start = max(best_start, allowed * first - seen)
        seen += payload * terms.overhead
        most = max(most, seen - allowed * last + best_start)
    return most


def broken(passes: Sequence[Pass], terms: Terms) -> list[str]:
    """Returns a line for each promise that did not hold; none if all did."""
    lines = [f"{one.name}: {fault}" for one in passes for fault in one.faults]
    for one in passes:
        if one.once_ratio < 1:
            lines.append(f"{one.name}: once_ratio is {one.once_ratio:.6f}: bytes crossed the line again")
        if one.ledger < one.crossed:
            lines.append(f"{one.name}: {one.crossed:,} bytes crossed the line, the ledger knows of {one.ledger:,}")
        if one is not passes[0] and one.crossed > one.asked * MISSED:
            lines.append(f"{one.name}: {show_size(one.crossed)} came over the line again: the cache did not keep them")
        over = above_quota(one.slots, terms) - terms.burst - one.prepaid
        if over > 0:
            lines.append(f"{one.name}: in some interval the line carried {show_size(over)} more than its quota allows")
    return lines


def rows(passes: Sequence[Pass], terms: Terms) -> list[tuple[str, ...]]:
    """Returns the table's rows: what, then a column for each pass."""
    return [
        ("objects read", *(f"{one.objects:,}" for one in passes)),
        ("bytes asked for", *(f"{one.asked:,}" for one in passes)),
        ("bytes over the line, counted outside", *(f"{one.crossed:,}" for one in passes)),
        ("bytes over the line, by the ledger", *(f"{one.ledger:,}" for one in passes)),
        ("once_ratio", *(f"{one.once_ratio:.3f}" for one in passes)),
        ("seconds", *(f"{one.seconds:.1f}" for one in passes)),
        (f"rate on the line of {show_rate(terms.quota)}", *(_share(one, terms) for one in passes)),
        ("most above quota x T (allowed)", *(_margin(one, terms) for one in passes)),
        ("hit rate, by bytes", *(_hits(one) for one in passes)),
        ("every byte against its source", *("all right" if not one.faults else "WRONG" for one in passes)),
    ]


def _share(one: Pass, terms: Terms) -> str:
    now = rate(one.slots, terms.overhead)
    return f"{show_rate(now)}, {now / terms.quota:.0%}" if now else "-"


def _margin(one: Pass, terms: Terms) -> str:
    if not one.slots:
        return "-"
    return f"{show_size(above_quota(one.slots, terms))} ({show_size(terms.burst + one.prepaid)})"


def _hits(one: Pass) -> str:
    return f"{one.held / one.asked:.1%}" if one.asked else "-"
