"""What a node answers to its administrators: plain values, which the admin port turns into JSON name by name.

Sizes are bytes, rates bytes/s, ages and waits seconds, moments seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.admin.clusteranswers import OwnersShown
from gateway.admin.wayanswers import LeaseStatus, WayShown
from regioncache.pages import Meta


@dataclass(frozen=True, slots=True)
class CachePath:
    """One disk of the cache. `fault` says why it is out, empty while it serves; `full` and `slow` that nothing new is
    kept there; `uses` are reads that it served."""

    path: str
    held_bytes: int
    limit_bytes: int
    fault: str = ""
    tier: int = 0
    uses: int = 0
    moved_bytes: int = 0
    full: bool = False
    slow: bool = False


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What is known of a far region's node. `digest` is the files it said it has in force, empty while unheard."""

    region: str
    address: str
    answers: bool
    digest: str = ""
    round_trip_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A node at a glance. `listeners` are (door, URL) with the ports really bound; `faults` what keeps it from serving
    or needs an operator, each with its remedy."""

    node: str
    region: str
    version: str
    ready: bool
    uptime_seconds: float
    revision: int
    digest: str
    granted: tuple[str, ...] = ()
    """What the region is granted alone; empty where it is trusted."""
    listeners: tuple[tuple[str, str], ...] = ()
    mounts: int = 0
    keys: int = 0
    caches: tuple[CachePath, ...] = ()
    objects: int = 0
    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    flights: int = 0
    peers: tuple[PeerStatus, ...] = ()
    faults: tuple[str, ...] = ()
    members: int = 1
    """Of the region's cluster, by the view in force."""
    view_epoch: int = 0
    """0: the node is its region's only one."""
    leases: tuple[tuple[str, LeaseStatus], ...] = ()
    """By line; none where the node is alone in its region."""
    offices: tuple[tuple[str, int], ...] = ()
    """The lines whose lease office this node is now, and its epoch."""


@dataclass(frozen=True, slots=True)
class LineBytes:
    """One counter of a line's ledger."""

    tenant: str
    cls: str
    bucket: str
    kind: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class LineStatus:
    """One direction of a line, now. `waiting` is the number of reads that wait for room."""

    line: str
    direction: str
    quota: float
    rate: float
    burst_bytes: int
    prepaid_bytes: int
    waiting: int
    once_ratio: float
    ledger: tuple[LineBytes, ...] = ()
    class_ceils: Mapping[str, float] = field(default_factory=dict)
    """What windows allow a class now, bytes/s."""
    lease: LeaseStatus | None = None
    """None: this node is alone on the line and holds its quota."""
    office_epoch: int = 0
    """Of this node's own time as the line's lease office; 0: another one is in office."""


@dataclass(frozen=True, slots=True)
class MovedRow:
    """What one group moved, payload bytes. `names` are those asked for; a slot is where it begins, epoch seconds."""

    names: Mapping[str, str | int]
    nbytes: int
    kinds: Mapping[str, int]
    cost: float | None
    """By `price_per_gb` of the lines that it crossed; None where one of them is in the topology no more."""
    once_ratio: float | None
    """None where nothing was moved that a page could save."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Who moved what over lines into this region, from `since` to before `until` (epoch seconds, whole slots).

    `nodes` are those whose ledgers are in the figures, `unasked` those that are missing, each with the reason.
    """

    since: int
    until: int
    by: tuple[str, ...]
    rows: tuple[MovedRow, ...]
    whole: MovedRow
    nodes: tuple[str, ...]
    unasked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One sample of a metric. Of a histogram: `counts` by upper bound (one more than `bounds`), `value` their sum."""

    labels: dict[str, str]
    value: float
    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric, by its name in `/metrics`. `kind` is `counter`, `gauge` or `histogram`, `unit` UCUM's."""

    name: str
    kind: str
    unit: str
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleShown:
    """One cache rule that covers a path: what it sets, and where it stands in the policy (`policy.yaml:12`).

    A pin by a command stands beside them: `match` is the path that it pinned, `at` who did, and when.
    """

    setting: str
    value: str
    match: str
    at: str


@dataclass(frozen=True, slots=True)
class LastWait:
    """What the last read of a path waited for."""

    line: str
    cls: str
    seconds: float


@dataclass(frozen=True, slots=True)
class KeepShown:
    """How an object is kept, by all the rules and pins that hold for it.

    `paths` are all under which it shows. `ttl_left_seconds` is None where nothing of it is here, or it does not expire.
    """

    pinned: bool
    priority: str
    held_bytes: int
    paths: tuple[str, ...]
    ttl_seconds: float | None = None
    ttl_left_seconds: float | None = None
    quota_bytes: int | None = None
    quota_used_bytes: int = 0
    """What all that is under the same quota has in the cache."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a path is served as it is. `meta` is None where no version is known; then the pages mean nothing."""

    path: str
    mount: str
    bucket: str
    key: str
    consistency: str
    meta: Meta | None
    age_seconds: float | None
    page_bytes: int
    pages_held: int
    pages: int
    ways: tuple[WayShown, ...] = ()
    rules: tuple[RuleShown, ...] = ()
    last_wait: LastWait | None = None
    keep: KeepShown | None = None
    owners: OwnersShown | None = None
    """None: the node is its region's only one."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be made. `id` and `secret` are given only to repeat a key in a second region; else the node draws them.

    `until` is the moment from which the key opens nothing, None = never.
    """

    name: str
    tenant: str
    cls: str = "training"
    may_class: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    until: float | None = None
    id: str | None = None
    secret: str | None = field(default=None, repr=False)
    regions: tuple[str, ...] = ()
    """Where it opens anything; none = every trusted region."""


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key as made. The secret is told once, here, and shown by nothing afterwards."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyShown:
    """A key without its secret."""

    id: str
    name: str
    tenant: str
    cls: str
    may_class: tuple[str, ...]
    read: tuple[str, ...]
    write: tuple[str, ...]
    until: float | None
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh dropped here: the number of known newest versions and remembered absences.

    `untold` are the members of the region that could not be told: there it is not in force.
    """

    path: str
    dropped: int
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PinShown:
    """A path that a command pinned. `nbytes` is what lay there at the origin then, None where that is not known."""

    path: str
    author: str
    at: float
    nbytes: int | None


@dataclass(frozen=True, slots=True)
class PinRuleShown:
    """A cache rule that pins. `newest` are the partitions it pins now; empty for one that pins all it covers."""

    match: str
    pin: str
    at: str
    newest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pins:
    """What is pinned. `room_bytes` is what may be, of the cache; `held_bytes` what of it is here."""

    commands: tuple[PinShown, ...]
    rules: tuple[PinRuleShown, ...]
    held_bytes: int
    room_bytes: int


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pin as made; `warnings` say what could not be found out."""

    pin: PinShown
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpinned:
    """A pin as taken back. `still` says what pins the path all the same, empty for nothing."""

    pin: PinShown
    still: str = ""


@dataclass(frozen=True, slots=True)
class FreedShown:
    """What left the cache at a path and beneath it; `pinned_bytes` stayed because they are pinned.

    What the cache paths of `paths_out` hold of it stays too: they are out, and come back with it.
    """

    path: str
    objects: int
    nbytes: int
    pinned_bytes: int
    paths_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """One entry of a listing; a directory ends in `/` and has neither size nor time."""

    path: str
    size: int | None = None
    modified: float | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries in order. `next_after` goes into the next question, None at the end."""

    names: tuple[Name, ...]
    next_after: str | None = None


@dataclass(frozen=True, slots=True)
class Stat:
    """An object as its newest known version says. `source` is where the answer came from."""

    path: str
    meta: Meta
    source: str
    stale_seconds: float | None = None
