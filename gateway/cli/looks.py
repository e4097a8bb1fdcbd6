"""What two looks at a node's counters say of the time between them: rates, percentiles, who waits. A core.

A node that started anew between the looks has smaller counters; then what it counted since its start is taken.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.admin.answers import Measured, Point, Status

_HIT = "page"


@dataclass(frozen=True, slots=True)
class Look:
    """What a node said at one moment; `at` is in monotonic seconds of whoever looked."""

    at: float
    status: Status
    metrics: Mapping[str, Sequence[Point]]

    @classmethod
    def of(cls, at: float, status: Status, metrics: Iterable[Measured]) -> "Look":
        """Returns a look of what the admin port answered."""
        return cls(at, status, {metric.name: metric.points for metric in metrics})

    def points(self, name: str) -> Sequence[Point]:
        """The samples of a metric; none where the node does not know it."""
        return self.metrics.get(name, ())


@dataclass(frozen=True, slots=True)
class DoorFigures:
    """One operation of one door. Seconds are to the first byte, None where nothing was answered."""

    door: str
    operation: str
    rate: float
    failed_rate: float
    p50_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True, slots=True)
class LineFigures:
    """One direction of a line; rates in debited bytes/s, `waiting` requests by class."""

    line: str
    direction: str
    quota: float
    rate: float
    once_ratio: float
    waiting: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class WayFigures:
    """One way to a bucket."""

    bucket: str
    way: str
    away: bool
    active: float
    waiting: float
    silent_seconds: float


@dataclass(frozen=True, slots=True)
class TenantFigures:
    """One tenant, bytes/s: sent to its clients, and brought over lines for it."""

    tenant: str
    sent: float
    brought: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a node does. Rates are per second of `seconds`, 0 where there was one look alone: then all are since the
    node's start. `hit_ratio` is of bytes, None where nothing was read."""

    node: str
    region: str
    ready: bool
    uptime_seconds: float
    seconds: float
    cpu: float
    connections: Mapping[str, float]
    flights: float
    memory_bytes: int
    memory_limit_bytes: int
    cache_bytes: float
    cache_limit_bytes: float
    loop_delay_p99_seconds: float | None
    read: Mapping[str, float]
    hit_ratio: float | None
    readers_waiting: float
    doors: tuple[DoorFigures, ...]
    lines: tuple[LineFigures, ...]
    ways: tuple[WayFigures, ...]
    tenants: tuple[TenantFigures, ...]
    faults: tuple[str, ...]


def figures(before: Look | None, now: Look) -> Figures:
    """Returns what the node did between two looks; without one before, since its start."""
    since = _Since(before, now)
    status = now.status
    read = since.rates("causeway_read_bytes_total", "source")
    total = sum(read.values())
    return Figures(
        node=status.node,
        region=status.region,
        ready=status.ready,
        uptime_seconds=status.uptime_seconds,
        seconds=since.seconds if before is not None else 0.0,
        cpu=sum(since.rates("causeway_cpu_seconds_total", "").values()),
        connections={point.labels["door"]: point.value for point in now.points("causeway_connections")},
        flights=sum(point.value for point in now.points("causeway_flights")),
        memory_bytes=status.memory_bytes,
        memory_limit_bytes=status.memory_limit_bytes,
        cache_bytes=sum(point.value for point in now.points("causeway_cache_bytes")),
        cache_limit_bytes=sum(point.value for point in now.points("causeway_cache_limit_bytes")),
        loop_delay_p99_seconds=quantile(since.grown("causeway_loop_delay_seconds"), 0.99),
        read=read,
        hit_ratio=read.get(_HIT, 0.0) / total if total else None,
        readers_waiting=sum(point.value for point in now.points("causeway_readers_waiting")),
        doors=tuple(sorted(_doors(since), key=lambda one: -one.rate)),
        lines=tuple(_lines(now)),
        ways=tuple(_ways(now)),
        tenants=tuple(sorted(_tenants(since), key=lambda one: -(one.sent + one.brought))),
        faults=(*status.faults, *_silent(status)),
    )


class _Since:
    """What counters grew by. One that fell began anew."""

    def __init__(self, before: Look | None, now: Look) -> None:
        anew = before is not None and now.status.uptime_seconds < before.status.uptime_seconds
        self._before = None if anew else before
        self._now = now
        self.seconds = max(1e-3, now.status.uptime_seconds if before is None or anew else now.at - before.at)

    def grown(self, name: str) -> list[Point]:
        """The samples of a counter or a histogram, as what came since."""
        known = {} if self._before is None else {_key(at): at for at in self._before.points(name)}
        return [_grown(at, known.get(_key(at))) for at in self._now.points(name)]

    def rates(self, name: str, label: str) -> dict[str, float]:
        """Counts a second, added up by the values of one label."""
        sums: dict[str, float] = {}
        for at in self.grown(name):
            value = at.labels.get(label, "")
            sums[value] = sums.get(value, 0.0) + at.value / self.seconds
        return sums


def _key(point: Point) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(point.labels.items()))


def _grown(now: Point, before: Point | None) -> Point:
    if before is None or now.value < before.value or len(now.counts) != len(before.counts):
        return now
    counts = tuple(max(0.0, a - b) for a, b in zip(now.counts, before.counts, strict=True))
    return Point(now.labels, now.value - before.value, now.bounds, counts)


def quantile(points: Iterable[Point], share: float) -> float | None:
    """The upper bound of the bucket in which a quantile of all these lies; None where nothing was observed."""
    bounds: tuple[float, ...] = ()
    sums: list[float] = []
    for point in points:
        bounds = point.bounds
        sums = [a + b for a, b in zip(sums or [0.0] * len(point.counts), point.counts, strict=True)]
    seen, total = 0.0, sum(sums)
    for bound, count in zip((*bounds, math.inf), sums, strict=False):
        seen += count
        if total and seen >= share * total:
            return bound
    return None


def _doors(since: _Since) -> Iterable[DoorFigures]:
    requests, times = since.grown("causeway_requests_total"), since.grown("causeway_request_seconds")
    for door, operation in {(at.labels["door"], at.labels["operation"]) for at in requests}:
        mine = [at for at in requests if (at.labels["door"], at.labels["operation"]) == (door, operation)]
        first = [
            at
            for at in times
            if (at.labels["door"], at.labels["operation"], at.labels["byte"]) == (door, operation, "first")
        ]
        yield DoorFigures(
            door,
            operation,
            sum(at.value for at in mine) / since.seconds,
            sum(at.value for at in mine if at.labels["code"] >= "500") / since.seconds,
            quantile(first, 0.5),
            quantile(first, 0.99),
        )


def _lines(now: Look) -> Iterable[LineFigures]:
    quota, rate, once = (
        _by_line(now, f"causeway_line_{name}")
        for name in ("quota_bytes_per_second", "rate_bytes_per_second", "once_ratio")
    )
    waiting: dict[tuple[str, str], dict[str, float]] = {}
    for point in now.points("causeway_line_waiting"):
        by_class = waiting.setdefault((point.labels["line"], point.labels["direction"]), {})
        by_class[point.labels["class"]] = point.value
    for at in quota:
        yield LineFigures(*at, quota[at], rate.get(at, 0.0), once.get(at, 1.0), waiting.get(at, {}))


def _by_line(now: Look, name: str) -> dict[tuple[str, str], float]:
    return {(at.labels["line"], at.labels["direction"]): at.value for at in now.points(name)}


def _ways(now: Look) -> Iterable[WayFigures]:
    def by_way(name: str) -> dict[tuple[str, str], float]:
        sums: dict[tuple[str, str], float] = {}
        for at in now.points(f"causeway_origin_{name}"):
            way = (at.labels["bucket"], at.labels["way"])
            sums[way] = sums.get(way, 0.0) + at.value
        return sums

    away, active, waiting, silent = map(by_way, ("away", "active", "waiting", "silent_seconds"))
    for way in sorted(away):
        told = (active.get(way, 0.0), waiting.get(way, 0.0), silent.get(way, 0.0))
        yield WayFigures(*way, bool(away[way]), *told)


def _tenants(since: _Since) -> Iterable[TenantFigures]:
    sent = since.rates("causeway_tenant_bytes_total", "tenant")
    brought = since.rates("causeway_line_bytes_total", "tenant")
    for tenant in {*sent, *brought}:
        yield TenantFigures(tenant, sent.get(tenant, 0.0), brought.get(tenant, 0.0))


def _silent(status: Status) -> Iterable[str]:
    return (f"node {peer.address} of region {peer.region} does not answer" for peer in status.peers if not peer.answers)
