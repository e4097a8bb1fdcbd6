"""`/metrics`: a snapshot of the node's counters as Prometheus text, by the catalogue."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from gateway.catalogue import CATALOGUE, Kind, Metric
from gateway.metrics import Histogram, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
