"""Figures of several workers as those of their node. A core: plain values in, one out.

Counters and histograms are summed, and gauges by what they mean: amounts are summed, of ages and states the one that an
operator must see is taken, and what no sum says (a ratio, a lease) has the worker as a label.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.admin.answers import FreedShown, LineBytes, LineStatus, Measured, Pins, Point, Status

LARGEST = frozenset({
    "causeway_uptime_seconds", "causeway_members", "causeway_view_epoch", "causeway_namespace_snapshot_age_seconds",
    "causeway_origin_away", "causeway_dirty_oldest_seconds", "causeway_lease_office_epoch",
    "causeway_lease_office_silent_seconds",
})  # fmt: skip
"""The oldest, the newest view, the one that is away."""
SMALLEST = frozenset({
    "causeway_certificate_expiry_timestamp_seconds", "causeway_namespace_revision", "causeway_origin_silent_seconds",
})  # fmt: skip
"""The first to expire, the last to follow, whoever heard an origin last."""
BY_WORKER = frozenset({"causeway_line_once_ratio", "causeway_lease_state"})
WORKER = "worker"

By = Mapping[str, Sequence[Measured]]
"""By worker: what `/metrics` of each says."""


def metrics(of: By) -> tuple[Measured, ...]:
    """Returns what the node says."""
    first = next(iter(of.values()))
    by_name = {worker: {one.name: one for one in measured} for worker, measured in of.items()}
    added = []
    for metric in first:
        parts = {worker: found[metric.name].points for worker, found in by_name.items() if metric.name in found}
        added.append(replace(metric, points=_points(metric.name, parts)))
    return _with_amplification(added)


def status(node: str, of: Sequence[Status]) -> Status:
    """Returns the node at a glance; the first is the one that was asked."""
    first = of[0]
    return replace(
        first,
        node=node,
        # It serves where one of them does: they share the door.
        ready=any(one.ready for one in of),
        uptime_seconds=max(one.uptime_seconds for one in of),
        revision=min(one.revision for one in of),
        caches=tuple(path for one in of for path in one.caches),
        objects=sum(one.objects for one in of),
        memory_bytes=sum(one.memory_bytes for one in of),
        memory_limit_bytes=sum(one.memory_limit_bytes for one in of),
        flights=sum(one.flights for one in of),
        faults=_faults(of),
        leases=tuple((f"{line} {one.node}", lease) for one in of for line, lease in one.leases),
        offices=tuple(office for one in of for office in one.offices),
    )


def lines(of: Iterable[Sequence[LineStatus]]) -> tuple[LineStatus, ...]:
    """Returns each direction of each line, by all of them."""
    by_line: dict[tuple[str, str], list[LineStatus]] = {}
    for one in (line for each in of for line in each):
        by_line.setdefault((one.line, one.direction), []).append(one)
    return tuple(_line(found) for found in by_line.values())


def pins(of: Sequence[Pins]) -> Pins:
    """Returns what is pinned; commands and rules are the same for all."""
    return replace(of[0], held_bytes=sum(one.held_bytes for one in of), room_bytes=sum(one.room_bytes for one in of))


def freed(of: Sequence[FreedShown]) -> FreedShown:
    """Returns what left the caches of all."""
    return FreedShown(
        of[0].path,
        sum(one.objects for one in of),
        sum(one.nbytes for one in of),
        sum(one.pinned_bytes for one in of),
        tuple(path for one in of for path in one.paths_out),
    )


def _points(name: str, parts: Mapping[str, tuple[Point, ...]]) -> tuple[Point, ...]:
    if name in BY_WORKER:
        return tuple(
            replace(point, labels={**point.labels, WORKER: worker})
            for worker, points in parts.items()
            for point in points
        )
    found: dict[tuple[tuple[str, str], ...], Point] = {}
    for point in (point for points in parts.values() for point in points):
        key = tuple(point.labels.items())
        found[key] = point if key not in found else _both(found[key], point, _rule(name))
    return tuple(found.values())


def _rule(name: str) -> Callable[[float, float], float]:
    if name in LARGEST:
        return max
    return min if name in SMALLEST else float.__add__


def _both(one: Point, other: Point, rule: Callable[[float, float], float]) -> Point:
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    return Point(one.labels, rule(float(one.value), float(other.value)), one.bounds, counts)


def _with_amplification(measured: Sequence[Measured]) -> tuple[Measured, ...]:
    sums = {one.name: sum(point.value for point in one.points) for one in measured}
    asked, brought = sums.get("causeway_asked_bytes_total", 0.0), sums.get("causeway_brought_bytes_total", 0.0)
    points = (Point({}, brought / asked),) if asked else ()
    return tuple(replace(one, points=points) if one.name == "causeway_amplification_ratio" else one for one in measured)


def _line(found: Sequence[LineStatus]) -> LineStatus:
    ledger: dict[tuple[str, str, str, str], int] = {}
    weights = []
    for one in found:
        weights.append(sum(part.nbytes for part in one.ledger))
        for part in one.ledger:
            key = (part.tenant, part.cls, part.bucket, part.kind)
            ledger[key] = ledger.get(key, 0) + part.nbytes
    whole = sum(weights)
    once = sum(one.once_ratio * weight for one, weight in zip(found, weights, strict=True)) / whole if whole else 1.0
    return replace(
        found[0],
        quota=sum(one.quota for one in found),
        rate=sum(one.rate for one in found),
        burst_bytes=sum(one.burst_bytes for one in found),
        prepaid_bytes=sum(one.prepaid_bytes for one in found),
        waiting=sum(one.waiting for one in found),
        once_ratio=once,
        ledger=tuple(LineBytes(*key, nbytes) for key, nbytes in ledger.items()),
        office_epoch=max(one.office_epoch for one in found),
    )


def _faults(of: Sequence[Status]) -> tuple[str, ...]:
    """What all say is the node's; what one says alone names it."""
    said = dict.fromkeys(fault for one in of for fault in one.faults)
    who = {fault: [one.node for one in of if fault in one.faults] for fault in said}
    return tuple(fault if len(who[fault]) == len(of) else f"{', '.join(who[fault])}: {fault}" for fault in said)
