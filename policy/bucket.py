"""A token bucket that is told the time: in any interval of T seconds what falls due is at most rate x T + burst.

Takers may go into debt and wait until it is paid, in the order in which they took (line-rules, Burst).
"""

import math

# A monotonic clock of days resolves some 1e-10 s, a tenth of a byte at 10 Gbit/s: who waited exactly as told may find
# that much missing, and must not be told to wait for less than the clock can tick. It stays owed.
_ROUNDING_BYTES = 1.0


class TokenBucket:
    """Tokens are bytes. Mutable: the rate, the burst, the level at the last change and when that was."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Starts full.

        Args:
            rate: Bytes per second; 0 never refills.
            burst: The most that can be saved up, bytes.
            now: Seconds on a monotonic clock, as in every other call.
        """
        self._rate, self._burst = _checked(rate, burst)
        self._level = self._burst
        self._at = now

    def __repr__(self) -> str:
        return f"TokenBucket(rate={self._rate:.0f} B/s, burst={self._burst:.0f} B, level={self._level:.0f} B)"

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self._rate

    @property
    def burst(self) -> float:
        """Bytes."""
        return self._burst

    def take(self, nbytes: float, now: float) -> float:
        """Debits `nbytes` at once and returns the seconds until they are covered: 0 if they are, inf at rate 0."""
        self._refill(now)
        self._level -= nbytes
        return self._until(0.0)

    def wait(self, nbytes: float, now: float) -> float:
        """Returns the seconds until `nbytes` (or a full burst, if that is less) could be taken without debt."""
        self._refill(now)
        return self._until(min(nbytes, self._burst))

    def give(self, nbytes: float) -> None:
        """Credits back what was taken and not used; never above the burst."""
        self._level = min(self._burst, self._level + nbytes)

    def level(self, now: float) -> float:
        """Returns the bytes that can be taken now without waiting; negative in debt."""
        self._refill(now)
        return self._level

    def set_rate(self, rate: float, burst: float, now: float) -> None:
        """Goes on at another rate and burst from now; what is saved (up to the new burst) and owed stays."""
        self._refill(now)
        self._rate, self._burst = _checked(rate, burst)
        self._level = min(self._level, self._burst)

    def _refill(self, now: float) -> None:
        # A clock that was read before the last change adds nothing, and must not make the next refill count twice.
        if now > self._at:
            self._level = min(self._burst, self._level + self._rate * (now - self._at))
            self._at = now

    def _until(self, level: float) -> float:
        missing = level - self._level
        if missing < _ROUNDING_BYTES:
            return 0.0
        return missing / self._rate if self._rate else math.inf


def _checked(rate: float, burst: float) -> tuple[float, float]:
    if not (0 <= rate < math.inf and 0 < burst < math.inf):
        raise ValueError(f"a bucket needs a finite rate >= 0 and burst > 0, not {rate} B/s and {burst} B")
    return float(rate), float(burst)
