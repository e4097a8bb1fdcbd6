"""How long one waits for an owner that is silent: it may come back, or a newer view name another one.

A core: it is told the time. What fails at once is asked again soon, then less often; progress starts it afresh.
"""

from dataclasses import dataclass, field

FIRST_SECONDS = 25.0
"""Until a first byte, or an answer: later than that readers have been told to come again (line rules, Visible)."""
BEGUN_SECONDS = 60.0
"""For replies that have begun: longer than any session, the election of another owner and a restart together."""
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 0.5
"""A member that is back is noticed within so long, and a hundred readers ask a dead one 200 times a second at most."""


@dataclass(slots=True)
class Patience:
    """Waits `seconds` without progress. Mutable state: when there was some last, the next pause."""

    seconds: float
    since: float
    _pause: float = field(default=SHORTEST_PAUSE)

    def progress(self, now: float) -> None:
        """Something came."""
        self.since, self._pause = now, SHORTEST_PAUSE

    def pause(self, now: float) -> float | None:
        """Returns how long to wait before the next try, seconds; None: no longer at all."""
        left = self.since + self.seconds - now
        if left <= 0:
            return None
        pause, self._pause = min(self._pause, left), min(self._pause * 2, LONGEST_PAUSE)
        return pause
