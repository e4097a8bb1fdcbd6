"""Traces of single reads, handed down with the payer of a read. No tracing library is known here.

A read that is not traced has no trail (None): that costs one test where something slow begins, and hits do not come by
there. OpenTelemetry's word for a stretch is span; here a span is of bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from regioncache.http.messages import Header, Request

Attributes = Mapping[str, str | int | float | bool]
"""What is said of a stretch: never an access key, a secret or a signature."""


class Trail(Protocol):
    """One stretch of a traced read, under way. Whoever begins it ends it."""

    def begin(self, name: str, attributes: Attributes, link: Self | None = None) -> Self:
        """A stretch within this one, that begins now; `link` is one of another trace that it waits for."""
        ...

    def note(self, attributes: Attributes) -> None:
        """Says more of it."""
        ...

    def mark(self, event: str) -> None:
        """Something happened now, within it."""
        ...

    def headers(self) -> list[Header]:
        """What a node that is asked goes on by (W3C Trace Context)."""
        ...

    def end(self, fault: BaseException | None = None) -> None:
        """It is over; safe to call twice."""
        ...


Beginning = Callable[[str, Attributes], Trail]
"""Begins the first stretch of a read on this node."""
Tracing = Callable[[Request], Beginning | None]
"""Decides whether a request is traced; None: it is not, and nothing was made for it."""


def trace_id(trail: Trail) -> str:
    """Returns the trace that a stretch belongs to, 32 hexadecimal digits, as collectors show it."""
    return dict(trail.headers())[b"traceparent"].split(b"-")[1].decode()


def untraced(_request: Request) -> None:
    """Traces nothing."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A traced question to a source: the stretch on its line, where there is one, and in it that at the far end."""

    line: Trail | None
    far: Trail

    @classmethod
    def begin(cls, trail: Trail, kind: str, line: str | None, attributes: Attributes) -> "Passage":
        """`kind` is the way's: `region` (a far node) or `endpoint` (the origin itself)."""
        crossing = None if line is None else trail.begin("line", {"causeway.line": line})
        far = (trail if crossing is None else crossing).begin("peer" if kind == "region" else "origin", attributes)
        return cls(crossing, far)

    def end(self, fault: BaseException | None, waited_seconds: float, nbytes: int = 0) -> None:
        """The question is over, by a fault if there is one."""
        self.far.note({"causeway.bytes": nbytes})
        self.far.end(fault)
        if self.line is not None:
            self.line.note({"causeway.wait_seconds": waited_seconds, "causeway.bytes": nbytes})
            self.line.end(fault)
