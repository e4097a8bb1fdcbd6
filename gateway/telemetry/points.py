"""The catalogue of metrics as OpenTelemetry's data: cumulative, read when it is time to send them.

No instrument is called where something happens (5 us each): the plain counters are read, as `/metrics` reads them.
"""

import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as Distribution
from opentelemetry.sdk.metrics.export import Metric as Told
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.catalogue import CATALOGUE, Kind, Metric, Sample
from gateway.metrics import Histogram, Snapshot


class Points:
    """Turns a snapshot into OTLP's points, counted since this was made."""

    def __init__(self, resource: Resource, version: str, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._resource = resource
        self._scope = InstrumentationScope("causeway", version)
        self._wall_ns = wall_ns
        self._began_ns = wall_ns()

    def of(self, now: Snapshot) -> MetricsData:
        """Returns every metric that has samples; nothing in it changes afterwards."""
        at_ns = self._wall_ns()
        told = [self._told(metric, samples, at_ns) for metric in CATALOGUE if (samples := list(metric.read(now)))]
        scope = ScopeMetrics(self._scope, told, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _told(self, metric: Metric, samples: Sequence[Sample], at_ns: int) -> Told:
        cumulative = AggregationTemporality.CUMULATIVE
        data: Distribution | Gauge | Sum
        match metric.kind:
            case Kind.HISTOGRAM:
                data = Distribution(self._distributions(metric, samples, at_ns), cumulative)
            case Kind.COUNTER:
                data = Sum(self._numbers(metric, samples, at_ns), cumulative, is_monotonic=True)
            case Kind.GAUGE:
                data = Gauge(self._numbers(metric, samples, at_ns))
        return Told(metric.name, metric.help, metric.unit, data)

    def _numbers(self, metric: Metric, samples: Sequence[Sample], at_ns: int) -> list[NumberDataPoint]:
        return [
            # A truth is a number to us and to Prometheus, and to nobody else.
            NumberDataPoint(_labels(metric, labels), self._began_ns, at_ns, value + 0)
            for labels, value in samples
            if not isinstance(value, Histogram)
        ]

    def _distributions(self, metric: Metric, samples: Sequence[Sample], at_ns: int) -> list[HistogramDataPoint]:
        return [
            HistogramDataPoint(
                _labels(metric, labels),
                self._began_ns,
                at_ns,
                sum(seen.counts),
                seen.total,
                tuple(seen.counts),
                seen.bounds,
                # Not counted; the protocol leaves them out where they are None, which its Python types do not say.
                min=None,  # type: ignore[arg-type]
                max=None,  # type: ignore[arg-type]
            )
            for labels, seen in samples
            if isinstance(seen, Histogram)
        ]


def _labels(metric: Metric, values: Sequence[str]) -> dict[str, str]:
    return dict(zip(metric.labels, values, strict=True))
