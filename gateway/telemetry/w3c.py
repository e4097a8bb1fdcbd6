"""W3C Trace Context (https://www.w3.org/TR/trace-context/): what a request says of the trace that it belongs to."""

import re
from dataclasses import dataclass

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
STATE_BYTES = 512
"""Longer ones may be dropped whole (section 3.3.1.5)."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The stretch that asks."""

    trace_id: int
    span_id: int
    sampled: bool


def parent(header: bytes) -> Parent | None:
    """Returns what a `traceparent` says; None where it says nothing that can be relied on (section 2.2.2)."""
    found = _PARENT.fullmatch(header.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    made = Parent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))
    return made if made.trace_id and made.span_id else None


def state(headers: list[tuple[bytes, bytes]]) -> str:
    """Returns the `tracestate` of a request, its headers joined in order; empty where it is absent or too long."""
    joined = b",".join(value.strip() for name, value in headers if name == b"tracestate" and value.strip())
    if len(joined) > STATE_BYTES:
        return ""
    return joined.decode("latin-1")
