"""What one process of a node may use of a line now: its lease, then hold, then the safe rate, then nothing.

It computes none of these figures: they are in its grant. Told the time; durations run on the node's own monotonic clock
from the sending of the report that the grant answers (line-rules, Fail static).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from policy.leases.messages import CeilKey, Grant, Report, Want
from policy.shares import Leaf

State = Literal["none", "leased", "hold", "static", "over"]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a process may use from a moment on."""

    state: State
    rate: float
    """Bytes/s, all leaves together."""
    burst: float
    """Bytes; what is saved beyond it is lost."""
    leaves: Mapping[Leaf, float]
    """Bytes/s by leaf while the lease runs; empty after it: then the node shares its rate by its policy."""
    ceils: Mapping[CeilKey, float]
    """Bytes/s; after the lease prefetch and backfill have 0."""
    until: float
    """Monotonic seconds; from then on another allowance holds. inf: until the next grant."""


class Holding:
    """Mutable state: the grant in force, and what was reported when."""

    def __init__(self, node: str, process: int) -> None:
        """Holds nothing: what a former process of that name was granted is not this one's."""
        raise NotImplementedError

    def take(self, grant: Grant, now: float) -> bool:
        """Takes a grant; False where it is refused: for another process, not newer, of a lower office, or run out."""
        raise NotImplementedError

    def allowance(self, now: float) -> Allowance:
        """Returns what may be used at `now`."""
        raise NotImplementedError

    def report(self, wants: Mapping[Leaf, Want], debited: float, now: float) -> Report:
        """Returns what is to be sent at once."""
        raise NotImplementedError
