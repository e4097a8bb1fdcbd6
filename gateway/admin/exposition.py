"""`/metrics`: a snapshot of the node's counters as Prometheus text, by the catalogue."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from gateway.admin.answers import Measured, Point
from gateway.catalogue import CATALOGUE, Kind, Metric
from gateway.metrics import Histogram, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


_NOTHING = Snapshot()


class NodeCollector(Collector):
    """Reads one snapshot for each scrape, so that the figures of one scrape belong together."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Family]:
        """Yields every family, those without samples too: a dashboard sees the name before the first event."""
        now = self._snapshot()
        return (_family(metric, now) for metric in CATALOGUE)


class Exposition:
    """Renders the text of `/metrics`."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        # A registry of our own: the library's global one would add what other code puts there.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(snapshot))

    def text(self) -> bytes:
        """Returns the text, as `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def text_of(measured: Iterable[Measured]) -> bytes:
    """Returns the text of figures that were added up; labels of their own come behind the catalogue's."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Added(measured))
    return generate_latest(registry)


class _Added(Collector):
    def __init__(self, measured: Iterable[Measured]) -> None:
        self._measured = {one.name: one for one in measured}

    def collect(self) -> Iterator[Family]:
        for metric in CATALOGUE:
            found = self._measured.get(metric.shown)
            points = () if found is None else found.points
            labels = [
                *metric.labels,
                *(name for name in (points[0].labels if points else ()) if name not in metric.labels),
            ]
            now = [(tuple(point.labels[name] for name in labels), _seen(metric, point)) for point in points]
            yield _family(replace(metric, labels=tuple(labels), read=lambda _, now=now: now), _NOTHING)  # type: ignore[misc]


def _seen(metric: Metric, point: Point) -> float | Histogram:
    if metric.kind is not Kind.HISTOGRAM:
        return point.value
    histogram = Histogram(point.bounds)
    histogram.counts, histogram.total = [int(count) for count in point.counts], point.value
    return histogram


def _family(metric: Metric, now: Snapshot) -> Family:
    if metric.kind is Kind.HISTOGRAM:
        return _histogram(metric, now)
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in metric.read(now):
        if not isinstance(value, Histogram):
            family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, now: Snapshot) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, seen in metric.read(now):
        if isinstance(seen, Histogram):
            family.add_metric(labels, seen.buckets(), seen.total)
    return family
