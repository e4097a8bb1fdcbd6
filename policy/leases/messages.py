"""What nodes and the lease office of one direction of a line say to each other, and what an office leaves the next.

Rates are debited bytes/s, bursts debited bytes. All figures that a node keeps are in its grant: it computes none of
them itself. A duration runs on the node's monotonic clock from the moment it sent the report that the grant answers, so
a grant that was long on its way has run out when it arrives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policy.shares import Leaf

LEASE_SECONDS = 10.0
"""How long a grant lasts (line-rules, Leases): five sessions of etcd in a minute may fail before anyone waits."""
REPORT_SECONDS = 1.0
"""A node reports at least so often."""
REPORT_GAP_SECONDS = 0.1
"""And at most so often, when something began or ended."""
CeilKey = tuple[str, str]
"""`("tenant", name)` or `("class", name)`: whom a ceil holds back."""


@dataclass(frozen=True, slots=True, order=True)
class LeaseId:
    """Which grant: the epoch of the office that made it, and its number among that one's. Higher is newer."""

    office: int
    number: int


NO_LEASE = LeaseId(0, 0)
"""Of a process that was never granted anything."""


@dataclass(frozen=True, slots=True)
class Safe:
    """What a node may use when its lease ran out: bytes/s, and the burst (bytes) beside it."""

    rate: float = 0.0
    burst: float = 0.0

    def __post_init__(self) -> None:
        if not (self.rate >= 0 and self.burst >= 0):
            raise ValueError(f"a safe rate and its burst are not below 0: {self.rate} B/s, {self.burst} B")


@dataclass(frozen=True, slots=True)
class Want:
    """One leaf of one node: what it wants, and whether it had to wait of late."""

    rate: float
    """Bytes/s; finite: 1.25 x what was used or waited for in the last second, twice its use where it waited."""
    waited: bool = False
    """Room that nobody wants goes to leaves that waited, before it is spread over all nodes."""


@dataclass(frozen=True, slots=True)
class Ceil:
    """What one node may use of a ceil that the line has, bytes/s: while its lease runs, and after it."""

    rate: float
    safe: float


@dataclass(frozen=True, slots=True)
class Grant:
    """What one process of one node may use of the line, and what it falls back to."""

    node: str
    process: int
    """The process epoch of the node it was made for; another process of that name holds nothing of it."""
    lease: LeaseId
    answers: float
    """`sent` of the newest report that the office had when it made the grant."""
    rate: float
    """Bytes/s of the node, all leaves together and what is lent beyond them."""
    burst: float
    """Bytes of the node's bucket; a bucket begins empty and is never filled by a grant."""
    leaves: Mapping[Leaf, float]
    """Bytes/s by leaf: how the node divides its rate among those that wait; `rate` is never below their sum."""
    safe: Safe
    hold_seconds: float
    """From the end of the lease on the node uses min(last rate, safe rate) for so long ..."""
    static_seconds: float
    """... then the safe rate for so long, then nothing."""
    seconds: float = LEASE_SECONDS
    ceils: Mapping[CeilKey, Ceil] = field(default_factory=lambda: MappingProxyType({}))
    """Only of tenants and classes whose ceil is below the quota."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one process of one node says of one direction."""

    node: str
    process: int
    """Its process epoch: a higher one under the same name proves the former process dead."""
    office: int
    """The epoch of the office that it is for: another drops it. So it was sent after that one was elected."""
    sent: float
    """Monotonic seconds of the node when it was sent; the office hands it back (`Grant.answers`) and reads it for order
    alone."""
    wants: Mapping[Leaf, Want]
    """By leaf as the policy serves it; leaves without demand are left out."""
    debited: float
    """Bytes since the process began."""
    held: LeaseId = NO_LEASE
    """The last grant taken, whether it runs still or not."""
    grant: Grant | None = None
    """That grant whole, from which a new office learns; None only where nothing was ever granted."""
    running: bool = False
    """Whether that grant's lease runs still."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that may hold a safe rate, and the most that it may hold."""

    process: int
    safe: Safe


@dataclass(frozen=True, slots=True)
class Roster:
    """Who may use the line without an office, by node: kept where a successor reads it, before a grant relies on it."""

    holders: Mapping[str, Holder] = field(default_factory=lambda: MappingProxyType({}))
    unknown: bool = False
    """A former roster was lost: what is left of the safe part may be held by nodes that are not named."""
