"""Builds the region cache of one node: the only place where its concrete parts meet.

`start` opens what is on disk, `adopt` puts a topology and a policy in force, `stop` ends all that runs.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from namespace.model import Topology
from namespace.resolver import Prepared as Resolved
from namespace.resolver import Resolver
from namespace.routes import Routes
from policy.match import Rules
from policy.model import LinePolicy, Policy
from regioncache.catalog import Catalog
from regioncache.cluster.ownership import Alone, Ownership
from regioncache.doubting import Doubting
from regioncache.doubts import Doubts
from regioncache.federation.desk import NodesDesk
from regioncache.federation.region import OPERATION
from regioncache.federation.regions import FarRegions
from regioncache.fetching import FLIGHT_BYTES
from regioncache.fill import Filler
from regioncache.flights import Flights
from regioncache.grants import Grants
from regioncache.handover import Handover
from regioncache.health import Health, WayId
from regioncache.history.keeping import History
from regioncache.hot import HotObjects
from regioncache.http.client import Client
from regioncache.http.handshakes import Contexts
from regioncache.isolation import Bounds
from regioncache.ledger import Ledger
from regioncache.lines.calendar import Calendar
from regioncache.lines.line import Line
from regioncache.listpages import ListPages
from regioncache.lists import Lists
from regioncache.memory import Memory
from regioncache.newest import Newest
from regioncache.opened import Means
from regioncache.openfiles import allowed_files, asking_descriptors, open_files, sibling_files
from regioncache.owners.inquiries import desk
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.owners.owners import Owners
from regioncache.owners.siblings import Siblings, SiblingSettings, siblings_of
from regioncache.peers.desks import Questioner
from regioncache.peers.digests import Digests
from regioncache.peers.door import PeerDoor
from regioncache.peers.memberdesks import MemberDesks
from regioncache.places import Places, Shown
from regioncache.prober import Prober
from regioncache.pulling import Pulling
from regioncache.reader import Shelf
from regioncache.refresher import Refresher
from regioncache.regrouping import Regrouping
from regioncache.rooms import Rooms
from regioncache.routing import Routing, SigningSecrets
from regioncache.service import RegionCache
from regioncache.sources import RouteBuilder, Sources, way_id
from regioncache.spoilt import Spoilt
from regioncache.store.base import StoreSettings
from regioncache.store.keeping import steady
from regioncache.store.store import Store
from regioncache.tally import Tally
from regioncache.tidings import UNHEARD, Tidings
from regioncache.tracing import Tracing, untraced
from regioncache.unmounting import Unmounting

if TYPE_CHECKING:
    from regioncache.leasing.app import Leasing

LEDGER_FILE = "ledger"
HISTORY_FILE = "ledger.history"
DOUBTS_FILE = "doubts"
MOUNTED_FILE = "mounted"
HOT_PART = 0.125
"""Of the memory budget is for the small objects read most of late."""


@dataclass(frozen=True, slots=True)
class CacheAppSettings:
    """What one node's cache is made of. `memory` is in bytes; `secrets` gives the secret shared with a region."""

    region: str
    paths: tuple[Path, ...]
    size: int | float
    memory: int
    secrets: SigningSecrets
    on_fault: Callable[[BaseException], None]
    tidings: Tidings = UNHEARD
    """Told what an operator should hear: that a way is away or back, that another region works by other files."""
    sizes: tuple[int | float | None, ...] = ()
    """By path, where it has a size of its own; empty: none has."""
    tiers: tuple[int, ...] = ()
    """By path; empty: all are 0."""
    tls: ssl.SSLContext | None = None
    peer_tls: Contexts | None = None
    """By which other nodes are asked over TLS; None: this one has no certificate among them."""
    high: float = 1.0
    """Share of `size` above which eviction begins behind; `low` is where it ends."""
    low: float = 1.0
    leased: bool = False
    """Whether the region has several nodes, which bring over its lines what their leases say."""
    limited: bool = True
    """False lets lines carry what they can: only a test that must be seen failing says so."""
    keep_days: int = 400
    """Of the history of lines."""
    bounds: Bounds | None = None
    """What one way to a bucket may take; None: by the memory and the descriptors that there are."""
    tracing: Tracing = untraced
    """Decides which requests of other nodes are traced."""
    ownership: Ownership = field(default_factory=Alone)
    """Whose what is among the members of the region."""
    siblings: SiblingSettings | None = None
    """Processes of this host that are workers of the same node; None: it is one process."""
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    @property
    def workers(self) -> int:
        """How many processes the node is."""
        return 1 if self.siblings is None else self.siblings.workers


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was worked out of a topology before it is put in force."""

    topology: Topology
    """With the nodes that regions publish, where it names none."""
    resolved: Resolved
    shown: Shown
    ways: set[WayId]


@dataclass(slots=True)
class CacheApp:
    """The parts of a running cache, for the doors above and for whoever counts."""

    settings: CacheAppSettings
    store: Store
    ledger: Ledger
    client: Client
    peer_client: Client
    """Asks other nodes: over TLS with this one's certificate, where it has one."""
    memory: Memory
    resolver: Resolver
    catalog: Catalog
    health: Health
    flights: Flights
    tally: Tally
    routing: Routing
    sources: Sources
    cache: RegionCache
    lists: Lists
    places: Places
    peers: PeerDoor
    digests: Digests
    prober: Prober
    doubts: Doubts
    doubting: Doubting
    far: FarRegions
    lines: dict[str, Line] = field(default_factory=dict)
    known_lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    """Each that was ever in force, by name and direction: what still crosses one that was taken out and comes back
    must count against the same quota."""
    build: RouteBuilder | None = None
    """Makes the route of a way, None: `routing`."""
    leasing: "Leasing | None" = None
    """The leases of lines, and the offices that this node has; None: it is alone, and nobody asks it for a lease."""
    handover: Handover = field(init=False)
    """What a member that leaves does first."""
    regrouping: Regrouping = field(init=False)
    unmounting: Unmounting = field(init=False)
    history: History = field(init=False)
    calendar: Calendar = field(init=False)
    refresher: Refresher = field(init=False)

    def __post_init__(self) -> None:
        self.regrouping = Regrouping(self.store)
        settings = self.settings
        self.unmounting = Unmounting(self.store, settings.paths[0] / MOUNTED_FILE, settings.tidings)
        self.history = History(
            self.ledger, settings.paths[0] / HISTORY_FILE, settings.keep_days, settings.wall, settings.tidings
        )
        self.handover = Handover(self.store, self.cache.newest, self.cache.owners, self.places.bucket)
        self.calendar = Calendar(self.known_lines.values, settings.wall)
        self.peers.epoch = lambda: settings.ownership.epoch
        self.peers.grants = Grants(self.resolver, lambda: self.regrouping.shown)
        self.refresher = Refresher(self.cache.newest, self.lists, self.resolver, settings.clock, settings.wall)

    @classmethod
    async def start(cls, settings: CacheAppSettings) -> "CacheApp":
        """Opens the store and the ledger and builds the rest; nothing is in force yet.

        Raises: StoreError (a path in use, of a newer layout, or unusable), LedgerUnreadable.
        """
        paths = settings.paths
        of_store = StoreSettings(
            paths,
            settings.size,
            sizes=settings.sizes,
            tiers=settings.tiers,
            high=settings.high,
            low=settings.low,
            open_files=open_files(allowed_files(), len(paths), settings.workers),
        )
        now = steady(settings.wall, settings.clock)
        store = await Store.open(of_store, tidings=settings.tidings, now=now)
        try:
            ledger = Ledger.open(settings.paths[0] / LEDGER_FILE, settings.wall)
            found = ledger.statistics()
            if found.torn or found.lost:
                settings.tidings.warning(
                    f"{ledger!r} is damaged: {found.torn} counters are unreadable and {found.lost} bytes are missing;"
                    " what they had counted is in no sum any more, unless the file is put back from a copy"
                )
        except BaseException:
            await store.close()
            raise
        return cls.over(settings, store, ledger)

    @classmethod
    def over(
        cls, settings: CacheAppSettings, store: Store, ledger: Ledger, build: RouteBuilder | None = None
    ) -> "CacheApp":
        """Builds the parts over an open store and ledger; `build` makes the route of a way, None: the real one."""
        clock, wall = settings.clock, settings.wall
        client, peer_client = _clients(settings)
        hot = HotObjects(int(settings.memory * HOT_PART))
        store.on_gone(hot.clear)
        memory = Memory(settings.memory - int(settings.memory * HOT_PART))
        health, flights, tally, spoilt = Health(), Flights(), Tally(), Spoilt()
        resolver, digests, pages = Resolver(settings.region), Digests(), ListPages()
        doubts = Doubts(settings.paths[0] / DOUBTS_FILE, settings.tidings)
        catalog = Catalog(on_doubt=doubts.note)
        doubts.restore(catalog, wall())
        far, warn = _far_regions(settings, peer_client), settings.tidings.warning
        routing = Routing(
            settings.region, settings.secrets, client, wall, digests, warn, far, settings.peer_tls and peer_client
        )
        bounds = settings.bounds or Bounds.of(memory.most("flight"), FLIGHT_BYTES, asking_descriptors())
        sources = Sources(health, build or routing.route, clock, settings.tidings, bounds)
        owners = _owners(settings, sources, peer_client, digests)

        filler = Filler(
            store, hot, flights, sources, memory, tally, settings.on_fault,
            on_change=lambda oid: catalog.distrust(oid, wall()), on_part=spoilt.add, owners=owners,
        )  # fmt: skip
        beside = _siblings(settings, owners)
        shelf, means = Shelf(store, hot, flights, filler, tally, spoilt, siblings=beside), Means(memory, Rooms())
        newest = Newest(shelf, catalog, pages, sources, clock, wall, owners)
        cache = RegionCache(shelf, newest, means)
        lists, places = Lists(sources, pages, catalog.ticket, clock, wall, owners), Places(resolver)
        peers = PeerDoor(
            settings.region, settings.secrets, cache, lists, places, wall, digests, warn, tracing=settings.tracing
        )  # fmt: skip
        doubting = Doubting(catalog, lists, owners, wall)
        pulling = Pulling(shelf, newest, lambda place: places.terms(place, 0.0).keep)
        desks = MemberDesks(settings.region, newest, doubting, doubts, places, pulling, wall)
        where = {} if beside is None else desk(settings.region, store.whereabouts)
        peers.desks.update({**desks.desks(), OPERATION: NodesDesk(settings.ownership), **where})
        return cls(
            settings, store, ledger, client, peer_client, memory, resolver, catalog, health, flights, tally, routing,
            sources, cache, lists, places, peers, digests, Prober(sources), doubts, doubting, far, build=build,
        )  # fmt: skip

    def prepare(self, topology: Topology, policy: Policy) -> "Prepared":
        """Works out what `adopt` needs, from any thread: many mounts take a while. Raises UnknownRegion."""
        topology = self.far.filled(topology)
        made = self.resolver.prepare(topology)
        shown = Shown(topology, made.table)
        if policy.cache:
            _ = shown.digest
        ways = Routes(topology, self.settings.region)
        return Prepared(
            topology, made, shown, {way_id(one.bucket, way) for one in topology.mounts.values() for way in ways.of(one)}
        )

    def adopt(self, topology: Topology, policy: Policy, revision: int, prepared: "Prepared | None" = None) -> None:
        """Puts a checked topology and policy in force; lines that go on keep their buckets and counters.

        `prepared` is what `prepare` made of them. Raises UnknownRegion; then nothing changed.
        """
        made = prepared or self.prepare(topology, policy)
        region = self.settings.region
        lines: dict[str, Line] = {}
        for name, line in topology.lines.items():
            if region not in line.between:
                continue
            rules = policy.lines.get(name) or LinePolicy.of_capacity(line.capacity)
            lines[name] = self._line(name, f"{line.far(region)}>{region}", rules)
            lines[name].adopt(rules)
        self.resolver.adopt(made.topology, revision, made.resolved, again=True)
        self.regrouping.adopt(made.topology, policy.cache, made.shown)
        self.unmounting.adopt(made.shown)
        self.places.rules = Rules(policy.cache)
        self.routing.adopt(lines)
        self.refresher.adopt(topology.mounts.values())
        self.sources.keep(made.ways)
        self.lines = lines
        if self.leasing is not None:
            self.leasing.adopt(topology, policy)

    def trial(self, topology: Topology, policy: Policy) -> tuple[Resolver, Lists]:
        """Returns what lists the paths of a topology before it is in force; whoever asks stops the lists.

        What it asks is debited like all else: of a line that goes on as long as that one is in force, of a new one by
        the policy that comes with it.
        """
        settings, resolver = self.settings, Resolver(self.settings.region)
        resolver.adopt(topology, 1)
        lines = {
            name: self._line(
                name,
                f"{line.far(settings.region)}>{settings.region}",
                policy.lines.get(name) or LinePolicy.of_capacity(line.capacity),
            )
            for name, line in topology.lines.items()
            if settings.region in line.between
        }
        warn = settings.tidings.warning
        asking = None if settings.peer_tls is None else self.peer_client
        routing = Routing(
            settings.region, settings.secrets, self.client, settings.wall, self.digests, warn, self.far, asking
        )
        routing.adopt(lines)
        sources = Sources(Health(), self.build or routing.route, settings.clock)
        return resolver, Lists(sources, ListPages(), self.catalog.ticket, settings.clock, settings.wall)

    def _line(self, name: str, direction: str, rules: LinePolicy) -> Line:
        """The line of that name and direction that was ever known, or a new one."""
        known = self.known_lines.get((name, direction))
        if known is None:
            limited, tidings, leased = self.settings.limited, self.settings.tidings, self.settings.leased
            clock, wall = self.settings.clock, self.settings.wall
            known = Line(
                name, direction, rules, self.ledger, clock, limited=limited, leased=leased, tidings=tidings, wall=wall
            )
            self.known_lines[name, direction] = known
        return known

    async def stop(self) -> None:
        """Ends flights and questions, then closes what is on disk. Running replies must have ended before."""
        if self.leasing is not None:
            await self.leasing.stop()
        await self.prober.stop()
        await self.calendar.stop()
        await self.refresher.stop()
        await self.lists.stop()
        await self.cache.owners.stop()
        await self.cache.stop()
        await self.far.stop()  # after whoever asks, so that nobody begins another probe
        await self.doubts.close()
        await self.unmounting.stop()
        self.client.close()
        self.peer_client.close()
        await self.store.close()
        await self.history.stop()
        self.ledger.close()
        await asyncio.sleep(0)  # transports that were just closed say so in the next turn of the loop


def _clients(settings: CacheAppSettings) -> tuple[Client, Client]:
    """One that asks origins, and one that asks nodes: by this one's certificate, where it has one among them."""
    client = Client(tls=settings.tls)
    return client, client if settings.peer_tls is None else Client(tls=settings.peer_tls)


def _far_regions(settings: CacheAppSettings, client: Client) -> FarRegions:
    questioner = Questioner(settings.region, settings.secrets, client, settings.wall)
    plain = settings.peer_tls is None
    return FarRegions(
        questioner, settings.clock, settings.tidings, lambda where: not (plain and where.startswith("https:"))
    )


def _siblings(settings: CacheAppSettings, owners: Owners) -> Siblings | None:
    files = sibling_files(allowed_files(), settings.workers)
    return siblings_of(settings.siblings, settings.ownership, owners.routes, settings.paths[0], settings.clock, files)


def _owners(settings: CacheAppSettings, sources: Sources, client: Client, digests: Digests) -> Owners:
    ownership = settings.ownership
    questioner = Questioner(settings.region, settings.secrets, client, settings.wall)
    routes = MemberRoutes(questioner, client, digests, settings.tidings.warning, ownership)
    return Owners(sources, settings.clock, ownership, routes)
