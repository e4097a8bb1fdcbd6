"""Trails as OpenTelemetry's spans. Only here and in the modules beside it is OpenTelemetry known.

A span is kept as plain values while it lasts and becomes the library's when it is over: its own recording span checks
and locks for whoever may come, which costs 26 us where this costs 6.
"""

import time
from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from gateway.telemetry.sampler import ROOT
from gateway.telemetry.w3c import Parent
from regioncache.errors import CacheError, NoSuchObject, RangeOutside
from regioncache.http.messages import Header
from regioncache.tracing import Attributes

_CLIENT: Final = frozenset(("origin", "peer"))
_TO_BE_EXPECTED: Final = (NoSuchObject, RangeOutside)
"""Faults of who asked: their stretch is no error."""
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_FINE: Final = Status(StatusCode.UNSET)


class OtelTrail:
    """One span, under way; see `regioncache.tracing.Trail`. Mutable state: `_said`, `_events`, `_over`."""

    __slots__ = ("_at", "_began_ns", "_events", "_kind", "_links", "_name", "_over", "_parent", "_said", "_trails")

    def __init__(
        self,
        trails: "Trails",
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: Attributes,
        links: tuple[Link, ...] = (),
    ) -> None:
        self._trails = trails
        self._name = name
        self._kind = kind
        self._parent = parent
        self._at = trails.place(parent)
        self._said = dict(attributes)
        self._links = links
        self._events: list[Event] = []
        self._over = False
        self._began_ns = trails.wall_ns()

    def begin(self, name: str, attributes: Attributes, link: "OtelTrail | None" = None) -> "OtelTrail":
        """A child span."""
        kind = SpanKind.CLIENT if name in _CLIENT else SpanKind.INTERNAL
        links = () if link is None else (Link(link._at),)
        return OtelTrail(self._trails, name, kind, self._at, attributes, links)

    def note(self, attributes: Attributes) -> None:
        """More attributes."""
        self._said.update(attributes)

    def mark(self, event: str) -> None:
        """An event."""
        self._events.append(Event(event, timestamp=self._trails.wall_ns()))

    def headers(self) -> list[Header]:
        """`traceparent`, and `tracestate` where the trace has one."""
        at = self._at
        told = [(b"traceparent", b"00-%032x-%016x-%02x" % (at.trace_id, at.span_id, at.trace_flags))]
        if at.trace_state:
            told.append((b"tracestate", at.trace_state.to_header().encode("latin-1")))
        return told

    def end(self, fault: BaseException | None = None) -> None:
        """Ends the span, with the fault's name, and its text where the text is ours."""
        if self._over:
            return
        self._over = True
        status = _FINE
        if fault is not None:
            self._said["causeway.fault"] = type(fault).__name__
            # Who is cancelled did nothing wrong: his reader went away.
            if isinstance(fault, Exception) and not isinstance(fault, _TO_BE_EXPECTED):
                status = Status(StatusCode.ERROR, str(fault) if isinstance(fault, CacheError) else None)
        self._trails.ended(
            ReadableSpan(
                self._name,
                self._at,
                self._parent,
                self._trails.resource,
                self._said,
                self._events,
                self._links,
                self._kind,
                status=status,
                start_time=self._began_ns,
                end_time=self._trails.wall_ns(),
                instrumentation_scope=self._trails.scope,
            )
        )


class Trails:
    """Begins the first span of a request on this node."""

    def __init__(
        self,
        resource: Resource,
        version: str,
        put: Callable[[ReadableSpan], None],
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`put` is given each span that has ended."""
        self.resource = resource
        self.scope = InstrumentationScope("causeway", version)
        self.ended = put
        self.wall_ns = wall_ns
        self._ids = RandomIdGenerator()

    def begin(self, parent: Parent, state: str, name: str, attributes: Attributes) -> OtelTrail:
        """Begins a span within `parent`, which came with a request, or a trace (`ROOT`)."""
        within = None
        if parent is not ROOT:
            within = SpanContext(parent.trace_id, parent.span_id, True, _SAMPLED, TraceState.from_header([state]))
        return OtelTrail(self, name, SpanKind.SERVER, within, attributes)

    def place(self, parent: SpanContext | None) -> SpanContext:
        """Where a new span stands: in its parent's trace, or in one of its own."""
        span_id = self._ids.generate_span_id()
        if parent is None:
            return SpanContext(self._ids.generate_trace_id(), span_id, False, _SAMPLED)
        return SpanContext(parent.trace_id, span_id, False, _SAMPLED, parent.trace_state)
