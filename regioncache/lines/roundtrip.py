"""The smallest round trip of a line: of handshakes by the kernel's measure, and from a request to its answer's head.

An answer alone tells too much where the far side is slow or busy: debits would be granted earlier than their bytes
take, and buffers would be as large as the quota takes for that time.
"""

WINDOW_SECONDS = 300.0
"""A minimum is forgotten after one to two of these: a line that was moved to a longer path is believed then."""


class RoundTrip:
    """A windowed minimum; 0 until something was measured, since no debit may be later than its bytes."""

    __slots__ = ("_before", "_best", "_since")

    def __init__(self) -> None:
        self._best: float | None = None
        self._before: float | None = None
        self._since = 0.0

    def __repr__(self) -> str:
        return f"RoundTrip({self.smallest * 1000:.1f} ms)"

    @property
    def smallest(self) -> float:
        """Seconds."""
        return min((best for best in (self._best, self._before) if best is not None), default=0.0)

    def measured(self, seconds: float, now: float) -> bool:
        """Takes a measurement; returns whether `smallest` has changed."""
        smallest = self.smallest
        if self._best is None or now - self._since >= WINDOW_SECONDS:
            self._before = self._best if now - self._since < 2 * WINDOW_SECONDS else None
            self._best, self._since = seconds, now
        else:
            self._best = min(self._best, seconds)
        return self.smallest != smallest
