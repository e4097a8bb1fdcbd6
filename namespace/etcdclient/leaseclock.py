"""How long a lease can be relied on: counted from the sending of the last answered keep-alive, never from its answer.

etcd starts the lease anew when it gets the request, which is later than the sending; so it never ends there before it
has ended here, however slow the answer was. A core, told the time by a monotonic clock.
"""


class LeaseClock:
    """One lease."""

    def __init__(self, ttl_seconds: float, sent_at: float) -> None:
        """Args:
        ttl_seconds: as etcd granted it.
        sent_at: when the granting was asked for.
        """
        self.ttl_seconds = ttl_seconds
        self.ends_at = sent_at + ttl_seconds
        self._next_at = sent_at + ttl_seconds / 4

    def renewed(self, ttl_seconds: float, sent_at: float) -> None:
        """Notes an answered keep-alive."""
        self.ttl_seconds = ttl_seconds
        self.ends_at = max(self.ends_at, sent_at + ttl_seconds)
        self._next_at = sent_at + ttl_seconds / 4

    def left(self, now: float) -> float:
        """Returns the seconds for which the lease is ours for certain; 0 or less: it may be gone."""
        return self.ends_at - now

    def due_in(self, now: float) -> float:
        """Returns the seconds until the next keep-alive is to be sent: one in each quarter of the lease."""
        return max(0.0, self._next_at - now)

    @property
    def attempt_seconds(self) -> float:
        """How long one keep-alive may take, its attempts at all servers together."""
        return self.ttl_seconds / 4
