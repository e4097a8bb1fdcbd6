"""Builds a node's leasing: for each line its talk with the office, and the offices that this node has or stands for.

`adopt` puts a topology and a policy in force, `start` begins once the node is a member and its control port is open.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError
from namespace.model import Topology
from namespace.rpc.calling import Remote
from namespace.rpc.channels import RpcTls
from namespace.rpc.serving import Service
from namespace.rpc.signing import Signer
from policy.model import LinePolicy, Policy
from regioncache.errors import CacheError, NotSupported, OriginUnavailable
from regioncache.leasing.elections import Elected, Keys, Standee, Standing
from regioncache.leasing.fences import Fences
from regioncache.leasing.finding import Asked, Finder, FirstOf, Place, desk
from regioncache.leasing.holder import Leaseholder, LeaseStatistics
from regioncache.leasing.office import Office, Rules
from regioncache.leasing.service import Leases
from regioncache.leasing.talking import Talking
from regioncache.leasing.tenure import NotInOffice, OfficeFile, SoleTenure, Tenure, TenureUnkept
from regioncache.lines.line import Line
from regioncache.peers.desks import Desk, Questioner
from regioncache.tidings import Tidings

OFFICE_FILE = "offices"
RETRY_SECONDS = 1.0
"""Until a node stands again for an office that it could not take."""
STOP_SECONDS = 3.0
"""How long leaving offices and lines may take."""


@dataclass(frozen=True, slots=True)
class LeasingSettings:
    """Who this is, and what it works by."""

    region: str
    node: str
    """The member's name: `cache-3`, or `cache-3/1`."""
    process: Callable[[], int]
    """The process epoch; 0 while there is none."""
    directory: Path
    """Where offices are remembered."""
    secrets: Callable[[str], str | None]
    questioner: Questioner
    members: Callable[[], Sequence[str]]
    """Peer doors of the other members of this region, as URLs."""
    clock: Callable[[], float]
    wall: Callable[[], float]
    tidings: Tidings
    on_fault: Callable[[BaseException], None]
    """Told of a fault of the program."""
    far: Callable[[str], Sequence[str]] = lambda region: ()
    """Peer doors of another region's nodes that answer, as URLs, as far as they are known."""
    leased: bool = True
    """Whether this region has several nodes, which hold leases; one that is alone has the quota."""
    authorities: Callable[[], RpcTls] = RpcTls
    """With what an office is connected to whose control port has a certificate; read anew each time. Raises OSError."""
    etcd: Etcd | None = None
    """The region's, in which offices are elected; None: this node has each that its region has."""


@dataclass(slots=True)
class _Held:
    """One line that is leased: mutable, `talk` is anew where the office moves to another region."""

    holder: Leaseholder
    talking: Talking
    talk: asyncio.Task[None]


class Leasing:
    """Mutable state: what is in force, the talks by line, the offices and who stands for them."""

    def __init__(self, settings: LeasingSettings, lines: Callable[[], Mapping[str, Line]]) -> None:
        """`lines` are those towards this region, by name, as they are in force."""
        self._settings = settings
        self._lines = lines
        self._topology: Topology | None = None
        self._policy = Policy()
        self._address = ""
        self._file = OfficeFile(settings.directory / OFFICE_FILE)
        self._held: dict[tuple[str, str], _Held] = {}
        self._offices: dict[str, Office] = {}
        self._standing: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, Place] = {}
        self._fencing: asyncio.Task[None] | None = None
        self._leases = Leases(settings.region, self._offices.get, self._ends)

    def service(self) -> Service:
        """Returns what the control port serves."""
        return self._leases.service()

    def desk(self) -> Desk:
        """Returns what answers at the peer door where an office is."""
        return desk(self._find, self._ends)

    async def start(self, address: str) -> None:
        """Begins; `address` is where others reach this node's control port, `HOST:PORT`, or with TLS `https://...`."""
        self._address = address
        if self._settings.etcd is not None:
            fences = Fences(self._settings.etcd, self._settings.region, self.dead)
            self._fencing = asyncio.create_task(fences.follow())
        self._begin()

    async def stop(self) -> None:
        """Leaves offices and lines, so that others need not wait for either. Nothing may be brought after it."""
        await self.resign()
        tasks = [held.talk for held in self._held.values()]
        tasks += [self._fencing] if self._fencing else []
        for held in self._held.values():
            held.holder.end(f"this node stops, and holds no lease of line {held.holder.line.name} any more")
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    async def resign(self) -> None:
        """Leaves all offices for good: another node takes them at once. What is held of lines is held still."""
        self._address = ""
        standing, self._standing = list(self._standing.values()), {}
        for task in standing:
            task.cancel()
        if standing:
            await asyncio.wait(standing, timeout=STOP_SECONDS)

    def adopt(self, topology: Topology, policy: Policy) -> None:
        """Puts in force what was applied."""
        self._topology, self._policy = topology, policy
        for office in self._offices.values():
            office.adopt()
        if self._address:
            self._begin()

    def dead(self, node: str, process: int) -> None:
        """A process of this region is proven dead: each line's office hears of it."""
        for (line, direction), held in self._held.items():
            held.talking.dead(node, process)
            if office := self._offices.get(line):
                office.dead(direction, node, process)

    def statistics(self) -> Mapping[str, LeaseStatistics]:
        """Returns what this node holds, by line."""
        return {name: held.holder.statistics() for (name, _), held in self._held.items() if name in self._lines()}

    def fault(self, line: str) -> str:
        """Returns why a line's office was not reached last; empty while it speaks."""
        return next((held.talking.fault for (name, _), held in self._held.items() if name == line), "")

    def offices(self) -> Mapping[str, Office]:
        """Returns the offices that this node has now, by line."""
        return dict(self._offices)

    # ---- what follows from a topology ------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begins what the topology wants, and ends what it does not."""
        topology = self._topology
        if topology is None:
            return
        own = self._settings.region
        regions = {name: topology.office_region(line, own) for name, line in topology.lines.items()}
        ours = {name for name, region in regions.items() if region == own and own in topology.lines[name].between}
        for name in [name for name in self._standing if name not in ours]:
            self._standing.pop(name).cancel()
        for name in ours - self._standing.keys():
            self._standing[name] = asyncio.create_task(self._stand(name))
        if self._settings.leased:
            self._hold(topology, regions)

    def _hold(self, topology: Topology, regions: Mapping[str, str]) -> None:
        lines = self._lines()
        keys = {(line.name, line.direction): line for line in lines.values()}
        for key, held in self._held.items():
            if key not in keys or held.holder.office_region != regions.get(key[0]):
                held.talk.cancel()
        for key, line in keys.items():
            held_before = self._held.get(key)
            if held_before is None or held_before.talk.cancelling() or held_before.talk.done():
                self._held[key] = self._talk(topology, line, regions[key[0]], held_before)

    def _talk(self, topology: Topology, line: Line, region: str, before: _Held | None) -> _Held:
        settings = self._settings
        holder = Leaseholder(line, settings.node, region, settings.clock, settings.wall, settings.tidings)
        finder = self._finder(line.name, region)
        process, clock, fault = settings.process, settings.clock, settings.on_fault
        talking = Talking(holder, finder, lambda address: self._connect(address, region), process, clock, fault)
        former = None if before is None else before.talk
        return _Held(holder, talking, asyncio.create_task(_after(former, talking)))

    def _finder(self, line: str, region: str) -> Finder:
        settings = self._settings
        if region == settings.region and settings.etcd is not None:
            elected = Elected(settings.etcd, Keys(region, line))
            return FirstOf((elected, Asked(line, region, settings.members, settings.questioner)))
        return Asked(line, region, lambda: self._nodes(region), settings.questioner)

    def _nodes(self, region: str) -> Sequence[str]:
        topology = self._topology
        named = () if topology is None or region not in topology.regions else topology.regions[region].nodes
        urls = (node if "://" in node else f"http://{node}" for node in named)
        return tuple(dict.fromkeys((*self._settings.far(region), *urls)))

    def _connect(self, address: str, region: str) -> Remote:
        secret = self._settings.secrets(region)
        if secret is None:
            raise NotSupported(f"no secret is shared with region {region!r}: name one under `secrets` in node.yaml")
        scheme, _, where = address.rpartition("://")
        try:
            tls = self._settings.authorities() if scheme == "https" else None
        except OSError as fault:
            raise OriginUnavailable(f"the certificates of `listen.peer.tls` cannot be read: {fault}", 1.0) from fault
        return Remote(where, Signer(self._settings.region, region, secret), tls, wall=self._settings.wall)

    # ---- offices ---------------------------------------------------------------------------------------------------

    async def _find(self, line: str) -> Place:
        """Where this region's office of a line is, for who asks at the peer door."""
        if line in self._offices:
            return Place(self._address)
        etcd = self._settings.etcd
        if etcd is None:
            raise OriginUnavailable(f"this node of {self._settings.region} is not the lease office of line {line}", 5.0)
        try:
            self._known[line] = await Elected(etcd, Keys(self._settings.region, line)).find()
        except CacheError:
            # etcd may be away while the office goes on: whoever is sent to a former one is told so there.
            if line not in self._known:
                raise
        return self._known[line]

    def _ends(self, line: str) -> Iterable[str]:
        topology = self._topology
        return () if topology is None or line not in topology.lines else topology.lines[line].between

    async def _stand(self, line: str) -> None:
        """Has a line's office whenever this node may."""
        etcd, above = self._settings.etcd, 0
        standing = None
        if etcd is not None:
            standee = Standee(self._address, self._settings.node, self._settings.process)
            standing = Standing(etcd, Keys(self._settings.region, line), standee, self._file)
        try:
            while True:
                try:
                    tenure: Tenure
                    if standing is None:
                        tenure = await SoleTenure.begin(self._file, line, above, self._first())
                    else:
                        tenure = await standing.elected(partial(self._above, line, above), self._first)
                    above = await self._serve(line, tenure)
                except (EtcdError, NotInOffice, TenureUnkept) as fault:
                    self._settings.tidings.warning(f"this node cannot be the lease office of line {line} now: {fault}")
                except Exception as fault:  # a fault of the program must not leave a line without an office
                    self._settings.on_fault(fault)
                if standing is not None:
                    await standing.resign()
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            if standing is not None:
                await standing.close()

    def _first(self) -> int:
        return int(self._settings.wall())

    def _above(self, line: str, above: int) -> int:
        """The highest epoch that this node has heard of: `above`, or that of a grant which it holds."""
        held = (one.holder.statistics().epoch for (name, _), one in self._held.items() if name == line)
        return max(above, *held, 0)

    async def _serve(self, line: str, tenure: Tenure) -> int:
        """Is a line's office until it may not be any more."""
        settings = self._settings
        office = Office(line, tenure, lambda: self._rules(line), settings.clock, settings.tidings)
        self._offices[line] = office
        settings.tidings.news(f"this node is the lease office of line {line} (epoch {office.epoch})")
        try:
            return await office.serve()
        finally:
            del self._offices[line]
            settings.tidings.news(f"this node is not the lease office of line {line} any more")

    def _rules(self, line: str) -> Rules:
        return Rules.at(self._line_policy(line), self._settings.wall())

    def _line_policy(self, name: str) -> LinePolicy:
        written = self._policy.lines.get(name)
        if written is not None:
            return written
        assert self._topology is not None
        return LinePolicy.of_capacity(self._topology.lines[name].capacity)


async def _after(former: "asyncio.Task[None] | None", talking: Talking) -> None:
    """Talks once the former talk of the line has ended: it gives up what it held."""
    if former is not None:
        await asyncio.wait({former})
    await talking.run()
