"""W3C Trace Context (https://www.w3.org/TR/trace-context/): what a request says of the trace that it belongs to."""

import re
from dataclasses import dataclass

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
_MEMBER = re.compile(
    rb"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    rb"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
"""A key and its value (sections 3.3.1.3.1 and 3.3.1.3.2)."""
_MEMBERS = 32
"""At most (section 3.3.1.1)."""
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
    """Returns the `tracestate` of a request, its headers joined in order.

    Empty where it is absent, too long, or not what the recommendation allows: nothing of a stranger's text goes on.
    """
    joined = b",".join(value.strip() for name, value in headers if name == b"tracestate" and value.strip())
    if len(joined) > STATE_BYTES:
        return ""
    members = [member.strip(b" \t") for member in joined.split(b",") if member.strip(b" \t")]
    keys = {member.partition(b"=")[0] for member in members}
    if not len(keys) == len(members) <= _MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    return b",".join(members).decode("ascii")
