"""An OpenTelemetry collector over real sockets: takes OTLP over HTTP, parses it by the protocol's own messages.

In a thread of its own, by the standard library's server: it shares nothing with what is tested. As a program
(`python -m tests.fakes.collector PORT`) it counts, and answers any GET with what it has counted so far.
"""

import http.server
import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Seen:
    """One span as it arrived."""

    name: str
    trace: str
    span: str
    parent: str
    node: str
    attributes: dict[str, object]
    links: tuple[str, ...]
    error: bool
    events: tuple[str, ...]
    state: str


@dataclass(slots=True)
class Collector:
    """What arrived; guarded by `changed`, which is notified at each batch. `status` is what the next ones are told."""

    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    metrics: dict[str, object] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    counted: Counter[str] = field(default_factory=Counter)
    """Spans by name."""
    keeps: bool = True
    """Whether spans are kept, not counted alone."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, enough: Callable[[], bool], seconds: float = 30.0) -> None:
        """Blocks until enough has arrived."""
        with self.changed:
            if not self.changed.wait_for(enough, seconds):
                raise AssertionError(f"not told in {seconds} s: {self.requests}, {[span.name for span in self.spans]}")

    def children(self, parent: Seen) -> list[Seen]:
        return [span for span in self.spans if span.parent == parent.span]

    def one(self, name: str, node: str = "") -> Seen:
        """The only span of this name (of this node)."""
        (found,) = [span for span in self.spans if span.name == name and node in span.node]
        return found

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """One request; returns the status."""
        with self.changed:
            self.requests[path] += 1
            self.headers.append(headers)
            if self.status == 200:
                if path == "/v1/traces":
                    self._take_spans(ExportTraceServiceRequest.FromString(body))
                else:
                    self.metrics |= _metrics(ExportMetricsServiceRequest.FromString(body))
            self.changed.notify_all()
            return self.status

    def _take_spans(self, request: ExportTraceServiceRequest) -> None:
        scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
        self.counted.update(span.name for scope in scopes for span in scope.spans)
        if self.keeps:
            self.spans += _spans(request)


def _value(value: object) -> object:
    return getattr(value, value.WhichOneof("value"))  # type: ignore[attr-defined]


def _spans(request: ExportTraceServiceRequest) -> Iterator[Seen]:
    for resource in request.resource_spans:
        who = {one.key: _value(one.value) for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    str(who["service.instance.id"]),
                    {one.key: _value(one.value) for one in span.attributes},
                    tuple(link.span_id.hex() for link in span.links),
                    span.status.code == 2,
                    tuple(event.name for event in span.events),
                    span.trace_state,
                )


def _metrics(request: ExportMetricsServiceRequest) -> dict[str, object]:
    return {
        metric.name: metric
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@contextmanager
def collector(port: int = 0, *, keeps: bool = True) -> Iterator[Collector]:
    """A running collector; its `url` is what node.yaml names."""
    taken = Collector(keeps=keeps)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(taken.take(self.path, body, {k.lower(): v for k, v in self.headers.items()}))
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            body = json.dumps({"spans": taken.counted, "metrics": len(taken.metrics)}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    taken.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    with collector(int(sys.argv[1]), keeps=False):
        signal.pause()
