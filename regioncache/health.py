"""Which ways to a bucket are away, told by the answers that did and did not come. A core: it is told the time.

A way is away after a refused connection, or after three questions in a row that had no answer in 2 s (design,
Consistency of a mount). While it is away nobody waits for it; one probe at a time goes out, with back-off.
"""

from dataclasses import dataclass

UNANSWERED_LIMIT = 3
ANSWER_SECONDS = 2.0
FIRST_PROBE_SECONDS = 0.5
LAST_PROBE_SECONDS = 10.0


MEMBER = "member"
"""The kind of a way to another process of the own cluster; the view tells whether that one is there."""
WayId = tuple[str, str, str]
"""(bucket, kind, where): what the state of a way is remembered by."""


@dataclass(slots=True)
class _State:
    unanswered: int = 0
    away_since: float | None = None
    probe_at: float = 0.0
    pause: float = FIRST_PROBE_SECONDS
    probe: bool = False
    """Whether a probe went out that has not failed yet."""


class Health:
    """The state of every way that was ever asked; a way is named by (bucket, kind, where)."""

    def __init__(self) -> None:
        self._states: dict[WayId, _State] = {}

    def answered(self, way: WayId) -> bool:
        """Any HTTP answer, an error too: somebody is there. Returns whether the way was away until now."""
        state = self._states.pop(way, None)
        return state is not None and state.away_since is not None

    def refused(self, way: WayId, now: float) -> bool:
        """The connection was refused, reset before an answer, or its name not found. Returns whether it went now."""
        return self._away(self._states.setdefault(way, _State()), now)

    def unanswered(self, way: WayId, now: float) -> bool:
        """No answer came in time. Returns whether the way went away now."""
        state = self._states.setdefault(way, _State())
        state.unanswered += 1
        if state.unanswered < UNANSWERED_LIMIT and state.away_since is None:
            return False
        return self._away(state, now)

    def away(self, way: WayId) -> bool:
        """Whether cached objects are served without asking this way."""
        state = self._states.get(way)
        return state is not None and state.away_since is not None

    def may_ask(self, way: WayId, now: float) -> bool:
        """Whether a question may go out now: always for a way that answers, else one probe when it is due."""
        state = self._states.get(way)
        if state is None or state.away_since is None:
            return True
        if now < state.probe_at:
            return False
        state.probe_at = now + state.pause
        state.probe = True
        return True

    def retry_after(self, way: WayId, now: float) -> float:
        """Seconds until the next probe is due; 0 for a way that answers."""
        state = self._states.get(way)
        return 0.0 if state is None or state.away_since is None else max(0.0, state.probe_at - now)

    def away_since(self) -> dict[WayId, float]:
        """All ways that are away, with when they went."""
        return {way: s.away_since for way, s in self._states.items() if s.away_since is not None}

    def _away(self, state: _State, now: float) -> bool:
        went = state.away_since is None
        if went:
            state.away_since = now
        elif state.probe:
            state.pause = min(state.pause * 2, LAST_PROBE_SECONDS)
        else:
            # Asked before it went: a hundred requests that one cut took are one failure, not a hundred probes.
            return False
        state.probe = False
        state.probe_at = now + state.pause
        return went
