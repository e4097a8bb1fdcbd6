"""The parts of a running node that its administrators' operations are made of."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.admin.visitors import Visitors
from gateway.applying import Applying
from gateway.config import Address, NodeSettings
from gateway.files import Files
from gateway.following import Following
from gateway.metrics import DoorCounters, Histogram
from gateway.pairs import Pair
from gateway.telemetry.telemetry import Telemetry
from gateway.tls import Certificate
from namespace.keeping import Namespace
from namespace.keys import Keys
from policy.match import Rules
from regioncache.app import CacheApp
from regioncache.http.server import Server
from regioncache.recent import Recent

if TYPE_CHECKING:
    from gateway.clustering import Clustering


@dataclass(slots=True)
class InForce:
    """The policy in force, read by the doors at each request. Replaced between two requests."""

    rules: Rules
    pair: Pair | None = None

    def rule_at(self, index: int, key: str) -> str:
        """Where a cache rule sets a key: `policy.yaml:12`."""
        if self.pair is None or "policy" not in self.pair.documents:
            return ""
        fault = self.pair.documents["policy"].fault(("cache", index, key), "", at_key=True)
        return f"policy.yaml:{fault.line}"


@dataclass(slots=True)
class Running:
    """Everything that an operation may look at. `wall` is seconds since the epoch, `began` when the node started."""

    settings: NodeSettings
    app: CacheApp
    namespace: Namespace
    applying: Applying
    following: Following
    keys: Keys
    files: Files
    recent: Recent
    in_force: InForce
    wall: Callable[[], float]
    began: float
    counters: DoorCounters = field(default_factory=DoorCounters)
    telemetry: Telemetry | None = None
    servers: dict[str, Server] = field(default_factory=dict)
    """By door."""
    visitors: Visitors | None = None
    """Of the admin port, once it is open."""
    certificates: list[Certificate] = field(default_factory=list)
    clustering: "Clustering | None" = None
    """None: the node is its region's only one."""
    loop_delay: Histogram = field(default_factory=Histogram)
    addresses: dict[str, Address] = field(default_factory=dict)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever changes the namespace, from the store to what is in force: the second must not overtake."""

    def url(self, door: str) -> str:
        """Where a door that is open answers."""
        listen = self.settings.listen
        listener = {"s3": listen.s3, "peer": listen.peer, "admin": listen.admin, "control": listen.control}[door]
        return f"{'http' if listener.tls is None else 'https'}://{self.addresses[door]}"
