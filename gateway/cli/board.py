"""What `causeway top` shows: figures as a board that fits the terminal, the faults first."""

import math
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.cli.looks import Figures
from policy.units import show_duration, show_rate, show_size

NARROW = 80
"""Columns below which what can be spared is left out."""
MOST_ROWS = 12
"""Of each table: the busiest."""


def board(now: Figures, width: int, gone: str = "") -> RenderableType:
    """Returns the board; `gone` says that the node does not answer any more, and since when."""
    narrow = width < NARROW
    parts: list[RenderableType] = [_head(now, narrow)]
    if gone:
        parts.append(Text(f"! {gone}", style="bold red", overflow="fold"))
    parts += [Text(f"! {fault}", style="red", overflow="fold") for fault in now.faults]
    for part in (_doors(now, narrow), _lines(now, narrow), _ways(now, narrow), _tenants(now)):
        if part is not None:
            parts += [Text(), part]
    return Group(*parts)


def _head(now: Figures, narrow: bool) -> RenderableType:
    state = "ready" if now.ready else "NOT READY"
    span = f"over {show_duration(now.seconds)}" if now.seconds else "since its start"
    lines = [
        f"{now.node} in {now.region}: {state}, up {show_duration(now.uptime_seconds)}, {span}",
        f"cpu {now.cpu:.0%}   loop late {_seconds(now.loop_delay_p99_seconds)} at p99   flights {now.flights:g}"
        f"   waiting readers {now.readers_waiting:g}",
        f"memory {show_size(now.memory_bytes)} of {show_size(now.memory_limit_bytes)}"
        f"   cache {show_size(now.cache_bytes)} of {show_size(now.cache_limit_bytes)}",
        f"connections {_list(now.connections)}",
        f"reads {show_rate(sum(now.read.values()))}   hits {'-' if now.hit_ratio is None else f'{now.hit_ratio:.1%}'}",
    ]
    if not narrow:
        lines[-2:] = [f"{lines[-1]}   from {_rates(now.read)}   {lines[-2]}"]
    first, *others = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
    first.stylize("bold")
    return Group(first, *others)


def _doors(now: Figures, narrow: bool) -> RenderableType | None:
    rows = [
        (
            one.door if narrow else f"{one.door} door",
            one.operation,
            f"{one.rate:,.1f}",
            f"{one.failed_rate:,.1f}" if one.failed_rate else "-",
            _seconds(one.p50_seconds),
            _seconds(one.p99_seconds),
        )
        for one in now.doors
        if one.rate
    ]
    return _table(("door", "operation", ">/s", ">failed/s", ">p50", ">p99"), rows)


def _lines(now: Figures, narrow: bool) -> RenderableType | None:
    rows = [
        (
            one.line,
            one.direction,
            show_rate(one.rate),
            show_rate(one.quota),
            f"{one.rate / one.quota:.0%}" if one.quota else "-",
            f"{one.once_ratio:.3f}",
            _list({cls: count for cls, count in one.waiting.items() if count}) or "nobody",
        )
        for one in now.lines
    ]
    return _table(("line", "direction", ">rate", ">quota", ">used", ">once", "waiting"), rows, (1, 5) if narrow else ())


def _ways(now: Figures, narrow: bool) -> RenderableType | None:
    rows = [
        (
            one.bucket,
            one.way,
            "AWAY" if one.away else "answers",
            f"{one.active:g}",
            f"{one.waiting:g}",
            _seconds(one.silent_seconds) if one.away else "-",
        )
        for one in sorted(now.ways, key=lambda one: (not one.away, -one.active))
    ]
    return _table(("bucket", "way", "", ">active", ">waiting", ">silent"), rows, (5,) if narrow else ())


def _tenants(now: Figures) -> RenderableType | None:
    rows = [(one.tenant, show_rate(one.sent), show_rate(one.brought)) for one in now.tenants if one.sent or one.brought]
    return _table(("tenant", ">sent", ">over lines"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], spared: Sequence[int] = ()) -> RenderableType | None:
    """A table of the first rows; None where there are none. `spared` are columns to leave out."""
    if not rows:
        return None
    shown = [at for at in range(len(headings)) if at not in spared]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for at in shown:
        table.add_column(
            headings[at].removeprefix(">"),
            justify="right" if headings[at].startswith(">") else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows[:MOST_ROWS]:
        table.add_row(*(Text(row[at], style="bold red" if row[at] == "AWAY" else "") for at in shown))
    if len(rows) <= MOST_ROWS:
        return table
    return Group(table, Text(f"and {len(rows) - MOST_ROWS} more", style="dim"))


def _list(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def _rates(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {show_rate(value)}" for name, value in values.items() if value) or "nowhere"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return "> 1 min" if math.isinf(seconds) else show_duration(seconds)
