"""`/metrics`: a snapshot of the node's counters as Prometheus text, in the names of the design's table."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from gateway.metrics import Histogram, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labelled = Iterable[tuple[tuple[str, ...], float]]
Observed = Iterable[tuple[tuple[str, ...], Histogram]]


class NodeCollector(Collector):
    """Reads one snapshot for each scrape, so that the figures of one scrape belong together."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yields every family, those without samples too: a dashboard sees the name before the first event."""
        now = self._snapshot()
        yield from _doors(now)
        yield from _lines(now)
        yield from _cache(now)
        yield from _process(now)
        yield from _alone()


class Exposition:
    """Renders the text of `/metrics`."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        # A registry of our own: the library's global one would add what other code puts there.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(snapshot))

    def text(self) -> bytes:
        """Returns the text, as `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def _doors(now: Snapshot) -> Iterator[Metric]:
    yield _counter(
        "causeway_requests",
        "Answered requests.",
        ("door", "operation", "code"),
        (((door, operation, str(code)), count) for (door, operation, code), count in now.requests.items()),
    )
    first = (((door, operation, "first"), seen) for (door, operation), seen in now.first_byte.items())
    last = (((door, operation, "last"), seen) for (door, operation), seen in now.last_byte.items())
    yield _histogram(
        "causeway_request_seconds",
        "Seconds from a request's arrival to the first and to the last byte of its reply.",
        ("door", "operation", "byte"),
        (*first, *last),
    )
    yield _counter(
        "causeway_read_bytes", "Bytes handed to readers, by where they came from.", ("source",), _one(now.read_bytes)
    )
    yield _plain("causeway_asked_bytes", "Bytes that readers asked for.", now.asked_bytes)
    yield _plain("causeway_brought_bytes", "Payload bytes that flights brought into the cache.", now.brought_bytes)
    yield _gauge(
        "causeway_amplification_ratio",
        "Bytes brought into the cache for each byte asked for.",
        (),
        [((), now.brought_bytes / now.asked_bytes)] if now.asked_bytes else [],
    )
    yield _plain(
        "causeway_version_changed", "Replies cut short: the object changed under the reader.", now.version_changed
    )


def _lines(now: Snapshot) -> Iterator[Metric]:
    yield _counter(
        "causeway_line_bytes",
        "The ledger: payload bytes over a line.",
        ("line", "direction", "tenant", "class", "kind"),
        (((at.line, at.direction, at.tenant, at.cls, at.kind), count) for at, count in now.line_bytes.items()),
    )
    labels = ("line", "direction")
    samples = [((line.line, line.direction), line) for line in now.lines]
    for name, text, pick in (
        ("once_ratio", "unique / (unique + refetch + retry + over_read); 1 = each page crossed once.", "once_ratio"),
        ("quota_bytes_per_second", "What may cross, in debited bytes.", "quota"),
        ("rate_bytes_per_second", "What crosses, in debited bytes.", "rate"),
        ("prepaid_bytes", "Debited and not yet read.", "prepaid"),
    ):
        yield _gauge(f"causeway_line_{name}", text, labels, [(at, getattr(line, pick)) for at, line in samples])
    yield _histogram(
        "causeway_line_wait_seconds",
        "Seconds that reads waited for room on a line.",
        ("line", "class"),
        now.waits.items(),
    )


def _cache(now: Snapshot) -> Iterator[Metric]:
    yield _gauge("causeway_cache_bytes", "Bytes on the cache's disks.", ("state",), _one(now.cache_bytes))
    yield _counter(
        "causeway_cache_evicted_bytes", "Bytes dropped from the cache.", ("reason",), _one(now.evicted_bytes)
    )
    yield _plain("causeway_cache_corrupt_pages", "Pages whose checksum was wrong; each is a miss.", now.corrupt_pages)
    yield _plain("causeway_cache_dropped_files", "Files and records found unreadable at the start.", now.dropped_files)


def _process(now: Snapshot) -> Iterator[Metric]:
    yield _gauge("causeway_flights", "Fetches under way.", ("state",), _one(now.flights))
    yield _gauge("causeway_memory_bytes", "Memory by use, and its budget.", ("use",), _one(now.memory_bytes))
    delays = [((), now.loop_delay)] if now.loop_delay is not None else []
    yield _histogram("causeway_loop_delay_seconds", "Seconds by which the event loop was late.", (), delays)
    yield _gauge("causeway_namespace_revision", "Revision in force; 0 = none.", (), [((), now.revision)])
    yield _gauge(
        "causeway_namespace_snapshot_age_seconds",
        "Seconds since the namespace in force was put there.",
        (),
        [((), now.snapshot_age_seconds)],
    )


def _alone() -> Iterator[Metric]:
    """Names that dashboards may rely on before there are clusters and writes: what a region's only node says, which
    leases nothing and holds nothing that its origin lacks."""
    yield _gauge("causeway_members", "Nodes of this region's cluster.", (), [((), 1)])
    yield _gauge("causeway_dirty_objects", "Writes not yet in the origin.", (), [((), 0)])
    yield _gauge("causeway_dirty_oldest_seconds", "Age of the oldest of them.", (), [((), 0)])
    yield _gauge("causeway_lease_state", "The lease on a line; no sample where the node is alone.", ("line",), [])


def _one(values: Mapping[str, float]) -> Labelled:
    return (((label,), value) for label, value in values.items())


def _counter(name: str, text: str, labels: tuple[str, ...], samples: Labelled) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for at, value in samples:
        family.add_metric(at, value)
    return family


def _plain(name: str, text: str, value: float) -> Metric:
    return _counter(name, text, (), [((), value)])


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Labelled) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for at, value in samples:
        family.add_metric(at, value)
    return family


def _histogram(name: str, text: str, labels: tuple[str, ...], samples: Observed) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for at, seen in samples:
        family.add_metric(at, seen.buckets(), seen.total)
    return family
