"""What a node answers of the ways to a path: regions with their nodes, endpoints, and what it holds of lines."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseStatus:
    """What this node holds of a line. Rates are debited bytes/s; `state` is leased, hold, static, over or none."""

    state: str
    rate: float
    safe: float
    office: str
    """Where the lease office is, `HOST:PORT`; empty: not found yet."""
    office_region: str
    epoch: int
    silent_seconds: float
    """Since the office said anything; 0 while it speaks."""
    left_seconds: float | None
    """Until what holds now is over, if no grant comes; None: it stays."""
    fault: str = ""
    """Why the office was not reached last; empty while it speaks."""


@dataclass(frozen=True, slots=True)
class FarNodeShown:
    """One node of a far region. `state`: up, away, or unknown where it has not answered anything yet.

    `owner`: it owns the object's first extent there, by what is known here. `asked`: it would be asked for that now.
    """

    name: str
    address: str
    state: str
    owner: bool
    asked: bool
    away_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WayShown:
    """One source of a path, in order of preference. `why` says why it is taken, or why it is passed over.

    Of a region: its `nodes` as far as they are known, and the `epoch` of the view that they told (0: none). `lease` is
    what this node holds of the line; None: it is alone on it.
    """

    kind: str
    region: str
    where: str
    line: str | None
    chosen: bool
    why: str
    away_seconds: float | None = None
    epoch: int = 0
    nodes: tuple[FarNodeShown, ...] = ()
    lease: LeaseStatus | None = None
