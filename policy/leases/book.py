"""The arithmetic of a lease office for one direction of one line, told the time: reports come in, grants go out.

At every moment the rates that all nodes together may be using, whatever was lost or is still on its way, are at most
the leased part of the quota, and their bursts at most the line's (line-rules, Leases).
"""

from collections.abc import Mapping

from policy.leases.messages import Grant, Report, Roster
from policy.model import LinePolicy


class LeaseBook:
    """Mutable state: what each node wants and may hold, the roster, the end of the office's own right to grant."""

    def __init__(
        self,
        policy: LinePolicy,
        class_ceils: Mapping[str, float],
        epoch: int,
        roster: Roster | None,
        now: float,
    ) -> None:
        """Begins to learn.

        Args:
            policy: What may cross.
            class_ceils: What windows allow a class at present, bytes/s.
            epoch: Of this office: higher than that of every office before it.
            roster: What the former office kept last, empty for a line that never had one. None: it was lost; then the
                whole safe part of the quota is reserved for nodes that nobody knows, as long as they may use it.
            now: Monotonic seconds of the office, as in every other call.
        """
        raise NotImplementedError

    def lead(self, answered: float, session_seconds: float) -> None:
        """The office's own session was renewed: grants may be made for two thirds of it.

        Args:
            answered: When the last answered keep-alive was *sent*.
            session_seconds: How long the session lasts from then on.
        """
        raise NotImplementedError

    def report(self, report: Report, now: float) -> None:
        """Takes what a node says.

        Raises:
            Superseded: The node holds a grant of a newer office: this one must stop.
        """
        raise NotImplementedError

    def fence(self, node: str, process: int, now: float) -> None:
        """A process is proven dead (or has left cleanly): what it held is free at once. Older ones are dead too."""
        raise NotImplementedError

    def adopt(self, policy: LinePolicy, class_ceils: Mapping[str, float], now: float) -> None:
        """Goes on by another policy, or by what windows allow now."""
        raise NotImplementedError

    def roster(self) -> Roster:
        """Returns what a successor must know: to be kept (and then told by `kept`) whenever it differs."""
        raise NotImplementedError

    def kept(self, roster: Roster) -> None:
        """`roster` lies where a successor will read it: grants may rely on it."""
        raise NotImplementedError

    def grants(self, now: float) -> list[Grant]:
        """Returns what is to be sent now, at most one grant a node; each counts as sent."""
        raise NotImplementedError

    def next_at(self, now: float) -> float:
        """Returns when to ask `grants` again, if nothing is reported or changed before."""
        raise NotImplementedError
