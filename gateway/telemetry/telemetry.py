"""Telemetry of one node: decides what is traced, and sends traces and metrics behind its back."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gateway.metrics import Snapshot
from gateway.telemetry import w3c
from gateway.telemetry.config import TelemetrySettings
from gateway.telemetry.outbox import Bounds, Outbox
from gateway.telemetry.sampler import ROOT, Sampler
from gateway.telemetry.w3c import Parent
from regioncache.http.messages import Request
from regioncache.tidings import Tidings
from regioncache.tracing import Attributes, Beginning, Tracing, Trail

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from gateway.telemetry.collector import Collector
    from gateway.telemetry.points import Points
    from gateway.telemetry.trails import Trails

SPANS = Bounds(limit=4096, batch=128, every_seconds=5.0)
"""Some 10 MB; at 1 % of 20,000 reads a second they hold for 20 s. Encoding a batch takes 5 ms, which is how long the
interpreter lets one thread wait for another."""
METRICS = Bounds(limit=2, batch=1, every_seconds=2.0)
PEERS_PER_SECOND = 100.0
"""Traces that other nodes may ask for: they are known, and 100 cost 1 % of a core."""
STOP_SECONDS = 3.0
"""What a stop waits for the last batch."""


class TelemetryUnavailable(Exception):
    """node.yaml asks for telemetry, and what it needs is not installed."""


class Telemetry:
    """A node's telemetry, running. Built by `start`."""

    def __init__(
        self,
        settings: TelemetrySettings,
        trails: "Trails",
        spans: "Outbox[ReadableSpan]",
        metrics: "Outbox[MetricsData]",
        points: "Points",
        collector: "Collector",
    ) -> None:
        self._settings = settings
        self._trails = trails
        self._spans = spans
        self._metrics = metrics
        self._points = points
        self._collector = collector
        for outbox in (spans, metrics):
            outbox.start()

    def of_clients(self) -> Tracing:
        """Decides which requests of clients are traced."""
        return self._tracing(Sampler(self._settings.sample, self._settings.asked, random.random, time.monotonic()))

    def of_peers(self) -> Tracing:
        """Decides which requests of other nodes are traced: those of reads that are traced there."""
        return self._tracing(Sampler(0.0, PEERS_PER_SECOND, random.random, time.monotonic()))

    def posted(self) -> Mapping[tuple[str, str], int]:
        """What became of it: (signal, `sent` or `dropped`) -> items."""
        outboxes = (("traces", self._spans.posted), ("metrics", self._metrics.posted))
        sent = {(signal, "sent"): posted.sent for signal, posted in outboxes}
        return sent | {(signal, "dropped"): posted.dropped for signal, posted in outboxes}

    async def tell(self, snapshot: Callable[[], Snapshot]) -> None:
        """Sends the metrics until it is cancelled, and a last time then."""
        try:
            while True:
                await asyncio.sleep(self._settings.interval)
                self._metrics.put(self._points.of(snapshot()))
        finally:
            self._metrics.put(self._points.of(snapshot()))

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Sends what waits, for so long, and ends."""
        await asyncio.to_thread(self._stop, seconds)

    def _stop(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        for outbox in (self._spans, self._metrics):
            outbox.end()
        late = [outbox for outbox in (self._spans, self._metrics) if not outbox.join(max(0.0, due - time.monotonic()))]
        self._collector.shutdown()
        for outbox in late:
            outbox.join(0.1)

    def _tracing(self, sampler: Sampler) -> Tracing:
        def tracing(request: Request) -> Beginning | None:
            header = request.first.get(b"traceparent")
            if header is None:
                return self._begin(ROOT, request) if sampler.chosen() else None
            parent = w3c.parent(header)
            if parent is None:
                return self._begin(ROOT, request) if sampler.chosen() else None
            followed = sampler.of(parent, time.monotonic())
            return None if followed is None else self._begin(followed, request)

        return tracing

    def _begin(self, parent: Parent, request: Request) -> Beginning:
        def begin(name: str, attributes: Attributes) -> Trail:
            state = "" if parent is ROOT else w3c.state(request.headers)
            return self._trails.begin(parent, state, name, attributes)

        return begin


def start(settings: TelemetrySettings, node: str, region: str, version: str, tidings: Tidings) -> Telemetry:
    """Starts a node's telemetry.

    Args:
        settings: node.yaml's.
        node: its name.
        region: its region.
        version: of the program.
        tidings: hear when the collector takes nothing, and when it does again.

    Raises: TelemetryUnavailable, SecretUnreadable.
    """
    headers = {name: secret.read().decode("utf-8") for name, secret in settings.headers.items()}
    try:
        from gateway.telemetry.collector import Collector, teller
        from gateway.telemetry.points import Points
        from gateway.telemetry.trails import Trails
    except ImportError as absent:
        raise TelemetryUnavailable(
            f"telemetry.otlp needs OpenTelemetry ({absent.name} is not installed): pip install 'causeway[otel]',"
            " or take telemetry out of node.yaml"
        ) from absent
    collector = Collector(settings.otlp, headers, None if settings.ca is None else str(settings.ca))
    who = teller(node, region, version)

    def told(signal: str) -> Callable[[bool], None]:
        return lambda away: _tell(tidings, signal, settings.otlp, collector.why if away else None)

    spans = Outbox("telemetry-traces", collector.send_spans, told("traces"), SPANS)
    metrics = Outbox("telemetry-metrics", collector.send_metrics, told("metrics"), METRICS)
    return Telemetry(settings, Trails(who, version, spans.put), spans, metrics, Points(who, version), collector)


def _tell(tidings: Tidings, signal: str, url: str, why: str | None) -> None:
    if why is None:
        tidings.news(f"the collector at {url} takes {signal} again")
    else:
        tidings.warning(f"the collector at {url} takes no {signal}: they are dropped and counted until it does. {why}")
