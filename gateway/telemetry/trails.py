"""Trails as OpenTelemetry's spans. Only here and in the modules beside it is OpenTelemetry known."""

from collections.abc import Callable
from typing import Final, Self

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from gateway.telemetry.sampler import ROOT
from gateway.telemetry.w3c import Parent
from regioncache.errors import CacheError, NoSuchObject, RangeOutside
from regioncache.http.messages import Header
from regioncache.tracing import Attributes

_CLIENT: Final = frozenset(("origin", "peer"))
_TO_BE_EXPECTED: Final = (NoSuchObject, RangeOutside)
"""Faults of who asked: their stretch is no error."""


class OtelTrail:
    """One span, under way; see `regioncache.tracing.Trail`."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    def begin(self, name: str, attributes: Attributes, link: Self | None = None) -> "OtelTrail":
        """A child span."""
        kind = SpanKind.CLIENT if name in _CLIENT else SpanKind.INTERNAL
        links = () if link is None else (Link(link._span.get_span_context()),)
        within = set_span_in_context(self._span, Context())
        return OtelTrail(self._tracer, self._tracer.start_span(name, within, kind, attributes, links))

    def note(self, attributes: Attributes) -> None:
        """More attributes."""
        self._span.set_attributes(attributes)

    def mark(self, event: str) -> None:
        """An event."""
        self._span.add_event(event)

    def headers(self) -> list[Header]:
        """`traceparent`, and `tracestate` where the trace has one."""
        at = self._span.get_span_context()
        told = [(b"traceparent", b"00-%032x-%016x-%02x" % (at.trace_id, at.span_id, at.trace_flags))]
        if at.trace_state:
            told.append((b"tracestate", at.trace_state.to_header().encode("latin-1")))
        return told

    def end(self, fault: BaseException | None = None) -> None:
        """Ends the span, with the fault's name, and its text where the text is ours."""
        if not self._span.is_recording():
            return
        if fault is not None:
            self._span.set_attribute("causeway.fault", type(fault).__name__)
        # Who is cancelled did nothing wrong: his reader went away.
        if isinstance(fault, Exception) and not isinstance(fault, _TO_BE_EXPECTED):
            self._span.set_status(Status(StatusCode.ERROR, str(fault) if isinstance(fault, CacheError) else None))
        self._span.end()


class Trails:
    """Begins the first span of a request on this node."""

    def __init__(self, resource: Resource, version: str, put: Callable[[ReadableSpan], None]) -> None:
        """`put` is given each span that has ended."""
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(_Ended(put))
        self._tracer = provider.get_tracer("causeway", version)

    def begin(self, parent: Parent, state: str, name: str, attributes: Attributes) -> OtelTrail:
        """Begins a span within `parent`, which came with a request, or a trace (`ROOT`)."""
        within = Context()
        if parent is not ROOT:
            flags = TraceFlags(TraceFlags.SAMPLED)
            at = SpanContext(parent.trace_id, parent.span_id, True, flags, TraceState.from_header([state]))
            within = set_span_in_context(NonRecordingSpan(at), within)
        return OtelTrail(self._tracer, self._tracer.start_span(name, within, SpanKind.SERVER, attributes))


class _Ended(SpanProcessor):
    def __init__(self, put: Callable[[ReadableSpan], None]) -> None:
        self._put = put

    def on_end(self, span: ReadableSpan) -> None:
        self._put(span)
