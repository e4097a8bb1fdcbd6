"""A collector, reached by OTLP over HTTP: OpenTelemetry's own exporters, and why the last batch did not arrive."""

import logging
from collections.abc import Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

SEND_SECONDS = 5.0
"""For one batch, tries included."""
_LIBRARY = "opentelemetry"


class Collector:
    """Sends batches; called in a thread for each signal. Its library says nothing in our log: `why` has it."""

    def __init__(self, url: str, headers: Mapping[str, str], ca: str | None) -> None:
        """Args: url: of the collector, without `/v1/...`. ca: PEM file of an authority; None: the system's."""
        plain = dict(headers)
        self._traces = OTLPSpanExporter(f"{url}/v1/traces", ca, headers=plain, timeout=SEND_SECONDS)
        self._metrics = OTLPMetricExporter(f"{url}/v1/metrics", ca, headers=plain, timeout=SEND_SECONDS)
        self._heard = _Heard()
        logger = logging.getLogger(_LIBRARY)
        logger.propagate = False
        logger.addHandler(self._heard)

    def send_spans(self, batch: Sequence[ReadableSpan]) -> bool:
        """Whether they arrived."""
        return self._traces.export(batch) is SpanExportResult.SUCCESS

    def send_metrics(self, batch: Sequence[MetricsData]) -> bool:
        """Whether they arrived."""
        return all(self._metrics.export(one) is MetricExportResult.SUCCESS for one in batch)

    @property
    def why(self) -> str:
        """What the library last said of a batch that did not arrive."""
        return self._heard.last

    def shutdown(self) -> None:
        """Gives up what is being tried, and closes the connections."""
        for exporter in (self._traces.shutdown, self._metrics.shutdown):
            exporter()
        logging.getLogger(_LIBRARY).removeHandler(self._heard)


class _Heard(logging.Handler):
    """Keeps the last reason that was told; that the tries came to their end is none."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if "due to timeout" not in said:
            self.last = said[:300]


class Teller(Resource):
    """Who tells. The exporter hashes it for each span, which would write all of it down as JSON each time."""

    def __init__(self, told: Resource) -> None:
        super().__init__(told.attributes, told.schema_url)
        self._hash = hash(told)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


def teller(node: str, region: str, version: str) -> Teller:
    """Returns who tells; OTEL_RESOURCE_ATTRIBUTES of the environment are added."""
    named = {"service.name": "causeway", "service.version": version, "service.instance.id": node}
    return Teller(Resource.create({**named, "causeway.region": region}))
