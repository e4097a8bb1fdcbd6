"""The catalogue of metrics: each with its name, kind, unit, labels and what it means, said once.

`/metrics`, what OTLP carries and docs/metrics.md are made of it, so that none of them can say another thing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.admin.answers import Measured, Point
from gateway.metrics import Histogram, LeaseSample, LineSample, OriginSample, Snapshot
from regioncache.store.base import PathStatistics

Labels = tuple[str, ...]
Sample = tuple[Labels, "float | Histogram"]
"""The values of a metric's labels, in their order, and what was counted; a histogram for `Kind.HISTOGRAM`."""


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `unit` is UCUM's, as OpenTelemetry wants it; `read` takes its samples from a snapshot."""

    name: str
    """As in Prometheus, but for the `_total` of a counter."""
    kind: Kind
    unit: str
    labels: Labels
    help: str
    read: Callable[[Snapshot], Iterable[Sample]]

    @property
    def shown(self) -> str:
        """Its name in `/metrics`."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


def _request_counts(now: Snapshot) -> Iterator[Sample]:
    for (door, operation, code), count in now.requests.items():
        yield (door, operation, str(code)), count


def _request_seconds(now: Snapshot) -> Iterator[Sample]:
    for byte, seen in (("first", now.first_byte), ("last", now.last_byte)):
        for (door, operation), histogram in seen.items():
            yield (door, operation, byte), histogram


def _amplification(now: Snapshot) -> Iterator[Sample]:
    if now.asked_bytes:
        yield (), now.brought_bytes / now.asked_bytes


def _ledger(now: Snapshot) -> Iterator[Sample]:
    for at, nbytes in now.line_bytes.items():
        yield (at.line, at.direction, at.tenant, at.cls, at.kind), nbytes


def _waiting(now: Snapshot) -> Iterator[Sample]:
    for line in now.lines:
        for cls, count in line.waiting.items():
            yield (line.line, line.direction, cls), count


def _loop_delay(now: Snapshot) -> Iterator[Sample]:
    if now.loop_delay is not None:
        yield (), now.loop_delay


def _by_label(pick: Callable[[Snapshot], Mapping[str, float]]) -> Callable[[Snapshot], Iterator[Sample]]:
    return lambda now: (((label,), value) for label, value in pick(now).items())


def _by_labels(
    pick: Callable[[Snapshot], Mapping[tuple[str, str], Histogram]],
) -> Callable[[Snapshot], Iterator[Sample]]:
    return lambda now: iter(pick(now).items())


def _by_line(pick: Callable[[LineSample], float]) -> Callable[[Snapshot], Iterator[Sample]]:
    return lambda now: (((line.line, line.direction), pick(line)) for line in now.lines)


def _active(now: Snapshot) -> Iterator[Sample]:
    for origin in now.origins:
        for kind, count in origin.active.items():
            yield (origin.bucket, origin.way, kind), count


def _by_way(pick: Callable[[OriginSample], "float | Histogram"]) -> Callable[[Snapshot], Iterator[Sample]]:
    return lambda now: (((origin.bucket, origin.way), pick(origin)) for origin in now.origins)


def _by_path(pick: Callable[[PathStatistics], float]) -> Callable[[Snapshot], Iterator[Sample]]:
    return lambda now: (((path.path, str(path.tier)), float(pick(path))) for path in now.cache_paths)


def _one(pick: Callable[[Snapshot], float]) -> Callable[[Snapshot], Iterator[Sample]]:
    return lambda now: iter([((), pick(now))])


def _by_lease(pick: Callable[[LeaseSample], float]) -> Callable[[Snapshot], Iterator[Sample]]:
    return lambda now: (((line.line,), pick(line.lease)) for line in now.lines if line.lease is not None)


COUNTER, GAUGE, HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_LINE = ("line", "direction")
_PATH = ("path", "tier")

DOORS = (
    Metric(
        "causeway_requests", COUNTER, "{request}", ("door", "operation", "code"),
        "Answered requests; door s3, peer or admin, code 499: the client went away before there was an answer.",
        _request_counts,
    ),
    Metric(
        "causeway_request_seconds", HISTOGRAM, "s", ("door", "operation", "byte"),
        "Seconds from a request's arrival to the first and to the last byte of its reply.", _request_seconds,
    ),
    Metric(
        "causeway_tenant_bytes", COUNTER, "By", ("tenant",),
        "Bytes of objects and answers sent to clients of the S3 door, by who pays.",
        _by_label(lambda now: now.tenant_bytes),
    ),
    Metric(
        "causeway_connections", GAUGE, "{connection}", ("door",), "Connections open now.",
        _by_label(lambda now: now.connections),
    ),
    Metric(
        "causeway_connections_refused", COUNTER, "{connection}", ("door",),
        "Connections turned away because too many were open.", _by_label(lambda now: now.connections_refused),
    ),
    Metric(
        "causeway_certificate_expiry_timestamp_seconds", GAUGE, "s", ("door",),
        "When the certificate in use expires, seconds since the epoch; no sample for a door without one.",
        _by_label(lambda now: now.certificates),
    ),
    Metric(
        "causeway_read_bytes", COUNTER, "By", ("source",),
        "Bytes handed to readers, by where they came from; source page is a hit, sibling one in another worker's file.",
        _by_label(lambda now: now.read_bytes),
    ),
    Metric(
        "causeway_asked_bytes", COUNTER, "By", (), "Bytes that readers asked for.", _one(lambda now: now.asked_bytes),
    ),
    Metric(
        "causeway_brought_bytes", COUNTER, "By", (), "Payload bytes that flights brought into the cache.",
        _one(lambda now: now.brought_bytes),
    ),
    Metric(
        "causeway_amplification_ratio", GAUGE, "1", (),
        "Bytes brought into the cache for each byte asked for; no sample before the first read.", _amplification,
    ),
    Metric(
        "causeway_version_changed", COUNTER, "{reply}", (),
        "Replies cut short: the object changed under the reader.", _one(lambda now: now.version_changed),
    ),
)  # fmt: skip

LINES = (
    Metric(
        "causeway_line_bytes", COUNTER, "By", (*_LINE, "tenant", "class", "kind"),
        "The ledger: payload bytes over a line; kind unique, refetch, retry, over_read, meta or write.", _ledger,
    ),
    Metric(
        "causeway_line_once_ratio", GAUGE, "1", _LINE,
        "unique / (unique + refetch + retry + over_read); 1 = each page crossed once.",
        _by_line(lambda line: line.once_ratio),
    ),
    Metric(
        "causeway_line_quota_bytes_per_second", GAUGE, "By/s", _LINE, "What may cross, in debited bytes.",
        _by_line(lambda line: line.quota),
    ),
    Metric(
        "causeway_line_rate_bytes_per_second", GAUGE, "By/s", _LINE, "What crosses, in debited bytes.",
        _by_line(lambda line: line.rate),
    ),
    Metric(
        "causeway_line_prepaid_bytes", GAUGE, "By", _LINE, "Debited and not yet read.",
        _by_line(lambda line: line.prepaid),
    ),
    Metric(
        "causeway_line_waiting", GAUGE, "{request}", (*_LINE, "class"), "Requests that wait for room now.", _waiting,
    ),
    Metric(
        "causeway_line_wait_seconds", HISTOGRAM, "s", ("line", "class"),
        "Seconds that reads waited for room on a line.", _by_labels(lambda now: now.waits),
    ),
    Metric(
        "causeway_lease_state", GAUGE, "1", ("line",),
        "What this node holds of a line: 3 a lease, 2 hold and 1 the safe rate after one, 0 nothing; no sample where it"
        " is alone.",
        _by_lease(lambda lease: lease.state),
    ),
    Metric(
        "causeway_lease_rate_bytes_per_second", GAUGE, "By/s", ("line",), "What it may bring, in debited bytes.",
        _by_lease(lambda lease: lease.rate),
    ),
    Metric(
        "causeway_lease_safe_bytes_per_second", GAUGE, "By/s", ("line",),
        "What it may bring when the lease office is silent.", _by_lease(lambda lease: lease.safe),
    ),
    Metric(
        "causeway_lease_office_epoch", GAUGE, "1", ("line",),
        "Of the office that granted what it holds: higher with each change of office.",
        _by_lease(lambda lease: lease.epoch),
    ),
    Metric(
        "causeway_lease_office_silent_seconds", GAUGE, "s", ("line",),
        "Since the lease office said anything; 0 while it speaks.", _by_lease(lambda lease: lease.silent_seconds),
    ),
)  # fmt: skip

_WAY = ("bucket", "way")

ORIGINS = (
    Metric(
        "causeway_origin_active", GAUGE, "{request}", (*_WAY, "kind"),
        "Requests under way to a bucket; way is its endpoint, or the region asked for it; kind read or question.",
        _active,
    ),
    Metric(
        "causeway_origin_waiting", GAUGE, "{request}", _WAY, "Requests that wait for a place at this way.",
        _by_way(lambda way: way.waiting),
    ),
    Metric(
        "causeway_origin_refused", COUNTER, "{request}", _WAY,
        "Requests refused (503 SlowDown) because too many wait for this way already.",
        _by_way(lambda way: way.refused),
    ),
    Metric(
        "causeway_origin_unanswered", GAUGE, "{request}", _WAY, "Requests that have had no answer yet.",
        _by_way(lambda way: way.unanswered),
    ),
    Metric(
        "causeway_origin_away", GAUGE, "1", _WAY, "1 while the way is away: nobody waits for it, probes go out.",
        _by_way(lambda way: float(way.away)),
    ),
    Metric(
        "causeway_origin_silent_seconds", GAUGE, "s", _WAY,
        "Seconds since its last answer; large where nothing was asked either.", _by_way(lambda way: way.silent_seconds),
    ),
    Metric(
        "causeway_origin_answer_seconds", HISTOGRAM, "s", _WAY,
        "Seconds to an answer's head, without the time that its line made the request wait.",
        _by_way(lambda way: way.answer_seconds),
    ),
    Metric(
        "causeway_readers_waiting", GAUGE, "{reader}", (), "Readers that wait for their first byte from elsewhere.",
        _one(lambda now: now.readers_waiting),
    ),
    Metric(
        "causeway_readers_refused", COUNTER, "{reader}", (),
        "Readers refused (503 SlowDown) because too many of the same bucket waited.",
        _one(lambda now: now.readers_refused),
    ),
)  # fmt: skip

CACHE = (
    Metric(
        "causeway_cache_bytes", GAUGE, "By", ("state",), "Bytes on the cache's disks; state clean, pinned or dirty.",
        _by_label(lambda now: now.cache_bytes),
    ),
    Metric(
        "causeway_cache_limit_bytes", GAUGE, "By", (), "What the cache may use of its disks.",
        _one(lambda now: now.cache_limit_bytes),
    ),
    Metric(
        "causeway_cache_path_bytes", GAUGE, "By", _PATH, "Bytes on one disk of the cache; tier 0 is the fastest.",
        _by_path(lambda path: path.held_bytes),
    ),
    Metric(
        "causeway_cache_path_limit_bytes", GAUGE, "By", _PATH, "What the cache may use of the disk.",
        _by_path(lambda path: path.limit_bytes),
    ),
    Metric(
        "causeway_cache_path_in_use", GAUGE, "1", _PATH, "1 while the disk is in use, 0 while it is out.",
        _by_path(lambda path: not path.out),
    ),
    Metric(
        "causeway_cache_path_full", GAUGE, "1", _PATH, "1 while the disk takes nothing new, full or too slow.",
        _by_path(lambda path: path.full or path.slow),
    ),
    Metric(
        "causeway_cache_path_uses", COUNTER, "{use}", _PATH, "Reads that the disk served, memory before it included.",
        _by_path(lambda path: path.uses),
    ),
    Metric(
        "causeway_cache_path_moved_bytes", COUNTER, "By", _PATH, "Bytes that came to the disk from another tier.",
        _by_path(lambda path: path.moved_bytes),
    ),
    Metric(
        "causeway_cache_evicted_bytes", COUNTER, "By", ("reason",), "Bytes that left the cache, by reason.",
        _by_label(lambda now: now.evicted_bytes),
    ),
    Metric(
        "causeway_cache_corrupt_pages", COUNTER, "{page}", (), "Pages whose checksum was wrong; each is a miss.",
        _one(lambda now: now.corrupt_pages),
    ),
    Metric(
        "causeway_cache_dropped_files", COUNTER, "{file}", (), "Files and records found unreadable at the start.",
        _one(lambda now: now.dropped_files),
    ),
    # A region's only node says of writes what is so: it holds nothing that its origin lacks.
    Metric("causeway_dirty_objects", GAUGE, "{object}", (), "Writes not yet in the origin.", _one(lambda _: 0)),
    Metric("causeway_dirty_oldest_seconds", GAUGE, "s", (), "Age of the oldest of them.", _one(lambda _: 0)),
)  # fmt: skip

PROCESS = (
    Metric(
        "causeway_flights", GAUGE, "{flight}", ("state",),
        "Fetches under way; state opening: the object's version is not known yet.", _by_label(lambda now: now.flights),
    ),
    Metric(
        "causeway_memory_bytes", GAUGE, "By", ("use",), "Memory by use, and its budget.",
        _by_label(lambda now: now.memory_bytes),
    ),
    Metric(
        "causeway_loop_delay_seconds", HISTOGRAM, "s", (), "Seconds by which the event loop was late.", _loop_delay,
    ),
    Metric(
        "causeway_cpu_seconds", COUNTER, "s", (), "Seconds of CPU that the process has used.",
        _one(lambda now: now.cpu_seconds),
    ),
    Metric(
        "causeway_uptime_seconds", GAUGE, "s", (), "Seconds since the node's start.",
        _one(lambda now: now.uptime_seconds),
    ),
    Metric(
        "causeway_telemetry", COUNTER, "{item}", ("signal", "outcome"),
        "Spans (signal traces) and messages (signal metrics) for the collector; outcome sent or dropped.",
        lambda now: iter(now.telemetry.items()),
    ),
    Metric(
        "causeway_members", GAUGE, "{member}", ("state",), "Members of this region's cluster, by the view in force.",
        _by_label(lambda now: now.members),
    ),
    Metric(
        "causeway_far_nodes", GAUGE, "{node}", ("region", "state"), "Nodes of other regions: up, away, or unknown yet.",
        lambda now: iter(now.far_nodes.items()),
    ),
    Metric(
        "causeway_view_epoch", GAUGE, "1", (), "Epoch of the view of the members, the same on all of them; 0 = alone.",
        _one(lambda now: now.view_epoch),
    ),
    Metric(
        "causeway_namespace_revision", GAUGE, "1", (), "Revision in force; 0 = none.", _one(lambda now: now.revision),
    ),
    Metric(
        "causeway_namespace_snapshot_age_seconds", GAUGE, "s", (),
        "Seconds since the keeper of the namespace said that this is the newest; 0 where the node keeps it itself.",
        _one(lambda now: now.snapshot_age_seconds),
    ),
)  # fmt: skip

GROUPS: Mapping[str, Sequence[Metric]] = {
    "Doors and reads": DOORS,
    "Lines": LINES,
    "Origins": ORIGINS,
    "The cache's disks": CACHE,
    "The process and the cluster": PROCESS,
}
CATALOGUE: tuple[Metric, ...] = tuple(metric for group in GROUPS.values() for metric in group)


def measured(now: Snapshot) -> tuple[Measured, ...]:
    """Returns a snapshot as plain values, metric by metric."""
    return tuple(
        Measured(metric.shown, metric.kind.value, metric.unit, tuple(_point(metric, *at) for at in metric.read(now)))
        for metric in CATALOGUE
    )


def _point(metric: Metric, values: Labels, seen: "float | Histogram") -> Point:
    labels = dict(zip(metric.labels, values, strict=True))
    if isinstance(seen, Histogram):
        return Point(labels, seen.total, tuple(seen.bounds), tuple(seen.counts))
    return Point(labels, seen)


def document() -> str:
    """Returns the tables of docs/metrics.md."""
    parts = []
    for title, metrics in GROUPS.items():
        rows = [f"| `{_with_labels(one)}` | {one.kind} | {_unit(one.unit)} | {one.help} |" for one in metrics]
        parts.append("\n".join([f"## {title}", "", "| metric | kind | unit | |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _with_labels(metric: Metric) -> str:
    return f"{metric.shown}{{{','.join(metric.labels)}}}" if metric.labels else metric.shown


def _unit(unit: str) -> str:
    return {"By": "bytes", "By/s": "bytes/s", "s": "seconds", "1": "", "{reply}": "replies"}.get(unit, f"{unit[1:-1]}s")
