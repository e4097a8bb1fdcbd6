"""The numbers a node exports, as plain counters and one snapshot of them.

A hit pays for an integer's addition, nothing more: labels are tuples in dicts, histograms are lists. Nobody formats
anything before `/metrics` is asked (`gateway.admin.exposition`).
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from regioncache.store.base import PathStatistics

# Seconds. From a hit on loopback (0.1 ms) to the 25 s after which a read that waits for a line is told to slow down.
SECONDS = (
    0.0001,
    0.0002,
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    25.0,
    60.0,
)


class Histogram:
    """Counts of observations by upper bound; `counts` has one more entry than `bounds`, for what lies above them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one observation; a value equal to a bound belongs to it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Returns (upper bound, observations up to it), the last with bound `+Inf`, as Prometheus wants them."""
        seen = 0
        out = []
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            out.append((bound, float(seen)))
        return out

    def __repr__(self) -> str:
        return f"Histogram({sum(self.counts)} observations, total {self.total})"


class DoorCounters:
    """What the doors raise, and who reads it. Plain dicts: one event loop writes them.

    `door` is `s3`, `peer` or `admin`; `operation` a name from a fixed table of the door, never a client's own words,
    so that no table grows with what clients send.
    """

    __slots__ = ("first_byte", "last_byte", "requests", "tenant_bytes")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self.first_byte: dict[tuple[str, str], Histogram] = {}
        self.last_byte: dict[tuple[str, str], Histogram] = {}
        self.tenant_bytes: dict[str, int] = {}

    def request(self, door: str, operation: str, code: int) -> None:
        """One request was answered with `code`."""
        label = (door, operation, code)
        self.requests[label] = self.requests.get(label, 0) + 1

    def first(self, door: str, operation: str, seconds: float) -> None:
        """The first byte of a reply left `seconds` after its request was read."""
        histogram = self.first_byte.get((door, operation))
        if histogram is None:
            histogram = self.first_byte[(door, operation)] = Histogram()
        histogram.observe(seconds)

    def last(self, door: str, operation: str, seconds: float) -> None:
        """The last byte of a reply left `seconds` after its request was read."""
        histogram = self.last_byte.get((door, operation))
        if histogram is None:
            histogram = self.last_byte[(door, operation)] = Histogram()
        histogram.observe(seconds)

    def sent(self, tenant: str, nbytes: int) -> None:
        """`nbytes` of replies were sent to a tenant's clients; tenants are those of known keys."""
        self.tenant_bytes[tenant] = self.tenant_bytes.get(tenant, 0) + nbytes


@dataclass(frozen=True, slots=True)
class LineLabels:
    """One counter of the ledger."""

    line: str
    direction: str
    tenant: str
    cls: str
    kind: str


@dataclass(frozen=True, slots=True)
class LineSample:
    """One direction of one line, now. Rates are bytes/s of debits, `prepaid` bytes debited and not yet read, `waiting`
    the requests that wait for room, by class."""

    line: str
    direction: str
    quota: float
    rate: float
    once_ratio: float
    prepaid: int
    waiting: Mapping[str, int] = field(default_factory=dict)
    lease: "LeaseSample | None" = None
    """None: the node is alone on the line."""


@dataclass(frozen=True, slots=True)
class LeaseSample:
    """What a node holds of a line. `state`: 3 a lease, 2 hold, 1 the safe rate, 0 nothing; rates in debited bytes/s."""

    state: int
    rate: float
    safe: float
    epoch: int
    silent_seconds: float


@dataclass(frozen=True, slots=True)
class OriginSample:
    """One way to a bucket, now: its endpoint, or the region whose nodes are asked. Counters are since the start."""

    bucket: str
    way: str
    active: Mapping[str, int]
    """kind (`read`, `question`) -> requests under way."""
    waiting: int
    refused: int
    unanswered: int
    away: bool
    silent_seconds: float
    answer_seconds: Histogram


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the metrics say, at one moment. Empty mappings are series that have not begun."""

    requests: Mapping[tuple[str, str, int], int] = field(default_factory=dict)
    """(door, operation, code) -> answered requests."""
    first_byte: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    """(door, operation) -> seconds to the first byte."""
    last_byte: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    """(door, operation) -> seconds to the last byte."""
    read_bytes: Mapping[str, int] = field(default_factory=dict)
    """source -> bytes handed to readers."""
    tenant_bytes: Mapping[str, int] = field(default_factory=dict)
    """tenant -> bytes sent by the S3 door."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """door -> connections open now."""
    connections_refused: Mapping[str, int] = field(default_factory=dict)
    """door -> connections turned away."""
    certificates: Mapping[str, float] = field(default_factory=dict)
    """door -> when the certificate in use expires, seconds since the epoch."""
    asked_bytes: int = 0
    """Bytes that readers asked for; with the bytes brought by lines and origins it gives the amplification."""
    brought_bytes: int = 0
    """Payload bytes that flights brought into the cache."""
    line_bytes: Mapping[LineLabels, int] = field(default_factory=dict)
    """The ledger: payload bytes."""
    lines: tuple[LineSample, ...] = ()
    waits: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    """(line, class) -> seconds that reads waited for room."""
    cache_bytes: Mapping[str, int] = field(default_factory=dict)
    """state (`clean`, `pinned`, `dirty`) -> bytes on disk."""
    cache_limit_bytes: int = 0
    """What the store may use of its disks."""
    cache_paths: tuple[PathStatistics, ...] = ()
    evicted_bytes: Mapping[str, int] = field(default_factory=dict)
    """reason -> bytes."""
    corrupt_pages: int = 0
    dropped_files: int = 0
    """Files and records that the start found unreadable: a flipped bit in a header, a torn end, an older layout."""
    version_changed: int = 0
    """Reads that were cut short because the origin overwrote the object under them."""
    origins: tuple[OriginSample, ...] = ()
    readers_waiting: int = 0
    """Readers that wait for their first byte."""
    readers_refused: int = 0
    """Readers told to slow down because too many of the same bucket waited."""
    flights: Mapping[str, int] = field(default_factory=dict)
    """state -> flights."""
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    """use (`doors`, `flights`, `index`, `budget`) -> bytes."""
    loop_delay: Histogram | None = None
    """Seconds by which the event loop was late."""
    telemetry: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(signal, outcome) -> spans and metric messages; outcome `sent` or `dropped`."""
    cpu_seconds: float = 0.0
    """Used by the process."""
    uptime_seconds: float = 0.0
    members: Mapping[str, int] = field(default_factory=dict)
    """state -> members of the region's cluster."""
    far_nodes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(far region, state `up`, `away` or `unknown`) -> nodes of it that are known here."""
    view_epoch: int = 0
    """Of the view of the members in force; 0: no cluster."""
    revision: int = 0
    """Revision of the namespace in force; 0 = none was applied."""
    snapshot_age_seconds: float = 0.0
    """Since the revision in force was applied."""
